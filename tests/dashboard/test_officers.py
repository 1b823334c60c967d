"""The officers' page and its JSON, on real figures out of ClickHouse."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.app import build_dashboard
from dashboard.view import collated
from hailong.domain.alert_sentences import listed
from hailong.domain.judging import Judge
from hailong.domain.scoring import PRIVACY_LIMIT
from hailong.events import AlertChanged, SurveyCounted, UnitLevel
from hailong.ports import Retryable
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.queries import ClickHouseFigures
from tests.clickhouse.facts import District, counted, unit
from tests.clickhouse.room import database
from tests.dashboard.room import Fixed, People

pytestmark = pytest.mark.stack
NOTICE = {"vi": "Các xã được gọi là Xã 01 …; câu trả lời là mô phỏng.", "en": "Communes are called Xã 01 …; answers are simulated."}
LEVELS = ", ".join(get_args(UnitLevel))
TAGS_WITHOUT_END = {"meta", "link", "input", "line", "circle", "polyline", "rect", "br"}


@dataclass(frozen=True)
class Client:
    """A browser at ``host``, seen by the site as ``peer``, with a session."""

    app: Starlette
    session: str
    host: str = "127.0.0.1"
    peer: str = "127.0.0.1"

    def get(self, address: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.send("GET", address, headers)

    def send(self, method: str, address: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._send(method, address, headers))

    async def _send(self, method: str, address: str, headers: dict[str, str] | None) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(self.peer, 40000))
        sent = {"Accept": "*/*", "Cookie": f"hailong={self.session}"}
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{self.host}", headers=sent) as client:
            return await client.request(method, address, headers=headers)


class Page(HTMLParser):
    """What a reader sees, and whether every tag is closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in TAGS_WITHOUT_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in TAGS_WITHOUT_END:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words)).replace("\u00a0", " ")


@dataclass
class Site:
    figures: ClickHouseFigures
    people: People
    alerts: list[dict[str, Any]] = field(default_factory=list)
    apps: dict[str, Starlette] = field(default_factory=dict)
    """By their options, so that a closed month is worked out once."""

    def client(self, **options: Any) -> Client:
        key = repr(sorted(options.items()))
        if key not in self.apps:
            self.apps[key] = self.app(**options)
        return Client(self.apps[key], self.people.session("lan"))

    def app(self, **options: Any) -> Starlette:
        return build_dashboard(
            self.figures, options.pop("alerts", lambda: self.alerts), Fixed(), self.people.door, notice=NOTICE, **options
        )

    def page(self, address: str = "/?lang=vi", **options: Any) -> Page:
        answer = self.client(**options).get(address)
        assert answer.status_code == 200
        return Page(answer.text)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, blank: Path) -> Iterator[People]:
    made = People(tmp_path_factory.mktemp("people"), blank)
    made.add("lan")
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def site(address: str, people: People) -> Iterator[Site]:
    with database(address) as settings:
        district = District(7, communes=9, per_day=12, fall=("C07", District.start, 0.5))
        archive = Archive(connect(settings))
        for batch in district.batches(5000):
            archive.absorb(*batch)
        judge, steps = Judge(0.9), list[AlertChanged]()
        for record in district.topics["survey.counted.v1"]:
            assert isinstance(record, SurveyCounted)
            steps += [fact for fact in judge.apply(record) if isinstance(fact, AlertChanged)]
        yield Site(ClickHouseFigures(connect(settings), "test", 0.9), people, listed(steps))


@pytest.fixture
def empty(address: str, people: People) -> Iterator[Site]:
    with database(address) as settings:
        yield Site(ClickHouseFigures(connect(settings), "test", 0.9), people)


def test_every_figure_comes_with_its_n_its_interval_and_its_coverage(site: Site) -> None:
    text = site.page().text
    rows = site.client().get("/api/v1/figures").json()["rows"]
    shown = [r for r in rows if not r["suppressed"] and not r["bound"]]
    assert len(shown) >= 6
    for row in shown:
        rate = f"{100 * row['rate']:.1f}".replace(".", ",")
        interval = f"{100 * row['low']:.0f}–{100 * row['high']:.0f}"
        coverage = f"{100 * row['asked'] / row['ended']:.0f}"
        assert f"{rate} % ({interval} %) · n = {row['n']} · hỏi được {coverage} % hồ sơ" in text


def test_the_page_says_as_of_when_and_what_is_simulated(site: Site) -> None:
    as_of = site.client().get("/api/v1/figures").json()["as_of"]
    text = site.page().text
    assert f"Tính đến bản ghi thứ {as_of:,}".replace(",", ".") in text
    assert "ngày 31/3/2026" in text
    assert NOTICE["vi"] in text
    english = site.page("/?lang=en").text
    assert NOTICE["en"] in english
    assert "31 March 2026" in english


def test_an_open_alert_stands_with_its_sentence_and_its_unit_points_to_it(site: Site) -> None:
    page = site.page()
    alert = next(a for a in site.alerts if a["unit"] == "C07" and a["open"])
    assert "một đơn vị đạt mục tiêu chỉ gặp kết quả như vậy khoảng" in page.text
    ids = {attrs.get("id") for _, attrs in page.tags}
    links = {attrs.get("href") for _, attrs in page.tags}
    assert f"a-{alert['id']}" in ids
    assert f"#a-{alert['id']}" in links
    assert "▼ Dưới mục tiêu" in page.text


def test_without_script_and_without_anything_from_elsewhere(site: Site) -> None:
    answer = site.client().get("/")
    page = Page(answer.text)
    assert not any(tag == "script" or any(name.startswith("on") for name in attrs) for tag, attrs in page.tags)
    assert not any("style" in attrs for _, attrs in page.tags)
    assert not re.search(r'(src|href)="(https?:)?//', answer.text)
    assert "script-src 'none'" in answer.headers["content-security-policy"]


def test_no_rank_numbers_and_names_in_their_order(site: Site) -> None:
    page = site.page()
    names = re.findall(r"Xã \d\d", page.text.split("Từng đơn vị")[1])
    listed_once = list(dict.fromkeys(names))
    assert listed_once == sorted(listed_once)
    assert not re.search(r"hạng|thứ hạng|#\d", page.text)


def test_in_need_of_support_begins_with_the_alerts(site: Site) -> None:
    table = site.page("/?lang=vi&order=support").text.split("Kết thúc → hỏi → nhận → trả lời", 1)[1]
    order = list(dict.fromkeys(re.findall(r"Xã \d\d", table)))
    alerted = {f"Xã {a['unit'][1:]}" for a in site.alerts if a["open"] and a["unit"].startswith("C")}
    assert alerted
    assert set(order[: len(alerted)]) == alerted


def test_filters_are_addresses_and_languages_keep_them(site: Site) -> None:
    address = "/?lang=vi&from=2025-06&to=2025-08&level=commune"
    page = site.page(address)
    assert any(tag == "a" and attrs.get("href") == "?from=2025-06&to=2025-08&level=commune&lang=en" for tag, attrs in page.tags)
    chosen = [attrs.get("value") for tag, attrs in page.tags if tag == "option" and "selected" in attrs]
    assert chosen == ["2025-06", "2025-08", "commune", "name"]
    data = site.client().get("/api/v1/figures?from=2025-06&to=2025-08&level=commune").json()
    said = {name: value for name, value in data["filters"].items() if value is not None}
    assert said == {"from": "2025-06", "to": "2025-08", "level": "commune", "class": "away", "by": "handling"}
    whole = site.client().get("/api/v1/figures").json()
    assert 0 < data["total"]["n"] < whole["total"]["n"]
    assert site.client().get("/api/v1/figures?level=province").json()["rows"] == []


@pytest.mark.parametrize(
    "wrong", ["from=2025-13", "to=x", "level=village", "order=rank", "from=2025-03&to=2025-01", "view=tomorrow", "field=land"]
)
def test_a_wrong_address_is_said_in_words_and_in_json(site: Site, wrong: str) -> None:
    page = site.client().get(f"/?lang=vi&{wrong}")
    assert page.status_code == 400
    assert "Yêu cầu không đọc được" in page.text
    data = site.client().get(f"/api/v1/figures?{wrong}")
    assert data.status_code == 400
    assert set(data.json()["error"]) == {"status", "reason", "detail"}


@pytest.mark.parametrize(
    ("wrong", "vietnamese", "english"),
    [
        (
            "from=abc",
            ("Từ tháng", "(from)", "không phải là một tháng", "YYYY-MM", "from=2026-03"),
            ("From month", "(from)", "is not a month", "YYYY-MM", "from=2026-03"),
        ),
        (
            "from=2025-03&to=2025-01",
            ("(to)", "đứng trước tháng bắt đầu", "viết tháng"),
            ("(to)", "lies before the month", "Write that month"),
        ),
        ("level=abc", ("(level)", "không có lựa chọn này", LEVELS), ("(level)", "none of the choices", LEVELS)),
        ("order=abc", ("(order)", "không có lựa chọn này", "name, support"), ("(order)", "none of the choices", "name, support")),
    ],
)
def test_a_wrong_field_is_named_with_what_to_write(site: Site, wrong: str, vietnamese: tuple[str, ...], english: tuple[str, ...]) -> None:
    page = Page(site.client().get(f"/?lang=vi&{wrong}").text)
    assert [words for words in vietnamese if words not in page.text] == []
    assert any(tag == "a" and attrs.get("href") == "/?lang=vi" for tag, attrs in page.tags)
    for text in (
        Page(site.client().get(f"/?lang=en&{wrong}").text).text,
        site.client().get(f"/api/v1/figures?{wrong}").json()["error"]["detail"],
    ):
        assert [words for words in english if words not in text] == []
        assert "abc" not in text


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("/api/v1/figurez", "/api/v1/figurez"),
        ("/api/v2/alerts", "/api/v2/alerts"),
        ("/api", "this address"),
        ("/api/v1/0900000001", "this address"),
        ("/api/v1/<b>x", "this address"),
    ],
)
def test_an_unknown_address_of_the_api_is_told_as_json(site: Site, asked: str, named: str) -> None:
    for headers in ({}, {"Accept": "text/html"}):
        answer = site.client().get(asked, headers)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
        detail = f"{named}: there is no such address. Ask for one of these: /api/v1/alerts, /api/v1/figures."
        assert answer.json() == {"error": {"status": 404, "reason": "Not Found", "detail": detail}}
    page = site.client().get("/elsewhere")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_refused_method_is_told_which_ones_there_are(site: Site) -> None:
    client = site.client()
    page, data = client.send("POST", "/?lang=vi"), client.send("DELETE", "/api/v1/figures")
    assert (page.status_code, data.status_code) == (405, 405)
    assert {frozenset(answer.headers["allow"].split(", ")) for answer in (page, data)} == {frozenset({"GET", "HEAD"})}
    assert "không nhận yêu cầu như vậy" in page.text
    detail = data.json()["error"]["detail"]
    assert detail.startswith("/api/v1/figures: this address takes ")
    assert detail.endswith(" only. Send such a request.")


def test_rows_have_the_agreed_fields_and_the_total_is_their_sum(site: Site) -> None:
    data = site.client(exact=True).get("/api/v1/figures").json()
    agreed = {"unit", "name", "n", "satisfied", "rate", "low", "high", "ended", "asked", "reached", "answered", "suppressed"}
    assert all(agreed <= set(row) for row in data["rows"])
    assert data["total"]["ended"] == sum(row["ended"] for row in data["rows"])
    shown = [row for row in data["rows"] if not row["suppressed"]]
    hidden = data["total"]["n"] - sum(row["n"] for row in shown)
    assert hidden == 0 or len(data["rows"]) - len(shown) > 1
    assert all(row["rate"] == row["satisfied"] / row["n"] for row in shown)


def test_open_months_move_in_steps_and_closed_ones_are_exact(site: Site) -> None:
    data, office = (site.client(exact=exact).get("/api/v1/figures").json() for exact in (False, True))
    assert [c["month"] for c in data["closed"]][-1] == "2026-01"
    assert (data["audience"], data["step"], "closed" in office) == ("units", 5, False)
    assert data["total"]["n"] == sum(row["n"] for row in data["rows"] if not row["suppressed"])
    assert 0 <= office["total"]["answered"] - data["total"]["answered"] <= data["left_out"]
    both = [(one["answered"], other["answered"]) for one, other in zip(data["rows"], office["rows"], strict=True) if not one["suppressed"]]
    assert len(both) >= 6
    assert all(10 <= one <= other for one, other in both)


def test_alerts_as_json(site: Site) -> None:
    data = site.client().get("/api/v1/alerts").json()
    assert data == site.alerts
    assert {"id", "unit", "kind", "state", "raised_at", "sentence_vi", "sentence_en"} <= set(data[0])


@pytest.mark.parametrize("language", ["vi", "en"])
def test_before_anything_happened_every_part_says_what_to_do(empty: Site, language: str) -> None:
    text = empty.page(f"/?lang={language}").text
    said = {
        "vi": ("Chưa có câu trả lời nào được tính", "Chưa có hồ sơ nào kết thúc", "Không có cảnh báo nào đang mở", "hailong import units"),
        "en": ("No answer has been counted yet", "No dossier ended", "No alert is open", "hailong import units"),
    }[language]
    assert all(sentence in text for sentence in said)
    assert "0,0 %" not in text


def test_under_the_limit_nothing_of_the_answers_is_shown(address: str, people: People) -> None:
    with database(address) as settings:
        archive = Archive(connect(settings))
        archive.absorb("unit.changed.v1", 0, [(0, unit("C01", "Xã 01"))])
        archive.absorb("survey.counted.v1", 0, [(i, counted(i + 1, score=1 + i % 5)) for i in range(PRIVACY_LIMIT - 1)])
        small = Site(ClickHouseFigures(connect(settings), "test", 0.9), people)
        for exact in (True, False):
            text = small.page(exact=exact).text
            assert "○ Chưa đủ câu trả lời (dưới 10)" in text
            assert "n = " not in text.split("Các con số này nghĩa là gì")[0]
            data = small.client(exact=exact).get("/api/v1/figures").json()
            assert data["total"]["n"] is None
            assert [(r["n"], r["answered"], r["rate"]) for r in data["rows"]] == [(None, None, None)]


def test_a_new_answer_is_on_the_next_page(address: str, people: People) -> None:
    with database(address) as settings:
        archive = Archive(connect(settings))
        client = Site(ClickHouseFigures(connect(settings), "test", 0.9), people).client(exact=True)
        archive.absorb("survey.counted.v1", 0, [(i, counted(i + 1, score=5)) for i in range(10)])
        assert client.get("/api/v1/figures").json()["total"]["n"] == 10
        archive.absorb("survey.counted.v1", 0, [(10, counted(11, score=1))])
        total = client.get("/api/v1/figures").json()["total"]
        assert (total["n"], total["satisfied"], total["rate"], total["suppressed"]) == (11, 10, 10 / 11, False)
        assert (total["low"], total["high"]) == pytest.approx((0.6226, 0.9838), abs=1e-4)


def away() -> list[dict[str, Any]]:
    raise Retryable("the ledger is away", 3)


def test_alerts_that_cannot_be_read_do_not_take_the_figures_along(site: Site) -> None:
    text = site.page(alerts=away).text
    assert "Hiện chưa đọc được danh sách cảnh báo" in text
    assert "n = " in text
    answer = site.client(alerts=away).get("/api/v1/alerts")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["error"]["status"] == 503


def test_a_store_that_is_away_is_a_sentence_and_not_ready(address: str, people: People) -> None:
    with database(address) as settings:
        site = Site(ClickHouseFigures(connect(settings), "test", 0.9), people)
    answer = site.client().get("/?lang=en")  # its database is gone
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert site.client().get("/readyz").status_code == 503
    assert site.client().get("/healthz").status_code == 200


def test_ready_when_figures_can_be_read_with_or_without_the_ledger(site: Site) -> None:
    assert site.client().get("/readyz").json()["dependencies"] == {"clickhouse": "ok", "ledger": "ok"}
    assert site.client(alerts=away).get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("peer", "host", "headers", "cause"),
    [
        ("10.0.0.7", "127.0.0.1", {}, "from another machine"),
        ("127.0.0.1", "evil.example", {}, "by the name “evil.example”"),
        ("127.0.0.1", "127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, "through a proxy"),
    ],
)
def test_only_this_machine_sees_anything(site: Site, peer: str, host: str, headers: dict[str, str], cause: str) -> None:
    session = site.people.session("lan")
    client = Client(site.app(loopback_only=True), session, host, peer)
    for address in ("/", "/api/v1/figures", "/api/v1/alerts"):
        refused = client.get(f"{address}?lang=en", headers=headers)
        assert refused.status_code == 403
        said = refused.json()["error"]["detail"] if "api" in address else Page(refused.text).text
        assert cause in said
        assert "Open http://127.0.0.1:80/ in a browser on that machine" in said
    assert "Xin mở http://127.0.0.1:80/ bằng trình duyệt trên máy đó" in client.get("/", headers=headers).text
    assert Client(site.app(), session, host, peer).get("/", headers=headers).status_code == 200


def test_vietnamese_names_sort_by_their_letters() -> None:
    names = ["Xã Định Cư", "Xã Ân Nghĩa", "Xã Chí Đạo", "Thị trấn Vụ Bản", "Xã Yên Phú", "Xã An Bình"]
    assert sorted(names, key=collated) == ["Thị trấn Vụ Bản", "Xã An Bình", "Xã Ân Nghĩa", "Xã Chí Đạo", "Xã Định Cư", "Xã Yên Phú"]
