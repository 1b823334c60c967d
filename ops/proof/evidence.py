"""What a proof looks at: the carrier's journal, the citizens' own record, the input, the decoded log and ClickHouse's rows.

Nothing of it is a summary of ours; the ledger is read only to join what it alone may join.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from hailong.events import TOPICS, dead_topic
from hailong.settings import Settings
from ops.carrier import evidence as carrier
from ops.proof.citizens import Visit
from ops.proof.population import Sent
from ops.proof.walkins import key_of
from ops.wiring import Wiring

PURPOSES: Final = ("invitation", "reminder")
CHANNELS: Final = ("sms", "email")
"""That people of a proof can be reached by."""
_TOKEN: Final = re.compile(r"/([0-9A-Z]{26}|[0-9A-Z]{12})(?![0-9A-Z])")


@dataclass(frozen=True)
class LogRecord:
    """A record of the log, decoded as JSON only."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: Any
    """Of fact topics: the decoded JSON (None if it is none); of dead topics: the raw bytes."""
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Message:
    """An invitation or a reminder in the carrier's journal."""

    at: datetime
    """Real time."""
    to: str
    code: str
    channel: str = "sms"
    api: str = ""
    """Of SMS: which provider took it."""
    segments: int = 0
    clock: datetime | None = None
    """The installation's time, as the carrier read it."""


@dataclass
class Evidence:
    """All of it, read once after the load has ended."""

    sent: list[Sent]
    acknowledged: set[str]
    """Dossier codes whose intake was confirmed (HTTP 202, or taken by the importer)."""
    refused: dict[str, str]
    """Dossier code → reason, of those intake refused."""
    reopened: set[str]
    """Dossier codes that were said to go on after all."""
    poison: int
    """Records put into the log that are no facts."""
    visits: Mapping[str, Visit]
    killed: Mapping[str, int]
    """Part → kills."""
    messages: list[Message] = field(default_factory=list)
    log: list[LogRecord] = field(default_factory=list)
    slots: dict[str, Any] = field(default_factory=dict)
    """dossier_ref → row."""
    claims: list[Any] = field(default_factory=list)
    dead: list[Any] = field(default_factory=list)
    counted: list[dict[str, Any]] = field(default_factory=list)
    """Rows of ClickHouse's counted table."""
    files: dict[str, str] = field(default_factory=dict)
    """Log files of all processes, by name."""
    stored: dict[str, list[str]] = field(default_factory=dict)
    """ClickHouse's rows as JSON text, by table."""
    reference: dict[str, str] = field(default_factory=dict)
    """Dossier code → dossier_ref."""
    survey_of: dict[str, str] = field(default_factory=dict)
    """Code of a link → survey_id."""
    purpose_of: dict[str, str] = field(default_factory=dict)
    """Code of a link → invitation | reminder."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Kind of fault → messages to citizens that met it at the carrier and were not accepted."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """provider.changed facts."""

    def topic(self, name: str) -> Iterator[LogRecord]:
        """Records of one topic."""
        return (r for r in self.log if r.topic == name)


async def gather(e: Evidence, settings: Settings, data: Path) -> Evidence:
    """Fill in everything that stands outside this process."""
    wiring = Wiring(settings)
    journal = carrier.read(data / "carrier" / "journal.jsonl")
    e.messages = [m for m in map(_message, journal.messages) if m is not None]
    e.faults = Counter(r.fault for r in journal.refused if r.fault is not None)
    e.reference = {s.item["dossier_code"]: wiring.keyed.dossier_ref("local", s.item["dossier_code"]) for s in e.sent}
    e.log = await read_log(settings)
    e.changes = [r.value for r in e.topic("provider.changed.v1") if r.value]
    _ledger(e, wiring)
    _clickhouse(e, wiring)
    e.files = {
        p.name: p.read_text("utf-8", "replace") for p in sorted((data / "logs").iterdir()) if p.is_file() and "carrier" not in p.name
    }
    return e


def _message(message: dict[str, Any]) -> Message | None:
    found = _TOKEN.search(message["body"])
    if found is None:
        return None
    at, clock = (message[name] and datetime.fromisoformat(message[name]) for name in ("at", "clock"))
    return Message(at, message["to"], found[1], message["channel"], message["api"], message["segments"], clock)


async def read_log(settings: Settings) -> list[LogRecord]:
    """Every record of every topic of ours, dead ones too."""
    names = [t.name for t in TOPICS] + [dead_topic(t.name) for t in TOPICS]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(n, p) for n in names for p in sorted(consumer.partitions_for_topic(n) or await _partitions(consumer, n))]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        await consumer.seek_to_beginning()
        out: list[LogRecord] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, batch in (await consumer.getmany(timeout_ms=500)).items():
                out += [
                    LogRecord(place.topic, r.partition, r.offset, r.key or b"", _value(place.topic, r.value), tuple(r.headers))
                    for r in batch
                ]
        return out
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, name: str) -> set[int]:
    await consumer._client.force_metadata_update()
    consumer._client.add_topic(name)
    await consumer._client.force_metadata_update()
    return set(consumer.partitions_for_topic(name) or ())


def _value(topic: str, value: bytes | None) -> Any:
    if topic.startswith("dead."):
        return value
    try:
        return msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _ledger(e: Evidence, wiring: Wiring) -> None:
    ledger = wiring.ledger("proof")
    with ledger.read() as reader:
        e.slots = {r.dossier_ref: r for r in reader.slots()}
        e.claims = reader.claims()
        e.dead = reader.dead_letters(("waiting", "replayed", "dropped"))
        by_hash = reader.surveys_by_code()
    for slot, purpose, channel in product(e.slots.values(), PURPOSES, CHANNELS):
        e.purpose_of[wiring.code_for(slot.survey_id, purpose, channel)] = purpose
    for code in {m.code for m in e.messages} | set(e.visits):
        if (survey := by_hash.get(wiring.tools.code_hash(code))) is not None:
            e.survey_of[code] = survey
    for code, ref in e.reference.items():
        if (key := key_of(code)) in e.visits and ref in e.slots:
            e.survey_of[key] = e.slots[ref].survey_id
    ledger.close()


def _clickhouse(e: Evidence, wiring: Wiring) -> None:
    client = wiring.clickhouse()
    tables = [r[0] for r in client.query("SHOW TABLES").result_rows]
    for table in tables:
        rows = client.raw_query(f"SELECT * FROM {table} FORMAT JSONEachRow").decode().splitlines()  # noqa: S608 (our own names)
        e.stored[table] = rows
    e.counted = [msgspec.json.decode(row) for row in e.stored.get("counted", [])]
    client.close()
