"""The whole of hailong on one machine: which parts there are, what they are told, in which order they start.

``async with Stack(folder, port_base=…) as stack`` runs it from a program of ours (demo, proofs, benchmarks, tests); ``bin/hailong up``
does the same and waits for a signal.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hailong import settings as house
from hailong.domain.modes import ModeError, read_modes
from hailong.domain.units import LOCAL
from hailong.settings import SettingError, Settings
from ops.clock import Governor, Pace, TimeGoesBack, make_clock, plan, real_now
from ops.local import broker, jars, java, keys, readiness
from ops.local.broker import LOOPBACK, Broker
from ops.local.folder import DataFolder
from ops.local.home import HOME, REPOSITORY
from ops.local.ports import DEFAULT_BASE, Ports
from ops.local.refusal import Refusal
from ops.local.supervisor import Child, Ready, Status, Supervisor

ROLES: Final = ("decide", "send", "count", "judge", "archive", "timer")
SITES: Final = ("intake", "survey", "dashboard")
_GIVEN_HOLDS: Final = (
    "survey_url",
    "dashboard_url",
    "intake_url",
    "receipts_url",
    "officers_file",
    "intake_keys_file",
    "spread_minutes",
    "slot_minutes",
    "ask_at_once",
    "any_hour",
    "rules_file",
    "daily_budget",
    "provider_rates",
)
"""Settings a person may set for a local stack too: they hold where they are named, or differ from the default."""


class Stack:
    """One stack on one data folder.

    - ``settings``: as the person set them; the stack's own addresses replace what must be on this machine.
    - ``named``: fields the person set by name, be it to their default.
    - ``overrides``: fields of Settings that hold over everything.
    - ``workers``: role → number of processes, 1 where not given.
    - ``parts``: names of the only children wanted (tests: ``{"kafka", "store"}``); None: all.
    - ``clock``: as ``--clock``; ``pace`` is made for the settings when time is governed.
    - ``progress`` hears of the jars that are fetched.
    """

    def __init__(
        self,
        data: Path,
        *,
        home: Path = HOME,
        port_base: int = DEFAULT_BASE,
        clock: str | None = None,
        settings: Settings | None = None,
        named: Collection[str] = (),
        overrides: Mapping[str, Any] | None = None,
        workers: Mapping[str, int] | None = None,
        parts: Collection[str] | None = None,
        pace: Callable[[Settings], Pace] | None = None,
        progress: jars.Progress | None = None,
    ) -> None:
        self.folder = DataFolder(data)
        self.ports = Ports.from_base(port_base)
        self._home = home
        self._clock = clock
        self._given = settings or Settings()
        self._named = frozenset(named)
        self._overrides = dict(overrides or {})
        self._workers = dict.fromkeys(ROLES, 1) | dict(workers or {})
        self._parts = set(parts) if parts is not None else None
        self._pace = pace
        self._progress = progress
        self._started = real_now()
        self._phase = "starting"
        self._keeper: Supervisor | None = None
        self._governing: asyncio.Task[None] | None = None
        self._settings: Settings | None = None
        self._days_per_second: float | None = None

    # --- life ----------------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when every part is ready. Raises Refusal, and leaves nothing running then, nor a folder in which nothing came to be."""
        self._check_parts()
        self._check_modes()
        await asyncio.to_thread(self.folder.claim)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        await asyncio.to_thread(self.ports.check)
        node = await asyncio.to_thread(self._broker)
        try:
            made = keys.ensure(self.folder.keys)
            clock = plan(self.folder.path, self._clock, real_now())
        except TimeGoesBack as back:
            raise Refusal(
                f"The data folder {self.folder.path} has reached {back}; time in it never goes backwards. "
                "Choose a later START, leave --clock out to go on as before, or choose another folder with --data.",
                wrong_use=True,
            ) from back
        except OSError as fault:
            raise Refusal(f"The keys in {self.folder.keys} cannot be used: {fault.strerror}. Mend their rights and start again.") from fault
        self._settings = self._compose(made, clock.spec)
        await asyncio.to_thread(self._check_files)
        self._days_per_second = clock.days_per_second
        shutil.rmtree(self.folder.progress, ignore_errors=True)  # what another life wrote
        self.folder.progress.mkdir(mode=0o700)
        governor = self._governor(clock.file, clock.days_per_second)
        self._keeper = Supervisor(self._children(node, made), self.folder.logs, self._note)
        await self._keeper.start()
        self._governing = asyncio.create_task(governor.run(), name="governor") if governor else None
        self._phase = "up"
        self._note()

    async def stop(self) -> list[str]:
        """Stop every part within 10 s; the names of those that had to be killed."""
        self._phase = "stopping"
        if self._governing is not None:
            self._governing.cancel()
            await asyncio.gather(self._governing, return_exceptions=True)
        killed = await self._keeper.stop() if self._keeper is not None else []
        self.folder.release()
        return killed

    async def failed(self) -> None:
        """Wait until the stack cannot go on and raise why. Returns never; to be raced with a signal."""
        watched: list[asyncio.Future[None]] = [asyncio.ensure_future(self._running.failed())]
        if self._governing is not None:
            watched.append(self._governing)
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            watched[0].cancel()

    # --- what it tells -------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """What every part was told. Only after start()."""
        if self._settings is None:
            raise RuntimeError("the stack was not started")
        return self._settings

    @property
    def addresses(self) -> dict[str, str]:
        """Where the parts answer on this machine."""
        return {
            "intake": _url(self.ports.intake),
            "survey": _url(self.ports.survey),
            "dashboard": _url(self.ports.dashboard),
            "carrier": _url(self.ports.carrier_http),
            "store": _url(self.ports.store),
            "kafka": f"{LOOPBACK}:{self.ports.kafka}",
        }

    def status(self) -> list[Status]:
        """Every part."""
        return self._running.status()

    def pids(self) -> dict[str, int]:
        """Process ids of the parts that run now, by name: kafka, store, carrier, the sites, ROLE-SLOT."""
        return self._running.pids()

    def kill(self, name: str) -> int:
        """kill -9 one part; its process id. It is started again. Raises LookupError when it does not run now."""
        return self._running.kill(name)

    async def is_up(self, name: str, within: float = 60.0) -> None:
        """Wait until a part is ready (again). Raises TimeoutError."""
        await self._running.is_up(name, within)

    @property
    def _running(self) -> Supervisor:
        if self._keeper is None:
            raise RuntimeError("the stack was not started")
        return self._keeper

    def _note(self) -> None:
        """Tell other processes; called at every change. Raises OSError."""
        parts = [{**vars(status), "started": status.started and status.started.isoformat()} for status in self.status()]
        self.folder.write_state(
            {
                **self.addresses,
                "keys": str(self.folder.keys / "intake.key"),
                "state": self._phase,
                "clock": self.settings.clock,
                "days_per_second": self._days_per_second,
                "settings": house.environment(self.settings),
                "supervisor": os.getpid(),
                "started": self._started.isoformat(timespec="seconds"),
                "parts": parts,
            }
        )

    # --- how it is put together ----------------------------------------------------------------------------------------------

    def _check_parts(self) -> None:
        """Raises Refusal when a part is wanted that there is not."""
        known = {"kafka", "store", "carrier", "setup", *SITES, *(f"{role}-{slot}" for role in ROLES for slot in range(self._workers[role]))}
        if unknown := (self._parts or set()) - known:
            raise Refusal(f"There is no part {min(unknown)}. The parts are {', '.join(sorted(known))}.", wrong_use=True)

    def _check_modes(self) -> None:
        """Raises Refusal where a channel is meant for people: before anything is made."""
        try:
            modes = read_modes(str(self._overrides.get("channel_modes", self._given.channel_modes)))
        except ModeError as fault:
            raise Refusal(f"HAILONG_CHANNEL_MODES: {fault} Write it as sms=trial,email=trial.", wrong_use=True) from fault
        if live := [channel for channel, mode in modes.items() if mode == "live"]:
            raise Refusal(
                f"HAILONG_CHANNEL_MODES has {live[0]}=live, and a stack on one machine never goes live: it asks at any hour, and its "
                f"carrier takes every message. Set {live[0]}=trial, or unset it. The way on servers is in docs/operations.md, "
                '"Going live with one provider".',
                wrong_use=True,
            )

    def _check_files(self) -> None:
        """Raises Refusal for a file of the office that is wrong, where a part is wanted that goes by them."""
        if self._parts is not None and not self._parts - {"kafka", "store", "carrier"}:
            return
        day = make_clock(self.settings.clock).now().astimezone(LOCAL).date()
        try:
            import_module("ops.given").refuse(self.settings, day)  # only here: `status` is not to wait for the adapters
        except SettingError as fault:
            raise Refusal(str(fault), wrong_use=True) from fault

    def _broker(self) -> Broker:
        folder = broker.ensure(self._home, self._progress)
        node = Broker(self.folder.path / "kafka", self.ports.kafka, self.ports.controller, folder, java.find())
        node.prepare()
        return node

    def _compose(self, made: keys.Keys, clock: str) -> Settings:
        """The settings of all parts: what was given, then what must be on this machine, then the overrides."""
        data = self.folder.path
        local: dict[str, Any] = {
            "data_dir": data,
            "keys_dir": self.folder.keys,
            "kafka": self.addresses["kafka"],
            "kafka_replication": 1,
            "clickhouse_url": self.addresses["store"],
            "clickhouse_engine": "single",
            "ledger": f"sqlite:///{data / 'ledger.db'}",
            "clock": clock,
            "intake_url": self.addresses["intake"],
            "survey_url": self.addresses["survey"],
            "dashboard_url": self.addresses["dashboard"],
            "dashboard_loopback_only": True,
            "intake_keys_file": str(made.intake_keys),
            "officers_file": str(made.officers),
            "twilio_base_url": self.addresses["carrier"],
            "twilio_account_sid": made.twilio_account.read_text(encoding="ascii").strip(),
            "twilio_token_file": str(made.twilio_token),
            "smtp_host": LOOPBACK,
            "smtp_port": self.ports.carrier_smtp,
            "smtp_tls": False,
            "gateway_file": self._given.gateway_file or str(REPOSITORY / "examples" / "gateways" / "json-example.toml"),
            "gateway_secrets_dir": made.gateway,
            "gateway_base_url": self.addresses["carrier"],
            "reserves": self._given.reserves or ("sms=twilio" if self._given.sms_provider == "gateway" else "sms=gateway"),
            "zns_base_url": self.addresses["carrier"],
            "zns_oauth_url": self.addresses["carrier"],
            "zns_app_id": "1000000000000000001",
            "zns_secret_file": str(made.zns_secret),
            "zns_oa_secret_file": str(made.zns_oa_secret),
            "zns_token_file": made.zns_tokens,
            "print_dir": str(data / "slips"),
            "bounce_maildir": str(data / "carrier" / "bounces"),
            "spread_minutes": 2,  # nothing leaves this machine: people who try it should not wait for hours
            "slot_minutes": 1,
            "ask_at_once": True,
            "any_hour": True,
            "carrier_url": self.addresses["carrier"],
        }
        default = Settings()
        held = {name for name in _GIVEN_HOLDS if name in self._named or getattr(self._given, name) != getattr(default, name)}
        return replace(self._given, **{name: value for name, value in local.items() if name not in held} | self._overrides)

    def _governor(self, file: Any, rate: float | None) -> Governor | None:
        if file is None or rate is None:
            return None
        if self._pace is None:
            raise Refusal(
                "--clock with a rate needs a stack that knows what waits in it; this command has none. Leave @… out, or use `demo`.",
                wrong_use=True,
            )
        return Governor(file, rate, self._pace(self.settings))

    def _children(self, node: Broker, made: keys.Keys) -> list[Child]:
        data, ports = self.folder.path, self.ports
        store = ["ops.store", "--data", str(data / "clickhouse"), "--port", str(ports.store)]
        carrier = ["ops.carrier", "--data", str(data / "carrier")]
        carrier += ["--http-port", str(ports.carrier_http), "--smtp-port", str(ports.carrier_smtp)]
        carrier += ["--auth-token-file", str(made.twilio_token), "--account-sid", self.settings.twilio_account_sid]
        carrier += ["--zns-app-id", self.settings.zns_app_id, "--zns-secret-file", str(made.zns_secret)]
        carrier += ["--zns-oa-secret-file", str(made.zns_oa_secret), "--zns-webhook", self.addresses["survey"] + "/receipts/zns"]
        carrier += ["--clock", self.settings.clock]
        everything = [
            Child("kafka", node.argv(), house.inherited(), readiness.kafka(ports.kafka), cwd=node.folder),
            self._python("store", store, readiness.http(ports.store, "/ping")),
            self._python("carrier", carrier, readiness.http(ports.carrier_http, "/healthz")),
            replace(self._python("setup", ["ops.setup"]), kind="once", after=("kafka", "store")),
            *(self._worker(role, slot) for role in ROLES for slot in range(self._workers[role])),
            *(self._site(name, port) for name, port in ports if name in SITES),
        ]
        wanted = {child.name for child in everything} if self._parts is None else self._parts
        return [replace(child, after=wanted & set(child.after)) for child in everything if child.name in wanted]

    def _python(self, name: str, module: list[str], ready: Ready | None = None) -> Child:
        told = house.environment(replace(self.settings, service=name))
        env = {**house.inherited(), **told, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)}
        # In a folder of the stack: libraries leave things where they stand, and the repository may be read-only.
        return Child(name, [sys.executable, "-P", "-m", *module], env, ready, cwd=self.folder.run)

    def _worker(self, role: str, slot: int) -> Child:
        name = f"{role}-{slot}"
        ready = readiness.worker(self.folder.progress / f"{name}.json")
        return replace(self._python(name, ["ops.worker", role, "--slot", str(slot)], ready), after=("setup", "carrier"))

    def _site(self, name: str, port: int) -> Child:
        ready = readiness.http(port, "/healthz")
        return replace(self._python(name, ["ops.site", name, "--port", str(port)], ready), after=("setup",))


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
