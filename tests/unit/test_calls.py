"""Calls and paper, without a ledger: when the next try is, what a number shows, how two entries of a slip are compared."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from hailong.domain.calls import AGAIN, CLASS, CLASS_LEFT, DISPOSITIONS, LEFT, Calling, Tally, entry_ref, masked, next_try, shares
from hailong.domain.hours import Hours
from hailong.domain.papers import compared, kind_of
from hailong.domain.rulebook import RulebookError, load
from hailong.domain.units import LOCAL
from hailong.ports import Invalid

NOW = datetime(2026, 3, 12, 10, 0, tzinfo=LOCAL)  # a Thursday
RULES = Calling(tries=3, gap=timedelta(hours=27), hours=Hours(time(8), time(17), frozenset(range(5))))
HEAD = '[[versions]]\nversion = "1"\nvalid_from = 2026-01-01\nsource = "test"\n'


def test_every_disposition_has_a_class() -> None:
    assert set(CLASS) == set(DISPOSITIONS)
    assert set(CLASS_LEFT) == set(LEFT)
    assert not set(DISPOSITIONS) & set(LEFT), "one word in the log is one of the two"


@pytest.mark.parametrize("said", DISPOSITIONS)
def test_only_who_was_not_reached_is_called_again_and_not_for_ever(said: Any) -> None:
    later = NOW + timedelta(hours=2)
    assert (next_try(said, 1, NOW, RULES, later) is not None) == (said in AGAIN)
    assert next_try(said, 3, NOW, RULES, later) is None


def test_the_next_try_falls_on_another_hour_of_an_open_day() -> None:
    assert next_try("busy", 1, NOW, RULES) == datetime(2026, 3, 13, 13, 0, tzinfo=LOCAL)
    assert next_try("no_answer", 1, NOW + timedelta(days=1), RULES) == datetime(2026, 3, 16, 8, 0, tzinfo=LOCAL)


@pytest.mark.parametrize(
    "later", [None, NOW, NOW - timedelta(hours=1), NOW.replace(hour=17), NOW + timedelta(days=3), NOW + timedelta(days=15)]
)
def test_an_agreed_time_must_be_one_at_which_people_are_called(later: datetime | None) -> None:
    with pytest.raises(Invalid, match="later"):
        next_try("callback_later", 1, NOW, RULES, later)


def test_a_masked_number_shows_two_digits_and_an_entry_is_named_by_no_survey() -> None:
    assert masked("+84912345678") == "••• ••• ••78"
    assert "s-1" not in entry_ref("s-1")
    assert entry_ref("s-1") != entry_ref("s-2")


def test_who_left_the_list_by_themselves_is_in_no_rate() -> None:
    told = Tally(10, 2, {"answered": 3, "refused": 1, "answered_elsewhere": 4}, 0)
    assert (told.interviews, told.called) == (3, 4)
    assert told.classes == {"interview": 7, "refusal": 1, "noncontact": 0, "other": 0, "not_eligible": 0}
    assert sum(told.classes.values()) + told.waiting == told.drawn


def test_two_entries_are_compared_answer_by_answer() -> None:
    first, second = {"Q0": 4, "Q1": None, "Q7": ["slow"]}, {"Q0": 4, "Q2": 3, "Q7": ["slow", "trips"]}
    assert compared(first, second, ["Q0", "Q1", "Q2", "Q3", "Q7"]) == (4, 3)
    assert compared(first, first, ["Q0", "Q1", "Q2", "Q3", "Q7"]) == (3, 0)


def test_a_file_is_what_its_first_bytes_say() -> None:
    assert [kind_of(x) for x in (b"\xff\xd8\xffx", b"\x89PNG\r\n\x1a\nx", b"%PDF-1.7", b"<svg onload=x>", b"")] == [
        "image/jpeg", "image/png", "application/pdf", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('opens = "07:00"', "calls.opens"), ('closes = "20:30"', "calls.opens"), ('days = ["sun"]', "calls.days"),
        ("share = 1.1", "calls.share"),
        ("after_days = 30", "calls.after_days"),
        ("tries = 0", "calls.tries"), ("often = 1", "calls.often"),
        ('opens = "12:00"\ncloses = "12:00"', "calls"),
    ],
)  # fmt: skip
def test_rules_of_calls_that_cannot_be_kept_are_refused(said: str, why: str) -> None:
    with pytest.raises(RulebookError, match=why):
        load(f"{HEAD}[versions.calls]\n{said}\n", "rules.toml")


def test_without_a_word_about_calls_they_lie_inside_the_hours_of_messages() -> None:
    (rules,) = load(f'{HEAD}[versions.hours]\nopens = "09:00"\ncloses = "12:00"\ndays = ["mon", "sat"]\n', "rules.toml").versions
    assert (rules.call_hours.opens, rules.call_hours.closes, rules.call_hours.days) == (time(9), time(12), frozenset({0}))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("part", [0.01, 0.125, 0.5, 0.99])
def test_quiet_units_are_called_first_within_what_is_called_anyway(share: float, part: float) -> None:
    found = shares(share, part)
    assert share <= found["quiet"] <= 1
    assert share / 2 - 1e-12 <= found["other"] <= share
    assert part * found["quiet"] + (1 - part) * found["other"] == pytest.approx(share)


@pytest.mark.parametrize(("share", "part"), [(0.1, 0.0), (0.1, 1.0), (0.0, 0.2), (1.0, 0.2)])
def test_without_strata_one_share_holds_for_all(share: float, part: float) -> None:
    assert set(shares(share, part).values()) == {share}
