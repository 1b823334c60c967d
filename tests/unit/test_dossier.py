"""What an item must say, what the log learns of it, and why it is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.dossier import FIELDS, NO_NAME, REASONS, ZONE, Parsed, national_code, parse_item, shown_name, timeliness, unknown_fields
from hailong.domain.people import Keyed
from hailong.events import DossierClosed, DossierReopened, encode
from hailong.ports import Contact, Invalid

KEYED = Keyed(bytes(32))
NOW = datetime(2025, 1, 21, 9, 0, tzinfo=ZONE)
PERSONAL = ("0900012345", "+84900012345", "nguoi.nop", "H28.12-250115-0042", "Nguyễn", "012345678901", "P-77", "A017")


def item(**changes: Any) -> dict[str, Any]:
    """An ordinary ending; ``None`` takes a field away."""
    whole = {
        "dossier_code": "H28.12-250115-0042",
        "status_code": 10,
        "procedure_code": "1.001612.000.00.00.H28",
        "field_code": "business",
        "receiving_unit_code": "xa-01",
        "handling_unit_code": "lac-son",
        "submission_channel": "online",
        "received_at": "2025-01-15T08:00:00+07:00",
        "due_at": "2025-01-20T17:00:00+07:00",
        "finished_at": "2025-01-20T09:14:00+07:00",
        "contact": {"phone": "0900 012 345", "email": "nguoi.nop@CONG-DAN.example"},
        "applicant_id": "P-77",
        "slip_code": "ABCD",
        "ticket_no": "A017",
    } | changes
    return {k: v for k, v in whole.items() if v is not None}


def parse(one: Any, source: str = "one-stop", heard_at: datetime = NOW, late_is_fine: bool = False) -> Parsed:
    return parse_item(one, source, heard_at, KEYED, "hoa-binh", as_if_on_time=late_is_fine)


def closed(**changes: Any) -> DossierClosed:
    fact = parse(item(**changes)).act.fact
    assert isinstance(fact, DossierClosed)
    return fact


def refusal(one: Any) -> tuple[str, str | None]:
    with pytest.raises(Invalid) as caught:
        parse(one)
    assert caught.value.reason in REASONS
    assert caught.value.detail == REASONS[caught.value.reason]
    return caught.value.reason, caught.value.field


def test_an_ending_becomes_a_fact_that_names_nobody() -> None:
    parsed = parse(item(fullname="Nguyễn Thị Ví Dụ", identity_no="012345678901"))
    fact = parsed.act.fact
    assert isinstance(fact, DossierClosed)
    assert (fact.outcome, fact.status_code, fact.procedure_code_national, fact.timeliness) == ("result_returned", 10, "1.001612", "on_time")
    assert (fact.received_on, fact.due_on, fact.ended_on, fact.heard_on) == tuple(date(2025, 1, d) for d in (15, 20, 20, 21))
    record = encode(fact, NOW)
    wire = (record.key + record.value + repr(record.headers).encode()).decode()
    assert not [named for named in PERSONAL if named in wire]


def test_what_names_the_person_goes_to_the_ledger_only() -> None:
    act = parse(item()).act
    assert act.contact == Contact("+84900012345", "nguoi.nop@cong-dan.example")
    assert (act.dossier_code, act.applicant_id, act.language) == ("H28.12-250115-0042", "P-77", "vi")
    assert act.occurred_at == datetime(2025, 1, 20, 9, 14, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("status", "outcome", "channel"),
    [(10, "result_returned", "counter"), (9, "done_electronic", "electronic"), (3, "refused", "counter"), (8, "stopped", "counter")],
)
def test_outcome_and_status_say_the_same_either_way(status: int, outcome: str, channel: str) -> None:
    assert closed(status_code=status).outcome == outcome
    by_outcome = closed(status_code=None, outcome=outcome)
    assert (by_outcome.status_code, by_outcome.result_channel) == (status, channel)
    assert refusal(item(status_code=10 if status != 10 else 9, outcome=outcome)) == ("contradiction", "outcome")


@pytest.mark.parametrize("status", [1, 2, 4, 5, 6])
def test_a_dossier_that_goes_on_is_a_reopening(status: int) -> None:
    fact = parse(item(status_code=status, finished_at=None, occurred_at="2025-01-20T23:30:00Z")).act.fact
    assert isinstance(fact, DossierReopened)
    assert fact.reopened_on == date(2025, 1, 21)
    assert refusal(item(status_code=status, finished_at=None)) == ("missing", "occurred_at")


def test_a_dossier_refused_at_the_door_needs_no_day_of_receipt() -> None:
    fact = closed(status_code=3, received_at=None)
    assert fact.received_on == fact.ended_on


def test_the_moment_of_the_status_is_the_end_and_timeliness_is_that_of_the_processing() -> None:
    fact = closed(occurred_at="2025-01-21T08:00:00+07:00")
    assert (fact.ended_on, fact.timeliness) == (date(2025, 1, 21), "on_time")


@pytest.mark.parametrize("channel", ["2", 2, "online"])
def test_the_portals_codes_of_channels_are_words_of_ours(channel: str | int) -> None:
    assert closed(submission_channel=channel).submission_channel == "online"
    assert closed(submission_channel=None).submission_channel == "counter"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status_code": 7}, ("withdrawn_by_applicant", "status_code")),
        ({"status_code": None}, ("missing", "status_code")),
        ({"status_code": 11}, ("unknown_code", "status_code")),
        ({"status_code": "10"}, ("wrong_type", "status_code")),
        ({"status_code": True}, ("wrong_type", "status_code")),
        ({"outcome": "lost"}, ("unknown_code", "outcome")),
        ({"dossier_code": "   "}, ("missing", "dossier_code")),
        ({"dossier_code": "9" * 65}, ("too_long", "dossier_code")),
        ({"dossier_code": "H28\x00-1"}, ("not_a_code", "dossier_code")),
        ({"dossier_code": "H28\n1"}, ("not_a_code", "dossier_code")),
        ({"receiving_unit_code": None}, ("missing", "receiving_unit_code")),
        ({"receiving_unit_code": "a@b.example"}, ("not_a_code", "receiving_unit_code")),
        ({"field_code": "0900012345"}, ("not_a_code", "field_code")),
        ({"dossier_code": "U6-CODE-777", "handling_unit_code": "u6-code-777"}, ("names_the_dossier", "handling_unit_code")),
        ({"slip_code": "AB12CD34", "field_code": "AB12CD34"}, ("names_the_dossier", "field_code")),
        ({"applicant_id": "A-17", "procedure_code": "A-17"}, ("names_the_dossier", "procedure_code")),
        ({"submission_channel": "4"}, ("unknown_code", "submission_channel")),
        ({"applicant_type": "person"}, ("unknown_code", "applicant_type")),
        ({"preferred_language": "Tiếng Việt"}, ("unknown_code", "preferred_language")),
        ({"supplement_count": -1}, ("too_small", "supplement_count")),
        ({"supplement_count": 10**9}, ("too_large", "supplement_count")),
        ({"supplement_days": 1e300}, ("too_large", "supplement_days")),
        ({"fee_required": "yes"}, ("wrong_type", "fee_required")),
        ({"contact": ["0900012345"]}, ("wrong_type", "contact")),
        ({"contact": {"phone": 900012345}}, ("wrong_type", "contact.phone")),
        ({"contact": {"email": "x" * 300}}, ("too_long", "contact.email")),
        ({"finished_at": None}, ("not_ended", "finished_at")),
        ({"finished_at": "20/01/2025"}, ("not_a_time", "finished_at")),
        ({"finished_at": "2025-01-20"}, ("not_a_time", "finished_at")),
        ({"finished_at": "2025-01-20T09:14:00"}, ("time_without_zone", "finished_at")),
        ({"finished_at": "0001-01-01T00:00:00Z"}, ("out_of_range", "finished_at")),
        ({"finished_at": "2025-01-21T09:11:00+07:00"}, ("in_the_future", "finished_at")),
        ({"finished_at": "2025-01-15T07:59:59+07:00"}, ("ends_before_start", "finished_at")),
        ({"occurred_at": "2025-01-14T08:00:00+07:00"}, ("ends_before_start", "finished_at")),
        ({"received_at": None}, ("missing", "received_at")),
    ],
)
def test_a_wrong_item_is_refused_with_its_field_and_reason(changes: dict[str, Any], expected: tuple[str, str | None]) -> None:
    assert refusal(item(**changes)) == expected


@pytest.mark.parametrize("thing", [None, 5, "text", [], ["x"]])
def test_what_is_no_object_is_refused(thing: Any) -> None:
    assert refusal(thing) == ("not_an_object", None)


def test_a_sources_clock_may_run_a_little_ahead() -> None:
    fact = closed(finished_at="2025-01-21T09:09:00+07:00")
    assert fact.heard_on >= fact.ended_on


def test_old_material_can_count_as_heard_on_its_day() -> None:
    fact = parse(item(), heard_at=NOW + timedelta(days=4000), late_is_fine=True).act.fact
    assert isinstance(fact, DossierClosed)
    assert fact.heard_on == fact.ended_on == date(2025, 1, 20)


@pytest.mark.parametrize(
    ("contact", "left", "notes"),
    [
        ({"phone": "số nhà 5"}, Contact(None, None), ("contact.phone: not_a_number",)),
        ({"phone": "0218 385 1234", "email": "a@b.example"}, Contact(None, "a@b.example", "+842183851234"), ()),
        ({"phone": "0218 385 1234; 0912 345 678"}, Contact("+84912345678", None), ()),
        ({"phone": "1900 6000"}, Contact(None, None), ("contact.phone: not_a_persons_number",)),
        ({"email": "không có"}, Contact(None, None), ("contact.email: not_an_address",)),
        (None, Contact(None, None), ()),
        ({}, Contact(None, None), ()),
    ],
)
def test_a_bad_contact_is_dropped_and_noted_not_refused(contact: Any, left: Contact, notes: tuple[str, ...]) -> None:
    parsed = parse(item(contact=contact))
    assert (parsed.act.contact, parsed.notes) == (left, notes)


def test_the_same_moment_and_contact_in_another_spelling_is_the_same_act_with_the_same_content() -> None:
    one = parse(item())
    other = parse(item(finished_at="2025-01-20T02:14:00Z", contact={"phone": "+84900012345", "email": "nguoi.nop@cong-dan.example"}, x="y"))
    assert one.act.event_id == other.act.event_id
    assert one.act.content_hash == other.act.content_hash


@pytest.mark.parametrize("changes", [{"handling_unit_code": "xa-02"}, {"contact": None}, {"slip_code": "EFGH"}, {"ticket_no": None}])
def test_another_content_of_the_same_act_is_told_apart(changes: dict[str, Any]) -> None:
    one, other = parse(item()).act, parse(item(**changes)).act
    assert one.event_id == other.event_id
    assert one.content_hash != other.content_hash


@pytest.mark.parametrize(
    "changes", [{"finished_at": "2025-01-20T09:15:00+07:00"}, {"status_code": 9}, {"dossier_code": "H28.12-250115-0043"}]
)
def test_another_act_has_another_identity(changes: dict[str, Any]) -> None:
    assert parse(item()).act.event_id != parse(item(**changes)).act.event_id
    assert parse(item(), source="portal").act.event_id != parse(item()).act.event_id


def test_the_national_code_is_the_first_two_parts() -> None:
    assert national_code("1.001612.000.00.00.H28") == "1.001612"
    assert national_code("1.001612") == "1.001612"
    assert national_code("TTHC-12") is None
    assert national_code(None) is None


@pytest.mark.parametrize(
    ("day", "due", "count", "days", "expected"),
    [
        (19, 20, 0, 0.0, "early"),
        (20, 20, 0, 0.0, "on_time"),
        (21, 20, 0, 0.0, "overdue"),
        (24, 20, 1, 4.0, "on_time"),
        (19, 20, 2, 0.0, "overdue"),
        (19, None, 0, 0.0, "unknown"),
        (19, None, 2, 0.0, "overdue"),
    ],
)
def test_timeliness_counts_days_less_the_citizens_own_and_two_supplements_are_late(
    day: int, due: int | None, count: int, days: float, expected: str
) -> None:
    assert timeliness(datetime(2025, 1, day, 23, 59, tzinfo=ZONE), date(2025, 1, due) if due else None, count, days) == expected


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0, 30))
def test_more_time_for_the_citizen_never_makes_a_dossier_later(ended: int, due: int, days: float) -> None:
    order = ["early", "on_time", "overdue"]
    base = datetime(2025, 1, 1, 12, tzinfo=ZONE)
    day = (base + timedelta(days=due)).date()
    without, with_ = (timeliness(base + timedelta(days=ended), day, 1, d) for d in (0.0, days))
    assert order.index(with_) <= order.index(without)


@given(st.integers(-12, 14))
def test_a_moment_is_the_same_in_every_zone(hours: int) -> None:
    at = datetime(2025, 1, 20, 9, 14, tzinfo=ZONE).astimezone(timezone(timedelta(hours=hours)))
    there, here = parse(item(finished_at=at.isoformat())).act, parse(item()).act
    assert (there.fact, there.content_hash) == (here.fact, here.content_hash)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted({f.split(".")[0] for f in FIELDS})), anything, max_size=6))
def test_whatever_is_sent_is_an_act_or_a_refusal_that_quotes_nothing(sent: dict[str, Any]) -> None:
    refused = refused_with(item() | sent)
    if refused is not None:
        assert refused.reason in REASONS
        assert str(refused) in {refused.reason, f"{refused.field}: {refused.reason}"}
        assert refused.field is None or refused.field in FIELDS | {"contact"}


def refused_with(sent: dict[str, Any]) -> Invalid | None:
    try:
        parse(sent)
    except Invalid as error:
        return error
    return None


@pytest.mark.parametrize("name", ["adress", "contact.phon", "Số điện thoại", "x" * 40, "line 12345", "2025-1", "v2"])
def test_the_name_of_an_unknown_field_is_shown(name: str) -> None:
    assert shown_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "x" * 41,
        "lan@cong-dan.example",
        "0900000001",
        "tel 123456",
        "0900 000 001",
        "0900.000.001",
        "H28.12-250115-0001",
        "",
        "a\nb",
        "a\x1b[2J",
    ],
)
def test_a_name_that_may_name_a_person_is_not(name: str) -> None:
    assert shown_name(name) == NO_NAME == "(a name that is no field)"


@given(st.dictionaries(st.text(max_size=60), anything, max_size=8), anything)
def test_unknown_fields_are_told_by_harmless_names_only(more: dict[str, Any], contact: Any) -> None:
    notes = unknown_fields(item() | more | {"contact": contact})
    unknown = [name for name in more if name not in FIELDS | {"contact"} or name.startswith("contact.")]
    unknown += [f"contact.{name}" for name in contact if name not in ("phone", "email")] if isinstance(contact, dict) else []
    assert set(notes) == {f"unknown field: {shown_name(name)}" for name in unknown}


@pytest.mark.parametrize("no_item", [None, 5, [], "x"])
def test_what_is_no_item_has_no_unknown_fields(no_item: Any) -> None:
    assert unknown_fields(no_item) == ()


def test_an_items_fields_are_those_documented() -> None:
    assert msgspec.json.decode(msgspec.json.encode(item())).keys() - {"contact"} <= FIELDS
