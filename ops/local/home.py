"""Where what was fetched once is kept. ``bin/hailong`` passes HAILONG_HOME as ``--home``; else it is this."""

from __future__ import annotations

from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
HOME: Final = REPOSITORY / ".hailong"
