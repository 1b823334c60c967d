"""Tables on stdout of which nothing is cut: boxed on a terminal that is wide enough, else lines as long as their content."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_GAP: Final = "  "


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print ``rows`` under ``columns``.

    On a terminal long cells are folded. Where that would break words, or where stdout is a file or a pipe and has no width, every row
    is one line, its cells below one another and two spaces apart.
    """
    cells = [[_one_line(cell) for cell in row] for row in rows]
    console = Console()
    boxed = _boxed(columns, cells, title)
    if console.is_terminal and Measurement.get(console, console.options.update(max_width=_UNBOUND), boxed).minimum <= console.width:
        console.print(boxed)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(columns, cells, title)))


_UNBOUND: Final = 100_000
"""Wider than any table: its own least width is asked for, not the terminal's."""


def _one_line(cell: str) -> str:
    """Without line breaks and whatever else would move the cursor: cells hold what others wrote."""
    return " ".join("".join(c if c.isprintable() else " " for c in cell).split())


def _boxed(columns: Sequence[str], cells: Iterable[Sequence[str]], title: str) -> Table:
    table = Table(title=title or None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # as Text: square brackets in it are no markup
    return table


def _lines(columns: Sequence[str], cells: Sequence[Sequence[str]], title: str) -> Iterable[str]:
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    if title:
        yield title
    for row in (columns, *cells):
        yield _GAP.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
