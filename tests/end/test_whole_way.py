"""The whole way: a dossier ends at a desk, a citizen is asked and answers, the figures move, an officer is told.

The tests follow one another on one stack, as a day does.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx
import pytest

from ops.local.home import REPOSITORY
from tests.end.town import Town, until

pytestmark = pytest.mark.stack
UNHAPPY = [f"+8490000{n:04d}" for n in range(1, 32)]
MAIL = "nguoi.nop@cong-dan.example"
OFFICE, DESK = "office@hoabinh.example", "xa-07@hoabinh.example"


def mails(town: Town, to: str, word: str) -> list[dict[str, Any]]:
    return [m for m in town.messages(to) if word in m["subject"] + m["body"]]


def test_officers_sign_in_by_the_first_link_and_nobody_else_sees_anything(town: Town) -> None:
    figures = f"{town['dashboard']}/api/v1/figures"
    assert town.http.get(figures).status_code == 401
    made = town.json("accounts", "first")
    town.sign_in(made["login"], made["link"])
    assert town.http.get(figures).status_code == 200
    assert town.hailong("accounts", "first", code=1) == ""
    acts = [line["act"] for line in town.json("audit", "list")]
    assert acts == ["imported", "account_made", "link_made", "link_used", "password_set", "signed_in"]
    assert town.json("audit", "verify")["passed"]


def test_endings_come_in_and_each_person_gets_one_message(town: Town) -> None:
    wanted = [town.item(phone) for phone in UNHAPPY]
    wanted += [town.item(email=MAIL, receiving_unit_code="xa-01")]
    others = [
        town.item(),
        town.item("+84900009001", finished_at="2026-01-05T15:00:00+07:00", received_at="2026-01-02T15:00:00+07:00"),
        town.item("+84900009002", test=True),
        town.item("+84900009003", procedure_code="2.000488.000.00.00.H28"),
        town.item(UNHAPPY[0]),
    ]
    told = town.post(*wanted, *others)
    assert told.status_code == 202, told.text
    assert told.json()["accepted"] == len(wanted) + len(others)
    ten = wanted[0] | {"finished_at": "2026-03-01T17:00:00+07:00", "status_code": 9}
    assert [i["duplicate"] for i in town.post(wanted[0], ten).json()["items"]] == [True, False]

    def asked() -> list[dict[str, Any]]:
        """Where the machine is slow, the daily mail is out already."""
        return [m for m in town.messages() if m["to"] != OFFICE]

    until(lambda: len(asked()) >= len(wanted))
    found = until(lambda: (o := town.outcomes())["asked"] == len(wanted) and o)
    assert found == {
        "valid": len(wanted) + len(others),
        "asked": len(wanted),
        "waiting": 1,  # the second ending of a number that was asked a moment ago rests until the cap is over
        "not_asked": {"no_contact": 1, "sensitive_procedure": 1, "test": 1, "too_old": 1},
    }
    sent = asked()
    assert sorted(m["to"] for m in sent) == sorted([*UNHAPPY, MAIL])
    assert {m["channel"] for m in sent if m["to"] in UNHAPPY} == {"sms"}
    assert all(m["segments"] == 1 for m in sent if m["channel"] == "sms")
    (letter,) = town.messages(MAIL)
    assert "List-Unsubscribe" in dict(letter["headers"])
    assert town["survey"] in letter["body"]
    assert json.loads(town.hailong("outcomes", "--json")) == found


def test_receipts_are_applied(town: Town) -> None:
    def delivered() -> list[Any]:
        found: list[Any] = town.json("outbox", "--state", "delivered")
        return found if len(found) == len(UNHAPPY) else []

    assert {m["to"] for m in until(delivered)} == set(UNHAPPY)


def test_citizens_answer_and_bad_answers_reach_the_officer_in_charge(town: Town) -> None:
    visits = [town.visit(phone, 1) for phone in UNHAPPY[:30]]
    town.answer(visits[:1], ("slow", "charges"))
    town.answer(visits[1:])
    town.answer(visits[:1])  # once more on the same link: thanks, and nothing new
    assert all(v.thanked for v in visits)
    assert visits[0].gave_reasons

    (alert,) = until(lambda: mails(town, DESK, "xa-07"))
    assert "có 10 người trả lời, nhiều nhất 1 người hài lòng" in alert["body"]
    assert town["dashboard"] in alert["body"]
    assert mails(town, "others@hoabinh.example", "xa-07") == []
    listed = town.json("alerts")
    assert {(a["unit"], a["open"]) for a in listed} == {("xa-07", True), ("lac-son", True), ("hoa-binh", True)}  # what it is below of, too
    assert town.http.get(f"{town['dashboard']}/api/v1/alerts").json() == listed


def test_a_word_about_charges_goes_to_the_office_only_and_names_unit_and_day(town: Town) -> None:
    (case,) = until(lambda: mails(town, OFFICE, "ngoài quy định"))
    assert "Xã 07" in case["body"]
    assert re.search(r"\b2/3/2026|02/03/2026|2026-03-02", case["body"])
    whole = json.dumps(case, ensure_ascii=False)
    assert "H28." not in whole
    assert "0900" not in whole
    assert town.visit(UNHAPPY[0], 1).code not in whole
    for to in (DESK, "others@hoabinh.example"):
        assert mails(town, to, "ngoài quy định") == []


def row(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(r for r in document["rows"] if name in r["name"])


def test_page_api_and_command_line_say_the_same_figures(town: Town) -> None:
    def figures() -> dict[str, Any]:
        return dict(town.http.get(f"{town['dashboard']}/api/v1/figures").json())

    until(lambda: (row(town.json("figures"), "Xã 07")["n"] or 0) >= 30 and (row(figures(), "Xã 07")["n"] or 0) >= 25)
    shown = row(figures(), "Xã 07")
    mine = row(town.json("figures"), "Xã 07")
    assert (shown["n"], shown["suppressed"], shown["rate"]) == (25, False, None)  # where all say the same, only a bound is shown
    assert shown["high"] < 0.2
    assert (mine["n"], mine["rate"]) == (30, 0.0)
    assert mine["asked"] == mine["answered"] + 1 == len(UNHAPPY)
    assert mine["reached"] == len(UNHAPPY)
    assert row(figures(), "Xã 01")["suppressed"]
    told = row(town.json("figures", "--for", "units"), "Xã 07")
    assert {name: told[name] for name in shown} == shown, "what leaves the office is what others see on their page"
    assert row(town.json("figures", "--for", "public"), "Xã 07")["suppressed"], "no month is closed"
    page = town.http.get(town["dashboard"] + "/", headers={"Accept-Language": "vi"})
    assert page.status_code == 200
    assert "Xã 07" in page.text


def test_who_opts_out_is_told_so_and_never_asked_again(town: Town) -> None:
    visit = town.visit(UNHAPPY[30], 1)
    page = town.http.get(f"{town['survey']}/{visit.code}/stop")
    assert page.status_code == 200
    assert until(lambda: town.opt_out(visit), 10)
    assert town.post(town.item(UNHAPPY[30])).status_code == 202
    assert until(lambda: town.outcomes()["not_asked"].get("opted_out")) == 1
    assert len(town.messages(UNHAPPY[30])) == 1


def test_a_dossier_that_goes_on_is_not_asked_about(town: Town) -> None:
    before = town.outcomes()
    go_on = town.freeze("send-0")  # so that nothing is sent before the second act is heard of
    try:
        item = town.item("+84900008001")
        assert town.post(item).status_code == 202
        until(lambda: town.outcomes()["waiting"] == before["waiting"] + 1)
        again = {"dossier_code": item["dossier_code"], "status_code": 4, "occurred_at": "2026-03-01T18:00:00+07:00"}
        assert town.post(again).status_code == 202
        assert until(lambda: town.outcomes()["not_asked"].get("reopened")) == 1
    finally:
        go_on()
    time.sleep(1)
    assert town.messages("+84900008001") == []
    assert town.http.get(f"{town['survey']}/23456789ABCD").status_code == 404


def test_a_nightly_file_is_taken_from_the_drop_folder(town: Town) -> None:
    drop = town.data / "drop"
    (drop / "default.toml").write_text((REPOSITORY / "examples" / "one-stop" / "mapping.toml").read_text("utf-8"), "utf-8")
    lines = (REPOSITORY / "examples" / "one-stop" / "sample.csv").read_text("utf-8").splitlines()
    changes = {"250106-0001": "260301-9001", "/01/2025": "/02/2026", "08/02/2026": "28/02/2026", "0900 000 001": "0900 007 001"}
    mine = lines[1]
    for old, new in changes.items():
        mine = mine.replace(old, new)
    (drop / "in" / "nightly.csv.part").write_text(f"{lines[0]}\n{mine}\n", "utf-8")
    time.sleep(0.1)
    (drop / "in" / "nightly.csv.part").rename(drop / "in" / "nightly.csv")
    assert until(lambda: list((drop / "done").glob("*nightly.csv")))
    assert len(until(lambda: town.messages("+84900007001"))) == 1


@pytest.mark.thorough
def test_what_others_measured_comes_in_once_and_dossiers_get_their_field_from_the_catalogue(town: Town) -> None:
    lists, slips = REPOSITORY / "examples", (REPOSITORY / "examples" / "answers" / "slips.toml").read_text("utf-8")
    (town.data / "totals.csv").write_text(
        "unit,month,received,ended,overdue,petitions,dislikes,source\nxa-07,2026-02,120,110,4,2,1,số bịa để thử\n", "utf-8"
    )
    (town.data / "slips.toml").write_text(slips.replace("hb-trung-tam", "xa-07"), "utf-8")
    commands = [
        ("totals", str(town.data / "totals.csv")),
        ("references", str(lists / "references" / "sipas.csv")),
        ("procedures", str(lists / "procedures" / "hoa-binh.csv")),
        ("answers", str(lists / "answers" / "slips.csv"), "--mapping", str(town.data / "slips.toml")),
    ]
    assert [town.json("import", *command)["changed"] for command in commands * 2] == [1, 7, 5, 5, 0, 0, 0, 0]
    counts = "SELECT " + ", ".join(f"(SELECT count() FROM {table})" for table in ("total", "reference", "procedure", "earlier"))
    assert until(lambda: (found := list(town.json("sql", counts)[0].values())) == [1, 7, 5, 5] and found)
    item = town.item("+84900004001", procedure_code="1.001612.000.00.00.H28", field_code=None)
    told = town.post({name: value for name, value in item.items() if value is not None})
    assert told.json()["items"][0]["notes"] == ["field_code: from_the_catalogue"]


def test_poison_is_put_aside_shown_replayed_and_dropped(town: Town) -> None:
    poison = b'{"source": "elsewhere", "outcome": "0912345678"}'
    town.write("dossier.closed.v1", poison)

    def letters() -> list[Any]:
        return list(town.json("deadletters", "list")["letters"])

    (letter,) = until(letters)
    assert (letter["topic"], letter["source"]) == ("dossier.closed.v1", "elsewhere")
    assert "0912345678" not in json.dumps(letter)
    assert town.hailong("deadletters", "show", str(letter["id"])).encode().strip() == poison
    town.hailong("deadletters", "replay", str(letter["id"]))
    (again,) = until(lambda: [one for one in letters() if one["id"] != letter["id"]])
    town.hailong("deadletters", "drop", str(again["id"]))
    assert letters() == []
    assert town.post(town.item("+84900006001")).status_code == 202  # the stream goes on
    assert until(lambda: town.messages("+84900006001"))


def test_while_the_broker_is_away_the_intake_says_so_and_takes_it_once_later(town: Town) -> None:
    item = town.item("+84900005001")
    before = town.outcomes()["valid"]
    town.freeze("kafka")
    away = town.post(item)
    assert away.status_code == 503
    assert int(away.headers["Retry-After"]) >= 1
    assert away.json()["error"]["code"] == "unavailable"
    town.stack.kill("kafka")

    def taken() -> httpx.Response | None:
        told = town.post(item)
        return told if told.status_code == 202 else None

    told = until(taken)
    assert told is not None
    assert told.json()["accepted"] == 1
    assert until(lambda: town.messages("+84900005001"))
    assert town.outcomes()["valid"] == before + 1
    assert town.post(item).json()["items"][0]["duplicate"]
    time.sleep(1)
    assert len(town.messages("+84900005001")) == 1


def test_the_daily_mail_goes_to_the_office_at_half_past_seven(town: Town) -> None:
    found = until(lambda: [m for m in town.messages(OFFICE) if m["subject"].startswith("hailong 2/3/2026")], 100)
    (digest,) = found
    assert "Xã 07" in digest["body"], "the alert of this morning"
    assert town["dashboard"] in digest["body"]
    for to in (DESK, "others@hoabinh.example"):
        assert mails(town, to, "hailong 2/3/2026") == []


@pytest.mark.thorough
def test_the_acceptance_holds_on_a_stack_that_works(town: Town) -> None:
    steps = town.json("doctor", "--acceptance")
    assert [step for step in steps if not step["ok"]] == []
    assert {step["part"] for step in steps} == {"clickhouse", "ledger", "kafka"}
