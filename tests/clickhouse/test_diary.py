"""A fortnight's days: who was written to and by whom, who waited, who said no; echoes count once, midnight is local."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import pytest
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from hailong.events import ContactPreference, Fact, SurveyDecided, SurveyDelivery
from hailong.settings import Settings
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.diary import Day, diary
from tests.clickhouse.facts import delivery

pytestmark = pytest.mark.stack
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2026, 3, n) for n in (2, 3, 4, 5))


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    made = connect(settings)
    yield made
    made.close()


def absorb(client: Client, topic: str, facts: Sequence[Fact]) -> None:
    """Each of them twice."""
    Archive(client, "single").absorb(topic, 0, list(enumerate([*facts, *facts])))


def sent(survey: str, at: datetime, state: str = "handed_over", provider: str = "twilio", purpose: str = "invitation") -> SurveyDelivery:
    made = delivery(survey, 2, state, at.date())  # type: ignore[arg-type]
    return replace(made, event_id=f"{survey}:{purpose}:{state}", at=at, provider=provider, purpose=purpose)


def decided(ref: str, on: date, **fields: object) -> SurveyDecided:
    said = {"asked": True, "reason": None, "rules_version": "r", "draw": 0.5, "inputs": {}} | fields
    return SurveyDecided(event_id=f"decided:{ref}", registry_id="test", dossier_ref=ref, decided_on=on, **said)  # type: ignore[arg-type]


def test_each_day_has_what_happened_on_it_and_days_without_anything_are_there(client: Client) -> None:
    absorb(
        client,
        "survey.delivery.v1",
        [
            sent("a", datetime(2026, 3, 2, 1, 0, tzinfo=UTC)),  # eight in the morning here
            sent("b", datetime(2026, 3, 2, 9, 30, tzinfo=UTC), provider="gateway"),
            sent("a", datetime(2026, 3, 2, 12, 0, tzinfo=UTC), purpose="reminder"),
            sent("c", datetime(2026, 3, 2, 3, 0, tzinfo=UTC), state="failed"),
            sent("d", datetime(2026, 3, 3, 17, 30, tzinfo=UTC)),  # half past midnight on Wednesday
            sent("e", datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),  # Thursday
        ],
    )
    at = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
    kept = {"registry_id": "test", "pepper_version": 1, "door": "link"}
    absorb(
        client,
        "contact.preference.v1",
        [
            ContactPreference(event_id="1", contact_hash="x", choice="opt_out", at=at, **kept),  # type: ignore[arg-type]
            ContactPreference(event_id="2", contact_hash="y", choice="opt_in", at=at, **kept),  # type: ignore[arg-type]
        ],
    )
    facts = [decided("a", MONDAY), decided("b", TUESDAY, weight=3)]
    facts += [decided(r, TUESDAY, asked=False, reason="represented") for r in "cd"]
    absorb(client, "survey.decided.v1", [*facts, decided("e", THURSDAY, weight=2)])
    assert diary(client, MONDAY, THURSDAY) == [
        Day(MONDAY, 2, 1, Counter(twilio=2, gateway=1), "08:00", "19:00", opt_outs=1),
        Day(TUESDAY, standing=1, represented=2),
        Day(WEDNESDAY, 1, 0, Counter(twilio=1), "00:30", "00:30"),
    ]
