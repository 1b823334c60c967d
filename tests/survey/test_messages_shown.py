"""Messages before they are sent: side by side with segments and price, as rows, command and page; a test goes to guests only."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard import app as dashboard_app
from dashboard import messages as page
from hailong.events import MessageChannel
from hailong.settings import Settings
from ops import messages, reaching
from ops.cli import main as cli
from ops.cli import message
from ops.ways import PRICES, Ways
from surveys import wording
from surveys.channels.gateway_file import Gateway, parse
from surveys.messages.previewing import SLIP_CODE, Setting
from surveys.messages.pricing import prices
from surveys.messages.texts import Texts
from web.assembly import assemble
from web.headers import Policy
from web.pages import Pages, texts

ON = date(2026, 3, 12)
CARRIED: dict[MessageChannel, str] = {"sms": "twilio", "email": "smtp", "zns": "zns", "print": "print"}
MADE_WITH = Setting(prices(PRICES), CARRIED, "https://khaosat.hoabinh.gov.vn", 30)
ROWS = messages.rows(Texts(wording.office()), MADE_WITH, ON)


def test_every_message_is_shown_with_its_count_and_price() -> None:
    shown = {r["template_version"]: r for r in ROWS}
    assert len(shown) == len(ROWS) == 38
    plain, accented = shown["sms-invitation-a.vi-plain@1"], shown["sms-invitation-a.vi@1"]
    assert (plain["encoding"], plain["segments"], plain["price"]) == ("GSM-7", 1, 2000)
    assert (accented["encoding"], accented["segments"], accented["price"]) == ("UCS-2", 3, 6000)
    assert (shown["zns-invitation.vi@1"]["price"], shown["email-invitation.vi@1"]["price"]) == (300, 0)
    assert SLIP_CODE in shown["sms-invitation-a-link-free.en@1"]["text"]
    notes = {channel: {r["price_note"] for r in ROWS if r["channel"] == channel} for channel in CARRIED}
    said = "example, replace by your contract"
    assert notes["sms"] == {f"{said}; to numbers abroad up to {price} đ" for price in ("6,000", "18,000")}
    assert notes["zns"] == {f"{said}; no price for numbers abroad, which it does not write to"}
    assert notes["email"] == notes["print"] == {said}
    assert not any(r["warnings"] for r in ROWS)


def test_what_does_not_fit_or_has_no_price_is_shown_with_its_reason() -> None:
    made_with = replace(MADE_WITH, providers={"sms": "nobody"}, survey_url="https://a-much-too-long-name.khaosat.hoabinh.gov.vn")
    shown = {r["template_version"]: r for r in messages.rows(Texts(wording.office()), made_with, ON)}
    sms, mail = shown["sms-invitation-a.vi-plain@1"], shown["email-invitation.vi@1"]
    assert any("too_many_segments" in w for w in sms["warnings"])
    assert sms["price"] is None
    assert "No price of nobody for sms" in sms["price_note"]
    assert "Nobody carries email" in mail["price_note"]


@pytest.mark.parametrize(
    ("channel", "provider", "language", "plain", "price"),
    [
        ("sms", "twilio", "vi", True, 2000), ("sms", "twilio", "vi", False, 6000), ("sms", "twilio", "mtq", True, 2000),
        ("sms", "gateway-json-example", "en", True, 800), ("zns", "zns", "vi", True, 300), ("email", "smtp", "vi", True, 0),
    ],
)  # fmt: skip
def test_a_budget_sets_aside_the_most_a_message_may_cost(channel: str, provider: str, language: str, plain: bool, price: int) -> None:
    ways = Ways(Settings(sms_diacritics=not plain), lambda *_: "")
    assert ways.price(ON)(channel, provider, language) == price
    for row in ROWS:
        if (row["channel"], row["provider"]) == (channel, provider) and not (plain and channel == "sms" and row["language"] == "vi"):
            assert row["price"] <= price


EXAMPLES = Path(__file__).parents[2] / "examples" / "gateways"


@pytest.mark.parametrize(
    ("file", "brand", "accented", "named"),
    [
        ("json-example", "HCC HOABINH", True, False), ("json-example", "TTPVHCC", True, True),
        ("form-example", "HCC HOABINH", False, False), ("form-example", "TTPVHCC", False, True),
    ],
)  # fmt: skip
def test_what_a_described_gateway_may_not_carry_is_remarked_on(file: str, brand: str, accented: bool, named: bool) -> None:
    told = parse((EXAMPLES / f"{file}.toml").read_text("utf-8"), file)
    told = msgspec.structs.replace(told, send=msgspec.structs.replace(told.send, brand=brand, longest_unicode=None))
    made_with = replace(MADE_WITH, gateway=Gateway(told, {}))
    shown = {r["template_version"]: " ".join(r["warnings"]) for r in messages.rows(Texts(wording.office()), made_with, ON)}
    plain, with_diacritics = shown["sms-invitation-a.vi-plain@1"], shown["sms-invitation-a.vi@1"]
    assert ("no field of its description carries {unicode}" in with_diacritics) is accented
    assert "{unicode}" not in plain
    assert (f"the text names HCC HOABINH and gateway-{file} sends as TTPVHCC" in plain) is named
    assert not any(said for version, said in shown.items() if not version.startswith("sms"))


@pytest.mark.parametrize(
    ("longest", "longest_unicode", "marked"), [(612, 268, ""), (100, 268, "vi-plain"), (612, 100, "vi"), (612, 0, "vi")]
)
def test_a_text_longer_than_a_gateway_takes_is_remarked_on(longest: int, longest_unicode: int, marked: str) -> None:
    told = parse((EXAMPLES / "json-example.toml").read_text("utf-8"), "json-example")
    send = msgspec.structs.replace(told.send, longest=longest, longest_unicode=longest_unicode)
    made_with = replace(MADE_WITH, gateway=Gateway(msgspec.structs.replace(told, send=send), {}))
    shown = {r["template_version"]: " ".join(r["warnings"]) for r in messages.rows(Texts(wording.office()), made_with, ON)}
    for language in ("vi", "vi-plain"):
        assert ("letters in" in shown[f"sms-invitation-a.{language}@1"]) is (language == marked)


# --- the command


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A command sets up this process's log; the next test finds it as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(["message", *arguments])
    assert end.value.code == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(["message", *arguments])
    return end.value.code, capsys.readouterr().err


def test_preview_prints_every_channel_and_as_json_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "preview")
    for words in (
        "sms · invitation · wording b · vi-plain",
        "GSM-7, ",
        "1 segment, 2,000 đ (twilio;",
        "zns · reminder",
        "print · invitation",
    ):
        assert words in said
    rows = json.loads(run(capsys, "preview", "--json", "--channel", "sms", "--language", "en"))
    assert {(r["channel"], r["language"], r["segments"]) for r in rows} == {("sms", "en", 1)}
    assert len(rows) == 6
    code, told = refused(capsys, "preview", "--language", "fr")
    assert (code, "There are vi.sms" in told) == (2, True)


@pytest.mark.parametrize(
    ("chosen", "remarks"), [({}, 0), ({"HAILONG_RESERVES": "sms=gateway"}, 18), ({"HAILONG_SMS_PROVIDER": "gateway"}, 18)]
)
def test_preview_remarks_on_the_gateway_whether_it_is_main_or_reserve(
    chosen: dict[str, str], remarks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "json-example.token").write_text("secret")
    (tmp_path / "json-example.receipts").write_text("secret")
    with monkeypatch.context() as environment:
        for name, value in chosen.items():
            environment.setenv(name, value)
        environment.setenv("HAILONG_GATEWAY_SECRETS_DIR", str(tmp_path))
        described = (EXAMPLES / "json-example.toml").read_text("utf-8").replace("longest = 612 ", "longest = 9 ").replace("= 268 ", "= 9 ")
        (tmp_path / "gateway.toml").write_text(described)
        environment.setenv("HAILONG_GATEWAY_FILE", str(tmp_path / "gateway.toml"))
        said = run(capsys, "preview", "--channel", "sms")
        environment.setenv("HAILONG_GATEWAY_FILE", "")
        if chosen:
            code, told = refused(capsys, "preview", "--channel", "sms")
            assert (code != 0, "HAILONG_GATEWAY_FILE names no description of the gateway that carries SMS" in told) == (True, True)
    assert said.count("⚑ gateway-json-example takes 9 letters in") == remarks


def test_preview_remarks_on_a_channel_that_is_not_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert "⚑ zns is not set up, so nobody gets this message. Set HAILONG_ZNS_APP_ID" in run(capsys, "preview", "--channel", "zns")
    assert "not set up" not in run(capsys, "preview", "--channel", "sms")


GUESTS = "0912345678  # the office's own\n\nguest@example.vn\n"


@pytest.mark.parametrize(
    ("channel", "to", "code", "told"),
    [
        ("sms", "0987654321", 1, "Whoever --to names is not in guests.txt"),
        ("email", "other@example.vn", 1, "is not in guests.txt"),
        ("sms", "guest@example.vn", 2, "does not fit the channel sms"),
        ("sms", "somebody", 2, "neither a telephone number nor a mail address"),
        ("fax", "0912345678", 2, "no such channel. There are sms, email, zns, print"),
    ],
)
def test_a_test_goes_to_guests_only(
    channel: str, to: str, code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "guests.txt").write_text(GUESTS)
    end, said = refused(capsys, "test", "--channel", channel, "--to", to, "--guests", str(tmp_path / "guests.txt"))
    assert end == code
    assert told in said
    assert to not in said.replace("sms,", "") or to == "somebody"


def test_a_guest_list_with_a_line_that_is_nobody_is_refused_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text(GUESTS)
    assert reaching.guests(tmp_path / "g.txt") == {"+84912345678", "guest@example.vn"}
    (tmp_path / "g.txt").write_text("# nobody yet\nwhoever\n")
    with pytest.raises(ValueError, match=r"g.txt:2: neither a telephone number nor a mail address"):
        reaching.guests(tmp_path / "g.txt")


@pytest.mark.parametrize("channel", ["sms", "email", "zns", "print"])
def test_a_test_message_is_marked_where_it_is_read_and_still_fits(channel: Any) -> None:
    made = message.composed(Texts(messages.marked(wording.office())), MADE_WITH, channel, "invitation", "vi", "+84912345678", ON)
    assert "TEST HCC HOABINH" in made.text
    assert made.html is None or "TEST HCC HOABINH" in made.html
    assert (made.template is not None) == (channel == "zns")
    if made.template is not None:
        assert made.template.data["brand"] == "TEST HCC HOABINH"
    assert made.token in made.text
    assert made.callback_url is None


# --- the page


def site(rows: list[dict[str, Any]]) -> Starlette:
    """The page without its gate, which ``tests/dashboard`` holds."""
    folder = Path(dashboard_app.__file__).parent
    words = texts(folder / "texts")
    pages = Pages([folder / "templates"], [folder / "static" / "officers.css"], words, {lang: str(t["site"]) for lang, t in words.items()})

    def respond(request: Request, template: str, **context: Any) -> Response:
        return pages.respond(template, pages.language(request), who=None, csrf="", **context)

    return assemble([Route("/messages", page.page(lambda: rows, respond, pages.turned))], pages, policy=Policy(styles=pages.style_source))


def get(app: Starlette, address: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.get(address)

    return asyncio.run(ask())


def test_the_page_shows_languages_beside_each_other() -> None:
    vietnamese, english = get(site(ROWS), "/messages?lang=vi"), get(site(ROWS), "/messages?lang=en")
    assert (vietnamese.status_code, english.status_code) == (200, 200)
    assert vietnamese.text.count('<article class="letter">') == len(ROWS)
    assert vietnamese.text.count('<div class="beside">') == 6 + 4 + 4 + 2
    assert "Tiếng Việt không dấu" in vietnamese.text
    assert "6.000 đ một tin" in vietnamese.text
    assert "1 segment<" in english.text
    assert "26 messages have no approval id" in english.text
    assert "{" not in vietnamese.text.partition("<main")[2]


def test_the_page_says_when_there_is_nothing() -> None:
    assert "No template is in force today" in get(site([]), "/messages?lang=en").text


def test_ways_keep_the_order_of_the_rows() -> None:
    found = page.ways(ROWS)
    assert [w.channel for w in found] == ["sms", "email", "zns", "print"]
    assert found[0].wordings == 2
    assert [len(m.rows) for m in found[0].messages] == [3] * 6
    assert sum(len(m.rows) for w in found for m in w.messages) == len(ROWS)


def test_a_price_nobody_knows_costs_nothing_without_a_budget_and_too_much_with_one() -> None:
    free, bound = (Ways(Settings(daily_budget=budget), lambda *_: "") for budget in (0, 500))
    assert free.price(ON)("sms", "nobody", "vi") == 0
    assert bound.price(ON)("sms", "nobody", "vi") > 500
