"""Reports of refused lines: whether one can be written is known before anything of a file is taken."""

from __future__ import annotations

import tempfile
from pathlib import Path

from producers.upstream_file import UnreadableFile


def ready(path: Path) -> None:
    """Return when a report can be written to ``path``, with its folder made; the report itself is made with its first line.

    Raises UnreadableFile: what has been taken cannot be given back, and nobody would learn which lines were refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.open("a", encoding="utf-8").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()  # another import may be making the report itself in this moment
    except OSError as e:
        raise UnreadableFile(
            f"{path}: the report of refused lines cannot be written ({e.strerror}), so nothing was taken. Name another one with --report"
        ) from e
