"""Who carries each channel: shown, and changed by a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dashboard.operations import Carrier
from hailong.domain.units import LOCAL
from hailong.domain.ways import Way
from hailong.ports import Invalid, Publisher
from ops.wiring import Wiring
from sinks.ledger import Ledger, LedgerReader
from sinks.ledger.budgeting import AUTOMATIC, BY_HAND

LATELY: Final = timedelta(minutes=10)


def carriers(w: Wiring, reader: LedgerReader, now: datetime, real_now: datetime) -> list[Carrier]:
    """Every channel that is set up."""
    day, live = now.astimezone(LOCAL).date(), reader.live_channels()
    found = []
    for channel, way in w.ways.items():
        using, change = reader.provider_of(channel), reader.last_change(channel)
        lately, switch = reader.lately(using, real_now - LATELY), live.get(channel)
        held = w.out.may_leave(channel, using, switch is not None)
        found.append(
            Carrier(
                channel=channel, mode=w.out.reach.mode(channel), held=held, live_since=switch.at if switch else None,
                live_by=switch.by if switch else None, main=way.main, reserve=way.reserve, now=using,
                since=change.at if change else None, why=change.reason if change else None, by=change.by if change else None,
                taken=lately.taken, refused=lately.refused, slow=lately.slow, rate=w.tools.rates.get(using),
                turns=reader.turns_left(using, real_now), cost_today=reader.cost_of(using, day),
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class Hand:
    """Who changes something: a login, and who sat at the keyboard; when, in real time."""

    login: str
    actor: str
    at: datetime


def use(w: Wiring, ledger: Ledger, publisher: Publisher, channel: str, provider: str | None, by: Hand) -> str:
    """From now on a provider carries a channel until a person says otherwise; None: the choice is hailong's again, from the one it has.

    Who carries it now. Raises Invalid, and Retryable when the fact could not be published: it is written, and is published later.
    """
    way = _way(w, channel)
    with ledger.begin() as tx:
        chosen = provider or tx.provider_of(channel)
        if chosen not in (way.main, way.reserve):
            raise Invalid("unknown", "provider", f"{channel} is carried by {way.main} or {way.reserve}; name one of them")
        fact = tx.use_provider(channel, chosen, BY_HAND if provider else AUTOMATIC, by.login, w.clock.now(), by.at)
        detail = {"by": by.login, "provider": chosen, "before": fact.before, "automatic": provider is None}
        tx.audited(by.actor, "provider_switched", f"channel:{channel}", detail)
    publisher.publish([row.record for row in tx.written])
    ledger.published([row.id for row in tx.written])
    return chosen


def _way(w: Wiring, channel: str) -> Way:
    way = w.ways.get(channel)
    if way is None:
        raise Invalid("unknown", "channel", f"channels here are {', '.join(w.ways)}")
    if way.reserve is None:
        raise Invalid("no_reserve", "channel", f"{channel} has one provider, {way.main}. Name a reserve in HAILONG_RESERVES first")
    return way
