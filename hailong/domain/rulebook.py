"""The rules as data: a TOML file of dated versions → the rules in force on a day. Checked once and whole; pure, text in, values out.

A version holds from its first day until the next one's. ``ops/rules/rules.toml`` is the shipped one and documents every key.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from hailong.domain.hours import WEEKDAYS, Hours
from hailong.events import ApplicantType, MessageChannel, SubmittedBy

Experiments = Mapping[str, Mapping[str, float]]
"""Experiment → arm → share; the shares of an experiment sum to 1."""
AfterElectronic = Literal["next_morning", "at_once"]
LINK_ARMS: Final = frozenset({"link", "link_free"})


class RulebookError(Exception):
    """A rulebook is wrong, or has no rules for a day. The message names file, version, key, cause and next step."""


@dataclass(frozen=True)
class Rules:
    """The rules in force on a day; the numbers are in the unit of their names, shares within 0 and 1."""

    version: str = "built-in"
    valid_from: date = date.min
    source: str = "product default"
    digest: str = ""
    """SHA-256, hex, of what the version says: another content under the same version is found out."""

    procedures: frozenset[str] = frozenset()
    """National codes of procedures that a message by itself would betray: never asked about."""
    procedures_named: bool = False
    """Whether the version says which: an empty list is a decision, a missing one is not."""
    applicant_types: frozenset[str] = frozenset()
    """Never asked."""
    submitted_by: frozenset[str] = frozenset()
    """Never asked: who handed in. Proxies are asked by default, for they are who experienced the service."""
    minors: bool = True
    """Whether minors are never asked."""

    too_old_days: int = 14
    cap_days: int = 30
    """Between two askings of a person or a number; 0: no cap."""
    delay_days: int = 45
    """How long after its end an ending may rest, at most, until the cap of its person is over."""
    link_days: int = 30

    hours: Hours = Hours()
    after_electronic: AfterElectronic = "next_morning"
    spread_minutes: int = 240
    slot_minutes: int = 15

    share: float = 1.0
    """Of a unit's endings, asked about."""
    unit_shares: Mapping[str, float] = field(default_factory=dict)
    """Receiving unit → its own share."""
    small_unit_endings: int = 600
    """Units with fewer endings in 90 days: everyone."""

    reminder_after_days: int = 5
    reminder_share: float = 1.0

    call_share: float = 0.1
    """Of those who did not answer or cannot be written to, called; 0: nobody."""
    call_after_days: int = 3
    """After the last message, or after hearing of who cannot be written to."""
    call_tries: int = 3
    call_gap_hours: int = 27
    call_hours: Hours = Hours(time(8), time(17), frozenset(range(5)))
    """Inside ``hours``, whose holidays and single days hold here too."""

    channels: tuple[MessageChannel, ...] = ("sms", "email", "zns")
    """The order in which a way to a person is chosen; one that does not stand here is not used."""
    experiments: Experiments = field(default_factory=dict)

    def share_of(self, unit: str, endings: int) -> float:
        """The share of a receiving unit that had so many endings in the last 90 days."""
        return 1.0 if endings < self.small_unit_endings else self.unit_shares.get(unit, self.share)


@dataclass(frozen=True)
class Rulebook:
    """Versions of the rules, the oldest first."""

    name: str
    versions: tuple[Rules, ...]

    def in_force(self, day: date) -> Rules:
        """The rules of a local day. Raises RulebookError before the first version."""
        for rules in reversed(self.versions):
            if rules.valid_from <= day:
                return rules
        first = self.versions[0].valid_from
        raise RulebookError(f"{self.name}: no rules on {day}: the first version begins on {first}. Add a version that begins earlier.")

    def version(self, version: str) -> Rules:
        """The rules a decision names. Raises RulebookError when they are not in the book."""
        for rules in self.versions:
            if rules.version == version:
                return rules
        raise RulebookError(f"{self.name}: it has no version {version}. One that has been in force is never taken out: restore it.")


# --- the file -----------------------------------------------------------------------------------------------------------------

Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
Procedure = Annotated[str, Meta(pattern=r"^\d+\.\d{6}$")]
HourText = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Days = Annotated[int, Meta(ge=0, le=366)] | UnsetType
_SomeDays = Annotated[int, Meta(ge=1, le=366)] | UnsetType
_Week: Final = 7 * 24 * 60


class _Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a version. What is left out stays as ``Rules`` has it."""

    def said(self) -> dict[str, Any]:
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


class _Never(_Section, frozen=True):
    procedures: list[Procedure] | UnsetType = UNSET
    applicant_types: list[ApplicantType] | UnsetType = UNSET
    submitted_by: list[SubmittedBy] | UnsetType = UNSET
    minors: bool | UnsetType = UNSET


class _Limits(_Section, frozen=True):
    too_old_days: _Days = UNSET
    cap_days: _Days = UNSET
    delay_days: _Days = UNSET
    link_days: _SomeDays = UNSET


class _Hours(_Section, frozen=True):
    opens: HourText | UnsetType = UNSET
    closes: HourText | UnsetType = UNSET
    days: list[Weekday] | UnsetType = UNSET
    holidays: bool | UnsetType = UNSET
    closed: list[date] | UnsetType = UNSET
    opened: list[date] | UnsetType = UNSET


class _Moment(_Section, frozen=True):
    after_electronic: AfterElectronic | UnsetType = UNSET
    spread_minutes: Annotated[int, Meta(ge=0, le=_Week)] | UnsetType = UNSET
    slot_minutes: Annotated[int, Meta(ge=1, le=240)] | UnsetType = UNSET


class _Sampling(_Section, frozen=True):
    share: float | UnsetType = UNSET
    small_unit_endings: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    units: dict[str, float] = {}


class _Reminder(_Section, frozen=True):
    after_days: _SomeDays = UNSET
    share: float | UnsetType = UNSET


class _Calls(_Section, frozen=True):
    share: float | UnsetType = UNSET
    after_days: _SomeDays = UNSET
    tries: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    gap_hours: Annotated[int, Meta(ge=1, le=336)] | UnsetType = UNSET
    opens: HourText | UnsetType = UNSET
    closes: HourText | UnsetType = UNSET
    days: list[Weekday] | UnsetType = UNSET


class _Channels(_Section, frozen=True):
    order: list[MessageChannel] | UnsetType = UNSET


class _Version(_Section, frozen=True):
    version: Label
    valid_from: date
    source: Annotated[str, Meta(min_length=1)]
    never: _Never = _Never()
    limits: _Limits = _Limits()
    hours: _Hours = _Hours()
    moment: _Moment = _Moment()
    sampling: _Sampling = _Sampling()
    reminder: _Reminder = _Reminder()
    calls: _Calls = _Calls()
    channels: _Channels = _Channels()
    experiments: dict[str, dict[str, float]] = {}


class _File(_Section, frozen=True):
    versions: Annotated[list[_Version], Meta(min_length=1)]


_TABLES: Final[dict[str, type[_Section]]] = {
    "": _File, "versions": _Version, "never": _Never, "limits": _Limits, "hours": _Hours, "moment": _Moment, "sampling": _Sampling,
    "reminder": _Reminder, "calls": _Calls, "channels": _Channels,
}  # fmt: skip
_AT: Final = re.compile(r" - at `\$\.?(.*)`$")
_INSIDE: Final = re.compile(r"versions\[(\d+)\]\.?(.*)")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")
_UNKNOWN: Final = re.compile(r"unknown field `(.*?)`")
_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_ARM: Final = re.compile(r"[a-z]")


def load(text: str, name: str) -> Rulebook:
    """The text of a rulebook → its versions. ``name`` (of the file) stands in messages. Raises RulebookError for the first thing wrong."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RulebookError(f'{name}: not TOML: {e}. Mend the syntax there; days are written 2026-02-16, times "08:00".') from None
    try:
        read = msgspec.convert(raw, _File)
    except msgspec.ValidationError as e:
        _refuse(name, raw, str(e))
    for said in read.versions:
        for key, cause in _faults(said):
            raise RulebookError(f"{name}: version {said.version}: {key}: {cause}.")
    for cause in _overlaps(read.versions):
        raise RulebookError(f"{name}: {cause}.")
    books = [_rules(said, table) for said, table in zip(read.versions, raw["versions"], strict=True)]
    return Rulebook(name, tuple(sorted(books, key=lambda r: r.valid_from)))


def window(arm: str) -> tuple[time, time] | None:
    """An arm of the experiment ``hour``, ``09:00-12:00`` → when it opens and closes; None when it is written otherwise."""
    match = _WINDOW.fullmatch(arm)
    if match is None:
        return None
    from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
    return time(from_hour, from_minute), time(to_hour, to_minute)


def _refuse(name: str, raw: Mapping[str, Any], message: str) -> NoReturn:
    """A sentence of msgspec → one that names version, key, cause and next step."""
    at = _AT.search(message)
    cause, path = (message[: at.start()], at.group(1)) if at else (message, "")
    table, where, key = path, name, path
    if inside := _INSIDE.fullmatch(path):
        index, key = int(inside.group(1)), inside.group(2)
        where, table = f"{name}: version {_label(raw['versions'][index], index)}", key or "versions"
    if missing := _MISSING.search(cause):
        raise RulebookError(f"{where}: {_dotted(key, missing.group(1))}: it is missing. Write it as the shipped rulebook does.")
    if unknown := _UNKNOWN.search(cause):
        known = ", ".join(_TABLES[table].__struct_fields__)
        raise RulebookError(f"{where}: {_dotted(key, unknown.group(1))}: no such key. Take it out; keys here are {known}.")
    raise RulebookError(f"{where}: {key or 'versions'}: {cause}. Write it as the shipped rulebook does.")


def _label(version: Any, index: int) -> str:
    """How a version that may be anything is called."""
    name = version.get("version") if isinstance(version, dict) else None
    return name if isinstance(name, str) and name else f"number {index + 1}"


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _rules(said: _Version, table: Mapping[str, Any]) -> Rules:
    hours = {name: _HOURS.get(name, bool)(value) for name, value in said.hours.said().items()}
    fields: dict[str, Any] = {name: frozenset(v) if isinstance(v, list) else v for name, v in said.never.said().items()}
    fields |= said.limits.said() | said.moment.said() | said.sampling.said()
    fields |= {f"reminder_{name}": value for name, value in said.reminder.said().items()}
    calls = said.calls.said()
    own = {name: _HOURS[name](value) for name, value in calls.items() if name in _HOURS}
    fields |= {f"call_{name}": value for name, value in calls.items() if name not in _HOURS}
    fields["unit_shares"] = fields.pop("units")
    fields["procedures_named"] = "procedures" in fields
    return Rules(
        version=said.version,
        valid_from=said.valid_from,
        source=said.source,
        digest=hashlib.sha256(msgspec.json.encode(table, order="deterministic")).hexdigest(),
        hours=Hours(**hours),
        call_hours=_call_hours(Hours(**hours), own),
        channels=_order(said),
        experiments=said.experiments,
        **fields,
    )


def _call_hours(outer: Hours, own: Mapping[str, Any]) -> Hours:
    """Those said; what is left out is the product's, as far as it lies inside ``outer``. Raises ValueError when they are never open."""
    usual = Rules.call_hours
    opens, closes = max(usual.opens, outer.opens), min(usual.closes, outer.closes)
    fits = {"opens": opens, "closes": closes} if opens < closes else {"opens": outer.opens, "closes": outer.closes}
    return replace(outer, **{**fits, "days": usual.days & outer.days or outer.days, **own})


def _order(said: _Version) -> tuple[MessageChannel, ...]:
    return Rules.channels if isinstance(said.channels.order, UnsetType) else tuple(said.channels.order)


_HOURS: Final[dict[str, Any]] = {
    "opens": time.fromisoformat,
    "closes": time.fromisoformat,
    "days": lambda names: frozenset(map(WEEKDAYS.index, names)),
    "closed": frozenset,
    "opened": frozenset,
}


# --- what the types cannot say ------------------------------------------------------------------------------------------------


def _faults(said: _Version) -> Iterator[tuple[str, str]]:
    """(key, cause and next step) of what is wrong in one version."""
    if not said.source.strip():
        yield "source", "it is missing. Say who decided this version, and where it is written"
    yield from _dates("hours.closed", said.hours.closed)
    yield from _dates("hours.opened", said.hours.opened)
    yield from _shares(said)
    order = _order(said)
    if not order or len(set(order)) < len(order):
        yield "channels.order", "names no channel, or one twice. Name each channel that may be used once"
    try:
        rules = _rules(said, {})
    except ValueError as e:
        yield "hours", f"{e}. Mend opens, closes, days, closed or opened there, or opens, closes, days of calls"
        return
    yield from _calls(rules)
    if rules.reminder_share > 0 and rules.reminder_after_days >= rules.link_days:
        yield "reminder.after_days", "by then the link has run out. Stay below limits.link_days, or set reminder.share to 0"
    for name, arms in said.experiments.items():
        yield from ((f"experiments.{name}", cause) for cause in _experiment(name, arms, rules))


def _calls(rules: Rules) -> Iterator[tuple[str, str]]:
    outer, inner = rules.hours, rules.call_hours
    if inner.opens < outer.opens or inner.closes > outer.closes:
        yield "calls.opens", f"{inner.opens:%H:%M} to {inner.closes:%H:%M} is not inside hours.opens and hours.closes. Narrow it"
    if not inner.days <= outer.days:
        yield "calls.days", "names a weekday that hours.days does not. Take it out"
    if rules.call_share > 0 and rules.call_after_days >= rules.link_days:
        yield "calls.after_days", "by then the link has run out. Stay below limits.link_days, or set calls.share to 0"


def _dates(key: str, days: list[date] | UnsetType) -> Iterator[tuple[str, str]]:
    listed = [] if isinstance(days, UnsetType) else days
    if len(set(listed)) < len(listed):
        yield key, f"names {next(d for d in listed if listed.count(d) > 1)} twice. Take one out"


def _shares(said: _Version) -> Iterator[tuple[str, str]]:
    shares = {f"sampling.units.{unit}": share for unit, share in said.sampling.units.items()}
    shares |= {
        f"{table}.share": v
        for table, s in (("sampling", said.sampling), ("reminder", said.reminder), ("calls", said.calls))
        if (v := s.share) is not UNSET
    }
    shares |= {f"experiments.{name}.{arm}": share for name, arms in said.experiments.items() for arm, share in arms.items()}
    for key, share in shares.items():
        if not 0 <= share <= 1:  # also what is no number
            yield key, f"{share} is no share. Write a number from 0 to 1"


def _experiment(name: str, arms: Mapping[str, float], rules: Rules) -> Iterator[str]:
    if name not in _ARMS:
        yield f"no such experiment. There are {', '.join(_ARMS)}"
        return
    if len(arms) < 2 or abs(sum(arms.values()) - 1) > 1e-9:
        yield f"{len(arms)} arms with shares that sum to {sum(arms.values()):g}. Name two or more that sum to 1"
    fits, shape = _ARMS[name]
    for arm in arms:
        if not fits(arm, rules):
            yield f"{arm!r} is no arm of it. An arm is {shape}"
        elif name == "hour" and (lasts := _minutes(arm)) < rules.spread_minutes:
            cause = f"{arm!r} lasts {lasts} minutes, shorter than moment.spread_minutes of {rules.spread_minutes}: people would wait days"
            yield f"{cause}. Widen the window, or lower moment.spread_minutes to {lasts} or less"


def _fits_hours(arm: str, rules: Rules) -> bool:
    found = window(arm)
    return found is not None and rules.hours.opens <= found[0] < found[1] <= rules.hours.closes


def _minutes(arm: str) -> int:
    """How long a window of the experiment ``hour`` lasts."""
    opens, closes = window(arm) or (time(), time())
    return closes.hour * 60 + closes.minute - opens.hour * 60 - opens.minute


_ARMS: Final[dict[str, tuple[Any, str]]] = {
    "wording": (lambda arm, rules: _ARM.fullmatch(arm) is not None, "one small letter, as the texts of messages name it"),
    "hour": (_fits_hours, "a window like 08:00-12:00 inside hours.opens and hours.closes"),
    "channel": (lambda arm, rules: arm in rules.channels, "a channel that stands in channels.order"),
    "link": (lambda arm, rules: arm in LINK_ARMS, "link or link_free"),
}
"""Experiment → what an arm of it may be, as a test and in words."""


def _overlaps(versions: Iterable[_Version]) -> Iterator[str]:
    by_name: dict[str, date] = {}
    by_day: dict[date, str] = {}
    for said in versions:
        if said.version in by_name:
            yield f"version {said.version}: version: there are two of that name. Give the newer one another"
        if said.valid_from in by_day:
            other = by_day[said.valid_from]
            yield f"version {said.version}: valid_from: overlaps version {other}, also from {said.valid_from}. Let it begin on another day"
        by_name[said.version], by_day[said.valid_from] = said.valid_from, said.version
