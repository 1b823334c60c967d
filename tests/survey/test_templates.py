"""Templates: every text of the house holds, what is wrong is refused by name, a language is a file, a version has its day."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from jinja2.exceptions import SecurityError

from hailong.domain import links
from hailong.events import MessageChannel, Purpose
from hailong.ports import Invalid
from surveys import wording
from surveys.messages import pricing, templates
from surveys.messages.template_faults import LONGEST, PLACEHOLDERS
from surveys.messages.templates import Template, TemplateError, environment, load
from surveys.messages.texts import Rendered, Texts, quotable
from surveys.wording import Office

ON = date(2026, 3, 12)
UNTIL = date(2026, 9, 30)
URL = "https://khaosat.hoabinh.gov.vn/" + links.code(b"k" * 32, "s", "invitation", "sms")
SLIP = "7KQ2-MX9P"
CITIZENS = [(c, p, lang) for c in get_args(MessageChannel) for p in get_args(Purpose) for lang in ("vi", "vi-plain", "en")]
SMS = """
language = "vi-plain"
channel = "sms"
opt_out = "Tu choi nhan tin"
[[templates]]
id = "t"
version = 1
valid_from = 2025-01-01
approval = ""
purpose = "invitation"
placeholders = ["brand", "url", "hotline"]
skeleton = "{brand}: Moi Ong/Ba danh gia ho so: {url} Tu choi nhan tin: goi {hotline}"
text = "{{ brand }}: Moi Ong/Ba danh gia ho so: {{ url }} Tu choi nhan tin: goi {{ hotline }}"
"""


def office(**changes: str) -> Office:
    read = wording.office()
    return Office(changes.get("brand", read.brand), changes.get("hotline", read.hotline), read.name)


def said(texts: Texts, channel: MessageChannel, purpose: Purpose, language: str, **more: object) -> Rendered:
    given = {"url": URL, "stop_url": f"{URL}/stop", "until": UNTIL, "on": ON, **more}
    return texts.message(purpose, channel, language, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("link_free", [False, True])
@pytest.mark.parametrize(("channel", "purpose", "language"), CITIZENS)
def test_every_message_renders_complete_and_composed(channel: MessageChannel, purpose: Purpose, language: str, link_free: bool) -> None:
    texts = Texts(office())
    one = said(texts, channel, purpose, language, link_free=link_free, slip_code=SLIP)
    parts = [one.text, *([one.html] if one.html else [])]
    assert (one.html is not None) == (channel == "email")
    assert bool(one.subject) == (channel in ("email", "print"))
    for part in [one.subject, *parts]:
        assert unicodedata.is_normalized("NFC", part)
        assert "{" not in part
    for part in parts:
        assert "HCC HOABINH" in part
        assert "1022" in part
        assert (URL in part, SLIP in part) == (not one.link_free, one.link_free)
    assert one.link_free == (link_free and channel != "print")
    assert one.language == {"vi": "vi-plain" if channel == "sms" else "vi", "vi-plain": "vi-plain" if channel == "sms" else "vi"}.get(
        language, language
    )
    assert one.template_version.endswith("@1")


def longest(template: Template) -> str:
    """The template with a brand of twelve letters, the longest allowed address, a slip's code of twelve."""
    texts = Texts(office(brand=LONGEST["brand"]))
    assert len(LONGEST["url"]) == len(URL)
    return texts.render(template, url=LONGEST["url"], stop_url=LONGEST["stop_url"], until=UNTIL, slip_code=LONGEST["slip_code"]).text


def test_plain_vietnamese_and_english_sms_are_one_segment_and_diacritics_three() -> None:
    counted = {t.ref: (t.language, pricing.counted(longest(t))) for t in load().in_force(ON) if t.channel == "sms"}
    assert {language for language, _ in counted.values()} == {"vi", "vi-plain", "en"}
    for ref, (language, count) in counted.items():
        assert (count.segments, count.encoding) == ((3, "UCS-2") if language == "vi" else (1, "GSM-7")), ref


def test_plain_and_accented_say_the_same() -> None:
    """One is the other without diacritics, word for word, so that a price never changes what is said."""
    there = {t.slot: t for t in load().in_force(ON) if t.channel == "sms"}
    pairs = [(t, there["vi", *slot[1:]]) for slot, t in there.items() if slot[0] == "vi-plain"]
    assert len(pairs) == 6
    for plain, accented in pairs:
        bare = unicodedata.normalize("NFD", accented.text.replace("đ", "d").replace("Đ", "D"))
        assert "".join(c for c in bare if not unicodedata.combining(c)) == plain.text


def test_zns_fits_and_hands_over_its_parameters() -> None:
    for t in load().in_force(ON):
        if t.channel == "zns":
            assert len(longest(t)) <= 400, t.ref
    one = said(Texts(office()), "zns", "invitation", "vi")
    assert dict(one.data) == {"brand": "HCC HOABINH", "hotline": "1022", "until": "30/9/2026", "url": URL}


def test_two_wordings_are_there_and_an_unknown_arm_falls_back() -> None:
    texts = Texts(office())
    a, b = (said(texts, "sms", "invitation", "vi", arm=arm) for arm in "ab")
    assert (a.arm, b.arm) == ("a", "b")
    assert a.text != b.text
    assert said(texts, "email", "invitation", "vi", arm="b").arm == "a"
    assert said(texts, "sms", "invitation", "vi", arm="b", link_free=True, slip_code=SLIP).arm == "b"


@pytest.mark.parametrize("slip", [None, "", "7KQ2", "123456", "0912345678", "H28.12-250115-0042", "7KQ2MX9PABCDE", "7KQ2  MX9P", "-7KQ2MX"])
def test_without_a_code_nobody_can_guess_a_link_free_message_carries_its_link(slip: str | None) -> None:
    one = said(Texts(office()), "sms", "invitation", "vi", link_free=True, slip_code=slip)
    assert (one.link_free, URL in one.text) == (False, True)
    assert not quotable(slip)


@pytest.mark.parametrize("slip", ["7KQ2MX", "7kq2mx9p", "7KQ2-MX9P", "7KQ2 MX9P", "HL7KQ2MX9PAB"])
def test_a_slip_with_a_code_of_its_own_is_quoted_as_printed(slip: str) -> None:
    one = said(Texts(office()), "sms", "invitation", "vi", link_free=True, slip_code=slip)
    assert one.link_free
    assert f"{slip}." in one.text
    assert "http" not in one.text
    assert one.segments == 1


def test_who_wants_diacritics_in_sms_gets_them() -> None:
    one = said(Texts(office(), plain_sms=False), "sms", "invitation", "vi")
    assert (one.language, one.segments) == ("vi", 3)


# --- versions and approval


def written(folder: Path, text: str = SMS, name: str = "vi-plain.sms.toml") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder


def newer(text: str, version: int = 2, day: str = "2026-06-01", approval: str = "BN-77") -> str:
    """The template of ``text`` once more, as a later version with other words."""
    again = text.partition("[[templates]]")[2].replace("danh gia ho so", "cho y kien ve ho so")
    again = (
        again.replace("version = 1", f"version = {version}").replace("2025-01-01", day).replace('approval = ""', f'approval = "{approval}"')
    )
    return f"{text}\n[[templates]]{again}"


def test_the_version_in_force_is_that_of_the_day(tmp_path: Path) -> None:
    texts = Texts(office(), load(written(tmp_path, newer(SMS))))
    for on, ref, words in (
        (date(2026, 5, 31), "t@1", "danh gia ho so"),
        (date(2026, 6, 1), "t@2", "cho y kien"),
        (date(2027, 1, 1), "t@2", "cho y kien"),
    ):
        one = said(texts, "sms", "invitation", "vi", on=on)
        assert (one.template_version, words in one.text) == (ref, True)
    assert texts.templates.unapproved(date(2026, 5, 31)) == ["t@1"]
    assert texts.templates.unapproved(date(2026, 6, 1)) == []
    with pytest.raises(Invalid, match="template_missing") as before:
        said(texts, "sms", "invitation", "vi", on=date(2024, 12, 31))
    assert "2024-12-31" in before.value.detail


def test_two_versions_of_one_day_or_number_are_refused(tmp_path: Path) -> None:
    for n, twin in enumerate((newer(SMS, day="2025-01-01"), newer(SMS, version=1))):
        folder = tmp_path / str(n)
        folder.mkdir()
        with pytest.raises(TemplateError, match=r"vi-plain.sms.toml: t: .*same version, or begin on the same day.*later valid_from"):
            load(written(folder, twin))


def test_nothing_that_operators_approve_is_approved_as_it_comes() -> None:
    refs = load().unapproved(ON)
    assert len(refs) == len([t for t in load().in_force(ON) if t.channel in ("sms", "zns")]) == 26
    assert load().unapproved(ON, ["email", "print"]) == []


def test_a_language_is_added_by_adding_a_file(tmp_path: Path) -> None:
    for path in templates.MESSAGES.glob("*.toml"):
        written(tmp_path, path.read_text("utf-8"), path.name)
    mtq = SMS.replace("vi-plain", "mtq").replace('id = "t"', 'id = "sms-invitation.mtq"')
    mtq = mtq.replace("Moi Ong/Ba danh gia ho so", "Moi ung mo dam")
    texts = Texts(office(), load(written(tmp_path, mtq, "mtq.sms.toml")))
    assert set(texts.templates.languages) == {"vi", "vi-plain", "en", "mtq"}
    one = said(texts, "sms", "invitation", "mtq")
    assert (one.language, one.template_version) == ("mtq", "sms-invitation.mtq@1")
    assert "Moi ung mo dam" in one.text
    assert said(texts, "sms", "reminder", "mtq").language == "vi-plain"
    assert said(texts, "email", "invitation", "mtq").language == "vi"
    assert said(Texts(office()), "sms", "invitation", "mtq").language == "vi-plain"


# --- what is refused


def changes() -> Iterator[tuple[str, str, str, str]]:
    """(name, what stands there, what stands there instead, what the refusal says: key, cause and next step)."""
    yield "undeclared", '"brand", "url", "hotline"]', '"brand", "url"]', r"placeholders: {hotline} stands in the text and is not declared"
    yield "missing", '"hotline"]', '"hotline", "until"]', r"placeholders: {until} is declared and missing in the text\. Put it into"
    yield (
        "name",
        "ho so: {{ url",
        "ho so {{ full_name }}: {{ url",
        r"placeholders: {full_name}: a message never names.*There are brand",
    )
    yield (
        "procedure",
        "ho so: {{ url",
        "ho so {{ procedure }}: {{ url",
        r"{procedure}: a message never names a person, a procedure",
    )
    yield "dossier", "ho so: {{ url", "ho so {{ dossier_code }}: {{ url", r"{dossier_code}: a message never names"
    yield "unknown", "ho so: {{ url", "ho so {{ colour }}: {{ url", r"{colour}: no such placeholder\. There are brand"
    yield "brand", 'text = "{{ brand }}: ', 'text = "Moi: ', r"placeholders: {brand} is declared and missing"
    yield "no way out", "Tu choi nhan tin: goi {{", "Goi {{", r"text: the opt-out words \(Tu choi nhan tin\) are missing\. Say how"
    yield "empty way out", 'opt_out = "Tu choi nhan tin"', 'opt_out = ""', r"text: the opt-out words \(opt_out is empty\) are missing"
    yield (
        "skeleton",
        'skeleton = "{brand}: Moi',
        'skeleton = "{brand}: Kinh moi',
        r"skeleton: it differs from .* letter 10 on\. .*new approval",
    )
    yield "no skeleton", 'skeleton = "', 'skeleton = ""\nhtml = "', r"html: a message by sms has none\. Take it out"
    yield (
        "logic",
        "{{ url }}",
        "{% if url %}{{ url }}{% endif %}",
        r"text: a if on line 1, where only text and {{ placeholders }}",
    )
    yield "filter", "{{ url }}", "{{ url | upper }}", r"text: a filter on line 1, where only text"
    yield "attribute", "{{ url }}", "{{ url.__class__ }}", r"text: a getattr on line 1, where only text"
    yield "call", "{{ url }}", "{{ url.format() }}", r"text: a call on line 1, where only text"
    yield "braces", "{{ url }}", "{{ url", r"text: .* \(line 1\)\. Mend the braces"
    yield "diacritics", "Moi Ong", "Mời Ong", r"text: 'ờ' in vi-plain, which has no diacritics"
    yield "address", "ho so: {{", "ho so bit.ly/x: {{", r"text: an address written out \(bit\.ly\)\. Only {{ url }}"
    yield "advertising", '"{{ brand }}: Moi', '"[QC] {{ brand }}: Moi', r"text: the mark of advertising \[QC\]"
    yield (
        "too long",
        "danh gia ho so",
        "danh gia ho so" + " rat" * 30,
        r"text: \d+ letters .* make 2 segments \(GSM-7\), not 1",
    )
    yield "link-free", "version = 1", "version = 1\nlink_free = true", r"text: {url} in a message that promises to carry no link"
    yield "id", 'id = "t"', 'id = "T 1"', r"id: 'T 1' is no id"
    yield "version", "version = 1", "version = 0", r"version: 0 is below 1"
    yield "arm", "version = 1", 'version = 1\narm = "ab"', r"arm: 'ab' is no arm"
    yield "field", "version = 1", "version = 1\ncolour = 1", r"colour"
    yield "day", "2025-01-01", '"soon"', r"valid_from"
    yield "subject", "version = 1", 'version = 1\nsubject = "{{ brand }}"', r"subject: a message by sms has none"


@pytest.mark.parametrize(("name", "was", "becomes", "told"), list(changes()), ids=lambda value: value if len(str(value)) < 16 else "")
def test_what_is_wrong_is_refused_with_key_cause_and_next_step(name: str, was: str, becomes: str, told: str, tmp_path: Path) -> None:
    assert was in SMS
    last = was in ("Moi Ong", "{{ url }}")  # in the text, which stands after its skeleton
    text = becomes.join(SMS.rsplit(was, 1)) if last else SMS.replace(was, becomes, -1 if name == "too long" else 1)
    with pytest.raises(TemplateError, match=told) as refused:
        load(written(tmp_path, text))
    assert str(refused.value).startswith("vi-plain.sms.toml: ")


def test_a_body_without_brand_is_refused_where_only_another_part_has_it(tmp_path: Path) -> None:
    mail = (templates.MESSAGES / "en.email.toml").read_text("utf-8")
    with pytest.raises(TemplateError, match=r"en.email.toml: templates\[0\].html: the brand name is missing.*Put {{ brand }} there"):
        load(written(tmp_path, mail.replace('<p style="font-weight:600">{{ brand }}</p>', ""), "en.email.toml"))


def test_decomposed_text_is_refused_with_its_line(tmp_path: Path) -> None:
    mail = (templates.MESSAGES / "vi.email.toml").read_text("utf-8")
    with pytest.raises(TemplateError, match=r"vi.email.toml:\d+: text that is not in NFC.*Save the file in NFC"):
        load(written(tmp_path, mail.replace("Mời", unicodedata.normalize("NFD", "Mời"), 1), "vi.email.toml"))


@pytest.mark.parametrize(
    ("source", "name", "told"),
    [
        ("en.sms.toml", "vi-plain.sms.toml", r"wrong language: it reads like en, the file says vi-plain"),
        ("vi-plain.sms.toml", "vi.sms.toml", r"wrong language: it reads like vi-plain, the file says vi"),
        ("vi-plain.sms.toml", "en.sms.toml", r"wrong language: it reads like vi-plain, the file says en"),
        ("vi.sms.toml", "en.sms.toml", r"in a text that should be English"),
        ("vi.sms.toml", "vi-plain.sms.toml", r"which has no diacritics"),
        ("vi.email.toml", "en.email.toml", r'the page says lang="vi" in a file of en|should be English'),
    ],
)
def test_a_text_of_another_language_is_refused(source: str, name: str, told: str, tmp_path: Path) -> None:
    was, becomes = source.partition(".")[0], name.partition(".")[0]
    text = (templates.MESSAGES / source).read_text("utf-8").replace(f'language = "{was}"', f'language = "{becomes}"')
    with pytest.raises(TemplateError, match=told):
        load(written(tmp_path, text, name))


def test_a_file_is_named_for_what_it_holds_and_a_folder_holds_some(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no file of templates"):
        load(tmp_path)
    with pytest.raises(TemplateError, match=r"vi.sms.toml: language vi-plain, channel sms. Name the file vi-plain.sms.toml"):
        load(written(tmp_path, SMS, "vi.sms.toml"))


@pytest.mark.parametrize("attack", ["{{ url.__class__.__mro__ }}", "{{ ''.__class__ }}", "{{ url.format.__globals__ }}"])
@pytest.mark.parametrize("html", [False, True])
def test_the_sandbox_reaches_no_attributes_even_past_the_loader(attack: str, html: bool) -> None:
    with pytest.raises(SecurityError):
        environment(html=html).from_string(attack).render(url=URL)
    known = load().in_force(ON)[0]
    with pytest.raises(SecurityError):
        Texts(office()).render(replace(known, text=attack), url=URL, stop_url=URL, until=UNTIL)


def test_what_is_put_in_is_escaped_in_html_and_never_a_template_itself() -> None:
    odd = 'https://x/"><script>{{ 7 * 7 }}'
    one = said(Texts(office()), "email", "invitation", "vi", url=odd)
    assert one.html is not None
    assert "<script>" not in one.html
    assert "{{ 7 * 7 }}" in one.text


def test_no_placeholder_names_anybody() -> None:
    used = {name for t in load().in_force(ON) for name in t.placeholders}
    assert used == set(PLACEHOLDERS) == set(LONGEST)
    assert used == {"brand", "office", "hotline", "url", "stop_url", "until", "slip_code"}
