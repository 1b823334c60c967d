"""The files an office gives hailong: its rules, messages, prices and gateway, read before anything goes by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from hailong.domain.rulebook import RulebookError
from hailong.settings import SettingError, Settings
from ops.wiring import Wiring


@dataclass(frozen=True)
class Read:
    """One of them. ``fault``: the sentence of what is wrong; None when it can be gone by. ``found``: what is there."""

    id: str
    fault: str | None
    found: str


def _rules(wiring: Wiring, day: date) -> str:
    return f"version {wiring.rulebook.in_force(day).version} is in force, {wiring.settings.rules_file or 'the shipped rulebook'}"


def _messages(wiring: Wiring, day: date) -> str:
    n = len(wiring.texts.templates.in_force(day))
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
