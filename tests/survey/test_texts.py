"""The words of messages: as registered, as mail, to officers; and of pages: complete in every language."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest

from hailong.domain import links
from hailong.events import MessageChannel
from hailong.ports import Invalid
from surveys import wording
from surveys.messages.texts import OfficersKind, Rendered, Texts

TEXTS = Texts(wording.office())
URL = "https://ks.hoabinh.gov.vn/" + links.code(b"k" * 32, "s", "invitation", "sms")
ON, UNTIL = date(2026, 3, 12), date(2026, 4, 11)
ALERT: dict[str, Any] = {
    "unit": "05293", "unit_name": "Xã 07 (ví dụ)",
    "sentence_vi": "Từ 12/2 có 34 người trả lời.", "sentence_en": "Since 12 February 34 people answered.",
    "target": 0.87, "low": 0.66, "high": 0.804, "url": "http://127.0.0.1/a",
}  # fmt: skip
QUIET: dict[str, Any] = {
    "on": "2026-03-12",
    "raised": [],
    "cleared": [],
    "open": 2,
    "answers": 4812,
    "dead_letters": 0,
    "parts": [{"name": "send", "ok": True}],
}
CHARGES: dict[str, Any] = {"unit": "05293", "unit_name": "Xã 07", "on": "2026-03-11"}
DOUBT = {name: ALERT[name] for name in ("unit", "unit_name", "sentence_vi", "sentence_en", "url")}
PAYLOADS: dict[str, dict[str, Any]] = {
    "alert_raised": ALERT, "alert_cleared": ALERT, "doubt_raised": DOUBT, "doubt_cleared": DOUBT, "digest": QUIET, "charges": CHARGES,
    "callback": CHARGES, "fake": {"on": "2026-03-12", "mark": "0a1b2c3d", "last": True, "url": "https://can-bo.example/"}}  # fmt: skip


def invitation(channel: MessageChannel, language: str, url: str = URL, stop_url: str = f"{URL}/stop") -> Rendered:
    return TEXTS.message("invitation", channel, language, url=url, stop_url=stop_url, until=UNTIL, on=ON)


def test_the_sms_is_the_registered_text_word_for_word() -> None:
    said = invitation("sms", "vi")
    skeleton = "HCC HOABINH: Moi Ong/Ba danh gia viec giai quyet ho so vua ket thuc (1 phut): {} Tu choi nhan tin: goi 1022"
    assert said.text == skeleton.format(URL)
    assert (said.segments, said.subject, said.html) == (1, "", None)
    assert (said.template_version, said.approval) == ("sms-invitation-a.vi-plain@1", "")
    assert 140 <= len(said.text) <= 160


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_mail_says_the_same_as_text_and_as_html(language: str) -> None:
    said = invitation("email", language)
    assert said.html is not None
    for part in (said.text, said.html):
        assert URL in part
        assert f"{URL}/stop" in part
        assert ("11/4/2026" if language == "vi" else "11 April 2026") in part
    assert said.html.startswith("<!doctype html>")
    assert f'lang="{language}"' in said.html
    assert said.subject.startswith("HCC HOABINH: ")
    assert "\n" not in said.subject


def test_a_message_without_its_link_or_too_long_or_with_odd_letters_is_refused() -> None:
    for reason, url in (("placeholder_missing", ""), ("too_many_segments", URL + "X" * 20), ("not_gsm", URL + "ế")):
        with pytest.raises(Invalid) as refused:
            invitation("sms", "vi", url=url)
        assert refused.value.reason == reason
    with pytest.raises(Invalid, match="stop_url: placeholder_missing"):
        invitation("email", "vi", stop_url="")


@pytest.mark.parametrize("kind", get_args(OfficersKind))
@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_mail_to_officers_exists_in_every_language_and_is_composed(kind: OfficersKind, language: str) -> None:
    said = TEXTS.officers(kind, language, PAYLOADS[kind])
    assert said.subject
    assert "{" not in said.subject + said.text
    assert "\n\n\n\n" not in said.text
    assert unicodedata.is_normalized("NFC", said.subject + said.text)


@pytest.mark.parametrize(("kind", "field"), [(k, f) for k, p in PAYLOADS.items() for f in p if f != "url"])
def test_a_missing_field_is_a_refusal_and_never_a_gap(kind: OfficersKind, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        TEXTS.officers(kind, "vi", {k: v for k, v in PAYLOADS[kind].items() if k != field})
    assert refused.value.reason == "placeholder_missing"
    assert field in refused.value.detail


def test_an_alert_speaks_in_its_sentence_and_with_its_figures() -> None:
    said = TEXTS.officers("alert_raised", "vi", ALERT | {"event_id": "not used"})
    assert said.subject == "Cảnh báo: Xã 07 (ví dụ) dưới mục tiêu 87\u00a0%"
    for words in ("Từ 12/2 có 34 người trả lời.", "66–80\u00a0%", "http://127.0.0.1/a"):
        assert words in said.text
    assert "vi phạm" not in said.text
    assert "650" not in said.text, "counts stand in the sentence alone, which knows when they may be told"
    worse = TEXTS.officers("alert_raised", "vi", ALERT | {"detector": "declining", "field": "land"})
    assert worse.subject == "Cảnh báo: Xã 07 (ví dụ), lĩnh vực đất đai kém đi so với chính đơn vị trước đây"
    assert "Since 12 February 34 people answered." in TEXTS.officers("alert_cleared", "en", ALERT).text


def test_an_alert_about_the_data_of_all_names_all() -> None:
    said = TEXTS.officers("doubt_raised", "vi", DOUBT | {"unit": "", "unit_name": ""})
    assert said.subject == "Cảnh báo về số liệu: toàn bộ các đơn vị"
    assert "⚑ Toàn bộ các đơn vị\n" in said.text
    assert "xin không chuyển tiếp" in said.text


def test_the_daily_mail_also_comes_when_nothing_happened() -> None:
    said = TEXTS.officers("digest", "vi", QUIET)
    assert said.subject == "hailong 12/3/2026: không có gì mới, mọi bộ phận hoạt động"
    assert "Câu trả lời mới trong ngày qua: 4.812." in said.text
    ill = QUIET | {"raised": [ALERT], "parts": [{"name": "send", "ok": True}, {"name": "judge", "ok": False, "note": "chậm 3 phút"}]}
    told = TEXTS.officers("digest", "vi", ill)
    assert told.subject == "hailong 12/3/2026: 1 cảnh báo mới, 0 cảnh báo đã hết, có bộ phận cần xem"
    assert "- judge: chậm 3 phút" in told.text
    assert "- send" not in told.text


def test_the_confidential_mail_names_unit_and_day_and_takes_nothing_more() -> None:
    said = TEXTS.officers("charges", "vi", CHARGES)
    assert "Ngày 11/3/2026, một người trả lời khảo sát về Xã 07 (mã 05293)" in said.text
    for more in ("dossier_code", "survey_id", "name", "answers"):
        with pytest.raises(Invalid, match="charges: placeholder_missing"):
            TEXTS.officers("charges", "vi", CHARGES | {more: "H28.12-250115-0042"})


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(Invalid, match="kind: unknown_kind"):
        TEXTS.officers("weekly", "vi", {})  # type: ignore[arg-type]


def test_pages_and_questionnaires_speak_the_same_languages(tmp_path: Path) -> None:
    words = wording.page_words()
    assert set(words) == set(wording.library().current.languages)
    for language in words:
        (tmp_path / language).mkdir()
        text = (wording.TEXTS / language / "pages.toml").read_text("utf-8")
        (tmp_path / language / "pages.toml").write_text(text.replace('send = "', 'sent = "') if language == "en" else text)
    with pytest.raises(ValueError, match=r"pages.toml \((vi|en)\): sen[dt] is missing"):
        wording.page_words(tmp_path)


def test_no_page_says_a_thing_in_two_ways() -> None:
    """Placeholders of a text are the same in every language."""
    words = wording.page_words()

    def places(table: Any) -> list[str]:
        if isinstance(table, dict):
            return [p for v in table.values() for p in places(v)]
        if isinstance(table, list):
            return [p for v in table for p in places(v)]
        return re.findall(r"\{(\w+)\}", table)

    assert sorted(places(words["vi"])) == sorted(places(words["en"]))
    assert {len(words[lang]["why"]["parts"]) for lang in words} == {6}


def test_two_files_of_one_version_and_a_missing_questionnaire_are_refused(tmp_path: Path) -> None:
    core = (wording.HERE / "questionnaires" / "ttp-core-1.toml").read_text("utf-8")
    asked, texts = tmp_path / "questionnaires", tmp_path / "texts"
    asked.mkdir()
    for language in ("vi", "en"):
        (texts / language).mkdir(parents=True)
        for version in (1, 2):
            said = (wording.TEXTS / language / "ttp-core-1.toml").read_text("utf-8")
            (texts / language / f"ttp-core-{version}.toml").write_text(said)
    with pytest.raises(Exception, match="no questionnaire ttp-core"):
        wording.library(asked, texts=texts)
    (asked / "a.toml").write_text(core)
    (asked / "b.toml").write_text(core.replace("version = 1", "version = 2"))
    assert wording.library(asked, texts=texts).current.version == 2
    (asked / "c.toml").write_text(core)
    with pytest.raises(Exception, match=r"c.toml: ttp-core version 1 stands in another file"):
        wording.library(asked, texts=texts)
    (asked / "c.toml").write_text(core.replace("version = 1", "version = 3"))
    with pytest.raises(Exception, match=r"vi/ttp-core-3.toml: no such file"):
        wording.library(asked, texts=texts)
    (asked / "c.toml").write_text(core.replace('id = "ttp-core"', 'id = "more"\nafter = "nothing"'))
    for language in ("vi", "en"):
        (texts / language / "more-1.toml").write_text((texts / language / "ttp-core-1.toml").read_text("utf-8"))
    with pytest.raises(Exception, match=r"c.toml: after: no questionnaire nothing"):
        wording.library(asked, texts=texts)
