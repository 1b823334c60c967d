"""dashboard.waiting.Lists on the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sinks.ledger.engine import Ledger
from sinks.ledger.holding import CallBack, HeldAnswer, Verdict, Word


class OfficeLists:
    """What waits for the quality office. Every method raises Retryable."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def held(self) -> Sequence[HeldAnswer]:
        with self._ledger.read() as reader:
            return reader.held_answers()

    def judge(self, survey_id: str, verdict: str, by: str, now: datetime) -> bool:
        with self._ledger.begin() as tx:
            return tx.judge_held(survey_id, cast(Verdict, verdict), by, now)

    def call_backs(self) -> Sequence[CallBack]:
        with self._ledger.read() as reader:
            return reader.call_backs()

    def number(self, survey_id: str, by: str) -> str | None:
        with self._ledger.begin() as tx:
            return tx.number_of(survey_id, by)

    def called(self, survey_id: str, outcome: str, by: str, now: datetime) -> bool:
        with self._ledger.begin() as tx:
            return tx.called_back(survey_id, outcome, by, now)

    def words(self, by: str) -> Sequence[Word]:
        with self._ledger.begin() as tx:
            return tx.read_words(by)
