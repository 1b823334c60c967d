"""What git leaves alone, whatever shape it has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [".venv", ".hailong"])
def test_an_environment_or_a_home_elsewhere_may_be_linked_here(name: str, tmp_path: Path) -> None:
    """A pattern that ends with / is for folders only; git takes a link to one for a file."""
    house = tmp_path / "house"
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["git", "init", "--quiet", str(house)], check=True)
    shutil.copy(ROOT / ".gitignore", house)
    (house / name).symlink_to(tmp_path / "elsewhere")
    (house / "kept").touch()
    untracked = subprocess.run(["git", "status", "--porcelain"], cwd=house, capture_output=True, text=True, check=True).stdout
    assert untracked.split() == ["??", ".gitignore", "??", "kept"]
