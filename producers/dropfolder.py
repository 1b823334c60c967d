"""A folder upstreams drop their nightly files into: ``in/`` → ``done/`` or ``refused/``, with a report of refused lines.

A file is taken when nobody writes it any more: its size and time stayed the same between two sweeps, or it was renamed from
``NAME.part``. Its mapping is ``NAME.toml`` beside it, else ``default.toml``, in ``in/`` or in the folder itself. A crash in between
is harmless: the file is still in ``in/`` and importing it again changes nothing. Files hold contacts: they are kept for as many days
as the vault keeps them, readable by their owner only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

from hailong import telemetry
from hailong.domain.dossier import ZONE
from hailong.ports import Retryable
from producers.desk import Desk, SourcePaused
from producers.importer import ImportOptions, ImportReport, import_file
from producers.mapping import LineMapping, MappingError, load_mapping
from producers.upstream_file import UnreadableFile

KEEP_DAYS: Final = 30
_FOLDERS: Final = ("in", "done", "refused")
_NOT_DATA: Final = (".toml", ".part", ".tmp", ".crdownload", ".filepart")
_STAMP: Final = "%Y%m%dT%H%M%S"


class FolderError(Exception):
    """The folder cannot be used; the message names it, the cause and the next step."""


@dataclass(frozen=True)
class Swept:
    """What became of one file. ``fault``: why it could not be read as a whole."""

    file: str
    report: ImportReport | None = None
    fault: str | None = None

    def sentences(self) -> list[str]:
        """For people."""
        return self.report.sentences() if self.report else [f"{self.file}: not read. {self.fault}"]


class DropFolder:
    """One drop folder; one process sweeps it. ``root`` is made when it is not there."""

    def __init__(self, root: Path, desk: Desk, now: datetime, options: ImportOptions | None = None) -> None:
        """``now``: the installation's time, aware; from then on a file is expected. Raises FolderError."""
        self.root = root
        self._desk = desk
        self._options = options or ImportOptions()
        self._seen: dict[str, tuple[int, int]] = {}
        self._parts: set[str] = set()
        self._log = telemetry.log("dropfolder")
        try:
            for name in _FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._state.exists():
                self._note(now, "since")
        except OSError as e:
            raise FolderError(f"{root}: cannot be made or written ({e.strerror}); give this user the right to write there") from e

    @property
    def _state(self) -> Path:
        return self.root / ".last"

    def _note(self, now: datetime, what: str) -> None:
        """When the last file was taken, or since when one is waited for; survives a restart."""
        draft = self.root / ".last.tmp"
        draft.write_text(f"{what} {now.isoformat()}\n", encoding="utf-8")
        draft.replace(self._state)

    def sweep(self, now: datetime) -> list[Swept]:
        """Take every file that is whole; also remove what was kept long enough.

        Raises Retryable when ledger or broker stay away or the source is paused: the file stays in ``in/`` and is taken by a later sweep.
        """
        self._forget(now)
        swept = []
        for path in self._whole():
            swept.append(done := self._take(path, now))
            self._seen.pop(path.name, None)
            self._note(now, "last")
            self._log.info("file taken", lines=done.report.lines if done.report else 0, fault=bool(done.fault))
        return swept

    def _whole(self) -> Iterator[Path]:
        """Files nobody writes any more, oldest first."""
        entries = [e for e in os.scandir(self.root / "in") if e.is_file(follow_symlinks=False) and not e.name.startswith(".")]
        names = {e.name for e in entries}
        renamed = {part.removesuffix(".part") for part in self._parts - names}
        self._parts = {name for name in names if name.endswith(".part")}
        self._seen = {name: state for name, state in self._seen.items() if name in names}
        stats = {e.name: e.stat() for e in entries if not e.name.lower().endswith(_NOT_DATA)}
        for name in sorted(stats, key=lambda name: (stats[name].st_mtime_ns, name)):
            state = (stats[name].st_size, stats[name].st_mtime_ns)
            same, self._seen[name] = self._seen.get(name) == state, state
            if (same or name in renamed) and f"{name}.part" not in names:
                yield self.root / "in" / name

    def _take(self, path: Path, now: datetime) -> Swept:
        stamp = now.astimezone(ZONE).strftime(_STAMP)
        report = self.root / "refused" / f"{stamp}-{path.name}.refused.csv"
        try:
            done = import_file(path, self._mapping(path), self._desk, now, replace(self._options, report=report))
        except SourcePaused as paused:
            raise Retryable(str(paused), 300.0) from paused
        except (UnreadableFile, MappingError) as error:
            (self.root / "refused" / f"{stamp}-{path.name}.reason.txt").write_text(f"{error}\n", encoding="utf-8")
            self._move(path, "refused", stamp)
            return Swept(path.name, fault=str(error))
        if done.unread:
            told = self.root / "refused" / f"{stamp}-{path.name}.warnings.txt"
            told.write_text("\n".join(done.sentences()) + "\n", encoding="utf-8")
        self._move(path, "done", stamp)
        return Swept(path.name, done)

    def _mapping(self, path: Path) -> LineMapping:
        beside = self.root / "in"
        for candidate in (f"{path.name}.toml", f"{path.stem}.toml", "default.toml"):
            for folder in (beside, self.root):
                if (folder / candidate).is_file():
                    return load_mapping(folder / candidate)
        raise MappingError(f"{path.name}: has no mapping; put {path.stem}.toml or default.toml into {self.root}")

    def _move(self, path: Path, to: str, stamp: str) -> None:
        target = self.root / to / f"{stamp}-{path.name}"
        path.replace(target)
        target.chmod(0o600)

    def _forget(self, now: datetime) -> None:
        """Remove files that were kept long enough: by the stamp in their name, which the installation's clock wrote."""
        for name in ("done", "refused"):
            for path in (self.root / name).iterdir():
                at = _stamped(path.name)
                if at is not None and now - at > timedelta(days=KEEP_DAYS):
                    path.unlink()

    def alarm(self, now: datetime) -> str | None:
        """A sentence when no file came since the beginning of yesterday (local days), else None."""
        try:
            what, _, at = self._state.read_text(encoding="utf-8").partition(" ")
            last = datetime.fromisoformat(at.strip())
        except (OSError, ValueError):
            return f"The drop folder {self.root.name} has lost its note of the last file. The next file writes it again."
        yesterday = datetime.combine(now.astimezone(ZONE).date() - timedelta(days=1), time(), ZONE)
        if last >= yesterday:
            return None
        since = (
            f"the last one came on {last.astimezone(ZONE):%Y-%m-%d}"
            if what == "last"
            else f"none came since {last.astimezone(ZONE):%Y-%m-%d}"
        )
        return f"No file in the drop folder {self.root.name} since yesterday: {since}. Ask the upstream whether its nightly export ran."


def _stamped(name: str) -> datetime | None:
    try:
        return datetime.strptime(name.partition("-")[0], _STAMP).replace(tzinfo=ZONE)
    except ValueError:
        return None
