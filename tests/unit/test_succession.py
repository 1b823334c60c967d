"""Maps of days: who carries on whom, with the real province, and that no map loses or makes an answer."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.domain.succession import Part, Succession, divided
from hailong.domain.units import Registry
from hailong.events import Predecessor, SuccessionKind, UnitChanged
from producers.registry import read_units

MERGER = date(2025, 7, 1)
PROVINCE = Path(__file__).parents[2] / "examples" / "units" / "hoa-binh.csv"


def _registry() -> Registry:
    rows = (msgspec.structs.asdict(r) for r in read_units(PROVINCE))
    return Registry(UnitChanged(event_id=str(n), registry_id="r", seq=n, **row) for n, row in enumerate(rows))


REAL = _registry()
MAPS = Succession(REAL)


def row(
    code: str, first: date, last: date | None = None, before: list[Predecessor] | None = None, parent: str | None = None
) -> UnitChanged:
    return UnitChanged(
        event_id="e", registry_id="r", code=code, name=code, level="commune", parent=parent,
        valid_from=first, valid_to=last, seq=1, predecessors=before or [],
    )  # fmt: skip


def test_the_real_province() -> None:
    before, after = MERGER - timedelta(days=1), MERGER
    communes = [c for c in REAL.codes() if (u := REAL.on(c, before)) and u.level == "commune"]
    now = [c for c in REAL.codes() if (u := REAL.on(c, after)) and u.level == "commune"]
    assert (len(communes), len(now)) == (151, 46)
    landed = Counter(part for code in communes for part in MAPS.parts(code, "2025-06", after))
    split = {part.unit for part in landed if part.kept == "split"}
    assert split == {"hb-da-bac-vay-nua", "hb-luong-son-cao-son", "hb-mai-chau-dong-tan"}
    assert {part.unit for part in landed if part.kept is None} == set(now)
    assert sum(landed.values()) == 151


def test_one_name_three_places() -> None:
    assert REAL.named("xã đoàn kết") == ["hb-da-bac-doan-ket", "hb-yen-thuy-doan-ket"]
    assert REAL.named("Thịnh Minh") == []
    assert REAL.named("Mỵ Hòa") == ["hb-kim-boi-mi-hoa"]


def test_a_unit_that_was_split_stands_below_what_its_parts_have_in_common() -> None:
    assert MAPS.chain("hb-da-bac-vay-nua", MERGER) == ("hb-da-bac-vay-nua", "phu-tho")
    assert MAPS.chain("hb-da-bac-vay-nua", MERGER - timedelta(days=1)) == ("hb-da-bac-vay-nua", "hb-da-bac", "hoa-binh")


def test_a_new_unit_seen_from_before() -> None:
    old = MERGER - timedelta(days=1)
    assert MAPS.parts("pt-x-da-bac", "2025-08", old) == (Part("pt-x-da-bac", 1.0, "merged"),)
    assert MAPS.chain("pt-x-da-bac", old) == ("pt-x-da-bac", "hb-da-bac", "hoa-binh")
    # made of parts of two districts
    assert MAPS.chain("pt-p-thong-nhat", old) == ("pt-p-thong-nhat", "hoa-binh")
    assert MAPS.parts("phu-tho", "2025-08", old) == (Part("hoa-binh"),)


def test_a_department_that_nobody_carries_on_stays() -> None:
    assert MAPS.parts("hb-so-yte", "2025-01", MERGER) == (Part("hb-so-yte", 1.0, "ended"),)


def test_as_it_was_and_breaks() -> None:
    assert MAPS.parts("hb-da-bac-tu-ly", "2025-06", date(2025, 6, 1)) == (Part("hb-da-bac-tu-ly"),)
    (one,) = MAPS.breaks("pt-x-da-bac", date(2025, 1, 1), date(2025, 12, 31))
    assert one.on == MERGER
    assert len(one.predecessors) == 4
    assert MAPS.breaks("pt-x-da-bac", MERGER, date(2025, 12, 31)) == ()
    assert MAPS.days() == (MERGER,)


def test_shares_divide_renaming_goes_both_ways_and_chains_are_followed() -> None:
    d1, d2, d3 = date(2024, 1, 1), date(2025, 1, 1), date(2026, 1, 1)
    rows = [
        row("a", d1, d2),
        row("b", d2, d3, [Predecessor("a", "split", 0.25)]),
        row("c", d2, None, [Predecessor("a", "split", 0.75)]),
        row("d", d3, None, [Predecessor("b", "renamed")]),
    ]
    maps = Succession(Registry(rows))
    assert maps.parts("a", "2024-05", d3) == (Part("c", 0.75), Part("d", 0.25))
    assert maps.parts("d", "2026-02", d2) == (Part("b"),)
    assert maps.parts("d", "2026-02", d1) == (Part("b", 1.0, "merged"),)


def test_the_same_code_under_another_parent_is_the_same_unit() -> None:
    rows = [row("a", date(2024, 1, 1), MERGER, parent="x"), row("a", MERGER, None, parent="y")]
    maps = Succession(Registry(rows))
    assert maps.parts("a", "2024-05", MERGER) == (Part("a"),)
    assert maps.parts("a", "2025-08", date(2024, 6, 1)) == (Part("a"),)


def test_a_circle_of_successions_ends() -> None:
    rows = [
        row("a", date(2020, 1, 1), date(2021, 1, 1)),
        row("b", date(2021, 1, 1), date(2022, 1, 1), [Predecessor("a")]),
        row("a", date(2022, 1, 1), None, [Predecessor("b"), Predecessor("a")]),
    ]
    assert Succession(Registry(rows)).parts("a", "2020-03", date(2023, 1, 1)) == (Part("a"),)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_dividing_loses_nothing(count: int, weights: list[int]) -> None:
    shares = [w / sum(weights) for w in weights]
    parts = divided(count, shares)
    assert sum(parts) == count
    assert all(abs(part - count * share) < 1 for part, share in zip(parts, shares, strict=True))


@st.composite
def histories(draw: st.DrawFn) -> Registry:
    """Units that are merged, split, renamed and given up on some days."""
    days = [date(2020, 1, 1) + timedelta(days=200 * i) for i in range(4)]
    living, rows, n = {f"u{i}": days[0] for i in range(4)}, [], 4
    for day in days[1:]:
        gone = draw(st.lists(st.sampled_from(sorted(living)), unique=True, max_size=3)) if living else []
        heirs = [f"u{n + i}" for i in range(draw(st.integers(0, 2)))]
        n += len(heirs)
        for code in gone:
            rows.append(row(code, living.pop(code), day))
        for i, code in enumerate(heirs):
            share = 1 / len(heirs) if draw(st.booleans()) else None
            kind: SuccessionKind = "split" if len(heirs) > 1 else "merged"
            living[code] = day
            rows.append(row(code, day, None, [Predecessor(p, kind, share if i + 1 else None) for p in gone]))
        rows = [r for i, r in enumerate(rows) if (r.code, r.valid_from) not in {(o.code, o.valid_from) for o in rows[i + 1 :]}]
    for code, first in living.items():
        if not any(r.code == code for r in rows):
            rows.append(row(code, first))
    return Registry(rows)


@settings(max_examples=60, deadline=None)
@given(histories(), st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 20)), st.integers(1, 99)), st.integers(0, 900))
def test_every_map_has_the_same_total(registry: Registry, cells: dict[tuple[int, int], int], after: int) -> None:
    maps, day = Succession(registry), date(2020, 1, 1) + timedelta(days=after)
    total = 0
    for (unit, month), count in cells.items():
        parts = maps.parts(f"u{unit}", f"{2020 + month // 12}-{month % 12 + 1:02d}", day)
        assert sum(p.share for p in parts) == pytest.approx(1)
        total += sum(divided(count, [p.share for p in parts]))
    assert total == sum(cells.values())
