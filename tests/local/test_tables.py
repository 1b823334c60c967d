"""Tables on stdout, of which nothing is ever cut."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from hailong.settings import inherited
from ops.cli.tables import print_table
from ops.local.home import REPOSITORY

COLUMNS = ("id", "source", "reason", "state")
REASON = "the field finished_at is no time, and a reason may be as long as it likes: nothing of it is cut, wherever it is shown [b]"
ROWS = [("7", "one-stop", REASON, "waiting"), ("12", "Xã Lạc Sơn", "short\nwith a break", "waiting")]
PROGRAM = f"from ops.cli.tables import print_table\nprint_table({COLUMNS!r}, {ROWS!r}, title='as of 41')"


def on_a_terminal(columns: int) -> str:
    """What a terminal so wide is shown."""
    ours, theirs = pty.openpty()
    env = inherited() | {"COLUMNS": str(columns), "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=REPOSITORY, stdout=theirs, env=env, check=True)
    os.close(theirs)
    assert done.returncode == 0
    told = b""
    while chunk := _read(ours):
        told += chunk
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m|\r", "", told.decode())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed and everything was read
        return b""


def test_a_file_or_a_pipe_has_no_width_so_every_row_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, title="as of 41")
    title, head, first, second = capsys.readouterr().out.splitlines()
    assert title == "as of 41"
    assert head.split() == list(COLUMNS)
    assert first == f"7   one-stop    {REASON}  waiting"
    assert second.startswith("12  Xã Lạc Sơn  short with a break")
    starts = [line.index(cell) for line, cell in ((head, "state"), (first, "waiting"), (second, "waiting"))]
    assert len(set(starts)) == 1, "columns stand below one another"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_folds_what_is_too_long(columns: int) -> None:
    told = on_a_terminal(columns)
    assert "│" in told
    cells = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in told.splitlines() if line.startswith("│")]
    assert "".join(row[2] for row in cells).replace(" ", "").startswith(REASON.replace(" ", ""))
    assert max(map(len, told.splitlines())) <= columns


def test_a_terminal_too_narrow_for_a_table_is_given_lines() -> None:
    told = on_a_terminal(20)
    assert "│" not in told
    assert REASON in told


def test_an_empty_table_still_names_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [])
    assert capsys.readouterr().out == "id  source  reason  state\n"


def test_what_others_wrote_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("source",), [("\x1b[2Jgone\r\x00",)])
    assert capsys.readouterr().out == "source\n[2Jgone\n"
