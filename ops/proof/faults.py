"""Faults a proof orders from the carrier, and whether a reserve provider has taken over because of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from hailong.settings import Settings
from ops.wiring import Wiring

Order = Mapping[str, Any]
MAIN: Final = "twilio"
RESERVE: Final = "gateway-json-example"
REFUSING: Final[Sequence[Order]] = ({"kind": "429", "match": {"channel": "sms", "api": "twilio"}, "count": None, "retry_after": 1},)
"""The main provider of SMS takes nothing any more."""
BARRING: Final[Sequence[Order]] = (
    {"kind": "429", "match": {"channel": "sms", "api": "twilio"}, "count": 4, "retry_after": 1},
    {"kind": "403", "match": {"channel": "sms", "api": "twilio"}, "count": None},
)
"""The main provider of SMS is busy, then says that our account is not active."""
_SMS: Final = {"channel": "sms"}
VARIOUS: Final[Sequence[Sequence[Order]]] = (
    ({"kind": "429", "match": _SMS, "count": 4},),
    ({"kind": "429", "match": {"channel": "email"}, "count": 2},),
    ({"kind": "500", "match": _SMS, "count": 1},),
    ({"kind": "503", "match": _SMS, "count": 1},),
    ({"kind": "timeout_before", "match": _SMS, "seconds": 6.0},),
    ({"kind": "timeout_after", "match": _SMS, "seconds": 6.0},),
    ({"kind": "double_receipt", "match": _SMS, "count": 5},),
    ({"kind": "late_receipt", "match": _SMS, "count": 5, "seconds": 3.0},),
)
"""One after the other. Mails meet no time-out: a relay keeps no list, and each would be unknown for good."""


async def order(carrier: httpx.AsyncClient, orders: Sequence[Order]) -> None:
    """Tell the carrier; one that is down at this moment is told nothing."""
    await _told(carrier, "POST", orders)


async def clear(carrier: httpx.AsyncClient) -> None:
    """No faults any more; again and again until the carrier has heard it."""
    for _ in range(60):
        if await _told(carrier, "DELETE", None):
            return
        await asyncio.sleep(0.5)
    raise RuntimeError(f"The carrier at {carrier.base_url} cannot be told to stop its faults; see logs/carrier.log")


async def _told(carrier: httpx.AsyncClient, method: str, orders: Sequence[Order] | None) -> bool:
    try:
        answer = await carrier.request(method, "/faults", json=None if orders is None else list(orders))
    except httpx.HTTPError:
        return False
    if answer.status_code not in (201, 204):
        raise RuntimeError(f"The carrier refuses the fault orders (HTTP {answer.status_code}): {answer.text}")
    return True


async def carries(settings: Settings, channel: str, provider: str, over: asyncio.Event, within_s: float = 30.0) -> bool:
    """Wait until ``provider`` carries ``channel``; False when it has not come to that."""
    ledger = Wiring(settings).ledger("proof-faults")
    try:
        for _ in range(round(within_s / 0.1)):
            with ledger.read() as reader:
                change = reader.last_change(channel)
            if change is not None and change.provider == provider:
                return True
            if over.is_set():
                return False
            await asyncio.sleep(0.1)
        return False
    finally:
        ledger.close()
