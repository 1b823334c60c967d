"""The judge: from the counted records, in their order, to alerts and cases.

Pure, without clock or chance: the only time is the record's ``counted_at``, so a replay gives the same alerts bit for bit. Watched are the
unit that handled a dossier, everything above it, and the dossier's field in the whole province, each by two detectors: ``below`` (its
target) and ``declining`` (its own past). Answers given at the desk are not taken: who answers there answers otherwise.

The records that change a detector without being an answer (``control``) carry, by ``kind``:

- ``unit``, ``target``: the fields of ``UnitChanged`` and ``TargetChanged``;
- ``fixed``: ``unit`` and ``alert_id``: somebody closed it, whether there was something or not, and it begins anew;
- ``day``: nothing; it comes once a local day;
- a ``retraction`` with reason ``erased`` takes back the answer of its ``survey_id``: what it was part of is run again without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final, Literal, TypeVar

import msgspec

from hailong.domain import watching
from hailong.domain.alert_sentences import Evidence, sentences
from hailong.domain.difficulty import Difficulty, Movement, Table
from hailong.domain.exact import beta_quantile
from hailong.domain.scoring import SATISFIED
from hailong.domain.seeing import years_between_false_alarms
from hailong.domain.succession import Succession
from hailong.domain.units import LOCAL, Registry, Targets
from hailong.domain.watching import FIXED, Chunk, Entry, Kind, Now, Open, State, Watched
from hailong.events import About, AlertChanged, CaseChanged, Fact, SurveyCounted, TargetChanged, UnitChanged
from hailong.ports import Invalid

SILENT_DAYS: Final = 365
"""An alert whose unit got no answer for so long is settled: nobody knows how it is now."""
CASES_REMEMBERED_DAYS: Final = 400
REASONS: Final = "Q7"
CHARGES: Final = "charges"
CALL_BACK: Final = "Q9"
FIELD: Final = "field:"
"""Key of a field among what is watched."""
_STRENGTH: Final = 20.0
"""Answers that the field-expected rate counts as in the estimate of where a unit stands."""
_KEPT_CHUNKS: Final = 200

CaseKind = Literal["charges", "callback"]
_F = TypeVar("_F", bound=Fact)
_PACK: Final = msgspec.msgpack.Encoder()


class _Province(msgspec.Struct, array_like=True):
    """What every detector is held against."""

    difficulty: Difficulty
    movement: Movement
    table: Table
    made: int = 0
    """The day the table was made."""


class _Cases(msgspec.Struct, array_like=True):
    opened: list[tuple[int, str]] = []
    """(day, hash of the survey) of the cases opened, so that a survey opens one."""


_WATCHED: Final = msgspec.msgpack.Decoder(Watched)
_CHUNK: Final = msgspec.msgpack.Decoder(Chunk)
_CASES: Final = msgspec.msgpack.Decoder(_Cases)
_PROVINCE: Final = msgspec.msgpack.Decoder(_Province)


def identity(*parts: object) -> str:
    """An id that follows from what it names: 32 hex digits."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _Place:
    """One of what an answer is taken by: its key, its chain of units, and whether it is a field or the province itself."""

    key: str
    chain: tuple[str, ...]
    field: str | None = None

    @property
    def top(self) -> bool:
        return self.field is not None or len(self.chain) == 1


class Judge:
    """Feeds the detectors from the counted records, in their order.

    Restored from ``dump()`` at any point it goes on exactly as if it had never stopped. After a failed save of ``changed()``
    make a new one from what was saved last.
    """

    def __init__(self, default_target: float, seq: int = 0, states: dict[str, bytes] | None = None) -> None:
        states = states or {}
        self.seq = seq
        self._flat = 1 - default_target
        self._registry = Registry.load(states["registry"]) if "registry" in states else Registry()
        self._targets = Targets.load(states["targets"], default_target) if "targets" in states else Targets(default_target)
        empty = _Province(Difficulty(), Movement(), Table(-1, self._flat, {}, {}))
        self._province = _PROVINCE.decode(states["province"]) if "province" in states else empty
        self._watched = {key[6:]: _WATCHED.decode(state) for key, state in states.items() if key.startswith("watch:")}
        self._cases = {key[5:]: _CASES.decode(state) for key, state in states.items() if key.startswith("case:")}
        self._chunks = {key: state for key, state in states.items() if key.startswith("chunk:")}
        self._touched: set[str] = set()
        self._maps: Succession | None = None
        self._found: dict[tuple[str, str, str], tuple[_Place, ...]] = {}
        self._found_on: date | None = None
        self._references: dict[float, dict[str, float]] = {}

    # --- state

    def dump(self) -> dict[str, bytes]:
        """Everything, by key."""
        keys = ["registry", "targets", "province", *(f"watch:{k}" for k in sorted(self._watched))]
        keys += [f"case:{k}" for k in sorted(self._cases)] + sorted(self._chunks)
        return {key: self._packed(key) for key in keys}

    def changed(self) -> dict[str, bytes]:
        """What changed since the last call: what is to be saved together with ``seq``."""
        touched, self._touched = sorted(self._touched), set()
        return {key: self._packed(key) for key in touched}

    def _packed(self, key: str) -> bytes:
        room, _, name = key.partition(":")
        if room == "registry":
            return self._registry.dump()
        if room == "targets":
            return self._targets.dump()
        if room == "chunk":
            return self._chunks[key]
        return _PACK.encode({"province": self._province, "watch": self._watched.get(name), "case": self._cases.get(name)}[room])

    # --- records

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
            self._anew("registry")
        elif record.kind == "target":
            self._targets.put(_fact(TargetChanged, record))
            self._anew("targets")
        elif record.kind == "fixed":
            return [*self._fixed(record, day)]
        elif record.kind == "day":
            return [*self._silent(record, day)]
        else:
            return [*self._answer(record, day), *self._new_cases(record, day)]
        return []

    def _anew(self, key: str) -> None:
        self._touched.add(key)
        self._maps = None
        self._found.clear()

    def _answer(self, record: SurveyCounted, day: date) -> Iterator[AlertChanged]:
        erased = record.kind == "retraction" and record.reason == "erased"
        about = record.about
        if about is None or record.score is None or record.place == "desk" or record.survey_id is None:
            return
        if erased:
            yield from self._erased(record, about, day)
        elif record.kind == "answer" and record.revision == 0:
            yield from self._take(record, about, day, record.score < SATISFIED)

    def _take(self, record: SurveyCounted, about: About, day: date, failed: bool) -> Iterator[AlertChanged]:
        province, today = self._province, day.toordinal()
        month = day.year * 12 + day.month - 1
        self._renew(month, today)
        usual = province.table.expected(about.field)
        province.movement.add(today, failed, usual)
        moved = province.movement.factor()
        province.difficulty.add(month, about.field, failed)
        self._touched.add("province")
        of_day = date.fromisoformat(f"{about.month}-01")
        for place in self._places(about, day):
            target, reference = self._reference(place, about, of_day)
            expected = self._flat if place.field is not None else usual if place.top else usual * moved
            entry = Entry("answer", record.survey_id or "", today, failed, target, reference, expected, usual)
            one = self._one(place.key, today)
            taken = watching.take(one, entry)
            self._keep(place.key, taken.chunks)
            for kind, state in taken.steps:
                yield self._step(record, place, one, kind, state, day)

    def _renew(self, month: int, today: int) -> None:
        """The table of how hard each field is holds for a month; in the very first month it is made anew each day."""
        province = self._province
        first = not any(m < month for m in province.difficulty.months)
        if province.table.month != month or (first and province.made != today):
            province.table, province.made = province.difficulty.table(month, self._flat, running=first), today
            self._references.clear()

    def _reference(self, place: _Place, about: About, of_day: date) -> tuple[float, float]:
        """The target of the dossier's day, and the probability that this answer is not satisfied where the target is met.

        Every field is as hard as it is in the province: a unit is not blamed for its mix. A target that names the field, and a field
        that is watched itself, are taken as they are.
        """
        found = self._targets.on(place.chain, of_day, about.field, about.submission_channel)
        if place.field is not None or found.of_field:
            return found.value, 1 - found.value
        references = self._references.get(found.value)
        if references is None:
            references = self._references[found.value] = self._province.table.references(found.value)
        return found.value, references.get(about.field, 1 - found.value)

    def _places(self, about: About, day: date) -> tuple[_Place, ...]:
        """What takes an answer counted on ``day``: the unit on that day's map that carries on the one that handled the dossier, if it is
        one, what stands above it, and the field."""
        if self._found_on != day:
            self._found.clear()
            self._found_on = day
        key = about.handling_unit, about.month, about.field
        places = self._found.get(key)
        if places is None:
            places = self._found[key] = tuple(self._look_up(about, day))
        return places

    def _look_up(self, about: About, day: date) -> Iterator[_Place]:
        if self._maps is None:
            self._maps = Succession(self._registry)
        parts = self._maps.parts(about.handling_unit, about.month, day)
        unit = parts[0].unit if len(parts) == 1 else about.handling_unit
        chain = self._maps.chain(unit, day)
        gone = self._registry.latest(unit, day) is not None and self._registry.on(unit, day) is None
        for i, code in enumerate(chain):
            if i or not gone:
                yield _Place(code, chain[i:])
        yield _Place(FIELD + about.field, chain[-1:], about.field)

    def _one(self, key: str, today: int) -> Watched:
        one = self._watched.get(key)
        if one is None:
            row = self._registry.on(key, date.fromordinal(today))
            first = max(row.valid_from.toordinal(), self._since(today)) if row is not None else today
            one = self._watched[key] = watching.watched(first)
        self._touched.add(f"watch:{key}")
        return one

    def _since(self, today: int) -> int:
        """The day from which anything at all is known."""
        return min((w.charts.below.volume.since for w in self._watched.values()), default=today)

    def _keep(self, key: str, chunks: dict[int, Chunk]) -> None:
        for number, chunk in chunks.items():
            name = f"chunk:{key}:{number:06d}"
            self._chunks[name] = _PACK.encode(chunk)
            self._touched.add(name)

    def _erased(self, record: SurveyCounted, about: About, day: date) -> Iterator[AlertChanged]:
        survey, counted = record.survey_id or "", _counted_on(record)
        month = counted.year * 12 + counted.month - 1
        self._province.difficulty.add(month, about.field, (record.score or 0) < SATISFIED, -1)
        self._touched.add("province")
        for place in dict.fromkeys((*self._places(about, counted), *self._places(about, day))):
            one = self._watched.get(place.key)
            if one is None:
                continue
            taken = watching.take_back(one, survey, self._chunks_since(place.key, one, counted.toordinal()))
            self._keep(place.key, taken.chunks)
            self._touched.add(f"watch:{place.key}")
            for kind, state in taken.steps:
                if state == "raised" or kind in one.open:
                    yield self._step(record, place, one, kind, state, day, "an answer was erased")

    def _chunks_since(self, key: str, one: Watched, day: int) -> list[tuple[int, Chunk]]:
        """The full chunks from the first one that may hold an answer of ``day`` on."""
        found: list[tuple[int, Chunk]] = []
        for number in range(one.full - 1, max(-1, one.full - 1 - _KEPT_CHUNKS), -1):
            chunk = _CHUNK.decode(self._chunks[f"chunk:{key}:{number:06d}"])
            found.insert(0, (number, chunk))
            if chunk.entries[0].day < day:
                break
        return found

    def _fixed(self, record: SurveyCounted, day: date) -> Iterator[AlertChanged]:
        """Evidence from before the repair must not raise again; a late word about an older alert changes nothing."""
        key, alert = _unit_of(record), str(record.control.get("alert_id", ""))
        for name in (key, *(k for k in sorted(self._watched) if k.startswith(FIELD))):
            one = self._watched.get(name)
            for kind in FIXED:
                if one is not None and kind in one.open and one.open[kind].alert_id == alert:
                    del one.open[kind]
                    self._keep(name, watching.take(one, Entry(FIXED[kind], "", day.toordinal())).chunks)
                    self._touched.add(f"watch:{name}")
        yield from ()

    def _silent(self, record: SurveyCounted, day: date) -> Iterator[AlertChanged]:
        for key in sorted(self._watched):
            one = self._watched[key]
            if one.open and day.toordinal() - one.charts.now.day > SILENT_DAYS:
                field = key.removeprefix(FIELD) if key.startswith(FIELD) else None
                place = _Place(key, self._registry.chain(key, day) if field is None else self._tops(day), field)
                for kind in [k for k in FIXED if k in one.open]:
                    yield self._step(record, place, one, kind, "settled", day, "not enough answers")
                    self._keep(key, watching.take(one, Entry(FIXED[kind], "", day.toordinal())).chunks)
                self._touched.add(f"watch:{key}")

    def _tops(self, day: date) -> tuple[str, ...]:
        tops = [c for c in self._registry.codes() if (row := self._registry.on(c, day)) is not None and row.parent is None]
        return tuple(tops[:1]) or ("",)

    # --- facts

    def _step(
        self, record: SurveyCounted, place: _Place, one: Watched, kind: Kind, state: State, day: date, note: str | None = None
    ) -> AlertChanged:
        if state == "raised":
            opened = one.open[kind] = Open(identity("alert", place.key, kind, record.seq), day.toordinal())
        else:
            # A chart that is on has its alert: it was opened with it.
            opened = one.open.pop(kind)
            opened.version += 1
        unit = place.chain[0]
        e = self._evidence(place, one, kind, day, opened)
        name = self._registry.name(unit, day)
        vi, en = sentences(state, kind, name, place.field, e)
        return AlertChanged(
            event_id=identity("alert.changed", opened.alert_id, opened.version, state),
            registry_id=record.registry_id,
            alert_id=opened.alert_id,
            version=opened.version,
            state=state,
            kind=kind,
            unit=unit,
            field=place.field,
            at=record.counted_at,
            by="judge",
            note=note,
            evidence_seq=record.seq,
            n=e.n,
            satisfied=e.satisfied,
            expected=e.expected,
            target=e.target,
            estimate=e.estimate,
            low=e.low,
            high=e.high,
            years=e.years,
            table_month=_month(self._province.table.month),
            since=e.since,
            until=e.until,
            sentence_vi=vi,
            sentence_en=en,
        )

    def _evidence(self, place: _Place, one: Watched, kind: Kind, day: date, opened: Open) -> Evidence:
        c = one.charts
        if kind == "below":
            run = c.below.run
            since, n, failed, expected = run.since, run.n, run.failed, run.expected
        else:
            since, n, failed, expected = c.decline.run_from, c.decline.run.n, c.decline.run.failed, c.decline.run.expected
        estimate, low, high = _where_now(c.now)
        target = self._targets.on(place.chain, day, place.field).value
        seldom = years_between_false_alarms(c.below.volume.per_year(day.toordinal()), target) if kind == "below" else None
        return Evidence(
            n=n,
            satisfied=n - failed,
            expected=n - expected,
            target=target,
            estimate=estimate,
            low=low,
            high=high,
            years=seldom,
            since=date.fromordinal(max(since, 1)),
            until=day,
            opened=date.fromordinal(opened.since),
        )

    def _new_cases(self, record: SurveyCounted, day: date) -> list[CaseChanged]:
        """A case for "charges beyond the rules" and one for a wish to be called back: each once a survey, named by unit, day and a number,
        so that it leads to no answer."""
        if record.about is None or record.kind not in ("answer", "detail"):
            return []
        reasons = record.answers.get(REASONS)
        kinds: list[CaseKind] = ["charges"] if isinstance(reasons, list) and CHARGES in reasons else []
        kinds += ["callback"] if record.answers.get(CALL_BACK) is True else []
        return [case for kind in kinds for case in self._case(record, record.about.handling_unit, kind, day)]

    def _case(self, record: SurveyCounted, unit: str, kind: CaseKind, day: date) -> list[CaseChanged]:
        state = self._cases.setdefault(unit, _Cases())
        survey = identity("case", record.survey_id) if kind == "charges" else identity("case", record.survey_id, kind)
        if any(known == survey for _, known in state.opened):
            return []
        today = day.toordinal()
        number = sum(1 for on, _ in state.opened if on == today) + 1
        state.opened = [(on, known) for on, known in state.opened if on > today - CASES_REMEMBERED_DAYS] + [(today, survey)]
        self._touched.add(f"case:{unit}")
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


def _where_now(now: Now) -> tuple[float, float, float]:
    """The share of satisfied that is likely now, and its 95 % interval: the discounted answers, drawn towards what is usual in these
    fields with the strength of 20 answers."""
    usual = 1 - now.usual / now.n if now.n else 0.5
    good, bad = now.n - now.failed + _STRENGTH * usual, now.failed + _STRENGTH * (1 - usual)
    return good / (good + bad), beta_quantile(0.025, good, bad), beta_quantile(0.975, good, bad)


def _month(number: int) -> str | None:
    return None if number < 0 else f"{number // 12:04d}-{number % 12 + 1:02d}"


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
