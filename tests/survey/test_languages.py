"""Languages are folders: offered when whole, heard when recorded, never half; and what a translator is given."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import struct
import tomllib
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from ops.cli.main import build
from ops.local.refusal import Refusal
from surveys import speaking, wording
from surveys.site import build_site
from surveys.speaking import TEXTS, LanguageError, Tongue
from tests.survey.twins import (
    CODE,
    HandClock,
    Installation,
    MemoryLedger,
    MemoryLog,
    about,
    code_of,
    next_of,
    page_of,
    parts,
    sealed_in,
    slot,
)
from web.pages import LANGUAGES

CODES = ("blt", "hmn", "ium", "mtq")
NAMES = {"mtq": "Mường", "blt": "Thái", "hmn": "Mông", "ium": "Dao"}


def tone() -> bytes:
    """A tenth of a second of 440 Hz as WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i * 440 * 2 * math.pi / 8000))) for i in range(800)))
    return out.getvalue()


TONE = tone()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A copy of the installation's languages, to be filled in."""
    return Path(shutil.copytree(TEXTS, tmp_path / "texts"))


def record(texts: Path, code: str, *but: str) -> None:
    for name in speaking.sentences(texts):
        if name not in but:
            (texts / code / "audio" / f"{name}.wav").write_bytes(TONE)


def translate(texts: Path, code: str, said: Callable[[str], str] = lambda line: f"· {line}") -> None:
    """Every empty text becomes its Vietnamese sentence, marked."""
    for path in (texts / code).glob("*.toml"):
        path.write_text(_filled(path.read_text("utf-8"), said), "utf-8")


def _filled(text: str, said: Callable[[str], str]) -> str:
    comment, lines = [""], []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip()[2:])
        elif line.endswith('""') or line.endswith('"",'):
            line = line.replace('""', json.dumps(said("\n".join(comment[1:])), ensure_ascii=False))
            comment = [""]
        lines.append(line)
    return "\n".join(lines) + "\n"


def of(texts: Path, code: str) -> Tongue:
    return next(one for one in speaking.tongues(texts) if one.code == code)


# --- what there is


def test_the_house_s_languages_are_whole_and_the_four_others_wait_for_somebody_who_speaks_them() -> None:
    found = {one.code: one for one in speaking.tongues()}
    assert tuple(found)[:2] == LANGUAGES
    for code in LANGUAGES:
        assert (found[code].offered, found[code].gap, found[code].filled) == ("written", "", found[code].texts)
    assert {code: found[code].name for code in CODES} == NAMES
    for code in CODES:
        assert (found[code].offered, found[code].filled, found[code].recordings) == ("", 0, {}), "no invented text"


@pytest.mark.parametrize("code", CODES)
def test_a_folder_is_what_would_be_made_now(code: str) -> None:
    """`hailong languages renew` mends it, and keeps what was filled in."""
    made = speaking.made(code, NAMES[code])
    stale = [file for file, text in made.items() if (TEXTS / code / file).read_text("utf-8") != text]
    assert stale == [], "the Vietnamese texts changed: run `hailong languages renew`"
    ours = {str(path.relative_to(TEXTS / code)) for path in (TEXTS / code).rglob("*") if path.is_file()}
    assert {one for one in ours if Path(one).suffix not in speaking.KINDS} == set(made)


def test_a_sentence_the_house_lacks_is_found(texts: Path) -> None:
    path = texts / "en" / "pages.toml"
    path.write_text(re.sub(r'^send = ".*"', 'send = ""', path.read_text("utf-8"), flags=re.M), "utf-8")
    assert (of(texts, "en").offered, of(texts, "en").gap) == ("", "pages.toml: send is empty")
    with pytest.raises(ValueError, match=r"pages.toml \(en\): send is missing"):
        wording.page_words(texts)


def test_sentences_to_record_are_questions_by_ending_options_and_a_few_of_the_pages() -> None:
    said = speaking.sentences()
    assert {"who", "thanks", "scale.1", "scale.na", "ttp-core-1.Q0.refused", "ttp-core-1.Q7.slow", "ttp-portal-1.P4"} <= set(said)
    assert "{" not in "".join(said.values()), "no recording names a desk or a day"
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9._-]*", name) for name in said)


# --- never half


def test_half_filled_or_half_recorded_is_not_offered(texts: Path) -> None:
    translate(texts, "mtq")
    text = (texts / "mtq" / "ttp-core-1.toml").read_text("utf-8")
    (texts / "mtq" / "ttp-core-1.toml").write_text(text.replace('"· Thái độ"', '""'), "utf-8")
    record(texts, "blt", "scale.3")
    for code, gap in (("mtq", "ttp-core-1.toml: Q7.options.attitude is empty"), ("blt", "1 sentences are not recorded")):
        assert of(texts, code).offered == ""
        assert gap in of(texts, code).gap
    assert speaking.written(texts) == LANGUAGES
    assert speaking.speaking(texts).heard == {}


def test_a_placeholder_lost_in_translation_keeps_a_language_back(texts: Path) -> None:
    translate(texts, "mtq", lambda line: line.replace("{desk}", "") + "·")
    assert "needs {desk}" in of(texts, "mtq").gap
    translate(texts, "hmn", lambda line: line + " {brand}")
    assert "needs no placeholder" in of(texts, "hmn").gap


@pytest.mark.parametrize(
    ("about", "cause"),
    [('nam = "x"', "unknown field"), ('name = ""', "has a name"), ('name = "x"\ntext = "mtq"', "text: mtq is not written here"), ("=", "")],
)
def test_a_language_that_cannot_be_read_is_named(texts: Path, about: str, cause: str) -> None:
    (texts / "mtq" / "language.toml").write_text(about)
    with pytest.raises(LanguageError, match=r"^mtq/language.toml: ") as said:
        speaking.tongues(texts)
    assert cause in str(said.value)


# --- on the site


@asynccontextmanager
async def opened(folder: Path, texts: Path, **settings: Any) -> AsyncIterator[Installation]:
    ledger, log, clock = MemoryLedger(), MemoryLog(), HandClock()
    ledger.add(slot())
    ledger.add(slot("refused", about=about("refused")))
    made = replace(parts(folder, ledger, log, clock, [0.0], **settings), texts=texts, library=wording.library(texts=texts))
    app = build_site(made)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://ks.example") as http:
            yield Installation(ledger, log, clock, made.spool, http, [0.0], transport)


@pytest.mark.anyio
async def test_a_language_that_is_heard_stands_beside_vietnamese_words(tmp_path: Path, texts: Path) -> None:
    record(texts, "mtq")
    async with opened(tmp_path, texts) as site:
        who = await site.get(f"/{CODE}?lang=en")
        assert '<a href="/' + CODE + '?lang=mtq" lang="vi" hreflang="vi"><span lang="mtq">Mường</span> (nghe)</a>' in who.text
        assert "blt" not in who.text
        who = await site.get(f"/{CODE}?lang=mtq")
        assert (who.headers["content-language"], '<html lang="vi">' in who.text) == ("vi", True)
        assert "10/3/2026" in who.text
        assert re.findall(r'src="/audio/mtq/([^?"]+)\?', who.text) == ["who", "who.yes", "who.no"]
        page = await site.get(next_of(who))
        heard = re.findall(r'src="/audio/mtq/([^?"]+)\?', page.text)
        assert heard == ["ttp-core-1.Q0", *(f"scale.{n}" for n in range(1, 6)), "scale.na", "notice"]
        assert 'preload="none"' in page.text
        assert 'aria-label="Nghe: Rất hài lòng"' in page.text
        thanks = await site.send(page, CODE, Q0="5", finish="1")
        assert re.findall(r'src="/audio/mtq/([^?"]+)\?', (await site.get(thanks.headers["location"])).text) == ["thanks", "thanks.receipt"]
        (fact,) = site.log.answers()
        assert (fact.language, fact.answers) == ("other", {"Q0": 5})


@pytest.mark.anyio
async def test_a_question_is_heard_as_it_is_asked_for_the_ending(tmp_path: Path, texts: Path) -> None:
    record(texts, "mtq")
    async with opened(tmp_path, texts) as site:
        page = await site.ask(code_of("refused"), "?lang=mtq")
        assert "ttp-core-1.Q0.refused?" in page.text
        wrong = await site.send(page, code_of("refused"))
        assert (wrong.status_code, "/audio/mtq/required?" in wrong.text) == (422, True)


@pytest.mark.anyio
async def test_a_recording_is_served_whole_in_parts_and_nothing_else_is(tmp_path: Path, texts: Path) -> None:
    record(texts, "mtq")
    (texts / "mtq" / "audio" / "secret.wav").write_bytes(TONE)
    async with opened(tmp_path, texts) as site:
        page = await site.ask(CODE, "?lang=mtq")
        address = re.findall(r'src="(/audio/mtq/scale\.1\?v=\w+)"', page.text)[0]
        whole = await site.get(address)
        assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, TONE, "audio/wav")
        assert "immutable" in whole.headers["cache-control"]
        assert (await site.get("/audio/mtq/scale.1")).headers["cache-control"] == "no-store"
        part = await site.get(address, range="bytes=0-3")
        assert (part.status_code, part.content, part.headers["content-encoding"]) == (206, b"RIFF", "identity")
        assert "media-src 'self'" in page.headers["content-security-policy"]
        for path in ("mtq/secret", "mtq/scale.1.wav", "vi/scale.1", "mtq/..%2f..%2foffice.toml", "mtq/%2e%2e/pages.toml", "xx/who", "mtq/"):
            assert (await site.get(f"/audio/{path}")).status_code == 404, path
        (texts / "mtq" / "audio" / "scale.1.wav").unlink()
        assert (await site.get(address)).status_code == 404


@pytest.mark.anyio
async def test_where_there_is_no_recording_there_is_nothing_to_press(tmp_path: Path, texts: Path) -> None:
    (texts / "vi" / "audio").mkdir()
    (texts / "vi" / "audio" / "scale.5.mp3").write_bytes(b"ID3" + TONE)
    async with opened(tmp_path, texts) as site:
        page = await site.ask(CODE, "?lang=vi")
        assert re.findall(r'src="/audio/vi/([^?"]+)\?', page.text) == ["scale.5"]
        assert "<audio" not in (await site.ask(CODE, "?lang=en")).text
        assert "<audio" not in (await site.get(f"/{CODE}?lang=vi")).text


@pytest.mark.anyio
async def test_a_language_with_all_its_words_is_a_language_like_the_others(tmp_path: Path, texts: Path) -> None:
    translate(texts, "mtq")
    assert speaking.written(texts) == ("vi", "en", "mtq")
    async with opened(tmp_path, texts) as site:
        page = await site.ask(CODE, "?lang=mtq")
        assert (page_of(page), '<html lang="mtq">' in page.text, "· Rất hài lòng" in page.text) == ("ask-1", True, True)
        assert '<p class="site" lang="vi">' in page.text, "the office has no name in it"
        assert "· " in (await site.get("/a/b/c?lang=mtq")).text
        assert 'lang="mtq" aria-current="true">Mường</b>' in page.text
        assert (await site.get(f"/{CODE}", **{"accept-language": "mtq"})).headers["content-language"] == "mtq"
        assert (await site.send(page, CODE, Q0="5")).status_code == 303
        assert sealed_in(page)


# --- the command


@pytest.fixture
def run(texts: Path) -> Callable[..., Result]:
    def command(*arguments: str, code: int = 0) -> Result:
        told = CliRunner().invoke(build(["languages"]), ["languages", *arguments, "--in", str(texts)])
        ended = told.exception.exit_code if isinstance(told.exception, Refusal) else told.exit_code
        assert ended == code, told.exception or told.output
        return told

    return command


def test_the_list_says_how_far_each_is_and_why_it_is_not_offered(run: Callable[..., Result], texts: Path) -> None:
    record(texts, "hmn")
    rows = {one["code"]: one for one in json.loads(run("list", "--json").stdout)}
    assert rows["vi"]["offered"] == "written"
    assert (rows["hmn"]["offered"], rows["hmn"]["recordings"]) == ("heard", rows["hmn"]["sentences"])
    assert (rows["mtq"]["offered"], rows["mtq"]["filled"]) == (None, 0)
    assert f"{rows['mtq']['sentences']} sentences are not recorded" in rows["mtq"]["gap"]
    assert "Mông" in run("list").stdout


def test_a_folder_is_made_once_and_renewed_without_losing_a_word(run: Callable[..., Result], texts: Path) -> None:
    run("make", "tyz", "--name", "Tày")
    assert (of(texts, "tyz").name, of(texts, "tyz").filled) == ("Tày", 0)
    lines = (texts / "tyz" / "audio" / "SENTENCES.txt").read_text("utf-8").splitlines()
    assert f"scale.1\t{speaking.sentences()['scale.1']}" in lines
    page = texts / "tyz" / "pages.toml"
    page.write_text(page.read_text("utf-8").replace('send = ""', 'send = "x \\"y\\""', 1), "utf-8")
    vietnamese = texts / "vi" / "pages.toml"
    vietnamese.write_text(vietnamese.read_text("utf-8").replace('send = "Gửi câu trả lời"', 'send = "Gửi đi"'), "utf-8")
    run("renew")
    assert '# Gửi đi\nsend = "x \\"y\\""' in page.read_text("utf-8")
    assert tomllib.loads((texts / "tyz" / "language.toml").read_text("utf-8"))["name"] == "Tày"
    assert "is there already" in str(run("make", "tyz", "--name", "Tày", code=1).exception)
    assert "no code of a language" in str(run("make", "../x", "--name", "X", code=2).exception)
    with pytest.raises(LanguageError, match="no code of a language to add"):
        speaking.made("en", "English", texts)
