"""What the store must find in a statement before the engine sees it."""

from __future__ import annotations

import pytest

from ops.store import statements


@pytest.mark.parametrize(
    ("text", "head", "data_format", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n\n3;", b"INSERT INTO t", "CSV", b"1,2\n\n3;"),
        (b"insert into d.`t x` (a, format) values (1, ';')", b"insert into d.`t x` (a, format)", "Values", b" (1, ';')"),
        (b"INSERT INTO {t:Identifier} (a) FORMAT Native\r\n\x01\x02", b"INSERT INTO {t:Identifier} (a)", "Native", b"\x01\x02"),
        (b"INSERT INTO format FORMAT TSV\n1", b"INSERT INTO format", "TSV", b"1"),
        (b"INSERT INTO t SETTINGS a=1 FORMAT TSV\n1", b"INSERT INTO t SETTINGS a=1", "TSV", b"1"),
        (b"INSERT INTO t FORMAT TSV SETTINGS a=1\n1", b"INSERT INTO t SETTINGS a=1", "TSV", b"1"),
        (b"INSERT /* FORMAT X */ INTO FUNCTION null('FORMAT Y') -- FORMAT Z\n FORMAT CSV 1", None, "CSV", b"1"),
        (b"INSERT INTO TABLE FUNCTION null('a Int') VALUES (1)", b"INSERT INTO TABLE FUNCTION null('a Int')", "Values", b" (1)"),
    ],
)
def test_an_insert_is_cut_where_its_data_begins(text: bytes, head: bytes | None, data_format: str, data: bytes) -> None:
    statement = statements.read(text)
    assert (statement.kind, statement.format, text[statement.data_at :]) == ("insert", data_format, data)
    if head is not None:
        assert statements.insert_head(text, statement) == head


@pytest.mark.parametrize(
    ("text", "kind", "output"),
    [
        (b"select 1 format JSON;", "rows", "JSON"),
        (b"(select ';') union all select 2 -- ; x", "rows", ""),
        (b"select a as format from t", "rows", ""),
        (b"select format('{}', 1) format CSV settings max_threads = 1", "rows", "CSV"),
        (b"show tables format TSV", "rows", "TSV"),
        (b"insert into t select 1 format Null", "other", ""),
        (b"insert into t (select 1)", "other", ""),
        (b"with 1 as x insert into t select x", "other", ""),
        (b"insert into t select * from input('a Int8') format CSV\n1", "insert_input", "CSV"),
        (b"select 1; select 2", "several", ""),
        (b"insert into t select 1; drop table t", "several", ""),
        (b"/* nothing */ ; ", "empty", ""),
        (b"create table t (a Int8) engine = Memory;", "other", ""),
    ],
)
def test_what_kind_of_statement_it_is(text: bytes, kind: str, output: str) -> None:
    statement = statements.read(text)
    assert (statement.kind, statement.format) == (kind, output)


@pytest.mark.parametrize(
    "text", [b"insert into t from infile 'x' format CSV", b"select 1 into outfile 'x'", b"select 1 into /**/ outfile 'x' format CSV"]
)
def test_files_of_the_machine_are_noticed(text: bytes) -> None:
    assert statements.read(text).touches_files


@pytest.mark.parametrize("text", [b"insert into t form", b"insert into t format CS", b"insert into t (a, b"])
def test_a_name_cut_by_the_network_is_waited_for(text: bytes) -> None:
    assert statements.read(text, whole=False).data_at == -1


def test_the_way_into_a_file_stands_before_format_and_settings() -> None:
    text = b"select 1 FORMAT JSON settings max_threads=1; -- bye"
    assert statements.into_file(text, statements.read(text), "P", "TSV") == (
        b"select 1  INTO OUTFILE 'P' APPEND FORMAT JSON settings max_threads=1"
    )
    text = b"select (1) -- bye"
    assert statements.into_file(text, statements.read(text), "P", "TSV") == b"select (1) INTO OUTFILE 'P' APPEND FORMAT TSV"


def test_input_becomes_a_table() -> None:
    assert statements.input_table(b"insert into t select a from input('a Enum(\\'x\\' = 1)') where a = 'x'") == (
        "_input",
        "a Enum('x' = 1)",
        b"insert into t select a from _input where a = 'x'",
    )
