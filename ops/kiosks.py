"""What the survey site's page for devices at desks needs of the installation, and how the office makes a device's address."""

from __future__ import annotations

import hashlib
from datetime import datetime

from hailong.domain.units import LOCAL, Registry
from hailong.ports import Invalid, SlotForAnswer
from sinks.ledger import Ledger
from sinks.ledger.kiosks import SEEN_EVERY, KioskDevice


def secret_hash(secret: str) -> str:
    """What is kept of the 128 random bits of an address or a cookie: nobody who has it can make them again."""
    return hashlib.sha256(b"hailong kiosk v1:" + secret.encode()).hexdigest()


def offer(ledger: Ledger, device: KioskDevice, token: str, survey_url: str) -> str:
    """A device may be enrolled: the address that does it, once, within 24 hours. ``token``: 128 random bits or more.

    Raises Invalid for a unit there is not on the day it is made.
    """
    with ledger.read() as reader:
        if Registry(reader.units()).on(device.unit, device.made_at.astimezone(LOCAL).date()) is None:
            raise Invalid("unknown_unit", "unit", f"{device.unit}: no such unit today. `hailong import units` brings it in.")
    with ledger.begin() as tx:
        tx.make_kiosk(device, secret_hash(token))
    return f"{survey_url.rstrip('/')}/kiosk/enrol/{token}"


class KioskBook:
    """surveys.doors.kiosk.Devices on the ledger. Synchronous; every method raises Retryable when the ledger is away."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def device(self, secret: str, now: datetime) -> KioskDevice | None:
        """The device that has this secret; that it was seen is noted."""
        with self._ledger.read() as reader:
            found = reader.kiosk(secret_hash(secret))
        if found is not None and (found.seen_at is None or now - found.seen_at >= SEEN_EVERY):
            with self._ledger.begin() as tx:
                tx.saw_kiosk(found.id, now)
        return found

    def may_enrol(self, token: str, now: datetime) -> bool:
        """Whether the address with this token still works."""
        with self._ledger.read() as reader:
            return reader.may_enrol(secret_hash(token), now)

    def enrol(self, token: str, secret: str, now: datetime) -> bool:
        """The address is used up; whether it worked. From now on the device is known by ``secret``."""
        with self._ledger.begin() as tx:
            return tx.enrol_kiosk(secret_hash(token), secret_hash(secret), now) is not None

    def by_ticket(self, unit: str, ticket: str, now: datetime) -> SlotForAnswer | None:
        """The slot of a number drawn at a desk today."""
        with self._ledger.read() as reader:
            return reader.slot_by_ticket(unit, now.astimezone(LOCAL).date(), ticket)

    def slip_holds(self, slip_hash: str, now: datetime) -> bool:
        """Whether a slip that leads to no dossier yet has an answer."""
        with self._ledger.read() as reader:
            return reader.slip_holds(slip_hash, now)
