"""A process that is gone leaves nothing unpublished, and one that lives keeps its outbox."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hailong.ports import Permanent, Retryable
from hailong.settings import Settings
from ops.outboxes import ORPHAN_AFTER_S, Orphans, held_name
from ops.wiring import Wiring
from sinks.ledger import Ledger
from sinks.ledger.engine import BEAT_S
from tests.contract.build import NOON, closed
from tests.streams.twins import MemoryLog, Room


class Seconds:
    """Real seconds, moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def process(here: Room, writer: str, seconds: Seconds) -> Ledger:
    return Ledger(here.ledger._engine, here.ledger._tools, writer, seconds)


def leave(here: Room, writer: str, seconds: Seconds, *refs: str) -> Ledger:
    """A process commits facts and does not publish them."""
    made = process(here, writer, seconds)
    with made.begin() as tx:
        tx.put([closed(r) for r in refs], NOON)
    return made


def finder(here: Room, seconds: Seconds, slot: int = 0, log: MemoryLog | None = None) -> Orphans:
    return Orphans(process(here, f"timer-{slot}", seconds), log or here.log, seconds)


def refs(log: MemoryLog) -> list[str]:
    """As they were written, echoes too."""
    return [r.key.decode() for r in log.records]


def test_what_a_dead_process_left_is_published_in_its_order_after_a_while(here: Room, seconds: Seconds) -> None:
    leave(here, "cli:1", seconds, *(f"d{n}" for n in range(600)))
    orphans = finder(here, seconds)

    async def run() -> None:
        assert await orphans.round() == 0
        seconds.at = ORPHAN_AFTER_S - 1
        assert await orphans.round() == 0
        seconds.at = ORPHAN_AFTER_S
        assert await orphans.round() == 600
        assert await orphans.round() == 0

    asyncio.run(run())
    assert refs(here.log) == [f"d{n}" for n in range(600)]
    assert here.ledger.for_writer("cli:1").pending() == []


def test_a_living_process_keeps_its_outbox_however_long_the_log_is_away(here: Room, seconds: Seconds) -> None:
    alive = leave(here, "intake:1", seconds, "d1")
    orphans = finder(here, seconds)

    async def run() -> None:
        while seconds.at < 5 * ORPHAN_AFTER_S:
            seconds.at += BEAT_S
            alive.pending()  # as whoever tries again does
            assert await orphans.round() == 0

    asyncio.run(run())
    assert here.log.records == []


def test_its_own_outbox_is_left_to_the_finder(here: Room, seconds: Seconds) -> None:
    leave(here, "timer-0", seconds, "d1")
    orphans = finder(here, seconds)

    async def run() -> None:
        await orphans.round()
        seconds.at = 2 * ORPHAN_AFTER_S
        assert await orphans.round() == 0

    asyncio.run(run())


def test_two_finders_publish_nothing_twice(here: Room, seconds: Seconds) -> None:
    for n in range(4):
        leave(here, f"cli:{n}", seconds, *(f"d{n}.{m}" for m in range(30)))
    finders = [finder(here, seconds, slot) for slot in range(3)]

    async def run() -> None:
        for at in (0.0, ORPHAN_AFTER_S, ORPHAN_AFTER_S + 1):
            seconds.at = at
            await asyncio.gather(*(f.round() for f in finders))

    asyncio.run(run())
    assert sorted(refs(here.log)) == sorted(f"d{n}.{m}" for n in range(4) for m in range(30))
    for n in range(4):
        assert [r for r in refs(here.log) if r.startswith(f"d{n}.")] == [f"d{n}.{m}" for m in range(30)]


def test_a_finder_that_dies_over_it_leaves_it_to_another(here: Room, seconds: Seconds) -> None:
    leave(here, "cli:1", seconds, "d1")
    dying, other = finder(here, seconds, 0, MemoryLog(failures=[0] * 9)), finder(here, seconds, 1)

    async def run() -> None:
        await asyncio.gather(dying.round(), other.round())
        seconds.at = ORPHAN_AFTER_S
        with pytest.raises(Retryable):
            await dying.round()
        assert await other.round() == 0, "somebody has it"
        seconds.at += ORPHAN_AFTER_S
        assert await other.round() == 1

    asyncio.run(run())
    assert refs(here.log) == ["d1"]


def test_what_was_taken_over_is_tried_until_the_log_is_back(here: Room, seconds: Seconds) -> None:
    leave(here, "cli:1", seconds, "d1")
    here.log.failures = [0, 0]
    orphans = finder(here, seconds)

    async def run() -> None:
        await orphans.round()
        seconds.at = ORPHAN_AFTER_S
        for _ in range(2):
            with pytest.raises(Retryable):
                await orphans.round()
        assert await orphans.round() == 1

    asyncio.run(run())


def test_an_outbox_that_can_never_be_published_stops_neither_the_finder_nor_the_others(here: Room, seconds: Seconds) -> None:
    class Refusing(MemoryLog):
        async def publish(self, records: object) -> None:
            if any(r.key == b"huge" for r in records):  # type: ignore[attr-defined]
                raise Permanent("a record is larger than the broker takes", "too_large")
            await super().publish(records)  # type: ignore[arg-type]

    leave(here, "cli:1", seconds, "huge")
    leave(here, "cli:2", seconds, "d2")
    log = Refusing()
    orphans = finder(here, seconds, 0, log)

    async def run() -> None:
        await orphans.round()
        seconds.at = ORPHAN_AFTER_S
        assert await orphans.round() == 1

    asyncio.run(run())
    assert refs(log) == ["d2"]
    assert len(here.ledger.for_writer("cli:1").pending()) == 1


def test_a_name_of_which_nothing_is_left_is_forgotten(here: Room, seconds: Seconds) -> None:
    gone = leave(here, "cli:1", seconds, "d1")
    gone.published([p.id for p in gone.pending()])
    orphans = finder(here, seconds)

    async def run() -> None:
        for at in (0.0, ORPHAN_AFTER_S):
            seconds.at = at
            await orphans.round()

    asyncio.run(run())
    assert here.ledger.writers() == []


# --- names


def test_two_processes_never_have_one_name_and_a_new_one_finds_what_an_ended_one_left(tmp_path: Path) -> None:
    folder = tmp_path / "outboxes"
    code = (
        "import sys; from pathlib import Path; from ops.outboxes import held_name; print(held_name(Path(sys.argv[1]), 'intake', 'a' * 16))"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout.strip()
    assert ended == f"intake:{'a' * 16}"
    assert held_name(folder, "intake", "b" * 16) == ended
    assert held_name(folder, "intake", "c" * 16) == f"intake:{'c' * 16}"
    assert held_name(folder, "survey", "d" * 16) == f"survey:{'d' * 16}"


def test_a_name_whose_writing_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "intake-0").write_text("abc")
    assert held_name(tmp_path, "intake", "b" * 16) == f"intake:{'b' * 16}"
    assert (tmp_path / "intake-0").read_text() == "b" * 16


def test_where_nothing_can_be_written_each_process_has_a_new_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert held_name(tmp_path / "file", "intake", "b" * 16) == f"intake:{'b' * 16}"


def test_no_two_processes_share_an_outbox(tmp_path: Path) -> None:
    """Each Wiring stands for a process."""
    settings = replace(Settings(), data_dir=tmp_path, keys_dir=tmp_path / "keys", ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    Wiring(settings).keys.make_missing(NOON.date())
    wirings = [Wiring(settings) for _ in range(2)]
    for names in ([w.ledger("intake").writer for w in wirings], [w.lasting_ledger("intake").writer for w in wirings]):
        assert len(set(names)) == 2
        assert all(n.startswith("intake:") for n in names)
    assert wirings[0].held_ledger("decide-0").writer == "decide-0"
