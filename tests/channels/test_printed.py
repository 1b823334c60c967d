"""Slips to be printed: written whole, once, for this user only."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hailong.ports import Handover, OutgoingMessage, Permanent, Retryable
from surveys.channels.printed import PrintedSlips, slip_id

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SLIP = OutgoingMessage("claim/../7", "print", "", " Phiếu\nkhảo sát ", "Kính mời Ông/Bà.\nMã: 7KQ2", None, "7KQ2", None, None, "vi")


def test_a_slip_is_a_whole_file_of_this_user_under_a_name_that_tells_nothing(tmp_path: Path) -> None:
    handover = asyncio.run(PrintedSlips(tmp_path / "slips").send(SLIP))
    (file,) = (tmp_path / "slips").iterdir()
    assert handover == Handover("print", slip_id("claim/../7"), 0, "written")
    assert file.name == f"{handover.provider_id}.txt"
    assert file.read_text("utf-8") == "Phiếu khảo sát\n\nKính mời Ông/Bà.\nMã: 7KQ2\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_another_try_of_the_same_claim_writes_nothing(tmp_path: Path) -> None:
    channel = PrintedSlips(tmp_path)
    first = asyncio.run(channel.send(SLIP))
    again = asyncio.run(channel.send(replace(SLIP, text="anders")))
    assert again == first
    assert "Kính mời" in (tmp_path / f"{first.provider_id}.txt").read_text("utf-8")


def test_a_part_left_by_a_crash_is_no_slip(tmp_path: Path) -> None:
    (tmp_path / f".{slip_id(SLIP.claim_id)}.0.part").write_text("Kính")
    channel = PrintedSlips(tmp_path)
    assert asyncio.run(channel.find(SLIP, LONG_AGO)) is None
    assert asyncio.run(channel.send(SLIP)) == asyncio.run(channel.find(SLIP, LONG_AGO))


@pytest.mark.parametrize(("text", "reason"), [(" \n", "empty_text"), ("x" * 100_001, "text_too_long")])
def test_what_cannot_be_printed_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=reason):
        asyncio.run(PrintedSlips(tmp_path).send(replace(SLIP, text=text)))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_waits_and_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    channel = PrintedSlips(tmp_path / "file")
    with pytest.raises(Retryable, match="HAILONG_PRINT_DIR"):
        asyncio.run(channel.send(SLIP))
    with pytest.raises(Retryable, match="HAILONG_PRINT_DIR"):
        asyncio.run(channel.find(SLIP, LONG_AGO))
