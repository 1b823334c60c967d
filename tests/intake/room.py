"""The intake's room for tests: a real ledger, the real desk, and a log that is kept in memory and can be taken away."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from hailong.domain.dossier import ZONE
from hailong.domain.people import Keyed
from hailong.events import Fact, Record, decode
from hailong.ports import Retryable
from producers.desk import Desk
from sinks.ledger import Ledger, Tools, Vault, migrate, open_ledger

NOW = datetime(2025, 1, 21, 9, 0, tzinfo=ZONE)
KEYED = Keyed(bytes(32))
ROOT = Path(__file__).parents[2]


class KeptLog:
    """A log as the port promises it: acknowledged records in order; ``away`` takes it away."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.away = False
        self.acknowledges = True
        """False: it writes, and then the connection breaks before it says so."""

    def publish(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Retryable("the broker is away", 3.0)
        self.records += records
        if not self.acknowledges:
            raise Retryable("the broker is away", 3.0)

    @property
    def facts(self) -> list[Fact]:
        return [decode(record.topic, record.value) for record in self.records]

    def ids(self) -> set[str]:
        return {fact.event_id for fact in self.facts}


def open_room(folder: Path, url: str | None = None) -> tuple[Desk, Ledger, KeptLog]:
    """A desk over a new ledger in ``folder`` (or at ``url``) and a new log."""
    url = url or f"sqlite:///{folder / 'ledger.db'}"
    migrate(url)
    ids = itertools.count(1)
    tools = Tools(
        registry_id="hoa-binh",
        vault=Vault(lambda month: hashlib.sha256(month.encode()).digest()),
        contact_hash=KEYED.contact_hash,
        code_hash=lambda code: hashlib.sha256(code.encode()).hexdigest(),
        new_id=lambda: f"survey-{next(ids)}",
        code_for=lambda survey, purpose, channel: f"{survey}-{purpose}-{channel}",
    )
    ledger = open_ledger(url, tools, "intake")
    log = KeptLog()
    return Desk(ledger, log, KEYED, "hoa-binh"), ledger, log


def item(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An ordinary ending of dossier ``number``; ``None`` takes a field away."""
    whole = {
        "dossier_code": f"H28.12-250115-{number:04d}",
        "status_code": 10,
        "procedure_code": "1.001612.000.00.00.H28",
        "receiving_unit_code": "xa-01",
        "received_at": "2025-01-15T08:00:00+07:00",
        "finished_at": "2025-01-20T09:14:00+07:00",
        "contact": {"phone": f"0900 0{number:05d}"},
    } | changes
    return {k: v for k, v in whole.items() if v is not None}


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


Opened = Callable[[], tuple[Desk, Ledger, KeptLog]]
