"""Why a dossier is asked about or not, and what became of it, in sentences: every rule with what it looked at, then each step.

Contacts, answers and the moment of an answer do not stand here: the moment would lead to the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from hailong.domain import draw as lots
from hailong.domain.asking import Check, Known, checks
from hailong.domain.hours import local, midnight
from hailong.domain.rulebook import RulebookError, Rules
from hailong.events import DossierClosed, SurveyDecided
from hailong.telemetry import blot
from ops.wiring import Wiring
from sinks.clickhouse.drawing import Draws, Step
from sinks.ledger.drawing import History
from web import numbers
from web.pages import texts

WORDS: Final = Path(__file__).parent / "why"
_WORDED: Final = frozenset({"outcome", "applicant_type", "submitted_by", "reach", "channel", "preferred", "refused", "order"})
_PURPOSES: Final = ("invitation", "reminder")


@dataclass(frozen=True)
class Told:
    """What is known of a dossier."""

    history: History
    decisions: tuple[SurveyDecided, ...]
    """The oldest first."""
    ending: DossierClosed | None
    """That the newest decision is about."""
    checks: tuple[Check, ...]
    """Every rule, as it was when that was decided; none where they cannot be made again."""
    why_no_checks: str | None
    """``no_rules`` or ``no_inputs``."""
    steps: tuple[Step, ...]


def told(wiring: Wiring, draws: Draws, history: History) -> Told:
    """Everything about a dossier, from ledger and ClickHouse. Raises Retryable, Permanent."""
    found = history.found
    decisions = [said for said, _ in draws.decisions_of(found.dossier_ref, local(found.taken_at).date())]
    newest = decisions[-1] if decisions else None
    endings = {f"decided:{ending.event_id}": ending for ending in draws.endings_of(found.dossier_ref)}
    ending = endings.get(newest.event_id) if newest else None
    made, why_not = _checks(wiring, newest, ending)
    return Told(history, tuple(decisions), ending, tuple(made), why_not, tuple(_steps(draws.steps(found.survey_id), history)))


def _checks(wiring: Wiring, said: SurveyDecided | None, ending: DossierClosed | None) -> tuple[list[Check], str | None]:
    if said is None:
        return [], None
    if ending is None:
        return [], "no_inputs"
    rules = _rules_of(wiring, said)
    if rules is None:
        return [], "no_rules"
    try:
        known = Known.of(said.inputs)
    except (KeyError, TypeError, ValueError):
        return [], "no_inputs"

    def draw(purpose: str) -> float:
        return said.draw if purpose == lots.SAMPLE else wiring.draw(ending.heard_on, said.dossier_ref, purpose)

    return checks(ending, known, midnight(said.decided_on), rules, draw), None


def _rules_of(wiring: Wiring, said: SurveyDecided) -> Rules | None:
    """Those that decided; None when they are not in the book, or say something else by now."""
    try:
        rules = wiring.rules(said.decided_on)
    except RulebookError:
        return None
    same = rules.version == said.rules_version and said.inputs.get("rules_digest", rules.digest[:16]) == rules.digest[:16]
    return rules if same else None


def _steps(steps: Sequence[Step], history: History) -> list[Step]:
    """Those of the facts, and where the ledger is ahead of them, what it says."""
    made = list(steps)
    seen = {(step.purpose, step.state) for step in steps}
    for sent in history.sent:
        if (sent.purpose, sent.state) not in seen:
            at = sent.settled_at or sent.claimed_at
            made.append(Step(sent.purpose, sent.state, at, sent.channel, sent.provider or "", sent.code or "", sent.reason or ""))
    return sorted(made, key=lambda step: (_PURPOSES.index(step.purpose), step.at))


# --- in words -------------------------------------------------------------------------------------------------------------------


class Sentences:
    """The words of one language. Raises ValueError when a language lacks what another says."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._words: Mapping[str, Any] = texts(WORDS)[lang]

    def document(self, said: Told) -> dict[str, Any]:
        """As ``hailong why --json`` has it; each part with its sentence."""
        history, newest = said.history, said.decisions[-1] if said.decisions else None
        return {
            "source": history.found.source,
            "dossier_ref": history.found.dossier_ref,
            "outcome": history.outcome,
            "reason": history.reason,
            "heads": self._heads(said),
            "decision": _decision(newest) if newest else None,
            "checks": [self._check_json(check) for check in said.checks],
            "steps": [step for purpose in _PURPOSES for step in self._of_message(purpose, said)],
            "ends": self._ends(history),
            "answered": history.answered,
        }

    def lines(self, document: Mapping[str, Any]) -> list[str]:
        """The document as lines for a person."""
        marks = self._words["marks"]
        rules = [f"{marks['passed' if check['passed'] else 'failed']} {check['sentence']}" for check in document["checks"]]
        return [*document["heads"], *rules, *(step["sentence"] for step in document["steps"]), *document["ends"]]

    def check(self, check: Check) -> str:
        """The sentence of one rule."""
        name = check.reason or ("passed_before" if check.rule == "cap" and "asked_on" in check.detail else "passed")
        text: str = self._words["checks"][check.rule][name]
        return text.format(**{key: self._value(key, value) for key, value in check.detail.items()})

    def step(self, step: Step) -> str:
        """The sentence of one step of a message."""
        words = self._words["steps"]
        reason = self.reason(step.reason) if step.reason else step.code
        said = {
            "purpose": self._word(step.purpose), "at": self._moment(step.at), "channel": self._word(step.channel),
            "provider": step.provider or self._words["unknown"], "because": words["because"].format(reason=reason) if reason else "",
        }  # fmt: skip
        return str(words[step.state]).format(**said)

    def reason(self, reason: str | None) -> str:
        """A reason in words; one that no list knows as it is, without what looks like a number or an address."""
        return str(self._words["reasons"].get(reason) or blot(reason or self._words["none"]))

    def _heads(self, said: Told) -> list[str]:
        words, history = self._words, said.history
        lines = [words["title"].format(source=history.found.source)]
        if said.ending is not None:
            days = {"ended_on": self._day(said.ending.ended_on), "heard_on": self._day(said.ending.heard_on)}
            lines.append(words["about"].format(**days, unit=said.ending.receiving_unit))
        lines += [self._earlier(one) for one in said.decisions[:-1]]
        lines += self._decided(said.decisions[-1]) if said.decisions else [words["not_decided"].format(state=self.reason(history.reason))]
        if said.why_no_checks is not None and said.decisions:
            lines.append(words[said.why_no_checks].format(rules_version=said.decisions[-1].rules_version))
        return lines

    def _decided(self, said: SurveyDecided) -> list[str]:
        words = self._words
        facts = {"decided_on": self._day(said.decided_on), "rules_version": said.rules_version, "reason": self.reason(said.reason)}
        lines = [words["decided_asked" if said.asked else "decided_not"].format(**facts)]
        lines += [words["decided_weight"].format(weight=said.weight)] if said.weight > 1 else []
        lines += [words["drawn"].format(seed_day=self._day(said.seed_day), draw=self._draw(said.draw))] if said.seed_day else []
        arms = ", ".join(f"{name} = {arm}" for name, arm in sorted(said.arms.items()))
        return lines + ([words["arms"].format(arms=arms)] if arms else [])

    def _earlier(self, said: SurveyDecided) -> str:
        result = self._words["asked"] if said.asked else self.reason(said.reason)
        return str(self._words["earlier"]).format(decided_on=self._day(said.decided_on), result=result)

    def _ends(self, history: History) -> list[str]:
        words = self._words
        lines = [words[f"now_{history.outcome}"].format(reason=self.reason(history.reason))]
        moments = {"rests_until": history.rests_until, "reopened": history.reopened_at, "expires": history.expires_at}
        lines += [words[name].format(at=self._moment(at)) for name, at in moments.items() if at is not None]
        return [*lines, words["answered_yes" if history.answered else "answered_no"]]

    def _check_json(self, check: Check) -> dict[str, Any]:
        said = {"rule": check.rule, "passed": check.passed, "reason": check.reason, "detail": dict(check.detail)}
        return {**said, "sentence": self.check(check)}

    def _step_json(self, step: Step) -> dict[str, Any]:
        said = {
            "step": step.state, "purpose": step.purpose, "at": local(step.at), "channel": step.channel or None,
            "provider": step.provider or None, "code": step.code or None, "reason": blot(step.reason) or None,
        }  # fmt: skip
        return {**said, "sentence": self.step(step)}

    def _of_message(self, purpose: str, said: Told) -> Iterator[dict[str, Any]]:
        """What was planned, then what happened."""
        yield from (self._planned(p.purpose, p.at, p.channel) for p in said.history.planned if p.purpose == purpose)
        yield from (self._step_json(step) for step in said.steps if step.purpose == purpose)

    def _planned(self, purpose: str, at: datetime, channel: str) -> dict[str, Any]:
        said = {"purpose": self._word(purpose), "at": self._moment(at), "channel": self._word(channel)}
        sentence = self._words["steps"]["planned"].format(**said)
        return {"step": "planned", "purpose": purpose, "at": local(at), "channel": channel, "sentence": sentence}

    # --- values

    def _value(self, key: str, value: object) -> str:
        if key in _WORDED:
            return ", ".join(self._word(one) for one in str(value).split()) or str(self._words["none"])
        if key == "draw" and isinstance(value, float):
            return self._draw(value)
        if key == "share" and isinstance(value, float):
            return numbers.percent(value, self._lang)
        if key == "procedure" and value == "unknown":
            return str(self._words["unknown"])
        try:
            return self._day(date.fromisoformat(value)) if isinstance(value, str) else str(value)
        except ValueError:
            return str(value)

    def _word(self, word: str) -> str:
        return str(self._words["words"].get(word, word))

    def _day(self, day: date | None) -> str:
        return numbers.day(day, self._lang) if day is not None else str(self._words["none"])

    def _moment(self, at: datetime) -> str:
        here = local(at)
        return f"{here:%H:%M} {self._day(here.date())}"

    def _draw(self, draw: float) -> str:
        said = f"{draw:.4f}"
        return said.replace(".", ",") if self._lang == "vi" else said


def _decision(said: SurveyDecided) -> dict[str, Any]:
    return {
        "decided_on": said.decided_on, "asked": said.asked, "reason": said.reason, "rules_version": said.rules_version,
        "rules_digest": said.inputs.get("rules_digest"), "seed_day": said.seed_day, "draw": said.draw, "arms": said.arms,
        "weight": said.weight,
    }  # fmt: skip
