"""The arms on ``/messages``: for the quality office with all units in sight; rates with intervals, a sentence each, and nothing of few."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from html import unescape
from pathlib import Path
from typing import get_args

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from dashboard import app as dashboard_app
from dashboard import messages
from dashboard.gate import Gate
from dashboard.operations import words as operations_words
from hailong.domain.access import Role
from hailong.domain.arms import Report, Tally, experiments
from hailong.ports import Retryable
from tests.dashboard.room import Browser, People
from web.assembly import assemble
from web.headers import Policy
from web.pages import Pages, texts

FOLDER = Path(dashboard_app.__file__).parent
FIRST, TODAY = date(2026, 3, 5), date(2026, 4, 2)
TALLIES = (
    Tally("wording", "a", asked=1250, delivered=1201, answered=450, open=310, unknown=4, failed=31),
    Tally("wording", "b", asked=1244, delivered=1190, answered=380, open=305, failed=29),
    Tally("channel", "sms", asked=2485, answered=826), Tally("channel", "email", asked=9, answered=4),
    Tally("hour", "09:00-12:00", asked=60, answered=20), Tally("hour", "17:00-19:00", asked=61, answered=22),
    Tally("link", "link", open=300), Tally("link", "link_free", open=310),
)  # fmt: skip


def reported(*tallies: Tally, changed: tuple[date, ...] = ()) -> messages.Arms:
    def report(first: date | None, until: date | None) -> Report:
        return Report(first or FIRST, until or TODAY, changed, experiments(tallies))

    return report


def site(people: People, arms: messages.Arms | None) -> Starlette:
    """The page behind its gate, without any message."""
    access = texts(FOLDER / "texts" / "access")
    words = {
        lang: said | {"access": access[lang], "operations": operations_words()[lang]} for lang, said in texts(FOLDER / "texts").items()
    }
    pages = Pages([FOLDER / "templates"], [FOLDER / "static" / "officers.css"], words, {lang: str(t["site"]) for lang, t in words.items()})
    gate = Gate(people.access, pages, loopback_only=False, new_token=people.token)
    page = gate.page(messages.page(list, gate.shown, pages.turned, arms))
    return assemble([Route("/messages", page)], pages, policy=Policy(styles=pages.style_source))


def shown(people: People, arms: messages.Arms | None, query: str = "lang=en", role: Role = "quality_officer", status: int = 200) -> str:
    people.add("lan", role)
    return shown_again(people, arms, query, status)


def shown_again(people: People, arms: messages.Arms | None, query: str = "lang=en", status: int = 200) -> str:
    browser = Browser(site(people, arms))
    browser.cookies.set("hailong", people.session("lan"), domain="127.0.0.1")
    answer = browser.get(f"/messages?{query}")
    assert answer.status_code == status, answer.text
    return unescape(answer.text.partition("<main")[2])


@pytest.mark.parametrize("role", get_args(Role))
def test_only_the_quality_office_and_administrators_are_shown_the_arms(people: People, role: Role) -> None:
    page = shown(people, reported(*TALLIES), role=role)
    assert ("Which arm is answered more often" in page) is (role in ("quality_officer", "administrator"))
    assert ("1,250" in page) is (role in ("quality_officer", "administrator"))


def test_who_sees_some_units_only_is_not_shown_counts_of_all(people: People) -> None:
    people.add("hoa", "quality_officer", scope="D1")
    browser = Browser(site(people, reported(*TALLIES)))
    browser.cookies.set("hailong", people.session("hoa"), domain="127.0.0.1")
    assert browser.get("/messages?lang=en").status_code == 200
    assert "Which arm" not in browser.page.text


def test_each_arm_has_its_rate_with_its_interval_and_each_pair_a_sentence(people: People) -> None:
    page = shown(people, reported(*TALLIES))
    assert '<b>36.0%</b> <span class="sure">(33–39%)</span>' in page
    assert "▲</span> “a” is answered more often than “b”, by 5.5 percentage points" in page
    assert "at 95% the difference is more than chance" in page
    assert "◇</span> “17:00-19:00” is answered more often than “09:00-12:00”" in page
    assert page.count("percentage points") == 2
    link = [Tally("link", "link", asked=100, answered=20), Tally("link", "link_free", asked=100, answered=40)]
    assert "“without a link” is answered more often than “with a link”, by 20" in shown_again(people, reported(*link))
    assert "at least 14 days ago" in page
    assert "drawn, also where it could not be followed" in page


def test_arms_of_few_show_no_answers_and_young_ones_none_yet(people: People) -> None:
    page = shown(people, reported(*TALLIES))
    channel = page.partition("<h3>Channel</h3>")[2].partition("</table>")[0]
    assert "Fewer than 10 asked: not shown" in channel
    assert "nobody can work out an arm with fewer than 10 asked" in channel
    assert ("826" in channel, "2,485" in channel, "%" in channel.partition("<tbody>")[2]) == (False, True, False)
    link = page.partition("<h3>Link or slip code</h3>")[2].partition("</table>")[0]
    assert "nobody asked long enough ago" in link


def test_vietnamese_says_the_same(people: People) -> None:
    page = shown(people, reported(*TALLIES), "lang=vi")
    assert "<b>36,0\u00a0%</b>" in page
    assert "Tỷ lệ trả lời của “a” cao hơn của “b” 5,5 điểm phần trăm" in page
    assert "{" not in page


def test_days_are_chosen_in_the_address_and_kept_when_the_language_is_turned(people: People) -> None:
    asked: list[tuple[date | None, date | None]] = []

    def report(first: date | None, until: date | None) -> Report:
        asked.append((first, until))
        return reported(*TALLIES)(first, until)

    people.add("lan", "quality_officer")
    browser = Browser(site(people, report))
    browser.cookies.set("hailong", people.session("lan"), domain="127.0.0.1")
    page = unescape(browser.get("/messages?lang=en&from=2026-03-01&until=2026-03-20").text)
    assert asked == [(date(2026, 3, 1), date(2026, 3, 20))]
    assert 'href="/messages?from=2026-03-01&until=2026-03-20&lang=vi"' in page
    assert 'name="from" value="2026-03-01"' in page
    browser.get("/messages?lang=en&from=&until=")
    assert asked[1] == (None, None)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("lang=en&from=monday", "One of the two days is not a day"),
        ("lang=en&from=2026-03-05&until=2026-03-04", "The last day lies before the first"),
        ("lang=vi&until=2026-02-30", "Một trong hai ngày không đúng"),
    ],
)
def test_what_is_no_period_is_said_beside_the_days_and_the_messages_stay(people: People, query: str, told: str) -> None:
    page = shown(people, reported(*TALLIES), query, status=400)
    assert told in page
    assert "1,250" not in page
    assert "<h1>" in page


def test_what_a_day_says_is_escaped(people: People) -> None:
    people.add("lan", "quality_officer")
    browser = Browser(site(people, reported(*TALLIES)))
    browser.cookies.set("hailong", people.session("lan"), domain="127.0.0.1")
    assert "<script>" not in browser.get('/messages?from="><script>').text


def away(_first: date | None, _until: date | None) -> Report:
    raise Retryable("the ledger is locked", 1.0)


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        (away, "This cannot be read right now (the ledger is locked)"),
        (reported(), "No experiment has an arm among those asked on these days"),
        (reported(*TALLIES, changed=(date(2026, 3, 20),)), "Arms or shares changed on 20 March 2026"),
    ],
)
def test_what_cannot_be_told_or_compared_is_said(people: People, arms: Callable[..., Report], told: str) -> None:
    assert told in shown(people, arms)


def test_without_a_source_the_page_has_no_such_part(people: People) -> None:
    assert "Which arm" not in shown(people, None)
