"""Survey devices at desks: enrolled by an address that works once, known afterwards by a secret of which only a hash is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from sinks.ledger import schema as t
from sinks.ledger.audit import Audit
from sinks.ledger.entering import Entering

ENROL: Final = timedelta(hours=24)
"""So long an address for enrolment is good for."""
SEEN_EVERY: Final = timedelta(minutes=5)
"""So exactly it is known when a device was last used."""
_K: Final = t.kiosks.c


@dataclass(frozen=True)
class KioskDevice:
    """One device. ``enrolled_at``: None while its address waits; ``seen_at``: to five minutes."""

    id: str
    unit: str
    name: str
    made_at: datetime
    made_by: str
    enrolled_at: datetime | None
    seen_at: datetime | None
    closed_at: datetime | None


class KiosksReading(Entering):
    """Looking."""

    def kiosks(self) -> list[KioskDevice]:
        """All, the newest first."""
        return [_device(row) for row in self.conn.execute(sa.select(t.kiosks).order_by(_K.made_at.desc(), _K.id))]

    def kiosk(self, token_hash: str) -> KioskDevice | None:
        """The enrolled device that has this secret; None for any other, and for one that was closed."""
        mine = sa.select(t.kiosks).where(_K.token_hash == token_hash, _K.enrolled_at.is_not(None), _K.closed_at.is_(None))
        row = self.conn.execute(mine).first()
        return None if row is None else _device(row)

    def may_enrol(self, token_hash: str, now: datetime) -> bool:
        """Whether an address for enrolment still works."""
        return self.conn.execute(sa.select(_K.id).where(*_waits(token_hash, now))).first() is not None

    def slip_holds(self, slip_hash: str, now: datetime) -> bool:
        """Whether a slip that leads to no dossier has an answer already."""
        held = sa.select(t.slip_answers.c.id).where(t.slip_answers.c.slip_hash == slip_hash, t.slip_answers.c.keep_until > now)
        return self.conn.execute(held.limit(1)).first() is not None


class Kiosks(KiosksReading, Audit):
    """Writing."""

    def make_kiosk(self, device: KioskDevice, token_hash: str) -> None:
        """A device that may be enrolled by the address with this secret; in the trail."""
        fields = {name: getattr(device, name) for name in KioskDevice.__dataclass_fields__}
        self.conn.execute(sa.insert(t.kiosks), {**fields, "token_hash": token_hash})
        self.audited(device.made_by, "kiosk_made", f"kiosk:{device.id}", {"unit": device.unit})

    def enrol_kiosk(self, token_hash: str, new_hash: str, now: datetime) -> KioskDevice | None:
        """The address is used up, and from now on the device is known by another secret; None when it does not work. Of two at once one
        gets it.
        """
        done = sa.update(t.kiosks).where(*_waits(token_hash, now)).values(token_hash=new_hash, enrolled_at=now, seen_at=now)
        if self.conn.execute(done).rowcount != 1:
            return None
        device = self.kiosk(new_hash)
        if device is not None:
            self.audited(f"kiosk:{device.id}", "kiosk_enrolled", f"kiosk:{device.id}", {"unit": device.unit})
        return device

    def saw_kiosk(self, kiosk_id: str, now: datetime) -> None:
        """It is being used."""
        self.conn.execute(sa.update(t.kiosks).where(_K.id == kiosk_id).values(seen_at=now))

    def close_kiosk(self, kiosk_id: str, by: str, now: datetime) -> bool:
        """It opens no question any more, nor does its address; in the trail. False when there is none, or it was closed before."""
        closed = sa.update(t.kiosks).where(_K.id == kiosk_id, _K.closed_at.is_(None)).values(closed_at=now)
        if self.conn.execute(closed).rowcount != 1:
            return False
        self.audited(by, "kiosk_closed", f"kiosk:{kiosk_id}")
        return True


def _waits(token_hash: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (_K.token_hash == token_hash, _K.enrolled_at.is_(None), _K.closed_at.is_(None), _K.made_at > now - ENROL)


def _device(row: Any) -> KioskDevice:
    return KioskDevice(**{name: getattr(row, name) for name in KioskDevice.__dataclass_fields__})
