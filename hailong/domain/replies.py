"""An SMS that answers a survey → the score and the dossier it is about, or what to ask back. Nothing is ever guessed.

A text is a score only if **every** word and sign of it is explained by the small grammar below (a number, words of the scale, a quoted
code, a few words of politeness), and all ways to explain it say the same. One unknown word, a question mark, a smiley, a code with a
typing error, a second score: it is asked back. Words match without diacritics and with some of them, but a mark that is written must be
one the word has ("tồi" is not "tôi"), and as Telex keys typed on a phone without Telex ("haif longf"). Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal, NamedTuple

from hailong.domain import links

QUOTED: Final = 4
"""How many signs of a code are enough to name it."""
MOST_LETTERS: Final = 300
"""Of a text that can be a score: longer ones are stories, for a person to read."""
Why = Literal["which", "unclear", "range", "two_scores"]


@dataclass(frozen=True)
class Score:
    """1–5 for the invitation with that code (as it was given in ``codes``; a secret)."""

    score: int
    code: str = field(repr=False)


@dataclass(frozen=True)
class AskBack:
    """It was not certain. ``which``: a score, but for which of several invitations; ``range``: a number that is none of 1–5;
    ``two_scores``: several different ones; ``unclear``: anything else."""

    reason: Why


@dataclass(frozen=True)
class NotOurs:
    """No answer and nothing to ask: an empty text, a stop word, or a sender without an open invitation."""


Reply = Score | AskBack | NotOurs


def parse(text: str, codes: Sequence[str]) -> Reply:
    """What an SMS says. ``codes``: those of the sender's open invitations (links or slips), whole. Never raises.

    The caller asks back once at most; that is not known here.
    """
    known = {code: given for given in codes if (code := links.typed(given)) and set(code) <= set(links.ALPHABET)}
    tokens = _tokens(text[: 4 * MOST_LETTERS])
    if not known or not tokens:
        return NotOurs()
    if len(text) > MOST_LETTERS:
        return AskBack("unclear")
    readings = _readings(tokens, tuple(known))
    clean = [reading for reading in readings if not reading.odd]
    if clean:
        verdicts = {_verdict(reading, known) for reading in clean}
        return verdicts.pop() if len(verdicts) == 1 else AskBack("unclear")
    if any(reading.odd == {"stop"} and not reading.scores for reading in readings):
        return NotOurs()
    if all(len(reading.scores) > 1 for reading in readings):
        return AskBack("two_scores")
    return AskBack("range" if all("range" in reading.odd for reading in readings) else "unclear")


def _verdict(reading: _Reading, known: dict[str, str]) -> Reply:
    if len(reading.scores) != 1:
        return AskBack("two_scores" if reading.scores else "unclear")
    named = reading.codes or frozenset(known)
    if len(named) != 1:
        return AskBack("which")
    return Score(next(iter(reading.scores)), known[next(iter(named))])


# ---- words

_SPELT: Final[dict[str, tuple[str, ...]]] = {
    # Not "kh" (khách hàng hài lòng) nor "hong" (Hồng hài lòng): they are said of somebody else.
    "neg": ("không", "ko", "kô", "k", "kg", "khg", "hok", "hôk", "hem"),
    "not_yet": ("chưa",),
    "rat": ("rất",),
    "la": ("là",),
    "vo": ("vô",),
    "cung": ("cùng",),
    "cuc": ("cực",),
    "ky": ("kỳ", "kì"),
    "het": ("hết",),
    "suc": ("sức",),
    "hai": ("hài",),
    "long": ("lòng", "lòg"),
    "hailong": ("hàilòng", "hàilòg"),
    "hl": ("hl",),
    "binh": ("bình",),
    "thuong": ("thường", "thừơng", "thườg", "thg"),
    "bth": ("bth", "bthg", "bthường", "bìnhthường"),
    "very": ("very",),
    "not": ("not",),
    "satisfied": ("satisfied",),
    "dissatisfied": ("dissatisfied",),
    "neutral": ("neutral",),
    "n1": ("một",),
    "n2": ("hai",),
    "n3": ("ba",),
    "n4": ("bốn",),
    "n5": ("năm",),
    "sao": ("sao",),
    "diem": ("điểm",),
    "so": ("số",),
    "muc": ("mức",),
    "do": ("độ",),
    "cham": ("chấm",),
    "cho": ("cho",),
    "chon": ("chọn",),
    "danh": ("đánh",),
    "gia": ("giá",),
    "tren": ("trên",),
    "ma": ("mã",),
    "ho": ("hồ",),
    "so_paper": ("sơ",),
    "me": ("tôi", "tui", "mình", "em", "cháu"),
    "yes": ("dạ", "vâng", "thưa", "xin"),
    "tra": ("trả",),
    "loi": ("lời",),
    "soft": ("ạ", "nhé", "nha", "thanks", "tks"),
    "cam": ("cảm", "cám"),
    "on": ("ơn",),
    "camon": ("cảmơn", "cámơn"),
    "stop": ("stop", "tc", "hủy", "huỷ"),
    "tu": ("từ",),
    "choi": ("chối",),
}
"""Kind of word → how it is written in full. ``k hai long``: so do people type on phones."""
_TONES: Final = {"\u0300": "f", "\u0301": "s", "\u0309": "r", "\u0303": "x", "\u0323": "j"}
_SHAPES: Final = {"\u0306": "w", "\u031b": "w"}
_CIRCUMFLEX: Final = "\u0302"
_BAR: Final = "bar"

Letters = tuple[tuple[str, frozenset[str]], ...]
"""Base letter and the marks on it."""


def _letters(word: str) -> Letters:
    found: list[tuple[str, frozenset[str]]] = []
    for sign in unicodedata.normalize("NFD", word):
        if unicodedata.combining(sign) and found:
            base, marks = found[-1]
            found[-1] = (base, marks | {sign})
        else:
            found.append(("d", frozenset({_BAR})) if sign == "đ" else (sign, frozenset()))
    return tuple(found)


def _telex(word: str) -> frozenset[str]:
    """The keys of a word with diacritics, marks typed where they belong or at the end."""
    letters = _letters(word)
    if not any(marks for _, marks in letters):
        return frozenset()
    typed = {_keys(letters, shapes_late, tones_late) for shapes_late, tones_late in product((False, True), repeat=2)}
    return frozenset(typed | {keys.replace("uwow", "uow") for keys in typed})


def _keys(letters: Letters, shapes_late: bool, tones_late: bool) -> str:
    typed, shapes, tones = "", "", ""
    for base, marks in letters:
        # One w serves u and o, so a late one is not typed twice.
        shape = "".join(_SHAPES.get(mark, base if mark in {_CIRCUMFLEX, _BAR} else "") for mark in sorted(marks))
        tone = "".join(_TONES.get(mark, "") for mark in sorted(marks))
        typed += base + ("" if shapes_late else shape) + ("" if tones_late else tone)
        shapes += shape if shapes_late and shape not in shapes else ""
        tones += tone if tones_late else ""
    return typed + shapes + tones


def _by_keys() -> dict[str, frozenset[str]]:
    typed: dict[str, set[str]] = defaultdict(set)
    for kind, words in _SPELT.items():
        for word in words:
            for keys in _telex(word):
                typed[keys].add(kind)
    return {keys: frozenset(kinds) for keys, kinds in typed.items()}


def _by_bases() -> dict[str, list[tuple[str, Letters]]]:
    known: dict[str, list[tuple[str, Letters]]] = defaultdict(list)
    for kind, words in _SPELT.items():
        for letters in map(_letters, words):
            known["".join(base for base, _ in letters)].append((kind, letters))
    return dict(known)


_TELEX: Final = _by_keys()
_WORDS: Final = _by_bases()
"""Base letters → the words they can be."""


def _kinds(token: str) -> frozenset[str]:
    """The same letters as a word, and no mark that the word has not."""
    letters = _letters(token)
    near = _WORDS.get("".join(base for base, _ in letters), ())
    found = {kind for kind, word in near if all(marks <= allowed for (_, marks), (_, allowed) in zip(letters, word, strict=True))}
    return _TELEX.get(token, frozenset()) | found | ({"num"} if token in _DIGITS else set())


# ---- signs

_DIGITS: Final = frozenset("12345")
_KEYCAP: Final = re.compile("[\ufe0e\ufe0f\u20e3]")
_STARS: Final = re.compile("[★☆⭐✩✭]+")
_BRACKETS: Final = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
_QUIET: Final = r"\s.,;:!_\-‐‑‒–—―−()\[\]\"'“”‘’„«»*#=/|·•"
_PIECE: Final = re.compile(rf"(?P<quiet>[{_QUIET}]*)(?P<token>[^\W_]+|[^{_QUIET}])?")
_GLUED: Final = re.compile(r"(hl)(.+)|(s[oố]|m[uứ]c|[dđ]i[eể]m|ch[oọ]n)([1-5])|([1-5])(sao|[dđ]i[eể]m)")
_CLOSE: Final = re.compile(r"[^\S\r\n]*|[._\-‐‑–]")
_IN_CODE: Final = re.compile(r"[\s._\-‐‑‒–—―−·]*")
_MINUS: Final = re.compile(r"\s+[\-−–]")


class _Token(NamedTuple):
    """A word, a number or one odd sign; ``before``: the quiet signs since the last one; ``kinds`` of word it can be."""

    before: str
    text: str
    kinds: frozenset[str] = frozenset()


def _tokens(text: str) -> tuple[_Token, ...]:
    plain = unicodedata.normalize("NFKC", _KEYCAP.sub("", text)).lower()
    plain = "".join(sign for sign in unicodedata.normalize("NFC", plain) if unicodedata.category(sign) != "Cf")
    plain = _STARS.sub(" sao ", plain)
    # Brackets in pairs are quiet; one that is left over is half of a smiley.
    while (paired := _BRACKETS.sub(lambda found: f"|{found[1] or found[2] or ''}|", plain)) != plain:
        plain = paired
    found: list[_Token] = []
    for piece in _PIECE.finditer(plain):
        found.extend(_split(piece["quiet"], piece["token"]))
    return tuple(found)


def _split(quiet: str, token: str | None) -> Iterator[_Token]:
    """Quiet signs and what follows; ``hl4`` and ``5sao`` are two tokens."""
    for bracket in re.findall(r"[()\[\]]", quiet):
        yield _Token("", bracket)
    if token is None:
        return
    glued = _GLUED.fullmatch(token)
    parts = [part for part in glued.groups() if part] if glued else [token]
    for number, part in enumerate(parts):
        yield _Token("" if number else quiet, part, _kinds(part))


# ---- grammar

_STRONG: Final = (("rat",), ("rat", "la"), ("vo", "cung"), ("cuc", "ky"), ("het", "suc"))
_GLAD: Final = (("hai", "long"), ("hailong",))
# HL is the keyword of the short code too: only "khong hl", "rat hl" say something.
_GLAD_AFTER: Final = (*_GLAD, ("hl",))
_SAID: Final[dict[tuple[str, ...], int]] = {
    **{(*strong, "neg", *glad): 1 for strong, glad in product(_STRONG, _GLAD_AFTER)},
    **{(no, *glad): 2 for no, glad in product(("neg", "not_yet"), _GLAD_AFTER)},
    ("binh", "thuong"): 3,
    ("bth",): 3,
    **dict.fromkeys(_GLAD, 4),
    **{(*strong, *glad): 5 for strong, glad in product(_STRONG, _GLAD_AFTER)},
    ("very", "dissatisfied"): 1,
    ("dissatisfied",): 2,
    ("not", "satisfied"): 2,
    ("neutral",): 3,
    ("satisfied",): 4,
    ("very", "satisfied"): 5,
}
_UNITS: Final = (("sao",), ("diem",))
_LEADS: Final = (("so",), ("muc",), ("muc", "do"), ("diem",), ("diem", "so"), ("so", "diem"), ("cham", "diem"), ("chon",), ("danh", "gia"))
# "cham 5" may be "chậm 5", "cho 5" may be "chờ 5": certain only with the unit after.
_LEADS_WITH_UNIT: Final = (*_LEADS, ("cham",), ("cho",))
_COUNTED: Final = ("num", "n1", "n2", "n3", "n4", "n5")
_NUMBERED: Final = (
    ("num",),
    *((*lead, number) for lead, number in product(_LEADS, _COUNTED)),
    *((number, *unit) for number, unit in product(_COUNTED, _UNITS)),
    *((*lead, number, *unit) for lead, number, unit in product(_LEADS_WITH_UNIT, _COUNTED, _UNITS)),
)
_OPENING: Final = (("me",), ("yes",), ("tra", "loi"), ("danh", "gia"))
"""Words that may stand before the score, not after: "5 toi" may be "5, tồi"."""
_THANKS: Final = (("cam", "on"), ("camon",))
_POLITE: Final = (("hl",), ("soft",), *_THANKS, *((who, *thanks) for who, thanks in product(("yes", "me"), _THANKS)))
_STOP: Final = (("stop",), ("tu", "choi"))
_BEFORE_CODE: Final = ((), ("ma",), ("ma", "so"), ("so",), ("ho", "so_paper"), ("ma", "ho", "so_paper"))


class _Item(NamedTuple):
    """A way to explain ``length`` tokens."""

    length: int
    scores: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    odd: frozenset[str] = frozenset()
    opening: bool = False


class _Reading(NamedTuple):
    """A way to explain a text."""

    scores: frozenset[int]
    codes: frozenset[str]
    odd: frozenset[str]

    def plus(self, item: _Item) -> _Reading:
        return _Reading(self.scores | item.scores, self.codes | item.codes, self.odd | item.odd)


_UNKNOWN: Final = _Item(1, odd=frozenset({"unclear"}))


def _readings(tokens: tuple[_Token, ...], codes: tuple[str, ...]) -> set[_Reading]:
    """All ways to explain a text. A token that nothing explains makes its readings odd; it is never left out."""
    at: list[set[_Reading]] = [set() for _ in range(len(tokens) + 1)]
    at[0] = {_Reading(frozenset(), frozenset(), frozenset())}
    for start in range(len(tokens)):
        items = tuple(_items(tokens, start, codes))
        for reading in at[start]:
            fitting = [item for item in items if not (item.opening and reading.scores)]
            for item in fitting or [_UNKNOWN]:
                at[start + item.length].add(reading.plus(item))
    return at[-1]


def _items(tokens: tuple[_Token, ...], start: int, codes: tuple[str, ...]) -> Iterator[_Item]:
    yield from _quoted(tokens, start, codes)
    yield from (_Item(len(said), frozenset({_SAID[said]})) for said in _SAID if _stands(tokens, start, said, close=True))
    yield from _numbers(tokens, start)
    yield from (_Item(len(said), opening=True) for said in _OPENING if _stands(tokens, start, said))
    yield from (_Item(len(said)) for said in _POLITE if _stands(tokens, start, said))
    yield from (_Item(len(said), odd=frozenset({"stop"})) for said in _STOP if _stands(tokens, start, said, close=True))


def _stands(tokens: tuple[_Token, ...], start: int, kinds: tuple[str, ...], close: bool = False) -> bool:
    """Whether words of these kinds stand there. ``close``: with nothing but space between ("không, hài lòng" is not "không hài lòng")."""
    if kinds and (start >= len(tokens) or kinds[0] not in tokens[start].kinds):
        return False
    there = tokens[start : start + len(kinds)]
    if len(there) < len(kinds) or not all(kind in token.kinds for kind, token in zip(kinds, there, strict=True)):
        return False
    return not close or all(_CLOSE.fullmatch(token.before) for token in there[1:])


def _quoted(tokens: tuple[_Token, ...], start: int, codes: tuple[str, ...]) -> Iterator[_Item]:
    """A code from its first sign on, in however many pieces; a wrong sign is no code."""
    for lead in _BEFORE_CODE:
        if not _stands(tokens, start, lead):
            continue
        written = ""
        for number, token in enumerate(tokens[start + len(lead) :], 1):
            if not token.text.isascii() or (number > 1 and not _IN_CODE.fullmatch(token.before)):
                break
            written += token.text.upper()
            named = frozenset(code for code in codes if code.startswith(written))
            if not named:
                break
            if len(written) >= QUOTED:
                yield _Item(len(lead) + number, codes=named)


def _numbers(tokens: tuple[_Token, ...], start: int) -> Iterator[_Item]:
    text = tokens[start].text
    if text.isdecimal() and text not in _DIGITS:
        yield _Item(1, odd=frozenset({"range"}))
    if length := _of_five(tokens, start):
        yield _Item(length, frozenset({int(text)}))
    for said in _NUMBERED:
        if not _stands(tokens, start, said):
            continue
        place = next(start + number for number, kind in enumerate(said) if kind in _COUNTED)
        if _alone(tokens, place) and all(_CLOSE.fullmatch(token.before) for token in tokens[place + 1 : start + len(said)]):
            kind = said[place - start]
            yield _Item(len(said), frozenset({int(tokens[place].text if kind == "num" else kind[1])}))


def _of_five(tokens: tuple[_Token, ...], start: int) -> int:
    """The length of "4/5", "4 trên 5", with "điểm" or "sao" after; 0 where there is none."""
    slash = tokens[start + 1].before == "/" if start + 1 < len(tokens) else False
    kinds = ("num", "num") if slash else ("num", "tren", "num")
    end = start + len(kinds)
    if not _stands(tokens, start, kinds) or tokens[end - 1].text != "5" or _joined(tokens, start) or _joined(tokens, end):
        return 0
    return len(kinds) + any(_stands(tokens, end, unit) and _CLOSE.fullmatch(tokens[end].before) is not None for unit in _UNITS)


def _alone(tokens: tuple[_Token, ...], place: int) -> bool:
    """Whether a digit is a number by itself: not part of 3,5 or 4-5 or 1/2, and not −1."""
    before = tokens[place].before if place else f" {tokens[place].before}"
    if tokens[place].text.isdecimal() and _MINUS.fullmatch(before):
        return False
    return not _joined(tokens, place) and not _joined(tokens, place + 1)


def _joined(tokens: tuple[_Token, ...], place: int) -> bool:
    """Whether a sign ties the number there to the digit before it."""
    if not 0 < place < len(tokens) or not tokens[place].text.isdecimal():
        return False
    before = tokens[place - 1].text
    return len(before) == 1 and before.isdecimal() and bool(tokens[place].before.strip())
