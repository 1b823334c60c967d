"""Free text of citizens, on entry: what names or finds a person is replaced by a word in brackets, the rest stays as it was written.

Only what has a form is found: numbers, addresses, codes, and names after a title ("ông", "chị", "cán bộ"). A name without a title is
found where family name and "văn" or "thị" stand together. Masking is a net, not a promise: whoever may read comments may still meet
a name. Nothing found is kept, only how much of each kind. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from hailong.domain import names
from hailong.ports import Invalid

LIMIT: Final = 500
"""Letters of a text, counted after NFC."""
Kind = Literal["phone", "identity", "number", "email", "link", "dossier", "name"]
MARKS: Final[dict[Kind, str]] = {
    "phone": "[số điện thoại]",
    "identity": "[số giấy tờ]",
    "number": "[dãy số]",
    "email": "[thư điện tử]",
    "link": "[liên kết]",
    "dossier": "[mã hồ sơ]",
    "name": "[tên]",
}


@dataclass(frozen=True)
class Masked:
    """What may be kept, at most ``LIMIT`` letters, and how many of each kind were masked."""

    text: str = field(repr=False)
    found: dict[str, int]


def masked(text: str) -> Masked:
    """A text without what names a person; masking it again changes nothing.

    Raises Invalid("too_long") for more than ``LIMIT`` letters. Marks may be longer than what they replace: then words at the end are cut.
    """
    kept = clean(text)
    if len(kept) > LIMIT:
        raise Invalid("too_long", "text", f"the text has {len(kept)} letters, at most {LIMIT} are kept: shorten it")
    found: Counter[str] = Counter()
    # Until nothing is left: what was beside a masked thing may now stand alone. Each round that changes something masks more letters.
    while (after := _cut(_without_names(_without_numbers(kept, found), found))) != kept:
        kept = after
    return Masked(kept, dict(found))


def clean(text: str) -> str:
    """NFC; line ends and tabs as one space; other control, format and surrogate signs removed, wide letters and the digits of other
    scripts as ours: numbers could hide behind them."""
    spaced = re.sub(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+", " ", text)
    signs = "".join(map(_plain, spaced))
    return unicodedata.normalize("NFC", signs).strip()


def _plain(sign: str) -> str:
    category = unicodedata.category(sign)
    if category in {"Cc", "Cf", "Cs"}:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    return chr(ord(sign) - 0xFEE0) if "\uff01" <= sign <= "\uff5e" else sign


def _cut(text: str) -> str:
    """At most ``LIMIT`` letters, no half word and no half mark."""
    if len(text) <= LIMIT:
        return text
    end = next((mark.start() for mark in _MARK.finditer(text) if mark.start() < LIMIT < mark.end()), LIMIT)
    after_mark = max((mark.end() for mark in _MARK.finditer(text, 0, end)), default=0)
    return text[: max(after_mark, text.rfind(" ", 0, end + 1)) or end].rstrip()


_MARK: Final = re.compile("|".join(re.escape(mark) for mark in MARKS.values()))

# ---- numbers, addresses, codes

_GAP: Final = r"(?:[ \u00a0]?[.\-–‑()][ \u00a0]?|[ \u00a0]{1,2}|,)?"
_NEXT: Final = rf"(?:{_GAP}\d|[Oo])"
_PHONE: Final = rf"""
    (?<!\d)
    (?: \(?(?:\+[ ]?84|0084|84)\)?(?:{_GAP}\(0\))?{_GAP} | \(?0{_GAP} | (?<!\w)[Oo]{_GAP} )
    (?: [35789]{_NEXT}{{8}} | 2{_NEXT}{{9}} | 1[2689]{_NEXT}{{8}} )
    (?! \d | (?<=[Oo])\w )
    | (?<!\d) 0\d{{3}}/\d{{3}}/\d{{3}} (?!\d)"""
_WORD: Final = r"(?:không|khong|một|mot|mốt|hai|ba|bốn|bon|tư|năm|nam|lăm|sáu|sau|bảy|bẩy|bay|tám|tam|chín|chin|linh|lẻ)"
_SPOKEN: Final = rf"(?<!\w)(?:không|khong)(?:[\s,.\-]+{_WORD}){{9,10}}(?!\w)"
_NOT_MONEY: Final = r"(?!\s?(?:ý|y|chí|chi|thời|thoi|hành|hanh|nghiệp|nghiep|bào|bao|tình|tinh|đội|doi|loạt|loat|bộ|bo|hồ|ho|bằng|phục)\b)"
# Not "k": after a number it is rather "không".
_UNIT: Final = rf"(?:(?:đồng|dong)(?!\w){_NOT_MONEY}|(?:vnđ|vnd|usd|m2|m²|đ)(?![\w/]))"
# A procedure's code, a date, 2.500.000.000 đồng, 2500000000đ, nộp 2.500.000.000: numbers that are nobody's.
_KEPT: Final = rf"""
    (?<![\d.]) \d\.\d{{6}} (?: \.\d{{3}}\.\d{{2}}\.\d{{2}} (?: \.H\d{{2}} )? )? (?![\d.]*\d)
    | (?<!\d) \d{{1,2}}[./-]\d{{1,2}}[./-](?:19|20)\d{{2}} (?![./-]?\d)
    | (?<!\d) [1-9]\d{{0,2}} (?:[., ]\d{{3}})+ (?:,\d+)? \s? {_UNIT}
    | (?<!\d) [1-9]\d* \s? {_UNIT}
    | (?<!\w) (?:phí|tiền|giá|nộp|thu|đóng|mất|hết) (?:\s(?:là|hết|mất|thêm|khoảng))? \s? :? \s?
      [1-9]\d{{0,2}}(?:\.\d{{3}})+ (?![\d.]*\d)"""
_SET_APART: Final = r"\s?[-–‑— ]\s?"
_DOSSIER: Final = rf"""
    (?<!\w) (?:\d{{3}}[.\-–]\d{{2}}[.\-–]\d{{2}}[.\-–])? H\d{{2}} (?: (?:\.|{_SET_APART}) \d{{1,3}} (?!\d) ){{0,4}} (?:\.\d+)?
    {_SET_APART} \d{{6}} {_SET_APART} \d{{3,6}} (?!\d)"""
# A year is rather that of a decision ("12A-2025"); four digits alone are a plate's only where one is spoken of.
_PLATE: Final = r"""
    (?<![\w.,/\-]) [1-9]\d \s?-?\s? (?: [A-Z]{1,2} | [A-Z]\d ) \s?[\-. ]?\s? \d{3}\.\d{2} (?![\d.,]?\d)
    | (?<![\w.,/\-]) [1-9]\d -? (?-i:[A-Z]{1,2}|[A-Z]\d) [\- ]? \d{5} (?![\d.,]?\d)
    | (?:(?<=xe[ ])|(?<=ks[ ])|(?<=ks:[ ])|(?<=biển[ ]số[ ]))
      [1-9]\d -? (?-i:[A-Z]{1,2}|[A-Z]\d) [\- ] (?!(?:19|20)\d\d) \d{4} (?![\d.,]?\d)"""
_TOP: Final = r"(?:com|vn|net|org|info|edu|gov|me|ly|io|app|page|link|gl|co|top|xyz|site|online|asia|biz)"
_AT_SPOKEN: Final = r"(?: [(\[]\s?(?:@|at|a|a\s?còng|a\s?cong|a\s?móc)\s?[)\]] | (?<!\w)(?:a\s?còng|a\s?cong|a\s?móc)(?!\w) )"
_DOT_SPOKEN: Final = r"(?: \s?\.\s? | \s(?:chấm|cham|dot)\s | \s?[(\[](?:\.|chấm|cham|dot)[)\]]\s? )"
# What is said before an address is none of it; at most three words are.
_OWN_WORD: Final = r"""
    (?!(?:mail|email|gmail|la|toi|em|cua|gui|ve|qua|cho|vao|chi|dia|lien|he|thu|va|hoac|theo|a)\s)
    [A-Za-z0-9._%+\-]+ (?:\s(?:chấm|cham)\s[A-Za-z0-9._%+\-]+){0,2}"""
_EMAIL: Final = rf"""
    [\w.%+\-]+ (?:@|\(at\)|\[at\]|\(a\scòng\)) [A-Za-z][\w\-]*(?:\.[\w\-]+)* (?:{_DOT_SPOKEN}{_TOP}(?!\w))*
    | (?: (?<![\w.%+\-]) (?:{_OWN_WORD}\s){{0,2}} {_OWN_WORD} \s? (?={_AT_SPOKEN}) | [A-Za-z0-9._%+\-]+ \s? )
      (?:@|{_AT_SPOKEN}) \s? [A-Za-z0-9\-]+
      (?: (?:{_DOT_SPOKEN}[A-Za-z0-9\-]+)*? (?:{_DOT_SPOKEN}{_TOP})+
        | (?<=gmail)|(?<=yahoo)|(?<=outlook)|(?<=hotmail)|(?<=icloud) ) (?!\w)"""
_LINK: Final = rf"""
    (?:https?://|www\.) [^\s\[\]<>]*[^\s\[\]<>.,;:!?)]
    | (?<![\w@.]) (?:[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?\.)+{_TOP} (?:/[^\s\[\]<>]*[^\s\[\]<>.,;:!?)]|/)? (?!\w)"""
_LONG: Final = r"(?<!\d)\d{9,}|(?<!\d)\d{3,6}(?:(?P<gap>[ .\-])\d{2,6}(?:(?P=gap)\d{2,6})*)(?!\d)"
_SCAN: Final = re.compile(
    rf"(?P<dossier>{_DOSSIER})|(?P<email>{_EMAIL})|(?P<link>{_LINK})|(?P<plate>{_PLATE})|(?P<kept>{_KEPT})|(?P<phone>{_PHONE}|{_SPOKEN})|(?P<long>{_LONG})",
    re.IGNORECASE | re.VERBOSE,
)
_FEWEST: Final = 9
"""Digits of a number that can be one person's: an old identity card, a bank account."""
_YEAR: Final = re.compile(r"(?:19|20)\d{2}")


def _without_numbers(text: str, found: Counter[str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        kind = _kind(match)
        if kind is None:
            return match[0]
        found[kind] += 1
        return MARKS[kind]

    return _SCAN.sub(replaced, text)


def _kind(match: re.Match[str]) -> Kind | None:
    """What was found, None for what stays."""
    for kind in ("dossier", "email", "link"):
        if match[kind] is not None:
            return kind
    if match["plate"] is not None:
        return "number"
    if match["phone"] is not None:
        return "phone" if _one_number(match["phone"]) else None
    return None if match["long"] is None else _long(match["long"])


def _one_number(written: str) -> bool:
    """Many small groups are one number only if they are all set apart in the same way: "07.30 11.30 13.30" are hours."""
    groups = re.findall(r"[\dOo]+", written)
    gaps = set(re.findall(r"[^\dOo()+]+", written))
    return len(groups) <= 4 or len(gaps) <= 1 or not written[0].isdecimal()


def _long(written: str) -> Kind | None:
    groups = re.findall(r"\d+", written)
    digits = sum(map(len, groups))
    if digits < _FEWEST or all(_YEAR.fullmatch(group) for group in groups):
        return None
    return "identity" if digits in {9, 12} else "number"


# ---- names


def _without_names(text: str, found: Counter[str]) -> str:
    parts, at = [], 0
    for start, end in names.spans(text):
        parts += [text[at:start], MARKS["name"]]
        found["name"] += 1
        at = end
    return "".join([*parts, text[at:]])
