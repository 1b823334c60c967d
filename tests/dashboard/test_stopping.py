"""``/opt-out`` in the officers' site: committed before it is confirmed, told alike to all, and in the trail without the number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from dashboard.app import build_dashboard
from hailong.domain.access import AT_A_DESK, ROLES, Role
from hailong.ports import Retryable
from tests.contract.build import act, claim, decide, take
from tests.dashboard.room import Browser, Fixed, People, Still


@pytest.fixture
def people(tmp_path: Path, blank: Path) -> Iterator[People]:
    made = People(tmp_path, blank)
    for role in ROLES:
        made.add(role, role, "D1" if role in AT_A_DESK else None)
    yield made
    made.ledger.close()


@pytest.fixture
def app(people: People) -> Starlette:
    return build_dashboard(Still(), list, Fixed(), people.door)


def officer(app: Starlette, role: Role) -> Browser:
    browser = Browser(app)
    browser.sign_in(role)
    return browser


def opted_out(people: People) -> list[str]:
    with people.ledger.begin() as tx:
        return [r.hash for r in tx.conn.exec_driver_sql("SELECT hash FROM contacts WHERE opted_out_at IS NOT NULL ORDER BY hash")]


@pytest.mark.parametrize("role", ROLES)
def test_who_talks_with_people_may_note_it_and_who_only_looks_may_not(people: People, app: Starlette, role: Role) -> None:
    browser = officer(app, role)
    front = browser.get("/?lang=vi")
    page = browser.get("/opt-out?lang=vi")
    assert (page.status_code, 'href="/opt-out?lang=vi"' in front.text) == ((403, False) if role == "viewer" else (200, True))
    if role != "viewer":
        assert ('value="desk" selected' in page.text) == (role in AT_A_DESK)
        done = browser.submit("/opt-out", contact="0912 000 001")
        assert (done.status_code, done.url.path) == (200, "/opt-out")
        assert "Đã ghi nhận" in done.text
        assert opted_out(people) == ["phone#000001"]


def test_known_unknown_and_repeated_are_told_the_same_word_for_word(people: People, app: Starlette) -> None:
    take(people.ledger, act("d1", "+84912000001"))
    browser = officer(app, "quality_officer")
    told = []
    for contact in ("0912000001", "0912000002", "0912000001", "a@x.example"):
        browser.get("/opt-out?lang=vi")
        told.append(browser.submit("/opt-out", contact=contact, door="1022").text)
    assert len(set(told)) == 1
    assert opted_out(people) == ["email#xample", "phone#000001", "phone#000002"]
    with people.ledger.begin() as tx:
        assert tx.slots_for_decision(["d1"])["d1"].opted_out


def test_an_address_claims_nothing_and_whoever_notes_it_is_told_that_one_may_still_arrive(people: People, app: Starlette) -> None:
    take(people.ledger, act("d1", "+84912000001"))
    decide(people.ledger, "d1")
    claim(people.ledger)
    browser = officer(app, "operator")
    for lang, noted, may_arrive in (("vi", "Đã ghi nhận", "Tin đang gửi hoặc đã chuyển"), ("en", "Noted", "may still arrive")):
        assert noted not in browser.get(f"/opt-out?lang={lang}&done=1").text
        told = [browser.submit("/opt-out", contact=contact, door="1022").text for contact in ("0912000001", "0912000002")]
        assert told[0] == told[1]
        assert noted in told[0]
        assert may_arrive in told[0]


def test_the_trail_has_the_officer_and_the_door_and_neither_page_nor_address_keeps_the_number(people: People, app: Starlette) -> None:
    browser = officer(app, "unit_officer")
    browser.get("/opt-out?lang=en")
    done = browser.submit("/opt-out", contact="0912000001", door="1022")
    assert "0912" not in done.text + str(done.url)
    with people.ledger.read() as reader:
        (line,) = [e for e in reader.audit(limit=1000) if e.act == "opted_out"]
        assert (line.actor, line.detail) == ("unit_officer", {"door": "1022", "kind": "phone"})
    told = [p.record for p in people.ledger.pending(100) if p.record.topic == "contact.preference.v1"]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"contact": "không phải số"}, "contact"),
        ({"contact": "0912000001; 0912000002"}, "contact"),
        ({"contact": "0912000001", "door": "x"}, "door"),
    ],
)
def test_what_cannot_be_noted_is_said_at_its_field_and_nothing_is_kept(
    people: People, app: Starlette, fields: dict[str, Any], at: str
) -> None:
    browser = officer(app, "operator")
    browser.get("/opt-out?lang=vi")
    said = browser.submit("/opt-out", **fields)
    assert said.status_code == 422
    assert f'href="#{at}"' in said.text
    assert f'value="{fields["contact"]}"' in said.text
    assert opted_out(people) == []


def test_a_form_of_another_site_is_refused_and_a_ledger_that_is_away_confirms_nothing(
    people: People, app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = officer(app, "operator")
    assert browser.post("/opt-out?lang=vi", {"contact": "0912000001", "door": "desk", "csrf": "another"}).status_code == 403
    browser.get("/opt-out?lang=vi")
    real = people.ledger.begin

    @contextmanager
    def away() -> Iterator[Any]:
        with real() as tx:
            yield tx
            raise Retryable("the ledger is away", 5.0)

    monkeypatch.setattr(people.ledger, "begin", away)
    said = browser.submit("/opt-out", contact="0912000001", door="desk")
    assert (said.status_code, "Đã ghi nhận" in said.text) == (503, False)
    monkeypatch.undo()
    assert opted_out(people) == []
