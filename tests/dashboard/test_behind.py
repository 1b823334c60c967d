"""What stands behind the figures: on strata that stand still, and over the merger of the real province."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.behind import Asker, ahead, ahead_json, compared, compared_json, funnel_json, gone, gone_json, spans, why, why_json
from dashboard.scope import Scope
from dashboard.view import question
from hailong.domain.dispositions import Seen
from hailong.domain.path import NoPath, Path
from hailong.domain.scoring import Counts
from hailong.domain.shadow import Totals
from hailong.domain.strata import Cell, last_of, later
from hailong.ports import Invalid
from tests.dashboard.behind_room import AT, Still, said
from tests.unit.test_succession import REAL

TODAY = date(2026, 4, 2)
OFFICE = Asker(TODAY)


def district() -> Still:
    """Two communes of one district that do the same field by field, one of them with far more land; and two nearly silent ones."""
    cells: dict[Cell, Counts] = {}
    for unit, land, civil in (("C01", 80, 20), ("C02", 20, 80), ("C03", 4, 5), ("C04", 3, 0)):
        cells[unit, "2026-03", "land", "counter"] = said(land * 8 // 10, land, 10 * land)
        cells[unit, "2026-03", "civil", "online"] = said(civil * 19 // 20, civil, 10 * civil)
    return Still(cells)


def rows(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["unit"]: row for row in found["rows"]}


def test_units_that_serve_alike_are_alike_at_one_mix() -> None:
    document = compared_json(compared(district().sources, question({}), AT, OFFICE))
    one, other = rows(document)["C01"], rows(document)["C02"]
    assert (one["rate"], other["rate"]) == (0.83, 0.92)
    assert one["comparable"]["standardised"]["value"] == pytest.approx(other["comparable"]["standardised"]["value"])
    assert document["reference_mix"] == pytest.approx({"civil": 105 / 212, "land": 107 / 212})
    assert one["comparable"]["standardised"]["value"] == pytest.approx(0.95 * 105 / 212 + 0.8 * 107 / 212, abs=1e-6)
    assert (one["comparable"]["weighted"]["n_eff"], one["comparable"]["weighted"]["n"]) == (100, 100)


def test_a_unit_under_the_limit_shows_no_estimate_of_its_parent() -> None:
    row = rows(compared_json(compared(district().sources, question({}), AT, OFFICE)))["C03"]
    assert row["suppressed"]
    assert row["comparable"] is None


def test_a_small_unit_leans_on_its_parent_where_that_has_enough() -> None:
    comparable = rows(compared_json(compared(district().sources, question({}), AT, OFFICE)))["C01"]["comparable"]
    assert comparable["shrunken"]["parent"] == "Huyện Một"
    assert 0.83 < comparable["shrunken"]["value"] < 0.84, "what the parent would give with its fields is 0.83 and a little"
    alone = Still({key: counts for key, counts in district().cells.items() if key[0] != "C02"})
    row = rows(compared_json(compared(alone.sources, question({}), AT, OFFICE)))["C01"]
    assert row["comparable"]["shrunken"]["parent"] is None, "a district with one unit is no parent to lean on"


def test_another_question_has_no_strata_and_says_so_by_none() -> None:
    found = compared(district().sources, question({"question": "ttp-core:Q3"}), AT, OFFICE)
    assert set(found.of.values()) == {None}


def test_the_funnel_names_who_lies_outside_and_lists_who_is_surely_below() -> None:
    cells: dict[Cell, Counts] = {(f"C0{i}", "2026-03", "land", "counter"): said(90, 100) for i in (1, 2)}
    cells["C03", "2026-03", "land", "counter"] = said(300, 400)
    document = funnel_json(compared(Still(cells).sources, question({}), AT, OFFICE))
    places = {unit["unit"]: unit for unit in document["units"]}
    assert places["C01"]["place"] == "inside"
    assert [one["unit"] for one in document["below_target"]] == ["C03"]
    assert places["C03"]["limits"]["far_low"] < places["C03"]["limits"]["low"] < 0.9
    assert document["dispersion"]["units"] == 3


counts = st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(0, 200)))
cells_of_real = st.dictionaries(
    st.tuples(
        st.sampled_from(["hb-da-bac-da-bac", "hb-da-bac-tu-ly", "hb-mai-chau-mai-chau", "pt-x-da-bac", "pt-x-mai-chau"]),
        st.sampled_from(["2025-06", "2025-07"]), st.sampled_from(["land", "civil"]), st.sampled_from(["counter", "online"]),
    ),
    counts.map(lambda c: said(*c)), min_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(cells_of_real, st.sampled_from([None, "pt-x-da-bac", "hb-da-bac-da-bac"]))
def test_the_terms_add_up_over_the_merger_for_whatever_was_said(cells: dict[Cell, Counts], unit: str | None) -> None:
    document = why_json(why(Still(cells, REAL).sources, spans("2025-06", "2025-07"), AT, OFFICE, unit=unit))
    terms = document["terms"]
    if terms:
        parts = sum(terms[name] for name in ("service", "mix", "who", "map"))
        assert parts == pytest.approx(terms["difference"], abs=1e-9)
        assert abs(terms["rest"]) < 1e-9
        assert terms["after"] - terms["before"] == pytest.approx(terms["difference"], abs=1e-12)


def test_a_merger_of_units_that_behave_alike_moves_nothing() -> None:
    cells = {
        ("hb-da-bac-da-bac", "2025-06", "land", "counter"): said(40, 50, 100),
        ("hb-da-bac-tu-ly", "2025-06", "land", "counter"): said(80, 100, 200),
        ("pt-x-da-bac", "2025-07", "land", "counter"): said(120, 150, 300),
    }
    for unit in (None, "pt-x-da-bac"):
        document = why_json(why(Still(cells, REAL).sources, spans("2025-06", "2025-07"), AT, OFFICE, unit=unit))
        assert {name: document["terms"][name] for name in ("service", "mix", "who", "map")} == pytest.approx(
            dict.fromkeys(("service", "mix", "who", "map"), 0.0)
        )
    assert document["whole_ground"]
    assert [one["unit"] for one in document["ground"]] == ["hb-da-bac-da-bac", "hb-da-bac-tu-ly"]


def test_what_is_served_worse_is_service_and_who_answers_is_not() -> None:
    before = {("C01", "2026-01", f, "counter"): said(90, 100, 1000) for f in ("land", "civil")}
    worse = {("C01", "2026-02", f, "counter"): said(80, 100, 1000) for f in ("land", "civil")}
    terms = why_json(why(Still({**before, **worse}).sources, spans("2026-01", "2026-02"), AT, OFFICE))["terms"]
    assert (terms["service"], terms["mix"], terms["who"], terms["map"]) == pytest.approx((-0.1, 0, 0, 0))
    assert terms["service_low"] < -0.1 < terms["service_high"]
    first = {("C01", "2026-01", "land", "counter"): said(50, 100, 1000), ("C01", "2026-01", "civil", "counter"): said(100, 100, 1000)}
    other = {("C01", "2026-02", "land", "counter"): said(25, 50, 1000), ("C01", "2026-02", "civil", "counter"): said(150, 150, 1000)}
    terms = why_json(why(Still({**first, **other}).sources, spans("2026-01", "2026-02"), AT, OFFICE))["terms"]
    assert (terms["service"], terms["mix"], terms["who"]) == pytest.approx((0, 0, 0.125))


def test_few_answers_explain_nothing() -> None:
    few = Still({("C01", m, "land", "counter"): said(15, n) for m, n in (("2026-01", 20), ("2026-02", 25))})
    both = spans("2026-01", "2026-02")
    assert why(few.sources, both, AT, OFFICE).moved is not None
    nobody = why_json(why(few.sources, both, AT, OFFICE, unit="C02"))
    assert (nobody["suppressed"], nobody["from"]["n"]) == (True, None)


@pytest.mark.parametrize(("asked", "wrong"), [
    (("2026-13", "2026-02", 1), "from"), (("2026-01", "2026", 1), "to"), (("2026-01", "2026-02", 2), "to"),
    (("2026-01", "2026-02", 0), "months"),
])  # fmt: skip
def test_spans_that_cannot_be_compared_are_refused(asked: tuple[str, str, int], wrong: str) -> None:
    with pytest.raises(Invalid) as fault:
        spans(*asked)
    assert fault.value.field == wrong


def test_spans_of_several_months_end_with_the_months_named() -> None:
    one, other = spans("2025-12", "2026-03", 3)
    assert (one.first, one.last, other.first, other.last) == ("2025-10", "2025-12", "2026-01", "2026-03")
    assert (later("2025-12", 1), later("2026-01", -1), last_of("2026-02")) == ("2026-01", "2025-12", date(2026, 2, 28))


def years(first: str, months: int, rate: float = 0.84) -> Still:
    return Still({("C01", later(first, i), "land", "counter"): said(round(1000 * rate), 1000, 5000) for i in range(months)})


def test_there_is_no_path_before_a_whole_year_of_our_own_is_closed() -> None:
    for first, months in (("2026-02", 23), ("2026-01", 11)):
        found = ahead(years(first, months).sources, AT, Asker(date(2027, 12, 1)))
        assert found.path == NoPath("no_closed_year"), "neither a year that lacks its first month nor one that lacks its last"
    waits = ahead(years("2026-01", 12).sources, AT, Asker(date(2027, 2, 14)))
    assert waits.path == NoPath("no_closed_year"), "December closes on the 15th of February"
    found = ahead(years("2026-01", 12).sources, AT, Asker(date(2027, 2, 15)))
    assert isinstance(found.path, Path)
    assert [(s.year, s.value) for s in found.path.steps] == [(2027, 0.855), (2028, 0.87), (2029, 0.885), (2030, 0.9)]
    assert ahead_json(found)["path"]["steps"][0] == {"year": 2027, "value": 0.855, "in_force": 0.9}


def test_odds_come_after_eight_closed_quarters_with_their_test() -> None:
    seven = ahead_json(ahead(years("2025-01", 21).sources, AT, Asker(date(2027, 6, 1))))
    assert (seven["outlook"]["why"], seven["outlook"]["quarters"], seven["backtest"]) == ("few_quarters", 7, None)
    eight = ahead_json(ahead(years("2025-02", 26).sources, AT, Asker(date(2027, 6, 1))))
    assert (eight["outlook"]["why"], eight["outlook"]["quarters"]) == (None, 8)
    assert 0.01 <= eight["outlook"]["odds"] < 0.3
    assert eight["backtest"]["brier"] < eight["backtest"]["base"]
    assert eight["backtest"]["held"]["rate"] >= 0.7
    assert sum(one["reached"]["n"] for one in eight["backtest"]["bins"]) == eight["backtest"]["forecasts"]


def test_what_others_measured_stands_beside_and_changes_nothing() -> None:
    totals = {
        ("C01", "2026-01"): Totals(120, 100, 5, 2, 3),
        ("D1", "2026-01"): Totals(300, 200, 10, 1, 1),
        ("D2", "2026-01"): Totals(0, 100),
    }
    with_ = Still(years("2025-01", 12).cells, portal=totals)
    document, plain = (ahead_json(ahead(s.sources, AT, OFFICE)) for s in (with_, years("2025-01", 12)))
    assert document["beside"]["shadow"]["dossiers"] == 300, "those of the district hold those of its commune"
    assert document["beside"]["references"][0]["series"] == "sipas-from-2022"
    assert plain["beside"]["shadow"] is None
    assert {k: v for k, v in document.items() if k != "beside"} == {k: v for k, v in plain.items() if k != "beside"}


def test_aapors_rates_of_closed_months_and_who_waits() -> None:
    delivered, finished = Seen("delivered"), Seen("delivered", doing=("finished",))
    seen = {
        delivered: 60,
        finished: 25,
        Seen("delivered", doing=("started",)): 15,
        Seen("unknown"): 3,
        Seen("due"): 2,
        Seen(doing=("started",)): 12,
    }
    still = Still(
        decided={
            ("C01", "2026-01"): {None: 110, "no_contact": 30, "sampled_out": 40, "test": 5, "opted_out": 2},
            ("C01", "2026-03"): {None: 9},
        },
        seen={("C01", "2026-01"): seen, ("C01", "2026-03"): {delivered: 9}},
    )
    document = gone_json(gone(still.sources, question({}), AT, OFFICE))
    assert document["months"] == ["2026-01"], "March is not closed on the 2nd of April"
    assert document["dispositions"] == {
        "I": 25, "P": 15, "R": 2, "O": 0, "NC": 90, "UO": 3, "UH": 0, "not_eligible": 5, "not_selected": 40,
    }  # fmt: skip
    assert (document["open"], document["uninvited"], document["sample"]) == (2 + 5, 12, 135)
    rates = {name: (one["k"], one["n"]) for name, one in document["rates"].items()}
    assert rates == {"rr1": (25, 135), "rr2": (40, 135), "coop1": (25, 42), "ref1": (2, 135), "con1": (42, 135)}


def test_few_who_answered_make_no_rates() -> None:
    few = Still(seen={("C01", "2026-01"): {Seen("delivered"): 60, Seen("delivered", doing=("finished",)): 9}})
    hidden = gone_json(gone(few.sources, question({}), AT, OFFICE))
    assert (hidden["suppressed"], hidden["rates"], hidden["dispositions"]["I"]) == (True, None, None)


def test_a_scope_bounds_all_of_it() -> None:
    still = district()
    asker = Asker(TODAY, Scope("D1"))
    document = compared_json(compared(still.sources, question({}, Scope("D1")), AT, asker))
    assert set(rows(document)) == {"C01", "C02"}
    still.decided = {("C01", "2026-01"): {None: 1}, ("C03", "2026-01"): {None: 5}}
    assert gone(still.sources, question({}), AT, asker).open == 1
    found = why_json(why(district().sources, spans("2026-02", "2026-03"), AT, asker, unit="C03"))
    assert (found["suppressed"], found["ground"]) == (True, [])
    assert [q.answers.n for q in ahead(years("2025-01", 12).sources, AT, Asker(TODAY, Scope("D2"))).quarters] == []


def test_every_document_says_what_it_rests_on() -> None:
    sources = district().sources
    documents = [
        compared_json(compared(sources, question({}), AT, OFFICE)), funnel_json(compared(sources, question({}), AT, OFFICE)),
        why_json(why(sources, spans("2026-02", "2026-03"), AT, OFFICE)), ahead_json(ahead(sources, AT, OFFICE)),
        gone_json(gone(sources, question({}), AT, OFFICE)),
    ]  # fmt: skip
    for document in documents:
        assert (document["as_of"], document["versions"]) == (41, {"survey.counted.v1": {"0": 42}})
        assert document["definitions"]
