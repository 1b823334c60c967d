"""Why a dossier is asked about or not, and what became of it, in sentences: every rule with what it looked at, then each step.

Contacts, answers and the moment of an answer do not stand here: the moment would lead to the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, cast

from hailong.domain import draw as lots
from hailong.domain.asking import Check, Known, checks
from hailong.domain.hours import local, midnight
from hailong.domain.rulebook import RulebookError, Rules
from hailong.events import DossierClosed, MessageChannel, SurveyDecided
from ops.causes import Cause
from ops.trying import STATES, Happened, story
from ops.wiring import Wiring
from sinks.clickhouse.drawing import Change, Draws, Step
from sinks.ledger.drawing import History, Rest
from web import numbers
from web.pages import texts

WORDS: Final = Path(__file__).parent / "why"
_WORDED: Final = frozenset({"outcome", "applicant_type", "submitted_by", "reach", "channel", "preferred", "refused", "order"})
_PURPOSES: Final = ("invitation", "reminder")
_MANY: Final = 4
"""So many tries in a row that ended alike are one line."""


@dataclass(frozen=True)
class Told:
    """What is known of a dossier."""

    history: History
    decisions: tuple[SurveyDecided, ...]
    """The oldest first."""
    ending: DossierClosed | None
    """That the newest decision is about, or that waits for one."""
    checks: tuple[Check, ...]
    """Every rule, as it was when that was decided, or as it is now for what rests; none where they cannot be made again."""
    why_no_checks: str | None
    """``no_rules`` or ``no_inputs``."""
    steps: tuple[Step, ...]
    changes: tuple[Change, ...] = ()
    """Of providers, since the first try."""
    rules_now: str = ""
    """The version by which a dossier that rests was looked at."""

    @property
    def newest(self) -> SurveyDecided | None:
        """The decision that holds; none while a dossier rests, whatever was decided about an ending before."""
        return self.decisions[-1] if self.decisions and self.history.rest is None else None

    @property
    def earlier(self) -> tuple[SurveyDecided, ...]:
        """Those that hold no more."""
        return self.decisions[:-1] if self.newest is not None else self.decisions


def told(wiring: Wiring, draws: Draws, history: History) -> Told:
    """Everything about a dossier, from ledger and ClickHouse. Raises Retryable, Permanent."""
    found = history.found
    decisions = tuple(said for said, _ in draws.decisions_of(found.dossier_ref, local(found.taken_at).date()))
    steps = tuple(draws.steps(found.survey_id))
    tries = [s.at for s in steps if s.state == "claimed"] + [s.claimed_at for s in history.sent]
    changes = tuple(draws.changes(min(tries))) if tries else ()
    if history.rest is not None:
        rules = wiring.rules(local(wiring.clock.now()).date())
        held = tuple(_checks_of_rest(wiring, history.rest, rules, found.dossier_ref))
        return Told(history, decisions, history.rest.ending, held, None, steps, changes, rules.version)
    newest = decisions[-1] if decisions else None
    endings = {f"decided:{ending.event_id}": ending for ending in draws.endings_of(found.dossier_ref)}
    ending = endings.get(newest.event_id) if newest else None
    made, why_not = _checks(wiring, newest, ending)
    return Told(history, decisions, ending, tuple(made), why_not, steps, changes)


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


def _checks_of_rest(wiring: Wiring, rest: Rest, rules: Rules, dossier_ref: str) -> list[Check]:
    """What would be decided now: the rest is one of the rules."""
    now = wiring.clock.now()
    with wiring.ledger("cli").read() as reader:
        catalogue = reader.catalogue()
    known = Known(
        reach=tuple(cast(MessageChannel, c) for c in rest.reach if c in wiring.ways),
        unit_endings=rest.unit_endings,
        refused=frozenset(cast(MessageChannel, c) for c in rest.refused),
        preferred_channel=cast(MessageChannel | None, rest.preferred),
        opted_out=rest.opted_out,
        asked_at=rest.asked_at,
        test=rest.test,
        minor=rest.minor,
        sensitive=catalogue.sensitive(rest.ending.procedure_code_national, rest.ending.ended_on, local(now).date()),
    )
    return checks(rest.ending, known, now, rules, lambda purpose: wiring.draw(rest.ending.heard_on, dossier_ref, purpose))


def _rules_of(wiring: Wiring, said: SurveyDecided) -> Rules | None:
    """Those that decided; None when they are not in the book, or say something else by now."""
    try:
        rules = wiring.rules(said.decided_on)
    except RulebookError:
        return None
    same = rules.version == said.rules_version and said.inputs.get("rules_digest", rules.digest[:16]) == rules.digest[:16]
    return rules if same else None


# --- in words -------------------------------------------------------------------------------------------------------------------


class Sentences:
    """The words of one language. Raises ValueError when a language lacks what another says."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._words: Mapping[str, Any] = texts(WORDS)[lang]

    @property
    def office_only(self) -> str:
        """For whom all this is."""
        return str(self._words["office_only"])

    def document(self, said: Told) -> dict[str, Any]:
        """As ``hailong why --json`` has it; each part with its sentence."""
        history = said.history
        return {
            "source": history.found.source,
            "dossier_ref": history.found.dossier_ref,
            "outcome": history.outcome,
            "reason": history.reason,
            "heads": self._heads(said),
            "decision": _decision(said.newest) if said.newest else None,
            "rests": _rests(history),
            "checks": [self._check_json(check) for check in said.checks],
            "steps": [self._step_json(one) for purpose in _PURPOSES for one in story(purpose, said.steps, history, said.changes)],
            "ends": self._ends(history),
            "answered": history.answered,
        }

    def lines(self, document: Mapping[str, Any]) -> list[str]:
        """The document as lines for a person."""
        marks = self._words["marks"]
        rules = [f"{marks['passed' if check['passed'] else 'failed']} {check['sentence']}" for check in document["checks"]]
        return [*document["heads"], *rules, *self._short(document["steps"]), *document["ends"]]

    def check(self, check: Check) -> str:
        """The sentence of one rule."""
        name = check.reason or ("passed_before" if check.rule == "cap" and "asked_on" in check.detail else "passed")
        text: str = self._words["checks"][check.rule][name]
        return text.format(**{key: self._value(key, value) for key, value in check.detail.items()})

    def happened(self, one: Happened) -> str:
        """The sentence of one thing that happened to a message."""
        words = self._words
        message = self._word(one.purpose)
        change = str(words["changes"].get(one.change) or words["changes"]["other"]).format(before=one.other)
        said = {
            "message": words["nth"].format(message=message, nth=one.nth) if one.nth else message,
            "at": self._moment(one.at), "channel": self._word(one.channel), "provider": one.provider or words["unknown"],
            "other": self._word(one.other), "because": self._because(one), "change": change,
        }  # fmt: skip
        return str(words["steps"][one.kind]).format(**said)

    def reason(self, reason: str | None) -> str:
        """A reason in words; one that no list knows by a sentence that says so, never as it came."""
        reasons = self._words["reasons"]
        return str(reasons.get(reason) or (reasons["other"] if reason else self._words["none"]))

    def cause(self, cause: Cause) -> str:
        """Why a message could not be handed over, with the provider's code."""
        said = self.reason(cause.word)
        words = self._words
        if cause.code:
            said = words["with_code"].format(reason=said, code=cause.code)
        return str(words["given_up"].format(tries=cause.tries, reason=said) if cause.tries else said)

    def _because(self, one: Happened) -> str:
        if one.cause is not None:
            return str(self._words["because"].format(reason=self.cause(one.cause)))
        return str(self._words["unkept"]) if one.kind in ("released", "next_channel") else ""

    # --- what stands before the rules and after the steps

    def _heads(self, said: Told) -> list[str]:
        words, history = self._words, said.history
        lines = [words["title"].format(source=history.found.source)]
        if said.ending is not None:
            days = {"ended_on": self._day(said.ending.ended_on), "heard_on": self._day(said.ending.heard_on)}
            lines.append(words["about"].format(**days, unit=said.ending.receiving_unit))
        lines += [self._earlier(one) for one in said.earlier]
        if said.newest is not None:
            return [*lines, *self._rested(said.newest, history), *self._decided(said.newest), *self._no_checks(said.newest, said)]
        if history.rest is None or history.rests_until is None:
            state = self.reason(history.reason) if history.reason else words["asked"]
            return [*lines, words["not_decided"].format(state=state)]
        asked = self._day(local(history.rest.asked_at).date()) if history.rest.asked_at else words["unknown"]
        until = self._day(local(history.rests_until).date())
        return [*lines, words["rests"].format(asked_on=asked, until=until), words["rules_now"].format(rules_version=said.rules_now)]

    def _no_checks(self, newest: SurveyDecided, said: Told) -> list[str]:
        return [self._words[said.why_no_checks].format(rules_version=newest.rules_version)] if said.why_no_checks else []

    def _rested(self, said: SurveyDecided, history: History) -> list[str]:
        """That it waited for its turn before it was decided, and for what."""
        asked_on, until = said.inputs.get("asked_on"), history.rests_until
        if until is None or asked_on is None or local(until).date() > said.decided_on:
            return []
        days = {"asked_on": self._value("asked_on", asked_on), "until": self._day(local(until).date())}
        return [self._words["rested"].format(**days)]

    def _decided(self, said: SurveyDecided) -> list[str]:
        words = self._words
        facts = {"decided_on": self._day(said.decided_on), "rules_version": said.rules_version, "reason": self.reason(said.reason)}
        lines = [words["decided_asked" if said.asked else "decided_not"].format(**facts)]
        if (bound := said.inputs.get("bound_by")) in ("number", "person"):
            lines.append(words[f"bound_by_{bound}"])
        lines += [words["decided_weight"].format(weight=said.weight)] if said.weight > 1 else []
        lines += [words["drawn"].format(seed_day=self._day(said.seed_day), draw=self._draw(said.draw))] if said.seed_day else []
        arms = ", ".join(self._arm(name, arm) for name, arm in sorted(said.arms.items()))
        return lines + ([words["arms"].format(arms=arms)] if arms else [])

    def _earlier(self, said: SurveyDecided) -> str:
        result = self._words["asked"] if said.asked else self.reason(said.reason)
        return str(self._words["earlier"]).format(decided_on=self._day(said.decided_on), result=result)

    def _ends(self, history: History) -> list[str]:
        words = self._words
        now = "now_asked_unknown" if (history.outcome, history.reason) == ("asked", "unknown") else f"now_{history.outcome}"
        lines = [words[now].format(reason=self.reason(history.reason))]
        rests_until = history.rests_until if history.rest is not None else None
        moments = {"rests_until": rests_until, "reopened": history.reopened_at, "expires": history.expires_at}
        lines += [words[name].format(at=self._moment(at)) for name, at in moments.items() if at is not None]
        return [*lines, words["answered_yes" if history.answered else "answered_no"]]

    def _check_json(self, check: Check) -> dict[str, Any]:
        said = {"rule": check.rule, "passed": check.passed, "reason": check.reason, "detail": dict(check.detail)}
        return {**said, "sentence": self.check(check)}

    # --- steps

    def _step_json(self, one: Happened) -> dict[str, Any]:
        said = {
            "step": STATES.get(one.kind, one.kind), "purpose": one.purpose, "try": one.nth or None, "at": local(one.at),
            "channel": one.channel or None, "provider": one.provider or None, "code": (one.cause.code if one.cause else "") or None,
            "reason": one.change or (one.cause.word if one.cause else None),
        }  # fmt: skip
        return {**said, "sentence": self.happened(one)}

    def _short(self, steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Their sentences; many tries in a row that ended alike are one."""
        for key, group in groupby(_tries(steps), key=_alike):
            pairs = list(group)
            if key is None or len(pairs) < _MANY:
                yield from (step["sentence"] for pair in pairs for step in pair)
            else:
                yield self._many(pairs)

    def _many(self, pairs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
        (first, ended), (last, _) = pairs[0], pairs[-1]
        why = Cause(ended["reason"], ended["code"] or "") if ended["reason"] else None
        one = Happened("released", first["purpose"], first["at"], first["channel"] or "", first["provider"] or "", why)
        said = {
            "message": self._word(one.purpose), "first": first["try"], "last": last["try"], "since": self._moment(one.at),
            "until": self._moment(last["at"]), "channel": self._word(one.channel), "provider": one.provider or self._words["unknown"],
            "because": self._because(one),
        }  # fmt: skip
        return str(self._words["steps"]["released_many"]).format(**said)

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

    def _arm(self, name: str, arm: str) -> str:
        said = self._words["experiments"].get(name, name)
        return f"{said} = {self._words['arm_names'].get(arm) or self._word(arm)}"

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


def _rests(history: History) -> dict[str, Any] | None:
    """Since whose asking a dossier waits, and until when."""
    if history.rest is None or history.rests_until is None:
        return None
    asked = local(history.rest.asked_at).date() if history.rest.asked_at else None
    return {"asked_on": asked, "until": local(history.rests_until).date()}


def _tries(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """A try that was put back and what became of it together, anything else by itself."""
    rest = list(steps)
    while rest:
        n = 2 if len(rest) > 1 and (rest[0]["step"], rest[1]["step"]) == ("claimed", "released") else 1
        yield tuple(rest[:n])
        del rest[:n]


def _alike(pair: Sequence[Mapping[str, Any]]) -> tuple[Any, ...] | None:
    """What tries have in common that ended alike; None for anything else."""
    if len(pair) < 2:
        return None
    return tuple(pair[1][name] for name in ("purpose", "channel", "provider", "reason", "code"))
