"""Numbers of other countries against a day's money, from the price list to the claim, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hailong.domain.units import LOCAL
from hailong.domain.ways import Way
from hailong.ports import Permanent, Receipt
from hailong.settings import Settings
from ops.ways import PRICES, Ways
from sinks.ledger import Ledger
from tests.contract.build import NOON, act, claim, decide, settle, take

Open = Callable[..., Ledger]
SEOUL, HOME, PARIS = "+821012340001", "+84981230002", "+33612345003"
DAY = NOON.date()


def asked(ledger: Ledger, *numbers: str) -> list[str]:
    refs = [f"d{n}" for n in range(len(numbers))]
    take(ledger, *(act(ref, number) for ref, number in zip(refs, numbers, strict=True)))
    return [decide(ledger, ref)[0] for ref in refs]


def spent(ledger: Ledger) -> int:
    with ledger.read() as reader:
        return reader.spent_on(DAY)


def of(folder: Path, abroad: str, budget: int = 0) -> Ways:
    """The price list of the house with other prices abroad."""
    text = PRICES.read_text("utf-8")
    begin = text.index("[tariffs.abroad]")
    (folder / "prices.toml").write_text(text[:begin] + abroad + text[text.index("\n\n", begin) :])
    return Ways(Settings(prices_file=str(folder / "prices.toml"), daily_budget=budget), lambda *_: "ABCDEFGHJKMN")


def opened_with(opened: Open, ways: Ways, budget: int) -> Ledger:
    return opened(zone=LOCAL, ways={"sms": Way("twilio")}, price=ways.price(DAY), daily_budget=budget)


def test_a_number_abroad_takes_its_own_price_from_the_day_s_money(opened: Open, tmp_path: Path) -> None:
    ledger = opened_with(opened, of(tmp_path, '[tariffs.abroad]\n"+82" = 9000\nother = 20000', 12_000), 12_000)
    home, seoul, paris = asked(ledger, HOME, SEOUL, PARIS)
    assert {c.ref for c in claim(ledger)} == {home, seoul}
    assert spent(ledger) == 2000 + 9000
    with ledger.read() as reader:
        assert {s.survey_id: s.reason for s in reader.slots()}[paris] == "over_budget"


def test_where_no_price_abroad_is_stated_the_message_is_refused_and_costs_nothing(opened: Open, tmp_path: Path) -> None:
    ways = of(tmp_path, "", 12_000)
    ledger = opened_with(opened, ways, 12_000)
    asked(ledger, HOME, SEOUL)
    home, seoul = sorted(claim(ledger), key=lambda c: str(c.contact and c.contact.phone), reverse=True)
    assert spent(ledger) == 2000
    assert ways.compose(home).to == HOME
    with pytest.raises(Permanent, match="no_price_abroad"):
        ways.compose(seoul)
    assert ways.compose(replace(seoul, channel="print", provider="print")).to == SEOUL
    settle(ledger, "failed", seoul, reason="no_price_abroad")
    assert spent(ledger) == 2000


def test_what_failed_after_it_was_taken_stays_in_the_sum_of_its_provider_as_in_the_day_s(opened: Open) -> None:
    ledger = opened(zone=LOCAL, ways={"sms": Way("twilio")}, price=lambda *_: 700)
    asked(ledger, HOME, "+84981230004", "+84981230005")
    one, two, three = claim(ledger)
    settle(ledger, "handed_over", one, two)
    settle(ledger, "failed", three, reason="refused")
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", f"SM{one.claim_id}", "failed", "30005"), NOON)
        assert tx.apply_receipts(NOON, 10) == 1
    with ledger.read() as reader:
        assert reader.cost_of("twilio", DAY) == reader.spent_on(DAY) == 1400
