"""What ``hailong why`` tells of the tries of a message, from the ledger's own facts and rows: each says what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hailong.domain.hours import Hours
from hailong.domain.units import LOCAL
from hailong.domain.ways import Way
from hailong.events import SurveyDelivery
from hailong.ports import Decision
from ops.explaining import Sentences, Told
from ops.trying import Happened, story
from sinks.clickhouse.drawing import Change, Step
from sinks.ledger import Ledger
from sinks.ledger.drawing import History, by_refs, history
from tests.contract.build import NOON, act, answered, claim, closed, decide, settle, take

Open = Callable[..., Ledger]
HOURS = Hours()
WAYS = {"ways": {"sms": Way("twilio", "vn"), "email": Way("smtp")}, "is_open": HOURS.is_open, "next_open": HOURS.next_open, "zone": LOCAL}
MINUTE = timedelta(minutes=1)
BARRED = "Twilio refuses our settings (sender, code 21212); correct them, the messages wait"
BUSY = "Twilio has too many requests from this account at once"
PHONE, MAIL = "+84900000001", "p@x.a00001"


def known(ledger: Ledger, ref: str = "d") -> History:
    with ledger.read() as reader:
        return history(reader, by_refs(reader, [ref])[0], date(2026, 1, 1))


def archived(ledger: Ledger) -> tuple[list[Step], list[Change]]:
    """The ledger's facts as ClickHouse has them."""
    facts = [(p.record.topic, p.record.value) for p in ledger.pending(10_000)]
    steps = [msgspec.json.decode(value, type=SurveyDelivery) for topic, value in facts if topic == "survey.delivery.v1"]
    changes = [msgspec.json.decode(value) for topic, value in facts if topic == "provider.changed.v1"]
    return (
        [Step(s.purpose, s.state, s.at.astimezone(UTC), s.channel or "", s.provider or "", s.code or "", s.reason or "") for s in steps],
        [Change(c["channel"], c["before"], c["provider"], c["reason"], datetime.fromisoformat(c["at"])) for c in changes],
    )


def told(ledger: Ledger, purpose: str = "invitation", steps: Iterable[Step] | None = None) -> list[Happened]:
    facts, changes = archived(ledger)
    return story(purpose, list(facts if steps is None else steps), known(ledger), changes)


def kinds(found: Iterable[Happened]) -> list[str]:
    return [h.kind for h in found]


def begin(opened: Open, **more: Any) -> Ledger:
    ledger = opened(**WAYS)
    take(ledger, act("d", PHONE, MAIL if more else None))
    decide(ledger, "d", **more)
    return ledger


def put_back(ledger: Ledger, at: datetime, reason: str, wait: timedelta = MINUTE) -> None:
    settle(ledger, "released", *claim(ledger, at), now=at, reason=reason, retry_at=at + wait)


def test_a_try_that_was_refused_for_now_says_when_by_whom_and_why(opened: Open) -> None:
    ledger = begin(opened)
    put_back(ledger, NOON, BARRED)
    with ledger.begin() as tx:
        tx.use_provider("sms", "vn", "barred", "send", NOON + MINUTE, NOON + MINUTE)
    waits = told(ledger)
    assert kinds(waits) == ["claimed", "released", "provider_changed", "next_try"]
    released, changed = waits[1:3]
    assert (released.provider, released.cause and (released.cause.word, released.cause.code)) == ("twilio", ("provider_settings", "21212"))
    assert (changed.provider, changed.other, changed.change) == ("vn", "twilio", "barred")

    settle(ledger, "handed_over", *claim(ledger, NOON + 2 * MINUTE), now=NOON + 2 * MINUTE)
    done = told(ledger)
    assert kinds(done) == ["claimed", "released", "provider_changed", "claimed", "handed_over"]
    assert [(h.provider, h.nth) for h in done if h.kind == "claimed"] == [("twilio", 1), ("vn", 2)]
    said = [Sentences("vi").happened(h) for h in done]
    assert said[1].startswith("Lời mời, lần 1: không giao được cho twilio (bằng tin nhắn SMS), lúc 12:00 2/3/2026")
    assert said[2] == (
        "Từ 12:01 2/3/2026, tin nhắn SMS được gửi qua vn thay cho twilio: twilio từ chối tài khoản hoặc cài đặt của hệ thống."
    )


def test_a_try_under_way_tells_of_the_one_before(opened: Open) -> None:
    ledger = begin(opened)
    put_back(ledger, NOON, "Twilio cannot take more messages now (code 20429)")
    claim(ledger, NOON + MINUTE)
    found = told(ledger)
    assert kinds(found) == ["claimed", "released", "claimed"]
    assert found[1].cause is not None
    assert (found[1].cause.word, found[1].cause.code) == ("provider_busy", "20429")
    assert kinds(told(ledger, steps=[])) == ["claimed"]  # before any fact is archived


def test_a_channel_that_refused_for_good_gives_way_to_the_next(opened: Open) -> None:
    ledger = begin(opened, channel="sms", next_channels=("email",))
    settle(ledger, "failed", *claim(ledger), reason="invalid_number", code="21211")
    assert kinds(told(ledger)) == ["claimed", "next_channel", "next_try"]
    settle(ledger, "handed_over", *claim(ledger, NOON + MINUTE), now=NOON + MINUTE)
    found = told(ledger)
    assert kinds(found) == ["claimed", "next_channel", "claimed", "handed_over"]
    assert (found[1].channel, found[1].other, found[2].provider) == ("sms", "email", "smtp")


def test_too_late_and_withdrawn_after_a_try(opened: Open) -> None:
    ledger = begin(opened)
    evening = NOON.replace(hour=19, minute=58)
    put_back(ledger, evening, "hour")
    with ledger.begin() as tx:
        tx.choose("opt_out", ["phone#000001"], evening, "link")
    assert claim(ledger, NOON + timedelta(days=1)) == []
    found = told(ledger)
    assert kinds(found) == ["claimed", "released", "withdrawn"]
    assert [h.cause and h.cause.word for h in found] == [None, "hour", "opted_out"]
    assert "đã hết giờ được gửi trước khi kịp giao" in Sentences("vi").happened(found[1])
    assert Sentences("en").happened(found[2]) == (
        "Invitation: withdrawn and not sent, at 12:00 3 March 2026: the person has refused surveys."
    )


def test_a_refusal_names_the_provider_though_the_fact_does_not(opened: Open) -> None:
    ledger = begin(opened)
    settle(ledger, "failed", *claim(ledger), reason="invalid_number", code="21211")
    failed = told(ledger)[-1]
    assert (failed.kind, failed.provider, failed.nth) == ("failed", "twilio", 0)
    assert Sentences("vi").happened(failed).endswith("số điện thoại không đúng (mã 21211). Không gửi lại.")


def test_a_silent_provider_and_a_late_refusal_are_no_refusal_at_the_door(opened: Open) -> None:
    ledger = begin(opened)
    (claimed,) = claim(ledger)
    settle(ledger, "handed_over", claimed)
    with ledger.begin() as tx:
        tx.no_receipt(claimed.claim_id, NOON + timedelta(days=3))
    assert kinds(told(ledger)) == ["planned", "claimed", "handed_over", "unheard"]
    assert kinds(told(ledger, steps=archived(ledger)[0][:2])) == ["planned", "claimed", "handed_over"]  # the fact of it comes later


def test_reminders_sent_planned_and_not_sent_are_told(opened: Open) -> None:
    ledger = begin(opened, remind_after_days=7, channel="sms")
    settle(ledger, "handed_over", *claim(ledger))
    assert kinds(told(ledger, "reminder")) == ["planned"]
    survey = known(ledger).found.survey_id
    with ledger.begin() as tx:
        tx.count(answered(survey, 5), NOON)
    moot = told(ledger, "reminder")
    assert kinds(moot) == ["moot_answered"]
    assert "sẽ không gửi vì đã có câu trả lời" in Sentences("vi").happened(moot[0])
    claim(ledger, NOON + timedelta(days=8))
    gone = told(ledger, "reminder")
    assert kinds(gone) == ["planned", "withdrawn"]
    assert gone[1].cause is not None
    assert gone[1].cause.word == "answered"


def test_who_gets_no_reminder_hears_why(opened: Open) -> None:
    ledger = begin(opened)
    settle(ledger, "handed_over", *claim(ledger))
    assert kinds(told(ledger, "reminder")) == ["no_reminder"]


def test_many_tries_that_ended_alike_are_one_line(opened: Open) -> None:
    ledger = begin(opened)
    tries = [Step("invitation", "claimed", NOON + n * MINUTE, "sms", "twilio", "20429" if n else "", BUSY if n else "") for n in range(6)]
    words = Sentences("vi")
    document = words.document(Told(known(ledger), (), None, (), None, tuple(tries)))
    assert [s["try"] for s in document["steps"] if s["step"] == "released"] == [1, 2, 3, 4, 5]
    lines = [line for line in words.lines(document) if "lần" in line]
    assert len(lines) == 2  # five together, the sixth
    assert lines[0].startswith("Lời mời, lần 1 đến lần 5: từ 12:00 2/3/2026 đến 12:04 2/3/2026")
    assert "(mã 20429)" in lines[0]


def test_nothing_english_is_left_in_the_vietnamese(opened: Open) -> None:
    ledger = begin(opened)
    put_back(ledger, NOON, "Something a stranger says (code 7)")
    said = Told(known(ledger), (), None, (), None, tuple(archived(ledger)[0]))
    text = "\n".join(Sentences("vi").lines(Sentences("vi").document(said)))
    assert "stranger" not in text
    assert "lý do chưa có lời giải thích ở đây (mã 7)" in text
    assert "stranger" not in str(Sentences("en").document(said))


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_a_rest_is_told_with_both_days(opened: Open, lang: str) -> None:
    ledger = begin(opened)
    settle(ledger, "handed_over", *claim(ledger))
    ending = closed("later")
    take(ledger, act("later", PHONE))
    with ledger.begin() as tx:
        slot = tx.slots_for_decision(["later"])["later"]
        rested = NOON.replace(hour=0) + timedelta(days=30)
        tx.decide([Decision("later", slot.survey_id, slot.contacts, asked=False, rest_until=rested, ending=ending)])
    rest = known(ledger, "later")
    assert rest.rest is not None
    assert rest.rest.asked_at == NOON.astimezone(UTC)
    assert rest.rest.ending == ending
    document = Sentences(lang).document(Told(rest, (), rest.rest.ending, (), None, (), (), "2026-1"))
    assert document["rests"] == {"asked_on": NOON.date(), "until": NOON.date() + timedelta(days=30)}
    said = {
        "vi": "được hỏi ngày 2/3/2026, nên hồ sơ chờ đến ngày 1/4/2026",
        "en": "asked on 2 March 2026, so the dossier waits until 1 April",
    }
    assert said[lang] in document["heads"][2]


def test_every_try_keeps_its_reason(opened: Open) -> None:
    ledger = begin(opened)
    for n, reason in enumerate((BARRED, BUSY, "hour")):
        put_back(ledger, NOON + n * MINUTE, reason)
    settle(ledger, "handed_over", *claim(ledger, NOON + timedelta(days=1)), now=NOON + timedelta(days=1))
    released = [h.cause.word for h in told(ledger) if h.kind == "released" and h.cause]
    assert released == ["provider_settings", "provider_busy", "hour"]
