"""What the ledger tells of the draw and of one dossier's way: seeds that were published, and what has become of a dossier."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from hailong.domain.draw_published import PublishedSeed
from hailong.events import DossierClosed
from sinks.ledger import schema as t
from sinks.ledger.dossiers import keys_of
from sinks.ledger.reading import LedgerReader

_KINDS: Final = ("seed_commit", "seed_reveal")


def published_seeds(reader: LedgerReader, limit: int) -> list[PublishedSeed]:
    """The newest ``limit`` days of which anything was published, the newest first."""
    done = sa.and_(t.due.c.kind.in_(_KINDS), t.due.c.state == "done", t.due.c.ref != "first")
    told_of = sa.select(t.due.c.kind, t.due.c.ref, t.due.c.payload).where(done)
    rows = reader.conn.execute(told_of.order_by(t.due.c.ref.desc()).limit(2 * limit))
    days: dict[str, dict[str, Any]] = {}
    for row in rows:
        days.setdefault(row.ref, {})[row.kind] = json.loads(row.payload)
    told = [_seed(date.fromisoformat(ref), said) for ref, said in days.items() if "seed_commit" in said]
    return told[:limit]


def _seed(day: date, said: dict[str, Any]) -> PublishedSeed:
    commit, reveal = said["seed_commit"], said.get("seed_reveal")
    committed = datetime.fromisoformat(commit["at"])
    if reveal is None:
        return PublishedSeed(day, commit["commitment"], committed)
    return PublishedSeed(day, commit["commitment"], committed, reveal["seed"], datetime.fromisoformat(reveal["at"]))


@dataclass(frozen=True)
class Found:
    """A dossier that a code leads to."""

    dossier_ref: str
    survey_id: str
    source: str
    taken_at: datetime


@dataclass(frozen=True)
class Sent:
    """A message as the ledger knows it; to whom it does not say.

    ``reason``, ``code``: how it ended; of one that is under way, how the try before did. ``settled_at``: the same moment's.
    """

    purpose: str
    state: str
    channel: str
    provider: str | None
    claimed_at: datetime
    settled_at: datetime | None
    reason: str | None
    code: str | None


@dataclass(frozen=True)
class Planned:
    """A message that waits, or waited, for its moment: of one that was put back, for its next try."""

    purpose: str
    at: datetime
    channel: str
    waiting: bool
    reminds: bool = False
    """An invitation that a reminder follows."""


@dataclass(frozen=True)
class Rest:
    """What a dossier that waits for its person's turn would be decided by, at this moment; to whom it belongs it does not say."""

    ending: DossierClosed
    asked_at: datetime | None
    """The latest asking, planned or done, of this person or any of these numbers."""
    reach: tuple[str, ...]
    """Channels there is an address for, also those that are not set up."""
    opted_out: bool
    preferred: str | None
    refused: tuple[str, ...]
    test: bool
    minor: bool
    unit_endings: int


@dataclass(frozen=True)
class History:
    """What has become of a dossier."""

    found: Found
    outcome: str
    reason: str | None
    rests_until: datetime | None
    """When it is, or was, decided after its rest."""
    rest: Rest | None
    """None for what does not rest now."""
    expires_at: datetime | None
    reopened_at: datetime | None
    planned: tuple[Planned, ...]
    sent: tuple[Sent, ...]
    answered: bool
    """Whether; never when, which would lead to the answer."""


def sources(reader: LedgerReader) -> list[str]:
    """Every source a dossier came from."""
    return sorted(reader.conn.execute(sa.select(t.slots.c.source).distinct()).scalars())


def by_code(reader: LedgerReader, code: str) -> Found | None:
    """The dossier of a link's or a slip's code, however it was typed; None for an unknown one. Of slips of one code the newest holds."""
    linked = sa.select(t.codes.c.survey_id).where(t.codes.c.code_hash == reader.tools.code_hash(code))
    conditions: list[sa.ColumnElement[bool]] = [t.slots.c.survey_id.in_(linked)]
    if slip := reader.tools.slip_hash(code):
        conditions.append(t.slots.c.slip_hash == slip)
    return max(_found(reader, sa.or_(*conditions)), key=lambda found: found.taken_at, default=None)


def by_refs(reader: LedgerReader, dossier_refs: Sequence[str]) -> list[Found]:
    """Those of these dossiers there are."""
    return _found(reader, t.slots.c.dossier_ref.in_(dossier_refs))


def _found(reader: LedgerReader, which: sa.ColumnElement[bool]) -> list[Found]:
    slots = sa.select(t.slots.c.dossier_ref, t.slots.c.survey_id, t.slots.c.source, t.slots.c.taken_at).where(which)
    return [Found(*row) for row in reader.conn.execute(slots.order_by(t.slots.c.dossier_ref))]


def history(reader: LedgerReader, found: Found, since: date) -> History:
    """Everything the ledger knows of a dossier but contacts and answers. ``since``: endings of its unit are counted from that day on."""
    slot = reader.conn.execute(sa.select(t.slots).where(t.slots.c.dossier_ref == found.dossier_ref)).one()
    mine = sa.or_(
        sa.and_(t.due.c.kind.in_(("invitation", "reminder")), t.due.c.ref == found.survey_id),
        sa.and_(t.due.c.kind == "decide", t.due.c.ref == found.dossier_ref),
    )
    due = list(reader.conn.execute(sa.select(t.due).where(mine).order_by(t.due.c.due_at, t.due.c.id)))
    claims = reader.conn.execute(sa.select(t.claims).where(t.claims.c.ref == found.survey_id).order_by(t.claims.c.claimed_at))
    answer = reader.conn.execute(sa.select(t.answers.c.seq).where(t.answers.c.survey_id == found.survey_id)).first()
    rests = next((r for r in due if r.kind == "decide"), None)
    waits = rests is not None and rests.state == "waiting" and slot.reason == "resting"
    return History(
        found=found,
        outcome=slot.outcome,
        reason=slot.reason,
        rests_until=rests.due_at if rests else None,
        rest=_rest(reader, slot, rests.payload, since) if rests is not None and waits else None,
        expires_at=slot.expires_at,
        reopened_at=slot.reopened_at,
        planned=tuple(_planned(r) for r in due if r.kind != "decide"),
        sent=tuple(Sent(c.purpose, c.state, c.channel, c.provider, c.claimed_at, c.settled_at, c.reason, c.code) for c in claims),
        answered=answer is not None,
    )


def _planned(row: Any) -> Planned:
    how = json.loads(row.payload)
    return Planned(row.kind, row.due_at, how["channel"], row.state == "waiting", "remind_after_days" in how)


def _rest(reader: LedgerReader, slot: Any, payload: str, since: date) -> Rest:
    """As ``slots_for_decision`` finds it, without locking anybody."""
    contacts = list(reader.conn.execute(sa.select(t.contacts).where(t.contacts.c.hash.in_(keys_of(slot)))))
    asked = [at for c in contacts for at in (c.planned_at, c.asked_at) if at is not None]
    return Rest(
        ending=msgspec.convert(json.loads(payload)["ending"], DossierClosed, strict=False),
        asked_at=max(asked, default=None),
        reach=(*(("sms", "zns") if slot.phone_hash and not slot.landline else ()), *(("email",) if slot.email_hash else ())),
        opted_out=any(c.opted_out_at is not None for c in contacts),
        preferred=slot.preferred,
        refused=tuple(slot.refused.split(",")) if slot.refused else (),
        test=slot.test,
        minor=slot.minor,
        unit_endings=reader.endings_since(slot.unit, since),
    )
