"""The tables of the ledger: what must be unique, what waits, what people work on.

Moments are stored as whole microseconds since 1970 (UTC) and come back aware, so that SQLite and PostgreSQL agree to the bit.
What names a person stands only in ``vault``, ``dead_letters`` and the scans of ``papers``, sealed under the key of a month.
"""

from __future__ import annotations

from sinks.ledger.schema.answers import answers, callbacks, comments, feedback, measures, questionnaires
from sinks.ledger.schema.columns import EPOCH, Day, Moment, Serial, metadata
from sinks.ledger.schema.doors import call_tries, calls, helped, kiosks, papers, slip_answers, slips, tries
from sinks.ledger.schema.dossiers import acts, codes, contacts, due, erasures, slots, vault
from sinks.ledger.schema.log import alerts, dead_letters, detectors, outbox, positions, registry, seen, sources, writers
from sinks.ledger.schema.messages import (
    arm_days,
    claims,
    fake_reports,
    live,
    money,
    provider_minutes,
    providers,
    rates,
    receipts,
    test_messages,
)
from sinks.ledger.schema.people import accounts, audit, invitations, sessions

__all__ = [
    "EPOCH",
    "Day",
    "Moment",
    "Serial",
    "accounts",
    "acts",
    "alerts",
    "answers",
    "arm_days",
    "audit",
    "call_tries",
    "callbacks",
    "calls",
    "claims",
    "codes",
    "comments",
    "contacts",
    "dead_letters",
    "detectors",
    "due",
    "erasures",
    "fake_reports",
    "feedback",
    "helped",
    "invitations",
    "kiosks",
    "live",
    "measures",
    "metadata",
    "money",
    "outbox",
    "papers",
    "positions",
    "provider_minutes",
    "providers",
    "questionnaires",
    "rates",
    "receipts",
    "registry",
    "seen",
    "sessions",
    "slip_answers",
    "slips",
    "slots",
    "sources",
    "test_messages",
    "tries",
    "vault",
    "writers",
]
