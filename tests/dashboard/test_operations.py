"""``/operations``: for operators and administrators; every state, carrier and đồng with its words in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import get_args

import pytest

from dashboard.app import build_dashboard
from dashboard.operations import Carrier, Cost, Looked, Money, State, summed, words
from hailong.domain.access import Role
from hailong.domain.modes import Mode, WhyHeld
from hailong.ports import Retryable
from ops.stuck import states, told
from tests.dashboard.room import START, Browser, Fixed, People, Still

CARRIER = Carrier(
    channel="sms", mode="live", held=None, live_since=START - timedelta(days=3), live_by="minh", main="twilio", reserve="gateway-x",
    now="gateway-x", since=START - timedelta(hours=2), why="by_hand", by="minh", taken=1234, refused=2, slow=1, rate=20.0, turns=7.9,
    cost_today=1_234_000,
)  # fmt: skip
COSTS = [
    Cost(date(2026, 4, 1), "C01", "sms", 2, 3, 2400), Cost(date(2026, 4, 1), "C02", "sms", 1, 1, 800),
    Cost(date(2026, 4, 2), "C01", "email", 5, 0, 0), Cost(date(2026, 4, 2), "C01", "sms", 10, 10, 8000),
]  # fmt: skip


@dataclass
class Running:
    """What the page is shown."""

    looked: Looked = field(default_factory=lambda: Looked(START, [], [CARRIER], Money(1_234_000, 2_000_000), {"C01": "Xã 01"}))
    rows: Sequence[Cost] = tuple(COSTS)
    away: bool = False

    def look(self) -> Looked:
        return self.looked

    def costs(self) -> tuple[str, Sequence[Cost]]:
        if self.away:
            raise Retryable("ClickHouse is away")
        return "2026-04", self.rows


def shown(people: People, running: Running, lang: str = "en", role: Role = "operator") -> str:
    people.add("lan", role)
    answer = people.browser(build_dashboard(Still(), list, Fixed(), people.door, running=running), "lan").get(f"/operations?lang={lang}")
    assert answer.status_code == 200, answer.text
    return answer.text


def main(page: str) -> str:
    return unescape(page.partition("<main")[2])


@pytest.mark.parametrize("role", get_args(Role))
def test_only_operators_and_administrators_see_it_and_the_way_to_it(people: People, role: Role) -> None:
    people.add("lan", role)
    browser = Browser(build_dashboard(Still(), list, Fixed(), people.door, running=Running()))
    assert "/sign-in" in str(browser.get("/operations").url)
    browser.cookies.set("hailong", people.session("lan"), domain="127.0.0.1")
    may = role in ("operator", "administrator")
    assert browser.get("/operations").status_code == (200 if may else 403)
    assert ('href="/operations' in browser.get("/account?lang=en").text) is may


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_every_state_has_its_words_and_one_that_stands_still_its_next_step(people: People, lang: str) -> None:
    with people.ledger.read() as reader:
        found = states(reader, Path("/nonexistent"), START, START)
    assert {state.id for state in found} == set(words()[lang]["states"])
    assert {state.number for state in found if state.id in ("spool", "damaged")} == {None}
    ours = [replace(state, number=1234, stuck=True) for state in found]
    page = main(shown(people, Running(Looked(START, ours, [], Money(0, 0), {})), lang))
    for state in ours:
        assert told(state, lang).said in page
        assert told(state, lang).next in page
    assert page.count("1.234" if lang == "vi" else "1,234") == len(ours)


def test_what_goes_as_usual_keeps_its_next_step_to_itself(people: People) -> None:
    page = main(shown(people, Running(Looked(START, [State("outbox", 5, False), State("spool", None, False)], [], Money(0, 0), {}))))
    assert "Nothing stands still." in page
    assert "not to be seen from this machine" in page
    assert told(State("outbox", 5, False), "en").next not in page


def test_answers_that_wait_on_the_disk_are_counted(people: People, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a.damaged").write_bytes(b"x")
    (tmp_path / "spool" / "b.spool").write_bytes(b"")
    with people.ledger.read() as reader:
        found = {s.id: s for s in states(reader, tmp_path / "spool", START, START)}
    assert (found["spool"].number, found["damaged"].number, found["damaged"].stuck) == (0, 1, True)


def test_a_channel_says_its_mode_its_carrier_and_why(people: People) -> None:
    page = main(shown(people, Running(), "vi"))
    for said in (
        "gửi thật", "mở từ 30/3/2026, bởi minh", "gateway-x", "chính: twilio", "do minh chọn", "1.234 nhận · 2 từ chối · 1 chậm",
        "8.000 đ", "từ 07:00 ngày 2/4/2026",
    ):  # fmt: skip
        assert said in page
    assert ">7<" in page, "turns are whole messages"


@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("lang", ["vi", "en"])
def test_what_is_printed_has_its_mode_too(people: People, lang: str, mode: Mode) -> None:
    slips = replace(CARRIER, channel="print", main="print", now="print", reserve=None, mode=mode, since=None, why=None)
    page = main(shown(people, Running(Looked(START, [], [slips], Money(0, 0), {})), lang))
    said = words()[lang]["channels"]
    assert f"<dt>{said['mode']}</dt><dd>{said['modes'][mode]}" in page


@pytest.mark.parametrize("why", get_args(WhyHeld))
def test_a_channel_that_may_not_send_says_why(people: People, why: WhyHeld) -> None:
    mode: Mode = "carrier" if why == "no_carrier" else "live"
    carrier = replace(CARRIER, held=why, mode=mode, live_since=None, why=None, since=None)
    page = main(shown(people, Running(Looked(START, [], [carrier], Money(0, 0), {})), "vi"))
    said = words()["vi"]
    assert f"⚑ {said['channels']['not_live'] if why == 'not_live' else said['held'][why]}" in page


def test_money_is_summed_by_unit_by_day_and_altogether(people: People) -> None:
    page = main(shown(people, Running()))
    assert "1,234,000 đ taken from today's budget" in page
    assert "of 2,000,000 đ" in page
    assert "11,200 đ" in page
    assert "Xã 01" in page
    assert summed(COSTS, lambda c: (c.unit, c.channel)) == [
        (("C01", "email"), 5, 0, 0), (("C01", "sms"), 12, 13, 10400), (("C02", "sms"), 1, 1, 800),
    ]  # fmt: skip


def test_a_day_has_one_sum_of_each_kind_also_when_messages_failed_for_good(people: People) -> None:
    """9,600 đ taken: ten SMS handed over (two of them failed later, which the ledger's ``cost_today`` leaves out) and two on their way."""
    looked = Looked(START, [], [replace(CARRIER, cost_today=6400)], Money(9600, 0), {})
    page = main(shown(people, Running(looked)))
    assert "9,600 đ taken from today's budget" in page
    assert "8,000 đ of it spent" in page
    assert "<dt>Spent today</dt><dd>8,000 đ</dd>" in page
    assert '<span class="said">Money (đ): </span>8,000</td>' in page
    assert "6,400" not in page


def test_money_spent_is_not_made_up_where_it_cannot_be_read(people: People) -> None:
    page = main(shown(people, Running(away=True)))
    assert "<dt>Spent today</dt><dd>cannot be read now</dd>" in page
    assert "of it spent" not in page
    assert "1,234,000 đ taken" in page


def test_a_part_that_cannot_be_read_does_not_keep_the_others_away(people: People) -> None:
    page = main(shown(people, Running(away=True)))
    assert "cannot be read now: ClickHouse is away" in page
    assert "gateway-x" in page


def test_nothing_yet_is_said_in_sentences(people: People) -> None:
    page = main(shown(people, Running(Looked(START, [], [], Money(0, 0), {}), rows=())))
    assert "No channel is set up yet" in page
    assert "no limit a day" in page
    assert "No message was handed over in this month." in page
