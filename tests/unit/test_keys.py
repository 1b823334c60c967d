"""The keys of an installation: made whole, made once, never made up, never touched."""

from __future__ import annotations

import stat
import threading
from datetime import date
from pathlib import Path

import pytest

from hailong.domain.people import Keyed
from ops.keys import BYTES, MONTHS_AHEAD, NAMES, KeyMissing, Keys, Peppered, months_from
from sinks.ledger import VaultError

TODAY = date(2026, 11, 20)


def test_an_empty_folder_gets_every_key_and_the_months_to_come(tmp_path: Path) -> None:
    made = Keys(tmp_path / "keys").make_missing(TODAY)
    assert made == [*NAMES, *(f"vault/{m}" for m in ("2026-11", "2026-12", "2027-01", "2027-02", "2027-03"))]
    files = sorted(p for p in (tmp_path / "keys").rglob("*") if p.is_file())
    assert len(files) == len(made)
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
    assert {len(p.read_bytes()) for p in files} == {BYTES}
    assert len({p.read_bytes() for p in files}) == len(files)


def test_the_vault_s_keys_are_there_before_anything_is_sealed_with_them() -> None:
    """Sealing looks at most 60 days ahead; a key is made a month before that."""
    assert MONTHS_AHEAD >= 4


def test_a_second_time_nothing_is_made_and_nothing_is_touched(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.make_missing(TODAY)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.key")}
    assert keys.make_missing(TODAY) == []
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.key")} == before


def test_next_month_one_key_more(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.make_missing(TODAY)
    assert keys.make_missing(date(2026, 12, 1)) == ["vault/2027-04"]


def test_a_discarded_key_is_not_made_again(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.make_missing(TODAY)
    (tmp_path / "vault" / "2026-11.key").unlink()
    assert keys.make_missing(date(2026, 12, 1)) == ["vault/2027-04"]


def test_two_processes_that_start_together_have_the_same_keys(tmp_path: Path) -> None:
    made: list[list[str]] = []
    seen: list[dict[str, bytes]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        keys = Keys(tmp_path)
        made.append(keys.make_missing(TODAY))
        seen.append({name: keys.named(name) for name in NAMES})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(seen) == 4
    assert all(one == seen[0] for one in seen)
    assert sorted(name for names in made for name in names) == sorted([*NAMES, *(f"vault/{m}" for m in months_from(TODAY, MONTHS_AHEAD))])
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".key"] == []


def test_a_key_that_is_missing_is_named_with_the_next_step_and_never_made_up(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    with pytest.raises(KeyMissing, match=r"the key draw\.key cannot be read .*Restore it from its backup, or run `hailong setup`"):
        keys.named("draw")
    with pytest.raises(VaultError, match=r"2026-11\.key"):
        keys.month("2026-11")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_half_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "draw.key").write_bytes(content)
    with pytest.raises(KeyMissing, match=rf"draw\.key is {len(content)} bytes, not 32"):
        Keys(tmp_path).named("draw")


def test_a_key_that_was_missing_is_found_when_it_was_restored(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    with pytest.raises(VaultError):
        keys.month("2026-11")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "2026-11.key").write_bytes(b"k" * BYTES)
    assert keys.month("2026-11") == b"k" * BYTES


def test_months_go_over_the_year() -> None:
    assert months_from(date(2026, 12, 31), 3) == ["2026-12", "2027-01", "2027-02"]
    assert months_from(date(2026, 1, 1), 1) == ["2026-01"]


def test_a_discarded_key_is_gone_at_once_for_who_had_read_it_and_is_not_made_again(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.make_missing(TODAY)
    keys.month("2026-11")
    assert keys.discard("2026-11")
    assert not keys.discard("2026-11")
    with pytest.raises(VaultError):
        keys.month("2026-11")
    assert keys.make_missing(date(2026, 12, 1)) == ["vault/2027-04"]
    assert keys.months() == ["2026-12", "2027-01", "2027-02", "2027-03", "2027-04"]


def test_a_new_pepper_is_known_at_the_next_call_and_the_first_one_is_what_it_was(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.make_missing(TODAY)
    hashes = Peppered(keys)
    first = Keyed(keys.named("identity")).contact_hash("phone", "+84912000001")
    assert (hashes.newest("phone", "+84912000001"), hashes.older("phone", "+84912000001"), hashes.version()) == (first, {}, 1)
    assert keys.make_pepper() == 2
    assert hashes.older("phone", "+84912000001") == {1: first}
    assert hashes.newest("phone", "+84912000001") != first
    assert hashes.version() == 2
    assert keys.make_pepper() == 3
    assert set(hashes.older("phone", "+84912000001")) == {1, 2}
    assert stat.S_IMODE((tmp_path / "preference" / "3.key").stat().st_mode) == 0o600
