"""The draw made again: what a decider wrote follows from it; whatever is changed afterwards is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain import draw as lots
from hailong.domain.asking import REASONS, Asked, Known, NotAsked, Rested, arms, decide, turns
from hailong.domain.draw_published import PUBLIC_REASONS, SMALL, Line, committed_at, line_id, listed, public_reason, revealed_at
from hailong.domain.hours import midnight
from hailong.domain.redraw import FAULTS, Commitment, Redraw, SeedRecords, Told, bounds
from hailong.domain.rulebook import RulebookError, Rules
from hailong.events import DossierClosed, SurveyDecided
from tests.contract.build import closed

DAY = date(2026, 3, 2)
RULES = Rules(
    version="2026-1",
    digest="d" * 64,
    share=0.5,
    small_unit_endings=5,
    experiments={"wording": {"a": 0.5, "b": 0.5}},
    procedures=frozenset({"2.000488"}),
)
KNOWN = Known(reach=("sms",), unit_endings=10)


def seed(day: date) -> bytes:
    return hashlib.sha256(day.isoformat().encode()).digest()


def numbers(fact: DossierClosed) -> Callable[[str], float]:
    return lambda purpose: lots.number(seed(fact.heard_on), fact.dossier_ref, purpose)


EARLY = {"received_on": date(2026, 1, 5)}


def told(ref: str, known: Known = KNOWN, on: date = DAY, rules: Rules = RULES, **changes: Any) -> Told:
    """As decide writes it."""
    fact = closed(ref, **changes)
    verdict = decide(fact, known, midnight(on) + timedelta(hours=15), rules, numbers(fact))
    asked = isinstance(verdict, Asked)
    said = SurveyDecided(
        event_id=f"decided:{fact.event_id}", registry_id="test", dossier_ref=ref, asked=asked,
        reason=verdict.reason if isinstance(verdict, NotAsked) else None, rules_version=rules.version,
        draw=numbers(fact)(lots.SAMPLE), decided_on=on, inputs=known.inputs() | {"rules_digest": rules.digest[:16]}, seed_day=fact.heard_on,
        arms=arms(rules, numbers(fact)) if asked else {},
    )  # fmt: skip
    return Told(said, fact)


def made(*days: list[Told], rules: Callable[[date], Rules] = lambda _: RULES, endings: tuple[int, int] = (8, 12)) -> Redraw:
    redraw = Redraw(rules, {DAY: seed(DAY), DAY - timedelta(days=1): seed(DAY - timedelta(days=1))}, lambda unit, day: endings)
    for some in days:
        redraw.day(some)
    return redraw


def changed(one: Told, **changes: Any) -> Told:
    return replace(one, decided=msgspec.structs.replace(one.decided, **changes))


def found(*some: Told, **how: Any) -> list[tuple[str, str, str]]:
    return [(d.what, d.says, d.follows) for d in made(list(some), **how).differences]


ASKED = next(one for n in range(50) if (one := told(f"d{n}")).decided.asked)
DRAWN_OUT = next(one for n in range(50) if (one := told(f"d{n}")).decided.reason == "sampled_out")


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        (KNOWN, {}),
        (replace(KNOWN, opted_out=True), {}),
        (replace(KNOWN, reach=()), {}),
        (replace(KNOWN, refused=frozenset({"sms"})), {}),
        (replace(KNOWN, minor=True), {}),
        (replace(KNOWN, asked_at=midnight(DAY) - timedelta(days=40)), {}),
        (
            replace(KNOWN, asked_at=midnight(DAY) - timedelta(days=1)),
            {**EARLY, "ended_on": DAY - timedelta(days=20), "heard_on": DAY - timedelta(days=1)},
        ),
        (KNOWN, {"procedure_code_national": "2.000488"}),
        (KNOWN, {**EARLY, "ended_on": DAY - timedelta(days=30)}),
    ],
)
def test_what_was_decided_by_the_rules_follows_again(known: Known, changes: dict[str, Any]) -> None:
    redraw = made([told(f"d{n}", known, **changes) for n in range(40)])
    assert (redraw.differences, redraw.recomputed) == ([], 40)


def test_one_that_was_asked_though_the_draw_fell_on_another_is_named() -> None:
    favoured = changed(DRAWN_OUT, asked=True, reason=None)
    redraw = made([ASKED, favoured])
    assert [(d.dossier_ref, d.what, d.says, d.follows) for d in redraw.differences] == [
        (favoured.decided.dossier_ref, "decision", "asked", "sampled_out")
    ]


@pytest.mark.parametrize(
    ("one", "changes", "what"),
    [
        (ASKED, {"asked": False, "reason": "opted_out"}, "decision"),
        (ASKED, {"asked": False, "reason": "sampled_out"}, "decision"),
        (DRAWN_OUT, {"draw": 0.0}, "draw"),
        (ASKED, {"arms": {"wording": "c"}}, "arms"),
        (ASKED, {"seed_day": DAY - timedelta(days=1)}, "seed_day"),
        (ASKED, {"rules_version": "2026-2"}, "rules_version"),
        (ASKED, {"inputs": {**ASKED.decided.inputs, "rules_digest": "e" * 16}}, "rules_digest"),
        (ASKED, {"inputs": {"reach": ["sms"]}}, "inputs"),
        (ASKED, {"inputs": {**ASKED.decided.inputs, "asked_on": "yesterday"}}, "inputs"),
        (DRAWN_OUT, {"inputs": {**DRAWN_OUT.decided.inputs, "unit_endings": 2}}, "decision"),
        (ASKED, {"asked": False, "reason": "represented"}, "turns"),
        (ASKED, {"weight": 3}, "turns"),
    ],
)
def test_whatever_was_changed_afterwards_is_named(one: Told, changes: dict[str, Any], what: str) -> None:
    assert what in [w for w, _, _ in found(changed(one, **changes))]


def test_a_small_unit_that_was_none_is_named_and_another_count_that_changes_nothing_is_counted() -> None:
    """With fewer than 5 endings everyone is asked: a count of 2 asks those the draw left out."""
    small = next(one for n in range(50) if (one := told(f"d{n}", replace(KNOWN, unit_endings=2))).decided.draw >= 0.5)
    assert small.decided.asked
    assert found(small) == [("unit_endings", "2", "8 to 12")]
    redraw = made([told("d1", replace(KNOWN, unit_endings=7))])
    assert (redraw.differences, dict(redraw.unit_endings)) == ([], {"compared": 1, "outside": 1})


def test_an_ending_the_log_does_not_have_is_named() -> None:
    assert found(replace(ASKED, ending=None)) == [("ending", ASKED.decided.event_id.removeprefix("decided:"), "no such ending in the log")]


def test_a_dossier_that_goes_on_needs_its_reopening() -> None:
    said = msgspec.structs.replace(ASKED.decided, asked=False, reason="reopened", seed_day=None, draw=0.0, inputs={}, arms={})
    assert found(Told(said, None, reopening=True)) == []
    assert [what for what, _, _ in found(Told(said, None))] == ["ending"]


def test_without_rules_in_force_nothing_follows() -> None:
    def none(day: date) -> Rules:
        raise RulebookError("rules.toml: no rules")

    assert found(ASKED, rules=none) == [("rules_version", "2026-1", "no rules were in force")]


def test_decisions_whose_seed_may_not_be_used_are_counted_not_guessed() -> None:
    redraw = made([told("d1", heard_on=DAY + timedelta(days=1))])
    assert (redraw.decisions, redraw.recomputed, redraw.differences, dict(redraw.without_seed)) == (1, 0, [], {DAY + timedelta(days=1): 1})


def test_what_the_log_cannot_confirm_is_counted_by_what_it_decided() -> None:
    some = [told("a", replace(KNOWN, opted_out=True)), told("b", replace(KNOWN, reach=())), told("c", replace(KNOWN, opted_out=True))]
    assert dict(made(some).unconfirmed) == {"opted_out": 2, "reach": 1}


# --- turns


def group(*refs: str, **changes: Any) -> list[Told]:
    """Endings that rested and are decided together: the lowest draw is asked."""
    able = [told(ref, replace(KNOWN, unit_endings=1), **changes) for ref in refs]
    lot = [Rested(o.decided.dossier_ref, ("one phone",), numbers(o.ending)(lots.REST)) for o in able if o.ending is not None]
    (turn,) = turns(lot)
    given = {turn.asked: {"weight": turn.weight}} | {ref: {"asked": False, "reason": "represented", "arms": {}} for ref in turn.represented}
    return [changed(o, **given[o.decided.dossier_ref]) for o in able]


def test_one_of_several_that_rested_is_asked_and_stands_for_them() -> None:
    redraw = made([*group("a", "b", "c"), *group("d", "e"), told("f", replace(KNOWN, unit_endings=1))], endings=(1, 1))
    assert redraw.differences == []
    assert redraw.unconfirmed["together"] == 5


def test_a_turn_that_was_given_to_another_is_named() -> None:
    honest = group("a", "b")
    (asked,) = [o for o in honest if o.decided.asked]
    (other,) = [o for o in honest if not o.decided.asked]
    swapped = [
        changed(asked, asked=False, reason="represented", weight=1, arms={}),
        changed(other, asked=True, reason=None, weight=2, arms=arms(RULES, numbers(other.ending or closed("x")))),
    ]
    assert [what for what, _, _ in found(*swapped, endings=(1, 1))] == ["turns", "turns"]


@given(sizes=st.lists(st.integers(2, 4), min_size=1, max_size=6), salt=st.integers(0, 10**6))
def test_honest_turns_are_never_named(sizes: list[int], salt: int) -> None:
    some = [o for g, size in enumerate(sizes) for o in group(*(f"{salt}-{g}-{n}" for n in range(size)))]
    assert made(some, endings=(1, 1)).differences == []


# --- seeds

MOMENT = datetime(2026, 3, 1, 5, tzinfo=UTC)
SAID = Commitment(lots.commitment(DAY, seed(DAY)), MOMENT, committed_at(DAY))
OTHER = replace(SAID, commitment="0" * 64)


@pytest.mark.parametrize(
    ("records", "over", "state"),
    [
        (SeedRecords(DAY, (SAID,), (seed(DAY).hex(),), MOMENT + timedelta(seconds=1)), True, "confirmed"),
        (SeedRecords(DAY, (SAID, SAID), (seed(DAY).hex(), seed(DAY).hex())), True, "confirmed"),
        (SeedRecords(DAY, (SAID,), ()), False, "pending"),
        (SeedRecords(DAY, (SAID,), ()), True, "not_revealed"),
        (SeedRecords(DAY, (), (seed(DAY).hex(),)), True, "never_committed"),
        (SeedRecords(DAY, (SAID, OTHER), (seed(DAY).hex(),)), True, "several_commitments"),
        (SeedRecords(DAY, (SAID,), ("00" * 32,)), True, "does_not_fit"),
        (SeedRecords(DAY, (SAID,), (seed(DAY).hex(), "00" * 32)), True, "does_not_fit"),
        (SeedRecords(DAY, (SAID,), ("no hex",)), True, "does_not_fit"),
        (SeedRecords(DAY, (SAID,), (seed(DAY).hex(),), MOMENT - timedelta(seconds=1)), True, "committed_too_late"),
    ],
)
def test_a_seed_may_be_used_when_it_was_committed_to_before(records: SeedRecords, over: bool, state: str) -> None:
    assert records.state(over) == state


def test_every_fault_of_a_seed_has_its_sentence_and_a_late_one_is_known() -> None:
    assert set(FAULTS) == {"never_committed", "several_commitments", "not_revealed", "does_not_fit", "committed_too_late"}
    assert not SeedRecords(DAY, (SAID,), ()).late
    assert SeedRecords(DAY, (replace(SAID, at=midnight(DAY)),), ()).late
    assert (committed_at(DAY).isoformat(), revealed_at(DAY).isoformat()) == ("2026-03-01T12:00:00+07:00", "2026-03-03T00:05:00+07:00")


def test_the_endings_of_a_unit_lie_between_those_heard_of_before_the_day_and_by_its_end() -> None:
    before, long_ago = DAY - timedelta(days=1), DAY - timedelta(days=91)
    counted = bounds([("A", before, before, 3), ("A", DAY, DAY, 2), ("A", long_ago, before, 9), ("B", DAY, DAY + timedelta(days=1), 4)], 90)
    assert (counted("A", DAY), counted("B", DAY), counted("C", DAY)) == ((3, 5), (0, 0), (0, 0))


# --- the public list


def test_every_reason_has_a_class_and_what_is_private_has_the_same() -> None:
    assert {public_reason(False, reason) for reason in REASONS} | {public_reason(True, None)} == set(PUBLIC_REASONS)
    private = {"minor", "sensitive_procedure", "no_contact", "no_channel", "opted_out"}
    assert {public_reason(False, reason) for reason in private} == {"personal"}
    with pytest.raises(ValueError, match="no class"):
        public_reason(False, "something new")


def test_a_line_tells_its_dossier_to_nobody_but_who_has_the_opening() -> None:
    assert (
        line_id(b"o" * 16, "d1")
        == hashlib.sha256(b"\0\0\0\x13hailong.draw.line.1" + b"\0\0\0\x10" + b"o" * 16 + b"\0\0\0\x02d1").hexdigest()[:32]
    )
    assert len({line_id(opening, ref) for opening in (b"o" * 16, b"p" * 16) for ref in ("d1", "d2")}) == 4


def test_units_with_few_lines_are_not_named_and_the_order_tells_nothing() -> None:
    many = [Line(f"{n:02}", "A", True, "asked", 1, DAY) for n in range(SMALL)]
    few = [Line(f"x{n:02}", "B", False, "personal", 1, DAY) for n in range(SMALL - 1)]
    lines = listed([*few, *reversed(many)])
    assert [line.id for line in lines] == sorted(line.id for line in lines)
    assert {line.unit for line in lines} == {"A", ""}
