"""What became of each try to write to somebody: the facts, where the ledger is ahead of them what it says, who carried the channel. Pure.

No fact is written of a try that was put back: a message is claimed again only after one that surely was not accepted, so the next claim
tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ops.causes import Cause, cause
from sinks.clickhouse.drawing import Change, Step
from sinks.ledger.drawing import History, Planned, Sent

STATES: Final = {
    "moot_answered": "planned", "moot_reopened": "planned", "next_channel": "released", "undelivered": "failed", "unheard": "unknown",
}  # fmt: skip
"""What has a sentence of its own → the step it is."""
_ENDS: Final = ("handed_over", "failed", "unknown")


@dataclass(frozen=True)
class Happened:
    """One thing that happened to a message, or will. ``kind``: of the sentence; ``nth``: of the try it belongs to, 0 for none."""

    kind: str
    purpose: str
    at: datetime
    channel: str = ""
    provider: str = ""
    cause: Cause | None = None
    nth: int = 0
    other: str = ""
    """The next channel, or the provider before."""
    change: str = ""
    """Why another provider carries the channel."""


def story(purpose: str, steps: Sequence[Step], history: History, changes: Sequence[Change]) -> list[Happened]:
    """Everything about the message of a purpose, in order."""
    sent = next((s for s in history.sent if s.purpose == purpose), None)
    planned = next((p for p in history.planned if p.purpose == purpose), None)
    known = _with_ledger([s for s in steps if s.purpose == purpose], sent)
    waiting = planned if planned is not None and planned.waiting else None
    tries = sum(s.state == "claimed" for s in known)
    told = list(_walk(known, waiting, changes))
    if tries and waiting is not None:
        told.append(Happened("next_try", purpose, waiting.at, waiting.channel))
    elif planned is not None and _as_planned(known):
        told.insert(0, Happened(_plan(planned, history), purpose, planned.at, planned.channel))
    elif planned is None and not told:
        told += _no_reminder(purpose, history)
    return told if tries > 1 else [replace(h, nth=0) for h in told]


def _as_planned(known: Sequence[Step]) -> bool:
    """Whether the due row still has the moment that was planned: with every try that is put back it moves to the next."""
    claimed = [s for s in known if s.state == "claimed"]
    return not claimed or (len(claimed) == 1 and not claimed[0].reason and not any(s.state in ("released", "withdrawn") for s in known))


def _plan(planned: Planned, history: History) -> str:
    if planned.purpose == "reminder" and planned.waiting:
        if history.answered:
            return "moot_answered"
        if history.reopened_at is not None:
            return "moot_reopened"
    return "planned"


def _no_reminder(purpose: str, history: History) -> Iterator[Happened]:
    """Why nobody is reminded who was asked."""
    invitation = next((p for p in history.planned if p.purpose == "invitation"), None)
    if purpose == "reminder" and history.outcome == "asked" and invitation is not None:
        kind = "no_reminder_unknown" if invitation.reminds else "no_reminder"
        yield Happened(kind, purpose, invitation.at, invitation.channel)


# --- what the ledger knows before the facts


def _with_ledger(steps: Sequence[Step], sent: Sent | None) -> list[Step]:
    """The steps, and those that the ledger alone knows (yet)."""
    if sent is None:
        return list(steps)
    found = list(steps)
    claimed = next((n for n, s in enumerate(found) if s.state == "claimed" and s.at == sent.claimed_at), None)
    if claimed is None:
        claimed = len(found)
        found.append(_step(sent, "claimed", sent.claimed_at))
    if sent.state == "claimed" and not found[claimed].reason:
        # While a message is under way, its row still says how the try before ended.
        found[claimed] = replace(found[claimed], reason=sent.reason or "", code=sent.code or "")
    state = _ended(sent)
    known = {s.state for s in found[claimed:]} | ({"released"} if any(s.state == "failed" for s in found[claimed:]) else set())
    if state is not None and state not in known:
        step = _step(sent, state, sent.settled_at or sent.claimed_at)
        if state == sent.state:
            step = replace(step, reason=sent.reason or "", code=sent.code or "")
        found.insert(claimed + 1, step)
    return found


def _step(sent: Sent, state: str, at: datetime) -> Step:
    return Step(sent.purpose, state, at, sent.channel, sent.provider or "", "", "")


def _ended(sent: Sent) -> str | None:
    """How its last try ended. What was heard of it later has its moment in the facts only."""
    reported = sent.state == "delivered" or (sent.state == "failed" and sent.reason is None) or sent.reason == "no_receipt"
    return None if sent.state == "claimed" else "handed_over" if reported else sent.state


# --- try after try


def _walk(steps: Sequence[Step], waiting: Planned | None, changes: Sequence[Change]) -> Iterator[Happened]:
    last: Step | None = None
    open_, nth, handed = False, 0, False
    for n, step in enumerate(steps):
        if step.state == "claimed":
            if last is not None:
                yield from [_put_back(last, last.at, nth, cause(step.reason, step.code), step.channel)] if open_ else []
                yield from _moved(last, step.channel, step.at, changes)
            last, open_, nth, handed = step, True, nth + 1, False
            yield Happened("claimed", step.purpose, step.at, step.channel, step.provider, nth=nth)
            continue
        following = next((s.channel for s in steps[n + 1 :] if s.state == "claimed"), waiting.channel if waiting else None)
        if last is not None and (step.state == "released" or (step.state == "failed" and not handed and following is not None)):
            yield _put_back(last, step.at, nth, cause(step.reason, step.code), following or last.channel)
            open_ = False
            continue
        if step.state == "withdrawn" and open_ and last is not None:
            yield _put_back(last, last.at, nth, None, last.channel)
        open_ = open_ and step.state not in (*_ENDS, "withdrawn")
        yield _told(step, last, nth, handed)
        handed = handed or step.state == "handed_over"
    if last is not None and waiting is not None:
        yield from _moved(last, waiting.channel, None, changes)


def _put_back(last: Step, at: datetime, nth: int, why: Cause | None, channel: str) -> Happened:
    """A try that surely was not accepted. Another channel is taken only where this one refused for good."""
    other = channel if channel != last.channel else ""
    return Happened("next_channel" if other else "released", last.purpose, at, last.channel, last.provider, why, nth, other)


def _moved(last: Step, channel: str, until: datetime | None, changes: Sequence[Change]) -> Iterator[Happened]:
    """Who carried the channel instead since the last try."""
    for c in changes:
        if c.channel == last.channel == channel and last.at <= c.at and (until is None or c.at <= until):
            yield Happened("provider_changed", last.purpose, c.at, c.channel, c.provider, other=c.before, change=c.reason)


def _told(step: Step, last: Step | None, nth: int, handed: bool) -> Happened:
    """What a fact says; where it names no channel or provider, those of its try."""
    kind = step.state
    if handed and kind == "failed":
        kind = "undelivered"
    elif handed and kind == "unknown":
        kind = "unheard"
    tried = last if kind not in ("due", "withdrawn", "expired") else None
    channel = step.channel or (tried.channel if tried else "")
    provider = step.provider or (tried.provider if tried else "")
    return Happened(kind, step.purpose, step.at, channel, provider, cause(step.reason, step.code), nth if tried else 0)
