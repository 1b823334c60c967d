"""Accounts, sessions, one-time links and the audit trail: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hailong.domain.access import LINK_LIVES, Account, Break, OneTimeLink, Session
from hailong.ports import Permanent
from sinks.ledger import FactorSeal, Ledger, Tx, VaultError, open_ledger
from sinks.ledger.audit import ORIGIN
from tests.contract.build import tools

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)


@pytest.fixture
def ledger(virgin: Ledger) -> Ledger:
    return virgin


def account(login: str = "lan", **changes: object) -> Account:
    fields: dict[str, object] = {"login": login, "name": "Lan", "role": "viewer", "scope": None, "created_at": NOW}
    return Account(**(fields | changes))  # type: ignore[arg-type]


def session(token: str, login: str = "lan", **changes: object) -> Session:
    fields: dict[str, object] = {
        "token_hash": token, "login": login, "csrf": "c", "stage": "full", "created_at": NOW, "seen_at": NOW,
    }  # fmt: skip
    return Session(**(fields | changes))  # type: ignore[arg-type]


def link(token: str, login: str = "lan") -> OneTimeLink:
    return OneTimeLink(token, login, "new", "admin", NOW, NOW + LINK_LIVES)


def say(ledger: Ledger, *objects: str) -> None:
    for one in objects:
        with ledger.begin() as tx:
            tx.audited("lan", "case_seen", one)


# --- people


def test_an_account_comes_back_as_it_was_kept_and_its_login_is_taken_once(ledger: Ledger) -> None:
    full = account(password="$argon2id$…", factor=b"\x00sealed", factor_step=59_000_000, failed=2, wait_until=NOW, scope="X1")
    with ledger.begin() as tx:
        assert tx.add_account(full)
        assert not tx.add_account(account(name="Another"))
    with ledger.read() as reader:
        assert reader.account("lan") == full
        assert reader.accounts() == [full]
        assert reader.account("minh") is None


def test_administrators_who_may_sign_in_and_who_lacks_a_second_factor(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for one in (
            account("a", role="administrator"), account("b", role="administrator", factor=b"s"), account("c", role="viewer"),
            account("d", role="administrator", disabled_at=NOW), account("e", role="operator"),
        ):  # fmt: skip
            tx.add_account(one)
        assert [a.login for a in tx.lock_administrators()] == ["a", "b"]
    with ledger.read() as reader:
        assert reader.without_factor() == ["a", "e"]


def test_a_session_is_found_with_its_account_touched_and_ended(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.add_account(account())
        for token in ("one", "two", "three"):
            tx.add_session(session(token))
        tx.add_session(session("old", created_at=NOW - timedelta(hours=13)))
        tx.touch_session("one", NOW + timedelta(minutes=5))
        tx.drop_old_sessions(NOW - timedelta(hours=12))
    with ledger.read() as reader:
        found = reader.session("one")
        assert found == (session("one", seen_at=NOW + timedelta(minutes=5)), account())
        assert next(s.token_hash for s in reader.sessions_of("lan")) == "one"
        assert reader.session("old") is None
    with ledger.begin() as tx:
        tx.end_session("two")
        assert tx.end_sessions("lan", keep="one") == 1
    with ledger.read() as reader:
        assert [s.token_hash for s in reader.sessions_of("lan")] == ["one"]


def test_a_link_is_good_once_and_for_a_day(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.add_link(link("t"))
    with ledger.read() as reader:
        assert reader.link("t", NOW) == link("t")
        assert reader.link("t", NOW + LINK_LIVES) is None
    with ledger.begin() as tx:
        assert tx.use_link("t", NOW + LINK_LIVES) is None
        assert tx.use_link("t", NOW) == link("t")
        assert tx.use_link("t", NOW) is None
    with ledger.read() as reader:
        assert reader.link("t", NOW) is None


def test_a_new_link_voids_the_one_before(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.add_link(link("t1"))
        tx.add_link(link("other", login="minh"))
        tx.add_link(link("t2"))
        assert tx.use_link("t1", NOW) is None
        assert tx.use_link("t2", NOW) is not None
        tx.void_links("minh")
        assert tx.use_link("other", NOW) is None


def test_of_two_at_once_only_one_uses_a_link(ledger: Ledger, address: str) -> None:
    with ledger.begin() as tx:
        tx.add_link(link("t"))
    used: list[bool] = []

    def use() -> None:
        mine = open_ledger(address, tools(), "x")
        with mine.begin() as tx:
            used.append(tx.use_link("t", NOW) is not None)
        mine.close()

    at_once(use, 4)
    assert sorted(used) == [False, False, False, True]


def test_a_seal_opens_for_its_login_and_its_key_only() -> None:
    seal = FactorSeal(lambda: b"k" * 32)
    sealed = seal.seal(b"secret", "lan")
    assert b"secret" not in sealed
    assert seal.open(sealed, "lan") == b"secret"
    with pytest.raises(Permanent):
        seal.open(sealed, "minh")
    with pytest.raises(Permanent):
        FactorSeal(lambda: b"x" * 32).open(sealed, "lan")

    def gone() -> bytes:
        raise VaultError("the key accounts.key cannot be read. Restore it from its backup.")

    with pytest.raises(Permanent, match=r"accounts\.key"):
        FactorSeal(gone).seal(b"secret", "lan")


# --- the audit trail


def test_every_line_follows_the_one_before(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.audited("lan", "account_made", "account:minh", {"role": "viewer", "scope": None})
        tx.audited("lan", "link_made", "account:minh")
    say(ledger, "case:7")
    with ledger.read() as reader:
        lines = reader.audit()
        assert [(e.seq, e.actor, e.act, e.object) for e in lines] == [
            (1, "lan", "account_made", "account:minh"), (2, "lan", "link_made", "account:minh"), (3, "lan", "case_seen", "case:7"),
        ]  # fmt: skip
        assert lines[0].detail == {"role": "viewer", "scope": None}
        assert [e.prev_hash for e in lines] == [ORIGIN, lines[0].hash, lines[1].hash]
        chain = reader.verify_audit()
        assert (chain.length, chain.newest, chain.broken) == (3, lines[2].hash, None)
        assert reader.audit_end() == (3, lines[2].hash)
        assert [e.seq for e in reader.audit(obj="account:minh", after=1)] == [2]
        assert reader.audit(actor="minh") == []


def test_an_empty_trail_is_whole(ledger: Ledger) -> None:
    with ledger.read() as reader:
        assert reader.verify_audit().broken is None
        assert reader.audit_end() == (0, ORIGIN)


def test_a_transaction_that_fails_leaves_no_line_and_no_gap(ledger: Ledger) -> None:
    class Stopped(Exception):
        pass

    def stops() -> None:
        with ledger.begin() as tx:
            tx.audited("lan", "case_seen", "case:1")
            raise Stopped

    with pytest.raises(Stopped):
        stops()
    say(ledger, "case:2")
    with ledger.read() as reader:
        assert [(e.seq, e.object) for e in reader.audit()] == [(1, "case:2")]
        assert reader.verify_audit().broken is None


def test_an_act_nobody_knows_is_refused(ledger: Ledger) -> None:
    with ledger.begin() as tx, pytest.raises(ValueError, match="no act of the audit trail"):
        tx.audited("lan", "looked", "case:1")  # type: ignore[arg-type]


def test_what_names_one_of_the_public_does_not_stay(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        detail = {"to": "0912345678", "why": ["mail nguoi.dan@example.vn", "H28.07-260301-00012"], "n": 912345678}
        tx.audited("lan", "case_changed", "case:+84912345678", detail)
    with ledger.read() as reader:
        (line,) = reader.audit()
    assert "912345678" not in line.object + str(line.detail["to"])
    assert "nguoi.dan" not in str(line.detail)
    assert "260301" not in str(line.detail)


def test_lines_written_at_once_make_one_chain(ledger: Ledger, address: str) -> None:
    say(ledger, "case:0")

    def write() -> None:
        mine = open_ledger(address, tools(), "x")
        say(mine, *(f"case:{n}" for n in range(8)))
        mine.close()

    at_once(write, 4)
    with ledger.read() as reader:
        chain = reader.verify_audit()
        assert (chain.length, chain.broken) == (33, None)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'minh' WHERE seq = 2", "DELETE FROM audit WHERE seq = 2"])
def test_lines_cannot_be_changed_by_mistake(ledger: Ledger, statement: str) -> None:
    say(ledger, "case:1", "case:2")

    def change() -> None:
        with ledger.begin() as tx:
            tx.conn.exec_driver_sql(statement)

    with pytest.raises(sa.exc.DBAPIError, match="never changed or deleted"):
        change()


def tamper(ledger: Ledger, statement: str) -> None:
    """What somebody does who owns the database."""
    with ledger.begin() as tx:
        if tx.conn.dialect.name == "postgresql":
            tx.conn.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER USER")
        else:
            tx.conn.exec_driver_sql("DROP TRIGGER IF EXISTS audit_stays_update")
            tx.conn.exec_driver_sql("DROP TRIGGER IF EXISTS audit_stays_delete")
        tx.conn.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit SET actor = 'minh' WHERE seq = 3", Break(3, "changed")),
        ("UPDATE audit SET detail = '{}' WHERE seq = 2", Break(2, "changed")),
        ("UPDATE audit SET at = at + 1 WHERE seq = 5", Break(5, "changed")),
        ("DELETE FROM audit WHERE seq = 4", Break(4, "missing")),
        ("DELETE FROM audit WHERE seq = 1", Break(1, "missing")),
        ("DELETE FROM audit WHERE seq >= 4", Break(4, "cut")),
        ("DELETE FROM audit", Break(1, "cut")),
    ],
)
def test_a_change_is_found_and_named(ledger: Ledger, statement: str, found: Break) -> None:
    with ledger.begin() as tx:
        for n in range(5):
            tx.audited("lan", "case_seen", f"case:{n}", {"n": n})
    tamper(ledger, statement)
    with ledger.read() as reader:
        assert reader.verify_audit().broken == found


def test_a_line_in_another_s_place_is_found(ledger: Ledger) -> None:
    """Each line is whole in itself, but the second no longer follows the first."""
    say(ledger, "case:1", "case:2")
    tamper(ledger, "DELETE FROM audit")
    tamper(ledger, "UPDATE positions SET value = 0 WHERE name = 'audit'")
    say(ledger, "case:3")
    with ledger.read() as reader:
        (other,) = reader.audit()
    tamper(ledger, "UPDATE audit SET seq = 9")
    tamper(ledger, "UPDATE positions SET value = 0 WHERE name = 'audit'")
    say(ledger, "case:1", "case:2")
    tamper(ledger, "DELETE FROM audit WHERE seq = 1")
    tamper(ledger, "UPDATE audit SET seq = 1 WHERE seq = 9")
    with ledger.read() as reader:
        assert reader.audit()[0].hash == other.hash
        assert reader.verify_audit().broken == Break(2, "moved")


def test_a_tail_cut_with_its_number_is_found_by_an_anchor(ledger: Ledger) -> None:
    say(ledger, "case:1", "case:2", "case:3")
    with ledger.read() as reader:
        anchors = dict([reader.audit_end()])
    tamper(ledger, "DELETE FROM audit WHERE seq = 3")
    tamper(ledger, "UPDATE positions SET value = 2 WHERE name = 'audit'")
    with ledger.read() as reader:
        assert reader.verify_audit().broken is None
        assert reader.verify_audit(anchors).broken == Break(3, "cut")
    say(ledger, "case:4")
    with ledger.read() as reader:
        assert reader.verify_audit().broken is None
        assert reader.verify_audit(anchors).broken == Break(3, "replaced")


def test_behind_a_cut_the_trail_goes_on_and_the_gap_stays_named(ledger: Ledger) -> None:
    say(ledger, "case:1", "case:2", "case:3")
    tamper(ledger, "DELETE FROM audit WHERE seq >= 2")
    say(ledger, "case:4")
    with ledger.read() as reader:
        assert [e.seq for e in reader.audit()] == [1, 4]
        assert reader.verify_audit().broken == Break(2, "missing")


def test_a_long_trail_is_walked_in_parts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.ledger.audit._AT_ONCE", 3)
    with ledger.begin() as tx:
        for n in range(10):
            tx.audited("lan", "case_seen", f"case:{n}")
    with ledger.read() as reader:
        chain = reader.verify_audit({4: reader.audit()[3].hash})
        assert (chain.length, chain.broken) == (10, None)


def test_the_trail_tells_real_time(address: str) -> None:
    mine = open_ledger(address, tools(real_now=lambda: NOW), "x")
    say(mine, "case:1")
    with mine.read() as reader:
        assert reader.audit()[0].at == NOW
    mine.close()


def at_once(work: object, number: int) -> None:
    """Run ``work`` in so many threads; raises what one of them raised."""
    faults: list[Exception] = []

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except Exception as e:
            faults.append(e)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []


def test_a_transaction_knows_how_to_write_the_trail_and_a_reader_does_not(ledger: Ledger) -> None:
    """What a reader said would be lost, so it cannot."""
    with ledger.read() as reader:
        assert not hasattr(reader, "audited")
    assert hasattr(Tx, "audited")
    assert replace(account(), failed=1).failed == 1
