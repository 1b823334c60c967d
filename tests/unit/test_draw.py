"""The draw: the same for everybody who computes it, another for every dossier, day and purpose, and fair."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hailong.domain import draw
from hailong.domain.draw import arm, chosen, commitment, number

SEED = bytes(range(32))
DAY = date(2026, 3, 2)
PINNED_NUMBER = 0.47026976972199364
PINNED_COMMITMENT = "971a02b09309089240c3807513305feaa6dc05e41f013a642da726f7ce277c96"
REFS = [f"{i:032x}" for i in range(4000)]

seeds = st.binary(min_size=16, max_size=32)
texts = st.text(max_size=40)


def test_a_number_is_what_the_documented_computation_gives() -> None:
    """Again from the documents alone, as an auditor would."""

    def part(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    message = part(b"hailong.draw.number.1") + part(b"sample") + part(REFS[7].encode())
    digest = hmac.new(SEED, message, hashlib.sha256).digest()
    assert number(SEED, REFS[7], draw.SAMPLE) == (int.from_bytes(digest, "big") >> 203) / 2**53
    committed = part(b"hailong.draw.seed.1") + part(b"2026-03-02") + part(SEED)
    assert commitment(DAY, SEED) == hashlib.sha256(committed).hexdigest()


def test_a_number_never_changes_from_one_release_to_the_next() -> None:
    assert number(SEED, "ref-1", draw.SAMPLE) == PINNED_NUMBER
    assert commitment(DAY, SEED) == PINNED_COMMITMENT


@given(seed=seeds, ref=texts, purpose=texts)
def test_it_is_a_number_from_0_to_below_1_and_the_same_every_time(seed: bytes, ref: str, purpose: str) -> None:
    drawn = number(seed, ref, purpose)
    assert 0 <= drawn < 1
    assert number(seed, ref, purpose) == drawn


@given(seed=seeds, other=seeds, ref=texts, ref_2=texts, purpose=texts, purpose_2=texts)
def test_it_changes_with_seed_dossier_and_purpose(seed: bytes, other: bytes, ref: str, ref_2: str, purpose: str, purpose_2: str) -> None:
    drawn = {(s, r, p): number(s, r, p) for s in (seed, other) for r in (ref, ref_2) for p in (purpose, purpose_2)}
    assert len(set(drawn.values())) == len(drawn)
    assert (commitment(DAY, seed) == commitment(DAY, other)) == (seed == other)


def test_where_a_word_ends_counts() -> None:
    assert number(SEED, "bc", "a") != number(SEED, "c", "ab")


def test_a_commitment_is_of_its_day() -> None:
    assert commitment(DAY, SEED) != commitment(date(2026, 3, 3), SEED)


@pytest.mark.parametrize("purpose", [draw.SAMPLE, draw.MOMENT, draw.REST, draw.REMINDER, draw.of_arm("link")])
def test_numbers_lie_evenly(purpose: str) -> None:
    """4,000 dossiers over 20 equal parts; chi-square with 19 degrees of freedom stays below its 99.99% point."""
    cells = Counter(int(number(SEED, ref, purpose) * 20) for ref in REFS)
    assert sum((cells[i] - 200) ** 2 / 200 for i in range(20)) < 50.8


def test_the_numbers_of_two_purposes_have_nothing_to_do_with_each_other() -> None:
    pairs = Counter((int(number(SEED, r, draw.SAMPLE) * 4), int(number(SEED, r, draw.MOMENT) * 4)) for r in REFS)
    assert sum((pairs[i, j] - 250) ** 2 / 250 for i in range(4) for j in range(4)) < 44.3  # 15 degrees, 99.99%


def test_arms_come_in_their_shares() -> None:
    found = Counter(arm(SEED, ref, "link", {"link": 0.8, "link_free": 0.2}) for ref in REFS)
    assert abs(found["link_free"] - 800) < 4 * 25.3  # four standard errors


shares = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1), min_size=1, max_size=6).filter(lambda s: sum(s.values()) > 1e-6)


@given(drawn=st.floats(0, 1, exclude_max=True), of=shares)
@example(drawn=0.5, of={"a": 0.6224560912938527, "b": 0.25, "c": 0.6224560912938527, "d": 0.25})  # sums differ by order
def test_an_arm_is_one_that_has_a_share_however_the_arms_are_ordered(drawn: float, of: dict[str, float]) -> None:
    found = chosen(drawn, of)
    assert of[found] > 0
    assert chosen(drawn, dict(reversed(of.items()))) == found


@pytest.mark.parametrize("of", [{}, {"a": 0.0}])
def test_an_experiment_without_shares_is_refused(of: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share above 0"):
        chosen(0.5, of)
