"""Erasing as a role does it: once a day, by one row, whoever looks; keys of past months go when nothing lies under them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from hailong.ports import Erased
from ops.keys import Keys
from sinks.ledger import Vault
from streams.erasing import AT, Eraser
from tests.contract.build import NOON, act, claim, decide, settle
from tests.streams.twins import HandClock, Room, room

DAY = NOON.date()


@dataclass
class Installation:
    """A room whose vault is sealed by keys in files."""

    here: Room
    keys: Keys
    erasers: list[Eraser] = field(default_factory=list)

    def eraser(self, **more: float) -> Eraser:
        return Eraser(self.here.outbox, self.here.clock, lambda: self.here.real, self.keys, part=2, **more)

    def look(self, *erasers: Eraser) -> list[int]:
        async def run() -> list[int]:
            return list(await asyncio.gather(*(e.round() for e in erasers)))

        return asyncio.run(run())

    def night(self, day: date) -> None:
        self.here.clock.at = datetime.combine(day, AT, NOON.tzinfo)
        self.here.real += timedelta(days=1)
        self.keys.make_missing(day)

    def erased(self) -> list[Erased]:
        with self.here.ledger.read() as reader:
            return reader.erasures()

    def due(self) -> list[tuple[str, str]]:
        with self.here.begin() as tx:
            return [tuple(r) for r in tx.conn.exec_driver_sql("SELECT ref, state FROM due WHERE kind = 'erase' ORDER BY ref")]


@pytest.fixture
def made(template: Path, tmp_path: Path) -> Iterator[Installation]:
    keys = Keys(tmp_path / "keys")
    keys.make_missing(DAY)
    with room(template, tmp_path, vault=Vault(keys.month)) as here:
        yield Installation(here, keys)


def test_one_row_a_day_however_much_there_is_and_however_many_look(made: Installation) -> None:
    made.here.take(*(act(f"d{n}", f"+8491200{n:04d}") for n in range(9)))
    refs = [f"d{n}" for n in range(9)]
    decide(made.here.ledger, *refs)
    settle(made.here.ledger, "handed_over", *claim(made.here.ledger))
    one, two = made.eraser(), made.eraser()
    assert made.look(one, two) == [0, 0]
    for n in range(1, 62):
        made.night(DAY + timedelta(days=n))
        for _ in range(3):
            made.look(one, two)
    rows = made.due()
    assert len(rows) == 62
    assert [state for _, state in rows] == ["done"] * 61 + ["waiting"]
    assert [(e.day, e.n) for e in made.erased() if e.what == "contacts"] == [(DAY + timedelta(days=60), 9)]


def test_before_its_hour_nothing_is_asked_of_the_ledger(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    eraser = made.eraser()
    made.look(eraser)
    with monkeypatch.context() as away:
        away.setattr(made.here.ledger, "_engine", None)  # whoever asks it now fails
        made.here.clock.at = datetime.combine(DAY + timedelta(days=1), AT, NOON.tzinfo) - timedelta(seconds=1)
        assert made.look(eraser) == [0]
        made.here.clock.move(seconds=1)
        with pytest.raises(AttributeError):
            made.look(eraser)


def test_a_key_is_discarded_when_its_month_is_over_and_nothing_lies_under_it(made: Installation) -> None:
    made.here.take(act("d1", "+84912000001"))
    eraser = made.eraser()
    made.look(eraser)
    assert made.keys.months()[0] == "2026-03"
    for day in (date(2026, 3, 31), date(2026, 4, 1)):
        made.night(day)
        made.look(eraser)
    assert made.keys.months()[0] == "2026-04"
    assert [(e.day, e.key_month) for e in made.erased() if e.what == "key"] == [(date(2026, 4, 1), "2026-03")]
    with made.here.ledger.read() as reader:
        assert [(e.actor, e.object) for e in reader.audit() if e.act == "key_discarded"] == [("timer", "key:2026-03")]


def test_a_key_with_something_under_it_stays_whatever_its_month(made: Installation) -> None:
    made.here.clock.at = NOON - timedelta(days=50)
    made.here.take(act("d1", "+84912000001"))
    assert asyncio.run(made.eraser()._discard(date(2026, 5, 1))) == 1
    assert made.keys.months() == ["2026-03", "2026-05", "2026-06", "2026-07"]


def test_what_is_still_needed_moves_before_its_key_goes(made: Installation) -> None:
    """An ending nobody has decided about yet, sealed for May, is not lost on the first of June."""
    made.here.take(act("d1", "+84912000001"))
    eraser = made.eraser()
    made.look(eraser)
    made.night(date(2026, 6, 1))
    made.look(eraser)
    assert "2026-05" not in made.keys.months()
    with made.here.begin() as tx:
        assert tx.contact_of("d1").phone == "+84912000001"


def test_a_night_that_was_cut_short_is_taken_up_when_its_lease_is_over(made: Installation) -> None:
    made.here.take(act("d1", "+84912000001"))
    dies, follows = made.eraser(), made.eraser()
    made.look(dies, follows)
    made.night(date(2026, 6, 1))

    class Died(Exception):
        pass

    def stop(month: str) -> bool:
        raise Died

    made.keys.discard = stop  # type: ignore[method-assign]
    with pytest.raises(Died):
        made.look(dies)
    del made.keys.discard
    assert made.look(follows) == [0]
    made.here.real += timedelta(seconds=301)
    made.look(follows)
    assert made.keys.months()[0] == "2026-06"
    assert [e.n for e in made.erased() if e.key_month == "2026-03"] == [1]
    with made.here.ledger.read() as reader:
        assert [e.object for e in reader.audit() if e.act == "key_discarded"].count("key:2026-03") == 1


def test_days_on_which_nobody_looked_are_made_good_at_once(made: Installation) -> None:
    made.look(made.eraser())
    late = Eraser(made.here.outbox, HandClock(NOON + timedelta(days=9)), lambda: made.here.real, made.keys)
    made.look(late)
    assert [state for _, state in made.due()] == ["done", "waiting"]
