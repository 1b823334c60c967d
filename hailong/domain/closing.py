"""What became of an alert: its steps joined, what people found when they looked, and how often each detector was right. Pure.

The machine raises (version 1) and ends (version 2) an alert; people close it, saying whether there was something: ``fixed`` (confirmed)
or ``not_found``, numbered from 3 on. So neither has to know of the other, and a replay of the machine's part stays what it was. What a
person said holds, whenever they said it; the last word counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

from hailong.domain.quality import KINDS
from hailong.domain.scoring import rate, wilson
from hailong.events import AlertChanged, AlertState
from hailong.ports import Invalid

Verdict = Literal["confirmed", "not_found"]
"""There was something; there was nothing."""
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
STATE: Final[Mapping[Verdict, AlertState]] = {"confirmed": "fixed", "not_found": "not_found"}
_SAID: Final = {state: verdict for verdict, state in STATE.items()}
OPEN: Final = frozenset({"raised", "acknowledged", "acting"})
"""States of an alert that stands."""
_MACHINE: Final = 2
"""The last version that is the machine's."""
DETECTORS: Final[tuple[str, ...]] = ("below", "declining", *KINDS)
"""Kinds of alerts: two about answers, the others about the quality of data."""


def by_alert(steps: Iterable[AlertChanged]) -> dict[str, list[AlertChanged]]:
    """The steps of each alert, by version."""
    found: dict[str, list[AlertChanged]] = {}
    for step in sorted(steps, key=lambda s: s.version):
        found.setdefault(step.alert_id, []).append(step)
    return found


def verdict_step(history: Sequence[AlertChanged]) -> AlertChanged | None:
    """The step in which a person said last what they found; None while nobody did."""
    return next((step for step in reversed(history) if step.state in _SAID), None)


def verdict(history: Sequence[AlertChanged]) -> Verdict | None:
    """What people found; None while nobody said."""
    said = verdict_step(history)
    return None if said is None else _SAID[said.state]


def standing(history: Sequence[AlertChanged]) -> AlertChanged:
    """The step that says how an alert stands: a person's last word, else its end by the machine, else its newest. ``history``: by
    version, not empty."""
    ended = next((step for step in history if step.state not in OPEN), None)
    return verdict_step(history) or ended or history[-1]


def closed(history: Sequence[AlertChanged], said: Verdict, seen: int, by: str, at: datetime) -> AlertChanged:
    """The step in which somebody says what they found. ``seen``: the newest version they had before them.

    Raises Invalid (``stale``) when there is a newer word of a person: they have to look again.
    """
    newest = max(step.version for step in history)
    if max(newest, _MACHINE) != max(seen, _MACHINE):
        raise Invalid("stale", "version", "somebody else closed this alert meanwhile: open it again")
    version = max(newest, _MACHINE) + 1
    raised = history[0]
    return msgspec.structs.replace(
        raised, event_id=f"{raised.alert_id}:{version}", version=version, state=STATE[said], at=at, by=by, note=None
    )  # fmt: skip


@dataclass(frozen=True)
class Precision:
    """How often a detector was right, by what people said of its alerts: ``rate`` of ``confirmed`` among those judged, with Wilson's
    interval, 95 %. ``unjudged``: alerts of which nobody said anything yet, which it says nothing about."""

    detector: str
    raised: int
    confirmed: int
    not_found: int

    @property
    def judged(self) -> int:
        return self.confirmed + self.not_found

    @property
    def unjudged(self) -> int:
        return self.raised - self.judged

    @property
    def rate(self) -> float | None:
        return rate(self.confirmed, self.judged)

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.confirmed, self.judged)


def precision(alerts: Iterable[tuple[str, Verdict | None]]) -> list[Precision]:
    """Of every detector, in a fixed order, also of those that never raised. ``alerts``: (kind, what people found) of each."""
    known = list(alerts)
    found = []
    for detector in DETECTORS:
        said = [one for kind, one in known if kind == detector]
        found.append(Precision(detector, len(said), said.count("confirmed"), said.count("not_found")))
    return found


def precision_json(found: Iterable[Precision]) -> list[dict[str, Any]]:
    """As API and command line give them; rates are fractions, null while nothing was judged."""
    return [
        {
            "detector": one.detector, "raised": one.raised, "confirmed": one.confirmed, "not_found": one.not_found,
            "unjudged": one.unjudged, "precision": one.rate, "low": one.interval[0] if one.judged else None,
            "high": one.interval[1] if one.judged else None,
        }
        for one in found
    ]  # fmt: skip
