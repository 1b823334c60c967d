"""A list of people who want no more messages: what is read of it, what is refused, and that a report names nobody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.optouts import AT_ONCE, read_optouts, take_optouts
from producers.upstream_file import UnreadableFile


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> list[tuple[int, tuple[str, ...], str | None]]:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    return [(line.number, line.contacts, line.wrong) for line in read_optouts(path)]


def test_plain_lines_of_numbers_and_addresses(tmp_path: Path) -> None:
    assert read(tmp_path, "0912000001\n\n+84 912 000 002\nA@X.example\nhello\n12345678901234\n") == [
        (1, ("+84912000001",), None),
        (3, ("+84912000002",), None),
        (4, ("A@x.example",), None),
        (5, (), "no_contact"),
        (6, (), "not_a_contact"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_of_a_file_with_a_header_only_its_columns_of_contacts_are_read(tmp_path: Path, encoding: str) -> None:
    text = (
        "Họ tên;Số CCCD;Số điện thoại;E-mail\nLan;017099000001;0912000001;a@x.example\nMinh;017099000002;;\nHoa;0912000009;xx;\n"
        "Mai;;0912000004;mai@\n"
    )
    assert read(tmp_path, text, encoding) == [
        (2, ("+84912000001", "a@x.example"), None),
        (3, (), "no_contact"),
        (4, (), "not_a_contact"),
        (5, ("+84912000004",), "not_a_contact"),
    ]


def test_without_a_header_what_is_a_number_counts_whatever_stands_beside_it(tmp_path: Path) -> None:
    assert read(tmp_path, "017099000001,0912000001,Lan\n017099000001,Lan\n") == [(1, ("+84912000001",), None), (2, (), "not_a_contact")]


def test_all_are_committed_in_parts_and_the_report_holds_no_contact(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("".join(f"09120{n:05d}\n" for n in range(120)) + "nobody\nAnh Nguyễn 0912\n")
    parts: list[list[str]] = []

    def commit(contacts: Sequence[str]) -> int:
        parts.append(list(contacts))
        return 1

    done = take_optouts(read_optouts(path), path.name, commit)
    assert [len(part) for part in parts] == [AT_ONCE, AT_ONCE, 20]
    assert (done.lines, done.contacts) == (122, 120)
    assert done.as_json() == {
        "file": "list.txt", "lines": 122, "contacts": 120, "under_way": 3, "refused": 2,
        "refusals": [{"line": 121, "reason": "no_contact"}, {"line": 122, "reason": "no_contact"}],
    }  # fmt: skip


def test_an_empty_file_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is empty"):
        read(tmp_path, "\n")
