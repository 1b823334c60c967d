"""The store through clickhouse-connect: sync, async, rows, columns, raw, binds, sessions, errors."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

pytestmark = pytest.mark.stack
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def client(store: Any) -> Iterator[Any]:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=store.port, tz_mode="aware")
    client.command("CREATE DATABASE IF NOT EXISTS facts")
    client.database = "facts"
    yield client
    client.close()


@pytest.fixture
def table(client: Any) -> Iterator[str]:
    client.command(
        "CREATE TABLE answers (id UInt64, unit String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    yield "answers"
    client.command("DROP TABLE answers")


def test_rows_columns_raw_and_packed_inserts_arrive(client: Any, table: str) -> None:
    assert client.insert(table, [[1, "Xã 01", NOW], [2, "", NOW]]).written_rows == 2
    client.insert(table, [[3, 4], ["a", "b"], [NOW, NOW]], column_oriented=True)
    client.raw_insert(table, ["id", "unit", "at"], b'5,"x;\n\ny",2026-03-02 09:00:00.000\n', fmt="CSV")
    client.raw_insert(table, ["id", "unit", "at"], gzip.compress(b"6\tz\t2026-03-02 09:00:00.000\n"), fmt="TSV", compression="gzip")
    rows = client.query(f"SELECT id, unit, at FROM {table} ORDER BY id").result_rows
    assert [row[1] for row in rows] == ["Xã 01", "", "a", "b", "x;\n\ny", "z"]
    assert {row[2] for row in rows} == {NOW}


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_every_compression_there_and_back(store: Any, compress: Any) -> None:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=store.port, compress=compress)
    client.command("CREATE TEMPORARY TABLE packed (n UInt64)")
    client.insert("packed", [[n] for n in range(30_000)], column_names=["n"], column_type_names=["UInt64"])
    assert len(client.query("SELECT n FROM packed").result_rows) == 30_000
    client.close()


def test_binds_keep_what_they_carry(client: Any) -> None:
    text = "it's \\ a\ttab\nline; {x} Đồng"
    row = client.query(
        "SELECT {a:String}, {b:Nullable(Int64)}, {c:Array(UInt8)}, {d:DateTime64(3, 'UTC')}",
        parameters={"a": text, "b": None, "c": [1, 2], "d": NOW},
    ).result_rows[0]
    assert row == (text, None, [1, 2], NOW)
    assert client.query("SELECT %(a)s", parameters={"a": text}).result_rows == [(text,)]


def test_a_token_counts_once_however_often_it_is_sent(client: Any, table: str) -> None:
    for _ in range(3):
        client.insert(table, [[7, "once", NOW]], settings={"insert_deduplication_token": "t1"})
    client.insert(table, [[7, "once", NOW]], settings={"insert_deduplication_token": "t2"})
    assert client.command(f"SELECT count() FROM {table}") == 2


@pytest.mark.parametrize(("sql", "code"), [("SELECT nobody", 47), ("SELECT 1 FROM nowhere", 60), ("SELEC", 62), ("SELECT 1; SELECT 2", 62)])
def test_errors_have_their_codes(client: Any, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError, match=f"Code: {code}\\. DB::Exception") as caught:
        client.command(sql)
    assert caught.value.code == code


def test_an_error_in_the_middle_of_a_stream_reaches_the_client(client: Any) -> None:
    seen = 0
    sql = "SELECT number, throwIf(number = 400000, 'half way') FROM numbers(1000000)"
    with pytest.raises(StreamFailureError, match="half way"), client.query_row_block_stream(sql) as stream:  # noqa: PT012
        for block in stream:
            seen += len(block)
    assert 0 < seen <= 400_000
    assert client.command("SELECT 1") == 1


def test_a_large_result_streams(client: Any) -> None:
    total = 0
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(300000)") as stream:
        for block in stream:
            total += sum(row[0] for row in block)
    assert total == 299_999 * 300_000 // 2


def test_a_session_keeps_tables_and_settings_and_nothing_else_does(store: Any, client: Any) -> None:
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    client.insert("mine", [[1]], column_names=["a"], column_type_names=["UInt8"])
    client.command("SET max_block_size = 777")
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 5}) == 5
    assert client.command("SELECT getSetting('max_result_rows')", settings={"max_result_rows": 5}) == 5
    kept = client.query("SELECT a, getSetting('max_block_size'), getSetting('max_result_rows') FROM mine").result_rows
    assert kept == [(1, 777, 0)]
    other = clickhouse_connect.get_client(host="127.0.0.1", port=store.port)
    with pytest.raises(DatabaseError) as caught:
        other.query("SELECT a FROM mine")
    assert caught.value.code == 60
    other.close()


def test_external_data_is_a_table_of_the_request(client: Any) -> None:
    sent = ExternalData(file_name="people.csv", data=b"1,An\n2,Bao\n", fmt="CSV", structure=["id UInt8", "name String"])
    sql = "SELECT name FROM people ORDER BY id"
    for _ in range(2):
        assert client.query(sql, external_data=sent).result_rows == [("An",), ("Bao",)]


def test_many_clients_at_once(store: Any, client: Any, table: str) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        own = clickhouse_connect.get_client(host="127.0.0.1", port=store.port, database="facts")
        try:
            for i in range(25):
                assert own.query("SELECT {n:UInt32} + 1", parameters={"n": number * 100 + i}).result_rows == [(number * 100 + i + 1,)]
            own.insert(table, [[number, "parallel", NOW]])
        except BaseException as error:
            failed.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert client.command(f"SELECT count() FROM {table}") == 6


def test_an_async_client_asks_many_things_at_once(store: Any) -> None:
    async def ask() -> list[int]:
        client = await clickhouse_connect.get_async_client(host="127.0.0.1", port=store.port, autogenerate_session_id=False)
        try:
            results = await asyncio.gather(*(client.query("SELECT {n:UInt32} * 2", parameters={"n": n}) for n in range(60)))
        finally:
            await client.close()
        return [result.result_rows[0][0] for result in results]

    assert asyncio.run(ask()) == [2 * n for n in range(60)]
