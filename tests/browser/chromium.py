"""The Chromium of this machine: an installed one, else Playwright's own download. `python tests/browser/chromium.py` names it, or exits 2.

Only the standard library: bin/test asks before there is an environment.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

INSTALLED: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_DOWNLOADED: Final = ("chrome", "chrome-headless-shell", "headless_shell", "Chromium", "Google Chrome for Testing")
DEBIAN: Final = Path("/usr/bin")
MISSING: Final = (
    "The tests in a browser need Chromium, and none was found: neither "
    + ", ".join(INSTALLED)
    + " on PATH, nor Playwright's own download. Install one (Debian: apt-get install chromium; elsewhere: "
    + ".venv/bin/playwright install chromium) and start again."
)


def find(environment: Mapping[str, str] = os.environ, system: Path = DEBIAN) -> Path | None:
    """The program to start, or None. ``system`` is looked into also where PATH is short."""
    search = environment.get("PATH", os.defpath)
    for name in INSTALLED:
        found = shutil.which(name, path=f"{search}{os.pathsep}{system}")
        if found:
            return Path(found)
    return max(_downloaded(environment), key=lambda path: path.parts[-3], default=None)


def _downloaded(environment: Mapping[str, str]) -> Iterator[Path]:
    """Playwright's downloads, whichever version of it fetched them. https://playwright.dev/python/docs/browsers"""
    home = Path(environment.get("HOME") or Path.home())
    caches = [home / ".cache/ms-playwright", home / "Library/Caches/ms-playwright"]
    if named := environment.get("PLAYWRIGHT_BROWSERS_PATH", ""):
        caches = [Path(named)]
    for cache in caches:
        for pattern in ("chromium*/*", "chromium*/*/*.app/Contents/MacOS"):
            for folder in cache.glob(pattern):
                yield from (folder / name for name in _DOWNLOADED if os.access(folder / name, os.X_OK) and (folder / name).is_file())


def main(environment: Mapping[str, str] = os.environ, system: Path = DEBIAN) -> int:
    """0 and its path on stdout; 2 and what to install on stderr."""
    found = find(environment, system)
    if found is None:
        sys.stderr.write(f"{MISSING}\n")
        return 2
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
