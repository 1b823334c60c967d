"""``prove asked``: a fortnight in time-lapse around the edges of the clock; then who was asked, when, how often, for how much?

Runs on a stack of its own with the hours people really have. The carrier reads the installation's clock itself and notes it beside
every message; opt-outs and thanks are what the people of the proof were told.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hailong.settings import Settings
from ops.local.stack import Stack
from ops.proof.asked_checks import Met, all_checks, met, spent
from ops.proof.breaks import PAUSE
from ops.proof.checks import Check
from ops.proof.evidence import Evidence, gather
from ops.proof.fortnight import DAILY_BUDGET, START, Script, rulebook
from ops.proof.living import Life

RATE: Final = 20.0
"""Days a second where nothing waits."""
WITHIN_S: Final = 900.0
"""A run that takes longer has come to a stop; with a break, the harm itself may be why."""
OVERRIDES: Final[dict[str, Any]] = {
    "any_hour": False,
    "ask_at_once": False,
    "spread_minutes": -1,
    "slot_minutes": -1,
    "daily_budget": DAILY_BUDGET,
    "send_timeout_s": 4.0,
    "lease_s": 7.0,
    "reconcile_after_s": 2.0,
    "reconcile_gap_s": 2.0,
    "provider_back_after_s": 12.0,
    "commit_interval_s": 0.5,
    "kafka_session_s": 6,
    "archive_within_s": 1.0,
}


@dataclass(frozen=True)
class Plan:
    """How long and how hard. ``days``: in which dossiers are handed in; time goes on until nothing waits."""

    seed: int
    days: int = 14
    kills: int = 2
    broken: str = ""


class Asked:
    """One run."""

    def __init__(self, plan: Plan, data: Path, port_base: int, home: Path, say: Callable[[str], None]) -> None:
        self._plan, self._data, self._say = plan, data, say
        self._script = Script(plan.seed, plan.days, 0 if plan.broken else plan.kills, plan.broken in ("", "lease"))
        self._life: Life | None = None
        rules = data.parent / f"{data.name}-rules.toml"
        rules.write_text(rulebook(plan.days), "utf-8")
        overrides = OVERRIDES | {"proof_break": plan.broken or PAUSE, "rules_file": str(rules)}
        clock = f"{START.isoformat()}@{RATE}"
        self._stack = Stack(
            data, home=home, port_base=port_base, clock=clock, overrides=overrides, workers={"send": 2}, pace=self._inhabited
        )  # fmt: skip

    def _inhabited(self, settings: Settings) -> Life:
        self._life = Life(self._script, settings, self._stack, self._say)
        return self._life

    async def run(self) -> dict[str, Any]:
        """The report: ``{seed, kills, passed, checks, counts}``."""
        begun = time.monotonic()
        async with self._stack as stack:
            life = self._life
            if life is None:
                raise RuntimeError("the stack was started without a governed clock")
            await self._pass(stack, life)
            passed = time.monotonic() - begun
            e = Evidence(life.sent, life.acknowledged, life.refused, life.reopened, 0, life.visits, life.killed)
            await gather(e, stack.settings, self._data)
            checks = all_checks(e)
            if not self._plan.broken:
                checks.insert(0, met(e, Met(life.kills, life.slept), self._plan.kills))
        return self._report(checks, e, life, passed, time.monotonic() - begun)

    async def _pass(self, stack: Stack, life: Life) -> None:
        """Let the time pass; a day that begins is told."""
        living, failing = asyncio.create_task(life.live()), asyncio.create_task(stack.failed())
        until, told = time.monotonic() + WITHIN_S, None
        try:
            while not living.done() and time.monotonic() < until:
                if (day := life.now().date()) != told:
                    told = day
                    self._say(f"{day:%a %d.%m.}  {len(life.acknowledged)} dossiers, {len(life.visits)} messages")
                done, _ = await asyncio.wait([living, failing], timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in (living, failing):
                task.cancel()
            await asyncio.gather(living, failing, return_exceptions=True)

    def _report(self, checks: list[Check], e: Evidence, life: Life, passed_s: float, seconds: float) -> dict[str, Any]:
        counts = {
            "days": self._plan.days, "until": life.now().date().isoformat(), "dossiers": len(e.sent),
            "outcomes": dict(Counter(f"{s.outcome} {s.reason or ''}".strip() for s in e.slots.values())),
            "messages": dict(Counter(f"{e.purpose_of.get(m.code)} {m.api or m.channel}" for m in e.messages)),
            "thanked": sum(v.thanked for v in e.visits.values()), "opted_out": sum(v.opted_out_at is not None for v in e.visits.values()),
            "spent": {day.isoformat(): dong for day, dong in sorted(spent(e).items())}, "faults": dict(sorted(e.faults.items())),
            "provider_changes": len(e.changes), "killed": dict(sorted(e.killed.items())), "passing_s": round(passed_s, 1),
            "seconds": round(seconds, 1),
        }  # fmt: skip
        return {
            "seed": self._plan.seed, "kills": life.kills, "break": self._plan.broken or None, "passed": all(c.ok for c in checks),
            "checks": [asdict(c) for c in checks], "counts": counts,
        }  # fmt: skip


async def prove(plan: Plan, home: Path, port_base: int, say: Callable[[str], None], data: Path | None = None) -> dict[str, Any]:
    """Run one proof in a folder of its own (kept only where ``data`` is given)."""
    if data is not None:
        return await Asked(plan, data, port_base, home, say).run()
    with tempfile.TemporaryDirectory(prefix="hailong-proof-") as folder:
        return await Asked(plan, Path(folder) / "data", port_base, home, say).run()
