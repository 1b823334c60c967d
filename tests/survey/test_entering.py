"""The doors of paper: a dossier code with three digits, a slip typed or by its square, words without a code."""

from __future__ import annotations

import html
import io
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import structlog

from hailong import telemetry
from hailong.domain import receipts, slips
from hailong.domain.doors import CODE_TRIES
from surveys.answers.form_state import Sealer
from surveys.doors.entering import FEEDBACK_PER_MINUTE
from surveys.site import build_site
from tests.survey.twins import (
    DIALLED,
    FORM_KEY,
    KEY,
    NOW,
    HandClock,
    Installation,
    MemoryLedger,
    MemoryLog,
    code_of,
    opened,
    page_of,
    parts,
    sealed_in,
    slot,
    unsealed,
)

pytestmark = pytest.mark.anyio
DOSSIER, DIGITS = "H28.99.07-260301-0042", "678"
REF = f"desk:{DOSSIER}"
BOUND, FREE, STRANGE = (slips.new_code(bytes([n, n + 1, n + 3, n + 7]) * 8) for n in (1, 9, 14))
MISTYPED = BOUND[0] + BOUND[2] + BOUND[1] + BOUND[3:]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    """A dossier of a known number, a bound slip, one that leads to no dossier yet."""
    other = slot("not-asked", expires_at=None)
    async with opened(tmp_path, slot(), other, slot("used", answered=True, answered_at=NOW - timedelta(days=1))) as made:
        made.ledger.dossiers = {REF: ("s-1", DIGITS), "desk:PHONELESS": ("s-1", ""), "portal:USED-1": ("used", "111")}
        made.ledger.dossiers["desk:LATE-1"] = ("not-asked", "222")
        made.ledger.slips = {BOUND: "s-1", FREE: ""}
        yield made


@pytest.fixture
def spoken() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    telemetry.configure("survey", "debug", stream)
    yield stream
    structlog.reset_defaults()


async def enter(site: Installation, lang: str = "vi", **typed: str) -> httpx.Response:
    return await site.http.post(f"/code?lang={lang}", data=typed)


async def by_dossier(site: Installation, dossier: str = DOSSIER, digits: str = DIGITS) -> httpx.Response:
    return await enter(site, dossier=dossier, digits=digits)


async def question(site: Installation, answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 303
    assert re.fullmatch(r"/in/next\?f=[\w=-]+", answer.headers["location"])
    return await site.get(answer.headers["location"])


async def test_who_answers_to_a_helper_is_not_told_that_officials_do_not_see_it(site: Installation) -> None:
    entered = await by_dossier(site)
    own, sealer = await question(site, entered), Sealer([FORM_KEY])
    state = sealer.open(parse_qs(urlsplit(entered.headers["location"]).query)["f"][0])
    helped = await site.get(f"/in/next?f={sealer.seal(msgspec.structs.replace(state, mode='assisted', helper='desk-c01'))}")
    told = "Câu trả lời không hiện tên với cán bộ."
    assert (told in own.text, told in helped.text, "Tự nguyện" in helped.text) == (True, False, True)


# --- looking


async def test_the_page_has_two_ways_and_looks_nothing_up(site: Installation) -> None:
    for lang, button in (("vi", "Mở câu hỏi"), ("en", "Open the question")):
        page = await site.get(f"/code?lang={lang}")
        assert (page.status_code, page_of(page)) == (200, "enter-ask")
        assert page.text.count(f">{button}</button>") == 2
        assert re.findall(r'<input[^>]* name="(\w+)"', page.text) == ["dossier", "digits", "slip"]
        assert re.findall(r'<label class="field" for="(\w+)"', page.text) == ["dossier", "digits", "slip"]
        assert f'href="/feedback?lang={lang}"' in page.text
        assert int(page.headers["content-length"]) < 5_000, "over the wire, compressed"
        assert ("set-cookie" in page.headers, page.headers["cache-control"]) == (False, "no-store")
    assert site.ledger.looked_up == 0


@pytest.mark.parametrize("path", ["/code", "/feedback", f"/s/{BOUND}", f"/s/{FREE}", f"/s/{STRANGE}", f"/{BOUND}"])
async def test_what_scanners_and_previews_do_spends_and_records_nothing(site: Installation, path: str) -> None:
    for _ in range(3):
        page, head = await site.get(path), await site.http.head(path)
        assert (page.status_code, head.status_code, head.content) == (200, 200, b"")
    assert (site.ledger.looked_up, site.ledger.tries, site.ledger.held, site.log.records) == (0, {}, {}, [])


# --- by dossier code


async def test_a_dossier_code_and_three_digits_lead_to_the_question_and_the_answer_is_of_that_way(site: Installation) -> None:
    page = await question(site, await by_dossier(site, f" {DOSSIER.lower()} ", "６７８"))
    assert page_of(page) == "ask-1"
    assert "Bộ phận Một cửa xã Thượng Cốc" in page.text
    assert DOSSIER not in page.text
    assert (await site.send(page, "in", Q0="4")).status_code == 303
    (fact,) = site.log.answers()
    assert (fact.survey_id, fact.mode, fact.place, fact.answers) == ("s-1", "code", "away", {"Q0": 4})


async def test_who_was_never_asked_answers_all_the_same(site: Installation) -> None:
    assert page_of(await question(site, await by_dossier(site, "LATE-1", "222"))) == "ask-1"


async def test_whatever_does_not_fit_is_answered_alike_and_says_what_to_do(site: Installation) -> None:
    answers = [await by_dossier(site, *typed) for typed in (("UNKNOWN-1", "678"), (DOSSIER, "000"), ("PHONELESS", "678"))]
    for _ in range(CODE_TRIES):
        await by_dossier(site, DOSSIER, "001")
    answers.append(await by_dossier(site))
    assert {(a.status_code, page_of(a)) for a in answers} == {(422, "enter-refused")}
    assert len({re.sub(r'value="[^"]+"', "", unsealed(a)) for a in answers}) == 1, "right digits after five wrong ones, too"
    assert site.ledger.tries[REF] > CODE_TRIES
    for said in ("giấy tiếp nhận", "phiếu khảo sát có mã riêng", f"Gọi {DIALLED}", "ngày mai"):
        assert said in answers[0].text


async def test_what_is_wrong_stands_at_the_top_and_at_its_field_and_what_was_typed_stays(site: Installation) -> None:
    page = await enter(site, "en", dossier="<b>1", digits="12")
    assert (page.status_code, page_of(page), site.ledger.looked_up) == (422, "enter-no_digits", 0)
    assert '<a href="#digits">Please type exactly the last three digits' in page.text
    assert 'aria-describedby="digits-hint digits-error" aria-invalid="true"' in page.text
    assert 'value="&lt;b&gt;1"' in page.text
    assert "<title>Error: " in page.text
    both = await enter(site, dossier="", digits="0912345678")
    assert re.findall(r'<a href="#(\w+)">Vui', both.text) == ["dossier", "digits"]
    assert "0912345678" not in both.text


async def test_an_answer_that_stands_is_told_goes_on_and_may_be_changed(site: Installation) -> None:
    page = await by_dossier(site, "USED-1", "111")
    assert (page.status_code, page_of(page)) == (200, "already")
    ways = [html.unescape(one) for one in re.findall(r'href="(/in/next\?f=[^"]+)"', page.text)]
    assert len(ways) == 2
    rest, again = [await site.get(one) for one in ways]
    assert (page_of(rest), page_of(again)) == ("ask-2", "ask-1")
    assert "Hồ sơ này đã có câu trả lời. Câu đầu tiên" in again.text
    assert 'href="/in?' not in page.text, "there is no link whose languages could be turned"
    await site.send(again, "in", Q0="1")
    assert site.log.answers()[0].survey_id == "used"


async def test_just_answered_here_is_known_before_it_is_counted(site: Installation) -> None:
    page = await question(site, await by_dossier(site))
    await site.send(page, "in", Q0="4")
    assert page_of(await by_dossier(site)) == "already"


async def test_too_late_is_said_with_the_day_and_the_next_step(site: Installation) -> None:
    form = await question(site, await by_dossier(site))
    site.clock.at = NOW + timedelta(days=31)
    for page in (await by_dossier(site), await site.send(form, "in", Q0="4")):
        assert (page.status_code, page_of(page)) == (410, "expired")
        assert "<h1>Đã hết thời hạn trả lời</h1>" in page.text
        assert "đường liên kết" not in page.text.lower()
    assert site.log.records == []


async def test_wrong_ones_are_limited_and_shut_out_nobody_else(site: Installation, tmp_path: Path) -> None:
    async with opened(tmp_path / "2", slot(), unknown_codes_per_minute=4) as few:
        few.ledger.dossiers = {REF: ("s-1", DIGITS)}
        few.ledger.slips = {BOUND: "s-1"}
        tried = [(await by_dossier(few, f"X-{n:04d}")).status_code for n in range(7)]
        assert tried == [422] * 4 + [422] + [429] * 2
        assert int((await by_dossier(few)).headers["retry-after"]) > 60, "by the hour"
        assert (await enter(few, slip=BOUND)).status_code == 303, "slips are counted apart"
        few.monotonic[0] += 900
        few.comes_from("198.51.100.9")
        assert (await by_dossier(few)).status_code == 303


# --- by slip


@pytest.mark.parametrize("typed", [BOUND, BOUND.lower(), f"{BOUND[:4]}-{BOUND[4:]}", f" {BOUND[:4]} {BOUND[4:]} "])
async def test_a_slip_is_typed_as_people_type(site: Installation, typed: str) -> None:
    page = await question(site, await enter(site, slip=typed))
    await site.send(page, "in", Q0="5")
    assert [(f.survey_id, f.mode) for f in site.log.answers()] == [("s-1", "code")]


@pytest.mark.parametrize("path", ["/s/{}", "/{}"])
async def test_the_square_of_a_slip_shows_one_button_and_that_leads_to_the_question(site: Installation, path: str) -> None:
    page = await site.get(path.format(BOUND) + "?lang=en")
    assert page_of(page) == "enter-slip"
    assert page.text.count("<button") == 1
    assert slips.shown(BOUND) in page.text
    hidden = re.findall(r'name="slip" value="(\w+)"', page.text)
    assert page_of(await question(site, await enter(site, "en", slip=hidden[0]))) == "ask-1"


@pytest.mark.parametrize(("typed", "state"), [(MISTYPED, "check"), (BOUND[:-1], "length"), ("0" + BOUND[1:], "letters"), ("", "length")])
async def test_a_mistyped_slip_says_what_is_wrong_and_is_never_looked_up(site: Installation, typed: str, state: str) -> None:
    page = await enter(site, slip=typed)
    assert (page.status_code, page_of(page), site.ledger.looked_up) == (422, f"enter-{state}", 0)
    assert 'aria-describedby="slip-hint slip-error" aria-invalid="true"' in page.text
    if typed:
        scanned = await site.get(f"/s/{typed}")
        assert (scanned.status_code, page_of(scanned)) == (404, f"enter-{state}")
        assert f'value="{typed}"' in scanned.text


async def test_a_slip_nobody_printed_leads_nowhere_and_guesses_are_limited(site: Installation, tmp_path: Path) -> None:
    page = await enter(site, slip=STRANGE)
    assert (page.status_code, page_of(page)) == (422, "enter-unknown_slip")
    assert f"Hỏi nơi đã đưa phiếu, hoặc gọi {DIALLED}" in page.text
    async with opened(tmp_path / "2", unknown_codes_per_minute=3) as few:
        assert [(await enter(few, slip=STRANGE)).status_code for _ in range(5)] == [422] * 3 + [429] * 2


async def test_a_slip_without_a_dossier_is_answered_and_held(site: Installation) -> None:
    page = await question(site, await enter(site, slip=FREE))
    assert "Về hồ sơ đi cùng phiếu này." in page.text
    assert "Nhìn chung, Ông/Bà hài lòng ở mức nào" in page.text
    assert "{" not in re.sub(r"<style>.*?</style>", "", page.text)
    for _ in range(2):  # a double tap
        kept = await site.send(page, "in", Q0="2")
    while "/thanks" not in kept.headers["location"]:
        page = await site.get(kept.headers["location"])
        words = {"Q8": "Ông Nguyễn Văn A, 0912345678"} if 'name="Q8"' in page.text else {}
        kept = await site.http.post("/in", data={"form": sealed_in(page), **words})
    thanks = await site.get(kept.headers["location"])
    assert "giữ 30 ngày" in thanks.text
    assert receipts.shown(receipts.receipt(KEY, next(iter(site.ledger.held.values()))[1].nonce)) in thanks.text
    assert 'href="/did?lang=vi"' in thanks.text
    facts = [fact for _, fact, _ in site.ledger.held.values()]
    assert {slip for slip, _, _ in site.ledger.held.values()} == {f"hash of {FREE}"}
    assert [f.answers for f in facts if f.answers] == [{"Q0": 2}, {"Q9": False}], "a consent not ticked is none"
    assert ({f.survey_id for f in facts}, {f.mode for f in facts}, facts[-1].finished) == ({""}, {"code"}, True)
    (said,) = [texts for _, _, texts in site.ledger.held.values() if texts]
    assert "0912345678" not in said["Q8"][0]
    assert said["Q8"][1] >= 1
    assert (site.log.records, site.ledger.comments) == ([], [])


async def test_a_held_page_that_cannot_be_kept_is_not_thanked_for(site: Installation) -> None:
    page = await question(site, await enter(site, slip=FREE))
    site.ledger.away = True
    answer = await site.send(page, "in", Q0="2")
    assert (answer.status_code, answer.headers["retry-after"], page_of(answer)) == (503, "7", "ask-1")
    assert 'value="2" checked' in answer.text


async def test_many_slips_from_one_network_are_marked_as_links_are(site: Installation) -> None:
    codes = [slips.new_code(bytes([n, n + 2, n + 5, n + 6]) * 8) for n in range(4)]
    site.ledger.slips |= dict.fromkeys(codes, "")
    for code in codes:
        await site.send(await question(site, await enter(site, slip=code)), "in", Q0="5")
    assert [fact.signs for _, fact, _ in site.ledger.held.values()] == [[], [], ["within_seconds"], ["within_seconds"]]


async def test_while_the_ledger_is_away_what_was_typed_stays(site: Installation) -> None:
    site.ledger.away = True
    for typed, field in (({"dossier": DOSSIER, "digits": DIGITS}, DOSSIER), ({"slip": BOUND}, BOUND)):
        page = await enter(site, **typed)
        assert (page.status_code, page_of(page), page.headers["retry-after"]) == (503, "enter-away", "7")
        assert f'value="{field}"' in page.text
        assert "1022" in page.text


async def test_without_dossier_codes_there_is_the_way_by_slip(tmp_path: Path) -> None:
    ledger = MemoryLedger(slips={BOUND: "s-1"})
    ledger.add(slot())
    made = parts(tmp_path, ledger, MemoryLog(), HandClock(), [0.0])
    app = build_site(replace(made, dossier_codes=None))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://ks.example") as http:
        page = await http.get("/code")
        assert re.findall(r'<input[^>]* name="(\w+)"', page.text) == ["slip"]
        assert (await http.post("/code", data={"dossier": DOSSIER, "digits": DIGITS})).status_code == 422
        assert (await http.post("/code", data={"slip": BOUND})).status_code == 303


async def test_links_and_refusals_are_as_before(site: Installation) -> None:
    assert page_of(await site.get(f"/{code_of('s-1')}")) == "who"
    assert page_of(await site.get("/NOTACODE")) == "unknown", "eight letters, and no slip"
    assert page_of(await site.ask(code_of("s-1"))) == "ask-1"


# --- without a code


async def test_words_without_a_code_are_masked_kept_and_counted_nowhere(site: Installation) -> None:
    page = await site.get("/feedback?lang=en")
    assert "not counted in the satisfaction rate" in page.text
    kept = await site.http.post("/feedback?lang=en", data={"words": "Too slow. Call me: 0912 345 678"})
    assert (kept.status_code, page_of(kept)) == (200, "feedback-kept")
    ((unit, text, masked, day),) = site.ledger.feedback
    assert (unit, masked, day) == (None, 1, NOW.date())
    assert "Too slow" in text
    assert "345" not in text
    assert (site.log.records, site.ledger.comments) == ([], [])


@pytest.mark.parametrize(
    ("form", "state"),
    [({"words": ""}, "empty"), ({"words": " \n"}, "empty"), ({"words": "x" * 501}, "too_long"), ({"words": "x", "website": "y"}, "trap")],
)
async def test_words_that_cannot_be_taken_stay_in_the_form(site: Installation, form: dict[str, str], state: str) -> None:
    page = await site.http.post("/feedback", data=form)
    assert (page.status_code, page_of(page)) == (422, f"feedback-{state}")
    assert 'aria-describedby="words-hint words-error" aria-invalid="true"' in page.text
    assert f">{form['words'].strip()}</textarea>" in page.text
    assert site.ledger.feedback == []


async def test_words_are_limited_in_all_and_from_one_address(site: Installation) -> None:
    one = [(await site.http.post("/feedback", data={"words": "x"})).status_code for _ in range(12)]
    assert one == [200] * (FEEDBACK_PER_MINUTE // 6) + [429] * 2
    site.monotonic[0] += 60
    all_ = []
    for n in range(FEEDBACK_PER_MINUTE + 3):
        site.comes_from(f"198.51.100.{n}")
        all_.append((await site.http.post("/feedback", data={"words": "x"})).status_code)
    assert all_ == [200] * FEEDBACK_PER_MINUTE + [429] * 3


async def test_words_are_not_claimed_kept_while_the_ledger_is_away(site: Installation) -> None:
    site.ledger.away = True
    page = await site.http.post("/feedback", data={"words": "Chậm lắm"})
    assert (page.status_code, page_of(page), page.headers["retry-after"]) == (503, "feedback-away", "7")
    assert ">Chậm lắm</textarea>" in page.text


# --- what is never said


async def test_no_code_number_or_word_of_anybody_is_logged(site: Installation, spoken: io.StringIO) -> None:
    await by_dossier(site)
    await by_dossier(site, DOSSIER, "000")
    await enter(site, slip=BOUND)
    await enter(site, slip=MISTYPED)
    await site.get(f"/s/{BOUND}")
    await site.http.post("/feedback", data={"words": "một lời riêng"})
    said = spoken.getvalue()
    assert '"/s/{slip}"' in said
    for secret in (DOSSIER, DOSSIER.lower(), BOUND, BOUND.lower(), MISTYPED, "s-1", "lời riêng"):
        assert secret not in said
