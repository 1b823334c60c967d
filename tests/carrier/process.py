"""A real carrier process, and a receiver of its receipts, for tests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx

from ops.carrier.__main__ import ZNS_APP
from ops.carrier.evidence import Evidence, read

ROOT = Path(__file__).parents[2]
ACCOUNT = "AC" + "0123456789abcdef" * 2


def until(true: Callable[[], Any], seconds: float = 8.0) -> Any:
    """The first true answer; fails when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = true()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not so within {seconds} s: {true}")


class CarrierProcess:
    """``python -m ops.carrier`` on free ports, which it keeps over restarts."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self._options = data, options
        self._ports = (0, 0)
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> CarrierProcess:
        self._child = run_carrier(
            "--data", str(self.data), "--http-port", str(self._ports[0]), "--smtp-port", str(self._ports[1]), *self._options
        )
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, self._child.communicate()[1]
        ready = json.loads(line)
        self.url, self._ports = ready["http"], (int(ready["http"].rpartition(":")[2]), int(ready["smtp"].rpartition(":")[2]))
        return self

    @property
    def http_port(self) -> int:
        return self._ports[0]

    @property
    def smtp_port(self) -> int:
        return self._ports[1]

    @property
    def token(self) -> str:
        return (self.data / "auth_token").read_text().strip()

    def zns(self) -> dict[str, Any]:
        """What a ``ZnsChannel`` of this carrier is made with; its token file begins with a refresh token that was never used."""
        tokens = self.data / "zns_tokens.client.json"
        if not tokens.exists():
            tokens.write_text('{"refresh_token": "first"}')
        secret = (self.data / "zns_secret").read_text().strip()
        return {"app_id": ZNS_APP, "secret": secret, "token_file": tokens, "base_url": self.url, "oauth_url": self.url}

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def order(self, *faults: dict[str, Any]) -> None:
        httpx.post(self.url + "/faults", json=list(faults)).raise_for_status()

    def clear_faults(self) -> None:
        httpx.delete(self.url + "/faults").raise_for_status()

    def evidence(self) -> Evidence:
        return read(self.data / "journal.jsonl")

    def accepted(self, to: str) -> list[dict[str, Any]]:
        """What the journal has for this recipient."""
        return [message for message in self.evidence().messages if message["to"] == to]

    def request(self, method: str, path: str, **values: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, **values)

    def api(self, path: str = "", **values: Any) -> httpx.Response:
        """A request of the Messages API: POST with ``data=``, else GET."""
        auth = values.pop("auth", (ACCOUNT, self.token))
        url = f"{self.url}/2010-04-01/Accounts/{ACCOUNT}/Messages{path}.json"
        return httpx.request("POST" if "data" in values else "GET", url, auth=auth, **values)

    def _end(self, how: signal.Signals) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        child.send_signal(how)
        child.communicate(timeout=10)
        return child.returncode


@contextmanager
def carrier(data: Path, *options: str) -> Iterator[CarrierProcess]:
    process = CarrierProcess(data, *options).start()
    try:
        yield process
    finally:
        process.kill()


def run_carrier(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ops.carrier", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@dataclass
class Receiver:
    """A site that takes receipts; ``answers``: the statuses of the next answers, then 204."""

    port: int = 0
    got: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    """(path, form, signature)."""
    events: list[tuple[bytes, str]] = field(default_factory=list)
    """(body, signature) of Zalo's events, which are no forms."""
    answers: list[int] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def start(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                octets = self.rfile.read(int(self.headers["Content-Length"]))
                if "X-ZEvent-Signature" in self.headers:
                    receiver.events.append((octets, self.headers["X-ZEvent-Signature"]))
                else:
                    form = dict(parse_qsl(octets.decode(), keep_blank_values=True))
                    receiver.got.append((self.path, form, self.headers["X-Twilio-Signature"]))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def statuses(self, sid: str) -> list[str]:
        return [form["MessageStatus"] for _, form, _ in self.got if form["MessageSid"] == sid]


@contextmanager
def receiver() -> Iterator[Receiver]:
    site = Receiver().start()
    try:
        yield site
    finally:
        site.stop()
