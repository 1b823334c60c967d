"""Marks of pressure a door can see: many first answers from one network, the same ones within seconds, from the desks' own network.

A mark holds the answer until a person has looked; it is never thrown away. A commune shares one address, so a mark needs several answers
about the same unit. Addresses are keyed hashes, in this process's memory only; loopback is no network: it only says that a proxy is
not believed.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import deque
from collections.abc import Callable, Sequence
from datetime import time
from typing import Final

from starlette.requests import Request

from hailong.domain.doors import AT_DESK
from hailong.domain.units import LOCAL
from hailong.ports import Clock
from surveys.answers.form_state import FormState
from web.limits import network

BURST: Final = 6
"""First answers about one unit from one network within ``BURST_S`` that are one too many."""
BURST_S: Final = 600.0
QUICK_S: Final = 20.0
QUICK: Final = 3
"""First answers about one unit from one network within ``QUICK_S``."""
OFFICE: Final = (time(7, 0), time(17, 30))
_REMEMBERED: Final = 5_000


Seen = deque[tuple[float, str]]
"""(seconds, survey) of the latest first answers."""


class Pressure:
    """``desks``: networks (CIDR) of the desks; ``monotonic``: seconds of real time; ``key``: random bytes for the hashes of networks."""

    def __init__(self, desks: Sequence[str], clock: Clock, monotonic: Callable[[], float], key: bytes) -> None:
        self._key = key
        self._desks = [ipaddress.ip_network(one.strip(), strict=False) for one in desks if one.strip()]
        self._clock = clock
        self._monotonic = monotonic
        self._seen: dict[bytes, Seen] = {}

    def signs(self, request: Request, state: FormState) -> list[str]:
        """The marks of a first answer that comes in now, the gravest first; answers at the desk have none: their class says it."""
        if state.mode in AT_DESK or state.mode == "call" or state.again:
            return []
        address = request.client.host if request.client else ""
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return []
        if host.is_loopback:
            return []
        found = self._many(network(request), state)
        if any(host in desk for desk in self._desks) and self._office_hours():
            found.append("desk_network")
        return found

    def _many(self, asker: str, state: FormState) -> list[str]:
        now = self._monotonic()
        mine = state.survey_id or state.slip
        key = hashlib.blake2b(f"{asker}|{state.about.handling_unit}".encode(), digest_size=16, key=self._key).digest()
        seen = self._seen.pop(key, None) or deque(maxlen=BURST)
        self._seen[key] = seen
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if any(survey == mine for _, survey in seen):
            return []  # sent once more
        seen.append((now, mine))
        if len(seen) >= BURST and now - seen[0][0] <= BURST_S:
            return ["burst"]
        return ["within_seconds"] if len(seen) >= QUICK and now - seen[-QUICK][0] <= QUICK_S else []

    def _office_hours(self) -> bool:
        at = self._clock.now().astimezone(LOCAL)
        return at.weekday() < 6 and OFFICE[0] <= at.time() <= OFFICE[1]
