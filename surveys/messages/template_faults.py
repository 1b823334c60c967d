"""What can be wrong with a template, told by key, cause and next step. Pure: no file, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hailong.events import MessageChannel
from surveys.messages import pricing

PLACEHOLDERS: Final[dict[str, str]] = {
    "brand": "the registered sender",
    "office": "the office's name",
    "hotline": "the number for questions and for refusing",
    "url": "the link",
    "stop_url": "the link of the page that ends all messages",
    "until": "the last day for answering",
    "slip_code": "the code printed on the person's own slip",
}
"""Everything a message can hold besides its own words."""
LONGEST: Final[dict[str, str]] = {
    "brand": "B" * 12,
    "office": "O" * 60,
    "hotline": "1022",
    "url": "https://khaosat.hoabinh.gov.vn/" + "X" * 12,
    "stop_url": "https://khaosat.hoabinh.gov.vn/" + "X" * 26 + "/stop",
    "until": "30 September 2026",
    "slip_code": "X" * 12,
}
"""The longest values a text must have room for when its segments are checked."""
ZNS_LETTERS: Final = 400
"""Most letters of a ZNS template (domain.md §3.3)."""
_NAMING: Final = ("name", "person", "applicant", "citizen", "phone", "email", "address", "identity", "procedure", "dossier", "desk", "unit")
_NEEDS_SKELETON: Final = frozenset({"sms", "zns"})
_LINK: Final = re.compile(r"https?:|www\.|\b[\w-]+\.(vn|com|net|org|info|me|ly|gl|asia)\b", re.IGNORECASE)
_ADVERTISING: Final = re.compile(r"\[(QC|AD)\]", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z]+)?")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_ARM: Final = re.compile(r"[a-z]")
_HEAD: Final = re.compile(r"<head>.*</head>", re.DOTALL)
_HTML_LANGUAGE: Final = re.compile(r'<html lang="([\w-]*)"')
_VIETNAMESE: Final = re.compile("[ăâđêôơưàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ]", re.IGNORECASE)
_USUAL: Final[dict[str, frozenset[str]]] = {
    "vi": frozenset({"hồ", "sơ", "đánh", "giá", "gọi", "của", "việc", "trả", "lời", "liên", "không", "nhận", "ông", "bà"}),
    "vi-plain": frozenset({"ho", "so", "danh", "gia", "goi", "cua", "viec", "tra", "loi", "lien", "khong", "nhan", "ong", "ba"}),
    "en": frozenset({"the", "your", "you", "was", "how", "please", "call", "no", "more", "messages", "handled", "of", "and", "to"}),
}
"""Words by which the house's languages are told apart. A language that is not listed is taken at its word."""


@dataclass(frozen=True)
class Body:
    """A subject, text or HTML: its skeleton with ``{placeholder}``, and the placeholders in it."""

    key: str
    skeleton: str
    names: frozenset[str]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, what to do."""

    key: str
    cause: str
    next_step: str


def of(
    *,
    language: str,
    channel: MessageChannel,
    opt_out: str,
    declared: Sequence[str],
    link_free: bool,
    registered: str,
    most_segments: int,
    identity: tuple[str, int, str],
    bodies: Mapping[str, Body],
) -> Iterator[Fault]:
    """The faults of one template, the gravest first. ``identity``: id, version, arm; ``registered``: the skeleton the operator knows."""
    yield from _identity(*identity, language)
    yield from _parts(channel, bodies)
    yield from _placeholders(declared, bodies)
    for body in (b for key, b in bodies.items() if key != "subject"):
        yield from _way_out(body, channel, opt_out, link_free)
        yield from _links(body, link_free)
        yield from _language(body, language)
    if "text" in bodies:
        yield from _skeleton(bodies["text"], channel, registered)
        yield from _room(bodies["text"], channel, language, most_segments)


def _identity(id_: str, version: int, arm: str, language: str) -> Iterator[Fault]:
    if not _ID.fullmatch(id_):
        yield Fault("id", f"{id_!r} is no id", "Take small letters, digits, dots and hyphens.")
    if version < 1:
        yield Fault("version", f"{version} is below 1", "Count versions from 1.")
    if not _ARM.fullmatch(arm):
        yield Fault("arm", f"{arm!r} is no arm", "Take one small letter; a is the usual wording.")
    if not _LANGUAGE.fullmatch(language):
        yield Fault("language", f"{language!r} is no language", "Take a code such as vi, vi-plain or mtq.")


def _parts(channel: MessageChannel, bodies: Mapping[str, Body]) -> Iterator[Fault]:
    if "text" not in bodies:
        yield Fault("text", "empty", "Write the message.")
    for key in ("subject", "html"):
        needed = key in (("subject", "html") if channel == "email" else ("subject",) if channel == "print" else ())
        if needed and key not in bodies:
            yield Fault(key, f"missing, and a message by {channel} needs one", "Write it.")
        if not needed and key in bodies:
            yield Fault(key, f"a message by {channel} has none", "Take it out.")


def _placeholders(declared: Sequence[str], bodies: Mapping[str, Body]) -> Iterator[Fault]:
    used = frozenset[str]().union(*(b.names for b in bodies.values()))
    for name in sorted(used | set(declared)):
        if name not in PLACEHOLDERS:
            naming = any(part in name for part in _NAMING)
            cause = (
                f"{{{name}}}: a message never names a person, a procedure or a dossier" if naming else f"{{{name}}}: no such placeholder"
            )
            yield Fault("placeholders", cause, f"There are {', '.join(PLACEHOLDERS)}.")
    if "subject" in bodies and (found := sorted(bodies["subject"].names - {"brand", "office"})):
        yield Fault("subject", f"{{{found[0]}}} in a subject, which mail programs show and keep", "Move it to the text.")
    for name in sorted(used - set(declared)):
        yield Fault("placeholders", f"{{{name}}} stands in the text and is not declared", "Add it to the list, or take it out of the text.")
    for name in sorted(set(declared) - used):
        yield Fault("placeholders", f"{{{name}}} is declared and missing in the text", "Put it into the text, or take it off the list.")


def _way_out(body: Body, channel: MessageChannel, opt_out: str, link_free: bool) -> Iterator[Fault]:
    if "{brand}" not in _HEAD.sub("", body.skeleton):
        yield Fault(body.key, "the brand name is missing, so nobody can tell who writes", "Put {{ brand }} there.")
    if not opt_out.strip() or opt_out not in body.skeleton:
        yield Fault(body.key, f"the opt-out words ({opt_out or 'opt_out is empty'}) are missing", "Say how to get no more messages.")
    needed = {"hotline"} | ({"stop_url"} if channel == "email" and not link_free else set())
    for name in sorted(needed - body.names):
        yield Fault(body.key, f"{{{name}}} is missing, so nobody can refuse", f"Put {{{{ {name} }}}} after the opt-out words.")


def _links(body: Body, link_free: bool) -> Iterator[Fault]:
    if link_free:
        for name in sorted(body.names & {"url", "stop_url"}):
            yield Fault(body.key, f"{{{name}}} in a message that promises to carry no link", "Take it out, or set link_free = false.")
    needed = "slip_code" if link_free else "url"
    if needed not in body.names:
        yield Fault(body.key, f"{{{needed}}} is missing, so nobody can answer", f"Put {{{{ {needed} }}}} there.")
    visible = re.sub(r"<[^>]*>", " ", body.skeleton)
    if found := _LINK.search(visible):
        yield Fault(body.key, f"an address written out ({found[0]})", "Only {{ url }} and {{ stop_url }} may be links.")
    if found := _ADVERTISING.search(visible):
        yield Fault(body.key, f"the mark of advertising {found[0]}", "A survey about one's own dossier is none; take it out.")


def _language(body: Body, language: str) -> Iterator[Fault]:
    if (tagged := _HTML_LANGUAGE.search(body.skeleton)) and tagged[1] != language:
        yield Fault(body.key, f'the page says lang="{tagged[1]}" in a file of {language}', f'Write lang="{language}".')
    visible = re.sub(r"<[^>]*>|\{\w+\}", " ", body.skeleton)
    if language.endswith("-plain") and not visible.isascii():
        odd = next(letter for letter in visible if not letter.isascii())
        yield Fault(body.key, f"{odd!r} in {language}, which has no diacritics and only plain letters", "Write it without.")
        return
    if language == "en" and (found := _VIETNAMESE.search(visible)):
        yield Fault(body.key, f"{found[0]!r} in a text that should be English", "Move the text to a file of its language.")
        return
    if language in _USUAL:
        words = set(re.findall(r"\w+", visible.lower()))
        met = {known: len(words & usual) for known, usual in _USUAL.items()}
        likely = max(met, key=lambda known: (met[known], known == language))
        if likely != language or not met[language]:
            yield Fault(body.key, f"wrong language: it reads like {likely}, the file says {language}", "Move it to a file of its language.")


def _skeleton(body: Body, channel: MessageChannel, registered: str) -> Iterator[Fault]:
    if channel in _NEEDS_SKELETON and not registered.strip():
        yield Fault(
            "skeleton", "empty, and operators take registered texts only", "Write the text as it is registered, with {placeholder}."
        )
    elif registered.strip() and registered.strip() != body.skeleton:
        at = next((i for i, pair in enumerate(zip(registered.strip(), body.skeleton, strict=False)) if pair[0] != pair[1]), -1)
        where = f"from letter {at + 1} on" if at >= 0 else "at its end"
        yield Fault("skeleton", f"it differs from the text {where}", "Make both the same; a new text is a new version with a new approval.")


def _room(body: Body, channel: MessageChannel, language: str, most: int) -> Iterator[Fault]:
    said = re.sub(r"\{(\w+)\}", lambda found: LONGEST.get(found[1], ""), body.skeleton)
    if channel == "zns" and len(said) > ZNS_LETTERS:
        yield Fault("text", f"{len(said)} letters with the longest values, and ZNS takes {ZNS_LETTERS}", "Shorten it.")
    if channel != "sms":
        return
    count = pricing.counted(said)
    if language.endswith("-plain") and count.encoding != "GSM-7":
        yield Fault("text", str(count.odd[0]) if count.odd else "letters outside GSM-7", "Write it in plain letters.")
    if count.segments > most:
        cause = f"{count.letters} letters with the longest values make {count.segments} segments ({count.encoding}), not {most}"
        hint = f" {count.odd[0]}" if count.odd else ""
        yield Fault("text", cause, f"Shorten it, or state segments = {count.segments}.{hint}")
