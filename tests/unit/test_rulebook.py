"""Rules as data: what a file says is what holds, each version from its day; and nothing wrong gets past the door."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, time
from pathlib import Path

import pytest

from hailong.domain.hours import Hours
from hailong.domain.rulebook import Rulebook, RulebookError, Rules, load, window

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "ops" / "rules" / "rules.toml"
EXAMPLES = sorted((ROOT / "examples" / "rules").glob("*.toml"))
HEAD = '[[versions]]\nversion = "1"\nvalid_from = 2026-01-01\nsource = "test"\n'


def version(body: str = "") -> Rules:
    return load(HEAD + body, "rules.toml").in_force(date(2026, 1, 1))


def refused(text: str) -> str:
    with pytest.raises(RulebookError) as e:
        load(text, "rules.toml")
    return str(e.value)


# --- what a file says


def test_the_shipped_rulebook_says_what_it_documents_as_default() -> None:
    shipped = load(SHIPPED.read_text("utf-8"), "rules.toml").in_force(date(2026, 3, 2))
    plain = Rules(
        version=shipped.version,
        valid_from=shipped.valid_from,
        source=shipped.source,
        digest=shipped.digest,
        procedures=frozenset({"2.000488", "2.001417", "1.000656", "2.001263"}),
        procedures_named=True,
    )
    assert shipped == plain


def test_the_shipped_rulebook_writes_out_and_documents_every_key() -> None:
    text = SHIPPED.read_text("utf-8")
    for table in (Rules, Hours):
        for f in fields(table):
            key = {"channels": "order", "unit_shares": "units", "reminder_after_days": "after_days", "reminder_share": "share"}.get(f.name)
            key = key or (f.name.removeprefix("call_") if f.name.startswith("call_") else None)
            assert (key or f.name) in text or f.name in ("digest", "procedures_named"), f.name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_examples_are_rulebooks(path: Path) -> None:
    assert load(path.read_text("utf-8"), path.name).versions


def test_the_example_of_big_units_samples_them_and_compares_links() -> None:
    book = load((ROOT / "examples/rules/big-units.toml").read_text("utf-8"), "big-units.toml")
    first, second = book.in_force(date(2027, 1, 3)), book.in_force(date(2027, 1, 4))
    assert (first.version, second.version) == ("2026-12", "2027-01")
    assert first.share_of("hoa-binh", 5000) == 0.25
    assert first.share_of("xa-01", 899) == 1.0
    assert first.share_of("xa-01", 900) == 0.5
    assert first.hours.why_closed_on(date(2026, 12, 27)) is None
    assert second.experiments["link"] == {"link": 0.5, "link_free": 0.5}
    assert second.channels[0] == "zns"


def test_every_key_arrives() -> None:
    found = version(
        """
        [versions.never]
        procedures = ["1.001612"]
        applicant_types = ["business"]
        submitted_by = ["proxy"]
        minors = false
        [versions.limits]
        too_old_days = 1
        cap_days = 2
        delay_days = 3
        link_days = 40
        [versions.hours]
        opens = "07:30"
        closes = "21:00"
        days = ["sun"]
        holidays = false
        closed = [2026-03-01]
        opened = ["2026-03-02"]
        [versions.moment]
        after_electronic = "at_once"
        spread_minutes = 5
        slot_minutes = 1
        [versions.sampling]
        share = 0.1
        small_unit_endings = 7
        [versions.sampling.units]
        "H28.12" = 1
        [versions.reminder]
        after_days = 8
        share = 0
        [versions.calls]
        share = 0.2
        after_days = 4
        tries = 2
        gap_hours = 5
        opens = "09:00"
        closes = "16:00"
        days = ["sun"]
        [versions.channels]
        order = ["zns", "print"]
        [versions.experiments]
        hour = {"07:30-12:00" = 0.5, "12:00-21:00" = 0.5}
        """
    )
    assert replace(found, digest="") == Rules(
        version="1",
        valid_from=date(2026, 1, 1),
        source="test",
        procedures=frozenset({"1.001612"}),
        procedures_named=True,
        applicant_types=frozenset({"business"}),
        submitted_by=frozenset({"proxy"}),
        minors=False,
        too_old_days=1,
        cap_days=2,
        delay_days=3,
        link_days=40,
        hours=Hours(time(7, 30), time(21), frozenset({6}), False, frozenset({date(2026, 3, 1)}), frozenset({date(2026, 3, 2)})),
        after_electronic="at_once",
        spread_minutes=5,
        slot_minutes=1,
        share=0.1,
        unit_shares={"H28.12": 1.0},
        small_unit_endings=7,
        call_share=0.2,
        call_after_days=4,
        call_tries=2,
        call_gap_hours=5,
        call_hours=Hours(time(9), time(16), frozenset({6}), False, frozenset({date(2026, 3, 1)}), frozenset({date(2026, 3, 2)})),
        reminder_after_days=8,
        reminder_share=0.0,
        channels=("zns", "print"),
        experiments={"hour": {"07:30-12:00": 0.5, "12:00-21:00": 0.5}},
    )


def test_what_is_left_out_is_as_by_default() -> None:
    assert replace(version(), version="built-in", valid_from=date.min, source="product default", digest="") == Rules()


# --- versions


def dated(*days: str) -> Rulebook:
    parts = (f'[[versions]]\nversion = "{i}"\nvalid_from = {day}\nsource = "test"\n' for i, day in enumerate(days))
    return load("".join(parts), "rules.toml")


def test_a_version_holds_from_its_day_until_the_next_however_they_are_written() -> None:
    book = dated("2026-06-01", "2026-01-01")
    assert [book.in_force(date(2026, m, d)).version for m, d in ((1, 1), (5, 31), (6, 1), (12, 31))] == ["1", "1", "0", "0"]
    assert book.version("0").valid_from == date(2026, 6, 1)


def test_a_day_before_the_first_version_has_no_rules() -> None:
    with pytest.raises(RulebookError, match=r"rules.toml: no rules on 2025-12-31: the first version begins on 2026-01-01\. Add"):
        dated("2026-01-01").in_force(date(2025, 12, 31))


def test_a_version_that_is_gone_is_named() -> None:
    with pytest.raises(RulebookError, match=r"no version 7\. .*restore it"):
        dated("2026-01-01").version("7")


def test_another_content_under_the_same_version_shows() -> None:
    assert version().digest == version("# a remark\n").digest
    assert version().digest != version("[versions.limits]\ncap_days = 30\n").digest


# --- what is refused


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[versions.limits]\ncapdays = 3", ["version 1", "limits.capdays", "no such key", "cap_days"]),
        ("valid_to = 2026-02-01", ["version 1", "valid_to", "no such key", "valid_from"]),
        ("[versions.limit]\ncap_days = 3", ["version 1", "limit:", "no such key", "limits"]),
        ("[versions.limits]\ncap_days = -1", ["limits.cap_days", ">= 0", "Write"]),
        ("[versions.limits]\ncap_days = true", ["limits.cap_days", "`bool`"]),
        ("[versions.limits]\nlink_days = 0", ["limits.link_days", ">= 1"]),
        ('[versions.limits]\ncap_days = "30"', ["limits.cap_days", "`str`"]),
        ('[versions.never]\nprocedures = ["1.001612.000.00.00.H28"]', ["never.procedures", "regex"]),
        ('[versions.never]\napplicant_types = ["officer"]', ["never.applicant_types", "officer"]),
        ('[versions.hours]\nopens = "20:00"\ncloses = "08:00"', ["hours", "closes at 08:00, not after it opens at 20:00", "Mend"]),
        ('[versions.hours]\nopens = "8:00"', ["hours.opens"]),
        ('[versions.hours]\ncloses = "24:00"', ["hours.closes"]),
        ("[versions.hours]\ndays = []", ["hours", "no weekday is open"]),
        ('[versions.hours]\ndays = ["monday"]', ["hours.days", "monday"]),
        ('[versions.hours]\nclosed = ["2026-02-30"]', ["hours.closed", "date"]),
        ("[versions.hours]\nclosed = [2026-02-28, 2026-02-28]", ["hours.closed", "2026-02-28 twice"]),
        ("[versions.hours]\nclosed = [2026-02-28]\nopened = [2026-02-28]", ["hours", "2026-02-28 is both"]),
        ("[versions.hours]\nclosed = [2026-02-28T10:00:00]", ["hours.closed", "Expected `date`, got `datetime`"]),
        ("[versions.sampling]\nshare = 1.1", ["sampling.share", "1.1 is no share", "from 0 to 1"]),
        ("[versions.sampling]\nshare = nan", ["sampling.share", "nan"]),
        ('[versions.sampling.units]\n"H28.12" = -0.5', ["sampling.units.H28.12", "-0.5"]),
        ("[versions.reminder]\nshare = 2", ["reminder.share"]),
        ("[versions.reminder]\nafter_days = 30", ["reminder.after_days", "run out", "limits.link_days"]),
        ("[versions.moment]\nslot_minutes = 0", ["moment.slot_minutes"]),
        ('[versions.moment]\nafter_electronic = "later"', ["moment.after_electronic", "later"]),
        ("[versions.channels]\norder = []", ["channels.order", "no channel"]),
        ('[versions.channels]\norder = ["sms", "sms"]', ["channels.order", "twice"]),
        ('[versions.channels]\norder = ["fax"]', ["channels.order", "fax"]),
        ("[versions.experiments.colour]\na = 0.5\nb = 0.5", ["experiments.colour", "no such experiment", "wording"]),
        ("[versions.experiments.link]\nlink = 1.0", ["experiments.link", "1 arms", "two or more"]),
        ("[versions.experiments.link]\nlink = 0.5\nlink_free = 0.4", ["experiments.link", "sum to 0.9"]),
        ("[versions.experiments.link]\nlink = 1.5\nlink_free = -0.5", ["experiments.link.link", "1.5 is no share"]),
        ("[versions.experiments.link]\nlink = 0.5\nfree = 0.5", ["experiments.link", "'free'", "link or link_free"]),
        ("[versions.experiments.channel]\nsms = 0.5\nprint = 0.5", ["experiments.channel", "'print'", "channels.order"]),
        ('[versions.experiments.hour]\n"07:00-09:00" = 0.5\n"09:00-12:00" = 0.5', ["experiments.hour", "07:00-09:00", "hours.opens"]),
        ('[versions.experiments.wording]\n"Xin chào" = 0.5\nb = 0.5', ["experiments.wording", "one small letter"]),
        ("[versions.experiments.wording]\nplain = 0.5\nb = 0.5", ["experiments.wording", "'plain'", "one small letter"]),
        (
            '[versions.experiments.hour]\n"12:00-12:01" = 0.5\n"13:00-20:00" = 0.5',
            ["experiments.hour", "'12:00-12:01' lasts 1 minutes", "moment.spread_minutes of 240", "lower moment.spread_minutes to 1"],
        ),
    ],
    ids=lambda v: v.replace("\n", " ")[10:60] if isinstance(v, str) else "",
)
def test_a_wrong_rulebook_is_refused_with_key_cause_and_next_step(body: str, words: list[str]) -> None:
    message = refused(HEAD + body)
    assert message.startswith("rules.toml: ")
    assert message.endswith(".")
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["rules.toml: versions: it is missing"]),
        ("versions = []", ["versions"]),
        ("versions = 3", ["versions"]),
        ("versions = [3]", ["version number 1", "int"]),
        ("[[versions]]\n", ["version number 1: version: it is missing"]),
        ("rules = 1\n" + HEAD, ["rules", "no such key", "versions"]),
        ("[[versions]\n", ["not TOML", "line 1", "Mend"]),
        ('[[versions]]\nversion = "1"\nvalid_from = 2026-02-30\nsource = "t"', ["not TOML", "line 3"]),
        ('[[versions]]\nversion = "1"\nvalid_from = 2026-02-01\nsource = ""', ["version 1", "source"]),
        ('[[versions]]\nversion = "1"\nvalid_from = 2026-02-01\nsource = "  "', ["version 1", "source: it is missing", "Say who"]),
        ('[[versions]]\nversion = ""\nvalid_from = 2026-02-01\nsource = "t"', ["version"]),
        (HEAD + HEAD.replace("2026-01-01", "2026-02-01"), ["version 1", "two of that name"]),
        (HEAD + HEAD.replace('"1"', '"2"'), ["version 2", "valid_from", "overlaps version 1", "another day"]),
    ],
    ids=lambda v: v.replace("\n", " ")[:50] if isinstance(v, str) else "",
)
def test_a_file_that_is_no_list_of_versions_is_refused(text: str, words: list[str]) -> None:
    message = refused(text)
    for word in words:
        assert word in message, message


def test_a_window_as_long_as_the_spread_will_do() -> None:
    arms = {"08:00-10:00": 0.5, "18:00-20:00": 0.5}
    written = "\n".join(f'"{arm}" = {share}' for arm, share in arms.items())
    assert version(f"[versions.moment]\nspread_minutes = 120\n[versions.experiments.hour]\n{written}").experiments == {"hour": arms}
    assert "lasts 120 minutes" in refused(f"{HEAD}[versions.moment]\nspread_minutes = 121\n[versions.experiments.hour]\n{written}")


@pytest.mark.parametrize("arm", ["morning", "09:00", "24:00-25:00", "09:00-12:00 ", "9:00-12:00"])
def test_a_window_is_written_in_one_way(arm: str) -> None:
    assert window(arm) is None
    assert window("09:00-12:30") == (time(9), time(12, 30))
