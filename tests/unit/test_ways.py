"""When a channel goes over to its reserve."""

from __future__ import annotations

import random

import pytest

from hailong.domain.ways import Switching

RULES = Switching(least=10, refused_share=0.3, slow_share=0.5)


@pytest.mark.parametrize(
    ("taken", "refused", "slow", "ailment"),
    [
        (10, 0, 0, None),
        (0, 9, 0, None),
        (0, 10, 0, "refusals"),
        (7, 3, 0, "refusals"),
        (8, 2, 0, None),
        (5, 0, 5, "slowness"),
        (6, 0, 4, None),
        (0, 5, 5, "refusals"),
        (3, 2, 5, "slowness"),
        (0, 0, 0, None),
    ],
)
def test_what_ails_a_provider(taken: int, refused: int, slow: int, ailment: str | None) -> None:
    assert RULES.ailment(taken, refused, slow) == ailment


def test_more_refusals_never_make_a_provider_look_better() -> None:
    chance = random.Random(4)
    for _ in range(300):
        taken, refused, slow = (chance.randrange(30) for _ in range(3))
        if RULES.ailment(taken, refused, slow) == "refusals":
            assert RULES.ailment(taken, refused + 1, slow) == "refusals"
            assert RULES.ailment(max(0, taken - 1), refused + 1, slow) == "refusals"


def test_nothing_ails_a_provider_that_was_never_asked() -> None:
    assert Switching(least=0).ailment(0, 0, 0) is None
