"""The journal notes the installation's time beside its own; orders may mean one of several providers."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ops.carrier.evidence import records
from ops.carrier.faults import Faults
from ops.carrier.journal import Journal
from ops.carrier.records import Accepted, Record, Refused, Step

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
THERE = datetime(2026, 2, 16, 19, 59, 59, tzinfo=UTC)


def test_what_is_asked_of_the_carrier_is_noted_with_the_installations_time(tmp_path: Path) -> None:
    def ignore(_: Record, __: int, ___: int) -> None:
        pass

    async def write() -> None:
        journal = Journal(tmp_path / "journal", ignore, lambda: THERE)
        await journal.append(Accepted("SM1", AT, "sms", "+84900000001", "HCC"), Refused(AT, "sms", "+84900000002", "HCC", 429))
        await journal.append(Step("SM1", AT, "sent"))
        await journal.close()

    asyncio.run(write())
    accepted, refused, step = records(tmp_path / "journal")
    assert isinstance(accepted, Accepted)
    assert isinstance(refused, Refused)
    assert (accepted.clock, refused.clock, accepted.at) == (THERE, THERE, AT)
    assert isinstance(step, Step)


def test_an_order_for_one_provider_leaves_the_others_alone() -> None:
    faults = Faults()
    faults.add(msgspec.json.encode([{"kind": "429", "match": {"channel": "sms", "api": "twilio"}, "count": 1}]))
    assert faults.for_request("sms", "+84900000001", "json-example") is None
    assert faults.for_request("sms", "+84900000001", "twilio") is not None
    assert faults.left() == []
