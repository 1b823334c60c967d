"""Before a province's first day: everything hailong will ask of its ClickHouse, its ledger and its Kafka, done once in scratch places.

``examine(settings, now)`` gives a step at a time, so that a person sees how far it is; a part that fails does not keep the next from
being examined. What was made is taken away again; live data is never touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from hailong.settings import Settings
from ops.acceptance.broker import examine_kafka
from ops.acceptance.clickhouse import examine_clickhouse
from ops.acceptance.ledger import examine_ledger
from ops.acceptance.step import Step

PARTS: Final[tuple[Callable[[Settings, str, datetime], Iterator[Step]], ...]] = (examine_clickhouse, examine_ledger, examine_kafka)

__all__ = ["PARTS", "Step", "examine"]


def examine(settings: Settings, now: datetime) -> Iterator[Step]:
    """Every step, as it is done. ``now``: aware; the time the scratch facts are given."""
    name = f"hailong_acceptance_{secrets.token_hex(4)}"
    for part in PARTS:
        yield from part(settings, name, now)
