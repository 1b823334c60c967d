"""``prove crash``: a steady load, kill -9 at seeded random moments, then the checks.

The load comes through intake's HTTP and its files; citizens answer by HTTP and try again like people; poison, duplicates, reopened
dossiers and opt-outs are mixed in. Everything runs on a stack of its own in a folder of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from hailong.ports import Retryable
from ops import rebuild
from ops.clock import LOCAL
from ops.doors import office_doors
from ops.kiosks import offer
from ops.local.stack import Stack
from ops.proof import faults
from ops.proof.checks import DOORS, Check, all_checks, by_door
from ops.proof.citizens import Citizens
from ops.proof.desks import Desks, register
from ops.proof.evidence import Evidence, gather
from ops.proof.population import Population, Sent
from ops.proof.texting import Texting
from ops.proof.walkins import WalkIns
from ops.wiring import Wiring
from sinks.ledger import Ledger
from sinks.ledger.kiosks import KioskDevice

START: Final = datetime(2026, 3, 2, 9, tzinfo=LOCAL)
"""A Monday at nine."""
OVERRIDES: Final[dict[str, Any]] = {
    "spread_minutes": 0,
    "ask_at_once": True,
    "cap_days": 0,  # opt-outs alone must hold people's later dossiers back; the cap has proofs of its own
    "send_timeout_s": 4.0,
    "lease_s": 8.0,
    "reconcile_after_s": 3.0,
    "reconcile_gap_s": 3.0,
    "retry_base_s": 1.0,
    "commit_interval_s": 0.5,
    "kafka_session_s": 6,
    "provider_back_after_s": 6.0,
    "dead_letter_limit": 1_000_000,
}
WEIGHTS: Final = {
    "kafka": 2, "store": 2, "carrier": 2, "intake": 2, "survey": 2, "dashboard": 1, "decide-0": 3, "send-0": 2, "send-1": 2, "count-0": 3,
    "judge-0": 2, "archive-0": 3, "timer-0": 1,
}  # fmt: skip
SLEEP_FROM_KILLS: Final = 4
"""A run of so many kills is long enough for a worker to sleep over its lease in it, and for somebody to come by every door."""
AMID: Final = ("kiosk", "sms")
"""Doors at which the survey site is killed while somebody answers: the first time, and now and then."""
AMID_SHARE: Final = 0.04
AMID_WITHIN_S: Final = 60.0
_POISON: Final = (b"", b"{", b'{"dossier_ref": 7}', b"\xff\xfe\x00", b'{"event_id": "x", "registry_id": "y"}', b"[]", b'"asked"')
_POISONED: Final = ("dossier.closed.v1", "dossier.reopened.v1", "survey.answered.v1")


@dataclass(frozen=True)
class Plan:
    """How hard and how long. ``per_second``: dossiers; ``gap``: mean seconds between kills."""

    kills: int
    seed: int
    broken: str = ""
    per_second: float = 12.0
    gap: float = 2.5
    quiet_within: float = 150.0
    """Seconds until all must be quiet; with a break, the harm itself may keep it from ever being."""


@dataclass
class Load:
    """What was handed in, and what came back."""

    population: Population
    poison_share: float = 0.02
    acknowledged: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    poison: int = 0
    reposted: int = 0
    reopened: set[str] = field(default_factory=set)


class Crash:
    """One run."""

    def __init__(self, plan: Plan, data: Path, port_base: int, home: Path, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._data = data
        self._say = say
        self._chance = random.Random(plan.seed)  # noqa: S311 (a seed is the point)
        overrides = OVERRIDES | {"proof_break": plan.broken}
        self._stack = Stack(data, home=home, port_base=port_base, clock=START.isoformat(), overrides=overrides, workers={"send": 2})
        self._load = Load(Population(plan.seed, START))
        self._made: dict[str, Sent] = {}
        self._killed: Counter[str] = Counter()
        self._kills = 0
        self._amid: Counter[str] = Counter()
        self._amid_chance = random.Random(plan.seed + 3)  # noqa: S311 (a chance of its own: the kills' stays as it is)
        self._begun = time.monotonic()
        self._over = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        """The report: ``{seed, kills, passed, checks, counts}``."""
        begun = time.monotonic()
        async with self._stack as stack:
            a, seed = stack.addresses, self._plan.seed
            texting = Texting(a["survey"], a["carrier"], seed, lambda: self._meet("sms"))
            citizens = Citizens(a["survey"], a["carrier"], seed, {}, text=texting.answer)
            wiring = Wiring(stack.settings)
            desk, publisher = wiring.ledger("proof-desk"), wiring.publisher("proof-desk")
            await asyncio.to_thread(register, wiring, publisher)

            def flush() -> None:
                rows = desk.pending()
                publisher.publish([row.record for row in rows])
                desk.published([row.id for row in rows])

            desks = Desks(a["survey"], lambda unit: offer_device(wiring, desk, unit), lambda: self._meet("kiosk"))
            self._walk_ins = WalkIns(a["survey"], seed, office_doors(wiring, desk), citizens.visits, flush, desks)
            stop_citizens = asyncio.Event()
            reading = asyncio.create_task(citizens.run(stop_citizens))
            work = [asyncio.create_task(w) for w in (self._post(citizens), self._files(citizens), self._poison())]
            work += [asyncio.create_task(w) for w in self._provider_trouble()]
            self._begun = time.monotonic()
            await self._kill()
            self._over.set()
            await asyncio.gather(*work)
            self._say(f"load ended: {len(self._load.acknowledged)} dossiers confirmed; waiting until all is quiet")
            await self._quiet(citizens)
            stop_citizens.set()
            await reading
            await self._walk_ins.done()
            await asyncio.to_thread(publisher.close)
            await self._quiet(citizens)
            evidence = Evidence(
                self._load.population.made,
                self._load.acknowledged,
                self._load.refused,
                self._load.reopened,
                self._load.poison,
                citizens.visits,
                self._killed,
            )
            checks = all_checks(await gather(evidence, stack.settings, self._data))
            checks.insert(4, await self._rebuilt(stack))
            checks += [] if self._plan.broken or not self._plan.kills else [went_over(evidence)]
            checks += [came_by_all(evidence, self._amid)] if self._long else []
        return self._report(checks, evidence, time.monotonic() - begun)

    def _report(self, checks: list[Check], e: Evidence, seconds: float) -> dict[str, Any]:
        counts = {
            "dossiers": len(e.sent), "confirmed": len(e.acknowledged), "refused": len(e.refused), "poison": e.poison,
            "sent_again": self._load.reposted, "reopened": len(self._load.reopened), "messages": len(e.messages),
            "thanked": sum(v.thanked for v in e.visits.values()), "opted_out": sum(v.opted_out_at is not None for v in e.visits.values()),
            "turned_away": dict(sum((v.turned_away for v in e.visits.values()), Counter[str]()).most_common()), "by_door": by_door(e),
            "killed_amid": dict(sorted(self._amid.items())),
            "counted": len(e.counted), "killed": dict(sorted(self._killed.items())), "faults": dict(sorted(e.faults.items())),
            "provider_changes": len(e.changes), "seconds": round(seconds, 1),
        }  # fmt: skip
        return {
            "seed": self._plan.seed, "kills": self._plan.kills, "break": self._plan.broken or None, "passed": all(c.ok for c in checks),
            "checks": [asdict(c) for c in checks], "counts": counts,
        }  # fmt: skip

    # --- load

    async def _post(self, citizens: Citizens) -> None:
        """Dossiers through HTTP, some twice, some reopened later, tried again until confirmed."""
        key = (self._data / "keys" / "intake.key").read_text().strip()
        waiting: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(
            base_url=self._stack.addresses["intake"], headers={"Authorization": f"Bearer {key}"}, timeout=30
        ) as client:
            while not self._over.is_set():
                batch = [self._next("http", citizens) for _ in range(max(1, round(self._plan.per_second / 2)))]
                waiting.add(asyncio.create_task(self._hand_in(client, [s.item for s in batch])))
                if self._chance.random() < 0.3 and self._load.acknowledged:
                    waiting.add(asyncio.create_task(self._again(client)))
                await asyncio.sleep(0.5)
            await asyncio.wait(waiting)

    def _next(self, door: str, citizens: Citizens) -> Sent:
        sent = self._load.population.one("http" if door == "http" else "file")
        self._made[sent.item["dossier_code"]] = sent
        for address in (sent.person.phone, sent.person.email):
            if address:
                citizens.people[address] = sent.person
        return sent

    async def _hand_in(self, client: httpx.AsyncClient, items: list[dict[str, Any]]) -> None:
        for attempt in range(60):
            try:
                answer = await client.post("/v1/dossiers", json=items)
                if answer.status_code in (202, 422):
                    self._take_down(items, answer.json()["items"])
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            await asyncio.sleep(min(0.3 * 1.5**attempt, 4.0))
        raise RuntimeError(f"intake at {self._stack.addresses['intake']} confirmed nothing in 60 attempts; see logs/intake.log")

    def _take_down(self, items: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        for result in results:
            code = items[result["index"]]["dossier_code"]
            if result["status"] == 202:
                self._load.acknowledged.add(code)
                if code in self._made:
                    self._walk_ins.comes(self._made[code])
            else:
                self._load.refused.setdefault(code, result["error"]["reason"] if result["error"] else str(result["status"]))

    async def _again(self, client: httpx.AsyncClient) -> None:
        """The same dossier once more, or its ending under 10 after 9, or that it goes on after all."""
        made = [s for s in self._load.population.made if s.item["dossier_code"] in self._load.acknowledged]
        sent = self._chance.choice(made)
        if self._chance.random() < 0.7:
            self._load.reposted += 1
            await self._hand_in(client, [sent.item])
        else:
            self._load.reopened.add(sent.item["dossier_code"])
            later = datetime.fromisoformat(sent.item["finished_at"]) + timedelta(hours=1)
            await self._hand_in(client, [sent.item | {"status_code": 4, "occurred_at": later.isoformat()}])

    async def _files(self, citizens: Citizens) -> None:
        """Dossiers through ``import dossiers``, the same file twice, as JSON lines in our own field names."""
        n = 0
        folder = self._data / "upstream"
        folder.mkdir()
        (folder / "mapping.toml").write_text(mapping(), "utf-8")
        while not self._over.is_set():
            batch = [self._next("file", citizens) for _ in range(12)]
            path = folder / f"nightly-{n}.jsonl"
            path.write_text("".join(json.dumps(s.item) + "\n" for s in batch), "utf-8")
            for _ in range(2):
                await self._import(path, batch)
            n += 1
            await asyncio.sleep(6)

    async def _import(self, path: Path, batch: list[Sent]) -> None:
        argv = [sys.executable, "-m", "ops", "import", "dossiers", str(path), "--mapping", str(path.parent / "mapping.toml")]
        argv += ["--data", str(self._data), "--source", "local", "--json"]
        for _ in range(20):
            process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
            out, _ = await process.communicate()
            if out:
                self._imported(batch, json.loads(out))
                return
            await asyncio.sleep(1)
        raise RuntimeError(f"import of {path.name} did not end in 20 attempts; run it by hand")

    def _imported(self, batch: list[Sent], report: dict[str, Any]) -> None:
        bad: dict[int, str] = {}
        if report["report"]:
            with Path(report["report"]).open(encoding="utf-8-sig", newline="") as lines:
                bad = {int(row["line"]): row["reason"] for row in csv.DictReader(lines)}
        for line, sent in enumerate(batch, start=1):
            if line in bad:
                self._load.refused[sent.item["dossier_code"]] = bad[line]
            else:
                self._load.acknowledged.add(sent.item["dossier_code"])
                self._walk_ins.comes(sent)

    async def _poison(self) -> None:
        """Bytes that are no facts, straight into the topics."""
        producer = AIOKafkaProducer(bootstrap_servers=self._stack.settings.kafka, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            while not self._over.is_set():
                topic, value = self._chance.choice(_POISONED), self._chance.choice(_POISON)
                try:
                    await producer.send_and_wait(topic, value or None, key=b"poison")
                    self._load.poison += 1
                except KafkaError:
                    pass
                await asyncio.sleep(3)
        finally:
            await producer.stop()

    # --- kills

    @property
    def _long(self) -> bool:
        """Whether the run is to meet everything; a break is looked for without that."""
        return self._plan.kills >= SLEEP_FROM_KILLS and not self._plan.broken

    async def _kill(self) -> None:
        await asyncio.sleep(4)
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        while self._kills < self._plan.kills:
            await asyncio.sleep(self._chance.expovariate(1 / self._plan.gap))
            self._kill_one(self._chance.choices(names, weights)[0])
        await asyncio.sleep(4)

    def _kept_back(self) -> int:
        """Kills that wait for somebody to come by a door of ``AMID``; not for ever."""
        patient = self._long and time.monotonic() < self._begun + AMID_WITHIN_S
        return sum(not self._amid[door] for door in AMID) if patient else 0

    def _kill_one(self, name: str, when: str = "", *, kept: bool = False) -> bool:
        """``kept``: one of those that were kept back."""
        if self._plan.kills - self._kills <= (0 if kept else self._kept_back()):
            return False
        try:
            self._stack.kill(name)
        except (LookupError, ProcessLookupError):
            return False  # it is down already, or died this very moment
        self._kills += 1
        self._killed[name] += 1
        self._say(f"kill {self._kills}/{self._plan.kills}: {name}{when}")
        return True

    def _meet(self, door: str) -> None:
        """Somebody is about to answer by this door; the survey site may die over it within milliseconds."""
        if self._long and (not self._amid[door] or self._amid_chance.random() < AMID_SHARE):
            asyncio.get_running_loop().call_later(0.04 * self._amid_chance.random(), self._kill_amid, door)

    def _kill_amid(self, door: str) -> None:
        self._amid[door] += self._kill_one("survey", f" (amid an answer by {door})", kept=not self._amid[door])

    # --- providers in trouble, a worker that sleeps

    def _provider_trouble(self) -> list[Coroutine[Any, Any, None]]:
        """Beside the kills; a break is looked for without it."""
        if self._plan.broken or not self._plan.kills:
            return []
        return [self._fail_over()] + ([self._sleep_over_lease()] if self._plan.kills >= SLEEP_FROM_KILLS else [])

    async def _fail_over(self) -> None:
        """The main provider of SMS refuses until the reserve carries; a sender is killed meanwhile; then faults of every kind."""
        chance = random.Random(self._plan.seed + 1)  # noqa: S311 (a seed of its own: the kills' stays as it is)
        async with httpx.AsyncClient(base_url=self._stack.addresses["carrier"], timeout=5.0) as carrier:
            await faults.order(carrier, faults.REFUSING)
            if await faults.carries(self._stack.settings, "sms", faults.RESERVE, self._over):
                await asyncio.sleep(chance.random())
                self._kill_one(f"send-{chance.randrange(2)}", " (the reserve has taken over)")
            await faults.clear(carrier)
            while not self._over.is_set():
                await faults.order(carrier, chance.choice(faults.VARIOUS))
                await asyncio.sleep(2.0)
            await faults.clear(carrier)

    async def _sleep_over_lease(self) -> None:
        """A worker of send is stopped, and wakes when its claims were found open and settled by the other one."""
        chance = random.Random(self._plan.seed + 2)  # noqa: S311 (as above)
        await asyncio.sleep(4 + 8 * chance.random())
        name, s = f"send-{chance.randrange(2)}", self._stack.settings
        pid = self._stack.pids().get(name)
        if pid is None:
            return
        self._killed[f"{name} asleep"] += 1
        self._say(f"{name} sleeps over its lease")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(s.lease_s + s.reconcile_after_s + 2.0)
            finally:
                os.kill(pid, signal.SIGCONT)

    async def _quiet(self, citizens: Citizens) -> None:
        """Until nothing waits, nothing is open, and the store has everything; or until patience ends (the checks will tell)."""
        ledger = Wiring(self._stack.settings).ledger("proof")
        until = time.monotonic() + (20.0 if self._plan.broken else self._plan.quiet_within)
        calm = 0
        while calm < 3 and time.monotonic() < until:
            with ledger.read() as reader:
                open_ = reader.open_claims() + reader.undecided() + reader.unpublished() + (reader.counted() - reader.judged())
                waiting = reader.outcomes()["waiting"]
            busy = open_ + waiting + citizens.busy() + self._walk_ins.busy()
            calm = calm + 1 if busy == 0 else 0
            await asyncio.sleep(1)
        ledger.close()

    async def _rebuilt(self, stack: Stack) -> Check:
        """5: figures and alerts from the log alone equal the live ones bit for bit."""
        try:
            differences = await rebuild.check(stack.settings)
        except Retryable as behind:  # after all was quiet: a role lost something, and waits for it for ever
            return Check("5 rebuild", False, "not to be compared", (str(behind),))
        return Check("5 rebuild", not differences, f"{len(differences)} differences", tuple(map(str, differences[:5])))


def went_over(e: Evidence) -> Check:
    """7: the reserve provider took over from the refusing one, and gave back."""
    seen = [change["provider"] for change in e.changes]
    wrong = [] if "twilio" in seen and any(p != "twilio" for p in seen) else [f"SMS were carried by, one after the other: twilio {seen}"]
    taken = Counter(m.api for m in e.messages if m.api)
    return Check("7 fail-over", not wrong, f"{len(seen)} changes; SMS taken by {dict(sorted(taken.items()))}", tuple(wrong))


def came_by_all(e: Evidence, amid: Mapping[str, int]) -> Check:
    """7: somebody was thanked at every door, and the survey site died while somebody answered at each of ``AMID``."""
    tally = by_door(e)
    wrong = [f"nobody was thanked who came by {way}" for way in DOORS if not tally.get(way, {}).get("thanked")]
    wrong += [f"the survey site never died under an answer by {door}" for door in AMID if not amid.get(door)]
    return Check("7 every door", not wrong, f"{len(tally)} doors; killed under answers by {dict(sorted(amid.items()))}", tuple(wrong))


def offer_device(wiring: Wiring, ledger: Ledger, unit: str) -> str:
    """As `hailong kiosk enrol`: an address that makes a browser the device of a desk. Raises Retryable."""
    device = KioskDevice(secrets.token_hex(4), unit, "proof", wiring.clock.now(), "proof", None, None, None)
    return offer(ledger, device, secrets.token_urlsafe(24), wiring.settings.survey_url)


def mapping() -> str:
    """Our own field names, as a mapping."""
    names = (
        "dossier_code", "status_code", "procedure_code", "field_code", "receiving_unit_code", "handling_unit_code",
        "submission_channel", "received_at", "finished_at", "contact.phone", "contact.email", "slip_code", "ticket_no",
    )  # fmt: skip
    return "".join(f'[fields.{name}]\ncolumn = "{name}"\n\n' for name in names)


async def prove(plan: Plan, home: Path, port_base: int, say: Callable[[str], None], data: Path | None = None) -> dict[str, Any]:
    """Run one proof in a folder of its own (kept only where ``data`` is given)."""
    if data is not None:
        return await Crash(plan, data, port_base, home, say).run()
    with tempfile.TemporaryDirectory(prefix="hailong-proof-") as folder:
        return await Crash(plan, Path(folder), port_base, home, say).run()
