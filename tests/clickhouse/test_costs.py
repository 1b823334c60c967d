"""What messages cost: local days, units and channels; each message once, whatever became of it later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from hailong.events import SurveyDelivery
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.costs import Cost, costs
from tests.clickhouse.facts import delivery

pytestmark = pytest.mark.stack
TOPIC = "survey.delivery.v1"
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    made = connect(settings)
    yield made
    made.close()


def sent(survey: str, day: date = date(2026, 3, 5), state: str = "handed_over", seq: int = 2, **fields: object) -> SurveyDelivery:
    made = delivery(survey, seq, state, day, channel=fields.pop("channel", "sms"), unit=fields.pop("unit", "C01"))  # type: ignore[arg-type]
    return replace(made, **fields)


def test_each_message_is_summed_once_on_its_local_day(client: Client) -> None:
    facts = [
        sent("a"),
        sent("a", state="delivered", seq=3, cost=0),
        sent("b"),
        sent("b", state="unknown", seq=3, cost=0, reason="no_receipt"),
        sent("c", state="unknown", reason="open after its lease"),
        sent("d", state="failed", cost=0),
        sent("e", channel="email", unit="C02", cost=0, segments=0),
        sent("late", at=datetime(2026, 3, 5, 17, 30, tzinfo=UTC)),  # half past midnight here
        sent("before", at=datetime(2026, 2, 28, 16, 59, 59, tzinfo=UTC)),
        sent("first", at=datetime(2026, 2, 28, 17, 0, tzinfo=UTC)),
        sent("next", at=datetime(2026, 3, 31, 17, 0, tzinfo=UTC)),
    ]
    Archive(client, "single").absorb(TOPIC, 0, list(enumerate([*facts, *facts[:3]])))
    assert costs(client, MARCH, APRIL) == [
        Cost(date(2026, 3, 1), "C01", "sms", 1, 1, 350),
        Cost(date(2026, 3, 5), "C01", "sms", 3, 3, 1050),
        Cost(date(2026, 3, 5), "C02", "email", 1, 0, 0),
        Cost(date(2026, 3, 6), "C01", "sms", 1, 1, 350),
    ]
    assert [c.day for c in costs(client, APRIL, date(2026, 5, 1))] == [APRIL]
    assert costs(client, date(2026, 5, 1), date(2026, 6, 1)) == []
