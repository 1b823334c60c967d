"""A survey site as citizens meet it: the real process over a real ledger, its log away, so that answers lie in the spool.

Time stands still and keys, survey ids and dossiers are the same at every start, so addresses and pictures are too.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from hailong.domain import links
from hailong.events import SurveyAnswered, UnitChanged, decode
from hailong.ports import Contact, Decision, DossierAct, Handover, Settlement
from hailong.settings import Settings, environment, inherited
from ops.clock import ClockFile
from ops.keys import BYTES, NAMES, Keys
from ops.wiring import Wiring
from sinks.ledger import Ledger, Tools, Vault, migrate, open_ledger
from sinks.ledger import schema as t
from surveys.answers.spool import spooled
from tests.contract.build import answered, closed

ROOT: Final = Path(__file__).resolve().parents[2]
NOW: Final = datetime(2026, 3, 12, 9, 0, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
DESK: Final = "Bộ phận Một cửa xã Thượng Cốc"
UNIT: Final = "H28.12"
FOUNDED: Final = date(2025, 7, 1)
_START_S: Final = 30.0


@dataclass(frozen=True)
class Slip:
    """What a citizen holds in their hand."""

    survey_id: str
    code: str
    """Of the link in the message."""
    slip_code: str
    dossier_code: str
    phone: str


@dataclass
class Office:
    """A running site and the ledger behind it."""

    url: str
    ledger: Ledger
    wiring: Wiring
    data: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def slip(self, *, ended: date = date(2026, 3, 10), days: int = 30, already: int | None = None, **dossier: Any) -> Slip:
        """A new dossier that is asked about and was written to by SMS. ``days``: its link is good for, from the day it ended;
        ``already``: the answer that stands; further words go to its ending, ``language`` to the person.
        """
        number = next(self._numbers)
        at = datetime.combine(ended, NOW.timetz())
        dossier_code, phone, slip_code = f"H28.12-260310-{number:04d}", f"+8491{number:07d}", f"SLIP{number:04d}"
        survey_id = self._asked(dossier_code, phone, slip_code, at, days, dossier)
        self._written_to(at)
        if already is not None:
            with self.ledger.begin() as tx:
                tx.count(answered(survey_id, already, answered_at=NOW), NOW)
        return Slip(survey_id, self.wiring.code_for(survey_id, "invitation", "sms"), slip_code, dossier_code, phone)

    def _asked(self, dossier_code: str, phone: str, slip_code: str, at: datetime, days: int, dossier: dict[str, Any]) -> str:
        day, language = at.date(), dossier.pop("language", "vi")
        given = {"received_on": day - timedelta(days=9), "ended_on": day, "heard_on": day, "receiving_unit": UNIT, "handling_unit": UNIT}
        ref = self.wiring.keyed.dossier_ref("s", dossier_code)
        fact = closed(ref, **(given | dossier))
        act = DossierAct(fact.event_id, "c", fact, dossier_code, at, None, Contact(phone, None), None, language, slip_code=slip_code)
        with self.ledger.begin() as tx:
            tx.take_act(act, at)
            found = tx.slots_for_decision([ref])[ref]
            tx.decide([Decision(ref, found.survey_id, found.contacts, True, None, "sms", at, at + timedelta(days=days))])
        return found.survey_id

    def _written_to(self, at: datetime) -> None:
        with self.ledger.begin() as tx:
            claims = tx.claim_due(at, at, at + timedelta(seconds=30), 50, "w")
            tx.settle([Settlement(c, "handed_over", Handover("twin", f"SM{c.claim_id}", 1)) for c in claims], at)

    def answers(self, slip: Slip) -> list[SurveyAnswered]:
        """What the site kept of a dossier's answers, each once, in order."""
        facts = [decode(r.topic, r.value) for r in spooled(self.data / "spool") if r.key == slip.survey_id.encode()]
        return list({f.event_id: f for f in facts if isinstance(f, SurveyAnswered)}.values())

    def may_write_to(self, slip: Slip) -> bool:
        """Whether the dossier's number may still get messages."""
        mine = t.contacts.c.hash == self.wiring.peppered.newest("phone", slip.phone)
        with self.ledger.read() as reader:
            return reader.conn.execute(sa.select(t.contacts.c.opted_out_at).where(mine)).scalar_one() is None


@contextmanager
def opened(folder: Path) -> Iterator[Office]:
    """A site that answers, over a new ledger in ``folder``."""
    port, nobody = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        data_dir=folder / "data", keys_dir=folder / "keys", ledger=f"sqlite:///{folder / 'ledger.db'}", clock=f"file:{folder / 'clock'}",
        kafka=f"127.0.0.1:{nobody}", clickhouse_url=f"http://127.0.0.1:{nobody}", survey_url=url, unknown_codes_per_minute=600,
    )  # fmt: skip
    ClockFile(folder / "clock", NOW)
    wiring = Wiring(settings)
    _make_keys(wiring.keys)
    migrate(settings.ledger)
    with _ledger(wiring) as ledger, _running(settings, port, folder / "log"):
        yield Office(url, ledger, wiring, settings.data_dir)


def _make_keys(keys: Keys) -> None:
    """The same at every start, so that codes are too."""
    keys.folder.mkdir(parents=True)
    for name in NAMES:
        (keys.folder / f"{name}.key").write_bytes(name.encode().ljust(BYTES, b"."))
    for months in range(3):
        keys.make_missing(NOW.date() - timedelta(days=31 * months))


@contextmanager
def _ledger(wiring: Wiring) -> Iterator[Ledger]:
    numbers = count(1)
    mine = Tools(
        registry_id=wiring.settings.registry_id,
        vault=Vault(wiring.keys.month),
        contact_hash=wiring.peppered.newest,
        code_hash=links.code_hash,
        new_id=lambda: f"id{next(numbers):06d}",
        code_for=wiring.code_for,
        slip_hash=wiring.keyed.slip_hash,
        zone=NOW.tzinfo or UTC,
    )
    ledger = open_ledger(wiring.settings.ledger, mine, "tests")
    unit = UnitChanged(event_id="unit", registry_id=mine.registry_id, code=UNIT, name=DESK, level="commune", valid_from=FOUNDED, seq=1)
    try:
        with ledger.begin() as tx:
            tx.put_unit(unit)
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _running(settings: Settings, port: int, said: Path) -> Iterator[None]:
    with said.open("wb") as log:
        command = [sys.executable, "-m", "ops.site", "survey", "--port", str(port)]
        child = subprocess.Popen(command, cwd=ROOT, env=inherited() | environment(settings), stdout=log, stderr=log)
    try:
        _wait(child, port, said)
        yield
    finally:
        child.terminate()
        child.wait(15)


def _wait(child: subprocess.Popen[bytes], port: int, said: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and child.poll() is None:
        with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the survey site did not come up; it said:\n{said.read_text('utf-8')[-2000:]}")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
