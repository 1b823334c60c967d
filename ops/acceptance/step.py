"""One thing that was tried, and how its end is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hailong.ports import Invalid, Permanent, Retryable


@dataclass(frozen=True)
class Step:
    """``said``: what was seen; when it failed, the cause and what to do."""

    part: str
    name: str
    ok: bool
    said: str


class Fails(Exception):
    """A step that was done and did not do what hailong stands on. The message says what to do."""


def tried(part: str, name: str, work: Callable[[], str | None], advice: str) -> Step:
    """Do ``work``; ``advice`` is for somebody whose installation fails here. Of an error nobody foresaw only the kind is told."""
    try:
        return Step(part, name, True, work() or "")
    except (Retryable, Permanent) as e:
        return Step(part, name, False, f"{e.reason} {advice}")
    except Fails as e:
        return Step(part, name, False, f"{e} {advice}")
    except Invalid as e:
        return Step(part, name, False, f"{e} {advice}")
    except Exception as e:  # whatever it is: it is told, and the next step is tried
        return Step(part, name, False, f"{type(e).__name__}. {advice}")


def must(held: bool, otherwise: str) -> None:
    """Raises Fails with ``otherwise``."""
    if not held:
        raise Fails(otherwise)
