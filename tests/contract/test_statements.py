"""What people state, on both databases: once, replaced by number, in one order; and the catalogue that is kept until it changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest

from hailong.events import STATES, EarlierStated, ProcedureChanged, ReferenceStated, Statement, TotalsStated
from sinks.ledger import Ledger
from tests.contract.build import NOON
from tests.events.build import FACTS

NEW: dict[str, Any] = {"event_id": "", "registry_id": "", "seq": 0}
OF_KIND: dict[type[Any], Any] = {type(f): msgspec.structs.replace(f, **NEW) for f in FACTS if type(f) in STATES}
OTHER: dict[type[Any], dict[str, Any]] = {
    TotalsStated: {"overdue": 5}, ReferenceStated: {"value": 84.0}, ProcedureChanged: {"sensitive": False}, EarlierStated: {"n": 40},
}  # fmt: skip


def put(ledger: Ledger, *rows: Statement) -> list[Statement]:
    with ledger.begin() as tx:
        return tx.put_statements(rows, NOON)


@pytest.mark.parametrize("kind", OF_KIND, ids=lambda k: k.__name__)
def test_there_and_back_are_three_facts_and_the_same_again_none(ledger: Ledger, kind: type[Any]) -> None:
    one = OF_KIND[kind]
    two = msgspec.structs.replace(one, **OTHER[kind])
    written = [put(ledger, row) for row in (one, one, two, one, one)]
    assert [len(w) for w in written] == [1, 0, 1, 1, 0]
    facts = [fact for w in written for fact in w]
    assert [f.seq for f in facts] == [1, 2, 3]
    assert [f.event_id for f in facts] == [f"test:{f.event_id.split(':')[1]}:{n}" for n, f in enumerate(facts, start=1)]
    assert [msgspec.structs.replace(f, **NEW) for f in facts] == [one, two, one]
    with ledger.read() as reader:
        assert reader.statements(kind) == facts[-1:]
    assert [msgspec.json.decode(p.record.value, type=kind) for p in ledger.pending()] == facts, "in the outbox as they were written"
    assert {p.record.topic.split(".")[0] for p in ledger.pending()} == {facts[0].event_id.split(":")[1]}


def test_kinds_and_things_are_kept_apart(ledger: Ledger) -> None:
    totals = [msgspec.structs.replace(OF_KIND[TotalsStated], unit=f"xa-{n}", month="2026-01") for n in range(1, 1203)]
    assert len(put(ledger, *totals)) == 1202, "more than are looked up at once"
    assert put(ledger, *totals) == []
    assert put(ledger) == []
    changed = [msgspec.structs.replace(row, dislikes=9) if row.unit in ("xa-3", "xa-1100") else row for row in totals]
    assert [(getattr(f, "unit", ""), f.seq) for f in put(ledger, *changed)] == [("xa-3", 1203), ("xa-1100", 1204)]
    for kind in (ReferenceStated, ProcedureChanged, EarlierStated):
        assert len(put(ledger, OF_KIND[kind])) == 1
    with ledger.read() as reader:
        assert len(reader.statements(TotalsStated)) == 1202
        assert [p.code for p in reader.statements(ProcedureChanged)] == ["1.001612"]
        assert reader.units() == []


def test_the_numbers_go_on_with_those_of_units(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert tx.next_registry_seq() == 1
    assert [f.seq for f in put(ledger, OF_KIND[TotalsStated])] == [2]
    with ledger.begin() as tx:
        assert tx.next_registry_seq() == 3


def test_the_catalogue_changes_with_the_list_in_every_process(opened: Callable[..., Ledger]) -> None:
    importing, deciding = opened(), opened()
    day = date(2026, 3, 2)

    def sensitive() -> list[bool]:
        with deciding.begin() as tx, deciding.read() as reader:
            return [c.sensitive("1.001612", day) for c in (tx.catalogue(), reader.catalogue(), tx.catalogue())]

    assert sensitive() == [False] * 3
    put(importing, OF_KIND[ProcedureChanged])
    assert sensitive() == [True] * 3
    put(importing, msgspec.structs.replace(OF_KIND[ProcedureChanged], sensitive=False))
    assert sensitive() == [False] * 3
    with deciding.begin() as tx:
        assert tx.catalogue() is tx.catalogue(), "it is not read anew each time"


def killed_while_writing(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.put_statements([OF_KIND[ProcedureChanged]], NOON)
        raise RuntimeError


def test_a_list_that_was_not_committed_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError):
        killed_while_writing(ledger)
    with ledger.read() as reader:
        assert reader.statements(ProcedureChanged) == []
        assert list(reader.catalogue().rows()) == []
    assert ledger.pending() == []
    assert [f.seq for f in put(ledger, OF_KIND[ProcedureChanged])] == [1]
