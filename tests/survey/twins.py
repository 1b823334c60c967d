"""Small real implementations of the ports the survey site needs, in memory: a ledger that keeps, a log that keeps, a clock that is set."""

from __future__ import annotations

import asyncio
import functools
import html
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from cryptography.fernet import Fernet
from prometheus_client import CollectorRegistry

from hailong.domain import links, receipts
from hailong.domain.doors import CODE_TRIES
from hailong.events import About, ContactPreference, Record, SurveyAnswered, decode, encode
from hailong.ports import Measure, OptOut, PendingRecord, Receipt, ReceiptState, Retryable, SlotForAnswer
from hailong.settings import Settings
from surveys import wording
from surveys.answers.keeping import Keeper
from surveys.answers.spool import Spool
from surveys.inbound.receipts import ReceiptDoor
from surveys.inbound.replying import Replying
from surveys.records import Records
from surveys.site import Parts, build_site

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOW = datetime(2026, 3, 12, 9, 0, tzinfo=ZONE)
REAL = datetime(2027, 1, 1, tzinfo=UTC)
"""Real time, which goes with the seconds of ``monotonic``, whatever the clock says."""
KEY = b"k" * 32
FORM_KEY = Fernet.generate_key()
WORDS = functools.cache(wording.page_words)
LIBRARY = functools.cache(wording.library)


def about(ending: str = "result_returned") -> About:
    return About(
        receiving_unit="H28.12",
        handling_unit="H28.3",
        field="land",
        submission_channel="counter",
        ending=ending,  # type: ignore[arg-type]  # tests name endings by text
        timeliness="on_time",
        month="2026-03",
    )


def slot(survey_id: str = "s-1", **changes: Any) -> SlotForAnswer:
    given = SlotForAnswer(
        survey_id=survey_id,
        about=about(),
        expires_at=NOW + timedelta(days=30),
        language="vi",
        answered=False,
        desk="Bộ phận Một cửa xã Thượng Cốc",
        ended_on=date(2026, 3, 10),
    )
    return replace(given, **changes)


def code_of(survey_id: str) -> str:
    return links.code(KEY, survey_id, "invitation", "sms")


CODE = code_of("s-1")
USED, OLD, REFUSED, ENGLISH = (code_of(s) for s in ("used", "old", "refused", "english"))
UNKNOWN = code_of("nobody")
VI = "?lang=vi"


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@dataclass
class MemoryLedger:
    """The survey site's part of the ledger. ``away``: as when the database cannot be reached."""

    slots: dict[str, SlotForAnswer] = field(default_factory=dict)
    away: bool = False
    under_way: int = 0
    """How many more times a message of an opted-out person is found under way."""
    opted_out: dict[str, str] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)
    looked_up: int = 0
    comments: list[tuple[str, str, str, int]] = field(default_factory=list)
    """(survey_id, question, text, masked)."""
    slips: dict[str, str] = field(default_factory=dict)
    """Printed slips: code → survey_id, empty for one that leads to no dossier."""
    dossiers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """dossier_ref → (survey_id, last digits of the number, empty where there is none)."""
    tries: dict[str, int] = field(default_factory=dict)
    held: dict[str, tuple[str, SurveyAnswered, Mapping[str, tuple[str, int]]]] = field(default_factory=dict)
    """event_id → (slip hash, page, own words)."""
    feedback: list[tuple[str | None, str, int, date]] = field(default_factory=list)
    counted: dict[str, ReceiptState] = field(default_factory=dict)
    """Hash of a receipt → how its answer stands."""
    units: dict[str, str] = field(default_factory=dict)
    did: list[Measure] = field(default_factory=list)
    outbox: dict[int, Record] = field(default_factory=dict)
    written: list[PendingRecord] = field(default_factory=list)
    numbers: dict[str, list[str]] = field(default_factory=dict)
    """Number → the surveys it is invited to."""
    notes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, given: SlotForAnswer) -> str:
        code = code_of(given.survey_id)
        self.slots[links.code_hash(code)] = given
        return code

    @contextmanager
    def begin(self) -> Iterator[Any]:
        if self.away:
            raise Retryable("ledger: away", 7.0)
        with self._lock:
            yield self

    read = begin

    def slot_by_code(self, code: str) -> SlotForAnswer | None:
        self.looked_up += 1
        return self.slots.get(links.code_hash(code))

    def keep_comment(self, survey_id: str, question: str, about: About, text: str, masked: int, day: date) -> None:
        self.comments.append((survey_id, question, text, masked))

    def slot_of(self, survey_id: str) -> SlotForAnswer | None:
        return self.slots.get(links.code_hash(code_of(survey_id))) if survey_id else None

    def slot_by_slip(self, slip: str) -> SlotForAnswer | None:
        self.looked_up += 1
        return self.slot_of(self.slips.get(slip, ""))

    def free_slip(self, slip: str) -> str | None:
        return f"hash of {slip}" if self.slips.get(slip) == "" else None

    def slot_by_dossier(self, refs: Sequence[str], digits: str, now: datetime) -> SlotForAnswer | None:
        self.looked_up += 1
        for ref in set(refs) & self.dossiers.keys():
            survey_id, right = self.dossiers[ref]
            if self.tries.get(ref, 0) < CODE_TRIES and digits == right:
                return self.slot_of(survey_id)
            self.tries[ref] = self.tries.get(ref, 0) + 1
        return None

    def hold_slip_page(self, slip_hash: str, fact: SurveyAnswered, texts: Mapping[str, tuple[str, int]], now: datetime) -> None:
        self.held.setdefault(fact.event_id, (slip_hash, fact, texts))

    def keep_feedback(self, unit: str | None, text: str, masked: int, day: date) -> None:
        self.feedback.append((unit, text, masked, day))

    def receipt_state(self, receipt_hash: str) -> ReceiptState | None:
        self.looked_up += 1
        return self.counted.get(receipt_hash)

    def ask_erasure(self, receipt_hash: str, now: datetime) -> bool:
        if receipt_hash in self.counted:
            self.counted[receipt_hash] = replace(self.counted[receipt_hash], state="erased")
        return receipt_hash in self.counted

    def unit_name(self, code: str) -> str | None:
        self.looked_up += 1
        return self.units.get(code)

    def measures(self, unit: str | None, limit: int) -> list[Measure]:
        found = [one for one in self.did if unit in (None, one.unit)]
        return sorted(found, key=lambda one: one.day, reverse=True)[:limit]

    def opt_out(self, code: str, now: datetime, door: str) -> OptOut:
        self.looked_up += 1
        found = self.slots.get(links.code_hash(code))
        if found is None:
            return "unknown_code"
        if found.survey_id not in self.opted_out:
            self.opted_out[found.survey_id] = door
            fact = ContactPreference(
                event_id=f"{found.survey_id}:out", registry_id="hoa-binh", contact_hash="ab" * 16, pepper_version=1, choice="opt_out",
                at=now, door=door,
            )  # fmt: skip
            self.outbox[next(self._ids)] = encode(fact, now)
        self.under_way -= self.under_way > 0
        return "under_way" if self.under_way else "recorded"

    def opt_in(self, code: str, now: datetime, door: str) -> bool:
        self.looked_up += 1
        found = self.slots.get(links.code_hash(code))
        if found is not None:
            self.opted_out.pop(found.survey_id, None)
        return found is not None

    def open_invitations(self, number: str, now: datetime) -> list[tuple[SlotForAnswer, tuple[str, ...]]]:
        mine = [self.slots[links.code_hash(code_of(one))] for one in self.numbers.get(number, [])]
        return [(one, (code_of(one.survey_id),)) for one in mine if not one.answered and (one.expires_at is None or one.expires_at > now)]

    def slot_by_survey(self, survey_id: str) -> SlotForAnswer | None:
        return self.slots.get(links.code_hash(code_of(survey_id)))

    def note_once(self, kind: str, ref: str, now: datetime) -> dict[str, Any] | None:
        known = self.notes.get((kind, ref))
        self.notes.setdefault((kind, ref), {})
        return known

    def bind_note(self, kind: str, ref: str, bound: Mapping[str, Any]) -> None:
        self.notes[kind, ref] = dict(bound)

    def store_receipt(self, receipt: Receipt, at: datetime) -> None:
        self.receipts.append(receipt)

    def pending(self, limit: int = 500) -> list[PendingRecord]:
        if self.away:
            raise Retryable("ledger: away", 7.0)
        return [PendingRecord(i, r) for i, r in sorted(self.outbox.items())[:limit]]

    def published(self, ids: Sequence[int]) -> None:
        for one in ids:
            self.outbox.pop(one, None)


@dataclass
class MemoryLog:
    """The log. ``away`` refuses at once; ``silent`` never acknowledges."""

    away: bool = False
    silent: bool = False
    records: list[Record] = field(default_factory=list)

    async def publish(self, records: Sequence[Record]) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise Retryable("log: away", 1.0)
        self.records.extend(records)

    def facts(self) -> list[Any]:
        """First occurrences only, as readers take them."""
        seen: dict[str, Any] = {}
        for record in self.records:
            fact = decode(record.topic, record.value)
            seen.setdefault(fact.event_id, fact)
        return list(seen.values())

    def answers(self) -> list[SurveyAnswered]:
        return [f for f in self.facts() if isinstance(f, SurveyAnswered)]


@dataclass
class Installation:
    """A survey site over its twins, reached through ASGI as a browser reaches it."""

    ledger: MemoryLedger
    log: MemoryLog
    clock: HandClock
    spool: Spool
    http: httpx.AsyncClient
    monotonic: list[float]
    transport: httpx.ASGITransport

    def comes_from(self, address: str) -> None:
        """The next requests come from another address."""
        self.transport.client = (address, 4711)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def ask(self, code: str, query: str = "", **headers: str) -> httpx.Response:
        """The question of a link, past the page that asks whether it is the right person."""
        who = await self.get(f"/{code}{query}", **headers)
        return await self.get(next_of(who), **headers) if page_of(who) == "who" else who

    async def send(self, page: httpx.Response, code: str, **fields: Any) -> httpx.Response:
        """Fill in the form of ``page``."""
        return await self.http.post(f"/{code}", data={"form": sealed_in(page), **fields})


def next_of(page: httpx.Response) -> str:
    """Where its link onward leads; empty where it has none."""
    found = re.search(r'rel="next" href="([^"]+)"', page.text)
    return html.unescape(found[1]) if found else ""


def sealed_in(page: httpx.Response) -> str:
    return page.text.partition('name="form" value="')[2].partition('"')[0]


def twilio_like() -> ReceiptDoor:
    """A provider whose signature is ``sig:ADDRESS``."""

    def verify(address: str, form: Mapping[str, str], signature: str) -> bool:
        return signature == f"sig:{address}"

    def parse(form: Mapping[str, str]) -> Receipt | None:
        return Receipt("twilio", form["MessageSid"], "delivered", None) if form.get("MessageStatus") == "delivered" else None

    return ReceiptDoor("X-Twilio-Signature", verify, parse)


def parts(folder: Path, ledger: MemoryLedger, log: MemoryLog, clock: HandClock, monotonic: list[float], **settings: Any) -> Parts:
    nonces = count(1)
    return Parts(
        settings=Settings(data_dir=folder, survey_url="https://ks.example", **settings),
        ledger=ledger,
        publisher=log,
        spool=Spool(folder / "spool", "worker-1"),
        clock=clock,
        office=wording.office(),
        library=LIBRARY(),
        form_keys=[FORM_KEY],
        new_nonce=lambda: f"nonce-{next(nonces)}",
        monotonic=lambda: monotonic[0],
        real_now=lambda: REAL + timedelta(seconds=monotonic[0]),
        receipt_for=lambda survey_id: receipts.receipt(KEY, survey_id),
        receipts={"twilio": twilio_like()},
        dossier_codes=lambda typed: [f"desk:{typed.upper()}", f"portal:{typed.upper()}"],
    )


def replying(spool: Spool, records: Records, log: MemoryLog, clock: HandClock, counters: CollectorRegistry) -> Replying:
    """What reads messages to a short code; its spool drains nowhere."""
    nonces = count(1)
    keeper = Keeper(log, spool, counters)
    return Replying(
        "hoa-binh",
        LIBRARY(),
        records,
        keeper,
        clock,
        lambda: f"nonce-{next(nonces)}",
        WORDS(),
        wording.office(),
        lambda survey_id: receipts.receipt(KEY, survey_id),
    )


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something another task does. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is the state of real parts, which set no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(folder: Path, *slots: SlotForAnswer, **settings: Any) -> AsyncIterator[Installation]:
    """A site with these slots, alive."""
    ledger, log, clock, monotonic = MemoryLedger(), MemoryLog(), HandClock(), [0.0]
    for one in slots:
        ledger.add(one)
    made = parts(folder, ledger, log, clock, monotonic, **settings)
    app = build_site(made)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://ks.example") as http:
            yield Installation(ledger, log, clock, made.spool, http, monotonic, transport)


DIALLED = '<a class="tel" href="tel:1022">1022</a>'
"""The number for questions, as a phone can dial it."""


def unsealed(answer: httpx.Response) -> str:
    """A page without what is sealed in it, which never comes twice."""
    return re.sub(r"(?<=[?&;][mf]=)[\w=-]{80,}", "", answer.text)


def page_of(answer: httpx.Response) -> str:
    return answer.text.partition('data-page="')[2].partition('"')[0]
