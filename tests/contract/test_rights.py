"""What people may ask for, on SQLite and PostgreSQL alike: opting out by every door, peppers, erasing in time and at their wish, fakes."""

from __future__ import annotations

import itertools
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from hailong.ports import Decision, Invalid, Receipt, Retryable, SentMessage
from sinks.ledger import Ledger, Tx, VaultError, migrate, open_ledger
from sinks.ledger.fakes import WAVES_A_DAY, FakeBook, SentBook
from tests.contract.build import NOON, act, answered, claim, decide, outcomes, settle, take, tools

PHONE = "+84912000001"
CODE = "id000001-invitation-sms"
DAY = NOON.date()


@pytest.fixture
def ledger(virgin: Ledger) -> Ledger:
    return virgin


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "blank.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def template(postgres: str) -> Callable[[str], str]:
    """Name → address of a database made from one that was migrated once: migrating takes longer than any test here."""
    plain, (head, _, query) = postgres.replace("+psycopg", ""), postgres.partition("?")

    def address(name: str) -> str:
        return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")

    first = f"b{uuid.uuid4().hex[:12]}"
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {first}")
    migrate(address(first))

    def made(name: str) -> str:
        with psycopg.connect(plain, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {first}")
        return address(name)

    return made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def address(request: pytest.FixtureRequest, tmp_path: Path, blank: Path) -> str:
    """A migrated, empty ledger's address."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(blank, tmp_path / 'ledger.db')}"
    return str(request.getfixturevalue("template")(f"t{uuid.uuid4().hex[:12]}"))


def facts(ledger: Ledger, topic: str = "contact.preference.v1") -> list[dict[str, Any]]:
    return [msgspec.json.decode(p.record.value) for p in ledger.pending(10_000) if p.record.topic == topic]


def count(ledger: Ledger, table: str, where: str = "1=1") -> int:
    with ledger.read() as reader:
        return int(reader.conn.execute(sa.text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one())


def slot(ledger: Ledger, ref: str = "d1") -> Any:
    with ledger.read() as reader:
        return next(s for s in reader.slots() if s.dossier_ref == ref)


def asked(ledger: Ledger, ref: str = "d1", phone: str = PHONE, **changes: Any) -> str:
    """A dossier whose person was asked; its survey_id."""
    take(ledger, act(ref, phone, **changes))
    (survey,) = decide(ledger, ref)
    settle(ledger, "handed_over", *claim(ledger))
    return survey


def erase(ledger: Ledger, day: date, at: datetime | None = None) -> int:
    """A whole day's erasing, in parts of two."""
    done = 0
    while True:
        with ledger.begin() as tx:
            n = tx.erase(day, at or datetime.combine(day, NOON.time(), NOON.tzinfo), 2)
        if not n:
            return done
        done += n


def erased(ledger: Ledger, day: date) -> dict[str, int]:
    with ledger.read() as reader:
        return {e.what: e.n for e in reader.erasures() if e.day == day}


# --- opting out by number


def test_a_number_is_opted_out_however_it_is_typed_and_nothing_is_sent_to_it(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1")
    for typed in ("0912 000 001", "+84 912 000 001", "84912000001"):
        with ledger.begin() as tx:
            assert tx.opt_out_number(typed, NOON, "1022") == "recorded"
    assert claim(ledger) == []
    assert outcomes(ledger)["not_asked"] == {"opted_out": 1}
    (fact,) = facts(ledger)
    assert (fact["choice"], fact["door"], fact["pepper_version"]) == ("opt_out", "1022", 1)


def test_known_unknown_and_repeated_are_told_the_same_and_kept_the_same(ledger: Ledger) -> None:
    asked(ledger)
    told = []
    for one in (PHONE, "0987654321", PHONE, "a@x.example"):
        with ledger.begin() as tx:
            told.append(tx.opt_out_number(one, NOON, "desk"))
    assert told == ["recorded"] * 4
    assert len(facts(ledger)) == 3
    take(ledger, act("d2", "+84987654321"), act("d3", email="a@x.example"))
    with ledger.begin() as tx:
        assert [s.opted_out for s in tx.slots_for_decision(["d2", "d3"]).values()] == [True, True]


def test_what_is_no_number_or_several_is_refused_and_nothing_is_kept(ledger: Ledger) -> None:
    for typed in ("", "xin chào", "12345", "a@", "0912000001; 0912000002"):
        with pytest.raises(Invalid, match="not_a_contact"), ledger.begin() as tx:
            tx.opt_out_number(typed, NOON, "desk", "lan")
    assert count(ledger, "contacts") == count(ledger, "audit") == 0


def test_the_trail_names_who_did_it_and_not_whom(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.opt_out_number(PHONE, NOON, "1022", "lan")
    with ledger.read() as reader:
        (line,) = reader.audit()
    assert (line.actor, line.act, line.detail) == ("lan", "opted_out", {"door": "1022", "kind": "phone"})
    assert line.object.startswith("contact:")
    assert not any(c.isdigit() for c in line.object.partition(":")[2])


def test_a_message_under_way_is_told_until_it_is_settled(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1")
    (one,) = claim(ledger)
    with ledger.begin() as tx:
        assert tx.opt_out_number(PHONE, NOON, "1022") == "under_way"
    settle(ledger, "handed_over", one)
    with ledger.begin() as tx:
        assert tx.opt_out_number(PHONE, NOON, "1022") == "recorded"


def test_only_the_link_opts_in_again_and_all_of_it(ledger: Ledger) -> None:
    asked(ledger, email="a@x.example")
    with ledger.begin() as tx:
        tx.opt_out_number(PHONE, NOON, "1022")
        tx.opt_out(CODE, NOON, "link")
    with ledger.begin() as tx:
        assert not tx.opt_in("nobody's", NOON, "link")
        assert tx.opt_in(CODE, NOON + timedelta(hours=1), "link")
        assert tx.opt_in(CODE, NOON + timedelta(hours=2), "link")
    assert [f["choice"] for f in facts(ledger)] == ["opt_out", "opt_out", "opt_in", "opt_in"]
    take(ledger, act("d2", PHONE, email="a@x.example"))
    with ledger.begin() as tx:
        assert not tx.slots_for_decision(["d2"])["d2"].opted_out


# --- peppers


def peppered(address: str, newest: int) -> Ledger:
    """A ledger whose processes know the peppers up to ``newest``."""

    def hashed(version: int, kind: str, value: str) -> str:
        return f"v{version}.{kind}#{value[-6:]}"

    def older(kind: str, value: str) -> dict[int, str]:
        return {v: hashed(v, kind, value) for v in range(1, newest)}

    numbers = itertools.count(1)
    with_peppers = tools(
        new_id=lambda: f"id{next(numbers):06d}" if newest == 1 else f"new{next(numbers):06d}",
        contact_hash=lambda k, v: hashed(newest, k, v),
        older_hashes=older,
        pepper_version=lambda: newest,
    )
    return open_ledger(address, with_peppers, f"p{newest}")


@contextmanager
def two(address: str) -> Iterator[tuple[Ledger, Ledger]]:
    """Before and after the pepper was renewed."""
    before, after = peppered(address, 1), peppered(address, 2)
    try:
        yield before, after
    finally:
        before.close()
        after.close()


def out(ledger: Ledger, ref: str) -> bool:
    with ledger.begin() as tx:
        return tx.slots_for_decision([ref])[ref].opted_out


def test_an_opt_out_under_an_older_pepper_holds_for_who_comes_under_the_newest(address: str) -> None:
    with two(address) as (before, after):
        with before.begin() as tx:
            tx.opt_out_number(PHONE, NOON, "1022")
        take(after, act("d1", PHONE), act("d2", "+84912000002"))
        assert [out(after, "d1"), out(after, "d2")] == [True, False]


def test_an_opt_out_now_reaches_dossiers_taken_in_under_an_older_pepper(address: str) -> None:
    with two(address) as (before, after):
        take(before, act("d1", PHONE))
        decide(before, "d1")
        with after.begin() as tx:
            tx.opt_out_number(PHONE, NOON, "1022")
        assert claim(before) == []
        assert {f["pepper_version"] for f in facts(after)} == {1, 2}


def test_the_link_of_an_older_dossier_opts_out_under_every_pepper(address: str) -> None:
    with two(address) as (before, after):
        asked(before)
        with after.begin() as tx:
            assert tx.opt_out(CODE, NOON, "link") == "recorded"
        take(after, act("d2", PHONE))
        assert out(after, "d2")


def test_a_process_that_knows_the_older_pepper_only_opts_out_who_came_in_under_the_newest(address: str) -> None:
    """The newest hash is known to follow the older one."""
    with two(address) as (before, after):
        take(before, act("d1", PHONE))
        with before.begin() as tx:
            tx.slots_for_decision(["d1"])
        take(after, act("d2", PHONE))
        with before.begin() as tx:
            tx.opt_out_number(PHONE, NOON, "1022")
        assert out(after, "d2")


def test_the_cap_holds_over_a_renewed_pepper_and_slots_move_to_it(address: str) -> None:
    with two(address) as (before, after):
        asked(before)
        take(after, act("d2", PHONE))
        with after.begin() as tx:
            assert tx.slots_for_decision(["d2"])["d2"].last_asked_at == NOON
        assert {slot(after, ref).phone_hash for ref in ("d1", "d2")} == {"v2.phone#000001"}
        with after.read() as reader:
            assert reader.standing()["peppers"] == {}
        with after.begin() as tx:
            tx.opt_out_number(PHONE, NOON, "1022")
        with after.read() as reader:
            assert reader.standing()["peppers"] == {"2": 1}


# --- erasing in time


def test_nothing_is_erased_before_its_thirty_days_and_everything_after(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE, email="a@x.example"))
    with ledger.begin() as tx:
        seen = tx.slots_for_decision(["d1"])["d1"]
        tx.decide([decision_not(seen)])
    erase(ledger, DAY + timedelta(days=1))
    assert slot(ledger).settled_on == DAY
    erase(ledger, DAY + timedelta(days=29))
    assert count(ledger, "vault") == 1
    day = DAY + timedelta(days=30)
    erase(ledger, day)
    assert count(ledger, "vault") == 0
    assert erased(ledger, day)["contacts"] == 1
    row = slot(ledger)
    assert (row.phone_hash, row.email_hash, row.person_hash, row.erased_on) == (None, None, None, day)
    assert row.survey_id != seen.survey_id
    assert outcomes(ledger)["valid"] == 1
    assert erase(ledger, day) == 0


def decision_not(seen: Any) -> Any:
    return Decision(seen.dossier_ref, seen.survey_id, seen.contacts, asked=False, reason="sampled_out")


def test_who_was_asked_and_may_still_answer_keeps_their_contact(ledger: Ledger) -> None:
    asked(ledger)
    for days in (1, 29):
        erase(ledger, DAY + timedelta(days=days))
    assert slot(ledger).settled_on is None
    erase(ledger, DAY + timedelta(days=31))  # the link ran out on day 30
    assert slot(ledger).settled_on == DAY + timedelta(days=30)
    erase(ledger, DAY + timedelta(days=59))
    assert count(ledger, "vault") == count(ledger, "codes") == 1
    erase(ledger, DAY + timedelta(days=60))
    assert count(ledger, "vault") == count(ledger, "codes") == 0


def test_an_answer_settles_and_afterwards_nothing_joins_it_to_its_dossier(ledger: Ledger) -> None:
    survey = asked(ledger)
    with ledger.begin() as tx:
        tx.count(answered(survey, 2), NOON)
        tx.store_receipt(Receipt("twilio", "SMid000002", "delivered", None), NOON)
        tx.apply_receipts(NOON, 10)
    erase(ledger, DAY + timedelta(days=1))
    erase(ledger, DAY + timedelta(days=30))
    assert count(ledger, "answers", f"survey_id = '{survey}'") == 1
    assert count(ledger, "slots", f"survey_id = '{survey}'") == 0
    assert count(ledger, "claims", "provider_id IS NOT NULL") == count(ledger, "receipts") == count(ledger, "codes") == 0
    assert count(ledger, "contacts", "asked_by IS NOT NULL OR planned_by IS NOT NULL") == 0
    with ledger.read() as reader:
        assert reader.messages(None, 10) == []
    with ledger.begin() as tx:
        assert tx.slot_by_code(CODE) is None
        tx.count(answered(survey, 5, "later"), NOON)  # a page that was open all the time
        tx.expire(survey, NOON)
        tx.store_receipt(Receipt("twilio", "SMid000002", "failed", None), NOON)
        assert tx.apply_receipts(NOON, 10) == 0


def test_a_message_that_is_still_claimed_keeps_its_contact(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    (survey,) = decide(ledger, "d1")
    claim(ledger)
    with ledger.begin() as tx:
        tx.count(answered(survey, 5), NOON)
        tx.conn.execute(sa.text("UPDATE slots SET outcome = 'asked'"))
    erase(ledger, DAY + timedelta(days=1))
    erase(ledger, DAY + timedelta(days=60))
    assert count(ledger, "vault") == 1


def test_a_dossier_that_ends_again_is_not_erased_for_its_first_ending(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    with ledger.begin() as tx:
        tx.reopen("d1", "e")
    erase(ledger, DAY + timedelta(days=1))
    assert slot(ledger).settled_on == DAY
    again = act("d1", PHONE, event_id="again")
    take(ledger, replace(again, occurred_at=NOON + timedelta(days=20)), now=NOON + timedelta(days=20))
    erase(ledger, DAY + timedelta(days=40))
    assert count(ledger, "vault") == 1


def test_a_later_act_of_an_erased_dossier_brings_nobody_back(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    with ledger.begin() as tx:
        tx.decide([decision_not(tx.slots_for_decision(["d1"])["d1"])])
    erase(ledger, DAY + timedelta(days=1))
    erase(ledger, DAY + timedelta(days=30))
    late = NOON + timedelta(days=31)
    later = replace(act("d1", PHONE, event_id="later"), occurred_at=late)
    assert take(ledger, later, now=late) == ["new"]
    assert (count(ledger, "vault"), slot(ledger).phone_hash) == (0, None)


def test_what_lies_under_an_erased_dossier_all_the_same_is_erased_and_counted(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE), act("d2", "+84912000002"))
    with ledger.begin() as tx:
        tx.conn.execute(sa.text("UPDATE slots SET erased_on = '2026-03-01' WHERE dossier_ref = 'd1'"))
    erase(ledger, DAY + timedelta(days=1))
    assert count(ledger, "vault") == 1
    assert erased(ledger, DAY + timedelta(days=1))["contacts"] == 1


def test_hashes_stay_for_opt_outs_and_caps_only(ledger: Ledger) -> None:
    asked(ledger)
    asked(ledger, "d2", "+84912000002")
    with ledger.begin() as tx:
        tx.opt_out_number(PHONE, NOON, "1022")
        tx.opt_out_number("0912000003", NOON, "1022")
    erase(ledger, DAY + timedelta(days=31))
    assert count(ledger, "contacts") == 3
    erase(ledger, DAY + timedelta(days=60))
    with ledger.read() as reader:
        assert sorted(reader.conn.execute(sa.text("SELECT hash FROM contacts")).scalars()) == ["phone#000001", "phone#000003"]


def test_dead_letters_lose_their_bytes_once_dealt_with_and_at_the_end_of_their_month(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for offset in range(3):
            tx.put_dead("dossier.closed.v1", 0, offset, "decide", "s", "odd", 1, b"names somebody", NOON)
        ids = [letter.id for letter in tx.dead_letters()]
        tx.settle_dead(ids[0], "replayed")
    erase(ledger, DAY + timedelta(days=29))
    assert count(ledger, "dead_letters", "length(sealed) > 0") == 3
    erase(ledger, DAY + timedelta(days=30))
    assert count(ledger, "dead_letters", "length(sealed) > 0") == 2
    erase(ledger, date(2026, 6, 1))  # sealed for May: 60 days after 2 March
    with ledger.begin() as tx:
        assert [letter.state for letter in tx.dead_letters(("waiting", "replayed", "dropped"))] == ["replayed", "dropped", "dropped"]
        with pytest.raises(VaultError, match="was erased"):
            tx.open_dead(ids[1])
        assert tx.sealed_months() == frozenset()


def test_what_outlives_its_month_moves_under_a_later_key_and_what_does_not_open_is_counted_as_gone(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE), act("d2", "+84912000002"))
    with ledger.begin() as tx:
        tx.conn.execute(sa.text("UPDATE vault SET sealed = :x WHERE dossier_ref = 'd2'"), {"x": b"x" * 40})
        assert tx.sealed_months() == {"2026-05"}
    day = date(2026, 6, 1)
    erase(ledger, day)
    with ledger.begin() as tx:
        assert tx.sealed_months() == {"2026-07"}
        entry = tx.open_vault("d1")
        assert entry is not None
        assert entry.phone == PHONE
        assert tx.open_vault("d2") is None
    assert erased(ledger, day) == {"contacts": 1}


def test_a_discarded_key_is_reported_once_however_often_it_is_said(ledger: Ledger) -> None:
    for _ in range(2):
        with ledger.begin() as tx:
            tx.note_key_discarded("2026-01", DAY)
    with ledger.read() as reader:
        assert [(e.what, e.n, e.key_month) for e in reader.erasures()] == [("key", 1, "2026-01")]
        assert [(e.actor, e.act, e.object) for e in reader.audit()] == [("timer", "key_discarded", "key:2026-01")]


# --- one person


def test_an_export_has_what_names_the_person_their_messages_and_their_score(ledger: Ledger) -> None:
    survey = asked(ledger)
    take(ledger, act("d2", "+84912000002"))
    with ledger.begin() as tx:
        tx.count(answered(survey, 2), NOON)
        tx.keep_comment(survey, "Q8", tx.slot_by_survey(survey).about, "chờ lâu", 0, DAY)  # type: ignore[union-attr]
        found = tx.export_person("phone", PHONE, "lan")
    (one,) = found["dossiers"]
    named = {"code": "code of d1", "phone": PHONE, "email": None, "applicant_id": None, "slip_code": None, "landline": None}
    assert one["named"] == named
    assert (one["answer"]["score"], [m["state"] for m in one["messages"]]) == (2, ["handed_over"])
    assert json.loads(one["about"])["field"] == "land"
    assert [c["asked_at"] for c in found["contact"]] == [NOON]
    assert one["own_words"] == {"Q8": "chờ lâu"}
    with ledger.read() as reader:
        (line,) = reader.audit()
    assert (line.act, line.detail) == ("export_asked", {"kind": "phone", "dossiers": 1})


def test_own_words_go_with_the_person(ledger: Ledger) -> None:
    survey = asked(ledger)
    with ledger.begin() as tx:
        tx.keep_comment(survey, "Q8", tx.slot_by_survey(survey).about, "chờ lâu", 0, DAY)  # type: ignore[union-attr]
        assert tx.erase_person("phone", PHONE, NOON, DAY, opt_out=False, by="lan")["comments"] == 1
        assert tx.conn.execute(sa.text("SELECT count(*) FROM comments")).scalar_one() == 0


def test_an_export_by_the_source_s_own_id_and_of_nobody(ledger: Ledger) -> None:
    take(ledger, replace(act("d1", PHONE), applicant_id="A-77"))
    with ledger.begin() as tx:
        assert len(tx.export_person("person", "s:A-77", "lan")["dossiers"]) == 1
        assert tx.export_person("email", "nobody@x.example", "lan")["dossiers"] == []


@pytest.mark.parametrize("opt_out", [True, False])
def test_an_erased_person_is_found_no_more_and_what_waited_for_them_is_withdrawn(ledger: Ledger, opt_out: bool) -> None:
    take(ledger, act("d1", PHONE), act("d2", PHONE), act("d3", "+84912000003"))
    decide(ledger, "d1", ask_at=NOON + timedelta(days=1))
    with ledger.begin() as tx:
        done = tx.erase_person("phone", PHONE, NOON, DAY, opt_out=opt_out, by="lan")
    assert (done["dossiers"], done["contacts"]) == (2, 2)
    assert claim(ledger, NOON + timedelta(days=2)) == []
    assert outcomes(ledger) == {"valid": 3, "asked": 0, "waiting": 2, "not_asked": {"contact_erased": 1}}
    with ledger.begin() as tx:
        assert tx.slots_for_decision(["d2"])["d2"].reach == ()
        assert tx.export_person("phone", PHONE, "lan")["dossiers"] == []
        assert count_vault(tx) == 1
    take(ledger, act("d4", PHONE))
    assert out(ledger, "d4") is opt_out
    with ledger.read() as reader:
        assert [e.act for e in reader.audit()] == ["erased", "export_asked"]


def count_vault(tx: Tx) -> int:
    return int(tx.conn.execute(sa.text("SELECT count(*) FROM vault")).scalar_one())


def test_who_was_asked_lately_stays_capped_after_erasure_and_an_opt_out_is_given_up_only_at_their_wish(ledger: Ledger) -> None:
    asked(ledger)
    with ledger.begin() as tx:
        tx.opt_out_number(PHONE, NOON, "1022")
        done = tx.erase_person("phone", PHONE, NOON, DAY, opt_out=False, by="lan")
    assert done["hashes_kept"] == 1
    take(ledger, act("d2", PHONE))
    with ledger.begin() as tx:
        seen = tx.slots_for_decision(["d2"])["d2"]
    assert (seen.opted_out, seen.last_asked_at) == (False, NOON)
    assert [f["choice"] for f in facts(ledger)] == ["opt_out", "opt_in"]


def test_nobody_is_erased_while_a_message_to_them_is_under_way(ledger: Ledger) -> None:
    take(ledger, act("d1", PHONE))
    decide(ledger, "d1")
    claim(ledger)
    with pytest.raises(Retryable, match="under way"), ledger.begin() as tx:
        tx.erase_person("phone", PHONE, NOON, DAY, opt_out=True, by="lan")
    assert count(ledger, "vault") == 1


# --- verifying and reporting


def test_a_message_is_known_by_its_code_and_by_the_slip_s(ledger: Ledger) -> None:
    book = SentBook(ledger, NOON.tzinfo or NOON.astimezone().tzinfo)  # type: ignore[arg-type]
    take(ledger, replace(act("d1", PHONE), slip_code="7KQ2MX9P"), replace(act("d2", "+84912000002"), slip_code="8HJ3NY4R"))
    decide(ledger, "d1")
    assert book.sent_about("7KQ2MX9P") == []
    (one,) = claim(ledger)
    settle(ledger, "handed_over", one)
    said = [SentMessage(DAY, "sms", "invitation")]
    assert book.sent_about(CODE) == book.sent_about("7KQ2MX9P") == said
    assert book.sent_about("8HJ3NY4R") == []
    assert book.sent_about("NOBODY99") is None
    with ledger.begin() as tx:
        tx.store_receipt(Receipt("twilio", f"SM{one.claim_id}", "failed", "30003"), NOON)
        tx.apply_receipts(NOON, 10)
    assert book.sent_about(CODE) == said


def test_a_slip_is_ours_bound_or_not_and_so_is_no_other_code(ledger: Ledger) -> None:
    book = SentBook(ledger, NOON.tzinfo or NOON.astimezone().tzinfo)  # type: ignore[arg-type]
    with ledger.begin() as tx:
        hashed = [tx.tools.slip_hash(code) or "" for code in ("7KQ2MX9P", "FREE2222")]
        tx.register_slips(hashed, "b", NOON)
    take(ledger, replace(act("d1", PHONE), slip_code="7KQ2MX9P"))
    decide(ledger, "d1")
    assert [book.slip_is_ours(code) for code in ("7KQ2MX9P", "FREE2222", "NOBODY99", CODE)] == [True, True, False, False]
    assert (book.sent_about("7KQ2MX9P"), book.sent_about("FREE2222")) == ([], None)


def test_a_message_that_was_refused_at_the_door_was_not_sent(ledger: Ledger) -> None:
    take(ledger, replace(act("d1", PHONE), slip_code="7KQ2MX9P"))
    decide(ledger, "d1")
    settle(ledger, "failed", *claim(ledger), reason="no such number")
    assert SentBook(ledger, NOON.tzinfo or NOON.astimezone().tzinfo).sent_about("7KQ2MX9P") == []  # type: ignore[arg-type]


def test_the_first_report_of_a_text_in_a_day_tells_the_office_and_a_flood_only_counts(ledger: Ledger) -> None:
    zone = NOON.tzinfo
    assert zone is not None
    book = FakeBook(ledger, zone, lambda: ["a@x.example", "b@x.example"], lambda step, address: f"{step}:{address[0]}", "https://o")
    for _ in range(3):
        book.report_fake(NOON, "a" * 64)
    book.report_fake(NOON + timedelta(days=1), "a" * 64)
    mails = due(ledger)
    assert len(mails) == 4
    assert mails[0] == {"kind": "fake", "to": "a@x.example", "on": "2026-03-02", "mark": "aaaaaaaa", "last": False, "url": "https://o"}
    for n in range(2 * WAVES_A_DAY):
        book.report_fake(NOON, f"{n:02x}" * 32)
    of_day = [m for m in due(ledger) if m["on"] == "2026-03-02"]
    assert len(of_day) == 2 * WAVES_A_DAY
    assert [m["last"] for m in of_day].count(True) == 2
    with ledger.read() as reader:
        assert [e.act for e in reader.audit()] == ["fake_reported"] * (WAVES_A_DAY + 1)
        assert reader.fake_days()[-1] == (DAY, 1 + 2 * WAVES_A_DAY, 3 + 2 * WAVES_A_DAY)


def due(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.read() as reader:
        rows = reader.conn.execute(sa.text("SELECT payload FROM due WHERE kind = 'officers' ORDER BY id")).scalars()
        return [json.loads(row) for row in rows]


def test_the_facts_of_an_opt_out_name_nobody(ledger: Ledger) -> None:
    asked(ledger)
    with ledger.begin() as tx:
        tx.opt_out_number(PHONE, NOON, "desk", "lan")
    for pending in ledger.pending(1000):
        assert b"912000001" not in pending.record.value
