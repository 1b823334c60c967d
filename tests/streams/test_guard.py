"""Between the log and a handler: nothing stops the stream, nothing vanishes, and effects come before what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from structlog.testing import capture_logs

from hailong.domain.rulebook import RulebookError
from hailong.events import DossierClosed
from hailong.ports import Invalid, Retryable
from streams.guard import ATTEMPTS, MAX_WAIT_S, Item, Raw, Refused
from tests.contract.build import NOON, closed
from tests.streams.twins import Room, raws

CLOSED = "dossier.closed.v1"


class Keeps:
    """A handler that keeps what it was given; ``fails`` says of a fact how it fails, ``times`` how often in all."""

    def __init__(self, fails: dict[str, Exception] | None = None, times: int = 1_000) -> None:
        self.seen: list[str] = []
        self.calls: list[int] = []
        self._fails = fails or {}
        self._left = times

    async def __call__(self, batch: Sequence[Item]) -> Sequence[Refused]:
        self.calls.append(len(batch))
        refs = [i.fact.dossier_ref for i in batch if isinstance(i.fact, DossierClosed)]
        for ref in refs:
            if ref in self._fails and self._left:
                self._left -= 1
                raise self._fails[ref]
        self.seen += refs
        return []


def process(room: Room, handler: Keeps, batch: Sequence[Raw], waits: list[float] | None = None) -> None:
    asyncio.run(room.guard(handler, waits).process(batch))


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff\xfe", b"[]", b'{"event_id": 1}', b'"x"'])
def test_a_record_that_cannot_be_read_is_one_dead_letter_and_the_rest_is_handled(here: Room, value: bytes | None) -> None:
    good = raws([closed("d1"), closed("d2")])
    handler = Keeps()
    batch = [good[0], Raw(CLOSED, 0, 7, value), good[1]]
    process(here, handler, batch)
    process(here, Keeps(), batch)  # the same records again, as after a crash
    assert handler.seen == ["d1", "d2"]
    (letter,) = here.dead()
    assert (letter.topic, letter.offset, letter.source, letter.attempts) == (CLOSED, 7, "unknown", 1)
    assert letter.reason.startswith(f"{CLOSED}: ")
    assert here.log.topics() == [f"dead.{CLOSED}"]


def test_a_dead_letter_names_its_source_and_is_sealed(here: Room) -> None:
    poison = b'{"source": "one-stop", "phone": "0912345678"}'
    process(here, Keeps(), [Raw(CLOSED, 3, 9, poison)])
    (letter,) = here.dead()
    assert (letter.source, letter.partition) == ("one-stop", 3)
    assert b"0912345678" not in here.log.records[0].value
    with here.begin() as tx:
        assert tx.open_dead(letter.id)[1] == poison


def test_a_dead_letter_larger_than_the_log_takes_stops_nobody(here: Room) -> None:
    """Sealed and with its reason it is larger than it was when the log took it."""
    most = 500
    here.log.most_bytes = most
    poison = b"x" * most
    handler = Keeps()
    process(here, handler, [Raw(CLOSED, 0, 0, poison), Raw(CLOSED, 0, 1, b"y"), *raws([closed("d1")], first=2)])
    assert handler.seen == ["d1"]
    big, small = here.dead()
    assert (big.offset, small.offset) == (0, 1)
    with here.begin() as tx:
        assert tx.open_dead(big.id)[1] == poison
    assert here.log.records[0].value == b""
    assert b"they stand in the ledger" in dict(here.log.records[0].headers)["shortened"]
    assert here.ledger.pending() == []


def test_a_dead_letter_waits_for_a_log_that_is_away(here: Room) -> None:
    here.log.failures = [0, 0]
    process(here, Keeps(), [Raw(CLOSED, 0, 0, b"x")])
    assert len(here.dead()) == 1
    assert here.log.topics() == [f"dead.{CLOSED}"]
    assert here.ledger.pending() == []


def test_a_handler_that_cannot_now_is_tried_until_it_can_ever_more_slowly(here: Room) -> None:
    waits: list[float] = []
    handler = Keeps({"d1": Retryable("away", after=0.2)}, times=9)
    process(here, handler, raws([closed("d1"), closed("d2")]), waits)
    assert handler.calls == [2] * 10
    assert handler.seen == ["d1", "d2"]
    assert waits == sorted(waits)
    assert waits[0] == 0.2
    assert waits[-1] == MAX_WAIT_S
    assert here.dead() == []


def test_what_a_failed_try_committed_is_published_before_the_next_try(here: Room) -> None:
    order: list[str] = []

    async def handler(batch: Sequence[Item]) -> Sequence[Refused]:
        order.append(f"try, {len(here.log.records)} in the log")
        if len(order) == 1:
            await here.outbox.write(lambda tx: tx.put([closed("effect")], NOON))
            raise Retryable("the log is away")
        return []

    asyncio.run(here.guard(handler).process(raws([closed("d1")])))
    assert order == ["try, 0 in the log", "try, 1 in the log"]
    assert here.ledger.pending() == []


@pytest.mark.parametrize(("error", "attempts"), [(RuntimeError("broken"), ATTEMPTS), (Invalid("schema", "control", "it is wrong"), 1)])
def test_a_handler_that_fails_for_one_record_puts_only_that_one_aside(here: Room, error: Exception, attempts: int) -> None:
    handler = Keeps({"d2": error})
    process(here, handler, raws([closed(f"d{n}") for n in range(1, 6)]))
    assert handler.seen == ["d1", "d3", "d4", "d5"]
    (letter,) = here.dead()
    assert letter.offset == 1
    assert letter.source == "s"
    assert letter.attempts == attempts, "as often as it was tried alone"
    assert dict(here.log.records[0].headers)["attempts"] == str(attempts).encode()


@pytest.mark.parametrize("ends", ["refuses", "invalid"])
def test_a_record_that_is_refused_after_a_fault_tells_of_both_tries(here: Room, ends: str) -> None:
    tries = 0

    async def handler(batch: Sequence[Item]) -> Sequence[Refused]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("once")
        if ends == "invalid":
            raise Invalid("schema", "control", "it is wrong")
        return [Refused(batch[0], "control: schema")]

    asyncio.run(here.guard(handler).process(raws([closed("d1")])))
    (letter,) = here.dead()
    assert (letter.attempts, letter.reason) == (2, "control: schema")


@pytest.mark.parametrize(
    "source",
    [
        "Nguyễn Văn A",
        "Nguyen Van A",
        "a@example.vn",
        "0912345678",
        "+84912345678",
        "091-234-5678",
        "H28.12-250115-0001",
        "x" * 33,
        "",
        "-a",
    ],
)
def test_a_source_that_could_name_a_person_is_unknown(here: Room, source: str) -> None:
    value = msgspec.json.encode({"source": source})
    process(here, Keeps(), [Raw(CLOSED, 0, 0, value)])
    (letter,) = here.dead()
    assert letter.source == "unknown"
    assert dict(here.log.records[0].headers)["source"] == b"unknown"
    shown = repr((here.log.records, letter))
    assert not source or source not in shown


def test_a_fault_that_passes_costs_no_record(here: Room) -> None:
    handler = Keeps({"d2": RuntimeError("once")}, times=ATTEMPTS)
    process(here, handler, raws([closed("d1"), closed("d2")]))
    assert handler.seen == ["d1", "d2"]
    assert here.dead() == []


def test_the_log_of_a_failing_handler_has_the_sentence_of_our_own_errors_only(here: Room) -> None:
    with capture_logs() as logs:
        for error in (RulebookError("book: wrong. Mend it."), ValueError("0912345678")):
            process(here, Keeps({"d1": error}, times=1), raws([closed("d1")]))
    assert [line.get("reason") for line in logs if line["event"] == "handler failed"] == ["book: wrong. Mend it.", None]


def test_a_foreseen_refusal_is_put_aside_with_its_reason(here: Room) -> None:
    async def refuses(batch: Sequence[Item]) -> Sequence[Refused]:
        return [Refused(batch[1], "dossier_ref: the ledger knows no such dossier")]

    asyncio.run(here.guard(refuses).process(raws([closed("d1"), closed("d2")])))
    assert [(letter.offset, letter.reason) for letter in here.dead()] == [(1, "dossier_ref: the ledger knows no such dossier")]


def test_it_returns_only_when_everything_has_ended(here: Room) -> None:
    """The worker acknowledges what ``process`` returned from: until then nothing may be."""
    may_end = asyncio.Event()

    async def slow(batch: Sequence[Item]) -> Sequence[Refused]:
        await may_end.wait()
        return []

    async def run() -> None:
        work = asyncio.create_task(here.guard(slow).process([*raws([closed("d1")]), Raw(CLOSED, 0, 1, b"x")]))
        await asyncio.sleep(0.05)
        assert not work.done()
        assert len(here.dead()) == 1
        may_end.set()
        await work

    asyncio.run(run())


def test_a_batch_of_unreadable_records_never_reaches_the_handler(here: Room) -> None:
    handler = Keeps()
    process(here, handler, [Raw(CLOSED, 0, n, b"x") for n in range(3)])
    assert handler.calls == []
    assert len(here.dead()) == 3
