"""What an officer writes for citizens: masked, short, of a day that was, and the same when it is prepared again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.masking import LIMIT
from hailong.domain.measures import FIELDS, OLDEST, prepared
from hailong.ports import Invalid

TODAY = date(2026, 3, 12)
TEXTS = {"said_vi": "Chờ lâu ở quầy", "did_vi": "Thêm một quầy buổi sáng"}


def wrong(texts: dict[str, str], day: str = "2026-03-12") -> tuple[str, str | None]:
    with pytest.raises(Invalid) as refused:
        prepared("X1", day, texts, TODAY)
    return refused.value.reason, refused.value.field


def test_what_finds_a_person_is_masked_and_counted() -> None:
    texts = TEXTS | {"did_vi": "Gọi chị Lan, 0912 345 678 hoặc 0987 654 321", "said_en": "Write to lan@xa1.example", "did_en": "Done"}
    ready = prepared("X1", "2026-03-01", texts, TODAY)
    assert ready.measure.did["vi"] == "Gọi chị [tên], [số điện thoại] hoặc [số điện thoại]"
    assert ready.measure.said["en"] == "Write to [thư điện tử]"
    assert (ready.found, ready.measure.day) == ({"name": 1, "phone": 2, "email": 1}, date(2026, 3, 1))


def test_english_may_be_left_out_but_not_half_of_it() -> None:
    assert prepared("X1", "2026-03-12", TEXTS | {"said_en": "  "}, TODAY).measure.said == {"vi": "Chờ lâu ở quầy", "en": ""}
    assert wrong(TEXTS | {"said_en": "Long waits"}) == ("half", "did_en")
    assert wrong(TEXTS | {"did_en": "Another desk"}) == ("half", "said_en")


@pytest.mark.parametrize("field", ["said_vi", "did_vi"])
def test_vietnamese_is_always_there_and_nothing_is_too_long(field: str) -> None:
    assert wrong(TEXTS | {field: " \n "}) == ("missing", field)
    assert wrong(TEXTS | {field: "a" * (LIMIT + 1)}) == ("too_long", field)
    assert prepared("X1", "2026-03-12", TEXTS | {field: "a" * LIMIT}, TODAY)


@pytest.mark.parametrize(
    ("day", "reason"),
    [("", "not_a_day"), ("12/3/2026", "not_a_day"), ("2026-02-30", "not_a_day"), ("2026-03-13", "future"), ("0202-03-12", "long_ago"),
     ((TODAY - OLDEST - timedelta(days=1)).isoformat(), "long_ago")],
)  # fmt: skip
def test_a_day_that_cannot_be_is_named(day: str, reason: str) -> None:
    assert wrong(TEXTS, day) == (reason, "day")


@given(st.fixed_dictionaries({field: st.text(max_size=60) for field in FIELDS}))
def test_preparing_again_changes_nothing(texts: dict[str, str]) -> None:
    try:
        once = prepared("X1", "2026-03-12", texts, TODAY).measure
    except Invalid:
        return
    again = prepared("X1", "2026-03-12", {f"{p}_{lang}": getattr(once, p)[lang] for p in ("said", "did") for lang in ("vi", "en")}, TODAY)
    assert (again.measure, again.found) == (once, {})
