"""``/held`` and ``/call-backs``: the quality office judges signs, not answers, and looks at a number only by a button."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from dashboard.app import build_dashboard
from hailong.domain.access import ROLES, Role
from ops.questionnaires import rows
from ops.waiting import OfficeLists
from surveys.wording import library
from tests.contract.build import NOON, act, answered, take
from tests.dashboard.room import Browser, Fixed, People, Still

PAGES = ("/held", "/call-backs", "/feedback")


@pytest.fixture
def people(tmp_path: Path, blank: Path) -> Iterator[People]:
    made = People(tmp_path, blank)
    for role in ROLES:
        made.add(role, role)
    yield made
    made.ledger.close()


@pytest.fixture
def app(people: People) -> Starlette:
    return build_dashboard(Still(), list, Fixed(), people.door, waiting=(OfficeLists(people.ledger), lambda code: f"Nơi {code}"))


def officer(app: Starlette, role: Role = "quality_officer") -> Browser:
    browser = Browser(app)
    browser.sign_in(role)
    return browser


def fill(people: People) -> str:
    """One held answer, one wish; the survey that wishes."""
    take(people.ledger, act("d1", "+84912000001"))
    with people.ledger.begin() as tx:
        wishing = tx.slots_for_decision(["d1"])["d1"].survey_id
        tx.count(answered("held-1", 5, signs=["burst"]), NOON)
        tx.count(answered(wishing, 2), NOON)
        tx.count(answered(wishing, 2, "b", event_id="b", answers={"Q9": True}), NOON)
    return wishing


@pytest.mark.parametrize("role", ROLES)
def test_only_the_quality_office_sees_what_waits(app: Starlette, role: Role) -> None:
    browser = officer(app, role)
    front = browser.get("/?lang=vi").text
    for path in PAGES:
        may = role in ("quality_officer", "administrator")
        assert (browser.get(f"{path}?lang=vi").status_code, f'href="{path}?lang=vi"' in front) == ((200, True) if may else (403, False))


def test_a_sign_is_judged_without_the_answer_being_told(people: People, app: Starlette) -> None:
    fill(people)
    browser = officer(app)
    page = browser.get("/held?lang=vi")
    assert "Nhiều câu trả lời từ một mạng trong ít phút" in page.text
    assert "Nơi X1" in page.text
    assert "hài lòng" not in page.text.lower().replace("hailong", "")
    done = browser.submit("/held", verdict="released")
    assert "Không có câu trả lời nào đang giữ lại." in done.text
    assert [line for line in people.trail() if line[1] == "answer_judged"] == [("quality_officer", "answer_judged", "answer:held-1")]
    with people.ledger.begin() as tx:
        assert tx.carry_out(NOON, 10) == 0, "the installation's clock stands later"
        assert tx.carry_out(Fixed().now(), 10) == 1


def test_another_verdict_is_refused(people: People, app: Starlette) -> None:
    fill(people)
    browser = officer(app)
    browser.get("/held?lang=vi")
    assert browser.submit("/held", verdict="deleted").status_code == 422
    assert len(OfficeLists(people.ledger).held()) == 1


def test_a_number_is_shown_by_a_button_and_the_trail_says_who(people: People, app: Starlette) -> None:
    wishing = fill(people)
    browser = officer(app)
    page = browser.get("/call-backs?lang=en")
    assert "912000001" not in page.text
    shown = browser.submit("/call-backs", show="1", outcome="")
    assert 'href="tel:+84912000001"' in shown.text
    assert ("quality_officer", "vault_seen", f"callback:{wishing[:12]}") in people.trail()
    browser.get("/call-backs?lang=en")
    assert "912000001" not in browser.get("/call-backs?lang=en").text
    done = browser.submit("/call-backs", outcome="solved")
    assert "Nobody is waiting to be called back." in done.text


@pytest.mark.parametrize("role", ROLES)
def test_what_is_asked_is_shown_in_every_language_by_form_and_ending(people: People, role: Role) -> None:
    app = build_dashboard(
        Still(), list, Fixed(), people.door, asked=lambda form, ending: rows(library(), "short" if form == "short" else "full", ending)
    )
    browser = officer(app, role)
    page = browser.get("/questionnaire?lang=en&form=short&ending=refused")
    if role not in ("quality_officer", "administrator"):
        assert page.status_code == 403
        return
    assert "reception of your recent dossier and the reply to it?" in page.text
    assert '<p lang="vi">Nhìn chung' in page.text
    assert "Q8" not in page.text
    assert "Q8" in browser.get("/questionnaire?lang=en&form=whatever&ending=lost").text


def test_words_without_a_code_are_read_and_the_look_is_in_the_trail(people: People, app: Starlette) -> None:
    with people.ledger.begin() as tx:
        tx.keep_feedback("X1", "Chờ <lâu>", 0, NOON.date())
    browser = officer(app)
    page = browser.get("/feedback?lang=vi")
    assert "Chờ &lt;lâu&gt;" in page.text
    assert "Nơi X1" in page.text
    assert ("quality_officer", "comment_seen", "feedback") in people.trail()
