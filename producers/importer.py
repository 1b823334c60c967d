"""``import dossiers FILE``: a file of an upstream through a mapping to the desk; what is refused goes into a report.

The report has line number, column, field and reason, never a value. The same file a second time changes nothing. Columns and keys no
field reads are warned of, once each.
"""

from __future__ import annotations

import csv
import difflib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hailong.ports import Invalid, Retryable
from producers.desk import Desk, ItemResult, refused_item
from producers.mapping import LineMapping, Unread
from producers.reports import ready
from producers.upstream_file import Line, UnreadableFile, Upstream, open_upstream

BATCH: Final = 500
COLUMNS: Final = ("line", "column", "field", "reason")
LINE_REASONS: Final = {
    "not_a_line": "the line has not as many cells as the header, or is not JSON",
    "conflict": "the same act of the same dossier came before with another content",
}
"""Reasons of a report beside those of hailong.domain.dossier.REASONS."""
Advance = Callable[[int, int], None]
"""Called with (bytes read so far, lines read so far)."""


@dataclass
class ImportReport:
    """What became of a file."""

    file: str
    source: str
    encoding: str
    delimiter: str | None
    lines: int = 0
    new: int = 0
    duplicate: int = 0
    conflict: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Reason → lines."""
    dropped: Counter[str] = field(default_factory=Counter)
    """``field: word`` → lines that were taken without that part."""
    filled: Counter[str] = field(default_factory=Counter)
    """``field: word`` → lines that came without that part and got it from elsewhere."""
    unread: dict[str, int] = field(default_factory=dict)
    """Column or key no field of the mapping reads → its first line. Refuses nothing."""
    columns: tuple[str, ...] = ()
    """Columns the mapping reads."""
    report: Path | None = None
    """The report of refused lines, when there are any."""

    @property
    def refusals(self) -> int:
        """Lines that were refused."""
        return self.refused.total()

    @property
    def complete(self) -> bool:
        """Whether every line was taken."""
        return not self.refusals and not self.conflict

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        counts = {"lines": self.lines, "new": self.new, "duplicate": self.duplicate, "conflict": self.conflict, "refused": self.refusals}
        kinds = {
            "refused_by_reason": dict(sorted(self.refused.items())),
            "dropped_parts": dict(sorted(self.dropped.items())),
            "filled_parts": dict(sorted(self.filled.items())),
            "unread": self.unread,
        }
        return {"file": self.file, "source": self.source, **counts, **kinds, "report": str(self.report) if self.report else None}

    def sentences(self) -> list[str]:
        """For people."""
        said = [
            f"{self.file}: {self.lines:,} lines: {self.new:,} new, {self.duplicate:,} known already, "
            f"{self.conflict:,} in conflict with what is known, {self.refusals:,} refused."
        ]
        said += [f"  refused, {reason}: {n:,}" for reason, n in sorted(self.refused.items())]
        said += [f"  taken without {part}: {n:,}" for part, n in sorted(self.dropped.items())]
        said += [f"  filled in, {part}: {n:,}" for part, n in sorted(self.filled.items())]
        said += [self._warning(name, line) for name, line in self.unread.items()]
        return (
            [*said, f"Refused lines stand in {self.report}; correct them at the source and import the file again."] if self.report else said
        )

    def _warning(self, name: str, line: int) -> str:
        near = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]!r}? Correct it at the source" if near else "map it, or write it into ignore under [file]"
        return f"  warning: line {line}: no field of the mapping reads {name!r}; {hint}."


class _Refusals:
    """The report file; it is made with its first line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self._rows: Any = None

    def write(self, line: int, column: str, field_: str | None, reason: str) -> None:
        if self._file is None:
            self._file = self._made()
            self._rows = csv.writer(self._file)
            self._rows.writerow(COLUMNS)
        self._rows.writerow((line, column, field_ or "", reason))

    def _made(self) -> Any:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.open("w", encoding="utf-8-sig", newline="")  # the mark makes spreadsheets read it as UTF-8
        except OSError as e:
            raise UnreadableFile(
                f"{self.path}: the report of refused lines cannot be written ({e.strerror}); name another with --report"
            ) from e

    def close(self) -> Path | None:
        if self._file is None:
            return None
        self._file.close()
        return self.path


@dataclass(frozen=True)
class ImportOptions:
    """How a file is imported. ``patience_s``: how long ledger or broker may be away before the import gives up."""

    source: str | None = None
    as_if_on_time: bool = False
    report: Path | None = None
    patience_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


def import_file(
    path: Path, mapping: LineMapping, desk: Desk, heard_at: datetime, options: ImportOptions, advance: Advance | None = None
) -> ImportReport:
    """Import a file of dossiers, streaming. ``heard_at``: the installation's time, aware.

    Raises UnreadableFile and MappingError before anything was taken; SourcePaused; Retryable when ledger or broker stay away longer
    than the options' patience: the same command again goes on where it stopped.
    """
    source = options.source or mapping.source or "file"
    refusals = _Refusals(options.report or path.with_name(f"{path.name}.refused.csv"))
    if path.exists():  # else it is refused for that
        ready(refusals.path)
    upstream = open_upstream(path, mapping)
    report = ImportReport(path.name, source, upstream.encoding, upstream.delimiter, columns=mapping.columns)
    unread = Unread(mapping)
    unread.see(dict.fromkeys(upstream.header[1]), upstream.header[0])
    report.unread = unread.lines
    try:
        for lines in _batches(upstream):
            for line in lines:
                unread.see(line.keys, line.number)
            _import_batch(lines, mapping, desk, heard_at, options, report, refusals)
            if advance:
                advance(upstream.position(), report.lines)
    finally:
        report.report = refusals.close()
    return report


def _batches(upstream: Upstream) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in upstream.lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _import_batch(
    lines: Sequence[Line],
    mapping: LineMapping,
    desk: Desk,
    heard_at: datetime,
    options: ImportOptions,
    report: ImportReport,
    refusals: _Refusals,
) -> None:
    results: list[tuple[int, ItemResult]] = []
    items: list[dict[str, Any]] = []
    numbers: list[int] = []
    for line in lines:
        try:
            items.append(_item(line, mapping))
            numbers.append(line.number)
        except Invalid as error:
            results.append((line.number, refused_item(0, error)))
    if items:
        taken = _patiently(lambda: desk.take(items, report.source, heard_at, as_if_on_time=options.as_if_on_time), options)
        results += [(numbers[result.index], result) for result in taken]
    report.lines += len(lines)
    for number, result in sorted(results, key=lambda pair: pair[0]):
        _count(report, result)
        if result.reason:
            refusals.write(number, mapping.column_of(result.field), result.field, result.reason)


def _item(line: Line, mapping: LineMapping) -> dict[str, Any]:
    if line.wrong:
        raise Invalid(line.wrong)
    return mapping.item(line.cells)


def _count(report: ImportReport, result: ItemResult) -> None:
    report.dropped.update(result.notes)
    report.filled.update(result.filled)
    if result.status == 202:
        report.duplicate += result.duplicate
        report.new += not result.duplicate
    elif result.status == 409:
        report.conflict += 1
    else:
        report.refused[result.reason or "unknown"] += 1


def _patiently(take: Callable[[], list[ItemResult]], options: ImportOptions) -> list[ItemResult]:
    """Try until it works. What a failed try committed waits in the outbox, and what waits there is not called a duplicate."""
    until = options.monotonic() + options.patience_s
    while True:
        try:
            return take()
        except Retryable as away:
            if options.monotonic() >= until:
                raise
            options.sleep(min(away.after, 5.0))


@contextmanager
def bar(path: Path) -> Iterator[Advance]:
    """A progress bar on stderr for ``import_file``; nothing where stderr is no terminal."""
    total = path.stat().st_size if path.exists() else 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[lines]:,} lines"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(path.name, total=total, lines=0)
        yield lambda read, lines: progress.update(task, completed=read if read >= 0 else total, lines=lines)
