"""A dossier as an upstream tells it → the fact the log may know, and beside it what only the ledger may.

Fields and codes: the one-stop software's, status 1–10 and channel 1–3 as set by the National Public Service Portal. Pure.

Closed list of reasons (``REASONS``) an item is refused for. No refusal quotes a value: a wrong column may hold a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, get_args
from zoneinfo import ZoneInfo

import msgspec

from hailong.domain.people import Keyed, clean, normal_mail, normal_phone
from hailong.events import (
    ApplicantType,
    DossierClosed,
    DossierReopened,
    MessageChannel,
    Outcome,
    ResultChannel,
    ServiceLevel,
    SubmissionChannel,
    SubmittedBy,
    Timeliness,
    UnitLevel,
)
from hailong.ports import Contact, DossierAct, Invalid

ZONE: Final = ZoneInfo("Asia/Ho_Chi_Minh")

REASONS: Final[dict[str, str]] = {
    "not_an_object": "the item is not an object of fields",
    "missing": "a field that must be there is missing or empty",
    "wrong_type": "the field has another type than documented",
    "too_long": "the field is longer than allowed",
    "too_small": "the number is below zero",
    "too_large": "the number is larger than can be true",
    "unknown_code": "the code is none of the documented ones",
    "not_a_code": "a code holds characters no code has, an address or a long number",
    "names_the_dossier": "a code that everybody may know repeats one that only this dossier or person has: look at the mapping",
    "contradiction": "outcome and status code say different things",
    "not_a_time": "not an ISO 8601 time",
    "time_without_zone": "the time does not say its offset from UTC",
    "out_of_range": "the time lies before 1990 or after 2100",
    "in_the_future": "the act is later than the moment hailong heard of it",
    "ends_before_start": "the dossier ends before it was received",
    "not_ended": "the dossier has not ended (a dossier that goes on is taken only when its ending was)",
    "withdrawn_by_applicant": "the citizen withdrew the dossier (status 7): nobody is asked about that",
}

GOES_ON: Final = frozenset({1, 2, 4, 5, 6})
WITHDRAWN: Final = 7
OUTCOMES: Final[dict[int, Outcome]] = {10: "result_returned", 9: "done_electronic", 3: "refused", 8: "stopped", 5: "supplement_requested"}
CHANNELS: Final[dict[str, SubmissionChannel]] = {"1": "counter", "2": "online", "3": "postal"}
AHEAD: Final = timedelta(minutes=10)
"""How far a source's clock may run ahead of ours."""

_STATUS: Final = {outcome: code for code, outcome in OUTCOMES.items()}
_NATIONAL: Final = re.compile(r"^(\d+\.\d{6})(?:\.|$)")
_CODE: Final = re.compile(r"[A-Za-z0-9 ._:/()\-]+")
_PROCEDURE: Final = re.compile(r"\d+\.\d{6}(\.\d{3}\.\d{2}\.\d{2}(\.H\d{2})?)?")
_APART: Final = re.compile(r"[ ._:/()\-]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONG_NUMBER: Final = re.compile(r"\d{9}")
_BIRTHDAY: Final = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.](19|20)\d{2}")
SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""What names a source: it stands in every fact."""
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_PATH: Final = re.compile(r" - at `\$\.?([a-z_.]*)`$")

Short = Annotated[str, msgspec.Meta(max_length=64)]
Time = Annotated[str, msgspec.Meta(max_length=40)]
Long = Annotated[str, msgspec.Meta(max_length=254)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class SentContact(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the person can be reached, as the upstream wrote it."""

    phone: Long | None = None
    email: Long | None = None
    refuses: Annotated[list[MessageChannel], msgspec.Meta(max_length=4)] | None = None
    """Channels the person does not want to be written to by."""
    prefers: MessageChannel | None = None


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item as a source sends it. Fields that are not listed are dropped unread (they may name someone) and told of by name."""

    dossier_code: Short | None = None
    outcome: Short | None = None
    status_code: int | None = None
    procedure_code: Short | None = None
    field_code: Short | None = None
    service_level: Short | None = None
    receiving_unit_code: Short | None = None
    handling_unit_code: Short | None = None
    unit_level: Short | None = None
    submission_channel: Short | int | None = None
    result_channel: Short | None = None
    occurred_at: Time | None = None
    received_at: Time | None = None
    due_at: Time | None = None
    finished_at: Time | None = None
    supplement_count: Count | None = None
    supplement_days: Annotated[float, msgspec.Meta(ge=0, le=3650)] | None = None
    fee_required: bool | None = None
    paid_online: bool | None = None
    applicant_type: Short | None = None
    submitted_by: Short | None = None
    preferred_language: Short | None = None
    applicant_id: Short | None = None
    minor: bool | None = None
    slip_code: Short | None = None
    ticket_no: Short | None = None
    test: bool | None = None
    contact: SentContact | None = None


_TOP: Final = frozenset(Item.__struct_fields__)
_IN_CONTACT: Final = frozenset(SentContact.__struct_fields__)
FIELDS: Final[frozenset[str]] = frozenset(Item.__struct_fields__) - {"contact"} | {"contact.phone", "contact.email", "contact.prefers"}
"""Every field an item may have, contacts dotted."""
MOST_UNKNOWN: Final = 20
"""So many unknown fields of one item are named, the rest is counted."""
NO_NAME: Final = "(a name that is no field)"
_SIX_DIGITS: Final = re.compile(r"\d(?:[ ._:/()+\-]*\d){5}")


@dataclass(frozen=True)
class Parsed:
    """An item that was understood. ``notes``: parts that were dropped without refusing it, as ``field: word``."""

    act: DossierAct
    notes: tuple[str, ...] = ()


def refused(reason: str, field: str | None = None) -> Invalid:
    """A refusal with a reason of the closed list, to be raised."""
    return Invalid(reason, field, REASONS[reason])


def parse_item(
    item: dict[str, Any], source: str, heard_at: datetime, keyed: Keyed, registry_id: str, *, as_if_on_time: bool = False
) -> Parsed:
    """One item of ``source``, heard at ``heard_at`` (aware) → the act for the ledger.

    ``as_if_on_time`` counts it as heard on the day it ended. A bad number or address does not refuse the item: that part is dropped
    and noted. Raises Invalid with a reason of ``REASONS``. Status 1, 2, 4, 5, 6 gives a DossierReopened: whether the dossier had
    ended only the ledger knows.
    """
    sent = _convert(item)
    status = _status(sent)
    code = _plain("dossier_code", _required("dossier_code", sent.dossier_code))
    _apart(sent)
    if status == WITHDRAWN:
        raise refused("withdrawn_by_applicant", "status_code")
    times = _times(sent, status)
    if times.at > heard_at + AHEAD or (times.finished or times.at) > heard_at + AHEAD:
        raise refused("in_the_future", "finished_at" if sent.finished_at else "occurred_at")
    contact, notes = _contact(sent.contact)
    event_id = keyed.act_id(source, code, status, _utc(times.at))
    ref = keyed.dossier_ref(source, code)
    fact: DossierClosed | DossierReopened
    if status in GOES_ON:
        on = times.at.astimezone(ZONE).date()
        fact = DossierReopened(
            event_id=event_id, registry_id=registry_id, dossier_ref=ref, source=source, status_code=status, reopened_on=on
        )
    else:
        heard = times.at if as_if_on_time else max(heard_at, times.at)
        fact = _closed(sent, status, times, _Identity(event_id, registry_id, ref, source, heard.astimezone(ZONE).date()))
    act = DossierAct(
        event_id=event_id,
        content_hash=keyed.content_hash(_canonical(sent, times, contact)),
        fact=fact,
        dossier_code=code,
        occurred_at=times.at,
        received_at=times.received,
        contact=contact,
        applicant_id=sent.applicant_id,
        language=_language(sent.preferred_language),
        test=bool(sent.test),
        minor=bool(sent.minor),
        preferred=sent.contact.prefers if sent.contact else None,
        refused=tuple(sorted(set(sent.contact.refuses or ()))) if sent.contact else (),
        slip_code=sent.slip_code,
        ticket_no=sent.ticket_no,
    )
    return Parsed(act, notes)


def timeliness(ended: datetime, due: date | None, supplement_count: int = 0, supplement_days: float = 0.0) -> Timeliness:
    """The end less the time the citizen took to supplement, against the appointed day; asked to supplement twice = overdue."""
    if supplement_count > 1:
        return "overdue"
    if due is None:
        return "unknown"
    day = (ended - timedelta(days=supplement_days)).astimezone(ZONE).date()
    return "early" if day < due else "on_time" if day == due else "overdue"


def national_code(procedure_code: str | None) -> str | None:
    """``1.001612.000.00.00.H28`` → ``1.001612``; None for a code of another shape."""
    match = _NATIONAL.match(procedure_code or "")
    return match.group(1) if match else None


def shown_name(name: str) -> str:
    """The name of an unknown field or column, or ``NO_NAME`` where it may name a person (long, an address, a long number)."""
    harmless = 0 < len(name) <= 40 and name.isprintable() and "@" not in name and not _SIX_DIGITS.search(name)
    return name if harmless else NO_NAME


def unknown_fields(item: Any) -> tuple[str, ...]:
    """``unknown field: NAME`` for each field of an item hailong does not know, those of the contact dotted; never a value."""
    if not isinstance(item, dict):
        return ()
    names = [name for name in item if name not in _TOP]
    if isinstance(contact := item.get("contact"), dict):
        names += [f"contact.{name}" for name in contact if name not in _IN_CONTACT]
    shown = list(dict.fromkeys(shown_name(name) for name in names))
    more = [f"unknown fields: {len(shown) - MOST_UNKNOWN} more"] if len(shown) > MOST_UNKNOWN else []
    return (*(f"unknown field: {name}" for name in shown[:MOST_UNKNOWN]), *more)


# --- the steps ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Times:
    at: datetime
    """Of the act: the change of status, else the end."""
    received: datetime | None
    due: date | None
    finished: datetime | None


@dataclass(frozen=True)
class _Identity:
    event_id: str
    registry_id: str
    dossier_ref: str
    source: str
    heard_on: date


def _convert(item: Any) -> Item:
    if not isinstance(item, dict):
        raise refused("not_an_object")
    try:
        return msgspec.convert(_trimmed(item), Item)
    except msgspec.ValidationError as e:
        message = str(e)
    at = _PATH.search(message)
    field = at.group(1) if at and at.group(1) else None
    # msgspec's sentence is read for its kind only; it is not passed on, so that no value can be.
    reason = (
        "too_long" if "of length <=" in message else "too_large" if "<=" in message else "too_small" if ">=" in message else "wrong_type"
    )
    raise refused(reason, field)


def _trimmed(item: dict[str, Any]) -> dict[str, Any]:
    """Known fields only; texts cleaned; empty ones left out."""
    kept = {
        name: clean(value) if isinstance(value, str) else value for name in Item.__struct_fields__ if (value := item.get(name)) is not None
    }
    if isinstance(contact := kept.get("contact"), dict):
        known = {k: v for k in SentContact.__struct_fields__ if (v := contact.get(k)) is not None}
        kept["contact"] = {k: clean(v) if isinstance(v, str) else v for k, v in known.items()}
    return {name: value for name, value in kept.items() if value != ""}


def _required(field: str, value: str | None) -> str:
    if not value:
        raise refused("missing", field)
    return value


def _plain(field: str, value: str) -> str:
    """Without control characters: no code has them, and databases do not keep NUL."""
    if _CONTROL.search(value):
        raise refused("not_a_code", field)
    return value


def _apart(sent: Item) -> None:
    """What goes into the log beside an answer must not repeat what leads to the dossier: a column mapped wrongly would do just that."""
    known = {value.casefold() for value in (sent.dossier_code, sent.applicant_id, sent.slip_code, sent.ticket_no) if value}
    for field in ("procedure_code", "field_code", "receiving_unit_code", "handling_unit_code", "service_level", "unit_level"):
        value = getattr(sent, field)
        if value is not None and value.casefold() in known:
            raise refused("names_the_dossier", field)


def _status(sent: Item) -> int:
    outcome, status = sent.outcome, sent.status_code
    if outcome is not None and outcome not in _STATUS:
        raise refused("unknown_code", "outcome")
    if status is None:
        if outcome is None:
            raise refused("missing", "status_code")
        return _STATUS[outcome]
    if not 1 <= status <= 10:
        raise refused("unknown_code", "status_code")
    if outcome is not None and OUTCOMES.get(status) != outcome:
        raise refused("contradiction", "outcome")
    return status


def _time(field: str, raw: str | None) -> datetime | None:
    if raw is None:
        return None
    try:
        at = datetime.fromisoformat(raw)
    except ValueError:
        raise refused("not_a_time", field) from None
    if not 1990 <= at.year <= 2100:
        raise refused("out_of_range", field)
    if at.tzinfo is None:
        raise refused("not_a_time" if _DAY.fullmatch(raw) else "time_without_zone", field)
    return at


def _due(raw: str | None) -> date | None:
    """An appointed day may come as a day; a time counts for its local day."""
    if raw is not None and _DAY.fullmatch(raw):
        raw = f"{raw}T12:00:00+07:00"
    at = _time("due_at", raw)
    return at.astimezone(ZONE).date() if at else None


def _times(sent: Item, status: int) -> _Times:
    finished, occurred, received = (
        _time("finished_at", sent.finished_at),
        _time("occurred_at", sent.occurred_at),
        _time("received_at", sent.received_at),
    )
    at = occurred or finished
    if at is None:
        if status in GOES_ON:
            raise refused("missing", "occurred_at")
        raise refused("not_ended", "finished_at")
    if status in GOES_ON:
        return _Times(at, received, None, None)
    if received is None and status != 3:  # what was never received has no day of receipt
        raise refused("missing", "received_at")
    if received and min(at, finished or at) < received:
        raise refused("ends_before_start", "finished_at" if finished else "occurred_at")
    return _Times(at, received, _due(sent.due_at), finished)


def _contact(sent: SentContact | None) -> tuple[Contact, tuple[str, ...]]:
    """What can be used. A fixed line is kept to be called; what is neither (a service number, one for voice over IP) is nobody's."""
    notes = []
    phone = normal_phone(sent.phone) if sent and sent.phone else None
    email = normal_mail(sent.email) if sent and sent.email else None
    if sent and sent.phone and (phone is None or phone.kind == "other"):
        notes.append(f"contact.phone: {'not_a_persons_number' if phone else 'not_a_number'}")
    if sent and sent.email and not email:
        notes.append("contact.email: not_an_address")
    mobile, fixed = (phone.e164 if phone and phone.kind == kind else None for kind in ("mobile", "fixed"))
    return Contact(mobile, email, fixed), tuple(notes)


def _choice(field: str, value: str | None, kind: Any, default: str) -> Any:
    if value is None:
        return default
    if value not in get_args(kind):
        raise refused("unknown_code", field)
    return value


def _channel(value: str | int | None) -> SubmissionChannel:
    return _choice("submission_channel", CHANNELS.get(str(value), str(value)) if value is not None else None, SubmissionChannel, "counter")  # type: ignore[no-any-return]


def _code(field: str, value: str) -> str:
    """A code goes into the log: what looks like a name, an address, a day of birth or a number of a person does not pass for one.

    Codes are ASCII (Vietnamese names mostly are not), and no nine digits follow each other, whatever is written between them.
    """
    if _PROCEDURE.fullmatch(value):
        return value
    if not _CODE.fullmatch(value) or _LONG_NUMBER.search(_APART.sub("", value)) or _BIRTHDAY.search(value):
        raise refused("not_a_code", field)
    return value


def _language(value: str | None) -> str:
    if value is None:
        return "vi"
    if not _LANGUAGE.fullmatch(value):
        raise refused("unknown_code", "preferred_language")
    return value


def _closed(sent: Item, status: int, times: _Times, who: _Identity) -> DossierClosed:
    receiving = _code("receiving_unit_code", _required("receiving_unit_code", sent.receiving_unit_code))
    procedure = _code("procedure_code", sent.procedure_code) if sent.procedure_code else None
    count, days = sent.supplement_count or 0, sent.supplement_days or 0.0
    return DossierClosed(
        event_id=who.event_id,
        registry_id=who.registry_id,
        dossier_ref=who.dossier_ref,
        source=who.source,
        outcome=OUTCOMES[status],
        status_code=status,
        procedure_code=procedure,
        procedure_code_national=national_code(procedure),
        field=_code("field_code", sent.field_code or "other"),
        service_level=_choice("service_level", sent.service_level, ServiceLevel, "other"),
        receiving_unit=receiving,
        handling_unit=_code("handling_unit_code", sent.handling_unit_code or receiving),
        unit_level=_choice("unit_level", sent.unit_level, UnitLevel, "other"),
        submission_channel=_channel(sent.submission_channel),
        result_channel=_choice("result_channel", sent.result_channel, ResultChannel, "electronic" if status == 9 else "counter"),
        received_on=(times.received or times.at).astimezone(ZONE).date(),
        due_on=times.due,
        ended_on=times.at.astimezone(ZONE).date(),
        heard_on=who.heard_on,
        supplement_count=count,
        supplement_days=days,
        timeliness=timeliness(times.finished or times.at, times.due, count, days),
        fee_required=bool(sent.fee_required),
        paid_online=sent.paid_online,
        applicant_type=_choice("applicant_type", sent.applicant_type, ApplicantType, "citizen"),
        submitted_by=_choice("submitted_by", sent.submitted_by, SubmittedBy, "owner"),
    )


def _utc(at: datetime) -> str:
    return at.astimezone(ZoneInfo("UTC")).isoformat()


def _canonical(sent: Item, times: _Times, contact: Contact) -> bytes:
    """What was said, so that another spelling of the same (offset, blanks, spaces in a number) is no other content."""
    said = {name: value for name in Item.__struct_fields__ if (value := getattr(sent, name)) is not None and name != "contact"}
    said |= {"occurred_at": _utc(times.at), "received_at": times.received and _utc(times.received), "due_at": times.due}
    said |= {"finished_at": times.finished and _utc(times.finished), "contact": [contact.phone, contact.email]}
    if contact.landline:  # only where there is one: what was taken in before they were kept stays the same content
        said["landline"] = contact.landline
    if sent.contact and (sent.contact.refuses or sent.contact.prefers):
        said["wishes"] = [sorted(set(sent.contact.refuses or ())), sent.contact.prefers]
    return msgspec.json.encode(said, order="deterministic")
