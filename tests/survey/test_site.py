"""A citizen's way through the site, as a browser without JavaScript walks it."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from hailong.domain import links, receipts
from surveys.answers.keeping import Keeper
from surveys.answers.spool import Spool, spooled
from tests.survey.spool_writer import record
from tests.survey.twins import (
    CODE,
    DIALLED,
    ENGLISH,
    KEY,
    NOW,
    OLD,
    REFUSED,
    UNKNOWN,
    USED,
    VI,
    Installation,
    MemoryLog,
    about,
    code_of,
    next_of,
    opened,
    page_of,
    sealed_in,
    slot,
    until,
)

pytestmark = pytest.mark.anyio


async def onward(site: Installation, answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 303
    return await site.get(answer.headers["location"])


# --- the question


async def test_the_question_in_both_languages(site: Installation) -> None:
    vietnamese, english = await site.ask(CODE, VI), await site.ask(CODE, "?lang=en")
    assert (vietnamese.status_code, english.status_code) == (200, 200)
    assert "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc giải quyết hồ sơ vừa rồi?" in vietnamese.text
    assert "Overall, how satisfied are you with how your recent dossier was handled?" in english.text
    assert ('<html lang="vi">' in vietnamese.text, '<html lang="en">' in english.text) == (True, True)
    assert "kết thúc ngày\u00a010/3/2026" in vietnamese.text
    assert '<span lang="vi">Bộ phận Một cửa xã Thượng Cốc</span>' in english.text


async def test_five_faces_with_words_in_order_and_nothing_chosen(site: Installation) -> None:
    text = (await site.ask(CODE, VI)).text
    words = ["Rất không hài lòng", "Không hài lòng", "Bình thường", "Hài lòng", "Rất hài lòng", "Không áp dụng"]
    assert re.findall(r"<span>([^<]+)</span></label>", text) == words
    assert re.findall(r'type="radio"[^>]*value="(\w+)"', text) == ["1", "2", "3", "4", "5", "na"]
    assert text.count('<svg class="face"') == 5
    assert " checked" not in text


@pytest.mark.parametrize(
    ("code", "accept", "language"),
    [
        (CODE, "", "vi"),
        (CODE, "en-GB,en;q=0.9,vi;q=0.8", "en"),
        (CODE, "fr, vi;q=0.5, en;q=0.4", "vi"),
        (CODE, "fr;q=x, ;;, en;q=0", "vi"),
        (ENGLISH, "vi", "en"),
    ],
)
async def test_the_language_of_a_page(site: Installation, code: str, accept: str, language: str) -> None:
    page = await site.ask(code, **{"accept-language": accept})
    assert f'<html lang="{language}">' in page.text


async def test_a_refused_dossier_is_asked_about_in_other_words(site: Installation) -> None:
    page = await site.ask(REFUSED, VI)
    assert "với việc tiếp nhận và trả lời hồ sơ vừa rồi?" in page.text


async def test_pages_are_light_and_ask_for_nothing_else(site: Installation) -> None:
    for path in (f"/{CODE}", f"/{CODE}?lang=en", f"/{CODE}/stop", f"/{CODE}/why", f"/{USED}", f"/{OLD}", f"/{UNKNOWN}"):
        page = await site.get(path)
        assert len(page.content) < 30_000
        assert int(page.headers["content-length"]) < 4_100, "over the wire, compressed"
        assert re.findall(r"""(?:src|href|action)=["'](?!/|#|data:,|\?lang=|tel:)""", page.text) == []
        assert "<script" not in page.text
        assert "style=" not in page.text
        assert "set-cookie" not in page.headers


async def test_what_every_page_promises_the_browser(site: Installation) -> None:
    for path in (f"/{CODE}", f"/{UNKNOWN}", "/a/b/c", "/healthz"):
        headers = (await site.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "noindex" in headers["x-robots-tag"]
        assert headers["cache-control"] == "no-store"
        assert "max-age" in headers["strict-transport-security"]
    assert "strict-transport-security" not in (await site.get("http://ks.example/healthz")).headers


async def test_looking_records_nothing(site: Installation) -> None:
    for method in ("GET", "HEAD"):
        for path in (f"/{CODE}", f"/{CODE}/stop", f"/{CODE}/why", f"/{CODE}/thanks", f"/{CODE}/next", "/", "/notice"):
            await site.http.request(method, path)
    assert (site.log.records, site.spool.waiting, site.ledger.opted_out, site.ledger.outbox) == ([], 0, {}, {})


@pytest.mark.parametrize("typed", [CODE.lower(), f"{CODE[:4]}-{CODE[4:8]}-{CODE[8:]}", f"{CODE[:6]}%20{CODE[6:]}"])
async def test_a_code_is_found_however_it_is_typed(site: Installation, typed: str) -> None:
    page = await site.ask(typed)
    assert page_of(page) == "ask-1"
    assert f'action="/{CODE}"' in page.text


# --- the answer


async def test_a_satisfied_answer_is_kept_and_thanked(site: Installation) -> None:
    page = await site.ask(CODE, VI)
    thanks = await onward(site, await site.send(page, CODE, Q0="5", finish="1"))
    assert page_of(thanks) == "thanks"
    assert "Câu trả lời đã được lưu." in thanks.text
    (fact,) = site.log.answers()
    assert (fact.survey_id, fact.page, fact.answers, fact.mode, fact.language) == ("s-1", 1, {"Q0": 5}, "link", "vi")
    assert (fact.questionnaire, fact.questionnaire_version, fact.registry_id) == ("ttp-core", 1, "hoa-binh")
    assert (fact.about, fact.answered_at) == (about(), NOW)
    assert site.log.records[0].key == b"s-1"


async def test_a_dissatisfied_one_is_asked_why_and_both_are_one_submission(site: Installation) -> None:
    page = await site.ask(CODE, "?lang=en")
    why = await onward(site, await site.send(page, CODE, Q0="2"))
    assert page_of(why) == "ask-2"
    assert "What went wrong?" in why.text
    thanks = await onward(site, await site.send(why, CODE, Q7=["charges", "slow"], finish="1"))
    assert page_of(thanks) == "thanks"
    first, second = site.log.answers()
    assert (first.answers, second.answers) == ({"Q0": 2}, {"Q7": ["slow", "charges"]})
    assert (first.page, second.page, first.language) == (1, 2, "en")
    assert first.nonce == second.nonce
    assert first.event_id != second.event_id


async def test_reasons_may_be_left_out_and_then_nothing_is_recorded_of_them(site: Installation) -> None:
    why = await onward(site, await site.send(await site.ask(CODE), CODE, Q0="3"))
    assert page_of(await onward(site, await site.send(why, CODE, finish="1"))) == "thanks"
    assert [(f.answers, f.finished) for f in site.log.answers()] == [({"Q0": 3}, False), ({}, True)]


async def test_not_applicable_is_an_answer(site: Installation) -> None:
    assert page_of(await onward(site, await site.send(await site.ask(CODE), CODE, Q0="na", finish="1"))) == "thanks"
    assert [f.answers for f in site.log.answers()] == [{"Q0": None}]


async def test_sending_the_same_form_again_is_harmless(site: Installation) -> None:
    page = await site.ask(CODE)
    for _ in range(3):
        assert page_of(await onward(site, await site.send(page, CODE, Q0="4", finish="1"))) == "thanks"
        site.clock.at += timedelta(minutes=1)
    assert len(site.log.records) == 3
    assert len(site.log.answers()) == 1


async def test_another_choice_or_another_form_is_another_fact(site: Installation) -> None:
    page, again = await site.ask(CODE), await site.ask(CODE)
    for form, score in ((page, "4"), (page, "5"), (again, "4")):
        await site.send(form, CODE, Q0=score)
    assert len({f.event_id for f in site.log.answers()}) == 3


async def test_the_language_can_be_changed_half_way(site: Installation) -> None:
    why = await onward(site, await site.send(await site.ask(CODE, VI), CODE, Q0="1"))
    english = await onward(site, await site.send(why, CODE, turn="en"))
    assert "What went wrong?" in english.text
    await site.send(english, CODE, Q7="slow")
    assert [f.language for f in site.log.answers()] == ["vi", "en"]
    assert len({f.nonce for f in site.log.answers()}) == 1


async def test_an_empty_form_says_so_at_the_top_and_at_the_field(site: Installation) -> None:
    answer = await site.send(await site.ask(CODE, VI), CODE)
    assert answer.status_code == 422
    assert '<a href="#Q0-1">Vui lòng chọn một câu trả lời.</a>' in answer.text
    assert 'id="Q0-error"' in answer.text
    assert "<title>Lỗi: " in answer.text
    assert page_of(await onward(site, await site.send(answer, CODE, Q0="4", finish="1"))) == "thanks"


async def test_what_was_chosen_stays_when_something_else_is_wrong(site: Installation) -> None:
    answer = await site.send(await site.ask(CODE), CODE, Q0="2", Q9="1")
    assert answer.status_code == 422
    assert re.findall(r'value="(\w+)" checked', answer.text) == ["2"]
    assert site.log.records == []


async def test_a_form_is_good_only_under_its_own_link_and_unchanged(site: Installation) -> None:
    page = await site.ask(CODE)
    sealed = sealed_in(page)
    for code, form in ((REFUSED, sealed), (CODE, sealed[:-2] + "AA"), (CODE, ""), (CODE, "x" * 10_000), ("0", sealed)):
        answer = await site.http.post(f"/{code}", data={"form": form, "Q0": "1"})
        assert answer.status_code == 400
        assert page_of(answer) == "unreadable"
    assert site.log.records == []


async def test_a_sealed_form_shows_neither_slot_nor_unit(site: Installation) -> None:
    text = (await site.ask(CODE)).text
    assert "s-1" not in text
    assert "H28.12" not in text


async def test_thanks_are_only_for_who_answered_and_show_no_answer(site: Installation) -> None:
    bare = await site.get(f"/{CODE}/thanks")
    assert (bare.status_code, bare.headers["location"]) == (303, f"/{CODE}")
    thanks = await onward(site, await site.send(await site.ask(CODE, VI), CODE, Q0="5", finish="1"))
    assert "Rất hài lòng" not in thanks.text


@pytest.mark.parametrize(
    ("lang", "stands", "first", "other"),
    [
        ("vi", "Hồ sơ này đã có câu trả lời", "Câu trả lời đầu tiên vẫn là câu được tính", "được ghi là đã thay đổi và được nêu riêng"),
        ("en", "This dossier already has an answer", "The first answer remains the one that counts", "is noted as a change and reported"),
    ],
)
async def test_a_used_link_says_that_an_answer_stands_and_what_another_one_does(
    site: Installation, lang: str, stands: str, first: str, other: str
) -> None:
    page = await site.get(f"/{USED}?lang={lang}")
    assert (page.status_code, page_of(page)) == (200, "already")
    for said in (stands, first, other, f'href="/{USED}?again=1&amp;lang={lang}"'):
        assert said in page.text
    assert "<form" not in page.text
    form = await site.get(f"/{USED}?again=1&lang={lang}")
    assert (page_of(form), stands in form.text) == ("ask-1", True)
    assert site.log.records == []


async def test_who_answers_again_is_told_so_at_every_step_and_without_the_ledger(site: Installation) -> None:
    form = await site.get(f"/{USED}?again=1&lang=en")
    form = await onward(site, await site.send(form, USED, turn="en"))  # another language is the same form
    site.ledger.away = True
    looked_up = site.ledger.looked_up
    empty = await site.send(form, USED)
    assert (empty.status_code, "This dossier already has an answer." in empty.text) == (422, True)
    why = await onward(site, await site.send(empty, USED, Q0="2"))
    assert "Your answer has been saved." in why.text
    thanks = await onward(site, await site.send(why, USED, Q7="slow", finish="1"))
    assert "The first answer remains the one that counts" in thanks.text
    assert site.ledger.looked_up == looked_up
    assert [f.answers for f in site.log.answers()] == [{"Q0": 2}, {"Q7": ["slow"]}]


async def test_asking_for_it_makes_no_first_answer_a_second(site: Installation) -> None:
    form = await site.ask(CODE, "?again=1&lang=en")
    assert "already has an answer" not in form.text
    thanks = await onward(site, await site.send(form, CODE, Q0="5", finish="1"))
    assert "Your answer has been saved." in thanks.text
    assert "The first answer" not in thanks.text


async def test_an_answer_stands_before_it_is_counted_and_while_the_log_is_away(site: Installation) -> None:
    form = await site.ask(CODE)
    site.log.away = True
    await site.send(form, CODE, Q0="5")
    assert page_of(await site.ask(CODE)) == "already"
    assert page_of(await site.ask(REFUSED)) == "ask-1"


async def test_only_the_latest_answers_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surveys.answers.keeping.REMEMBERED", 2)
    spool = Spool(tmp_path, "w")
    keeper = Keeper(MemoryLog(), spool, CollectorRegistry())
    for page in (1, 2, 1, 3):
        await keeper.keep(record("page", page), f"form {page}")
    assert [keeper.first_lately(f"page:{n}") for n in (1, 2, 3)] == ["form 1", "", "form 3"]
    spool.close()


async def test_an_expired_link_says_who_can_still_take_the_answer(site: Installation) -> None:
    page = await site.get(f"/{OLD}{VI}")
    assert page.status_code == 410
    assert f"gọi {DIALLED}" in page.text
    assert 'nơi nộp hồ sơ: <span lang="vi">Bộ phận Một cửa xã Thượng Cốc</span>' in page.text
    assert "nhận câu trả lời đến 8:59 ngày\u00a012/3/2026" in page.text
    english = await site.get(f"/{OLD}?lang=en")
    assert "This link could be answered until 8:59 on 12 March 2026." in english.text
    assert f"call {DIALLED}" in english.text
    assert 'the desk where you handed in the dossier: <span lang="vi">Bộ phận Một cửa xã Thượng Cốc</span>' in english.text
    form = await site.ask(CODE, VI)
    site.clock.at += timedelta(days=31)
    late = await site.send(form, CODE, Q0="5")
    assert (late.status_code, page_of(late), site.log.records) == (410, "expired", [])
    assert "nhận câu trả lời đến 9:00 ngày\u00a011/4/2026" in late.text


@pytest.mark.parametrize(("language", "said"), [("vi", "đến hết ngày\u00a011/4/2026"), ("en", "until the end of 11 April 2026")])
async def test_a_link_that_ended_at_midnight_names_the_day_it_was_good_for(tmp_path: Path, language: str, said: str) -> None:
    midnight = datetime(2026, 4, 11, 17, tzinfo=UTC)  # 00:00 of the 12th in Việt Nam
    async with opened(tmp_path, slot(expires_at=midnight, desk="A & B {x}")) as site:
        site.clock.at = midnight
        page = await site.get(f"/{CODE}?lang={language}")
    assert page.status_code == 410
    assert said in page.text
    assert "A &amp; B {x}" in page.text


# --- when something is away


async def test_an_answer_needs_no_ledger(site: Installation) -> None:
    page = await site.ask(CODE)
    site.ledger.away = True
    why = await onward(site, await site.send(page, CODE, Q0="1"))
    assert page_of(await onward(site, await site.send(why, CODE, Q7="slow", finish="1"))) == "thanks"
    assert len(site.log.answers()) == 2


async def test_without_the_ledger_a_question_says_when_to_come_back(site: Installation) -> None:
    site.ledger.away = True
    page = await site.ask(CODE, VI)
    assert (page.status_code, page.headers["retry-after"], page_of(page)) == (503, "7", "away")
    assert "đường liên kết vẫn dùng được" in page.text


@pytest.mark.parametrize("how", ["away", "silent"])
async def test_without_the_log_an_answer_lies_in_the_spool_and_follows_by_itself(site: Installation, how: str) -> None:
    first, second = await site.ask(CODE), await site.ask(REFUSED)
    setattr(site.log, how, True)
    why = await onward(site, await site.send(first, CODE, Q0="1"))
    assert page_of(await onward(site, await site.send(why, CODE, Q7="slow", finish="1"))) == "thanks"
    assert page_of(await onward(site, await site.send(second, REFUSED, Q0="5", finish="1"))) == "thanks"
    assert site.log.records == []
    assert len(spooled(site.spool.folder)) == 3
    ready = await site.get("/readyz")
    assert ready.status_code == 200, "answers can still be kept"
    setattr(site.log, how, False)
    if how == "away":
        await until(lambda: len(site.log.answers()) == 3)
        assert [f.answers for f in site.log.answers()] == [{"Q0": 1}, {"Q7": ["slow"]}, {"Q0": 5}]


async def test_what_waits_goes_first(tmp_path: Path) -> None:
    """The log is back, but the first page of a form is still in the spool: the second must not overtake it."""
    spool, log = Spool(tmp_path, "w"), MemoryLog()
    keeper = Keeper(log, spool, CollectorRegistry())
    spool.append(record("page", 1))
    assert await keeper.keep(record("page", 2)) == "spooled"
    assert log.records == []
    await spool.drain(log)
    assert await keeper.keep(record("page", 3)) == "acknowledged"
    assert [r.key for r in log.records] == [b"page:1", b"page:2", b"page:3"]
    spool.close()


async def test_without_log_and_disk_nobody_is_thanked_and_the_choice_stays(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await site.ask(CODE, VI)
    site.log.away = True

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.pwrite", full)
        answer = await site.send(page, CODE, Q0="2")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Câu trả lời chưa được lưu." in answer.text
    assert re.findall(r'value="(\w+)" checked', answer.text) == ["2"]
    site.log.away = False
    assert page_of(await onward(site, await site.send(answer, CODE, Q0="2"))) == "ask-2"


async def test_readiness_names_what_it_depends_on(site: Installation) -> None:
    assert (await site.get("/readyz")).json() == {
        "ready": True,
        "dependencies": {"spool": "ok", "answers in the log": "ok"},
        "needed": ["spool"],
    }
    assert (await site.get("/healthz")).json() == {"alive": True}
    for file in site.spool.folder.iterdir():
        file.unlink()
    site.spool.folder.rmdir()
    ill = await site.get("/readyz")
    assert ill.status_code == 503
    assert "spool: cannot be written" in ill.json()["dependencies"]["spool"]
    site.spool.folder.mkdir()


# --- unknown codes


@pytest.mark.parametrize("code", ["0", "favicon.ico", "ABCDEFGHJKM", "x" * 300, "%00"])
async def test_what_is_no_code_is_told_what_an_unknown_one_is_told(site: Installation, code: str) -> None:
    unknown, malformed = await site.get(f"/{UNKNOWN}"), await site.get(f"/{code}")
    assert page_of(unknown) == "unknown"
    assert (malformed.status_code, malformed.content) == (unknown.status_code, unknown.content) == (404, unknown.content)
    assert site.ledger.looked_up == 1


async def test_unknown_codes_are_limited_over_all_addresses(site: Installation) -> None:
    answers = []
    for i in range(60):
        site.comes_from(f"198.51.{i % 12}.9")
        answers.append((await site.get(f"/{code_of(f'guess-{i}')}")).status_code)
    assert site.ledger.looked_up == answers.count(404) == 36, "whoever mistypes three times is no guesser yet"
    assert set(answers[36:]) == {429}
    site.monotonic[0] += 6
    assert (await site.get(f"/{UNKNOWN}")).status_code == 404, "some are looked up again after a while"


async def test_who_guesses_from_one_place_shuts_nobody_else_out(site: Installation) -> None:
    for i in range(40):
        last = await site.get(f"/{code_of(f'guess-{i}')}")
    assert (last.status_code, last.headers["retry-after"].isdigit()) == (429, True)
    assert (await site.ask(CODE)).status_code == 429, "the same place waits"
    site.comes_from("192.0.2.1")
    assert (await site.ask(CODE)).status_code == 200
    for i in range(210):
        site.comes_from(f"2001:db8:{i:x}::1")
        await site.get(f"/{code_of(f'more-{i}')}")
    assert site.ledger.looked_up == 20 + 1 + 200, "even from ever new places no more than a reserve is looked up"
    long = "A" * links.LENGTHS["email"]
    assert (await site.get(f"/{long}")).status_code == 404, "of 128 bits nobody guesses one"
    assert (await site.http.post(f"/{long}/stop")).status_code == 200


async def test_an_open_form_is_answered_whatever_others_guess(site: Installation) -> None:
    page = await site.ask(CODE)
    for i in range(40):
        await site.get(f"/{code_of(f'guess-{i}')}")
    assert page_of(await onward(site, await site.send(page, CODE, Q0="5", finish="1"))) == "thanks"


async def test_the_notice_names_how_long_and_how_to_refuse(site: Installation) -> None:
    for path in (f"/{CODE}/why{VI}", f"/notice{VI}", f"/{VI}"):
        page = await site.get(path)
        assert page.status_code == 200
        for words in ("30 ngày", "1022", "Không muốn được hỏi nữa", "Trung tâm Phục vụ hành chính công"):
            assert words in page.text
    assert f'href="/{CODE}?lang=vi"' in (await site.get(f"/{CODE}/why{VI}")).text


def test_the_codes_of_these_tests_are_those_of_messages() -> None:
    assert links.code(KEY, "s-1", "invitation", "sms") == CODE


# --- who, one question a screen, back, resume, receipt


async def test_first_it_is_asked_whether_this_is_the_person_and_nothing_is_recorded(site: Installation) -> None:
    who = await site.get(f"/{CODE}{VI}")
    assert page_of(who) == "who"
    assert "Bộ phận Một cửa xã Thượng Cốc" in who.text
    assert "10/3/2026" in who.text
    assert "hài lòng" not in who.text, "the question comes after"
    assert page_of(await site.ask(CODE, VI)) == "ask-1"
    assert site.log.records == []


async def test_somebody_else_is_thanked_and_told_nothing_and_the_question_stays_open(site: Installation) -> None:
    who = await site.get(f"/{CODE}{VI}")
    said = await site.send(who, CODE, not_me="1")
    assert (said.status_code, page_of(said)) == (200, "not-me")
    for named in ("Thượng Cốc", "10/3/2026", CODE):
        assert named not in said.text
    (fact,) = site.log.answers()
    assert (fact.act, fact.answers, fact.finished) == ("not_me", {}, False)
    assert page_of(await site.get(f"/{CODE}")) == "who", "the right person can still answer"


async def walk(site: Installation, code: str, *answers: dict[str, object]) -> list[httpx.Response]:
    """Every page of the whole form, answered in turn."""
    pages = [await site.ask(code, VI)]
    for given in answers:
        pages.append(await onward(site, await site.send(pages[-1], code, **given)))
    return pages


WHOLE: list[dict[str, object]] = [
    {"Q0": "2"}, {"Q7": ["slow", "charges"]}, {"Q1": "4"}, {"Q2": "na"}, {"Q3": "5"}, {}, {"Q5": "1"}, {"Q6": "4"},
    {"Q8": "Chờ lâu, gọi tôi 0912 345 678"}, {"Q9": "yes"},
]  # fmt: skip


async def test_the_whole_form_one_question_a_screen(site: Installation) -> None:
    pages = await walk(site, CODE, *WHOLE)
    assert [page_of(p) for p in pages] == [*(f"ask-{n}" for n in range(1, 11)), "thanks"]
    answered = [f.answers for f in site.log.answers()]
    assert answered == [
        {"Q0": 2}, {"Q7": ["slow", "charges"]}, {"Q1": 4}, {"Q2": None}, {"Q3": 5}, {"Q5": 1}, {"Q6": "4"}, {"Q9": True},
    ]  # fmt: skip
    assert [f.finished for f in site.log.answers()] == [False] * 7 + [True]
    assert [(c[0], c[1]) for c in site.ledger.comments] == [("s-1", "Q8")]
    for one in site.log.records:
        assert b"0912" not in one.value
        assert "Chờ".encode() not in one.value
    assert "còn tối đa 9 câu hỏi ngắn" in pages[0].text
    assert "Câu 3, còn 7" in pages[2].text


async def test_the_satisfied_are_not_asked_what_went_wrong(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "5"}, {})
    assert [page_of(p) for p in pages] == ["ask-1", "ask-3", "ask-4"]
    assert "Câu 2, còn 7" in pages[1].text


async def test_back_shows_what_was_chosen_and_a_change_is_another_fact(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"}, {"Q7": ["slow"]}, {"Q1": "4"})
    back = pages[-1]
    for expected in (["4"], ["slow"], ["2"]):
        link = re.search(r'class="back"><a href="([^"]+)"', back.text)
        assert link
        back = await site.get(link[1])
        assert re.findall(r'value="(\w+)" checked', back.text) == expected
    again = await onward(site, await site.send(back, CODE, Q0="3"))
    assert page_of(again) == "ask-2"
    assert [f.answers for f in site.log.answers()][-1] == {"Q0": 3}
    assert len({f.nonce for f in site.log.answers()}) == 1


def back_from(page: httpx.Response) -> str:
    link = re.search(r'class="back"><a href="([^"]+)"', page.text)
    assert link
    return link[1]


async def test_what_was_ticked_and_is_sent_empty_is_taken_back(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"}, {"Q7": ["slow", "charges"]})
    back = await site.get(back_from(pages[-1]))
    onto = await onward(site, await site.send(back, CODE))
    assert site.log.answers()[-1].answers == {"Q7": []}
    n = len(site.log.answers())
    again = await site.get(back_from(onto))
    assert " checked" not in again.text
    await site.send(again, CODE)
    assert len(site.log.answers()) == n, "it is gone already"


async def test_consent_holds_for_as_long_as_its_box_is_ticked(site: Installation) -> None:
    pages = await walk(site, CODE, *WHOLE)
    assert site.log.answers()[-1].answers == {"Q9": True}
    assert (await site.send(pages[-2], CODE)).status_code == 303, "the browser's own way back, and sent without"
    assert site.log.answers()[-1].answers == {"Q9": False}
    page = await site.get(f"/{USED}?again=1&lang=vi")
    for _ in range(10):
        if page_of(page) == "ask-10":
            break
        page = await onward(site, await site.send(page, USED, **({"Q0": "5"} if page_of(page) == "ask-1" else {})))
    await site.send(page, USED)
    assert (site.log.answers()[-1].survey_id, site.log.answers()[-1].answers) == ("used", {"Q9": False})


async def test_own_words_stay_until_others_replace_them_or_their_box_says_that_they_go(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "5"}, *[{}] * 6, {"Q8": "Chờ lâu"})
    assert 'name="forget"' not in pages[-2].text
    back = await site.get(back_from(pages[-1]))
    assert "Ý kiến đã viết vẫn được giữ" in back.text
    assert ("Chờ lâu" in back.text, len(back.content) < 30_000) == (False, True)
    kept = await onward(site, await site.send(back, CODE))
    assert [c[2] for c in site.ledger.comments] == ["Chờ lâu"]
    back = await site.get(back_from(kept))
    gone = await onward(site, await site.send(back, CODE, forget="Q8"))
    assert [c[2] for c in site.ledger.comments] == ["Chờ lâu", ""]
    assert 'name="forget"' not in (await site.get(back_from(gone))).text
    replaced = await site.send(back, CODE, forget="Q8", Q8="Nhanh")
    assert (replaced.status_code, site.ledger.comments[-1][2]) == (303, "Nhanh")


async def test_half_an_hour_later_a_page_gone_back_to_shows_no_answer(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"}, {"Q7": ["slow"]})
    link = re.search(r'class="back"><a href="([^"]+)"', pages[-1].text)
    assert link
    site.clock.at += timedelta(minutes=31)
    assert " checked" in (await site.get(link[1])).text, "the clock of a demonstration runs fast"
    site.monotonic[0] += 31 * 60
    assert " checked" not in (await site.get(link[1])).text


async def test_after_the_thanks_back_shows_that_an_answer_stands_and_none_of_it(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"}, {"Q7": ["slow"]})
    before = re.search(r'class="back"><a href="([^"]+)"', pages[-1].text)
    assert before
    await site.send(pages[-1], CODE, Q1="4", finish="1")
    back = await site.get(before[1])
    assert (page_of(back), " checked" in back.text) == ("already", False)
    afresh = await site.get(html.unescape(re.findall(r'href="(/[^"]+/next[^"]+)"', back.text)[0]))
    assert (page_of(afresh), " checked" in afresh.text) == ("ask-1", False)
    thanks = await onward(site, await site.send(afresh, CODE, Q0="5", finish="1"))
    assert (page_of(thanks), 'class="code"' in thanks.text) == ("thanks", False)


async def test_after_a_restart_of_the_site_the_ledger_tells_that_a_form_was_finished(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"}, {"Q7": ["slow"]})
    link = re.search(r'class="back"><a href="([^"]+)"', pages[-1].text)
    assert link
    site.ledger.add(slot(answered=True, answered_at=NOW, finished=("ttp-core",)))
    assert page_of(await site.get(link[1])) == "already"


async def test_own_words_stand_in_no_address_and_stay_when_the_language_is_turned(site: Installation) -> None:
    page = (await walk(site, CODE, {"Q0": "5"}, *[{}] * 6))[-1]
    words = "x" * 501
    long = await site.send(page, CODE, Q8=words)
    for address in re.findall(r'href="([^"]+next[^"]+)"', long.text):
        assert words not in (await site.get(html.unescape(address))).text
    turned = await site.send(long, CODE, Q8=words, turn="en")
    assert (turned.status_code, '<html lang="en"' in turned.text, words in turned.text) == (200, True, True)
    assert site.ledger.comments == []
    assert (await site.send(turned, CODE, Q8="short")).status_code == 303
    assert [one[2] for one in site.ledger.comments] == ["short"]


async def test_a_comment_too_long_stays_on_the_page_and_one_without_ledger_too(site: Installation) -> None:
    page = (await walk(site, CODE, {"Q0": "5"}, *[{}] * 6))[-1]
    assert page_of(page) == "ask-9"
    long = await site.send(page, CODE, Q8="x" * 501)
    assert (long.status_code, "x" * 501 in long.text) == (422, True)
    site.ledger.away = True
    away = await site.send(page, CODE, Q8="Chờ lâu")
    assert (away.status_code, "Chờ lâu</textarea>" in away.text) == (503, True)
    assert site.ledger.comments == []


async def test_who_stopped_goes_on_from_any_device_for_seven_days_but_never_at_what_tells_the_mark(tmp_path: Path) -> None:
    stopped = slot(answered=True, answered_at=NOW, done=("ttp-core:Q7", "ttp-core:Q1"))
    done = slot("used", answered=True, answered_at=NOW, finished=("ttp-core",))
    bare = slot("old", answered=True, answered_at=NOW)
    async with opened(tmp_path, stopped, done, bare) as site:
        page = await site.get(f"/{CODE}")
        link = re.search(r'rel="next" href="([^"]+)"', page.text)
        assert page_of(page) == "already"
        assert link
        assert page_of(await site.get(link[1])) == "ask-4", "after Q1"
        assert 'rel="next"' not in (await site.get(f"/{USED}")).text
        low = re.search(r'rel="next" href="([^"]+)"', (await site.get(f"/{OLD}")).text)
        assert low
        assert page_of(await site.get(low[1])) == "ask-2", "the reasons are asked of everybody, else they would tell the mark"
        site.clock.at += timedelta(days=8)
        assert 'rel="next"' not in (await site.get(f"/{CODE}")).text
        assert (await site.get(link[1])).status_code == 410


async def test_who_stopped_amid_the_second_questionnaire_goes_on_there(tmp_path: Path) -> None:
    online = msgspec.structs.replace(about(), submission_channel="online")
    amid = slot(answered=True, answered_at=NOW, about=online, finished=("ttp-core",), done=("ttp-core:Q7", "ttp-portal:P1"))
    both = slot("used", answered=True, answered_at=NOW, about=online, finished=("ttp-core", "ttp-portal"), done=("ttp-portal:P1",))
    async with opened(tmp_path, amid, both) as site:
        assert page_of(await site.get(next_of(await site.get(f"/{CODE}")))) == "ask-ttp-portal-2"
        assert next_of(await site.get(f"/{USED}")) == ""


@pytest.mark.parametrize("done", [(), ("ttp-core:Q7",)])
async def test_who_stopped_at_the_reasons_is_asked_for_them_and_their_page_tells_nobody_the_mark(
    tmp_path: Path, done: tuple[str, ...]
) -> None:
    async with opened(tmp_path, slot(answered=True, answered_at=NOW, done=done)) as site:
        reasons = await site.get(next_of(await site.get(f"/{CODE}{VI}")))
        assert page_of(reasons) == "ask-2"
        assert "Câu 2, còn 8" in reasons.text
        assert " checked" not in reasons.text
        none = await onward(site, await site.send(reasons, CODE))
        assert (page_of(none), site.log.answers()) == ("ask-3", []), "nothing chosen is nothing said"
        back = re.search(r'class="back"><a href="([^"]+)"', none.text)
        assert back
        assert page_of(await site.get(back[1])) == "ask-2"
        assert page_of(await onward(site, await site.send(reasons, CODE, Q7="slow"))) == "ask-3"
        assert [f.answers for f in site.log.answers()] == [{"Q7": ["slow"]}]


async def test_choosing_one_another_and_the_first_again_are_three_facts_and_a_double_tap_is_one(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"})
    for score in ("4", "2", "2"):
        link = re.search(r'class="back"><a href="([^"]+)"', pages[-1].text)
        assert link
        shown = await site.get(link[1])
        for _ in range(2):
            pages.append(await onward(site, await site.send(shown, CODE, Q0=score)))
    assert [f.answers["Q0"] for f in site.log.answers()] == [2, 4, 2, 2]
    assert len(site.log.records) == 7, "each was sent twice but the first"
    assert len({f.nonce for f in site.log.answers()}) == 1


async def test_a_page_that_was_not_saved_and_is_sent_again_is_the_same_act(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await site.ask(CODE, VI)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    site.log.away = True
    with monkeypatch.context() as disk:
        disk.setattr("os.pwrite", full)
        answer = await site.send(page, CODE, Q0="2")
    assert answer.status_code == 503
    site.log.away = False
    turned = await onward(site, await site.send(answer, CODE, Q0="2", turn="en", wrong="not_saved"))
    assert "Your answer could not be saved" in turned.text
    for form in (page, answer, turned):
        await site.send(form, CODE, Q0="2")
    assert len({f.event_id for f in site.log.answers() if f.language == "vi"}) == 1
    assert len({f.event_id for f in site.log.answers()}) == 1, "in another language too"


@pytest.mark.parametrize(
    ("lang", "says", "never"),
    [
        ("vi", "đã được xóa theo yêu cầu", ("vẫn có hiệu lực", "Trả lời tiếp", "Trả lời lại")),
        ("en", "was erased at the wish", ("it stands", "Go on answering", "Answer again")),
    ],
)
async def test_after_an_erasure_the_link_says_so_and_asks_nothing_any_more(
    tmp_path: Path, lang: str, says: str, never: tuple[str, ...]
) -> None:
    async with opened(tmp_path, slot(answered=True, answered_at=NOW, erased=True)) as site:
        for query in ("", "&again=1"):
            page = await site.get(f"/{CODE}?lang={lang}{query}")
            assert (page.status_code, page_of(page), says in page.text) == (410, "erased", True)
            assert not [words for words in ("<form", "again=1", *never) if words in page.text]


async def test_a_form_opened_before_the_erasure_is_neither_taken_nor_thanked(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "2"})
    finished = await site.send(pages[-1], CODE, Q7="slow", finish="1")
    kept = len(site.log.records)
    thanks, onward_ = finished.headers["location"], str(pages[-1].url)
    assert page_of(await site.get(thanks)) == "thanks"
    site.ledger.add(slot(answered=True, answered_at=NOW, erased=True))
    late = [await site.send(form, CODE, Q0="5") for form in pages[:1]] + [await site.send(pages[-1], CODE, Q7="slow", finish="1")]
    for page in (*late, await site.get(thanks), await site.get(onward_)):
        assert (page.status_code, page_of(page)) == (410, "erased")
    assert len(site.log.records) == kept
    site.ledger.away = True
    assert (await site.send(pages[0], CODE, Q0="5")).status_code == 303, "an answer needs no ledger; the ledger takes none that was erased"


async def test_the_thanks_give_the_receipt_of_the_form(site: Installation) -> None:
    pages = await walk(site, CODE, {"Q0": "5", "finish": "1"})
    shown = re.search(r'class="code">([^<]+)<', pages[-1].text)
    assert shown
    assert receipts.parse(shown[1]) == receipts.receipt(KEY, site.log.answers()[0].nonce)


async def test_what_a_person_cannot_see_catches_programs(site: Installation) -> None:
    page = await site.ask(CODE)
    told = await site.send(page, CODE, Q0="1", website="http://spam.example")
    assert (told.status_code, site.log.records) == (422, [])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2400", timedelta(minutes=20)),
        ("7200", timedelta(0)),
        ("-60", timedelta(hours=1)),
        ("2026-03-12T09:20:00+07:00", timedelta(hours=1)),
        ("yesterday", timedelta(hours=1)),
    ],
)
async def test_an_answer_given_without_signal_has_its_own_time_within_reason(site: Installation, said: str, kept: timedelta) -> None:
    page = await site.ask(CODE)
    site.clock.at += timedelta(hours=1)
    await site.send(page, CODE, Q0="4", at=said, finish="1")
    assert site.log.answers()[0].answered_at == NOW + kept


async def test_many_first_answers_about_one_unit_from_one_network_are_marked(tmp_path: Path) -> None:
    async with opened(tmp_path, *(slot(f"s-{n}") for n in range(10))) as site:
        signs = []
        for n in range(8):
            page = await site.ask(code_of(f"s-{n}"))
            await site.send(page, code_of(f"s-{n}"), Q0="5", finish="1")
            signs.append(site.log.answers()[-1].signs)
            site.monotonic[0] += 30
        assert signs == [[]] * 5 + [["burst"]] * 3
        site.comes_from("198.51.100.1")
        for n in (8, 9):
            page = await site.ask(code_of(f"s-{n}"))
            await site.send(page, code_of(f"s-{n}"), Q0="5", finish="1")
        assert site.log.answers()[-1].signs == [], "two are a household"
        site.comes_from("127.0.0.1")


async def test_after_an_online_dossier_the_portal_is_asked_about_and_only_then(tmp_path: Path) -> None:
    online = slot("s-1", about=msgspec.structs.replace(about(), submission_channel="online"))
    async with opened(tmp_path, online, slot("used")) as site:
        thanks = (await walk(site, CODE, {"Q0": "5", "finish": "1"}))[-1]
        link = re.search(r'rel="next" href="([^"]+)"', thanks.text)
        assert link
        page = await site.get(link[1])
        assert "Cổng dịch vụ công" in page.text
        sent: list[dict[str, object]] = [{"P1": "2"}, {"P2": ["login"]}, {"P3": "family"}, {"P4": "unsure"}]
        for given in sent:
            page = await onward(site, await site.send(page, CODE, **given))
        assert page_of(page) == "thanks"
        told = site.log.answers()[1:]
        assert [f.answers for f in told] == [{"P1": 2}, {"P2": ["login"]}, {"P3": "family"}, {"P4": "unsure"}]
        assert {f.questionnaire for f in told} == {"ttp-portal"}
        assert 'rel="next"' not in page.text
        counter = (await walk(site, USED, {"Q0": "5", "finish": "1"}))[-1]
        assert 'rel="next"' not in counter.text
