"""What was acknowledged lies on the disk, whatever happens to the process; it is published at least once, in order."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailong.events import Record
from hailong.ports import Invalid, Permanent, Retryable
from surveys.answers.spool import MAGIC, Spool, frame, read, spooled
from tests.survey.spool_writer import record
from tests.survey.twins import MemoryLog, until

ROOT = Path(__file__).parents[2]
RECORDS = st.builds(
    Record,
    st.text(max_size=20),
    st.binary(max_size=40),
    st.binary(max_size=200) | st.just(MAGIC * 3),
    st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=3).map(tuple),
)


def keys(records: Sequence[Record]) -> list[str]:
    return [r.key.decode() for r in records]


@given(st.lists(RECORDS, max_size=8))
def test_what_is_written_is_read(records: list[Record]) -> None:
    found = read(b"".join(frame(r) for r in records))
    assert [r for r, _ in found.records] == records
    assert not found.damaged


@given(st.lists(RECORDS, min_size=1, max_size=5), st.data())
def test_a_torn_tail_costs_only_what_was_torn(records: list[Record], data: st.DataObject) -> None:
    whole = b"".join(frame(r) for r in records)
    before = len(whole) - len(frame(records[-1]))
    cut = data.draw(st.integers(before, len(whole) - 1))
    found = read(whole[:cut])
    assert [r for r, _ in found.records] == records[:-1]
    assert not found.damaged


@settings(max_examples=60)
@given(st.lists(RECORDS, min_size=3, max_size=6), st.data())
def test_a_damaged_byte_costs_one_record_and_is_told(records: list[Record], data: st.DataObject) -> None:
    frames = [frame(r) for r in records]
    at = data.draw(st.integers(0, len(frames[1]) - 1))
    frames[1] = frames[1][:at] + bytes([frames[1][at] ^ 0xFF]) + frames[1][at + 1 :]
    found = read(b"".join(frames))
    assert found.damaged
    assert {r for r, _ in found.records} >= {records[0], *records[2:]} - {records[1]}


def test_what_waits_is_published_in_order_and_the_file_emptied(tmp_path: Path) -> None:
    spool, log = Spool(tmp_path, "w"), MemoryLog()
    for number in range(1200):
        spool.append(record("w", number))
    assert spool.waiting == spool.path.stat().st_size > 0
    assert asyncio.run(spool.drain(log)) == 1200
    assert keys(log.records) == [f"w:{n}" for n in range(1200)]
    assert spool.waiting == spool.path.stat().st_size == 0
    spool.append(record("w", 7))
    assert asyncio.run(spool.drain(log)) == 1
    spool.close()
    assert list(tmp_path.iterdir()) == []


class Shaky(MemoryLog):
    """Takes some records of each batch, then says it failed, a few times."""

    failures = 3

    async def publish(self, records: Sequence[Record]) -> None:
        if self.failures:
            self.failures -= 1
            self.records.extend(records[: len(records) // 2])
            raise Retryable("log: away")
        await super().publish(records)


def test_a_log_that_fails_half_way_gets_everything_again(tmp_path: Path) -> None:
    spool, log = Spool(tmp_path, "w"), Shaky()
    for number in range(10):
        spool.append(record("w", number))

    async def life() -> None:
        task = asyncio.create_task(spool.keep_draining(log, every=0.01))
        await until(lambda: not spool.waiting)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(life(), 20))
    assert keys(log.records[-10:]) == [f"w:{n}" for n in range(10)]
    assert len(log.records) == 25
    spool.close()


def test_while_the_log_is_away_the_trouble_is_named_and_nothing_leaves(tmp_path: Path) -> None:
    spool, log = Spool(tmp_path, "w"), MemoryLog(away=True)
    spool.append(record("w", 1))

    async def life() -> None:
        task = asyncio.create_task(spool.keep_draining(log, every=0.01, slowest=0.02))
        await until(lambda: spool.trouble is not None)
        assert spool.trouble == "log: away"
        assert spool.waiting
        log.away = False
        await until(lambda: not spool.waiting and spool.trouble is None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(life(), 20))
    assert keys(log.records) == ["w:1"]
    spool.close()


def test_a_living_workers_file_is_nobody_elses(tmp_path: Path) -> None:
    mine, other, log = Spool(tmp_path, "a"), Spool(tmp_path, "b"), MemoryLog()
    mine.append(record("a", 1))
    assert asyncio.run(other.adopt(log)) == 0
    assert keys(spooled(tmp_path)) == ["a:1"]
    mine.close()
    assert asyncio.run(other.adopt(log)) == 1
    assert keys(log.records) == ["a:1"]
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_an_orphan_stays_until_the_log_has_it(tmp_path: Path) -> None:
    mine, other, log = Spool(tmp_path, "a"), Spool(tmp_path, "b"), MemoryLog(away=True)
    mine.append(record("a", 1))
    mine.close()
    with pytest.raises(Retryable):
        asyncio.run(other.adopt(log))
    log.away = False
    assert asyncio.run(other.adopt(log)) == 1
    other.close()


def test_a_damaged_orphan_is_published_as_far_as_it_can_be_read_and_kept(tmp_path: Path) -> None:
    frames = [frame(record("a", n)) for n in range(3)]
    (tmp_path / "a.spool").write_bytes(frames[0] + frames[1][:20] + b"\0" * 50 + frames[2])
    other, log = Spool(tmp_path, "b"), MemoryLog()
    assert asyncio.run(other.adopt(log)) == 2
    assert keys(log.records) == ["a:0", "a:2"]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".damaged"] == ["a.damaged"]
    assert asyncio.run(other.adopt(log)) == 0
    other.close()


def test_a_name_taken_up_again_goes_on_after_the_last_whole_frame(tmp_path: Path) -> None:
    (tmp_path / "w.spool").write_bytes(frame(record("w", 1)) + frame(record("w", 2))[:30])
    spool, log = Spool(tmp_path, "w"), MemoryLog()
    spool.append(record("w", 3))
    asyncio.run(spool.drain(log))
    assert keys(log.records) == ["w:1", "w:3"]
    spool.close()


def test_a_full_disk_thanks_nobody_and_loses_nothing(tmp_path: Path) -> None:
    """A file-size limit of the process is what a full disk is to a writer: part of a frame goes in, the rest does not."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from hailong.ports import Retryable\n"
        "from surveys.answers.spool import Spool; from tests.survey.spool_writer import record\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2500, resource.RLIM_INFINITY))\n"
        "spool = Spool(Path(sys.argv[1]), 'w'); n = 0\n"
        "try:\n"
        "    while True: spool.append(record('w', n)); n += 1\n"
        "except Retryable as e: assert 'Free space' in e.reason\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "spool.append(record('w', 99)); print(n)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    taken = int(done.stdout)
    assert keys(spooled(tmp_path)) == [*(f"w:{n}" for n in range(taken)), "w:99"]
    assert not read((tmp_path / "w.spool").read_bytes()).damaged


def test_a_disk_that_does_not_write_through_thanks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "w")

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", broken)
        with pytest.raises(Retryable, match="Input/output error"):
            spool.append(record("w", 1))
    spool.append(record("w", 2))
    assert keys(spooled(tmp_path)) == ["w:2"]
    spool.close()


def test_records_and_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="spool name"):
        Spool(tmp_path, "../w")
    spool = Spool(tmp_path, "w")
    with pytest.raises(Invalid, match="too_large"):
        spool.append(Record("t", b"k", b"x" * 2_000_000, ()))
    spool.close()


class Refusing(MemoryLog):
    async def publish(self, records: Sequence[Record]) -> None:
        raise Permanent("log: too large for the broker")


def test_a_record_the_log_refuses_for_good_stays_and_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w")
    spool.append(record("w", 1))

    async def life() -> None:
        task = asyncio.create_task(spool.keep_draining(Refusing(), every=0.01))
        await until(lambda: spool.trouble is not None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(life(), 20))
    assert spool.trouble == "log: too large for the broker"
    assert spool.waiting
    spool.close()


@pytest.mark.parametrize("acknowledged_before_kill", [1, 40, 150])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged_before_kill: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.survey.spool_writer", str(tmp_path), "w"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    told = [int(writer.stdout.readline()) for _ in range(acknowledged_before_kill)]
    mine, log = Spool(tmp_path, "b"), MemoryLog()
    assert asyncio.run(mine.adopt(log)) == 0, "its file is under lock while it lives"
    os.kill(writer.pid, signal.SIGKILL)
    told += [int(line) for line in writer.stdout.read().splitlines()]
    writer.wait()
    writer.stdout.close()
    adopted = asyncio.run(mine.adopt(log))
    assert adopted in (len(told), len(told) + 1), "one may be written and not yet told"
    assert keys(log.records)[: len(told)] == [f"w:{n}" for n in told]
    mine.close()
    assert list(tmp_path.iterdir()) == []
