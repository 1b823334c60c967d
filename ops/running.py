"""What operators look at: stuck states, carriers and money, out of the ledger and ClickHouse. The page's source and the commands' alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from functools import cached_property
from typing import Any

from dashboard.operations import Cost, Looked, Money
from hailong.domain.units import LOCAL
from ops.carrying import carriers
from ops.clock import real_now
from ops.stuck import states
from ops.wiring import Wiring
from sinks.clickhouse.costs import costs as counted_costs
from sinks.ledger import Ledger


class Running:
    """The source of ``/operations`` (dashboard.operations.Operations)."""

    def __init__(self, wiring: Wiring, ledger: Ledger) -> None:
        self._w = wiring
        self._ledger = ledger

    def look(self) -> Looked:
        """Raises Retryable."""
        now, real = self._w.clock.now(), real_now()
        with self._ledger.read() as reader:
            return Looked(
                at=now,
                states=states(reader, self._w.settings.data_dir / "spool", now, real),
                carriers=carriers(self._w, reader, now, real),
                money=Money(reader.spent_on(now.astimezone(LOCAL).date()), self._w.settings.daily_budget),
                names={unit.code: unit.name for unit in reader.units()},
            )

    def costs(self) -> tuple[str, Sequence[Cost]]:
        """Those of the installation's month. Raises Retryable, Permanent."""
        month = f"{self._w.clock.now().astimezone(LOCAL):%Y-%m}"
        return month, self.costs_of(month)

    def costs_of(self, month: str) -> list[Cost]:
        """Those of a month, ``YYYY-MM``. Raises Retryable, Permanent; ValueError for what is no month."""
        first = date.fromisoformat(f"{month}-01")
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return [Cost(**asdict(one)) for one in counted_costs(self._clickhouse, first, after)]

    @cached_property
    def _clickhouse(self) -> Any:
        return self._w.clickhouse()
