"""The eight ports of a local stack, all from one base."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ops.local.broker import LOOPBACK
from ops.local.refusal import Refusal

DEFAULT_BASE: Final = 18400
_FREE_WITHIN_S: Final = 2.0
"""The children of a stack that was just killed need a moment to die."""


@dataclass(frozen=True)
class Ports:
    """Numbers by what listens there."""

    kafka: int
    controller: int
    store: int
    carrier_http: int
    carrier_smtp: int
    intake: int
    survey: int
    dashboard: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """``base`` and the seven after it. Raises Refusal when they are not port numbers."""
        if not 1024 <= base <= 65535 - 7:
            raise Refusal(f"--port-base {base}: a stack needs eight ports between 1024 and 65535. Choose 1024 to 65528.", wrong_use=True)
        return cls(*range(base, base + 8))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(vars(self).items())

    def taken(self) -> list[tuple[str, int]]:
        """(what for, port) of those that another program holds."""
        return [(name, port) for name, port in self if not _free(port)]

    def check(self) -> None:
        """Raises Refusal when one is taken."""
        until = time.monotonic() + _FREE_WITHIN_S
        while taken := self.taken():
            if time.monotonic() > until:
                name, port = taken[0]
                more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
                raise Refusal(
                    f"Port {port} on {LOOPBACK}, wanted for {name.replace('_', ' ')}, is taken by another program{more}. "
                    "Stop that program, or choose other ports with --port-base."
                )
            time.sleep(0.1)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are only lingering do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
