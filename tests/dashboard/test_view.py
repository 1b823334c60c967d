"""Figures seen from both sides of the merger, within filters, and by whom."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from dashboard.scope import Scope
from dashboard.view import NARROW, View, figures_json, question, view
from hailong.domain.scoring import Counts, Figures, Filters, Version
from hailong.domain.telling import Audience
from hailong.domain.units import Registry, Targets
from hailong.ports import Invalid
from tests.dashboard.room import START, Settled
from tests.unit.test_succession import MERGER, REAL

OLD = ("hb-da-bac-da-bac", "hb-da-bac-hien-luong", "hb-da-bac-toan-son", "hb-da-bac-tu-ly", "hb-da-bac-vay-nua")


class Store(Settled):
    """Twenty answers of each old commune of a district in June, eighty of the new one in August."""

    asked: Filters

    def version(self) -> Version:
        return {"survey.counted.v1": {0: 1}}

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        self.asked = filters
        cells = {(code, "2025-06"): Counts((2, 0, 0, 0, 18), ended=100, asked=60, reached=50) for code in OLD}
        return Figures(1, self.version(), START, cells | {("pt-x-da-bac", "2025-08"): Counts((8, 0, 0, 0, 72), ended=400)})

    def registry(self, version: Version | None = None) -> Registry:
        return REAL

    def targets(self, version: Version | None = None) -> Targets:
        return Targets(0.9)


def seen(audience: Audience = "office", scope: Scope | None = None, **asked: str) -> View:
    return view(Store(), question(asked, scope or Scope()), {}, audience, date(2025, 9, 1))


def shown(v: View) -> dict[str, tuple[Any, str | None]]:
    return {row.unit: (row.n, v.kept.get(row.unit)) for row in v.rows if row.n}


def test_from_both_sides_the_total_is_the_same() -> None:
    as_it_was, today, before = seen(), seen(view="2025-07-01"), seen(view="2025-06-30")
    assert as_it_was.total == today.total == before.total
    assert shown(as_it_was) == {**dict.fromkeys(OLD, (20, None)), "pt-x-da-bac": (80, None)}
    assert shown(today) == {"pt-x-da-bac": (160, None), "hb-da-bac-vay-nua": (20, "split")}
    assert shown(before) == {**dict.fromkeys(OLD, (20, None)), "pt-x-da-bac": (80, "merged")}
    assert as_it_was.days == (MERGER,)
    rates = {row.rate for row in today.rows if row.n}
    assert rates == {0.9}, "units that behave alike show no change when they are merged"


def test_a_unit_and_all_below_it_on_either_map() -> None:
    assert set(shown(seen(unit="hb-da-bac", view="2025-06-30"))) == {*OLD, "pt-x-da-bac"}
    assert set(shown(seen(unit="pt-x-da-bac", view="2025-07-01"))) == {"pt-x-da-bac"}
    assert shown(seen(unit="pt-x-da-bac", view="2025-07-01"))["pt-x-da-bac"] == (160, None)


def test_an_officer_of_a_new_commune_sees_what_it_carries_on_and_nothing_of_what_was_divided() -> None:
    mine = seen("units", Scope("pt-x-da-bac"), view="2025-07-01")
    assert set(shown(mine)) == {"pt-x-da-bac"}
    assert set(shown(seen("units", Scope("pt-x-tien-phong"), view="2025-07-01"))) == set()


@pytest.mark.parametrize("name", sorted(NARROW))
def test_who_sees_figures_in_steps_may_not_narrow_them(name: str) -> None:
    wanted = {"field": "land", "channel": "online", "mode": "call", "class": "desk", "question": "ttp-core:Q3", "by": "receiving"}[name]
    with pytest.raises(Invalid) as fault:
        question({name: wanted}, narrow=False)
    assert (fault.value.reason, fault.value.field) == ("not_allowed", name)
    asked = question({name: wanted}).filters
    assert {"class": asked.place, "field": asked.field, "channel": asked.channel, "mode": asked.mode, "question": asked.question,
            "by": asked.by}[name] == wanted  # fmt: skip


def test_the_document_says_what_it_is_of() -> None:
    document = figures_json(seen(view="2025-07-01", field="land"))
    assert (document["filters"]["view"], document["filters"]["field"], document["breaks"]) == ("2025-07-01", "land", ["2025-07-01"])
    assert {row["kept"] for row in document["rows"] if row["unit"] == "hb-da-bac-vay-nua"} == {"split"}
    assert "Wilson" in document["definition"]
