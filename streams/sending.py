"""send: claim, provider, fact. The ledger says what is due; facts of the log only wake it.

A claim is committed before the provider is called, at most ``parallel`` of them at once. A definite refusal puts the message back; an
unknown outcome is found out by reconciliation, or stays *unknown* and is never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import structlog

from hailong.domain.hours import local
from hailong.domain.quality import about_data
from hailong.events import AlertChanged, CaseChanged
from hailong.ports import (
    Barred,
    Channel,
    Claimed,
    Clock,
    OutgoingMessage,
    PendingRecord,
    Permanent,
    Retryable,
    Settlement,
    Transaction,
    UnknownOutcome,
)
from streams.guard import Item, Outbox, Refused

log = structlog.get_logger("send")
KINDS: Final = ("invitation", "reminder", "officers")
"""Due rows that are messages; outside the hours only officers' may go."""
LONGEST_RETRY: Final = timedelta(hours=1)
MAX_ATTEMPTS: Final = 48
UNMAKEABLE: Final = "unmakeable"
"""Why a message waits that cannot be made from what the office gave."""
_MENDED_IN: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class SendingRules:
    """Limits of one worker; seconds of real time but ``retry_base_s``, which is the installation's."""

    parallel: int = 20
    lease_s: float = 30.0
    reconcile_after_s: float = 60.0
    retry_base_s: float = 30.0
    lookups: int = 2
    poll_s: float = 0.1
    slow_s: float = 5.0
    """A provider that takes longer is slow."""
    spare_s: float = 0.0
    """Nothing is handed over when less than this is left of its lease."""


class Sender:
    """One worker's sending. ``compose`` makes a message of a claim; ``channels`` are the ways out, by provider.

    ``is_open`` tells whether citizens may be written to at a moment of the installation's clock.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        real_now: Callable[[], datetime],
        channels: Mapping[str, Channel],
        compose: Callable[[Claimed], OutgoingMessage],
        rules: SendingRules,
        worker: str,
        is_open: Callable[[datetime], bool] = lambda _: True,
    ) -> None:
        self._is_open = is_open
        self._outbox = outbox
        self._clock = clock
        self._real_now = real_now
        self._channels = channels
        self._compose = compose
        self._rules = rules
        self._worker = worker
        self.wake = asyncio.Event()
        self._ended: list[Settlement] = []
        """Handed over in the last round; settled with the next claims."""
        self._untold: list[PendingRecord] = []
        self._telling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled: send what is due, apply receipts, reconcile what is open."""
        housekeeping = 0.0
        try:
            while True:
                try:
                    sent = await self.round() if await self._anything_to_do() else 0
                    if self._real_now().timestamp() - housekeeping > 1.0:
                        housekeeping = self._real_now().timestamp()
                        await self._keep_house()
                    if not sent:
                        await self._rest()
                except Retryable as e:
                    log.warning("waits", role="send", reason=e.reason)
                    await asyncio.sleep(min(e.after, 1.0 if self._ended else 5.0))
        finally:
            if self._telling is not None:
                self._telling.cancel()  # what is not told yet stands in the outbox

    async def _anything_to_do(self) -> bool:
        """A look that locks nobody, so that an idle worker costs the others nothing."""
        now = self._clock.now()
        kinds = KINDS if self._is_open(now) else ("officers",)
        return bool(self._ended) or await self._outbox.anything_due(kinds, now, self._real_now())

    async def _keep_house(self) -> None:
        await self._settle()
        if self._telling is not None:
            await asyncio.wait([self._telling])
        await self._outbox.drain()
        self._untold.clear()  # drained with the rest
        await self.apply_receipts()
        await self.reconcile()
        await self._watch_providers()

    async def _watch_providers(self, barred_by: Collection[str] = ()) -> None:
        now, real = self._clock.now(), self._real_now()
        changed, rows = await self._outbox.write(lambda tx: tx.watch_providers(now, real, barred_by))
        for change in changed:
            log.warning("provider changed", channel=change.channel, provider=change.provider, before=change.before, reason=change.reason)
        await self._outbox.publish(rows)

    async def _rest(self) -> None:
        # Not wait_for: in Python 3.11 it can swallow a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._rules.poll_s):
                await self.wake.wait()
        self.wake.clear()

    async def round(self) -> int:
        """In one transaction settle what the round before handed over and claim what is due; then hand that over. The number claimed."""
        ended, now, real = self._ended, self._clock.now(), self._real_now()
        lease = real + timedelta(seconds=self._rules.lease_s)

        def work(tx: Transaction) -> list[Claimed]:
            if ended:
                tx.settle(ended, now)
            claimed = tx.claim_due(now, real, lease, self._rules.parallel, self._worker)
            tx.note_outcomes(_outcomes(ended), real)
            return claimed

        try:
            claimed, rows = await self._outbox.write(work)
        except Retryable:
            raise
        except Exception:
            await self._settle()  # what cannot be claimed does not keep back what was sent
            raise
        self._ended = []
        self._tell(rows)
        self._ended = await asyncio.gather(*(self._hand_over(c) for c in claimed))
        if barred_by := {s.claimed.provider for s in self._ended if s.barred}:
            await self._settle()
            await self._watch_providers(barred_by)
        return len(claimed)

    async def _settle(self) -> None:
        """What was handed over and is not settled yet."""
        ended, self._ended = self._ended, []
        if ended:
            _, rows = await self._settled(ended, _outcomes(ended))
            self._tell(rows)

    def _tell(self, rows: Sequence[PendingRecord]) -> None:
        """Publish beside the next round: one at a time, in order."""
        self._untold += rows
        if self._untold and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._publish_untold())

    async def _publish_untold(self) -> None:
        while self._untold:
            rows, self._untold = self._untold, []
            try:
                await self._outbox.publish(rows)
            except Retryable as e:
                log.warning("waits", role="send", reason=e.reason)  # they stand in the outbox, which is drained every second
                return

    async def _settled(
        self, settlements: Sequence[Settlement], outcomes: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> tuple[None, list[PendingRecord]]:
        """The provider has spoken; this must reach the ledger, however long it takes."""

        def work(tx: Transaction) -> None:
            tx.settle(settlements, self._clock.now())
            tx.note_outcomes(outcomes, self._real_now())

        while True:
            try:
                return await self._outbox.write(work)
            except Retryable as e:
                await asyncio.sleep(min(e.after, 1.0))

    async def _hand_over(self, c: Claimed) -> Settlement:
        channel = self._channels.get(c.provider)
        if channel is None:
            return Settlement(c, "failed", reason=f"no provider {c.provider} is set up for {c.channel}")
        if (late := self._too_late(c)) is not None:
            return Settlement(c, "released", reason=late, retry_at=self._clock.now())
        try:
            message = self._compose(c)
        except Retryable as e:
            return self._put_back(c, e)
        except Permanent as e:
            return Settlement(c, "failed", reason=e.reason, code=e.code)
        except Exception as e:
            # Nothing has left, so it waits: a text of the office that is wrong is mended one day.
            log.exception("message cannot be made", claim=c.claim_id, channel=c.channel, error=type(e).__name__)
            return Settlement(c, "released", reason=UNMAKEABLE, retry_at=self._clock.now() + _MENDED_IN)
        begun = self._real_now()
        try:
            handover = await channel.send(message)
            return Settlement(c, "handed_over", handover, slow=(self._real_now() - begun).total_seconds() > self._rules.slow_s)
        except Retryable as e:
            return self._put_back(c, e)
        except Permanent as e:
            return Settlement(c, "failed", reason=e.reason, code=e.code)
        except UnknownOutcome as e:
            # Left claimed: reconciliation asks the provider after the lease, or settles it as unknown.
            log.warning("unknown outcome", claim=c.claim_id, channel=c.channel, reason=e.reason)
            return Settlement(c, "open", reason=e.reason)
        except Exception as e:
            log.exception("sending failed", claim=c.claim_id, channel=c.channel, error=type(e).__name__)
            return Settlement(c, "open", reason=f"the channel failed ({type(e).__name__})")

    def _too_late(self, c: Claimed) -> str | None:
        """Why a claim may not be handed over any more: this worker slept over its lease, or the hour has passed."""
        spare = timedelta(seconds=self._rules.spare_s)
        if c.lease_until is not None and self._real_now() + spare >= c.lease_until:
            return "lease_over"
        return "hour" if c.kind != "officers" and not self._is_open(self._clock.now()) else None

    def _put_back(self, c: Claimed, e: Retryable) -> Settlement:
        wait = min(timedelta(seconds=self._rules.retry_base_s * 2 ** min(c.attempts - 1, 10)), LONGEST_RETRY)
        if c.attempts >= MAX_ATTEMPTS:
            return Settlement(c, "failed", reason=f"not accepted in {MAX_ATTEMPTS} attempts: {e.reason}")
        retry_at = self._clock.now() + max(wait, timedelta(seconds=e.after))
        return Settlement(c, "released", reason=e.reason, retry_at=retry_at, barred=isinstance(e, Barred))

    # --- what is open

    async def apply_receipts(self) -> None:
        """Receipts the site has stored become facts."""
        n, rows = await self._outbox.write(lambda tx: tx.apply_receipts(self._clock.now(), 500))
        await self._outbox.publish(rows)
        if n == 500:
            await self.apply_receipts()

    async def reconcile(self) -> int:
        """Find out about claims whose lease is over: ask a provider that can list, twice; else they stay unknown."""
        real = self._real_now()
        before = real - timedelta(seconds=self._rules.reconcile_after_s)
        stale, _ = await self._outbox.write(lambda tx: tx.stale_claims(before, real, self._rules.parallel))
        settlements = [s for s in await asyncio.gather(*(self._find(c, checks) for c, checks in stale)) if s is not None]
        if settlements:
            _, rows = await self._settled(settlements)
            await self._outbox.publish(rows)
        return len(settlements)

    async def _find(self, c: Claimed, checks: int) -> Settlement | None:
        channel = self._channels.get(c.provider)
        if channel is None or not channel.can_reconcile:
            return Settlement(c, "unknown", reason="open after its lease; the provider cannot be asked")
        try:
            found = await channel.find(self._compose(c), c.real_claimed_at)
        except (Retryable, Permanent, UnknownOutcome):
            return None
        except Exception as e:
            log.exception("message cannot be asked about", claim=c.claim_id, channel=c.channel, error=type(e).__name__)
            found = None
        if found is not None:
            return Settlement(c, "handed_over", found)
        if checks + 1 < self._rules.lookups:
            return None
        return Settlement(c, "unknown", reason=f"open after its lease; not in the provider's list {self._rules.lookups} times")


def _outcomes(ended: Sequence[Settlement]) -> dict[str, list[str]]:
    """provider → taken | refused | slow for each of its messages that says something about it."""
    found: dict[str, list[str]] = {}
    for s in ended:
        if s.state in ("open", "unknown") or s.slow:
            found.setdefault(s.claimed.provider, []).append("slow")
        elif s.state in ("handed_over", "failed"):
            found.setdefault(s.claimed.provider, []).append("taken")
        elif s.state == "released" and s.reason not in ("lease_over", "hour", UNMAKEABLE):
            found.setdefault(s.claimed.provider, []).append("refused")
    return found


class Told:
    """The handler of send's topics: wakes the sender, and makes officers' messages of alerts and cases.

    ``addressees(unit, confidential)`` gives addresses; ``words(fact)`` what the text is made from; ``alerts_from``: the first day on which
    alerts are mailed, so that a province can see for a while how often they are right before anybody is disturbed.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        wake: asyncio.Event,
        addressees: Callable[[str, bool], Sequence[str]],
        words: Callable[[AlertChanged | CaseChanged], Mapping[str, Any]],
        ref: Callable[[str, str], str],
        alerts_from: date | None = None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._wake = wake
        self._alerts_from = alerts_from
        self._addressees = addressees
        self._words = words
        self._ref = ref

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]:
        news = [i.fact for i in batch if isinstance(i.fact, (AlertChanged, CaseChanged))]
        if news:
            await self._outbox.write(lambda tx: self._schedule(tx, news))
        self._wake.set()
        return []

    def _schedule(self, tx: Transaction, news: Sequence[AlertChanged | CaseChanged]) -> None:
        now = self._clock.now()
        silent = self._alerts_from is not None and local(now).date() < self._alerts_from
        for fact in news:
            if isinstance(fact, AlertChanged) and (silent or fact.state not in ("raised", "cleared", "settled")):
                continue
            ref = fact.alert_id if isinstance(fact, AlertChanged) else fact.case_id
            # What is about data can hold small counts: like a case it goes to the quality office only.
            for address in self._addressees(fact.unit, isinstance(fact, CaseChanged) or about_data(fact)):
                payload = {"to": address, **self._words(fact)}
                tx.schedule("officers", self._ref(f"{ref}:{fact.version}", address), now, payload)
