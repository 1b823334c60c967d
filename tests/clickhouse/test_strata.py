"""Strata against the figures themselves: whatever is summed or stepped comes out as the figures have it; and what became of surveys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from hailong.domain.dispositions import Class, Outside, Seen, of_survey
from hailong.domain.scoring import Counts, Filters
from hailong.domain.strata import Strata
from hailong.events import Fact, SurveyDecided
from hailong.settings import Settings
from sinks.clickhouse.connection import connect
from sinks.clickhouse.strata import QUERIES, ClickHouseStrata
from tests.clickhouse.facts import District, closed, counted, delivery
from tests.clickhouse.room import database
from tests.clickhouse.test_figures import CLOSED, COUNTED, DELIVERY, hash_of, store

pytestmark = pytest.mark.stack
FIELDS, CHANNELS = ("land", "civil", "social"), ("counter", "online")
DAY = date(2026, 1, 5)
DECIDED = "survey.decided.v1"


def varied(fact: Any) -> Any:
    """The fact with a field and a channel that hang on its dossier or survey alone."""
    number = hash_of(getattr(fact, "dossier_ref", None) or getattr(fact, "survey_id", None) or "")
    told = {"field": FIELDS[number % 3], "submission_channel": CHANNELS[number % 2]}
    if getattr(fact, "about", None) is not None:
        return msgspec.structs.replace(fact, about=msgspec.structs.replace(fact.about, **told))
    return msgspec.structs.replace(fact, **told) if hasattr(fact, "submission_channel") else fact


@pytest.fixture(scope="module")
def found(address: str) -> Iterator[ClickHouseStrata]:
    district = District(11, communes=6, days=100, per_day=12)
    with database(address) as settings:
        figures = store(settings, {topic: [varied(fact) for fact in facts] for topic, facts in district.topics.items()})
        yield ClickHouseStrata(connect(settings), figures)


def summed(strata: Strata) -> dict[tuple[str, str], Counts]:
    cells: dict[tuple[str, str], Counts] = {}
    for (unit, month, _, _), counts in strata.cells.items():
        cells[unit, month] = cells.get((unit, month), Counts()) + counts
    return cells


def by_unit(strata: Strata) -> list[tuple[str, str, str, Counts]]:
    """The months of each unit, field and channel together."""
    cells: dict[tuple[str, str, str], Counts] = {}
    for (unit, _, field, channel), counts in strata.cells.items():
        cells[unit, field, channel] = cells.get((unit, field, channel), Counts()) + counts
    return [(*key, counts) for key, counts in cells.items()]


def plain(cells: dict[tuple[str, str], Counts]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {key: (c.scores, c.not_applicable, c.ended) for key, c in cells.items() if c.answered or c.ended}


@pytest.mark.parametrize("field", [None, "land"])
@pytest.mark.parametrize("months", [(None, None), ("2025-05", "2025-06")])
def test_fields_and_channels_add_up_to_the_figures(found: ClickHouseStrata, months: tuple[Any, Any], field: str | None) -> None:
    version, filters = found.version(), Filters(*months, field=field)
    figures = found._figures.figures(filters, version)
    strata = found.strata(filters, version, by_month=True)
    assert len({key[2:] for key in strata.cells}) == (2 if field else 6)
    wanted = {key: counts for key, counts in figures.cells.items() if filters.holds(key[1])}
    assert plain(summed(strata)) == plain(wanted)
    together = found.strata(filters, version, by_month=False)
    assert plain(summed(together)) == plain(summed(Strata({(u, "", f, c): n for u, f, c, n in by_unit(strata)})))


def test_each_stratum_is_the_figure_with_that_filter(found: ClickHouseStrata) -> None:
    version = found.version()
    strata = found.strata(Filters(), version, by_month=True)
    for field in FIELDS[:2]:
        cells = found._figures.figures(Filters(field=field, channel="online"), version).cells
        mine = {(u, m): c for (u, m, f, channel), c in strata.cells.items() if (f, channel) == (field, "online")}
        assert plain(mine) == plain(cells)


def test_an_older_version_gives_the_older_strata(found: ClickHouseStrata) -> None:
    old = {COUNTED: {0: 200}, CLOSED: {0: 100, 1: 90}}
    strata = found.strata(Filters(), old, by_month=True)
    assert plain(summed(strata)) == plain(found._figures.figures(Filters(), old).cells)
    assert summed(strata) != summed(found.strata(Filters(), found.version(), by_month=True))


def test_every_query_runs_on_empty_tables_and_finds_nothing(settings: Settings) -> None:
    empty = ClickHouseStrata(connect(settings), store(settings, {}))
    version = empty.version()
    assert empty.strata(Filters(), version, by_month=True) == Strata({})
    assert empty.decisions(Filters(by="receiving"), version) == {}
    assert empty.surveys(Filters(), version) == {}
    assert len({q.name for q in QUERIES}) == len(QUERIES)


def decided(ref: str, reason: str | None = None, day: date = DAY) -> SurveyDecided:
    return SurveyDecided(
        event_id=f"decided:{ref}:{day}", registry_id="test", dossier_ref=ref, asked=reason is None, reason=reason, rules_version="1",
        draw=0.5, decided_on=day,
    )  # fmt: skip


def way(survey: str, *states: str, **last: Any) -> list[Fact]:
    steps: list[Any] = [delivery(survey, i, state, DAY) for i, state in enumerate(states, 1)]  # type: ignore[arg-type] # words of the facts
    return [*steps[:-1], msgspec.structs.replace(steps[-1], **last)]


def test_what_became_of_every_survey(settings: Settings) -> None:
    call: dict[str, Any] = {"kind": "disposition", "mode": "call"}
    topics: dict[str, list[Fact]] = {
        DELIVERY: [
            *way("finished", "handed_over", "delivered"), *way("started", "handed_over"), *way("silent", "handed_over", "delivered"),
            *way("waits", "due"), *way("lost", "handed_over", "failed"), *way("unclear", "unknown"), *way("erased", "delivered"),
            *way("elsewhere", "due", "withdrawn", reason="answered"), *way("stopped", "due", "withdrawn", reason="opted_out"),
            *way("goes on", "handed_over", "withdrawn", reason="reopened"), *way("refuses", "delivered"), *way("tried", "delivered"),
            *way("other", "delivered"),
            *way("later", "delivered"), *way("later", "due", "withdrawn", reason="opted_out", purpose="reminder"),
        ],
        COUNTED: [
            counted(1, DAY, survey_id="finished", score=5), counted(2, DAY, kind="disposition", survey_id="finished", reason="finished"),
            counted(3, DAY, survey_id="started", score=None), counted(4, DAY, survey_id="elsewhere", score=2),
            counted(5, DAY, survey_id="erased", score=2), counted(6, DAY, kind="disposition", survey_id="erased", reason="finished"),
            counted(7, DAY, kind="retraction", survey_id="erased", reason="erased", score=2, control={"counted_on": "2026-01-05"}),
            counted(8, DAY, survey_id="refuses", reason="no_answer", control={"final": False, "tries": 1}, **call),
            counted(9, DAY, survey_id="refuses", reason="refused", control={"final": True, "tries": 2}, **call),
            counted(10, DAY, survey_id="tried", reason="no_answer", control={"final": False, "tries": 1}, **call),
            counted(11, DAY, kind="disposition", survey_id="other", reason="not_me"),
            counted(12, DAY, survey_id="came by slip", score=5),
        ],
    }  # fmt: skip
    strata = ClickHouseStrata(connect(settings), store(settings, topics))
    ((key, seen),) = strata.surveys(Filters(), strata.version()).items()
    assert key == ("C01", "2026-01")
    came = Counter[Class | Outside | None]()
    for one, n in seen.items():
        if one.state is not None:
            came[of_survey(one)] += n
    wanted = {"I": 1, "P": 2, "R": 3, "NC": 5, "UO": 1, "not_eligible": 1, None: 1}
    assert came == wanted
    assert seen[Seen(doing=("started",))] == 1, "a slip's answer has no invitation"
    assert strata.surveys(Filters("2026-02"), strata.version()) == {}


def test_the_newest_decision_of_a_dossier_holds_and_its_first_ending_says_when(settings: Settings) -> None:
    later = DAY + timedelta(days=40)
    topics: dict[str, list[Fact]] = {
        CLOSED: [closed("a", DAY), closed("a", later, act=2), closed("b", DAY), closed("c", DAY), closed("d", later)],
        DECIDED: [decided("a"), decided("b", "no_contact"), decided("c", "sampled_out"), decided("c", None, later), decided("d")],
    }
    strata = ClickHouseStrata(connect(settings), store(settings, topics))
    assert strata.decisions(Filters(), strata.version()) == {("C01", "2026-01"): {None: 2, "no_contact": 1}, ("C01", "2026-02"): {None: 1}}
    assert strata.decisions(Filters("2026-02", field="elsewhere"), strata.version()) == {}
