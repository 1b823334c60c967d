"""Templates of messages to citizens: dated versions in files, read once, refused when anything about them is wrong.

A file ``LANGUAGE.CHANNEL.toml`` holds the templates of one language on one channel; a language is added by adding files. A body is text
with ``{{ placeholders }}`` and nothing else (no logic, no filters), so that its skeleton is fixed and what an operator approved is what
leaves. There is no placeholder for a name, a procedure or a dossier.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final, get_args

import msgspec
from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hailong.events import MessageChannel, Purpose
from hailong.ports import Invalid
from surveys.messages import template_faults
from surveys.messages.template_faults import Body, Fault

MESSAGES: Final = Path(__file__).parent.parent / "texts" / "messages"
APPROVED_BY_OTHERS: Final[frozenset[MessageChannel]] = frozenset({"sms", "zns"})
"""Channels whose texts an operator (or Zalo) must have approved before anything is sent for real."""


class TemplateError(ValueError):
    """A file of templates cannot be used; the message names file, key, cause and next step."""


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template as it stands in its file. ``segments``: the most an SMS may take; ``approval``: the operator's id, empty for none yet."""

    id: str
    version: int
    valid_from: date
    approval: str
    purpose: Purpose
    placeholders: list[str]
    text: str
    arm: str = "a"
    link_free: bool = False
    segments: int = 1
    skeleton: str = ""
    subject: str = ""
    html: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    language: str
    channel: MessageChannel
    opt_out: str
    templates: list[_Written]


@dataclass(frozen=True)
class Template:
    """One version of one text. ``arm``: the wording an experiment chooses; ``link_free``: it quotes the slip's code instead of a link."""

    id: str
    version: int
    valid_from: date
    approval: str
    language: str
    channel: MessageChannel
    purpose: Purpose
    arm: str
    link_free: bool
    segments: int
    placeholders: frozenset[str]
    skeleton: str
    """The text with ``{placeholder}`` where something is put in."""
    subject: str
    text: str
    html: str | None

    @property
    def ref(self) -> str:
        """What goes with each message: id and version."""
        return f"{self.id}@{self.version}"

    @property
    def slot(self) -> tuple[str, str, str, str, bool]:
        """What versions of one text have in common."""
        return self.language, self.channel, self.purpose, self.arm, self.link_free


def environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    """What bodies are rendered in: sandboxed, strict, escaping in HTML."""
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=html, keep_trailing_newline=True)


class Templates:
    """The templates of an installation."""

    def __init__(self, known: Iterable[Template]) -> None:
        self._known = tuple(known)
        self.languages = tuple(dict.fromkeys(t.language for t in self._known))

    def in_force(self, on: date) -> list[Template]:
        """The newest version of each text on a local day, in the order of the files."""
        newest: dict[tuple[str, str, str, str, bool], Template] = {}
        for one in self._known:
            if one.valid_from <= on and (one.slot not in newest or newest[one.slot].valid_from < one.valid_from):
                newest[one.slot] = one
        return list(newest.values())

    def find(self, channel: MessageChannel, purpose: Purpose, languages: Sequence[str], arm: str, link_free: bool, on: date) -> Template:
        """The text in force in the first of ``languages`` that has one: of this arm, else of arm a; link-free if there is one, else not.

        Raises Invalid ``template_missing``.
        """
        there = {t.slot: t for t in self.in_force(on)}
        wishes = [(a, free) for free in ((True, False) if link_free else (False,)) for a in dict.fromkeys((arm, "a"))]
        for language in languages:
            for wish, free in wishes:
                found = there.get((language, channel, purpose, wish, free))
                if found is not None:
                    return found
        told = f"No {purpose} for {channel} in {' or '.join(languages)} is in force on {on.isoformat()}. Add one to texts/messages."
        raise Invalid("template_missing", f"{channel}.{purpose}", told)

    def unapproved(self, on: date, channels: Iterable[MessageChannel] = tuple(sorted(APPROVED_BY_OTHERS))) -> list[str]:
        """Texts in force that an operator has not approved, by ``ref``: going live is refused while there is one."""
        asked = APPROVED_BY_OTHERS & set(channels)
        return [t.ref for t in self.in_force(on) if t.channel in asked and not t.approval]


@lru_cache(maxsize=4)
def load(folder: Path = MESSAGES) -> Templates:
    """Every template of a folder. Raises TemplateError for the first thing that is wrong, naming file, key, cause and next step."""
    found: list[Template] = []
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise TemplateError(f"{folder.name}: no file of templates. Put LANGUAGE.CHANNEL.toml there, as in texts/messages.")
    for path in paths:
        for one in _read(path):
            twin = next((t for t in found if (t.id, t.version) == (one.id, one.version) or _same_day(t, one)), None)
            if twin is not None:
                cause = f"{one.ref} and {twin.ref} are the same version, or begin on the same day for the same messages"
                raise TemplateError(f"{path.name}: {one.id}: {cause}. Give the newer one a higher version and a later valid_from.")
            found.append(one)
    return Templates(found)


def _same_day(one: Template, other: Template) -> bool:
    return (one.slot, one.valid_from) == (other.slot, other.valid_from)


def _read(path: Path) -> list[Template]:
    text = path.read_text("utf-8-sig")
    if not unicodedata.is_normalized("NFC", text):
        line = next(i for i, said in enumerate(text.splitlines(), 1) if not unicodedata.is_normalized("NFC", said))
        raise TemplateError(f"{path.name}:{line}: text that is not in NFC, so its letters are counted wrongly. Save the file in NFC.")
    try:
        file = msgspec.toml.decode(text, type=_File)
    except msgspec.DecodeError as e:
        raise TemplateError(f"{path.name}: {e}. Mend it there.") from None
    if path.name != f"{file.language}.{file.channel}.toml" or file.channel not in get_args(MessageChannel):
        raise TemplateError(
            f"{path.name}: language {file.language}, channel {file.channel}. Name the file {file.language}.{file.channel}.toml."
        )
    return [_made(path.name, i, file, written) for i, written in enumerate(file.templates)]


def _made(name: str, number: int, file: _File, w: _Written) -> Template:
    """A template, or TemplateError for its first fault."""
    where = f"{name}: templates[{number}]"
    bodies = [_body(where, key, said) for key, said in (("subject", w.subject), ("text", w.text), ("html", w.html)) if said]
    faults = template_faults.of(
        language=file.language, channel=file.channel, opt_out=file.opt_out, declared=w.placeholders, link_free=w.link_free,
        registered=w.skeleton, most_segments=w.segments, identity=(w.id, w.version, w.arm), bodies={b.key: b for b in bodies},
    )  # fmt: skip
    for fault in faults:
        raise TemplateError(_told(where, fault))
    said = {b.key: b for b in bodies}
    return Template(
        id=w.id, version=w.version, valid_from=w.valid_from, approval=w.approval.strip(), language=file.language, channel=file.channel,
        purpose=w.purpose, arm=w.arm, link_free=w.link_free, segments=w.segments, placeholders=frozenset(w.placeholders),
        skeleton=said["text"].skeleton, subject=w.subject, text=w.text, html=w.html.lstrip() or None,
    )  # fmt: skip


def _told(where: str, fault: Fault) -> str:
    return f"{where}.{fault.key}: {fault.cause}. {fault.next_step}"


def _body(where: str, key: str, source: str) -> Body:
    """A body's skeleton and placeholders. Raises TemplateError for anything but text and ``{{ placeholder }}``."""
    try:
        parsed = environment(html=key == "html").parse(source)
    except TemplateSyntaxError as e:
        raise TemplateError(f"{where}.{key}: {e.message} (line {e.lineno}). Mend the braces.") from None
    skeleton, names = "", []
    for part in parsed.body:
        for piece in part.nodes if isinstance(part, nodes.Output) else [part]:
            if isinstance(piece, nodes.TemplateData):
                skeleton += piece.data
            elif isinstance(piece, nodes.Name):
                skeleton += f"{{{piece.name}}}"
                names.append(piece.name)
            else:
                cause = f"a {type(piece).__name__.lower()} on line {piece.lineno}, where only text and {{{{ placeholders }}}} may stand"
                raise TemplateError(f"{where}.{key}: {cause}. Write it out, or make two templates of it.")
    return Body(key, skeleton.strip(), frozenset(names))
