"""Answer rates of the arms of experiments, out of the ledger: the page's source and the command's alike."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from hailong.domain.arms import Report, changes, experiments
from hailong.domain.units import LOCAL
from ops.wiring import Wiring
from sinks.ledger import Ledger

SHOWN: Final = timedelta(days=90)


def report(wiring: Wiring, ledger: Ledger, first: date | None = None, until: date | None = None) -> Report:
    """Of a period of asking, local days, both ends included; without them the last 90 days.

    Raises Retryable; RulebookError or SettingError where the rules cannot be read.
    """
    now = wiring.clock.now()
    until = until or now.astimezone(LOCAL).date()
    with ledger.read() as reader:
        first = first or until - SHOWN
        tallies = reader.arms(now, first, until)
    return Report(first, until, changes(wiring.rulebook.versions, first, until), experiments(tallies))
