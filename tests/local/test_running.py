"""`hailong live`, `provider`, `stuck`, `message test` and `doctor --go-live` on a ledger without a stack: what is not in order refuses."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from typer.testing import CliRunner, Result

from hailong.domain.access import Account
from hailong.events import ProviderChanged, Record, decode
from hailong.ports import Invalid, Retryable
from hailong.settings import Settings, environment
from ops import carrying, going_live
from ops.cli.main import build
from ops.clock import real_now
from ops.daily import Daily
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.ledger import migrate
from sinks.ledger.going import Trial
from surveys.messages import templates
from surveys.site import build_site
from tests.survey.twins import HandClock, MemoryLedger, MemoryLog, parts

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
PRICES = """\
[operators]
[[tariffs]]
channel = "sms"
provider = "twilio"
valid_from = 2020-01-01
per = "segment"
source = "contract 12/2026"
default = 900
"""
RULES = """\
[[versions]]
version = "hb-1"
valid_from = 2020-01-01
source = "decision 123/QĐ-UBND"
[versions.never]
procedures = ["2.000488"]
"""


class Outside:
    """Somebody outside: the real survey site behind a public name, answered as its proxy would."""

    def __init__(self, app: Starlette, status: int | None = None, away: bool = False) -> None:
        self._app, self._status, self._away = app, status, away

    def __call__(self, url: str) -> httpx.Response:
        if self._away:
            raise httpx.ConnectError("no route")
        answer = asyncio.run(self._get(url))
        return httpx.Response(self._status, text="a proxy's own page") if self._status else answer

    async def _get(self, url: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app)) as client:
            return await client.get(url)


class Office:
    """A province that has done everything but go live; each test undoes one thing."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder, self.keys = folder, keys
        for name, text in (("prices.toml", PRICES), ("rules.toml", RULES), ("officers.toml", 'office = ["cl@hoabinh.gov.vn"]\n')):
            (folder / name).write_text(text)
        self._approve(folder / "templates")
        self.settings = Settings(
            data_dir=folder, keys_dir=keys, ledger=f"sqlite:///{folder / 'ledger.db'}", survey_url="https://khaosat.hoabinh.gov.vn",
            officers_file=str(folder / "officers.toml"), rules_file=str(folder / "rules.toml"), prices_file=str(folder / "prices.toml"),
            templates_dir=str(folder / "templates"), daily_budget=2_000_000, abroad_basis="điều 20", twilio_account_sid="AC1",
            channel_modes="sms=live,email=trial", guests_file=str(folder / "guests.txt"),
        )  # fmt: skip
        Wiring(self.settings).keys.make_missing(real_now().date())
        keys.chmod(0o700)
        migrate(self.settings.ledger)
        self.ledger = Wiring(self.settings).ledger("test")
        site = parts(folder, MemoryLedger(), MemoryLog(), HandClock(), [0.0])
        self.site = build_site(site)
        self.close = site.spool.close
        self._people()

    def _approve(self, folder: Path) -> None:
        shutil.copytree("surveys/texts/messages", folder)
        for file in folder.glob("*.toml"):
            file.write_text(file.read_text("utf-8").replace('approval = ""', 'approval = "HCC-1"'), "utf-8")

    def _people(self) -> None:
        with self.ledger.begin() as tx:
            tx.add_account(Account("minh", "Minh", "administrator", None, NOW, password="x", factor=b"f"))
            tx.add_account(Account("lan", "Lan", "viewer", None, NOW, password="x"))
            for act in ("backup_taken", "backup_restored"):
                tx.audited("cli:minh", act, "backup:1")
            tx.note_test(Trial("t1", "sms", "twilio", "vi", "cli:minh", real_now(), "minh", real_now()))

    def checks(self, outside: Outside | None = None, **changed: Any) -> dict[str, going_live.Check]:
        """What is not in order, by its id."""
        wiring = Wiring(replace(self.settings, **changed))
        found = going_live.examine(wiring, self.ledger, ["sms"], outside or Outside(self.site))
        assert len({check.id for check in found}) == len(found) == 18
        assert all(check.ok or (check.found and check.next_step) for check in found)
        return {check.id: check for check in found if not check.ok}


@contextmanager
def opened(folder: Path) -> Iterator[Office]:
    """The keys on another filesystem, as they should be."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="hailong-test-") as keys:
        made = Office(folder, Path(keys))
        yield made
        made.ledger.close()
        made.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with opened(tmp_path) as made:
        yield made


# --- the list


def test_an_installation_that_has_done_everything_may_go_live(office: Office) -> None:
    assert office.checks() == {}


@pytest.mark.parametrize(
    ("changed", "check", "said"),
    [
        ({"survey_url": "http://khaosat.hoabinh.gov.vn", "receipts_url": "https://r.hoabinh.gov.vn"}, "stop-page", "not https"),
        ({"survey_url": "https://10.0.0.7", "receipts_url": "https://r.hoabinh.gov.vn"}, "stop-page", "of this network"),
        ({"survey_url": "https://survey", "receipts_url": "https://r.hoabinh.gov.vn"}, "stop-page", "of this network"),
        ({"survey_url": "https://ks.hoabinh.example", "receipts_url": "https://r.hoabinh.gov.vn"}, "stop-page", "nobody's"),
        ({"receipts_url": "http://127.0.0.1:8082"}, "receipts", "not https"),
        ({"officers_file": ""}, "officers", "names no quality office"),
        ({"clock": "offset:60"}, "clock", "offset"),
        ({"any_hour": True}, "tries", "HAILONG_ANY_HOUR"),
        ({"cap_days": 0}, "tries", "HAILONG_CAP_DAYS"),
        ({"rules_file": ""}, "rules", "product default"),
        ({"daily_budget": 0}, "budget", "no limit"),
        ({"channel_modes": "sms=trial,email=trial"}, "mode", "trial"),
        ({"channel_modes": "sms=live"}, "officers", "mails to officers wait: the mode of email is carrier"),
        ({"channel_modes": "sms=live,email=live"}, "officers", "mails to officers wait: the mode of email is live"),
        ({"carrier_url": "http://127.0.0.1:9", "smtp_port": 8025}, "officers", "the carrier keeps the mails to officers"),
        ({"twilio_account_sid": ""}, "provider", "twilio has no account"),
        ({"abroad_basis": " "}, "abroad", "none is stated"),
        ({"templates_dir": ""}, "templates", "not approved: sms-invitation-a.en@1, "),
        ({"prices_file": ""}, "prices", "example"),
    ],
)
def test_what_is_not_in_order_is_named_with_its_next_step(office: Office, changed: dict[str, Any], check: str, said: str) -> None:
    found = office.checks(**changed)
    assert list(found) == [check]
    assert said in found[check].found


def test_a_carrier_that_stands_in_and_a_test_by_it_are_no_proof(office: Office) -> None:
    there = "http://127.0.0.1:9"
    assert list(office.checks(carrier_url=there, twilio_base_url=there)) == ["provider", "test-seen"]


@pytest.mark.parametrize(
    ("outside", "said"), [({"away": True}, "does not answer"), ({"status": 502}, "answers 502"), ({"status": 200}, "not with the page")]
)
def test_the_page_that_ends_messages_is_really_fetched(office: Office, outside: dict[str, Any], said: str) -> None:
    found = office.checks(Outside(office.site, **outside))
    assert list(found) == ["stop-page"]
    assert said in found["stop-page"].found


@pytest.mark.parametrize(
    ("statement", "check", "said"),
    [
        ("UPDATE accounts SET factor = NULL", "second-factor", "without a second factor: minh"),
        ("UPDATE accounts SET disabled_at = 1", "second-factor", "no administrator can sign in"),
        ("UPDATE test_messages SET seen_at = NULL", "test-seen", "no test by twilio was seen"),
        ("UPDATE test_messages SET seen_at = 1", "test-seen", "within 31 days"),
        ("UPDATE test_messages SET provider = 'gateway-x'", "test-seen", "no test by twilio"),
        ("DELETE FROM audit", "backup", "no backup taken and restored"),
        ("DELETE FROM audit WHERE act = 'backup_restored'", "backup", "no backup restored"),
        ("UPDATE audit SET at = 1", "backup", "within 31 days"),
    ],
)
def test_what_the_ledger_does_not_show_refuses(office: Office, statement: str, check: str, said: str) -> None:
    with office.ledger.begin() as tx:
        for act in ("update", "delete"):
            tx.conn.exec_driver_sql(f"DROP TRIGGER audit_stays_{act}")
        tx.conn.exec_driver_sql(statement)
    found = office.checks()
    assert list(found) == [check]
    assert said in found[check].found


def test_keys_beside_the_database_or_open_to_others_refuse(office: Office) -> None:
    shutil.copytree(office.keys, office.folder / "keys")
    assert list(office.checks(keys_dir=office.folder / "keys")) == ["keys-apart"]
    office.keys.joinpath("links.key").chmod(0o640)
    found = office.checks()
    assert list(found) == ["keys-closed"]
    assert "links.key" in found["keys-closed"].found
    assert office.checks(keys_dir=office.folder / "none").keys() == {"keys-apart", "keys-closed"}


def test_keys_are_where_they_really_lie(office: Office) -> None:
    (office.folder / "keys").symlink_to(office.keys)
    assert office.checks(keys_dir=office.folder / "keys") == {}


def test_texts_that_are_never_sent_need_no_approval(office: Office) -> None:
    accented = Path(office.settings.templates_dir) / "vi.sms.toml"
    accented.write_text(accented.read_text("utf-8").replace('approval = "HCC-1"', 'approval = ""'), "utf-8")
    templates.load.cache_clear()
    assert office.checks() == {}
    assert list(office.checks(sms_diacritics=True)) == ["templates"]
    templates.load.cache_clear()


def test_a_channel_that_is_not_set_up_is_wrong_use(office: Office) -> None:
    with pytest.raises(Invalid, match="channel: unknown"):
        going_live.examine(Wiring(office.settings), office.ledger, ["zns"], Outside(office.site))


# --- the commands


class Desk:
    """A command line with an office's settings."""

    def __init__(self, office: Office, **changed: Any) -> None:
        self.environment = environment(replace(office.settings, **changed))
        self.home = office.folder / "home"

    def run(self, *arguments: str, code: int = 0) -> Result:
        told = CliRunner().invoke(build(arguments), ["--home", str(self.home), *arguments], env=self.environment)
        wrong = told.exception.exit_code if isinstance(told.exception, Refusal) else told.exit_code
        assert wrong == code, (told.exception, told.output)
        return told


def live(office: Office) -> dict[str, str]:
    with office.ledger.read() as reader:
        return {channel: switch.by for channel, switch in reader.live_channels().items()}


def trail(office: Office) -> list[tuple[str, str, Any]]:
    with office.ledger.read() as reader:
        return [(e.act, e.object, e.detail.get("by")) for e in reader.audit(limit=1000) if not e.act.startswith("backup")]


def test_live_is_refused_until_everything_is_in_order_and_names_what_is_not(office: Office) -> None:
    told = Desk(office, daily_budget=0, survey_url="http://127.0.0.1:1").run("live", "sms", "--by", "minh", code=1)
    assert "sms does not go live: 3 checks" in str(told.exception)
    assert [line.split()[1] for line in told.stderr.splitlines() if line.startswith("NO")] == ["stop-page", "budget", "receipts"]
    assert live(office) == {}
    assert trail(office) == []


def test_live_and_off_are_switches_in_the_trail(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_live, "outside", lambda: Outside(office.site))
    desk = Desk(office)
    desk.run("live", "sms", "--by", "lan", code=2)
    desk.run("live", "sms", "--by", "nobody", code=2)
    assert live(office) == {}
    desk.run("live", "sms", "--by", "Minh")
    desk.run("live", "sms", "--by", "minh")
    assert live(office) == {"sms": "minh"}
    desk.run("live", "sms", "--by", "minh", "--off")
    assert live(office) == {}
    assert trail(office) == [("channel_live", "channel:sms", "minh"), ("channel_off", "channel:sms", "minh")]


def test_off_needs_nothing_to_be_in_order(office: Office) -> None:
    with office.ledger.begin() as tx:
        tx.switch("sms", "twilio", on=True, by="minh", real_now=NOW)
    Desk(office, survey_url="http://127.0.0.1:1", daily_budget=0).run("live", "sms", "--by", "minh", "--off")
    assert live(office) == {}


def test_doctor_lists_every_check_and_ends_with_1(office: Office) -> None:
    desk = Desk(office, survey_url="http://127.0.0.1:1")
    checks = json.loads(desk.run("doctor", "--go-live", "--channel", "sms", "--json", code=1).stdout)
    assert {check["id"] for check in checks if not check["ok"]} == {"stop-page", "receipts"}
    assert {check["channel"] for check in checks} == {"", "sms"}
    shown = desk.run("doctor", "--go-live", code=1).stdout
    assert "NO  stop-page" in shown
    assert "ok  second-factor" in shown
    assert "mode email" in shown


def test_providers_are_listed_with_how_they_do(office: Office) -> None:
    (one, mail) = json.loads(Desk(office, provider_rates="twilio=20").run("provider", "list", "--json").stdout)
    assert (one["channel"], one["mode"], one["held"], one["now"], one["reserve"]) == ("sms", "live", "not_live", "twilio", None)
    assert (one["turns"], one["rate"], one["taken"], one["cost_today"], one["since"]) == (4.0, 20.0, 0, 0, None)
    assert (mail["mode"], mail["held"]) == ("trial", None)
    assert "20 a second, 4 free now" in Desk(office, provider_rates="twilio=20").run("provider", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("use", "sms", "gateway-x"), "one provider, twilio"), (("use", "fax", "x"), "channels here are sms, email"),
        (("auto", "sms"), "Name a reserve"),
    ],
)  # fmt: skip
def test_a_provider_that_is_none_is_refused(office: Office, arguments: tuple[str, ...], said: str) -> None:
    assert said in str(Desk(office).run("provider", *arguments, "--by", "minh", code=2).exception)
    assert trail(office) == []


class Log:
    """The log, for writing; away when it is told so."""

    def __init__(self, away: bool = False) -> None:
        self.away, self.records = away, list[Record]()

    def publish(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Retryable("the log is away")
        self.records += records


def test_a_person_s_choice_is_a_fact_and_a_line_of_the_trail(office: Office) -> None:
    (office.folder / "json-example.token").write_text("secret")
    (office.folder / "json-example.token").chmod(0o600)
    described = {"gateway_file": "examples/gateways/json-example.toml", "gateway_secrets_dir": office.folder, "reserves": "sms=gateway"}
    wiring = Wiring(replace(office.settings, **described))  # type: ignore[arg-type]
    by, log = carrying.Hand("minh", "cli:root", NOW), Log()
    ledger = wiring.ledger("cli")
    assert carrying.use(wiring, ledger, log, "sms", "gateway-json-example", by) == "gateway-json-example"
    assert carrying.use(wiring, ledger, log, "sms", None, by) == "gateway-json-example"
    with pytest.raises(Invalid, match="provider: unknown"):
        carrying.use(wiring, ledger, log, "sms", "smtp", by)
    facts = [decode(r.topic, r.value) for r in log.records]
    assert [(f.version, f.provider, f.reason, f.by) for f in facts if isinstance(f, ProviderChanged)] == [
        (1, "gateway-json-example", "by_hand", "minh"), (2, "gateway-json-example", "automatic", "minh"),
    ]  # fmt: skip
    with ledger.read() as reader:
        assert reader.unpublished() == 0
        shown = carrying.carriers(wiring, reader, NOW, NOW)[0]
    assert (shown.now, shown.main, shown.why, shown.by) == ("gateway-json-example", "twilio", "automatic", "minh")
    with pytest.raises(Retryable):
        carrying.use(wiring, ledger, Log(away=True), "sms", "twilio", by)
    with ledger.read() as reader:
        assert (reader.provider_of("sms"), reader.unpublished()) == ("twilio", 1), "it is written, and published later"
    assert trail(office) == [("provider_switched", "channel:sms", "minh")] * 3
    ledger.close()


def test_stuck_ends_with_1_and_says_what_to_do(office: Office) -> None:
    with office.ledger.begin() as tx:
        tx.conn.exec_driver_sql("DELETE FROM outbox")
    assert "NO" not in Desk(office).run("stuck").stdout
    with office.ledger.begin() as tx:
        tx.conn.exec_driver_sql("INSERT INTO sources (source, paused_at) VALUES ('one-stop', 1)")
    assert "hailong deadletters resume SOURCE" in Desk(office).run("stuck", code=1).stdout
    (paused,) = [s for s in json.loads(Desk(office).run("stuck", "--json", code=1).stdout) if s["stuck"]]
    assert (paused["id"], paused["number"]) == ("paused", 1)


def test_a_month_that_is_none_is_wrong_use(office: Office) -> None:
    assert "Write it as 2026-03" in str(Desk(office).run("costs", "--month", "2026-13", code=2).exception)


# --- a test message, from handing over to seen


def test_a_test_message_is_written_when_it_was_taken_and_seen_when_somebody_says_so(office: Office) -> None:
    """To a simulated guest: the whole way but the provider."""
    (office.folder / "guests.txt").write_text("0510000300\n")
    desk = Desk(office, channel_modes="sms=trial")
    told = desk.run("message", "test", "--channel", "sms", "--to", "0510000300")
    (said,) = [line for line in told.stdout.splitlines() if line.startswith("hailong message seen ")]
    test = said.split()[3]
    with office.ledger.read() as reader:
        (newest, _) = reader.tests("sms")
    assert (newest.id, newest.provider, newest.seen_at) == (test, "twilio", None)
    desk.run("message", "seen", test, "--by", "lan", code=2)
    desk.run("message", "seen", test, "--by", "minh")
    with office.ledger.read() as reader:
        assert reader.tests("sms")[0].seen_by == "minh"
    assert "never handed over" in str(desk.run("message", "seen", "x", "--by", "minh", code=1).exception)
    assert [act for act, _, _ in trail(office)] == ["message_tested", "test_message_seen"]
    assert "510000300" not in str(trail(office))


@pytest.mark.parametrize(
    ("changed", "arguments", "said"),
    [
        ({"guests_file": ""}, ["--to", "0510000300"], "HAILONG_GUESTS_FILE is not set, and --guests"),
        ({}, ["--to", "0510000300"], "guests.txt is no file. Make it, or mend HAILONG_GUESTS_FILE"),
        ({}, [], "--to is missing"),
    ],
)
def test_a_test_without_a_guest_says_where_guests_are_listed(
    office: Office, changed: dict[str, Any], arguments: list[str], said: str
) -> None:
    told = Desk(office, channel_modes="sms=trial", **changed).run("message", "test", "--channel", "sms", *arguments, code=2)
    assert said in str(told.exception)


def test_a_slip_is_tested_without_a_guest_and_going_live_advises_so(office: Office) -> None:
    slips = office.folder / "slips"
    desk = Desk(office, print_dir=str(slips), guests_file="")
    wiring = Wiring(replace(office.settings, print_dir=str(slips)))
    (found,) = [c for c in going_live.examine(wiring, office.ledger, ["print"], Outside(office.site)) if c.id == "test-seen"]
    assert not found.ok
    assert "`hailong message test --channel print`, then" in found.next_step
    told = desk.run("message", "test", "--channel", "print")
    assert len(list(slips.glob("*.txt"))) == 1
    desk.run("message", "seen", told.stdout.split()[3], "--by", "minh")
    (found,) = [c for c in going_live.examine(wiring, office.ledger, ["print"], Outside(office.site)) if c.id == "test-seen"]
    assert found.ok


@pytest.mark.parametrize(
    "changed", [{"channel_modes": ""}, {"channel_modes": "sms=live"}, {"channel_modes": "sms=trial", "abroad_basis": ""}]
)
def test_a_test_goes_nowhere_while_its_channel_may_not_send(office: Office, changed: dict[str, Any]) -> None:
    (office.folder / "guests.txt").write_text("0912345678\n")
    Desk(office, **changed).run("message", "test", "--channel", "sms", "--to", "0912345678", code=1)
    with office.ledger.read() as reader:
        assert [t.id for t in reader.tests()] == ["t1"]


# --- the daily mail


def test_the_daily_mail_tells_what_stands_still_with_its_number_and_next_step(office: Office) -> None:
    with office.ledger.begin() as tx:
        tx.conn.exec_driver_sql("INSERT INTO sources (source, paused_at) VALUES ('one-stop', 1)")
    daily = Daily(Wiring(office.settings), office.ledger)
    with office.ledger.read() as reader:
        told = {part["name"]: part for part in daily._stuck(reader, NOW + timedelta(days=1))}
    assert told["unknown"] == {"name": "unknown", "ok": True, "note": ""}
    assert not told["paused"]["ok"]
    assert told["paused"]["note"].startswith("Nguồn hồ sơ đang bị tạm dừng: 1. Xem lý do")
