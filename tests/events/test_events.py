"""Every version of every fact stays readable; its record is a CloudEvent; what it must not say it cannot say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hailong.events import BY_NAME, TOPICS, Topic, decode, encode, topic_of
from tests.events.build import AT, FACTS

GOLDEN = Path(__file__).parents[1] / "golden"
BY_TOPIC = {topic_of(f).name: f for f in FACTS}


def golden_files(topic: str) -> list[Path]:
    """As it was written first, then with the fields it gained, in that order."""
    more = sorted(GOLDEN.glob(f"{topic}.*.json"), key=lambda p: int(p.suffixes[-2][1:]))
    return [first, *more] if (first := GOLDEN / f"{topic}.json").exists() else []


def golden(topic: str) -> bytes:
    """The newest."""
    return golden_files(topic)[-1].read_bytes().rstrip(b"\n")


def whittled(fact: Any, said: dict[str, Any]) -> Any:
    """A fact with everything at its default that a record does not say."""
    fields = {f.name: f for f in msgspec.structs.fields(type(fact))}
    gone = {n: f.default_factory() if f.default is msgspec.NODEFAULT else f.default for n, f in fields.items() if n not in said}
    return msgspec.structs.replace(fact, **gone)


def test_every_topic_has_its_golden_file_and_every_golden_file_its_topic() -> None:
    """A new topic or version needs one: ``tests/events/build.py`` and, once, ``python -m tests.events.freeze``."""
    assert {p for name in BY_NAME for p in golden_files(name)} == set(GOLDEN.glob("*.json"))
    assert all(golden_files(name) for name in BY_NAME)
    assert set(BY_TOPIC) == set(BY_NAME)


@pytest.mark.parametrize("topic", BY_NAME)
def test_what_was_once_written_is_read_as_the_same_fact_for_ever(topic: str) -> None:
    for file in golden_files(topic):
        value = file.read_bytes().rstrip(b"\n")
        assert decode(topic, value) == whittled(BY_TOPIC[topic], msgspec.json.decode(value)), file.name


@pytest.mark.parametrize("topic", BY_NAME)
def test_the_same_fact_is_written_as_the_same_bytes(topic: str) -> None:
    """A field that was added since, with its default, comes on top; nothing else may differ, not even the order."""
    written = msgspec.json.decode(encode(BY_TOPIC[topic], AT).value)
    old = msgspec.json.decode(golden(topic))
    assert {name: written[name] for name in old} == old
    added = written.keys() - old.keys()
    defaults = {f.name for f in msgspec.structs.fields(BY_NAME[topic].schema) if not f.required}
    assert added <= defaults, f"{topic}: {added - defaults} came without a default; make it a new version"
    if not added:
        assert encode(BY_TOPIC[topic], AT).value == golden(topic)


@pytest.mark.parametrize("topic", BY_NAME)
def test_the_golden_fact_says_every_field(topic: str) -> None:
    """Else a field could change its type and nobody would see it."""
    old = msgspec.json.decode(golden(topic))
    kept = msgspec.to_builtins(BY_TOPIC[topic])
    assert [name for name, value in kept.items() if value is None or name not in old] == []


@pytest.mark.parametrize("topic", BY_NAME)
def test_a_field_nobody_knows_is_no_fault(topic: str) -> None:
    """A newer program writes it; this one reads on."""
    value = msgspec.json.encode(msgspec.json.decode(golden(topic)) | {"of_tomorrow": {"a": 1}})
    assert decode(topic, value) == BY_TOPIC[topic]


def test_an_old_record_without_a_later_field_is_read_with_its_default() -> None:
    topic = "dossier.closed.v1"
    old = {k: v for k, v in msgspec.json.decode(golden(topic)).items() if k not in ("submitted_by", "timeliness")}
    fact: Any = decode(topic, msgspec.json.encode(old))
    assert (fact.submitted_by, fact.timeliness) == ("owner", "unknown")


# --- the record


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_a_record_is_a_cloud_event_with_the_topic_s_key(topic: Topic) -> None:
    fact = BY_TOPIC[topic.name]
    record = encode(fact, AT)
    headers = dict(record.headers)
    assert set(headers) == {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type"}
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == fact.event_id.encode()
    assert headers["ce_type"] == f"vn.hailong.{topic.name}".encode()
    assert headers["ce_source"] == b"hoa-binh"
    assert headers["content-type"] == b"application/json"
    at = datetime.fromisoformat(headers["ce_time"].decode())
    assert at == AT
    assert at.tzinfo is not None
    assert record.topic == topic.name
    assert record.key == str(getattr(fact, topic.key)).encode()
    assert record.value.decode("utf-8")


def test_keys_and_partitions_are_those_of_the_house() -> None:
    """Fixed at creation: a change would tear the order of facts that are there."""
    per_entity = {t.name: t.key for t in TOPICS if t.key != "registry_id"}
    assert per_entity == {
        "dossier.closed.v1": "dossier_ref",
        "dossier.reopened.v1": "dossier_ref",
        "survey.decided.v1": "dossier_ref",
        "survey.delivery.v1": "survey_id",
        "survey.answered.v1": "survey_id",
        "contact.preference.v1": "contact_hash",
    }
    assert {t.partitions for t in TOPICS if t.name in per_entity} == {4}
    assert {t.partitions for t in TOPICS if t.name not in per_entity} == {1}


# --- what a fact must not say


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_no_fact_joins_a_dossier_to_an_answer_or_names_anybody(topic: Topic) -> None:
    fields = {f.name for f in msgspec.structs.fields(topic.schema)}
    assert not {"dossier_ref", "survey_id"} <= fields
    naming = (
        "dossier_code",
        "phone",
        "email",
        "name",
        "contact",
        "applicant_id",
        "person",
        "comment",
        "text",
        "occurred_at",
        "finished_at",
    )
    allowed = {"name"} if topic.name in ("unit.changed.v1", "procedure.changed.v1") else set()  # a unit's, a procedure's name
    assert fields.isdisjoint(set(naming) - allowed)


PHONE = "0912345678"
BAD = [
    {"outcome": PHONE},
    {"outcome": f"a' {PHONE} 'b"},
    {"outcome": f"a\n{PHONE}"},
    {"outcome": int(PHONE)},
    {"ended_on": PHONE},
    {"ended_on": {PHONE: PHONE}},
    {"status_code": PHONE},
    {"supplement_days": [PHONE]},
    {"dossier_ref": {PHONE: 1}},
    {"timeliness": f"{PHONE}' - at `$.x`"},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_a_fault_is_named_and_never_quotes_a_value(wrong: dict[str, Any]) -> None:
    value = msgspec.json.encode(msgspec.json.decode(golden("dossier.closed.v1")) | wrong)
    with pytest.raises(ValueError, match=r"^dossier\.closed\.v1: ") as fault:
        decode("dossier.closed.v1", value)
    assert PHONE not in str(fault.value)
    assert PHONE not in repr(fault.value.__cause__)
    assert next(iter(wrong)) in str(fault.value), "it names the field"


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{", b"null", b"[]", f'"{PHONE}"'.encode(), f"{{{PHONE}}}".encode()])
def test_what_is_no_fact_is_told_with_its_topic(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"^survey\.answered\.v1: ") as fault:
        decode("survey.answered.v1", value)
    assert PHONE not in str(fault.value)


def test_an_unknown_topic_is_named() -> None:
    with pytest.raises(ValueError, match=r"^dossier\.closed\.v9: no such topic of facts$"):
        decode("dossier.closed.v9", b"{}")


def test_an_answer_s_keys_and_values_are_not_quoted_either() -> None:
    """Question ids come from a form: what stands there may be anything."""
    value = msgspec.json.encode(msgspec.json.decode(golden("survey.answered.v1")) | {"answers": [PHONE], "mode": PHONE})
    with pytest.raises(ValueError, match="survey") as fault:
        decode("survey.answered.v1", value)
    assert PHONE not in str(fault.value)


def test_times_keep_their_moment_whatever_their_zone() -> None:
    fact: Any = decode("survey.counted.v1", golden("survey.counted.v1"))
    assert fact.counted_at == AT.astimezone(UTC)
    assert fact.counted_at.tzinfo is not None
