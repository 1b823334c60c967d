"""The checks of ``prove crash`` on answers and doors find each harm in evidence made for it, and nothing in evidence without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hailong.domain.replies import AskBack, Score, parse
from ops.proof.checks import DOORS, answers, by_door, doors
from ops.proof.citizens import Visit
from ops.proof.crash import AMID, START, came_by_all
from ops.proof.evidence import Evidence, LogRecord
from ops.proof.population import Population
from ops.proof.texting import CLEAR, UNCLEAR, said
from ops.proof.walkins import key_of

MET = dict.fromkeys(AMID, 1)


def survey(way: str) -> str:
    return f"survey-by-{way}"


def row(way: str, seq: int, **more: Any) -> dict[str, Any]:
    mode, place = DOORS[way]
    return {"kind": "answer", "revision": 0, "seq": seq, "survey_id": survey(way), "score": 4, "mode": mode, "place": place} | more


def fact(way: str, n: int = 1) -> LogRecord:
    value = {"survey_id": survey(way), "event_id": f"answered-{way}-{n}", "mode": DOORS[way][0]}
    return LogRecord("survey.answered.v1", 0, n, b"", value, ())


def evidence() -> Evidence:
    """At every door one person came, answered 4, was thanked and counted."""
    visits = {way: Visit(way, 4, posted=1, thanked=True, way=way, kept=True) for way in DOORS}
    e = Evidence([], set(), {}, set(), 0, visits, {})
    e.survey_of = {way: survey(way) for way in DOORS}
    e.counted = [row(way, n) for n, way in enumerate(DOORS, 1)]
    e.log = [*(fact(way) for way in DOORS), LogRecord("survey.answered.v1", 0, 9, b"poison", "asked", ())]
    return e


def found(e: Evidence) -> set[str]:
    return {c.id for c in (answers(e), doors(e), came_by_all(e, MET)) if not c.ok}


def test_nothing_is_found_where_every_door_led_to_one_answer() -> None:
    e = evidence()
    assert found(e) == set()
    assert by_door(e) == {way: {"came": 1, "answered": 1, "thanked": 1, "counted": 1} for way in DOORS}


def _lost(e: Evidence, way: str) -> None:
    e.counted = [row(other, n) for n, other in enumerate((w for w in DOORS if w != way), 1)]


def _taken_only(e: Evidence, way: str) -> None:
    """Acknowledged to the gateway or the browser, no thanks read, and lost."""
    _lost(e, way)
    e.visits[way].thanked = False


def _mis_scored(e: Evidence, way: str) -> None:
    next(r for r in e.counted if r["survey_id"] == survey(way))["score"] = 2


def _twice(e: Evidence, way: str) -> None:
    e.counted.append(row(way, len(e.counted) + 1))


def _changed(e: Evidence, way: str) -> None:
    e.counted.append(row(way, len(e.counted) + 1, revision=1, score=2))


def _never_given(e: Evidence, way: str) -> None:
    """Only what was not clear was written, and it was scored."""
    e.visits[way].posted, e.visits[way].thanked, e.visits[way].kept = 0, False, False


def _unknown(e: Evidence, way: str) -> None:
    _lost(e, way)
    del e.survey_of[way]


@pytest.mark.parametrize("way", ["kiosk", "sms"])
@pytest.mark.parametrize("harm", [_lost, _taken_only, _mis_scored, _twice, _changed, _never_given, _unknown])
def test_an_answer_that_is_not_counted_once_as_given_is_found(harm: Callable[[Evidence, str], None], way: str) -> None:
    e = evidence()
    harm(e, way)
    assert "4 answers" in found(e)


@pytest.mark.parametrize(
    ("way", "wrong"),
    [("kiosk", {"place": "away"}), ("kiosk", {"mode": "code", "place": "away"}), ("sms", {"place": "desk"}), ("sms", {"mode": "link"})],
)
def test_an_answer_in_another_mode_or_class_is_found(way: str, wrong: dict[str, str]) -> None:
    e = evidence()
    next(r for r in e.counted if r["survey_id"] == survey(way)).update(wrong)
    assert found(e) == {"4 doors"}


def test_a_message_passed_on_twice_that_became_two_answers_is_found() -> None:
    e = evidence()
    e.log.append(fact("sms", 2))
    assert found(e) == {"4 doors"}
    e.visits["sms"].posted = 2
    assert found(e) == set(), "who wrote twice may have answered twice"


def test_people_turned_away_are_found_but_not_those_whose_dossier_goes_on() -> None:
    e = evidence()
    extra = {f"k{n}": Visit(key_of(f"c{n}"), 4, way="kiosk", given_up=True) for n in range(2)}
    e.visits = {**e.visits, **extra}
    assert found(e) == {"4 doors"}
    e.reopened = {"c0", "c1"}
    assert found(e) == set()


def test_what_those_met_who_were_not_thanked_is_told() -> None:
    e = evidence()
    _lost(e, "link")
    away = Visit("link", 4, posted=2, turned_away=Counter({"ConnectError": 3, "503 ask to an answer": 1}))
    e.visits = {**e.visits, "link": away}
    (told,) = answers(e).examples
    assert "7 of 8" in told, told
    assert "{'ConnectError': 3, '503 ask to an answer': 1}" in told


@pytest.mark.parametrize("way", list(DOORS))
def test_a_door_that_nobody_came_by_is_told(way: str) -> None:
    e = evidence()
    _lost(e, way)
    e.visits = {code: v for code, v in e.visits.items() if code != way}
    e.log = []
    assert found(e) == {"7 every door"}


@pytest.mark.parametrize("door", AMID)
def test_a_run_that_killed_nothing_under_an_answer_is_told(door: str) -> None:
    assert not came_by_all(evidence(), Counter({d: 1 for d in AMID if d != door})).ok


# --- who comes


def test_people_of_every_door_are_among_a_few_hundred_and_each_number_was_drawn_once() -> None:
    made = [p.one("http") for p in [Population(5, START)] for _ in range(600)]
    assert {s.way for s in made} == set(DOORS) - {"sms"}
    assert any(s.person.texts for s in made)
    assert all(not (s.person.texts and (s.person.answers or s.person.stops or s.way != "link")) for s in made)
    devices = [s for s in made if s.way == "kiosk"]
    assert all(("slip_code" in s.item) != ("ticket_no" in s.item) for s in devices)
    drawn = [(s.item["receiving_unit_code"], s.item["ticket_no"]) for s in devices if "ticket_no" in s.item]
    assert 3 < len(drawn) == len(set(drawn)) < len(devices)
    assert all(s.item["finished_at"][:10] == f"{START:%Y-%m-%d}" for s in devices if "ticket_no" in s.item)


def test_what_people_write_is_clear_or_asked_back() -> None:
    for score in range(1, 6):
        for pattern in CLEAR:
            text = said(pattern, Visit("7KQ2HF4M9XYZ", score))
            assert parse(text, ["7KQ2HF4M9XYZ", "B3NNP8RT2WXV"]) == Score(score, "7KQ2HF4M9XYZ"), text
    for pattern in UNCLEAR:
        assert isinstance(parse(said(pattern, Visit("7KQ2HF4M9XYZ", 4)), ["7KQ2HF4M9XYZ"]), AskBack), pattern
