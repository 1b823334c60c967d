"""Answers made from a seed, detectors held against them by the command line: one seed here, twenty in `hailong prove numbers`."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench.rivals import RIVALS
from hailong.domain.cusum import PUBLISHED, known
from ops.alerting import province as made
from ops.alerting.evaluating import Trial, invented, judge, match
from ops.alerting.files import Answer, Stretch, answers_of, truth_of
from ops.alerting.goals import Line
from ops.alerting.measures import Yardstick
from ops.alerting.province import FIELDS, Plan, Province, uniform
from ops.alerting.running import BELOW, OURS, Raise, run, seen_by_unit
from ops.cli.main import build
from ops.local.refusal import Refusal

SEED = 20250701


@pytest.fixture(scope="module")
def answers() -> list[made.Answer]:
    return list(Province(Plan(SEED)).answers())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("province")
    assert hailong("generate", "--seed", str(SEED), "--units", "170", "--years", "2", "--out", str(folder)).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def small() -> Trial:
    return invented(Plan(7, units=40, years=1))


def hailong(*arguments: str) -> Result:
    return CliRunner().invoke(build(["alerts"]), ["alerts", *arguments])


def evaluated(folder: Path, *more: str) -> Result:
    return hailong("evaluate", "--answers", str(folder / "answers.csv"), "--truth", str(folder / "truth.csv"), *more)


# --- the generator -----------------------------------------------------------------------------------------------------------


def test_the_hash() -> None:
    assert uniform(20250701, 1, 0, 0) == pytest.approx(0.601417846020272, abs=1e-15)
    assert uniform(20250701, 12, 5, 256) == pytest.approx(0.097862613585971, abs=1e-15)
    assert uniform(20250701, 10, 169, 729) == pytest.approx(0.980274530771946, abs=1e-15)


def test_the_published_province(answers: list[made.Answer]) -> None:
    failed = [a for a in answers if not a.satisfied]
    assert (len(answers), len(failed), sum(a.day for a in failed)) == (85_464, 8_916, 3_457_293)
    assert [Counter(a.field for a in answers)[f] for f in range(len(FIELDS))] == [25_327, 16_139, 16_991, 8_157, 18_850]
    unit = [a.satisfied for a in answers if a.unit == 30]
    assert (len(unit), unit.count(False)) == (152, 20)


def test_the_published_chart_raises_fifty_one_times(answers: list[made.Answer]) -> None:
    states = [known(0) for _ in range(170)]
    steps = Counter(states[a.unit].observe(a.day, not a.satisfied, 0.90, rule=PUBLISHED) for a in answers)
    assert (steps["raised"], steps["cleared"]) == (51, 16)


def test_classes_and_levels_are_as_published_and_scale() -> None:
    kinds = Counter(u.kind for u in Province(Plan(SEED)).units)
    assert kinds == {"chronic": 25, "grey": 10, "sudden": 10, "recovered": 8, "slow": 12, "faller": 8, "good": 97}
    assert Counter(u.kind for u in Province(Plan(SEED, units=340)).units) == {kind: 2 * n for kind, n in kinds.items()}
    moved = Province(Plan(SEED, target=0.84)).units[0]
    assert moved.level(0) == pytest.approx(Province(Plan(SEED)).units[0].level(0) - 0.06)


def test_truth_covers_every_day_once_and_a_recovery_is_in_it() -> None:
    province = Province(Plan(SEED))
    truth = truth_of(province)
    assert all(s[0].from_day == 0 and s[-1].to_day == 730 for s in truth.values())
    assert all(a.to_day == b.from_day for s in truth.values() for a, b in pairwise(s))
    recovered = next(u for u in province.units if u.kind == "recovered")
    assert [s.level for s in truth[str(recovered.number)]] == [0.92, 0.80, 0.92]


def test_fewer_who_respond_give_fewer_answers() -> None:
    few, many = (sum(1 for _ in Province(Plan(3, units=20, years=1, response=r)).answers()) for r in (0.2, 1.0))
    assert 4 < many / few < 6


# --- the measures ------------------------------------------------------------------------------------------------------------


def measured(raises: list[Raise], truth: dict[str, list[Stretch]], question: Any = "target") -> dict[str, Any]:
    """Of units with one answer on each day."""
    answers = [Answer(day, unit, "civil", False) for unit in truth for day in range(truth[unit][-1].to_day)]
    return Yardstick(answers, truth, 0.90).score(raises, question).as_json()


FALL = {"a": [Stretch(0, 100, 0.92, "x"), Stretch(100, 300, 0.80, "x"), Stretch(300, 365, 0.92, "x")]}


def test_a_true_raise_is_told_by_its_delay_and_its_clear() -> None:
    m = measured([Raise("a", 145, 320)], FALL)
    assert (m["precision"], m["false_alarms"], m["delay_days"], m["delay_answers"], m["clear_days"]) == (1.0, 0.0, 45.0, 46.0, 20.0)
    assert [m["flagged"][d]["all"] for d in ("30", "60", "90")] == [0.0, 1.0, 1.0]
    assert m["coverage"] == pytest.approx(155 / 200)
    assert m["false_days"] == pytest.approx(20 / 165)
    assert m["toggles"] == pytest.approx(2 * 170)


def test_a_false_raise_is_told_by_unit_and_year() -> None:
    m = measured([Raise("a", 5, 6), Raise("a", 310, None)], FALL)
    assert m["false_alarms"] == pytest.approx(2 * 365 / 165 * 170)
    assert (m["precision"], m["delay_days"], m["flagged_ever"]) == (0.0, None, 0.0)
    assert m["toggles"] == pytest.approx(3 * 170)


def test_an_alert_already_on_when_the_fall_comes_has_no_delay() -> None:
    assert measured([Raise("a", 90, 200)], FALL)["delay_days"] == 0.0


def test_just_below_is_true_but_no_spell_and_a_fall_above_the_target_is_one_of_the_past() -> None:
    grey = {"a": [Stretch(0, 365, 0.89, "grey")]}
    m = measured([Raise("a", 10, None)], grey)
    assert (m["precision"], m["episodes"], m["false_alarms"]) == (1.0, 0, None)
    faller = {"a": [Stretch(0, 100, 0.965, "x"), Stretch(100, 365, 0.905, "x")]}
    assert measured([Raise("a", 120, None)], faller, "past")["delay_days"] == 20.0
    assert measured([Raise("a", 120, None)], faller)["precision"] == 0.0


def test_a_goal_missed_is_told() -> None:
    line = Line("x", 5.0, (0.0, 6.0), (0.0, 4.0))
    assert (line.met, line.stretched) == (True, False)
    assert not Line("x", None, (0.0, 6.0), (0.0, 4.0)).met


# --- detectors over files ----------------------------------------------------------------------------------------------------


def test_ours_is_the_default_and_says_what_it_raised(files: Path) -> None:
    done = evaluated(files, "--out", str(files / "raises.csv"), "--json")
    assert done.exit_code == 0, done.output
    (below,) = json.loads(done.stdout)["detectors"]
    lines = list(csv.DictReader((files / "raises.csv").read_text().splitlines()))
    assert list(lines[0]) == ["detector", "unit", "raised_day", "cleared_day"]
    assert {line["detector"] for line in lines} == {"below"}
    assert (below["detector"], below["raises"]) == ("below", len(lines))
    assert any(line["cleared_day"] == "" for line in lines)
    assert below["false_alarms"] < 12
    assert below["precision"] > 0.7


@pytest.mark.thorough
def test_a_file_says_the_same_as_the_province_it_was_made_from(files: Path, answers: list[made.Answer]) -> None:
    done = evaluated(files, "--detector", "published", "--out", str(files / "published.csv"), "--json")
    (published,) = json.loads(done.stdout)["detectors"]
    assert published["raises"] == 51
    rows = list(csv.reader((files / "answers.csv").read_text().splitlines()))
    assert rows[0] == ["day", "unit", "field", "satisfied"]
    assert len(rows) == len(answers) + 1


def test_every_detector_runs_and_those_matched_ring_as_often_as_ours(small: Trial) -> None:
    ours = judge(BELOW, [small]).score
    for detector in (*OURS, *RIVALS):
        assert judge(detector, [small]).score.unit_days == ours.unit_days
    naive = next(d for d in RIVALS if d.name == "naive-10")
    loud, matched = judge(naive, [small]).score, match(naive, [small], ours.false)
    assert loud.false > 10 * max(ours.false, 1)
    assert abs(matched.score.false - ours.false) <= 3
    assert matched.matched


def test_land_is_not_held_against_a_unit_by_the_field_reference() -> None:
    province = Province(Plan(SEED, units=60, years=1, standard=True))
    answers = list(answers_of(province))
    flat, field = (seen_by_unit(answers, 0.90, reference) for reference in ("flat", "field"))
    land = [i for i, a in enumerate(a for a in answers if a.unit == "0") if a.field == "land"]
    assert flat["0"][land[-1]].reference == pytest.approx(0.10)
    assert field["0"][land[-1]].reference > 0.12
    assert run(BELOW, field, 0.90) != run(BELOW, flat, 0.90)


@pytest.mark.thorough
def test_tables_for_people_name_every_detector(tmp_path: Path) -> None:
    assert hailong("generate", "--seed", "3", "--units", "20", "--years", "1", "--out", str(tmp_path)).exit_code == 0
    done = evaluated(tmp_path, "--detector", "all", "--matched", "--out", str(tmp_path / "raises.csv"))
    assert done.exit_code == 0, done.output
    for name in ("below", "declining", *(d.name for d in RIVALS), *(f"{d.name}-matched" for d in RIVALS)):
        assert f"\n{name} " in done.stdout


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("x,0,land,1", "line 3: day is 'x', not a day"),
        ("5,0,land,2", "line 3: satisfied is '2', not 0 or 1"),
        ("5,0,land", "line 3: 3 cells, there should be 4"),
        ("5,,land,1", "line 3: unit is empty"),
        ("0,0,land,1", "line 3: day 0 comes after day 1"),
        ("5,9,land,1", "line 3: unit 9 does not stand in the truth"),
        ("40,0,land,1", "line 3: day 40 of unit 0 lies outside its truth (days 0 to 9)"),
    ],
)
def test_a_bad_line_is_named_with_its_cause(tmp_path: Path, line: str, cause: str) -> None:
    (tmp_path / "answers.csv").write_text(f"day,unit,field,satisfied\n1,0,land,1\n{line}\n")
    (tmp_path / "truth.csv").write_text("unit,from_day,to_day,level,kind\n0,0,10,0.9,good\n")
    told = evaluated(tmp_path)
    assert isinstance(told.exception, Refusal)
    assert "answers.csv" in str(told.exception)
    assert cause in str(told.exception)
    assert told.exception.exit_code == 2


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("0,12,20,0.9,good", "goes on with day 12 where day 10 was to come"),
        ("1,5,5,0.9,good", "to_day 5 is not after from_day 5"),
        ("1,0,5,1.2,good", "level is '1.2', not a share"),
        ("1,0,5,nan,good", "level is 'nan', not a share"),
    ],
)
def test_a_bad_truth_is_named_with_its_cause(tmp_path: Path, line: str, cause: str) -> None:
    (tmp_path / "answers.csv").write_text("day,unit,field,satisfied\n1,0,land,1\n")
    (tmp_path / "truth.csv").write_text(f"unit,from_day,to_day,level,kind\n0,0,10,0.9,good\n{line}\n")
    told = evaluated(tmp_path)
    assert cause in str(told.exception)


def test_wrong_words_are_named_with_those_there_are(files: Path) -> None:
    assert "below, declining" in str(evaluated(files, "--detector", "guess").exception)
    assert "flat and field" in str(evaluated(files, "--reference", "guess").exception)
    assert "no such file" in str(hailong("evaluate", "--answers", "/nowhere.csv", "--truth", "/nowhere.csv").exception)
