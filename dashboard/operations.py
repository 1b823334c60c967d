"""``/operations``: what stands still, who carries messages, what they cost. For operators and administrators.

Money has two definitions and the page names both. **Taken**: out of a day's budget, when a message is claimed; given back when it was
surely not accepted. **Spent**: for messages that were handed over, or may have been, whether they arrived or not, since a provider charges
for both. Every sum but the first is money spent; on the way from one to the other are messages claimed and not settled yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from dashboard.gate import Gate
from hailong.domain.access import Role
from hailong.domain.units import LOCAL
from hailong.ports import Permanent, Retryable
from web import numbers
from web.pages import texts

ROLES: Final[frozenset[Role]] = frozenset({"operator", "administrator"})


@dataclass(frozen=True)
class State:
    """A state that something may be stuck in. ``number``: how many are; None where that cannot be seen from here."""

    id: str
    number: int | None
    stuck: bool


@dataclass(frozen=True)
class Carrier:
    """A channel and who carries it. Moments are real time; money in đồng."""

    channel: str
    mode: str
    held: str | None
    """Why nothing of it may leave now."""
    live_since: datetime | None
    live_by: str | None
    main: str
    reserve: str | None
    now: str
    since: datetime | None
    """None: its main provider since the beginning."""
    why: str | None
    by: str | None
    taken: int
    refused: int
    slow: int
    rate: float | None
    """Messages a second; None: no limit."""
    turns: float | None
    """That may go at once."""
    cost_today: int
    """Taken from today's budget for what ``now`` was given."""


@dataclass(frozen=True)
class Cost:
    """Messages of a local day, receiving unit and channel that were handed over, or may have been; ``cost``: đồng spent."""

    day: date
    unit: str
    channel: str
    messages: int
    segments: int
    cost: int


@dataclass(frozen=True)
class Money:
    """The local day's money, in đồng. ``spent``: taken from the budget, messages on their way included; ``budget`` 0: no limit."""

    spent: int
    budget: int


@dataclass(frozen=True)
class Looked:
    """What the ledger says at one moment (of the installation's clock)."""

    at: datetime
    states: Sequence[State]
    carriers: Sequence[Carrier]
    money: Money
    names: Mapping[str, str]
    """Unit → its newest name."""


class Operations(Protocol):
    """Where the page's content comes from. Both raise Retryable, Permanent."""

    def look(self) -> Looked: ...

    def costs(self) -> tuple[str, Sequence[Cost]]:
        """(month as YYYY-MM, its costs)."""
        ...


@cache
def words() -> dict[str, dict[str, Any]]:
    """Language → the page's words; commands and mails use the same."""
    return texts(Path(__file__).parent / "texts" / "operations")


def summed(costs: Sequence[Cost], key: Callable[[Cost], Any]) -> list[tuple[Any, int, int, int]]:
    """(key, messages, segments, đồng), by key."""
    found: dict[Any, tuple[int, int, int]] = {}
    for c in costs:
        n, segments, money = found.get(key(c), (0, 0, 0))
        found[key(c)] = n + c.messages, segments + c.segments, money + c.cost
    return [(at, *sums) for at, sums in sorted(found.items())]


def page(source: Operations, gate: Gate) -> Callable[[Request], Any]:
    """The handler."""

    async def show(request: Request) -> Response:
        looked, (spent, why) = await asyncio.gather(gate.ask(source.look), asyncio.to_thread(_costs, source))
        (month, costs), lang = spent or ("", ()), gate.pages.language(request)
        today = [c for c in costs if c.day == looked.at.astimezone(LOCAL).date()]
        return gate.shown(
            request,
            "operations.html",
            at=looked.at.astimezone(LOCAL),
            states=sorted(looked.states, key=lambda state: not state.stuck),
            stuck=sum(state.stuck for state in looked.states),
            carriers=looked.carriers,
            money=looked.money,
            names=looked.names,
            costs_away=why,
            month_said=numbers.month(month, lang) if month else "",
            by_unit=summed(costs, lambda c: (c.unit, c.channel)),
            by_day=summed(costs, lambda c: (c.day, c.channel)),
            total=summed(costs, lambda _: ""),
            spent_today=sum(c.cost for c in today),
            spent_by={channel: cost for channel, _, _, cost in summed(today, lambda c: c.channel)},
            local=lambda moment: moment.astimezone(LOCAL),
            turned=gate.pages.turned("/operations?"),
        )

    return show


def _costs(source: Operations) -> tuple[tuple[str, Sequence[Cost]] | None, str]:
    """The costs, or why they cannot be read now: the rest of the page is shown all the same."""
    try:
        return source.costs(), ""
    except (Retryable, Permanent) as away:
        return None, away.reason
