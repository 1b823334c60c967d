"""The files an office gives hailong: its rules, messages, prices and gateway, read before anything goes by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, cast, get_args

from hailong.domain.rulebook import RulebookError, Rules
from hailong.events import MessageChannel, Purpose
from hailong.ports import Invalid
from hailong.settings import SettingError, Settings
from ops.wiring import Wiring
from surveys.messages.templates import Template

_VIETNAMESE: Final = ("vi-plain", "vi")
"""What everybody gets whose own language has no text."""


@dataclass(frozen=True)
class Read:
    """One of them. ``fault``: the sentence of what is wrong; None when it can be gone by. ``found``: what is there."""

    id: str
    fault: str | None
    found: str


def _rules(wiring: Wiring, day: date) -> str:
    """Also holds the arms of its experiment against the texts: an arm without one would be counted, and nobody would have read it."""
    for cause in _unwritten(wiring, day):
        raise RulebookError(f"{wiring.rulebook.name}: {cause}")
    return f"version {wiring.rulebook.in_force(day).version} is in force, {wiring.settings.rules_file or 'the shipped rulebook'}"


def _unwritten(wiring: Wiring, day: date) -> Iterator[str]:
    """Wording arms of the version in force or a later one that have no text."""
    book = wiring.rulebook
    now = book.in_force(day)
    try:
        templates = wiring.texts.templates
    except SettingError:
        return  # told of the messages
    for rules in (now, *(later for later in book.versions if later.valid_from > day)):
        there = templates.in_force(max(day, rules.valid_from))
        for arm, where in _without_text(rules, there):
            step = f'Add a text with arm = "{arm}" there, or take the arm out of the experiment'
            yield f"version {rules.version}: experiments.wording: arm {arm} has no text for {where}. {step}."


def _without_text(rules: Rules, there: Sequence[Template]) -> Iterator[tuple[str, str]]:
    """(arm, file and purpose it is missing from): where texts differ by arm at all, every arm must have its own."""
    arms = sorted(arm for arm, share in rules.experiments.get("wording", {}).items() if share > 0)
    link_free = rules.experiments.get("link", {}).get("link_free", 0) > 0
    used = [t for t in there if t.channel in rules.channels and (link_free or not t.link_free)]
    differing = {(t.channel, t.purpose) for t in used if t.arm != "a"}
    texts = {t.slot for t in used}
    places = sorted({(t.language, t.channel, t.purpose, t.link_free) for t in used if (t.channel, t.purpose) in differing})
    for arm in arms:
        if not places and arm != "a":
            yield arm, f"any of the channels {', '.join(rules.channels)}"
        for language, channel, purpose, free in places:
            if (language, channel, purpose, arm, free) not in texts:
                yield arm, f"{language}.{channel}.toml, {purpose}{', link_free' if free else ''}"


def _messages(wiring: Wiring, day: date) -> str:
    """Also that every channel here has its texts today: a message that cannot be made would wait."""
    templates = wiring.texts.templates
    for channel in wiring.out.by_channel:
        for purpose in get_args(Purpose):
            try:
                templates.find(cast(MessageChannel, channel), purpose, _VIETNAMESE, "a", link_free=False, on=day)
            except Invalid as lacking:
                raise SettingError(f"HAILONG_TEMPLATES_DIR: {lacking.detail}") from None
    n = len(templates.in_force(day))
    return f"{n} templates are in force, {wiring.settings.templates_dir or 'the shipped ones'}"


def _prices(wiring: Wiring, day: date) -> str:
    return f"{len(wiring.out.prices.tariffs)} tariffs, {wiring.settings.prices_file or 'the shipped list'}"


def _gateway(wiring: Wiring, day: date) -> str:
    providers = sorted({p for way in wiring.out.by_channel.values() for p in (way.main, way.reserve) if p})
    gateway = wiring.out.gateway
    return f"{gateway.provider if gateway else 'none'} is described; messages go by {', '.join(providers)}"


FILES: Final[dict[str, Callable[[Wiring, date], str]]] = {
    "rules": _rules,
    "messages": _messages,
    "prices": _prices,
    "gateway": _gateway,
}


def read(wiring: Wiring, day: date) -> Iterator[Read]:
    """Each of them, as it is on a local day."""
    for name, look in FILES.items():
        try:
            yield Read(name, None, look(wiring, day))
        except (RulebookError, SettingError) as e:
            yield Read(name, str(e), "")


def refuse(settings: Settings, day: date) -> None:
    """Raises SettingError with the sentence of the first one that is wrong."""
    for one in read(Wiring(settings), day):
        if one.fault is not None:
            raise SettingError(one.fault)
