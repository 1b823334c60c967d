"""What the page for verifying messages asks the ledger: which messages went out about a code, and where reports of fakes are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hailong.events import MessageChannel
from hailong.ports import SentMessage
from sinks.ledger import schema as t
from sinks.ledger.engine import Ledger, Tx
from sinks.ledger.reading import LedgerReader

WAVES_A_DAY: Final = 10
"""So many different texts are told of in a day; more are only counted, so that nobody can fill the office's mailbox."""
_SENT: Final = ("handed_over", "delivered", "unknown")


class SentBook:
    """hailong.ports.SentMessages on the ledger. ``zone``: of local days."""

    def __init__(self, ledger: Ledger, zone: tzinfo) -> None:
        self._ledger = ledger
        self._zone = zone

    def sent_about(self, code: str) -> Sequence[SentMessage] | None:
        """See the port."""
        with self._ledger.read() as reader:
            surveys = _surveys(reader, code)
            return None if surveys is None else [self._said(row) for row in _messages(reader, surveys)]

    def slip_is_ours(self, code: str) -> bool:
        """See the port."""
        with self._ledger.read() as reader:
            return reader.slip_is_ours(code)

    def _said(self, row: Any) -> SentMessage:
        at: datetime = row.settled_at or row.claimed_at
        return SentMessage(at.astimezone(self._zone).date(), cast(MessageChannel, row.channel), row.purpose)


def _surveys(reader: LedgerReader, code: str) -> list[str] | None:
    """The slots that a message's code or a slip's leads to; None for a code nobody knows."""
    by_link = reader.slot_row(code)
    slip = reader.tools.slip_hash(code) or ""
    known = sa.select(t.slots.c.survey_id).where(t.slots.c.slip_hash == slip)
    found = sorted({*([by_link.survey_id] if by_link is not None else []), *reader.conn.execute(known).scalars()})
    return found or None


def _messages(reader: LedgerReader, surveys: Sequence[str]) -> list[Any]:
    """What was handed over, or perhaps so; a failure that a provider reported later was handed over before."""
    c = t.claims.c
    out = sa.or_(c.state.in_(_SENT), sa.and_(c.state == "failed", c.provider_id.is_not(None)))
    wanted = sa.select(t.claims).where(c.ref.in_(surveys), c.purpose.in_(("invitation", "reminder")), out)
    return list(reader.conn.execute(wanted.order_by(c.claimed_at, c.claim_id)))


class FakeBook:
    """hailong.ports.FakeReports on the ledger: reports are counted by day and text; the first of a text tells the quality office.

    ``office()`` gives its addresses, ``ref(step, address)`` the id of a mail, ``url`` of the officers' page.
    """

    def __init__(
        self, ledger: Ledger, zone: tzinfo, office: Callable[[], Sequence[str]], ref: Callable[[str, str], str], url: str = ""
    ) -> None:
        self._ledger = ledger
        self._zone = zone
        self._office = office
        self._ref = ref
        self._url = url

    def report_fake(self, at: datetime, text_hash: str) -> None:
        """See the port."""
        with self._ledger.begin() as tx:
            waves = self._count(tx, at, text_hash)
            if waves is not None and waves <= WAVES_A_DAY:
                self._tell(tx, at, text_hash, last=waves == WAVES_A_DAY)

    def _count(self, tx: Tx, at: datetime, text_hash: str) -> int | None:
        """Count a report; the number of different texts of the day when this is the first of its text."""
        day = at.astimezone(self._zone).date()
        insert = (postgresql if tx.conn.dialect.name == "postgresql" else sqlite).insert(t.fake_reports)
        key = [t.fake_reports.c.day, t.fake_reports.c.text_hash]
        more = insert.on_conflict_do_update(index_elements=key, set_={"n": t.fake_reports.c.n + 1}).returning(t.fake_reports.c.n)
        n = tx.conn.execute(more, {"day": day, "text_hash": text_hash, "n": 1, "first_at": at}).scalar_one()
        if n > 1:
            return None
        of_day = sa.select(sa.func.count()).select_from(t.fake_reports).where(t.fake_reports.c.day == day)
        return tx.conn.execute(of_day).scalar_one()

    def _tell(self, tx: Tx, at: datetime, text_hash: str, *, last: bool) -> None:
        day = at.astimezone(self._zone).date().isoformat()
        tx.audited("survey", "fake_reported", f"fake:{day}", {"last_of_day": last})
        for address in self._office():
            said = {"kind": "fake", "to": address, "on": day, "mark": text_hash[:8], "last": last, "url": self._url}
            tx.schedule("officers", self._ref(f"fake:{day}:{text_hash[:16]}", address), at, said)
