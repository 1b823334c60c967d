"""What people stated, out of ClickHouse: the newest about each thing at a version, with echoes; and the comparison of a rebuild."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
import pytest

from hailong.domain.shadow import Totals
from hailong.events import STATES, EarlierStated, Fact, ProcedureChanged, ReferenceStated, TotalsStated, topic_of
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.comparing import drop_scratch, make_scratch, rows_differ
from sinks.clickhouse.connection import connect
from sinks.clickhouse.stated import ClickHouseStated
from tests.clickhouse.room import clickhouse, database
from tests.events.build import FACTS

pytestmark = pytest.mark.stack
OF_KIND: dict[type[Any], Any] = {type(f): f for f in FACTS if type(f) in STATES}
OTHER: dict[type[Any], dict[str, Any]] = {
    TotalsStated: {"received": 999}, ReferenceStated: {"value": 84.5, "n": None}, ProcedureChanged: {"sensitive": False, "valid_to": None},
    EarlierStated: {"n": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as url, database(url) as made:
        yield made


def absorb(settings: Settings, facts: Sequence[Fact], first: int = 0) -> None:
    archive = Archive(connect(settings))
    for offset, fact in enumerate(facts, start=first):
        archive.absorb(topic_of(fact).name, 0, [(offset, fact)])


def again(kind: type[Any], seq: int, **changes: Any) -> Any:
    return msgspec.structs.replace(OF_KIND[kind], seq=seq, event_id=f"{kind.__name__}:{seq}", **changes)


def test_the_newest_about_each_thing_holds_at_every_version(settings: Settings) -> None:
    stated = ClickHouseStated(connect(settings), "hoa-binh")
    assert stated.version() == {topic_of(OF_KIND[kind]).name: {} for kind in STATES}
    assert stated.totals() == {}
    for kind in STATES:
        one, two, three = again(kind, 1), again(kind, 2, **OTHER[kind]), again(kind, 3)
        absorb(settings, [one, two, one, three, two])  # echoes come after what replaced them
        topic = topic_of(one).name
        assert stated.version()[topic] == {0: 5}
        found = [stated.newest(kind, {topic: {0: end}}) for end in range(6)]
        assert found == [[], [one], [two], [two], [three], [three]]
        assert stated.newest(kind) == [three]
        assert stated.newest(kind, {}) == [], "a version that does not name the topic is from before it"


def test_totals_are_told_by_unit_and_month_and_procedures_as_a_catalogue(settings: Settings) -> None:
    stated = ClickHouseStated(connect(settings), "hoa-binh")
    assert stated.totals() == {("xa-01", "2026-02"): Totals(120, 110, 4, 2, 1)}
    before = stated.version()
    absorb(settings, [again(TotalsStated, 4, unit="xa-02", month="2026-01"), again(TotalsStated, 5, unit="xa-01", month="2026-01")], 5)
    assert sorted(stated.totals()) == [("xa-01", "2026-01"), ("xa-01", "2026-02"), ("xa-02", "2026-01")]
    assert sorted(stated.totals(before)) == [("xa-01", "2026-02")]
    catalogue = stated.catalogue()
    assert catalogue.sensitive("1.001612", date(2026, 12, 31))
    assert not catalogue.sensitive("1.001612", date(2027, 1, 1))


def test_a_rebuild_finds_a_row_of_each_that_differs(settings: Settings) -> None:
    sides = [make_scratch(settings, f"{settings.clickhouse_database}_{side}") for side in ("live", "made")]
    version = {topic_of(one).name: {0: 2} for one in OF_KIND.values()}
    try:
        live, made = map(connect, sides)
        for kind in STATES:
            absorb(sides[0], [again(kind, 1), again(kind, 2, **OTHER[kind])])
            absorb(sides[1], [again(kind, 1), again(kind, 2, **OTHER[kind], source="khác")])
        assert rows_differ(live, live, version) == []
        assert {(d.topic, d.offset, d.here, d.there) for d in rows_differ(live, made, version)} == {(topic, 1, 2, 2) for topic in version}
    finally:
        for side in sides:
            drop_scratch(side)
