"""docs/settings.md is what the command prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_commands_own_words() -> None:
    command = [sys.executable, "-m", "ops", "settings", "--markdown"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == printed, "docs/settings.md is old. Write it anew: bin/hailong settings --markdown > docs/settings.md"
