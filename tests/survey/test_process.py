"""The site as a real process: what its log says, and what is left of answers when it is killed."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest

from hailong.events import Record, SurveyAnswered, decode
from tests.survey.site_process import BROKEN, SLOTS
from tests.survey.twins import code_of, next_of, sealed_in

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.stack


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Process:
    """A running site."""

    child: subprocess.Popen[bytes]
    http: httpx.Client
    log: Path

    def kill(self) -> None:
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def ask(self, code: str, query: str = "") -> httpx.Response:
        """The question, past the page that asks who it is."""
        return self.http.get(next_of(self.http.get(f"/{code}{query}")) or f"/{code}")

    def answer(self, code: str, score: str) -> httpx.Response:
        page = self.ask(code)
        return self.http.post(f"/{code}", data={"form": sealed_in(page), "Q0": score})


@contextmanager
def running(folder: Path) -> Iterator[Process]:
    folder.mkdir(exist_ok=True)
    port, log = free_port(), folder / "stderr.txt"
    with log.open("ab") as stderr:
        command = [sys.executable, "-m", "tests.survey.site_process", str(folder), str(port)]
        child = subprocess.Popen(command, cwd=ROOT, stderr=stderr, stdout=stderr)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        try:
            wait_for(http)
            yield Process(child, http, log)
        finally:
            child.terminate()
            child.wait(timeout=10)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with running(tmp_path_factory.mktemp("crowd")) as site:
        yield site


def wait_for(http: httpx.Client) -> None:
    for _ in range(200):
        try:
            http.get("/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the site did not come up within 10 s")


def in_log(folder: Path) -> list[SurveyAnswered]:
    """First occurrences, in order."""
    facts: dict[str, SurveyAnswered] = {}
    file = folder / "log"
    for line in file.read_bytes().splitlines() if file.exists() else []:
        record = msgspec.json.decode(line, type=Record)
        fact = decode(record.topic, record.value)
        assert isinstance(fact, SurveyAnswered)
        facts.setdefault(fact.event_id, fact)
    return list(facts.values())


def test_no_log_line_holds_a_code_a_form_an_answer_or_an_address(tmp_path: Path) -> None:
    code, broken, unknown = code_of("s-1"), code_of(BROKEN), code_of("nobody")
    with running(tmp_path) as site:
        page = site.ask(code, "?lang=vi")
        sealed = sealed_in(page)
        why = site.http.post(f"/{code}", data={"form": sealed, "Q0": "2"}, follow_redirects=True)
        assert 'data-page="ask-2"' in why.text
        site.http.post(f"/{code}", data={"form": sealed_in(why), "Q7": "attitude", "finish": "1"}, follow_redirects=True)
        for path in (f"/{unknown}", f"/{code}/", f"/{code}/x/y", f"/{code}/why", f"/{code}?{code}"):
            site.http.get(path, headers={"user-agent": f"agent {code}", "referer": f"https://x/{code}"})
        site.http.post(f"/{code}/stop")
        site.http.delete(f"/{code}")
        failed = site.http.get(f"/{broken}")
        assert failed.status_code == 500
        assert "Trang web gặp lỗi" in failed.text
        assert broken not in failed.text
        with socket.create_connection((site.http.base_url.host, site.http.base_url.port or 0), timeout=5) as rude:
            rude.sendall(f"GET /{code} HTTP/9.9 nonsense\r\n\r\n".encode())
            rude.recv(1000)
    said = site.log.read_text("utf-8")
    for secret in (code, broken, unknown, code.lower(), sealed[:40], "0912345678", "127.0.0.1:", "attitude", "agent", 's-1"'):
        assert secret not in said.replace("Uvicorn running on http://127.0.0.1:", ""), secret
    lines = [json.loads(line) for line in said.splitlines()]
    routes = {line["route"] for line in lines if line["event"] == "request"}
    assert routes >= {"/{code}", "/{code}/next", "/{code}/thanks", "/{code}/stop", "/{code}/why", "-"}
    (told,) = [line for line in lines if line["event"] == "request failed"]
    assert told["error"] == "RuntimeError"
    assert any(re.match(r"site_process.py:\d+ slot_by_code", place) for place in told["places"])


@pytest.mark.parametrize(("path", "status"), [("", 413), ("/stop", 413), ("/a/b/c", 404)])
def test_who_sends_far_too_much_and_only_then_listens_hears_the_answer(crowd: Process, path: str, status: int) -> None:
    address = crowd.http.base_url
    client = http.client.HTTPConnection(address.host, address.port, timeout=20)
    named = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
    client.request("POST", f"/{code_of('s-1')}{path}", body=b"Q0=" + b"x" * 12_000_000, headers=named)
    assert client.getresponse().status == status
    client.close()


def test_every_answer_thanked_before_a_kill_reaches_the_log(tmp_path: Path) -> None:
    thanked: list[str] = []
    (tmp_path / "away").touch()
    for _ in range(3):
        with running(tmp_path) as site:
            for survey_id in SLOTS[len(thanked) : len(thanked) + 12]:
                if site.answer(code_of(survey_id), "4").status_code == 303:
                    thanked.append(survey_id)
            site.kill()
    assert len(thanked) == 36
    assert in_log(tmp_path) == []
    assert len(list((tmp_path / "spool").glob("*.spool"))) == 3
    (tmp_path / "away").unlink()
    with running(tmp_path) as site:
        for survey_id in SLOTS[36:40]:
            assert site.answer(code_of(survey_id), "5").status_code == 303
            thanked.append(survey_id)
        until = time.monotonic() + 10
        while len(in_log(tmp_path)) < 40 and time.monotonic() < until:
            time.sleep(0.05)
    assert sorted(f.survey_id for f in in_log(tmp_path)) == sorted(thanked)
    assert list((tmp_path / "spool").iterdir()) == []
