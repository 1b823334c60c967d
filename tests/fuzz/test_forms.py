"""Whatever is sent to any address of the citizen's site and to the intake: no fault of ours, no trace in an answer, and nothing is recorded
that the questionnaire would not take. ``HAILONG_TEST_FUZZ``: how many examples each property tries (bin/test --long asks for many).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from hailong.domain import slips
from hailong.domain.questionnaire import validate
from hailong.ports import Invalid
from producers.intake import build_intake
from surveys.site import build_site
from surveys.wording import library
from tests.intake.room import NOW, KeptLog, item, open_room
from tests.survey.twins import CODE, OLD, UNKNOWN, USED, HandClock, MemoryLedger, MemoryLog, next_of, parts, sealed_in, slot

EXAMPLES = int(os.environ.get("HAILONG_TEST_FUZZ", "120"))
TRACE = re.compile(r"Traceback|File \"|line \d+, in |sqlite|sqlalchemy|jinja2|\.py\b", re.IGNORECASE)
FUZZED = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
KEY = "one-stop-secret"
SLIP = slips.new_code(bytes(range(32)))
LIBRARY = library()

words = st.text(max_size=30) | st.sampled_from(
    ["", "1", "5", "na", "yes", "slow", "HL-222-222-2222", "H28.12-250115-0042", "123", "\x00", "💥"]
)
SEGMENTS = [
    "in",
    "code",
    "receipt",
    "feedback",
    "verify",
    "draw",
    "did",
    "s",
    "audio",
    "kiosk",
    "notice",
    "accessibility",
    "robots.txt",
    "healthz",
    "..",
    "%00",
    "receipts",
    "inbound",
    "offline.js",
    "sw.js",
]
FIELDS = [
    "form",
    "f",
    "Q0",
    "Q1",
    "Q7",
    "Q8",
    "Q9",
    "finish",
    "at",
    "website",
    "not_me",
    "dossier",
    "digits",
    "slip",
    "code",
    "receipt",
    "words",
    "text",
    "message",
    "confirm",
    "lang",
    "ticket",
]
segment = st.sampled_from([CODE, USED, OLD, UNKNOWN, SLIP, *SEGMENTS]) | st.text("abcXYZ019-_.~%é/", max_size=20)
path = st.lists(segment, max_size=4).map(lambda parts_: "/" + "/".join(parts_))
field = st.sampled_from(FIELDS) | st.text(max_size=8)
forms = st.dictionaries(field, words | st.lists(words, max_size=3), max_size=8)


class Site:
    """A site kept for all examples, in a loop of its own."""

    def __init__(self, app: Starlette, base: str) -> None:
        self._runner = asyncio.Runner()
        self._life = app.router.lifespan_context(app)
        self._runner.run(self._life.__aenter__())
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        self.http = httpx.AsyncClient(transport=transport, base_url=base)

    def ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        """One request. Raises httpx.InvalidURL for what no client can send."""
        return self._runner.run(self.http.request(method, address, **more))

    def sealed(self) -> str:
        """The state of a form that was really shown."""
        return sealed_in(self.ask("GET", next_of(self.ask("GET", f"/{CODE}"))))

    def close(self) -> None:
        self._runner.run(self._end())
        self._runner.close()

    async def _end(self) -> None:
        await self.http.aclose()
        await self._life.__aexit__(None, None, None)


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, log: MemoryLog) -> Iterator[Site]:
    ledger = MemoryLedger()
    for one in (slot("s-1"), slot("used", answered=True), slot("old", expires_at=HandClock().now())):
        ledger.add(one)
    made = parts(tmp_path_factory.mktemp("fuzz"), ledger, log, HandClock(), [0.0], unknown_codes_per_minute=10**9)
    opened = Site(build_site(made), "https://ks.example")
    yield opened
    opened.close()


class Now:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Site, KeptLog]]:
    made, ledger, kept = open_room(tmp_path)
    keys = {"one-stop#0": hashlib.sha256(KEY.encode()).digest()}

    def check() -> None:
        return

    opened = Site(build_intake(made, keys, Now(), check, requests_per_second=10**9), "https://in.example")
    yield opened, kept
    opened.close()
    ledger.close()


def sound(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or (answer.status_code == 503 and "retry-after" in answer.headers), answer.status_code
    assert not TRACE.search(answer.text.replace("surveys.hoabinh", "")), TRACE.search(answer.text)


def recorded(log: MemoryLog) -> None:
    """Every recorded submission is one its page would take."""
    for fact in log.answers():
        page = LIBRARY.known[fact.questionnaire, fact.questionnaire_version].page(fact.page)
        if fact.act == "not_me":
            assert fact.answers == {}
            continue
        assert page is not None
        said = {
            q: ["na" if a is None else "yes" if a is True else str(a)] if not isinstance(a, list) else a for q, a in fact.answers.items()
        }
        again = validate(page, said) if said else None
        assert not isinstance(again, Invalid)
        assert again is None or again.answers == fact.answers


@FUZZED
@given(
    path=path,
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
    query=st.dictionaries(field, words, max_size=3),
    form=forms,
)
def test_any_request_gets_a_written_answer(
    site: Site, log: MemoryLog, path: str, method: str, query: dict[str, str], form: dict[str, Any]
) -> None:
    try:
        answer = site.ask(method, path, params=query, data=form if method in ("POST", "PUT") else None)
    except (httpx.InvalidURL, UnicodeError):
        return
    sound(answer)
    recorded(log)


@FUZZED
@given(form=forms, code=st.sampled_from([CODE, "in", USED, UNKNOWN]))
def test_any_form_with_a_good_state_records_only_what_was_asked(site: Site, log: MemoryLog, form: dict[str, Any], code: str) -> None:
    answer = site.ask("POST", f"/{code}", data={**form, "form": site.sealed()})
    sound(answer)
    assert answer.status_code in (200, 303, 400, 404, 410, 422)
    recorded(log)


KINDS = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", "text/plain", ""]


@FUZZED
@given(
    body=st.binary(max_size=400),
    kind=st.sampled_from(KINDS),
    where=st.sampled_from([CODE, "code", "receipt", "feedback", "verify", f"{CODE}/stop"]),
)
def test_any_bytes_are_no_fault_of_ours(site: Site, log: MemoryLog, body: bytes, kind: str, where: str) -> None:
    sound(site.ask("POST", f"/{where}", content=body, headers={"content-type": kind} if kind else {}))
    recorded(log)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(field, inner, max_size=3),
    max_leaves=8,
)
items = st.dictionaries(st.sampled_from(sorted(item())) | st.text(max_size=8), json_values, max_size=4).map(
    lambda changes: {**item(), **changes}
)


@FUZZED
@given(sent=st.lists(items | json_values, max_size=4) | json_values)
def test_any_dossier_is_taken_or_refused_with_its_reason(desk: tuple[Site, KeptLog], sent: Any) -> None:
    site, kept = desk
    try:
        body = json.dumps(sent).encode()
    except (ValueError, UnicodeError):
        return
    before = len(kept.facts)
    answer = site.ask("POST", "/v1/dossiers", content=body, headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"})
    sound(answer)
    if answer.status_code == 202:
        told = answer.json()
        assert len(kept.facts) - before <= told["accepted"]
        assert all(one["status"] == 202 or one["error"]["reason"] for one in told["items"])
    else:
        assert len(kept.facts) == before
