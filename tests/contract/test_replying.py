"""What a number can answer by SMS, and what is remembered of messages, on every ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from hailong.domain.units import LOCAL
from sinks.ledger import Ledger, schema
from tests.contract.build import NOON, act, answered, claim, decide, settle, take

Opened = Callable[..., Ledger]
ANNA, BINH = "+84912345678", "+84987654321"
LATER = NOON + timedelta(hours=1)
NO_CAP = {"cap_days": lambda _at: 0}


@pytest.fixture
def ledger(opened: Opened) -> Ledger:
    return opened(**NO_CAP)


def ask(ledger: Ledger, ref: str, phone: str | None = ANNA, **more: object) -> str:
    """A dossier whose person was written to; its survey."""
    take(ledger, act(ref, phone, **({} if phone else {"email": "an@example.vn"})))
    (survey,) = decide(ledger, ref)
    settle(ledger, "handed_over", *claim(ledger))
    return survey


def can_answer(ledger: Ledger, number: str = ANNA, hours: int = 1) -> list[str]:
    with ledger.read() as view:
        return [slot.survey_id for slot, _ in view.open_invitations(number, NOON + timedelta(hours=hours))]


def test_a_number_can_answer_what_it_was_asked_by_the_codes_of_both_messages(ledger: Ledger) -> None:
    survey, other = ask(ledger, "d1"), ask(ledger, "d2", BINH)
    with ledger.begin() as tx:
        ((slot, codes),) = tx.open_invitations(ANNA, LATER)
    assert (slot.survey_id, slot.answered, slot.language, slot.about.receiving_unit) == (survey, False, "vi", "X1")
    assert codes == (f"{survey}-invitation-sms", f"{survey}-reminder-sms")
    assert can_answer(ledger, BINH) == [other]
    assert can_answer(ledger, "+84900000000") == []


def test_several_come_by_the_day_their_dossiers_ended(ledger: Ledger) -> None:
    surveys = [ask(ledger, f"d{n}") for n in range(3)]
    with ledger.begin() as tx:
        mine = schema.slots.c.survey_id == surveys[0]
        tx.conn.execute(sa.update(schema.slots).where(mine).values(ended_on=NOON.date() + timedelta(days=1)))
    assert can_answer(ledger) == [*surveys[1:], surveys[0]]


def test_what_waits_or_was_not_asked_cannot_be_answered(ledger: Ledger) -> None:
    take(ledger, act("undecided", ANNA), act("waits", ANNA), act("refused", ANNA))
    decide(ledger, "waits", ask_at=LATER)
    decide(ledger, "refused", asked=False, reason="drawn_out")
    assert can_answer(ledger) == []


def test_a_message_under_way_can_be_answered_before_its_sender_has_written_that_it_was_taken(ledger: Ledger) -> None:
    take(ledger, act("d1", ANNA))
    (survey,) = decide(ledger, "d1")
    (claimed,) = claim(ledger)
    assert can_answer(ledger) == [survey], "a sender that dies now leaves it so for minutes"
    settle(ledger, "handed_over", claimed)
    assert can_answer(ledger) == [survey]
    take(ledger, act("d2", BINH))
    decide(ledger, "d2")
    settle(ledger, "released", *claim(ledger))
    assert can_answer(ledger, BINH) == [], "it did not go out, and waits again"


def test_what_was_answered_is_over_or_goes_nowhere_cannot_be_answered(ledger: Ledger) -> None:
    done, open_ = ask(ledger, "d1"), ask(ledger, "d2")
    with ledger.begin() as tx:
        tx.count(answered(done, 4), LATER)
    assert can_answer(ledger) == [open_]
    assert can_answer(ledger, hours=24 * 30) == [], "the link's last moment is the survey's"


def test_what_was_erased_is_found_by_nobody(ledger: Ledger) -> None:
    ask(ledger, "d1")
    with ledger.begin() as tx:
        tx.erase_person("phone", ANNA, LATER, LATER.astimezone(LOCAL).date(), opt_out=False, by="an")
    assert can_answer(ledger) == []


def test_who_opted_out_may_still_answer(ledger: Ledger) -> None:
    survey = ask(ledger, "d1")
    with ledger.begin() as tx:
        tx.opt_out_number(ANNA, LATER, "sms")
    assert can_answer(ledger) == [survey]


def test_a_number_is_found_under_every_pepper_and_looking_writes_nothing(opened: Opened) -> None:
    before = opened(**NO_CAP)
    survey = ask(before, "d1")
    after = opened(
        contact_hash=lambda kind, value: f"2#{kind}#{value[-6:]}",
        older_hashes=lambda kind, value: {1: f"{kind}#{value[-6:]}"},
        pepper_version=lambda: 2,
        **NO_CAP,
    )
    newer = ask(after, "d2", BINH)
    assert (can_answer(after), can_answer(after, BINH)) == ([survey], [newer])
    assert can_answer(after, "+84900000001") == []
    with after.read() as view:
        hashes = view.conn.execute(sa.select(schema.contacts.c.hash)).scalars()
        assert not [one for one in hashes if one.endswith("000001")]


def test_a_note_is_new_once_and_gives_what_is_bound_to_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert tx.note_once("inbound", "gw:1", NOON) is None
        tx.bind_note("inbound", "gw:1", {"survey": "s1", "score": 4})
        assert tx.note_once("asked_back", "gw:1", NOON) is None, "another kind"
    with ledger.begin() as tx:
        assert tx.note_once("inbound", "gw:1", LATER) == {"survey": "s1", "score": 4}
        tx.bind_note("inbound", "gw:1", {})
        assert tx.note_once("inbound", "gw:1", LATER) == {}
        assert tx.note_once("asked_back", "gw:1", LATER) == {}
        assert tx.next_due() is None, "nobody waits for a note"
        assert tx.take_due(["inbound"], LATER, LATER, LATER, 10) == []


def test_what_was_undone_was_not_noted(ledger: Ledger) -> None:
    class Away(Exception):
        pass

    def undone() -> None:
        with ledger.begin() as tx:
            tx.note_once("inbound", "gw:1", NOON)
            raise Away

    with pytest.raises(Away):
        undone()
    with ledger.begin() as tx:
        assert tx.note_once("inbound", "gw:1", NOON) is None


def test_of_two_at_once_the_second_waits_and_gets_what_the_first_has_bound(opened: Opened) -> None:
    one, other = opened(), opened()
    found: list[object] = []
    noted = threading.Event()

    def second() -> None:
        noted.wait(10)
        with other.begin() as tx:
            found.append(tx.note_once("inbound", "gw:1", NOON))

    thread = threading.Thread(target=second)
    thread.start()
    with one.begin() as tx:
        found.append(tx.note_once("inbound", "gw:1", NOON))
        noted.set()
        tx.bind_note("inbound", "gw:1", {"survey": "s1"})
    thread.join(10)
    assert found == [None, {"survey": "s1"}]
