"""What an alert can see: the tables, against the chart itself."""

from __future__ import annotations

from random import Random
from statistics import mean, median

import pytest

from hailong.domain.cusum import odds_ratio, threshold, weight
from hailong.domain.seeing import unseen, years_between_false_alarms


def answers_until_raised(chance: Random, failing: float, target: float, per_year: float) -> int:
    h, s, n = threshold(per_year, 4.0), 0.0, 0
    move = {failed: weight(failed, 1 - target, odds_ratio(target)) for failed in (True, False)}
    while s < h:
        s = max(0.0, s + move[chance.random() < failing])
        n += 1
    return n


@pytest.mark.parametrize(("target", "per_year"), [(0.90, 60), (0.87, 240), (0.84, 1500)])
def test_a_fall_of_ten_points_is_seen_after_as_many_answers_as_told(target: float, per_year: float) -> None:
    chance = Random(5)
    seen = sorted(answers_until_raised(chance, 1.1 - target, target, per_year) for _ in range(1000))
    told = unseen(per_year, target)
    assert told.answers == pytest.approx(median(seen), rel=0.12)
    assert told.answers_most == pytest.approx(seen[800], rel=0.12)
    assert told.months == pytest.approx(12 * told.answers / per_year)


def test_a_unit_on_target_is_raised_as_rarely_as_told() -> None:
    chance = Random(6)
    runs = [answers_until_raised(chance, 0.10, 0.90, 60) / 60 for _ in range(150)]
    assert years_between_false_alarms(60, 0.90) == pytest.approx(mean(runs), rel=0.25)


def test_more_answers_see_sooner_and_what_was_not_simulated_is_told_by_its_neighbour() -> None:
    months = [unseen(n, 0.88).months for n in (15, 40, 100, 300, 1000)]
    assert months == sorted(months, reverse=True)
    assert years_between_false_alarms(3, 0.90) == years_between_false_alarms(15, 0.90)
    assert unseen(240, 0.95).answers == unseen(240, 0.90).answers
    assert 93 > unseen(120, 0.88).answers > 77
    with pytest.raises(ValueError, match="0 answers a year"):
        unseen(0, 0.90)
