"""A store that is away is told of once: by the error, not by the client's own log beside it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import structlog

from hailong import telemetry
from hailong.ports import Permanent, Retryable
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import asked_by_hand, connect
from tests.clickhouse.facts import closed
from tests.clickhouse.room import Wire
from tests.clickhouse.test_archive import CLOSED, DAY

pytestmark = pytest.mark.stack


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What this process logs, as a worker does."""
    root = logging.getLogger()
    handlers, level, configured = list(root.handlers), root.level, structlog.get_config()
    stream = io.StringIO()
    telemetry.configure("archive-0", "info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


def closes(wire: Wire) -> None:
    wire.close()


def cuts_requests(wire: Wire) -> None:
    wire.breaks = "request"


def cuts_answers(wire: Wire) -> None:
    wire.breaks = "answer"


@pytest.mark.parametrize("breaks", [closes, cuts_requests, cuts_answers])
def test_a_store_that_is_away_is_told_of_by_the_error_alone(settings: Settings, said: io.StringIO, breaks: Callable[[Wire], None]) -> None:
    wire = Wire(settings.clickhouse_url)
    try:
        store = Archive(connect(replace(settings, clickhouse_url=wire.url)))
        store.absorb(CLOSED, 0, [(0, closed("d0", DAY))])
        breaks(wire)
        for work in (lambda: store.absorb(CLOSED, 0, [(1, closed("d1", DAY))]), lambda: store.absorbed([CLOSED])):
            with pytest.raises(Retryable) as told:
                work()
            assert "ClickHouse is not reachable" in told.value.reason
    finally:
        wire.close()
    assert [json.loads(line)["event"] for line in said.getvalue().splitlines()] == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE counted", "Only statements that read are taken here. Begin with SELECT"),
        ("SELECT * FROM nope", "There is no table nope. `SHOW TABLES` lists"),
        ("SELECT * FROM nowhere.nope", "`SHOW DATABASES` lists"),
    ],
)
def test_who_asks_by_hand_is_told_what_the_statement_does_wrong(settings: Settings, statement: str, said: str) -> None:
    client = connect(settings)
    with pytest.raises(Permanent) as told, asked_by_hand():
        client.query(statement, settings={"readonly": 1})
    assert said in told.value.reason
    assert "igration" not in told.value.reason
    with asked_by_hand():
        assert ("counted",) in client.query("SHOW TABLES", settings={"readonly": 1}).result_rows
