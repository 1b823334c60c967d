"""`hailong rights` and `hailong import optouts`, on a ledger without a stack."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hailong.settings import load
from ops import rights
from ops.cli.main import build, main
from ops.keys import Keys
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.ledger import Ledger, migrate, open_ledger
from tests.contract.build import NOON, act, answered, claim, decide, settle, take

PHONE = "+84912000001"


class Desk:
    """A command line whose settings name a ledger and keys in ``folder``; neither broker nor store is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        url = f"sqlite:///{folder / 'ledger.db'}"
        migrate(url)
        Keys(folder / "keys").make_missing(NOON.date())
        self.env = {
            "HAILONG_LEDGER": url, "HAILONG_DATA_DIR": str(folder), "HAILONG_KEYS_DIR": str(folder / "keys"),
            "HAILONG_KAFKA": "127.0.0.1:22990", "HAILONG_CLICKHOUSE_URL": "http://127.0.0.1:22991",
        }  # fmt: skip
        self.wiring = Wiring(load(self.env))
        self.ledger: Ledger = self.wiring.ledger("test")

    def run(self, *arguments: str, code: int = 0, typed: str | None = None) -> Result:
        told = CliRunner().invoke(build(arguments), ["--home", str(self.folder), *arguments], env=self.env, input=typed)
        if isinstance(told.exception, Refusal):
            assert told.exception.exit_code == code, told.exception
        else:
            assert told.exit_code == code, told.exception
        return told

    def trail(self) -> list[tuple[str, str, dict[str, Any]]]:
        with self.ledger.read() as reader:
            assert reader.verify_audit().broken is None
            return [(e.act, e.object.partition(":")[0], e.detail) for e in reader.audit()]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("ops.cli.rights._tell", lambda *_: None)  # no broker, and nobody waits for one here
    return Desk(tmp_path)


@pytest.mark.stack  # asks for the store, which is not there
def test_a_person_gets_everything_in_a_file_of_their_own(desk: Desk) -> None:
    take(desk.ledger, replace(act("d1", PHONE), applicant_id="A-7"), act("d2", "+84912000002"))
    (survey,) = decide(desk.ledger, "d1")
    settle(desk.ledger, "handed_over", *claim(desk.ledger))
    with desk.ledger.begin() as tx:
        tx.count(answered(survey, 4), NOON)
    out = desk.folder / "person.json"
    desk.run("rights", "export", "--phone", "0912000001", "--out", str(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    document = json.loads(out.read_text())
    (one,) = document["dossiers"]
    assert one["named"]["phone"] == PHONE
    assert (one["answer"]["score"], one["about"]["field"]) == (4, "land")
    assert not document["complete"]
    assert "The store could not be asked" in document["note"]
    assert desk.run("rights", "export", "--phone", "0912000001", "--out", str(out), code=2).exception is not None
    same = json.loads(desk.run("rights", "export", "--applicant", "-", typed="s:A-7\n").stdout)
    assert [d["named"] for d in same["dossiers"]] == [one["named"]]
    assert desk.trail() == [
        (act, "contact", {"kind": kind, "dossiers": 1}) for kind in ("phone", "person") for act in ("export_asked", "exported")
    ]


def test_an_export_that_fails_leaves_no_file_and_says_only_that_it_was_asked_for(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE))
    with desk.ledger.begin() as tx:
        tx.conn.exec_driver_sql("UPDATE slots SET about = 'no JSON'")
    out = desk.folder / "person.json"
    told = CliRunner().invoke(
        build(["rights"]), ["--home", str(desk.folder), "rights", "export", "--phone", "0912000001", "--out", str(out)], env=desk.env
    )
    assert isinstance(told.exception, json.JSONDecodeError)
    assert not out.exists()
    assert [act for act, _, _ in desk.trail()] == ["export_asked"]


def test_a_file_that_the_trail_did_not_take_does_not_stay(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE))
    with desk.ledger.begin() as tx:
        tx.conn.exec_driver_sql(
            "CREATE TRIGGER no_more BEFORE INSERT ON audit WHEN NEW.act = 'exported' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    out = desk.folder / "person.json"
    told = CliRunner().invoke(
        build(["rights"]), ["--home", str(desk.folder), "rights", "export", "--phone", "0912000001", "--out", str(out)], env=desk.env
    )
    assert told.exception is not None
    assert not out.exists()


def test_a_retraction_in_the_store_has_no_answers_and_does_not_break_the_export() -> None:
    row = {"survey_id": "s", "kind": "retraction", "counted_at": NOON.replace(tzinfo=None), "answers": ""}
    assert rights._answer(row)["answers"] == {}
    assert rights._answer(row | {"answers": '{"q1": 4}'})["answers"] == {"q1": 4}


def test_personal_data_is_not_written_to_a_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with monkeypatch.context() as there, open(theirs, "w") as terminal:
        for name, value in desk.env.items():
            there.setenv(name, value)
        there.setattr("sys.stdout", terminal)
        with pytest.raises(SystemExit) as left:
            main(["--home", str(desk.folder), "rights", "export", "--phone", "0912000001"])
    os.close(ours)
    assert left.value.code == 2
    assert desk.trail() == []


@pytest.mark.parametrize(
    "given", [[], ["--phone", "0912000001", "--email", "a@x.example"], ["--phone", "090"], ["--applicant", "no colon"]]
)
def test_one_person_is_named_and_a_slip_of_the_pen_is_not_repeated(desk: Desk, given: list[str]) -> None:
    told = desk.run("rights", "export", *given, code=2)
    assert not any(value in str(told.exception) for value in given if not value.startswith("--"))


def test_a_person_is_erased_at_their_wish(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE))
    desk.run("rights", "erase", "--phone", "0912000001", code=2)
    done = json.loads(desk.run("rights", "erase", "--phone", "0912000001", "--opt-out", "--json").stdout)
    assert (done["dossiers"], done["contacts"]) == (1, 1)
    report = json.loads(desk.run("rights", "report", "--json").stdout)
    assert {e["what"]: e["n"] for e in report["erased"]} == {"contacts": 1}
    assert (report["opted_out"], report["peppers"]) == (1, {"1": 1})
    assert json.loads(desk.run("rights", "export", "--phone", "0912000001").stdout)["dossiers"] == []


def test_the_report_counts_what_lies_sealed_and_names_a_key_that_is_missing(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE))
    with desk.ledger.begin() as tx:
        tx.note_key_discarded("2026-02", NOON.date())
    (desk.folder / "keys" / "vault" / "2026-05.key").unlink()
    told = desk.run("rights", "report")
    assert "2026-03-02  key" in told.stdout
    report = json.loads(desk.run("rights", "report", "--json").stdout)
    assert report["sealed"] == {"2026-05": {"contacts": 1}}
    assert report["keys"] == ["2026-03", "2026-04", "2026-06", "2026-07"]
    assert "Key 2026-05: 1 contacts, 0 dead letters sealed under it; ITS KEY IS NOT HERE." in told.stderr


def test_a_list_opts_out_and_the_report_of_refused_lines_names_nobody(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE))
    file = desk.folder / "list.csv"
    file.write_text("0912000001\nLan 0912\na@x.example\n")
    for _ in range(2):
        done = json.loads(desk.run("import", "optouts", str(file), "--json", code=1).stdout)
        assert (done["lines"], done["contacts"], done["refused"]) == (3, 2, 1)
    assert (desk.folder / "list.csv.refused.csv").read_text() == "line,reason\n2,no_contact\n"
    assert len([p for p in all_pending(desk) if p.record.topic == "contact.preference.v1"]) == 2
    with desk.ledger.begin() as tx:
        assert tx.slots_for_decision(["d1"])["d1"].opted_out
    assert desk.trail() == [("imported", "optouts", {"lines": 3, "contacts": 2, "refused": 1})] * 2


def test_a_list_counts_whom_a_message_is_on_its_way_to(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE))
    decide(desk.ledger, "d1")
    sender = open_ledger(desk.env["HAILONG_LEDGER"], replace(desk.wiring.tools, may_leave=lambda *_: None), "sender")
    (one,) = claim(sender)
    (desk.folder / "list.csv").write_text("0912000001\n0912000002\n")
    told = desk.run("import", "optouts", str(desk.folder / "list.csv")).stderr
    assert "To 1 of them a message was on its way already: that one may still arrive." in " ".join(told.split())
    settle(sender, "handed_over", one)
    assert json.loads(desk.run("import", "optouts", str(desk.folder / "list.csv"), "--json").stdout)["under_way"] == 0


@pytest.mark.parametrize("beside", [False, True])
def test_a_list_whose_report_cannot_be_written_is_not_taken(desk: Desk, beside: bool) -> None:
    file = desk.folder / "list.csv"
    file.write_text("0912000001\nLan 0912\n")
    (desk.folder / "list.csv.refused.csv").mkdir()
    named = [] if beside else ["--report", str(file / "none" / "r.csv")]
    told = desk.run("import", "optouts", str(file), *named, code=2)
    assert "the report of refused lines cannot be written" in str(told.exception)
    assert "so nothing was taken. Name another one with --report" in str(told.exception)
    assert (desk.trail(), all_pending(desk)) == ([], [])


def test_a_report_goes_into_a_folder_that_is_made_for_it(desk: Desk) -> None:
    (desk.folder / "list.csv").write_text("0912000001\nLan 0912\n")
    report = desk.folder / "reports" / "today" / "r.csv"
    desk.run("import", "optouts", str(desk.folder / "list.csv"), "--report", str(report), code=1)
    assert report.read_text() == "line,reason\n2,no_contact\n"


def all_pending(desk: Desk) -> list[Any]:
    with desk.ledger.read() as reader:
        return [
            p
            for writer in {r.writer for r in reader.conn.exec_driver_sql("SELECT writer FROM outbox")}
            for p in desk.ledger.for_writer(writer).pending()
        ]


def test_a_new_pepper_forgets_no_opt_out_and_no_cap(desk: Desk) -> None:
    take(desk.ledger, act("d1", PHONE), act("d2", "+84912000002"))
    decide(desk.ledger, "d2")
    settle(desk.ledger, "handed_over", *claim(desk.ledger))
    with desk.ledger.begin() as tx:
        tx.opt_out_number(PHONE, NOON, "1022")
    assert "Version 2" in desk.run("rights", "pepper").stderr
    later = NOON + timedelta(days=1)
    take(desk.ledger, act("d3", PHONE), act("d4", "+84912000002"), act("d5", "+84912000005"), now=later)
    with desk.ledger.begin() as tx:
        seen = tx.slots_for_decision(["d3", "d4", "d5"])
    assert [(s.opted_out, s.last_asked_at) for s in seen.values()] == [(True, None), (False, NOON), (False, None)]
    assert desk.trail()[-1][0] == "key_made"
