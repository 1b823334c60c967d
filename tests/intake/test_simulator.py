"""The year of Lạc Sơn: what is public is exact, the rest comes from the seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from hailong.domain.dossier import ZONE, parse_item
from hailong.events import DossierClosed
from producers.registry import read_units
from producers.simulator import ANSWERS, ENDED, FALLS, FALLS_TO, NOTE, OPEN, QUARTER, RECEIVED, Plan, PlannedDossier, units, year
from tests.intake.room import KEYED, ROOT

START = date(2025, 1, 6)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return year(7, START)


def ended(plan: Plan, first: int, end: int) -> list[PlannedDossier]:
    """Dossiers that end on days ``first`` ≤ d < ``end`` of the plan."""
    return [d for d in plan.endings() if d.ended_at and first <= (d.ended_at.date() - START).days < end]


def test_every_quarter_has_the_published_figures_and_the_note_says_what_does_not_add_up(plan: Plan) -> None:
    for quarter in range(4):
        first, last = (START + timedelta(days=QUARTER * n) for n in (quarter, quarter + 1))
        assert plan.received(first, last) == RECEIVED
        assert len(ended(plan, QUARTER * quarter, QUARTER * (quarter + 1))) == ENDED
    assert ENDED + OPEN - RECEIVED == 11
    assert "3,914, 11 more" in NOTE
    assert "1,245 stay open" in NOTE
    assert RECEIVED - ENDED == 1_245
    assert 10_500 < len(plan.endings()) < 10_800


def test_the_same_seed_gives_the_same_year_and_another_one_does_not(plan: Plan) -> None:
    assert year(7, START) == plan
    assert year(8, START).dossiers[:50] != plan.dossiers[:50]


def test_a_shorter_time_is_the_beginning_of_the_year(plan: Plan) -> None:
    short = year(7, START, 40)
    assert len(short.dossiers) == plan.received(START, START + timedelta(days=40))
    assert short.endings() == ended(plan, 0, 40)
    assert [replace(d, ended_at=None, item=None, answer=None) for d in short.dossiers] == [
        replace(d, ended_at=None, item=None, answer=None) for d in plan.dossiers[: len(short.dossiers)]
    ]


def test_every_ending_is_taken_by_the_intake_as_it_is(plan: Plan) -> None:
    seen = set()
    for planned in plan.endings():
        assert planned.item is not None
        assert planned.ended_at is not None
        parsed = parse_item(planned.item, "demo", planned.ended_at, KEYED, "hoa-binh")
        fact = parsed.act.fact
        assert isinstance(fact, DossierClosed)
        assert (parsed.notes, fact.receiving_unit, fact.ended_on) == ((), planned.unit, planned.ended_at.date())
        assert (parsed.act.contact.phone is None) == (planned.person.phone is None)
        seen.add(fact.dossier_ref)
    assert len(seen) == len(plan.endings())


def test_desks_work_on_weekdays_in_office_hours(plan: Plan) -> None:
    for dossier in plan.dossiers:
        assert dossier.received_at.weekday() < 5
        assert dossier.received_at.hour in range(7, 17)
        if dossier.ended_at:
            assert dossier.ended_at.weekday() < 5
            assert dossier.received_at < dossier.ended_at
            assert dossier.ended_at.hour in range(7, 18)


def test_units_are_the_communes_under_the_district_desk(plan: Plan) -> None:
    communes = [u.code for u in units() if u.level == "commune"]
    assert (len(communes), {u.parent for u in units() if u.level == "commune"}) == (24, {"lac-son"})
    assert {d.unit for d in plan.dossiers} == set(communes)


def test_the_lists_of_units_that_ship_are_those_of_the_simulator() -> None:
    rows = read_units(ROOT / "examples" / "units" / "lac-son.csv")
    assert [(r.code, r.name, r.level, r.parent) for r in rows] == [(u.code, u.name, u.level, u.parent) for u in units()]
    assert len(read_units(ROOT / "examples" / "permits" / "units.csv")) == 9


def test_one_commune_falls_in_the_fourth_month_and_the_others_stay_good(plan: Plan) -> None:
    assert plan.falls_on == date(2025, 4, 6)
    mean: dict[tuple[str, bool], float] = {}
    for unit in {d.unit for d in plan.dossiers}:
        for after in (False, True):
            chances = [
                d.satisfaction for d in plan.endings() if d.unit == unit and d.ended_at and (d.ended_at.date() >= plan.falls_on) == after
            ]
            mean[unit, after] = sum(chances) / len(chances)
    assert abs(mean.pop((FALLS, True)) - FALLS_TO) < 0.03
    assert min(mean.values()) > 0.89


def test_a_quarter_answers_and_reasons_belong_to_low_scores(plan: Plan) -> None:
    answers = [d.answer for d in plan.endings() if d.answer]
    assert abs(len(answers) / len(plan.endings()) - ANSWERS) < 0.02
    assert all(bool(a.reasons) == (a.score <= 3) for a in answers)
    assert {r for a in answers for r in a.reasons} == {"slow", "trips", "papers", "attitude", "charges", "website", "other"}
    delays = sorted(a.delay for a in answers)
    assert timedelta(hours=2) < delays[len(delays) // 2] < timedelta(hours=4)
    assert timedelta(days=2) < delays[len(delays) * 9 // 10] < timedelta(days=4)
    assert {a.submits for a in answers} == {1, 2}
    assert any(a.changed_to for a in answers)


def test_people_are_invented_and_some_share_a_number(plan: Plan) -> None:
    people = {d.person.id: d.person for d in plan.endings()}
    assert abs(sum(d.person.phone is not None for d in plan.endings()) / len(plan.endings()) - 0.93) < 0.02
    assert all(p.email is None or p.email.endswith(".example") for p in people.values())
    numbers = Counter("".join(c for c in p.phone if c.isdigit())[-5:] for p in people.values() if p.phone)
    assert any(n > 1 for n in numbers.values())
    shared = {n for n, count in numbers.items() if count > 1}
    homes = {
        n: {p.household for p in people.values() if p.phone and "".join(c for c in p.phone if c.isdigit()).endswith(n)}
        for n in list(shared)[:50]
    }
    assert all(len(households) == 1 for households in homes.values())


def test_nothing_ends_after_the_simulated_time() -> None:
    plan = year(3, START, 10)
    last = datetime(2025, 1, 16, tzinfo=ZONE)
    assert all(d.received_at < last and (d.ended_at is None or d.ended_at < last) for d in plan.dossiers)
    assert all((d.item is None) == (d.ended_at is None) for d in plan.dossiers)
