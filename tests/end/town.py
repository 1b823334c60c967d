"""A small town on a whole stack: its desks send dossiers, its citizens read what the carrier has for them, its officers look."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from hailong.domain.units import LOCAL
from hailong.events import Record
from ops.local.home import REPOSITORY
from ops.local.ports import Ports
from ops.local.stack import Stack
from ops.proof.citizens import LINK, Visit, answer, opt_out
from ops.wiring import Wiring

START: Final = datetime(2026, 3, 2, 7, 28, 40, tzinfo=LOCAL)
"""A Monday; the daily mail goes at 07:30, so the stack must be up within 80 s."""
BASE: Final = 21850
PATIENCE_S: Final = 45.0
OFFICERS: Final = """\
office = ["office@hoabinh.example"]
xa-07 = ["xa-07@hoabinh.example"]
"*" = ["others@hoabinh.example"]
"""
T = TypeVar("T")


class Town:
    """One stack in a loop of its own; everything it is asked goes over its public doors."""

    def __init__(self, folder: Path) -> None:
        self.data = folder
        (folder / "keys").mkdir(parents=True, mode=0o700)
        (folder / "keys" / "officers.toml").write_text(OFFICERS)
        base = next(b for b in range(BASE, BASE + 41, 8) if not Ports.from_base(b).taken())
        overrides = {"spread_minutes": 0, "ask_at_once": True, "any_hour": True, "retry_base_s": 2.0, "dead_letter_limit": 1000}
        self.stack = Stack(folder, port_base=base, clock=START.replace(tzinfo=None).isoformat(), overrides=overrides)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.http = httpx.Client(timeout=30, trust_env=False)
        self._codes = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(180)

    def start(self) -> None:
        self.do(self.stack.start())
        key = (self.data / "keys" / "intake.key").read_text().strip()
        self.http.headers["Authorization"] = f"Bearer {key}"

    def close(self) -> None:
        self.http.close()
        self.do(self.stack.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- doors

    def __getitem__(self, name: str) -> str:
        return self.stack.addresses[name]

    def item(self, phone: str | None = None, email: str | None = None, **fields: Any) -> dict[str, Any]:
        """A dossier that ended yesterday."""
        self._codes += 1
        plain = {
            "dossier_code": f"H28.07-260301-{self._codes:05d}", "status_code": 10, "receiving_unit_code": "xa-07", "field_code": "civil",
            "received_at": "2026-02-24T08:00:00+07:00", "finished_at": "2026-03-01T15:00:00+07:00",
            "contact": {"phone": phone, "email": email},
        }  # fmt: skip
        return plain | fields

    def post(self, *items: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"{self['intake']}/v1/dossiers", json=list(items))

    def messages(self, to: str | None = None) -> list[dict[str, Any]]:
        """What the carrier has accepted, oldest first."""
        found = self.http.get(f"{self['carrier']}/messages.json", params={"after": 0, "limit": 1000}).json()
        return [m for m in sorted(found, key=lambda m: m["n"]) if to is None or m["to"] == to]

    def sign_in(self, login: str, link: str) -> None:
        """On the officers' site, by a one-time link; from now on ``http`` is signed in there."""
        words = {"password": "mưa rào trên bản nhỏ", "again": "mưa rào trên bản nhỏ"}
        assert self._send(link, words).status_code == 303
        assert self._send(f"{self['dashboard']}/sign-in", {"login": login, "password": words["password"]}).status_code == 303

    def _send(self, address: str, fields: dict[str, str]) -> httpx.Response:
        (csrf,) = re.findall(r'name="csrf" value="([^"]+)"', self.http.get(address).text)
        return self.http.post(address, data=fields | {"csrf": csrf})

    def visit(self, to: str, score: int) -> Visit:
        """The link in somebody's first message."""
        (found,) = [LINK.search(m["body"]) for m in self.messages(to)][:1]
        assert found is not None
        return Visit(found[1], score)

    def answer(self, visits: Sequence[Visit], reasons: Sequence[str] = ()) -> None:
        async def all_of_them() -> None:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
                done = await asyncio.gather(*(answer(client, self["survey"], v, reasons) for v in visits))
                assert all(done)

        self.do(all_of_them())

    def opt_out(self, visit: Visit) -> bool:
        async def press() -> bool:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
                return await opt_out(client, self["survey"], visit)

        return self.do(press())

    def hailong(self, *arguments: str, code: int = 0) -> str:
        """What a command says on stdout."""
        argv = [sys.executable, "-m", "ops", *arguments, "--data", str(self.data)]
        ran = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=90)
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stderr}"
        return ran.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.hailong(*arguments, "--json"))

    def outcomes(self) -> dict[str, Any]:
        ledger = Wiring(self.stack.settings).ledger("test")
        try:
            with ledger.read() as reader:
                return reader.outcomes()
        finally:
            ledger.close()

    def write(self, topic: str, value: bytes) -> None:
        """A record straight into the log."""

        async def publish() -> None:
            publisher = Wiring(self.stack.settings).aio_publisher("test")
            await publisher.publish([Record(topic, b"poison", value, ())])
            await publisher.close()

        self.do(publish())

    def freeze(self, name: str) -> Callable[[], None]:
        """Stop a part without killing it; call what comes back to let it go on."""
        pid = self.stack.pids()[name]
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)


def until(look: Callable[[], T], within: float = PATIENCE_S) -> T:
    """What ``look`` says as soon as that is something; the last of it when patience ends."""
    end = time.monotonic() + within
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found
