"""Who gave a landline only, on SQLite and PostgreSQL alike: never texted, perhaps called, bound and erased like everybody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hailong.domain.calls import Calling
from hailong.domain.hours import Hours
from hailong.ports import Contact, Decision, DossierAct
from sinks.ledger import Ledger
from sinks.ledger import schema as t
from tests.contract.build import NOON, act, answered, claim, decide, outcomes, reopened, settle, take

Open = Callable[..., Ledger]
RULES = Calling(share=1.0, after_days=3, tries=3, gap=timedelta(hours=24), hours=Hours())
DAY = timedelta(days=1)
LATER = NOON + 4 * DAY
HOUSE, MOBILE = "+842183851234", "+84912000001"


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened()


def home(ref: str, number: str = HOUSE, email: str | None = None, person: str | None = None, **changes: Any) -> DossierAct:
    """Somebody who gave a landline."""
    return replace(act(ref, **changes), contact=Contact(None, email, number), applicant_id=person)


def without(ledger: Ledger, *refs: str, reason: str = "no_contact") -> None:
    """Decided as the rules do where nobody can be written to."""
    with ledger.begin() as tx:
        slots = tx.slots_for_decision(refs)
        assert all(s.reach == () for s in slots.values()), "nothing can be sent to a landline"
        tx.decide([Decision(s.dossier_ref, s.survey_id, s.contacts, asked=False, reason=reason) for s in slots.values()])


def draw(ledger: Ledger, now: Any = LATER, cap_days: int = 30) -> list[str]:
    """Who is put on the list."""
    with ledger.begin() as tx:
        tx.add_calls(tx.call_candidates(RULES, now.date(), now, "", 100), RULES, now.date(), now, cap_days)
        slots = {s.survey_id: s.dossier_ref for s in tx.conn.execute(sa.select(t.slots))}
        return sorted(slots[s] for s in tx.conn.execute(sa.select(t.calls.c.survey_id).where(t.calls.c.drawn_on == now.date())).scalars())


def test_a_landline_is_called_and_never_written_to(ledger: Ledger) -> None:
    take(ledger, home("d1"))
    without(ledger, "d1")
    assert outcomes(ledger) == {"valid": 1, "asked": 0, "waiting": 0, "not_asked": {"no_contact": 1}}
    assert draw(ledger, NOON + 2 * DAY) == []
    assert draw(ledger) == ["d1"]
    with ledger.begin() as tx:
        entry = tx.take_call("an", LATER, LATER, frozenset())
        assert entry is not None
        assert (entry.why, entry.number) == ("unreachable", "••• ••• ••34")
        assert tx.reveal_number("an", entry.survey_id, LATER) == HOUSE
    assert claim(ledger, LATER) == []
    assert outcomes(ledger)["not_asked"] == {"no_contact": 1}, "a call changes no outcome: the three add up as before"


def test_with_an_address_too_they_are_written_to_there_and_called_at_the_landline(ledger: Ledger) -> None:
    take(ledger, home("d1", email="a@x.example"))
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d1"])["d1"].reach == ("email",)
    decide(ledger, "d1")
    (sent,) = claim(ledger)
    assert sent.contact is not None
    assert (sent.channel, sent.contact.phone, sent.contact.email) == ("email", None, "a@x.example")
    settle(ledger, "handed_over", sent)
    assert draw(ledger) == ["d1"]
    with ledger.begin() as tx:
        entry = tx.take_call("an", LATER, LATER, frozenset())
        assert entry is not None
        assert (entry.why, tx.reveal_number("an", entry.survey_id, LATER)) == ("no_answer", HOUSE)


def test_the_code_of_the_dossier_works_with_the_end_of_the_landline(ledger: Ledger) -> None:
    take(ledger, home("d1"))
    with ledger.begin() as tx:
        assert tx.slot_by_dossier(["d1"], "235", NOON) is None
        assert tx.slot_by_dossier(["d1"], "234", NOON) is not None


def test_an_opt_out_holds_for_a_landline_before_and_after_it_is_drawn(ledger: Ledger) -> None:
    take(ledger, home("d1"), home("d2", "+842183859999"))
    without(ledger, "d1", "d2")
    with ledger.begin() as tx:
        assert tx.opt_out_number("0218 385 1234", NOON, "1022") == "recorded"
    assert draw(ledger) == ["d2"]
    with ledger.begin() as tx:
        tx.opt_out_number("(0218) 3859999", LATER, "1022")
        assert tx.take_call("an", LATER, LATER, frozenset()) is None


@pytest.mark.parametrize("reason", ["test", "sensitive_procedure", "minor", "no_channel", "trial", "sampled_out"])
def test_only_who_could_not_be_written_to_is_drawn_instead(ledger: Ledger, reason: str) -> None:
    take(ledger, home("d1"))
    without(ledger, "d1", reason=reason)
    assert draw(ledger) == []


def test_a_trial_of_a_source_and_a_dossier_that_goes_on_are_not_drawn(ledger: Ledger) -> None:
    take(ledger, replace(home("d1"), test=True), home("d2", "+842183859999"))
    without(ledger, "d1", "d2")
    take(ledger, reopened("d2"))
    with ledger.begin() as tx:
        assert tx.reopen("d2", "reopened:d2") is None
        assert tx.slot_by_dossier(["d2"], "999", NOON) is None
    assert draw(ledger) == []
    take(ledger, replace(home("d2", event_id="again"), occurred_at=NOON + 2 * DAY))
    with ledger.begin() as tx:
        assert tx.slot_by_dossier(["d2"], "999", NOON) is not None, "it has ended again"


@pytest.mark.parametrize(
    "shut", [{"welcome": lambda _channel, to: to != HOUSE}, {"may_leave": lambda channel, *_: "not_live" if channel == "sms" else None}]
)
def test_in_a_trial_and_before_going_live_nobody_is_called_who_was_not_written_to(opened: Open, shut: dict[str, Any]) -> None:
    ledger = opened(**shut)
    take(ledger, home("d1"))
    without(ledger, "d1")
    assert draw(ledger) == []
    assert draw(opened()) == ["d1"]


def test_a_household_is_called_once_within_the_cap(ledger: Ledger) -> None:
    take(ledger, home("d1"), home("d2"), home("d3", "+842183859999"))
    without(ledger, "d1", "d2", "d3")
    first = draw(ledger)
    assert len({"d1", "d2"} & set(first)) == 1
    assert "d3" in first
    assert draw(ledger, LATER + DAY) == []


def test_a_call_is_an_asking_of_the_person_and_binds_as_one(ledger: Ledger) -> None:
    """Both ways: who was asked by a message is not called about something else, and who is called is not written to."""
    take(
        ledger,
        replace(act("m1", MOBILE), applicant_id="ng 000001"),
        home("d1", person="ng 000001"),
        home("d2", "+842183859999", person="ng 000002"),
    )
    (first,) = decide(ledger, "m1")
    settle(ledger, "handed_over", *claim(ledger))
    with ledger.begin() as tx:
        tx.count(answered(first, 4), NOON)
    without(ledger, "d1", "d2")
    assert draw(ledger) == ["d2"], "the person of d1 was asked about m1"
    take(ledger, replace(act("m2", "+84912000002"), applicant_id="ng 000002"))
    with ledger.begin() as tx:
        slot = tx.slots_for_decision(["m2"])["m2"]
    assert (slot.last_asked_at, slot.asked_by_number) == (LATER, False)
    with ledger.begin() as tx:
        entry = tx.take_call("an", LATER, LATER, frozenset())
        assert entry is not None
        tx.end_try("an", entry, "refused", LATER + DAY / 24, RULES)
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["m2"])["m2"].last_asked_at == LATER + DAY / 24
    assert draw(ledger, NOON + 29 * DAY, cap_days=20) == ["d1"], "when the cap is over, while it is not too long ago"


def test_who_leaves_the_list_uncalled_is_free_to_be_asked(ledger: Ledger) -> None:
    take(ledger, home("d1"))
    without(ledger, "d1")
    draw(ledger)
    take(ledger, reopened("d1"))
    with ledger.begin() as tx:
        tx.reopen("d1", "reopened:d1")
        assert tx.slots_for_decision(["d1"])["d1"].last_asked_at is not None
        assert tx.clear_calls(LATER, LATER, 10) == 1
        assert tx.slots_for_decision(["d1"])["d1"].last_asked_at is None


def test_a_later_act_keeps_the_number_and_another_ending_replaces_it_whole(ledger: Ledger) -> None:
    take(ledger, home("d1"), replace(act("d1", MOBILE, event_id="ten"), occurred_at=NOON + DAY))
    with ledger.begin() as tx:
        assert tx.contact_of("d1") == Contact(None, None, HOUSE), "the slot's hash is of the first"
        tx.reopen("d1", "none")
    take(ledger, replace(act("d1", event_id="third"), occurred_at=NOON + 2 * DAY))
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d1"])["d1"].reach == (), "an ending without a number says nothing of it"
        tx.conn.execute(sa.update(t.slots).values(outcome="not_asked", reason="reopened"))
    take(ledger, replace(act("d1", MOBILE, event_id="fourth"), occurred_at=NOON + 3 * DAY))
    with ledger.begin() as tx:
        assert tx.contact_of("d1") == Contact(MOBILE, None)
        assert tx.slots_for_decision(["d1"])["d1"].reach == ("sms", "zns")


def test_it_is_erased_like_every_contact_and_found_by_the_persons_rights(ledger: Ledger) -> None:
    take(ledger, home("d1"), home("d2", "+842183859999"))
    without(ledger, "d1", "d2")
    day: date = NOON.date()
    with ledger.begin() as tx:
        (found,) = tx.export_person("phone", HOUSE, "lan")["dossiers"]
        assert found["named"]["landline"] == HOUSE
        assert tx.erase_person("phone", HOUSE, NOON, day, opt_out=True, by="lan")["contacts"] == 1
        assert tx.export_person("phone", HOUSE, "lan")["dossiers"] == []
    for after in range(1, 34):
        with ledger.begin() as tx:
            while tx.erase(day + after * DAY, NOON + after * DAY, 10):
                pass
    with ledger.read() as reader:
        assert list(reader.conn.execute(sa.select(t.vault))) == []
        hashes = set(reader.conn.execute(sa.select(t.contacts.c.hash)).scalars())
    assert hashes == {f"phone#{HOUSE[-6:]}"}, "the opt-out stays"


def test_what_was_taken_in_before_is_read_as_before(ledger: Ledger) -> None:
    """Entries of the vault from before landlines were kept."""
    take(ledger, act("d1", MOBILE))
    with ledger.begin() as tx:
        month = tx.tools.vault.month(NOON)
        old = tx.tools.vault.seal(month, b'{"code":"c","phone":"+84912000001","email":null,"applicant_id":null,"slip_code":null}', "d1")
        tx.conn.execute(sa.update(t.vault).values(sealed=old))
        assert tx.contact_of("d1") == Contact(MOBILE, None)
