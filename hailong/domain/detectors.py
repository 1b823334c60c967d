"""Who judges: detectors of one unit each, behind one port, and the judge that feeds them from the counted records.

Pure, without clock or chance: the only time is the record's ``counted_at``, so a replay gives the same alerts bit for bit.
The records that change a detector without being an answer (``control``) carry, by ``kind``:

- ``unit``, ``target``: the fields of ``UnitChanged`` and ``TargetChanged``;
- ``fixed``: ``unit`` and ``alert_id``;
- ``day``: nothing; it comes once a local day, so that windows move on where nobody answers;
- a ``retraction`` with reason ``erased`` carries ``counted_on`` (local day, ISO) of the answer it takes back, beside its ``score``.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final, Literal, Protocol, TypeVar

import msgspec

from hailong.domain.alert_sentences import Evidence, sentences
from hailong.domain.scoring import SATISFIED, rate, wilson
from hailong.domain.units import LOCAL, Registry, Targets
from hailong.events import AlertChanged, CaseChanged, Fact, SurveyCounted, TargetChanged, UnitChanged
from hailong.ports import Invalid

WINDOW_DAYS: Final = 90
WIDEST_DAYS: Final = 365
ENOUGH: Final = 30
CASES_REMEMBERED_DAYS: Final = 400
REASONS: Final = "Q7"
CHARGES: Final = "charges"
CALL_BACK: Final = "Q9"

ObservedKind = Literal["answer", "erased", "fixed", "day"]
StepState = Literal["raised", "cleared", "settled"]
CaseKind = Literal["charges", "callback"]


@dataclass(frozen=True)
class Observed:
    """What a detector learns of its unit."""

    seq: int
    day: date
    """Local day of counting; never falls along ``seq``."""
    kind: ObservedKind
    unit: str
    target: float
    satisfied: bool = False
    of_day: date | None = None
    """The day an erased answer was counted on."""
    alert_id: str = ""
    """The alert that was declared fixed."""


@dataclass(frozen=True)
class Step:
    """A step of an alert, with what it stands on."""

    state: StepState
    alert_id: str
    version: int
    evidence: Evidence


class Detector(Protocol):
    """Judges one unit from its own state."""

    kind: str

    def observe(self, state: bytes | None, record: Observed) -> tuple[bytes, list[Step]]:
        """The state after ``record`` (None: nothing known yet) and the steps it causes. Deterministic; at most one step a record."""
        ...


def identity(*parts: object) -> str:
    """An id that follows from what it names: 32 hex digits."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _Window:
    n: int
    satisfied: int
    since: date


class _Daily:
    """Answers by day, and the open alert. Packed: 16 bytes of the alert's id (zeros: none), then per day its ordinal, its answers and
    its satisfied ones as little-endian unsigned 32-bit integers: read and written without a step a number."""

    def __init__(self, state: bytes | None) -> None:
        self.alert = state[:16] if state else _NONE
        self.days = array("I", state[16:] if state else b"")
        if sys.byteorder == "big":
            self.days.byteswap()

    def pack(self) -> bytes:
        days = self.days
        if sys.byteorder == "big":
            days = array("I", days)
            days.byteswap()
        return self.alert + days.tobytes()

    def add(self, day: int, satisfied: bool) -> None:
        if not self.days or self.days[-3] != day:
            self.days.extend((day, 0, 0))
        self.days[-2] += 1
        self.days[-1] += satisfied

    def take_back(self, day: int, satisfied: bool) -> None:
        days = self.days
        i = 3 * bisect_left(days[0::3], day)
        if i < len(days) and days[i] == day and (days[i + 2] if satisfied else days[i + 1] - days[i + 2]) > 0:
            days[i + 1] -= 1
            days[i + 2] -= satisfied

    def forget_before(self, day: int) -> None:
        if self.days and self.days[0] < day:
            del self.days[: 3 * bisect_left(self.days[0::3], day)]

    def window(self, today: int) -> _Window:
        """The answers of the last 90 days; of as many more, up to 365, as it takes to have 30."""
        days = self.days
        first = today - WINDOW_DAYS + 1
        i = 3 * bisect_left(days[0::3], first)
        n, satisfied = sum(days[i + 1 :: 3]), sum(days[i + 2 :: 3])
        while n < ENOUGH and i > 0 and days[i - 3] > today - WIDEST_DAYS:
            i -= 3
            first = days[i]
            n += days[i + 1]
            satisfied += days[i + 2]
        return _Window(n, satisfied, date.fromordinal(first if n >= ENOUGH else today - WIDEST_DAYS + 1))


_NONE: Final = bytes(16)


class WilsonBelow:
    """Below the target: the whole Wilson interval (95 %, two-sided) lies under it.

    The window is the last 90 days, widened day by day up to 365 until it holds 30 answers. An alert is cleared when the rate of the
    window is at or above the target, and settled when fewer than 30 answers are left within 365 days.
    """

    kind = "below"

    def observe(self, state: bytes | None, record: Observed) -> tuple[bytes, list[Step]]:
        """See ``Detector``."""
        daily = _Daily(state)
        today = record.day.toordinal()
        if record.kind == "fixed":
            # Evidence from before the repair must not raise again; a late word about an older alert changes nothing.
            return (_Daily(None) if record.alert_id == daily.alert.hex() else daily).pack(), []
        if record.kind == "answer":
            daily.add(today, record.satisfied)
        elif record.kind == "erased":
            daily.take_back((record.of_day or record.day).toordinal(), record.satisfied)
        daily.forget_before(today - WIDEST_DAYS + 1)
        steps = self._judge(daily, record, today)
        return daily.pack(), steps

    def _judge(self, daily: _Daily, record: Observed, today: int) -> list[Step]:
        window = daily.window(today)
        share = rate(window.satisfied, window.n)
        low, high = wilson(window.satisfied, window.n)
        evidence = Evidence(window.n, window.satisfied, record.target, low, high, window.since, record.day)
        if daily.alert == _NONE:
            if window.n < ENOUGH or high >= record.target:
                return []
            alert_id = identity("alert", record.unit, self.kind, record.seq)
            daily.alert = bytes.fromhex(alert_id)
            return [Step("raised", alert_id, 1, evidence)]
        if window.n >= ENOUGH and share is not None and share < record.target:
            return []
        alert_id, daily.alert = daily.alert.hex(), _NONE
        return [Step("settled" if window.n < ENOUGH else "cleared", alert_id, 2, evidence)]


class _UnitState(msgspec.Struct, array_like=True):
    detector: bytes = b""
    cases: list[tuple[int, str]] = []
    """(day, hash of the survey) of the cases opened, so that a survey opens one."""


_PACK: Final = msgspec.msgpack.Encoder()
_UNIT: Final = msgspec.msgpack.Decoder(_UnitState)
_F = TypeVar("_F", bound=Fact)


class Judge:
    """Feeds the detectors of every unit and its ancestors from the counted records, in their order.

    Restored from ``dump()`` at any point it goes on exactly as if it had never stopped. After a failed save of ``changed()``
    make a new one from what was saved last.
    """

    def __init__(
        self, default_target: float, seq: int = 0, states: dict[str, bytes] | None = None, detector: Detector | None = None
    ) -> None:
        states = states or {}
        self.seq = seq
        self._detector = detector or WilsonBelow()
        self._registry = Registry.load(states["registry"]) if "registry" in states else Registry()
        self._targets = Targets.load(states["targets"], default_target) if "targets" in states else Targets(default_target)
        self._units = {key[5:]: _UNIT.decode(state) for key, state in states.items() if key.startswith("unit:")}
        self._touched: set[str] = set()

    def dump(self) -> dict[str, bytes]:
        """Everything, under the keys ``unit:CODE``, ``registry``, ``targets``."""
        return {key: self._packed(key) for key in ("registry", "targets", *(f"unit:{code}" for code in sorted(self._units)))}

    def changed(self) -> dict[str, bytes]:
        """What changed since the last call: what is to be saved together with ``seq``."""
        touched, self._touched = sorted(self._touched), set()
        return {key: self._packed(key) for key in touched}

    def _packed(self, key: str) -> bytes:
        if key == "registry":
            return self._registry.dump()
        return self._targets.dump() if key == "targets" else _PACK.encode(self._units[key[5:]])

    def apply(self, record: SurveyCounted) -> list[AlertChanged | CaseChanged]:
        """The facts that follow from ``record``, in their order. A record that is not the next one is not taken: ``seq`` stays.

        Raises Invalid for a control record that cannot be read; it is taken (``seq`` moves on) and changes nothing.
        """
        if record.seq != self.seq + 1:
            return []
        self.seq = record.seq
        day = record.counted_at.astimezone(LOCAL).date()
        if record.kind == "unit":
            self._registry.put(_fact(UnitChanged, record))
            self._touched.add("registry")
        elif record.kind == "target":
            self._targets.put(_fact(TargetChanged, record))
            self._touched.add("targets")
        elif record.kind == "fixed":
            return [*self._observe(_unit_of(record), record, day, "fixed")]
        elif record.kind == "day":
            return [fact for unit in sorted(self._units) for fact in self._observe(unit, record, day, "day")]
        else:
            return [*self._answer(record, day), *self._cases(record, day)]
        return []

    def _answer(self, record: SurveyCounted, day: date) -> list[AlertChanged]:
        erased = record.kind == "retraction" and record.reason == "erased"
        if record.about is None or record.revision or record.score is None or not (erased or record.kind == "answer"):
            return []
        if record.place == "desk":
            return []  # who answers at the desk answers otherwise
        # An erased answer leaves the units that got it: those of the day it was counted on.
        of_day = _counted_on(record) if erased else day
        chain = self._registry.chain(record.about.handling_unit, of_day)
        return [fact for code in chain for fact in self._observe(code, record, day, "erased" if erased else "answer", of_day)]

    def _observe(self, unit: str, record: SurveyCounted, day: date, kind: ObservedKind, of_day: date | None = None) -> list[AlertChanged]:
        state = self._units.setdefault(unit, _UnitState())
        target = self._targets.on(self._registry.chain(unit, day), day).value
        satisfied = record.score is not None and record.score >= SATISFIED
        alert_id = str(record.control.get("alert_id", ""))
        after, steps = self._detector.observe(
            state.detector or None, Observed(record.seq, day, kind, unit, target, satisfied, of_day, alert_id)
        )
        if after != state.detector:
            state.detector = after
            self._touched.add(f"unit:{unit}")
        return [self._alert(record, unit, step) for step in steps]

    def _alert(self, record: SurveyCounted, unit: str, step: Step) -> AlertChanged:
        e = step.evidence
        vi, en = sentences(step.state, self._registry.name(unit, e.until), e)
        return AlertChanged(
            event_id=identity("alert.changed", step.alert_id, step.version, step.state),
            registry_id=record.registry_id,
            alert_id=step.alert_id,
            version=step.version,
            state=step.state,
            kind=self._detector.kind,
            unit=unit,
            at=record.counted_at,
            by="judge",
            note="not enough answers" if step.state == "settled" else None,
            evidence_seq=record.seq,
            n=e.n,
            satisfied=e.satisfied,
            target=e.target,
            low=e.low,
            high=e.high,
            since=e.since,
            until=e.until,
            sentence_vi=vi,
            sentence_en=en,
        )

    def _cases(self, record: SurveyCounted, day: date) -> list[CaseChanged]:
        """A case for "charges beyond the rules" and one for a wish to be called back: each once a survey, named by unit, day and a number,
        so that it leads to no answer."""
        if record.about is None or record.kind not in ("answer", "detail"):
            return []
        reasons = record.answers.get(REASONS)
        kinds: list[CaseKind] = ["charges"] if isinstance(reasons, list) and CHARGES in reasons else []
        kinds += ["callback"] if record.answers.get(CALL_BACK) is True else []
        return [case for kind in kinds for case in self._case(record, record.about.handling_unit, kind, day)]

    def _case(self, record: SurveyCounted, unit: str, kind: CaseKind, day: date) -> list[CaseChanged]:
        state = self._units.setdefault(unit, _UnitState())
        survey = identity("case", record.survey_id) if kind == "charges" else identity("case", record.survey_id, kind)
        if any(known == survey for _, known in state.cases):
            return []
        today = day.toordinal()
        number = sum(1 for on, _ in state.cases if on == today) + 1
        state.cases = [(on, known) for on, known in state.cases if on > today - CASES_REMEMBERED_DAYS] + [(today, survey)]
        self._touched.add(f"unit:{unit}")
        case_id = identity("case", record.registry_id, unit, day, number)
        return [
            CaseChanged(
                event_id=identity("case.changed", case_id, 1),
                registry_id=record.registry_id,
                case_id=case_id,
                version=1,
                state="opened",
                kind=kind,
                confidential=True,
                unit=unit,
                on=day,
                at=datetime.combine(day, time(), LOCAL),
            )
        ]


def _fact(schema: type[_F], record: SurveyCounted) -> _F:
    """A control record's content as the fact it came from."""
    content = {**record.control, "event_id": record.event_id, "registry_id": record.registry_id}
    try:
        return msgspec.convert(content, schema)
    except msgspec.ValidationError as e:
        raise Invalid("schema", "control", f"{record.kind} record {record.seq}: {e}") from None


def _unit_of(record: SurveyCounted) -> str:
    unit = record.control.get("unit")
    if not isinstance(unit, str):
        raise Invalid("missing", "control.unit", f"{record.kind} record {record.seq} names no unit")
    return unit


def _counted_on(record: SurveyCounted) -> date:
    try:
        return date.fromisoformat(str(record.control.get("counted_on")))
    except ValueError:
        raise Invalid(
            "missing", "control.counted_on", f"retraction {record.seq} does not say on which day the answer was counted"
        ) from None
