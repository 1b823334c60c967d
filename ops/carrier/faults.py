"""Faults that are ordered while the carrier runs, for tests and proofs.

``POST /faults`` takes a list of orders and adds them; ``GET`` shows what is left, ``DELETE`` clears. Kinds:

``429``, ``500``, ``503``    refused with that status (SMTP: 450, 451, 421 at RCPT); 429 and 503 carry ``retry_after``
``403``                      refused because of the account, which is not active (SMTP: 535)
``timeout_before``           not accepted, and no answer: the connection is held ``seconds``, then cut
``timeout_after``            accepted and in the journal, but no answer: held ``seconds``, then cut
``drop_receipt``             no receipts for this message
``double_receipt``           each of its receipts twice
``late_receipt``             its steps and receipts ``seconds`` later

``{"match": {"api": "twilio"}}`` meets one of several providers of a channel: ``twilio``, ``json-example``, ``form-example``.
``{"channel": "zns", "to": "tokens"}`` meets requests for a new access token instead of messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from ops.carrier.records import ChannelName, PlannedStep

Kind = Literal["403", "429", "500", "503", "timeout_before", "timeout_after", "drop_receipt", "double_receipt", "late_receipt"]
_RECEIPT_KINDS = frozenset({"drop_receipt", "double_receipt", "late_receipt"})


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages an order means; absent fields mean all. ``nth``: only every n-th of those that match the rest."""

    channel: ChannelName | None = None
    to: str | None = None
    to_prefix: str | None = None
    api: str | None = None
    nth: Annotated[int, msgspec.Meta(ge=1)] = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """One order; it is used up after ``count`` messages (None: never)."""

    kind: Kind
    match: Match = Match()
    count: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    retry_after: Annotated[int, msgspec.Meta(ge=0)] = 1


class Faults:
    """The orders not yet used up, oldest first."""

    def __init__(self) -> None:
        self._orders: list[tuple[Order, list[int]]] = []

    def add(self, body: bytes) -> int:
        """Take a JSON list of orders; how many. Raises msgspec.ValidationError or DecodeError when it is none, and takes nothing."""
        orders = msgspec.json.decode(body, type=list[Order])
        self._orders += [(order, [0]) for order in orders]
        return len(orders)

    def left(self) -> list[Order]:
        return [order for order, _ in self._orders]

    def clear(self) -> None:
        self._orders.clear()

    def for_request(self, channel: ChannelName, to: str, api: str = "") -> Order | None:
        """The fault that meets this request, used up by this call. ``api``: whose language it speaks, where a channel has several."""
        return self._take(channel, to, receipts=False, api=api)

    def for_receipts(self, channel: ChannelName, to: str) -> Order | None:
        """The fault that meets the receipts of this message, used up by this call."""
        return self._take(channel, to, receipts=True)

    def for_errand(self, channel: ChannelName, name: str) -> Order | None:
        """The fault that meets a request of this channel that is no message; only an order that names it as its ``to``."""
        return self._take(channel, name, receipts=False, by_name=True)

    def _take(self, channel: ChannelName, to: str, *, receipts: bool, by_name: bool = False, api: str = "") -> Order | None:
        for index, (order, seen) in enumerate(self._orders):
            if (order.kind in _RECEIPT_KINDS) != receipts or not _matches(order.match, channel, to, api):
                continue
            if by_name and order.match.to != to:
                continue
            seen[0] += 1
            if seen[0] % order.match.nth:
                continue
            if order.count is not None:
                order.count -= 1
                if not order.count:
                    del self._orders[index]
            return order
        return None


def bend(plan: Sequence[PlannedStep], fault: Order | None) -> tuple[PlannedStep, ...]:
    """The plan of a message as a receipt fault leaves it."""
    if fault is None:
        return tuple(plan)
    late = fault.seconds if fault.kind == "late_receipt" else 0.0
    posts = {"drop_receipt": 0, "double_receipt": 2}.get(fault.kind)
    return tuple(PlannedStep(step.status, step.after + late, step.code, step.posts if posts is None else posts) for step in plan)


def _matches(match: Match, channel: ChannelName, to: str, api: str) -> bool:
    here = match.channel in (None, channel) and match.api in (None, api)
    return here and match.to in (None, to) and (match.to_prefix is None or to.startswith(match.to_prefix))
