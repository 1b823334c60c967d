"""What the sites share, and how a process speaks."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from hailong import telemetry
from hailong.ports import Retryable
from web import language, numbers, pages
from web.assembly import assemble
from web.headers import Policy
from web.health import Check
from web.limits import BodyLimit, Buckets, TokenBucket, network

STYLE = Path(pages.__file__).parent / "static" / "base.css"


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_are_read_in_bright_sun(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)[scheme]
    token = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for name in ("ink", "quiet", "accent"):
        assert contrast(token[name], token["paper"]) >= 7, name
        assert contrast(token[name], token["soft"]) >= 4.5, name
    assert contrast(token["accent"], token["on-accent"]) >= 7
    assert contrast(token["ink"], token["soft"]) >= 7
    for name in ("attention", "below", "above"):
        assert contrast(token[name], token["paper"]) >= 4.5, name
    assert contrast(token["line"], token["paper"]) >= 3


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("", "vi"), ("en", "en"), ("en-US;q=0.1, vi;q=0.9", "vi"), ("de, *;q=0.5", "vi"),
        ("en;q=0", "vi"), ("EN", "en"), ("vi, en", "vi"), ("en, vi", "en"),
    ],
)  # fmt: skip
def test_the_language_a_browser_accepts(header: str, best: str) -> None:
    assert language.accepted(header, ("vi", "en"), "vi") == best


@given(st.text(max_size=200))
def test_any_header_gives_a_language_we_have(header: str) -> None:
    assert language.accepted(header, ("vi", "en"), "vi") in ("vi", "en")


def test_figures_and_days_are_written_as_people_write_them() -> None:
    assert (numbers.percent(0.843, "vi"), numbers.percent(0.843, "en")) == ("84,3\u00a0%", "84.3%")
    assert numbers.interval(0.8, 0.878, "vi") == "80–88\u00a0%"
    assert (numbers.number(4812, "vi"), numbers.number(4812, "en"), numbers.number(412, "vi")) == ("4.812", "4,812", "412")
    assert (numbers.day(date(2026, 3, 12), "vi"), numbers.day(date(2026, 3, 12), "en")) == ("12/3/2026", "12 March 2026")
    assert (numbers.month("2026-03", "vi"), numbers.month("2026-03", "en")) == ("3/2026", "March 2026")


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 50))
def test_a_bucket_never_gives_more_than_it_holds_and_regains(pauses: list[float], capacity: int) -> None:
    now = [0.0]
    bucket = TokenBucket(capacity, 60, lambda: now[0])
    taken = 0
    for pause in pauses:
        now[0] += pause
        taken += bucket.take()
        assert taken <= capacity + now[0] * capacity / 60 + 1e-6
        assert 0 <= bucket.level() <= capacity


def test_a_bucket_says_when_there_is_one_again() -> None:
    now = [0.0]
    bucket = TokenBucket(2, 60, lambda: now[0])
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    wait = bucket.wait()
    now[0] += wait
    assert bucket.take()
    assert wait <= 32


def test_only_so_many_buckets_are_remembered() -> None:
    kept = Buckets(1, 60, lambda: 0.0, most=3)
    assert kept.of("a").take()
    for key in "bc":
        kept.of(key)
    assert not kept.of("a").take()
    kept.of("d")
    assert kept.of("b").level() == 1
    assert not kept.of("a").take()


def test_what_is_remembered_of_an_asker_is_a_keyed_hash_and_nothing_of_it_is_left_a_day_later() -> None:
    now, keys = [0.0], [b"first" * 4, b"second" * 4]
    kept = Buckets(1, 60, lambda: now[0], new_key=lambda: keys.pop(0))
    kept.of("203.0.113.7").take()
    first = set(kept._of)
    assert not any(b"203" in key for key in first)
    assert "203.0.113" not in repr(kept)
    now[0] = 86_399
    kept.of("203.0.113.7")
    assert set(kept._of) == first
    now[0] = 86_400
    kept.of("203.0.113.7")
    assert not first & set(kept._of)
    assert len(kept._of) == 1


def asked_by(host: str) -> str:
    return network(Request({"type": "http", "client": (host, 1), "headers": []}))


def test_one_asker_has_one_network() -> None:
    assert asked_by("2001:db8:0:1::5") == asked_by("2001:db8:0:1:ffff::9") != asked_by("2001:db8:0:2::5")
    assert asked_by("203.0.113.7") != asked_by("203.0.113.8")
    assert asked_by("unix") == "unix"


# --- a small site


async def who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.client.host if request.client else '-'} {request.url.scheme}")


async def away() -> None:
    raise Retryable("ledger: away")


async def slow() -> None:
    await asyncio.sleep(60)


def small(trusted: str = "", *checks: Check) -> Starlette:
    shown = pages.Pages([], [], {"vi": {}, "en": {}}, {"vi": "Thử", "en": "Trial"})
    return assemble([Route("/who", who)], shown, policy=Policy(styles=shown.style_source), checks=checks, trusted_proxies=trusted)


def fetch(app: Starlette, path: str, client: str = "10.0.0.1", **headers: str) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as http:
            return await http.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return asyncio.run(go())


FORWARDED = {"x_forwarded_for": "192.0.2.66, 203.0.113.9", "x_forwarded_proto": "https"}


def test_only_named_proxies_are_believed() -> None:
    assert fetch(small(), "/who", **FORWARDED).text == "10.0.0.1 http"
    assert fetch(small("10.0.0.0/8"), "/who", **FORWARDED).text == "203.0.113.9 https"
    assert fetch(small("10.0.0.0/8"), "/who", client="192.0.2.1", **FORWARDED).text == "192.0.2.1 http"
    assert "strict-transport-security" in fetch(small("10.0.0.0/8"), "/who", **FORWARDED).headers


def test_a_site_is_ready_without_what_it_can_do_without() -> None:
    good = fetch(small("", Check("ledger", away, needed=False)), "/readyz")
    assert (good.status_code, good.json()["dependencies"]) == (200, {"ledger": "ledger: away"})
    ill = fetch(small("", Check("ledger", slow, timeout=0.05)), "/readyz")
    assert (ill.status_code, ill.json()["dependencies"]) == (503, {"ledger": "no answer within 0.05 s"})
    assert ill.headers["retry-after"] == "5"


def test_the_style_inside_a_page_is_the_one_the_policy_allows() -> None:
    page = fetch(small(), "/nowhere?lang=en")
    inside = page.text.partition("<style>")[2].partition("</style>")[0]
    shown = pages.Pages([], [], {"vi": {}, "en": {}}, {"vi": "Thử", "en": "Trial"})
    assert inside == shown.css
    assert shown.style_source in page.headers["content-security-policy"]
    assert "There is no such page" in page.text


# --- bodies


class Sending:
    """A client that sends a body piece by piece. ``read``: bytes the site took."""

    def __init__(self, pieces: int, size: int = 1_000_000, **headers: str) -> None:
        self.left, self.size, self.read, self.status = pieces, size, 0, 0
        named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        self.scope = {
            "type": "http", "method": "POST", "path": "/", "headers": [*named, (b"content-length", str(pieces * size).encode())],
        }  # fmt: skip

    async def receive(self) -> Message:
        if not self.left:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # a client that stays and says nothing more
        self.left -= 1
        self.read += self.size
        return {"type": "http.request", "body": b"x" * self.size, "more_body": self.left > 0}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)

    def through(self, **limits: float) -> Sending:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                while (await receive()).get("more_body"):
                    pass
                answer = PlainTextResponse("taken")
            except HTTPException as refused:
                answer = PlainTextResponse("refused", refused.status_code)
            await answer(scope, receive, send)

        asyncio.run(BodyLimit(app, 16_384, **limits)(self.scope, self.receive, self.send))  # type: ignore[arg-type]  # seconds and bytes
        return self


def test_what_is_refused_is_thrown_away_before_the_answer_so_that_its_sender_reads_it() -> None:
    refused = Sending(12).through()
    assert (refused.status, refused.read) == (413, 12_000_000)
    assert Sending(1, 16_384).through().status == 200


def test_no_more_is_thrown_away_than_the_bound_and_nothing_of_who_asked_before_sending() -> None:
    endless = Sending(1000).through(discarded=5_000_000)
    assert (endless.status, endless.read) == (413, 5_000_000)
    asked_first = Sending(12, expect="100-continue").through()
    assert (asked_first.status, asked_first.read) == (413, 0)


def test_who_stops_half_way_is_answered_all_the_same() -> None:
    stuck = Sending(2)
    stuck.scope["headers"] = [(b"content-length", b"12000000")]
    stuck.left, real = 1, stuck.receive

    async def half() -> Message:
        return {**await real(), "more_body": True}

    stuck.receive = half  # type: ignore[method-assign]
    assert stuck.through(patience=0.05).status == 413


# --- how a process speaks


@pytest.fixture
def spoken() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    telemetry.configure("trial", "info", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def said(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_what_names_a_person_is_dropped_at_any_depth(spoken: io.StringIO) -> None:
    telemetry.log("x").info(
        "told", phone="+84912345678", unit="H28.12", more={"email": "a@b.vn", "n": 3, "list": [{"dossier_code": "H28"}]}
    )
    (line,) = said(spoken)
    assert {k: line[k] for k in ("event", "level", "service", "unit", "more")} == {
        "event": "told",
        "level": "info",
        "service": "trial",
        "unit": "H28.12",
        "more": {"n": 3, "list": [{}]},
    }


@pytest.mark.parametrize(
    "personal", ["0912345678", "+84 912 345 678", "84912345678", "lan.nguyen+hcc@vnpt.vn", "000.00.53.H48-220921-0099"]
)
def test_what_slips_into_a_sentence_is_blotted_out(spoken: io.StringIO, personal: str) -> None:
    logging.getLogger("some.library").warning("cannot reach %s now", personal)
    (line,) = said(spoken)
    assert line["event"] == "cannot reach […] now"


@pytest.mark.parametrize(
    "plain", ["offset 41230", "2026-03-12T09:00:00.123456+07:00", "127.0.0.1:21400", "took 1234567 ms", "unit H28.12.3"]
)
def test_figures_times_and_units_are_left_alone(plain: str) -> None:
    assert telemetry.blot(plain) == plain


def test_an_error_is_named_with_its_places_and_without_its_message(spoken: io.StringIO) -> None:
    try:
        raise ValueError("Nguyễn Văn A")
    except ValueError:
        telemetry.log("x").exception("failed")
    telemetry.log("x").warning("waits", **telemetry.failure(Retryable("log: away")))
    failed, waits = said(spoken)
    assert failed["error"] == "ValueError"
    assert "Nguyễn" not in spoken.getvalue()
    assert (waits["error"], waits["reason"]) == ("Retryable", "log: away")


def test_an_unknown_level_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="log level 'loud': unknown"):
        telemetry.configure("trial", "loud")


def test_counters_are_shown_as_prometheus_reads_them() -> None:
    body, kind = telemetry.exposition(telemetry.registry())
    assert b"process_resident_memory_bytes" in body
    assert kind.startswith("text/plain")
