"""The ledger: its promises, one after the other, on the very database it will stand on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from hailong.events import BY_NAME, DossierClosed, SurveyAnswered, UnitChanged
from hailong.ports import Claimed, Contact, Decision, DossierAct, Handover, Invalid, Receipt, Settlement
from hailong.settings import Settings
from ops.acceptance.sample import sample
from ops.acceptance.step import Step, must, tried
from sinks.ledger import Ledger, Tools, Vault, open_ledger
from sinks.ledger.scratch import scratch

PART: Final = "ledger"
WRITERS: Final = 4
EACH: Final = 15
_RIGHTS: Final = (
    "PostgreSQL: give the user of HAILONG_LEDGER the right CREATE on its database. SQLite: give this user the right to write in its folder."
)
_KEEPS: Final = (
    "Do not begin on this database: the ledger's promises do not hold there. Use PostgreSQL 14 or newer, or SQLite on a local disk."
)


def examine_ledger(settings: Settings, name: str, now: datetime) -> Iterator[Step]:
    """The steps, in a scratch schema (PostgreSQL) or file (SQLite)."""
    password = Path(settings.ledger_password_file).read_text().strip() if settings.ledger_password_file else None
    place = scratch(settings.ledger, name, password)
    opened: list[str] = []
    yield (made := tried(PART, "schema", lambda: opened.append(place.__enter__()), _RIGHTS))
    if not made.ok:
        return
    desk = _Desk(opened[0], password, now)
    try:
        for work in STEPS:
            yield tried(PART, (work.__doc__ or work.__name__).rstrip("."), partial(work, desk), _KEEPS)
    finally:
        desk.ledger.close()
        gone = tried(PART, "scratch ledger gone", partial(_gone, place), f"Drop the schema {name} by hand.")
    yield gone


def _gone(place: AbstractContextManager[str]) -> None:
    place.__exit__(None, None, None)


class _Desk:
    """A scratch ledger and what the steps do at it."""

    def __init__(self, address: str, password: str | None, now: datetime) -> None:
        self.now = now
        self._address = address
        self._password = password
        self._numbers = iter(range(1, 1_000_000))
        self.ledger = self.open("acceptance")

    def open(self, writer: str) -> Ledger:
        return open_ledger(self._address, self._tools(writer), writer, self._password)

    def _tools(self, writer: str) -> Tools:
        return Tools(
            registry_id="acceptance",
            vault=Vault(lambda month: month.encode().ljust(32, b".")),
            contact_hash=lambda kind, value: f"{kind}:{value}",
            code_hash=lambda code: f"hash of {code}",
            new_id=lambda: f"{writer}-{next(self._numbers)}",
            code_for=lambda survey, purpose, channel: f"{survey}-{purpose}-{channel}",
        )

    def act(self, ref: str, phone: str) -> DossierAct:
        fact = sample(BY_NAME["dossier.closed.v1"], 1, self.now, full=True)
        assert isinstance(fact, DossierClosed)  # noqa: S101 (its topic)
        known = type(fact)(**{f: getattr(fact, f) for f in fact.__struct_fields__} | {"event_id": f"closed:{ref}", "dossier_ref": ref})
        return DossierAct(known.event_id, "content", known, "code", self.now, None, Contact(phone, None), None, "vi")

    def take(self, ref: str, phone: str) -> str:
        with self.ledger.begin() as tx:
            return tx.take_act(self.act(ref, phone), self.now).status

    def decide(self, *refs: str) -> list[str]:
        with self.ledger.begin() as tx:
            slots = tx.slots_for_decision(refs)
            until = self.now + timedelta(days=30)
            tx.decide([Decision(r, slots[r].survey_id, slots[r].contacts, True, None, "sms", self.now, until) for r in refs])
            return [slots[r].survey_id for r in refs]

    def claim(self, ledger: Ledger | None = None, limit: int = 20) -> list[Claimed]:
        with (ledger or self.ledger).begin() as tx:
            return tx.claim_due(self.now, self.now, self.now + timedelta(seconds=30), limit, "w")


def _taken(desk: _Desk) -> str:
    """an act is taken once, its fact with it"""
    must([desk.take("d1", "+84900000001"), desk.take("d1", "+84900000001")] == ["new", "duplicate"], "A repeated act was not recognised.")
    pending = desk.ledger.pending()
    must(len(pending) == 1 and pending[0].record.topic == "dossier.closed.v1", "The fact does not wait in the outbox.")
    desk.ledger.published([p.id for p in pending])
    must(desk.ledger.pending() == [], "A published fact is still there.")
    return "1 fact"


def _rolled_back(desk: _Desk) -> str:
    """a transaction that fails leaves nothing"""
    try:
        with desk.ledger.begin() as tx:
            tx.take_act(desk.act("gone", "+84900000009"), desk.now)
            raise Invalid("on purpose")
    except Invalid:
        pass
    with desk.ledger.read() as reader:
        must(not reader.known("gone"), "Half a transaction was kept.")
    return ""


def _sent(desk: _Desk) -> str:
    """a message is claimed once, settled, its receipt applied"""
    desk.decide("d1")
    (one,) = desk.claim()
    must(one.contact is not None and one.contact.phone == "+84900000001", "The vault gave another contact.")
    must(desk.claim() == [], "A message was claimed twice.")
    with desk.ledger.begin() as tx:
        tx.settle([Settlement(one, "handed_over", Handover("twilio", "SM1", 1))], desk.now)
        tx.store_receipt(Receipt("twilio", "SM1", "delivered", None), desk.now)
        must(tx.apply_receipts(desk.now, 10) == 1, "The receipt was not applied.")
    with desk.ledger.read() as reader:
        must(reader.outcomes() == {"valid": 1, "asked": 1, "waiting": 0, "not_asked": {}}, "The outcomes do not add up.")
    return ""


def _capped(desk: _Desk) -> str:
    """nobody is asked twice within the cap, nor after an opt-out"""
    for ref in ("d2", "d3"):
        desk.take(ref, "+84900000001" if ref == "d2" else "+84900000003")
    _, third = desk.decide("d2", "d3")
    must([c.ref for c in desk.claim()] == [third], "A number was asked twice within the cap.")
    with desk.ledger.begin() as tx:
        must(tx.opt_out(f"{third}-invitation-sms", desk.now, "link") == "under_way", "The message under way was not seen.")
    desk.take("d4", "+84900000003")
    desk.decide("d4")
    must(desk.claim() == [], "Somebody who opted out was asked.")
    return ""


def _raced(desk: _Desk) -> str:
    """several writers at once claim each message once"""
    refs = [f"r{n}" for n in range(WRITERS * EACH)]
    with desk.ledger.begin() as tx:
        for n, ref in enumerate(refs):
            tx.take_act(desk.act(ref, f"+8491{n:07d}"), desk.now)
    desk.decide(*refs)
    claimed: list[str] = []
    faults: list[str] = []

    def work(writer: str) -> None:
        mine = desk.open(writer)
        try:
            while got := desk.claim(mine, limit=3):
                claimed.extend(c.ref for c in got)
        except Exception as e:  # told below
            faults.append(type(e).__name__)
        finally:
            mine.close()

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(WRITERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    must(not faults, f"{len(faults)} of {WRITERS} writers failed ({', '.join(sorted(set(faults)))}).")
    must(len(claimed) == len(set(claimed)) == len(refs), f"{len(claimed)} claims were made of {len(refs)} messages.")
    return f"{len(refs)} messages, {WRITERS} writers"


def _counted(desk: _Desk) -> str:
    """answers get one order without a gap"""
    with desk.ledger.begin() as tx:
        seqs = []
        for n in range(1, 6):
            fact = sample(BY_NAME["survey.answered.v1"], n, desk.now, full=False)
            assert isinstance(fact, SurveyAnswered)  # noqa: S101 (its topic)
            seqs += [c.seq for c in (*tx.count(fact, desk.now), *tx.count(fact, desk.now))]
        must(seqs == list(range(1, 6)), "The order of the answers has a gap or a double.")
        tx.save_detectors(5, {"unit:x": b"state"})
        must(tx.detector_states() == (5, {"unit:x": b"state"}), "The judge's state came back changed.")
    return ""


def _registered(desk: _Desk) -> str:
    """units are dated, dead letters sealed"""
    unit = sample(BY_NAME["unit.changed.v1"], 1, desk.now, full=True)
    assert isinstance(unit, UnitChanged)  # noqa: S101 (its topic)
    with desk.ledger.begin() as tx:
        must([tx.put_unit(unit), tx.put_unit(unit)] == [True, False], "A unit that is there already was written again.")
        dead = ("dossier.closed.v1", 0, 7, "acceptance", "source", "on purpose", 1, b"bytes \x00\xff", desk.now)
        must([tx.put_dead(*dead), tx.put_dead(*dead)] == [True, False], "A dead letter was put aside twice.")
        letter = tx.open_dead(tx.dead_letters()[0].id)
        must(letter is not None and letter[1] == b"bytes \x00\xff", "A dead letter came back changed.")
    with desk.ledger.read() as reader:
        must([u.name for u in reader.units()] == [unit.name], "A name came back changed; the database must be UTF-8.")
    return ""


STEPS: Final[tuple[Callable[[_Desk], str], ...]] = (_taken, _rolled_back, _sent, _capped, _raced, _counted, _registered)
