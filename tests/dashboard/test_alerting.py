"""``/alerts`` and ``/quiet``: what an alert stands on, who may see and close which, and how often each detector was right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.app import build_dashboard
from hailong.domain.access import AT_A_DESK, Role
from hailong.domain.alert_sentences import listed
from hailong.domain.closing import DETECTORS
from hailong.events import AlertChanged, Doubt, QualityLooked, decode
from tests.dashboard.room import START, Browser, Fixed, People, Still

ALERT, DATA, PAST = "a" * 32, "d" * 32, "b" * 32
DOUBT = Doubt(
    what="missing", where="answers", against="others", period="2026-02", observed=31, of=90, expected=7.5, p=2e-6, level=2.7e-5,
    numbers={"rho": 0.01},
)  # fmt: skip


def alert(alert_id: str, unit: str, **more: Any) -> AlertChanged:
    day = START.date()
    told: dict[str, Any] = {
        "version": 1, "state": "raised", "kind": "below", "at": START - timedelta(days=2), "by": "judge", "evidence_seq": 41, "n": 34,
        "satisfied": 22, "target": 0.87, "low": 0.66, "high": 0.87, "expected": 29.6, "estimate": 0.77, "years": 31.0,
        "since": day - timedelta(days=40), "until": day - timedelta(days=2), "sentence_vi": "34 người.", "sentence_en": "34 people.",
    }  # fmt: skip
    told |= {
        "event_id": f"{alert_id}:{more.get('version', 1)}:{more.get('state')}",
        "registry_id": "test",
        "alert_id": alert_id,
        "unit": unit,
    }
    return AlertChanged(**told | more)


STEPS = [
    alert(ALERT, "C01"),
    alert(DATA, "C03", kind="contacts", by="timer", doubt=DOUBT, n=0, satisfied=0, expected=None, estimate=None, years=None),
    alert(PAST, "C02", kind="declining"),
    alert(PAST, "C02", kind="declining", version=2, state="cleared", at=START - timedelta(days=1)),
]


@pytest.fixture
def app(people: People) -> Starlette:
    with people.ledger.begin() as tx:
        for step in STEPS:
            assert tx.alert_step(step)

    def alerts() -> list[dict[str, Any]]:
        with people.ledger.read() as reader:
            return listed(reader.alerts(history=True))

    figures = Still({"C01": (114, 6), "C02": (3, 0), "C03": (28, 2)})
    return build_dashboard(figures, alerts, Fixed(), people.door, alerting=people.ledger)


@pytest.fixture
def visit(people: People, app: Starlette) -> Callable[..., Browser]:
    def made(role: Role = "quality_officer", scope: str | None = None) -> Browser:
        login = f"{role}-{scope}".lower().replace("_", "-")
        people.add(login, role, scope)
        return people.browser(app, login)

    return made


def steps(people: People, alert_id: str = ALERT) -> list[AlertChanged]:
    with people.ledger.read() as reader:
        return reader.alert(alert_id)


def closed(browser: Browser, alert_id: str = ALERT, **fields: str) -> httpx.Response:
    browser.get(f"/alerts/{alert_id}?lang=en")
    return browser.submit(f"/alerts/{alert_id}", **fields)


@pytest.mark.parametrize("role", get_args(Role))
def test_who_sees_alerts_and_who_sees_those_about_data(visit: Callable[..., Browser], role: Role) -> None:
    """In these counts can be small, and they say how a desk may have gone about it."""
    browser = visit(role, "D1" if role in AT_A_DESK else None)
    page, api = browser.get("/alerts?lang=en").text, {a["id"] for a in browser.get("/api/v1/alerts").json()}
    sees = role in ("quality_officer", "administrator")
    assert ("numbers and addresses" in page, DATA in api) == (sees, sees)
    assert {ALERT, PAST} <= api
    assert browser.get(f"/alerts/{DATA}").status_code == (200 if sees else 404)


def test_an_alert_shows_what_it_stands_on_and_where_to_look(visit: Callable[..., Browser]) -> None:
    browser = visit()
    page = browser.get(f"/alerts/{ALERT}?lang=en").text
    for said in ("34 people.", "On target", "77% (66–87%)", "once in 31 years", "/?unit=C01&amp;lang=en", "31 March 2026"):
        assert said in page, said
    page = browser.get(f"/alerts/{DATA}?lang=vi").text
    for said in ("31 trong 90", "khoảng 1 lần trong 500.000", "nhiều nhất 1 cảnh báo sai cho 170 đơn vị", 'href="/held?lang=vi"'):
        assert said in page, said
    assert browser.get("/alerts/nothing").status_code == 404


@pytest.mark.parametrize(("said", "state"), [("confirmed", "fixed"), ("not_found", "not_found")])
def test_closing_is_a_fact_in_the_trail_and_told_everywhere(people: People, visit: Callable[..., Browser], said: str, state: str) -> None:
    browser = visit()
    page = closed(browser, verdict=said).text
    assert "What you found is written down." in page
    last = steps(people)[-1]
    assert (last.version, last.state, last.by, last.kind, last.unit) == (3, state, "quality-officer-none", "below", "C01")
    assert people.trail() == [("quality-officer-none", "alert_changed", f"alert:{ALERT}")]
    assert [decode(row.record.topic, row.record.value) for row in people.ledger.pending(10)] == [last]
    told = next(a for a in browser.get("/api/v1/alerts").json() if a["id"] == ALERT)
    assert (told["open"], told["state"], told["verdict"], told["version"]) == (False, state, said, 3)
    assert ALERT not in browser.get("/?lang=en").text.partition("<details>")[0]


@pytest.mark.parametrize("role", [role for role in get_args(Role) if role != "quality_officer"])
def test_only_the_quality_office_closes(people: People, visit: Callable[..., Browser], role: Role) -> None:
    """Who is judged by an alert does not say that there was nothing."""
    browser = visit(role, "C01" if role in AT_A_DESK else None)
    page = browser.get("/account?lang=en").text
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    assert 'name="verdict"' not in browser.get(f"/alerts/{ALERT}").text
    assert browser.post(f"/alerts/{ALERT}", {"csrf": csrf, "verdict": "not_found", "version": "1"}).status_code == 403
    assert len(steps(people)) == 1


def test_nobody_closes_outside_their_scope_nor_with_a_form_of_another_site(people: People, visit: Callable[..., Browser]) -> None:
    browser = visit("quality_officer", "D2")
    page = browser.get(f"/alerts/{DATA}?lang=en").text
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    assert browser.post(f"/alerts/{ALERT}", {"csrf": csrf, "verdict": "not_found", "version": "1"}).status_code == 404
    assert browser.post(f"/alerts/{DATA}", {"csrf": "another", "verdict": "not_found", "version": "1"}).status_code == 403
    for wrong in ({"verdict": "x", "version": "1"}, {"verdict": "confirmed"}):
        assert browser.post(f"/alerts/{DATA}", {"csrf": csrf, **wrong}).status_code == 422
    assert people.trail() == []


def test_of_two_who_close_at_once_the_second_looks_again(people: People, visit: Callable[..., Browser]) -> None:
    first, second = visit(), visit("quality_officer", "D1")
    second.get(f"/alerts/{ALERT}?lang=en")
    closed(first, verdict="confirmed")
    answer = second.submit(f"/alerts/{ALERT}", verdict="not_found")
    assert (answer.status_code, "Somebody else has just said" in answer.text) == (409, True)
    assert [step.state for step in steps(people)] == ["raised", "fixed"]
    again = second.submit(f"/alerts/{ALERT}", verdict="not_found")
    assert again.status_code == 200
    assert [step.version for step in steps(people)] == [1, 3, 4]


def test_what_the_judge_says_meanwhile_is_nobody_elses_word(people: People, visit: Callable[..., Browser]) -> None:
    browser = visit()
    browser.get(f"/alerts/{ALERT}?lang=en")
    with people.ledger.begin() as tx:
        assert tx.alert_step(alert(ALERT, "C01", version=2, state="cleared", at=START))
    assert browser.submit(f"/alerts/{ALERT}", verdict="confirmed").status_code == 200
    assert [step.state for step in steps(people)] == ["raised", "cleared", "fixed"]


def test_how_often_each_detector_was_right(visit: Callable[..., Browser]) -> None:
    browser = visit()
    assert "Never raised: " in browser.get("/alerts?lang=en").text
    assert {one["precision"] for one in browser.get("/api/v1/alerts/precision").json()} == {None}
    closed(browser, verdict="confirmed")
    closed(browser, PAST, verdict="not_found")
    found = {one["detector"]: one for one in browser.get("/api/v1/alerts/precision").json()}
    assert tuple(found) == DETECTORS
    assert found["below"] | {"low": round(found["below"]["low"], 6)} == {
        "detector": "below", "raised": 1, "confirmed": 1, "not_found": 0, "unjudged": 0, "precision": 1.0, "low": 0.206549, "high": 1.0,
    }  # fmt: skip
    assert (found["declining"]["precision"], found["contacts"]["unjudged"]) == (0.0, 1)
    page = browser.get("/alerts?lang=en").text
    assert "100% (21–100%), n = 1" in page
    assert "nothing said yet" in page


def test_what_is_over_waits_for_somebody_to_say_what_it_was(visit: Callable[..., Browser]) -> None:
    browser = visit()
    assert "Closed, and nobody has said what it was (1)" in browser.get("/alerts?lang=en").text
    closed(browser, PAST, verdict="confirmed")
    page = browser.get("/alerts?lang=en").text
    assert "With what was found (1)" in page
    assert "nobody has said what it was" not in page


def test_units_too_quiet_to_judge_are_a_list_that_tells_no_single_answer(people: People, visit: Callable[..., Browser]) -> None:
    """All of three months: 120, 3 and 30 answers, times four."""
    for role, scope, units in (("administrator", None, ["C02"]), ("unit_officer", "D1", ["C02"]), ("unit_officer", "C01", [])):
        browser = visit(role, scope)
        page = browser.get("/quiet?lang=en").text
        assert [code for code in ("C01", "C02", "C03") if f"Xã {code[1:]}" in page.partition("<h1>")[2]] == units
    every = {one["unit"]: one for one in browser_json(visit("quality_officer"))}
    assert {unit: one["answers_a_year"] for unit, one in every.items()} == {"C01": 480, "C02": None, "C03": 120}
    assert [unit for unit, one in every.items() if one["quiet"]] == ["C02"]
    assert every["C03"]["fall_unseen"] == {"months": 8, "months_most": 12}
    assert every["C02"]["fall_unseen"] == {"months": None, "months_most": None}
    viewer = visit("viewer", "D2")
    assert ["answers_a_year" in one for one in browser_json(viewer)] == [False]
    assert "a fall of 10 points may stay unseen for about 8 months" in viewer.get("/?lang=en").text


def browser_json(browser: Browser) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get("/api/v1/quiet").json()
    return found


def test_the_last_look_is_told(people: People, visit: Callable[..., Browser]) -> None:
    browser = visit()
    assert "Data has not been looked at yet" in browser.get("/alerts?lang=en").text
    monday = datetime(2026, 3, 30, 5, tzinfo=START.tzinfo)
    fact = QualityLooked(
        event_id="q", registry_id="test", day=monday.date(), at=monday, version={}, judged=[], standing={}, quiet=[],
        quiet_from=monday.date(), quiet_part=0.0,
    )  # fmt: skip
    with people.ledger.begin() as tx:
        tx.keep_look(fact, (), monday)
    assert "last looked at on Monday, 30 March 2026" in browser.get("/alerts?lang=en").text


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_pages_are_whole_in_both_languages(visit: Callable[..., Browser], lang: str) -> None:
    browser = visit()
    for path in ("/alerts", f"/alerts/{ALERT}", f"/alerts/{DATA}", "/quiet"):
        page = browser.get(f"{path}?lang={lang}").text
        assert f'<html lang="{lang}">' in page
        assert "<script" not in page
        for tag in ("form", "section", "dl", "ul", "article", "table"):
            assert page.count(f"<{tag}") == page.count(f"</{tag}>"), (path, tag)
        assert "{" not in page.partition("<main")[2]
