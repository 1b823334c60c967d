"""Coverage of units, and the three figures: from one store, on any map."""

from __future__ import annotations

from datetime import date

import pytest

from dashboard.view import question
from dashboard.voices import PROVINCE, Voice, voices, voices_json
from hailong.domain.scoring import Counts, Figures, Filters, Version
from hailong.domain.shadow import Totals
from hailong.domain.units import Registry, Targets
from hailong.ports import Invalid
from tests.dashboard.room import START, Settled
from tests.unit.test_succession import REAL

DAY = date(2025, 9, 1)
A, B = "hb-da-bac-da-bac", "hb-da-bac-tu-ly"


class Store(Settled):
    """Two communes in June: who answered by themselves is happier than who was called."""

    def version(self) -> Version:
        return {}

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        called = {(A, "2025-06"): Counts((30, 0, 0, 0, 30)), (B, "2025-06"): Counts((2, 0, 0, 0, 3))}
        if filters.mode == "call":
            return Figures(1, {}, START, called)
        own = {
            (A, "2025-06"): Counts((10, 0, 0, 0, 90), ended=1000, asked=800, reached=700),
            (B, "2025-06"): Counts((1, 0, 0, 0, 19), ended=100),
        }
        return Figures(1, {}, START, {key: own[key] + called[key] for key in own})

    def registry(self, version: Version | None = None) -> Registry:
        return REAL

    def targets(self, version: Version | None = None) -> Targets:
        return Targets(0.9)


def heard(totals: dict[tuple[str, str], Totals] | None = None, **asked: str) -> dict[str, Voice]:
    return {v.unit: v for v in voices(Store(), totals or {}, question(asked), {}, DAY)}


def test_the_silent_lean_as_those_who_were_called() -> None:
    a = heard()[A]
    assert a.three is not None
    assert a.three.observed is not None
    assert a.three.sensitivity is not None
    assert a.three.observed.value == pytest.approx(120 / 160)
    assert (a.calls, a.source) == (60, "own")
    assert a.three.sensitivity.value < a.three.observed.value
    assert a.three.worst_case.low == pytest.approx(120 / 1000)
    assert heard()[B].source == "province"


def test_the_portals_totals_tell_what_was_never_heard_of() -> None:
    totals = {(A, "2025-06"): Totals(ended=2000, overdue=100), (B, "2025-06"): Totals(ended=100), (A, "2025-05"): Totals(ended=9)}
    found = heard(totals, **{"from": "2025-06"})
    a = found[A]
    assert (a.cover.basis, a.cover.ended_known, a.shares.heard and (a.shares.heard.k, a.shares.heard.n)) == ("portal", 2000, (1000, 2000))
    assert a.three is not None
    assert a.three.worst_case.low == pytest.approx(120 / 2000)
    assert a.shadow is not None
    assert a.shadow.low == pytest.approx(0.95)
    assert found[PROVINCE].cover.ended_known == 2100
    assert heard({(A, "2025-06"): Totals(ended=2000)})[PROVINCE].cover.basis == "heard", "totals of one unit are not those of all"


def test_on_todays_map_the_new_unit_has_all_of_it() -> None:
    found = heard({(A, "2025-06"): Totals(ended=2000), (B, "2025-06"): Totals(ended=500)}, view="2025-07-01")
    assert (found["pt-x-da-bac"].cover.heard, found["pt-x-da-bac"].cover.ended_known, found["pt-x-da-bac"].calls) == (1100, 2500, 65)
    assert found[PROVINCE].cover.heard == 1100


@pytest.mark.parametrize("asked", ["field=land", "class=desk", "mode=link", "channel=online", "question=ttp-core:Q1"])
def test_where_coverage_means_nothing_it_is_refused(asked: str) -> None:
    name, value = asked.split("=")
    with pytest.raises(Invalid) as fault:
        voices(Store(), {}, question({name: value}), {}, DAY)
    assert fault.value.field == name


def test_the_document_has_every_number() -> None:
    (first, *_) = voices_json([v for v in heard().values() if v.unit == A])
    assert first["cover"]["asked"] == 800
    assert first["basis"] == "heard"
    assert first["three"]["worst_case"]["low"] == pytest.approx(0.12)
