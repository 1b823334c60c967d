"""When an answer is safe: acknowledged by the log, or written through on this machine's disk. Only then is anybody thanked."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from hailong.events import Record
from hailong.ports import AsyncPublisher, Retryable
from surveys.answers.spool import Spool

Kept = Literal["acknowledged", "spooled"]
REMEMBERED: Final = 10_000
"""Answered surveys that a process remembers, the latest ones."""


class Keeper:
    """Keeps records by the log or, when it does not acknowledge within ``timeout`` seconds, by the spool."""

    def __init__(self, publisher: AsyncPublisher, spool: Spool, counters: CollectorRegistry, timeout: float = 3.0) -> None:
        self._publisher = publisher
        self._spool = spool
        self._timeout = timeout
        self._kept = Counter("hailong_survey_answers", "answers kept, by way", ["way"], registry=counters)
        Gauge("hailong_survey_spool_bytes", "bytes in this worker's spool", registry=counters).set_function(lambda: spool.waiting)
        self._draining: asyncio.Task[None] | None = None
        self._lately: dict[bytes, str] = {}
        self._finished: dict[tuple[str, str], str] = {}

    async def keep(self, record: Record, nonce: str = "") -> Kept:
        """Raises Retryable when neither would take it: then nothing was promised. ``nonce``: of the form whose answer it is; none: it
        answers nothing."""
        way = await self._keep(record)
        self._kept.labels(way).inc()
        if nonce:
            _remember(self._lately, record.key, self._lately.get(record.key, nonce))
        return way

    def kept_lately(self, survey_id: str) -> bool:
        """Whether this process kept an answer of a survey: the ledger knows of it only once it is counted."""
        return survey_id.encode() in self._lately

    def first_lately(self, survey_id: str) -> str:
        """The form whose answer to a survey this process kept first; empty: it remembers none."""
        return self._lately.get(survey_id.encode(), "")

    def finish(self, questionnaire: str, *done: str) -> None:
        """Somebody is done with a questionnaire. ``done``: the names of their form and of the survey."""
        for name in filter(None, done):
            _remember(self._finished, (questionnaire, name), name)

    def finished_lately(self, questionnaire: str, done: str) -> bool:
        """Whether this process heard so: the ledger knows of it only once it is counted."""
        return (questionnaire, done) in self._finished

    async def _keep(self, record: Record) -> Kept:
        # What waits goes first: the pages of one form stay in order, and nobody waits for a log known to be away.
        if not self._spool.waiting:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._publisher.publish([record])
                return "acknowledged"
            except (Retryable, TimeoutError):
                pass  # the record may be in the log all the same; its echo will have the same id
        await asyncio.to_thread(self._spool.append, record)
        return "spooled"

    def start(self) -> None:
        """Begin to drain in the background of the running loop."""
        self._draining = asyncio.create_task(self._spool.keep_draining(self._publisher))

    async def stop(self) -> None:
        """Stop draining and give the spool up."""
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)
        await asyncio.to_thread(self._spool.close)

    async def probe(self) -> None:
        """Raises Retryable when an answer could not be kept by the spool, or nothing drains it."""
        if self._draining is None or self._draining.done():
            raise Retryable("spool: nobody drains it. Restart the survey site and read its log.")
        await asyncio.to_thread(self._spool.check)

    async def probe_log(self) -> None:
        """Raises Retryable while answers wait for the log."""
        if self._spool.trouble is not None:
            raise Retryable(f"answers wait in the spool ({self._spool.waiting} bytes): {self._spool.trouble}")


def _remember(memory: dict[Any, str], key: object, what: str) -> None:
    """The latest stand last; the oldest is forgotten."""
    memory.pop(key, None)
    memory[key] = what
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
