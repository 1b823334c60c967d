"""What the mail at 07:30 says: alerts of the last day, what waits for a person, and whether every part works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from dashboard.operations import State
from hailong.domain.closing import OPEN, by_alert, standing
from hailong.domain.quality_sentences import WORDS
from hailong.events import AlertChanged
from hailong.ports import Permanent, Retryable
from ops.clock import real_now
from ops.stuck import states, told
from ops.wiring import Wiring
from sinks.clickhouse.connection import ping
from sinks.ledger import Ledger, LedgerReader


class Daily:
    """Collects the daily mail from the ledger and the parts themselves; a part that cannot be asked is told as one that does not work."""

    def __init__(self, wiring: Wiring, ledger: Ledger, no_file: Callable[[datetime], str | None] | None = None) -> None:
        self._wiring = wiring
        self._ledger = ledger
        self._no_file = no_file

    def summary(self, at: datetime) -> Mapping[str, Any]:
        """The payload of the ``digest`` mail for the day that ended before ``at``."""
        with self._ledger.read() as reader:
            said = self._from_ledger(reader, at)
        parts = [self._store()]
        if self._no_file is not None:
            alarm = self._no_file(at)
            parts.append(_part("files", alarm is None, alarm or ""))
        return {
            "kind": "digest",
            "on": at.date().isoformat(),
            **said,
            "parts": [*said["parts"], *parts],
            "url": self._wiring.settings.dashboard_url,
        }

    def _from_ledger(self, reader: LedgerReader, at: datetime) -> dict[str, Any]:
        names = {u.code: u.name for u in reader.units()}
        since = at - timedelta(days=1)
        news = [a for a in reader.alerts(history=True) if since < a.at <= at]
        open_alerts = [h for h in by_alert(reader.alerts(history=True)).values() if standing(h).state in OPEN]
        return {
            "raised": [_line(a, names) for a in news if a.state == "raised"],
            "cleared": [_line(a, names) for a in news if _ended(a)],
            "open": len(open_alerts),
            "answers": reader.answers_since(since, at),
            "dead_letters": len(reader.dead_letters()),
            "parts": self._stuck(reader, at),
        }

    def _stuck(self, reader: LedgerReader, at: datetime) -> list[dict[str, Any]]:
        """Each state that something may be stuck in, with its number and the next step; in Vietnamese, as the mail is."""
        found = states(reader, self._wiring.settings.data_dir / "spool", at, real_now())
        return [_part(state.id, not state.stuck, _note(state)) for state in found]

    @cached_property
    def _client(self) -> Any:
        return self._wiring.clickhouse()

    def _store(self) -> dict[str, Any]:
        try:
            ping(self._client)
        except (Retryable, Permanent) as e:
            return _part("clickhouse", False, e.reason)
        return _part("clickhouse", True, "")


def _note(state: State) -> str:
    said = told(state, "vi")
    return f"{said.said}: {state.number}. {said.next}"


def _part(name: str, ok: bool, note: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "note": "" if ok else note}


def _ended(alert: AlertChanged) -> bool:
    return alert.state in ("cleared", "settled", "fixed", "not_found")


def _line(alert: AlertChanged, names: Mapping[str, str]) -> dict[str, str]:
    name = names.get(alert.unit, alert.unit) or WORDS["vi"]["whole"]
    return {"unit_name": name, "sentence_vi": alert.sentence_vi, "sentence_en": alert.sentence_en}
