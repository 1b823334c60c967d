"""``/behind``: who may come, what stands there in either language, and what who sees steps is not told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from dashboard.app import build_dashboard
from dashboard.behind.compared import compared
from dashboard.behind.plotted import BOTTOM, HEIGHT, LEFT, WIDTH, plotted
from dashboard.view import question
from hailong.domain.access import AT_A_DESK
from sinks.clickhouse.connection import connect
from sinks.clickhouse.stated import ClickHouseStated
from sinks.clickhouse.strata import ClickHouseStrata
from tests.clickhouse.facts import District
from tests.clickhouse.room import database
from tests.clickhouse.test_figures import store
from tests.clickhouse.test_strata import varied
from tests.dashboard.behind_room import AT, Still, province
from tests.dashboard.room import Browser, Fixed, People
from tests.dashboard.test_behind import OFFICE
from tests.dashboard.test_officers import Page
from web.numbers import points

STILL = province()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, blank: Path) -> Iterator[People]:
    made = People(tmp_path_factory.mktemp("people"), blank)
    made.add("office", "quality_officer")
    made.add("leader")
    made.add("xa", scope="C02")
    made.add("near", "quality_officer", scope="C02")
    for role in AT_A_DESK:
        made.add(role.replace("_", "-"), role, scope="C02")
    made.add("caller", "caller")
    yield made
    made.ledger.close()


def app(people: People, still: Any = STILL, behind: Any = None) -> Starlette:
    return build_dashboard(still, list, Fixed(), people.door, behind=behind or (still, still))


def browser(people: People, login: str, still: Any = STILL, behind: Any = None) -> Browser:
    return people.browser(app(people, still, behind), login)


def test_whoever_is_not_the_quality_office_is_not_shown_it_nor_led_there(people: People) -> None:
    for login in ("desk", "unit-officer", "caller", "leader", "xa", "near"):
        visitor = browser(people, login)
        assert "/behind" not in visitor.get("/?lang=vi").text
        assert visitor.get("/behind?lang=vi").status_code == 403
        assert visitor.get("/api/v1/behind").status_code == 403
    assert 'href="/behind?lang=vi"' in browser(people, "office").get("/?lang=vi").text


@pytest.mark.parametrize(("lang", "words"), [
    ("vi", ("Vì sao thay đổi", "Đơn vị đặt trên cùng một thước", "Ai nằm ngoài mức ngẫu nhiên", "Tới 90 % năm 2030?", "Cách tính")),
    ("en", ("Why it moved", "Units by one measure", "Who lies outside of chance", "90% by 2030?", "How this is made")),
])  # fmt: skip
def test_every_part_is_there_in_both_languages_with_how_it_is_made(people: People, lang: str, words: tuple[str, ...]) -> None:
    answer = browser(people, "office").get(f"/behind?lang={lang}")
    page = Page(answer.text)
    for said in words:
        assert said in page.text
    assert sum(said == words[-1] for said in map(str.strip, page.words)) == 5, "each part says how it is made"
    assert "<script" not in answer.text
    assert "83,94 %" in page.text if lang == "vi" else "83.94%" in page.text
    assert ("hộ tịch, chứng thực " if lang == "vi" else "civil status and certification ") in page.text
    assert not re.search(r"\{[a-z_]+\}", page.text)


def test_the_parts_on_the_page_add_up_to_the_difference(people: People) -> None:
    visitor = browser(people, "office")
    terms = visitor.get("/api/v1/behind?was=2025-03&now=2026-03&months=3&unit=C02").json()["moved"]["terms"]
    assert sum(terms[name] for name in ("service", "mix", "who", "map")) == pytest.approx(terms["difference"], abs=1e-9)
    assert terms["difference"] < -0.05, "the commune that fell"
    text = Page(visitor.get("/behind?lang=vi&was=2025-03&now=2026-03&months=3&unit=C02").text).text
    assert "Vì sao thay đổi · Xã Mường Thàng" in text
    assert points(terms["difference"], "vi", 2) in text


@pytest.mark.parametrize(("query", "said"), [
    ("was=2026-03&now=2026-02", "chồng lên nhau"), ("was=2026-01&now=2026-03&months=40", "số tháng từ 1 đến 24"), ("months=x", "số tháng"),
    ("was=2026-13&now=2026-02", "không phải là một tháng"), ("level=abc", "không có lựa chọn này"),
])  # fmt: skip
def test_an_address_that_cannot_be_read_is_refused_in_words(people: People, query: str, said: str) -> None:
    answer = browser(people, "office").get(f"/behind?lang=vi&{query}")
    assert answer.status_code == 400
    assert said in answer.text
    assert "/behind?lang=vi" in answer.text


def test_an_installation_without_answers_says_what_is_missing(people: People) -> None:
    page = Page(browser(people, "office", Still()).get("/behind?lang=vi").text)
    for said in ("Chưa đủ tháng để so sánh", "Chưa có đơn vị nào đủ 10", "Chưa có lộ trình", "mới có 0 quý", "Chưa có tháng nào đã chốt"):
        assert said in page.text


@pytest.mark.stack
def test_out_of_clickhouse_page_and_figures_say_the_same(people: People, address: str) -> None:
    district = District(3, communes=3, days=60, per_day=12)
    with database(address) as settings:
        figures = store(settings, {topic: [varied(fact) for fact in facts] for topic, facts in district.topics.items()})
        client = connect(settings)
        office = browser(people, "office", figures, (ClickHouseStrata(client, figures), ClickHouseStated(client, "test")))
        document = office.get("/api/v1/behind?was=2025-04&now=2025-05&months=1").json()
        plain = office.get("/api/v1/figures").json()
        assert [row["n"] for row in document["figures"]["rows"]] == [row["n"] for row in plain["rows"]]
        for row in document["figures"]["rows"]:
            assert row["comparable"]["weighted"]["n"] == row["n"]
        assert document["figures"]["as_of"] == plain["as_of"] == document["outlook"]["as_of"]
        assert document["moved"]["terms"]["rest"] == pytest.approx(0, abs=1e-9)


def test_the_picture_holds_every_unit_of_its_target_within_its_frame() -> None:
    found = compared(STILL.sources, question({}), AT, OFFICE).funnel
    plot = plotted(found)
    assert plot is not None
    assert len(plot.dots) + plot.left_out == len(found.points)
    for dot in plot.dots:
        assert LEFT <= dot.x <= WIDTH
        assert 0 <= dot.y <= HEIGHT - BOTTOM
        assert dot.outside or not dot.label
    assert any(dot.label == "Xã Mường Thàng" and dot.low for dot in plot.dots)
    assert plotted(compared(Still().sources, question({}), AT, OFFICE).funnel) is None


@pytest.mark.parametrize(("value", "vi", "en"), [(-0.0123, "−1,2", "−1.2"), (0.05, "+5,0", "+5.0"), (0.0001, "0,0", "0.0")])
def test_a_difference_is_written_with_its_sign(value: float, vi: str, en: str) -> None:
    assert (points(value, "vi"), points(value, "en")) == (vi, en)
