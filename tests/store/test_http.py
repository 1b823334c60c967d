"""The store as curl, a BI tool or a script meets it: plain HTTP."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.stack


def test_alive(http: httpx.Client) -> None:
    assert [http.get(path).text for path in ("/", "/ping", "/replicas_status")] == ["Ok.\n"] * 3
    assert http.get("/elsewhere").status_code == 404


def test_a_query_in_the_url_or_the_body_or_both(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "SELECT 1, 'x'"}).text == "1\tx\n"
    assert http.post("/", content="SELECT 1 FORMAT JSONEachRow").json() == {"1": 1}
    assert http.post("/", params={"query": "SELECT"}, content="2").text == "2\n"
    assert http.post("/", params={"param_n": "5", "default_format": "CSV"}, content="SELECT {n:UInt8}, 'a'").text == '5,"a"\n'
    assert http.post("/", files={"query": (None, "SELECT {n:UInt8}"), "param_n": (None, "6")}).text == "6\n"


def test_headers_of_an_answer(http: httpx.Client) -> None:
    answer = http.post(
        "/", params={"query_id": "mine", "session_timezone": "Asia/Ho_Chi_Minh"}, content="SELECT number FROM numbers(3) FORMAT JSON"
    )
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Format"] == "JSON"
    assert answer.headers["X-ClickHouse-Timezone"] == "Asia/Ho_Chi_Minh"
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"] == "3"
    assert answer.json()["rows"] == 3


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT x", 404, 47),
        ("SELECT 1 FROM no.where", 404, 81),
        ("SELEC", 400, 62),
        ("SELECT toUInt8('a')", 400, 6),
        ("SELECT throwIf(1)", 500, 395),
    ],
)
def test_errors_have_clickhouse_s_status(http: httpx.Client, sql: str, status: int, code: int) -> None:
    answer = http.post("/", content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


@pytest.mark.parametrize(
    ("params", "sql", "code"),
    [
        ({"no_such_setting": "1"}, "SELECT 1", 115),
        ({"compress": "1"}, "SELECT 1", 48),
        ({"session_id": "s", "session_check": "1"}, "SELECT 1", 372),
        ({"session_id": "s", "session_timeout": "0"}, "SELECT 1", 374),
        ({"database": "nowhere"}, "SELECT 1", 81),
        ({}, "SELECT * FROM file('/etc/hostname', 'LineAsString')", 497),
        ({}, "SELECT 1 INTO OUTFILE 'x'", 497),
        ({}, "", 62),
    ],
)
def test_what_is_refused(http: httpx.Client, params: dict[str, str], sql: str, code: int) -> None:
    answer = http.post("/", params=params, content=sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] == str(code), answer.text


def test_get_only_reads(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "CREATE DATABASE by_get"}).headers["X-ClickHouse-Exception-Code"] == "164"
    assert http.get("/", params={"query": "SHOW DATABASES LIKE 'by_get'"}).text == ""


def test_data_after_an_insert_arrives_byte_for_byte(http: httpx.Client) -> None:
    http.post("/", content="CREATE DATABASE IF NOT EXISTS curl").raise_for_status()
    http.post("/", content="CREATE TABLE curl.t (a UInt32, b String) ENGINE = MergeTree ORDER BY a").raise_for_status()
    http.post("/", params={"query": "INSERT INTO curl.t FORMAT CSV"}, content='1,"x;\n\ny"\n').raise_for_status()
    http.post("/", content="INSERT INTO curl.t VALUES (2, 'a;b'), (3, lower('C'))").raise_for_status()
    packed = gzip.compress(b'{"a": 4, "b": "z"}\n')
    http.post(
        "/?query=INSERT%20INTO%20curl.t%20FORMAT%20JSONEachRow", content=packed, headers={"Content-Encoding": "gzip"}
    ).raise_for_status()
    http.post(
        "/", content="INSERT INTO curl.t SELECT a + 10, upper(b) FROM input('a UInt32, b String') FORMAT CSV\n5,q\n"
    ).raise_for_status()
    big = b"".join(b"%d\t%s\n" % (n, b"v" * 50) for n in range(100, 60_100))
    answer = http.post("/", params={"query": "INSERT INTO curl.t FORMAT TSV"}, content=iter([big[:70_001], big[70_001:]]))
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "60000"
    assert http.post("/", content="SELECT b FROM curl.t WHERE a < 100 ORDER BY a FORMAT JSONCompactColumns").json() == [
        ["x;\n\ny", "a;b", "c", "z", "Q"]
    ]
    assert http.post("/", content="SELECT count() FROM curl.t").text == "60005\n"


def test_bad_data_inserts_nothing(http: httpx.Client) -> None:
    http.post("/", content="CREATE DATABASE IF NOT EXISTS curl").raise_for_status()
    http.post("/", content="CREATE TABLE curl.bad (a UInt32) ENGINE = MergeTree ORDER BY a").raise_for_status()
    answer = http.post("/", content="INSERT INTO curl.bad FORMAT CSV\n1\nx\n")
    assert answer.status_code == 400
    assert http.post("/", content="SELECT count() FROM curl.bad").text == "0\n"


@pytest.mark.parametrize("output", ["CSVWithNames", "JSONEachRow", "Native"])
def test_half_a_result_cannot_be_taken_for_a_whole(http: httpx.Client, output: str) -> None:
    sql = f"SELECT number, throwIf(number = 500000, 'half way') FROM numbers(1000000) FORMAT {output}"
    pieces: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError), http.stream("POST", "/", content=sql) as answer:  # noqa: PT012
        tag = answer.headers["X-ClickHouse-Exception-Tag"].encode()
        for piece in answer.iter_bytes():
            pieces.append(piece)
    head, _, message = b"".join(pieces).partition(b"\r\n__exception__\r\n" + tag + b"\r\n")
    assert len(head) > 100_000
    assert message.startswith(b"Code: 395. DB::Exception: half way")
    text, size = message.removesuffix(b" " + tag + b"\r\n__exception__\r\n").rsplit(b"\n", 1)
    assert int(size) == len(text) + 1


def test_waiting_for_the_end_gives_a_clean_error(http: httpx.Client) -> None:
    sql = "SELECT number, throwIf(number = 500000, 'half way') FROM numbers(1000000)"
    answer = http.post("/", params={"wait_end_of_query": "1"}, content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


def test_a_session_is_for_one_at_a_time(http: httpx.Client) -> None:
    slow = threading.Thread(target=http.post, args=("/",), kwargs={"params": {"session_id": "one"}, "content": "SELECT sleep(1)"})
    slow.start()
    time.sleep(0.4)
    answer = http.post("/", params={"session_id": "one"}, content="SELECT 1")
    slow.join()
    assert answer.headers["X-ClickHouse-Exception-Code"] == "373"
    assert http.post("/", params={"session_id": "one", "session_check": "1"}, content="SELECT 1").text == "1\n"


def test_a_query_can_be_killed_by_the_id_its_client_gave(http: httpx.Client) -> None:
    answers: list[httpx.Response] = []
    sql = "SELECT sum(sleepEachRow(1)) FROM numbers(20) SETTINGS max_block_size = 1"
    slow = threading.Thread(target=lambda: answers.append(http.post("/", params={"query_id": "long"}, content=sql)))
    slow.start()
    time.sleep(0.4)
    assert http.post("/", params={"query_id": "long"}, content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "216"
    http.post("/", content="KILL QUERY WHERE query_id = 'long' SYNC").raise_for_status()
    slow.join()
    assert answers[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_a_client_that_leaves_ends_its_query(http: httpx.Client) -> None:
    running = "SELECT count() FROM system.processes WHERE query LIKE '%left_behind%' AND query NOT LIKE '%system.processes%'"
    for output in ("Native", "CSV"):
        with pytest.raises(httpx.ReadTimeout):
            http.post(
                "/",
                content=f"SELECT sleepEachRow(1) AS left_behind FROM numbers(60) SETTINGS max_block_size = 1 FORMAT {output}",
                timeout=0.5,
            )
    deadline = time.monotonic() + 6
    while http.post("/", content=running).text != "0\n":
        assert time.monotonic() < deadline, "the query still runs"
        time.sleep(0.1)


def test_a_page_from_elsewhere_is_not_answered(http: httpx.Client) -> None:
    assert http.post("/", content="SELECT 1", headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert http.post("/", content="SELECT 1", headers={"Origin": "http://127.0.0.1:3000"}).text == "1\n"


def test_a_password_is_asked_for_when_there_is_one(tmp_path: Path, start_store: Callable[..., Any]) -> None:
    (tmp_path / "password").write_text("đúng rồi\n")
    store = start_store(tmp_path / "data", "--password-file", str(tmp_path / "password"))
    basic = base64.b64encode("anyone:đúng rồi".encode()).decode()
    with httpx.Client(base_url=store.url) as http:
        assert http.get("/ping").text == "Ok.\n"
        nothing = http.post("/", content="SELECT 1")
        assert (nothing.status_code, nothing.headers["X-ClickHouse-Exception-Code"]) == (401, "516")
        assert "WWW-Authenticate" in nothing.headers
        wrong = http.post("/", content="SELECT 1", params={"user": "default", "password": "x"})
        assert (wrong.status_code, wrong.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
        assert http.post("/", content="SELECT 1", params={"user": "default", "password": "đúng rồi"}).text == "1\n"
        assert http.post("/", content="SELECT 1", headers={"Authorization": f"Basic {basic}"}).text == "1\n"
        assert http.post("/", content="SELECT 1", headers={b"X-ClickHouse-Key": "đúng rồi".encode()}).text == "1\n"
