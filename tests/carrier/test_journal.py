"""The journal: what it has confirmed is there, whatever happened."""

import asyncio
import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.carrier.evidence import records
from ops.carrier.journal import Journal, JournalFailed, JournalUnusable
from ops.carrier.records import Accepted, Record, Refused

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def accepted(number: int) -> Accepted:
    return Accepted(f"SM{number}", AT, "sms", f"+8490000{number:04d}", "HCC", body="Mời Ông/Bà")


class Applied(list[Record]):
    def __call__(self, record: Record, offset: int, length: int) -> None:
        self.append(record)


def write(path: Path, *given: Record) -> Applied:
    async def all_at_once() -> None:
        journal = Journal(path, applied)
        await asyncio.gather(*(journal.append(record) for record in given))
        await journal.close()

    applied = Applied()
    asyncio.run(all_at_once())
    return applied


def test_what_was_confirmed_is_in_the_file_in_the_order_it_was_applied(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    applied = write(path, *(accepted(n) for n in range(50)))
    assert list(records(path)) == applied == [accepted(n) for n in range(50)]


def test_a_reopened_journal_applies_the_old_records_first(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, accepted(1))
    refused = Refused(AT, "email", "a@example.vn", "ks@example.vn", 550)
    assert write(path, refused) == [accepted(1), refused]


def test_a_torn_last_line_is_cut_off_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, accepted(1), accepted(2))
    path.write_bytes(path.read_bytes()[:-20])
    assert list(records(path)) == [accepted(1)]
    write(path, accepted(3))
    assert list(records(path)) == [accepted(1), accepted(3)]


def test_a_damaged_line_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, accepted(1), accepted(2), accepted(3))
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[0] + b'{"kind": "acc\n' + lines[2]
    path.write_bytes(damaged)
    with pytest.raises(JournalUnusable, match="line 2"):
        Journal(path, Applied())
    assert path.read_bytes() == damaged


def test_a_second_carrier_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    async def twice() -> None:
        journal = Journal(tmp_path / "journal", Applied())
        with pytest.raises(JournalUnusable, match="in use"):
            Journal(tmp_path / "journal", Applied())
        await journal.close()

    asyncio.run(twice())


def test_without_room_nothing_is_confirmed_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    applied = Applied()

    async def full() -> None:
        journal = Journal(path, applied)
        await journal.append(accepted(1))
        before = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
        try:
            with pytest.raises(JournalFailed, match="make room"):
                await journal.append(accepted(2), accepted(3))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        await journal.append(accepted(4))
        await journal.close()

    asyncio.run(full())
    assert list(records(path)) == applied == [accepted(1), accepted(4)]


def test_an_accepted_message_is_read_back_from_its_place(tmp_path: Path) -> None:
    places: list[tuple[int, int]] = []

    async def both() -> list[Accepted]:
        journal = Journal(tmp_path / "journal", lambda _, offset, length: places.append((offset, length)))
        await asyncio.gather(journal.append(accepted(1), accepted(2)), journal.append(accepted(3)))
        found = [journal.read(*place) for place in places]
        await journal.close()
        return found

    assert asyncio.run(both()) == [accepted(1), accepted(2), accepted(3)]
