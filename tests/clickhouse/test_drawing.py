"""The draw made again from real stores: what the decider wrote stands, what was changed is named; lists, lines, ``why`` beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from hailong.domain.draw_published import line_id
from hailong.events import DossierClosed, DossierReopened, DrawSeed, Fact, ProviderChanged, SurveyDecided, decode, topic_of
from hailong.ports import Contact, DossierAct, Handover, Settlement
from hailong.settings import Settings
from ops.cli.draw import _sentences
from ops.cli.main import Door
from ops.cli.why import looked_up, register
from ops.drawing import PublicDraw, Redrawn, Stamp, redrawn
from ops.explaining import Sentences, told
from ops.keys import Keys
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.drawing import Draws, Place
from sinks.ledger import Ledger, migrate
from streams.deciding import Decider
from streams.guard import Outbox
from streams.seeds import Seeds
from tests.clickhouse.room import database
from tests.contract.build import NOON, closed
from tests.streams.twins import HandClock, MemoryLog, items
from web import numbers

pytestmark = pytest.mark.stack
START = NOON.replace(hour=9)
DAYS = 34
CARRIER = "http://127.0.0.1:9"
"""So that messages stay here; nobody asks it."""
PHONE = "+84911111111"
RULES = """
[[versions]]
version = "2026-1"
valid_from = 2026-01-01
source = "test"
[versions.sampling]
share = 0.5
small_unit_endings = 4
[versions.experiments.wording]
a = 0.5
b = 0.5
"""


@dataclass
class Town:
    """Five weeks of a small town: ledger, keys and decider are real, the log is in memory, ClickHouse has it all."""

    wiring: Wiring
    ledger: Ledger
    log: MemoryLog
    clock: HandClock
    outbox: Outbox

    def take(self, code: str, phone: str | None, unit: str = "X1", **changes: Any) -> str:
        day = self.clock.at.date()
        ref = self.wiring.keyed.dossier_ref("s", code)
        given = {"received_on": day - timedelta(days=3), "ended_on": day, "heard_on": day, "receiving_unit": unit, "handling_unit": unit}
        fact = closed(ref, **(given | changes))
        act = DossierAct(
            fact.event_id, "c", fact, code, self.clock.at, None, Contact(phone, None), None, "vi", slip_code=f"SL-{code[-4:]}7"
        )
        with self.ledger.begin() as tx:
            tx.take_act(act, self.clock.at)
        return ref

    def reopen(self, code: str) -> None:
        ref = self.wiring.keyed.dossier_ref("s", code)
        fact = DossierReopened(
            event_id=f"reopened:{ref}",
            registry_id="test",
            dossier_ref=ref,
            source="s",
            status_code=4,
            reopened_on=self.clock.at.date(),
        )
        act = DossierAct(fact.event_id, "c", fact, code, self.clock.at, None, Contact(None, None), None, "vi")
        with self.ledger.begin() as tx:
            tx.take_act(act, self.clock.at)

    def send(self) -> None:
        at = self.clock.at
        with self.ledger.begin() as tx:
            claims = tx.claim_due(at, at, at + timedelta(seconds=30), 50, "w")
            tx.settle([Settlement(c, "handed_over", Handover("twin", f"SM{c.claim_id}", 1)) for c in claims], at)

    def run(self) -> None:
        """Day after day: endings in the morning, decisions at noon, messages in the evening."""
        decider = Decider(self.outbox, self.clock, self.wiring.office)
        seeds = Seeds(self.outbox, self.clock, lambda: NOON, "test", self.wiring.seed)
        for n in range(DAYS):
            self.clock.at = START + timedelta(days=n)
            asyncio.run(seeds.round())
            for k in range(4):
                self.take(f"H28.12-{self.clock.at:%y%m%d}-{k:04d}", None if k == 3 else f"+849000{n:02d}{k:03d}", "X1" if k else "X2")
            if n in (0, 1, 2):  # one person three days running: the later ones rest, and are decided together
                self.take(f"H28.12-{self.clock.at:%y%m%d}-0009", PHONE, "X3")
            asyncio.run(self.outbox.drain())
            self.decide(decider)
            if n == 5:
                self.take("H28.12-260307-0008", "+84900555000", "X1")
                self.reopen("H28.12-260307-0008")
                asyncio.run(self.outbox.drain())
                self.decide(decider)
            self.clock.at = self.clock.at.replace(hour=19, minute=59)
            asyncio.run(seeds.round())
            self.send()
        self.clock.at = (self.clock.at + timedelta(days=1)).replace(hour=1)
        asyncio.run(seeds.round())
        asyncio.run(self.outbox.drain())

    def decide(self, decider: Decider) -> None:
        asyncio.run(decider.rested())
        for kind in (DossierReopened, DossierClosed):  # a reopening may be heard of first
            asyncio.run(decider(items([f for f in self.facts() if isinstance(f, kind)])))

    def facts(self) -> list[Fact]:
        return [decode(r.topic, r.value) for r in self.log.records]

    def draws(self) -> Draws:
        return Draws(connect(self.wiring.settings), "test")

    def ref(self, code: str) -> str:
        return self.wiring.keyed.dossier_ref("s", code)

    def stamps(self, places: Iterable[Place]) -> Mapping[Place, Stamp]:
        """As the broker has them: one second a record, whatever its topic."""
        at: dict[Place, Stamp] = {}
        offsets: dict[str, int] = {}
        for n, record in enumerate(self.log.records):
            offset = offsets[record.topic] = offsets.get(record.topic, -1) + 1
            said = datetime.fromisoformat(dict(record.headers)["ce_time"].decode())
            at[record.topic, 0, offset] = Stamp(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n), said)
        return {place: at[place] for place in places}


@pytest.fixture(scope="module")
def town(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    (folder / "rules.toml").write_text(RULES)
    (folder / "keys").mkdir()
    for name in ("draw", "identity"):  # the same draws on every run
        (folder / "keys" / f"{name}.key").write_bytes(name.encode().ljust(32, b"."))
    Keys(folder / "keys").make_missing(START.date())
    migrate(f"sqlite:///{folder / 'ledger.db'}")
    with database(address) as settings:
        made = replace(
            settings, ledger=f"sqlite:///{folder / 'ledger.db'}", keys_dir=folder / "keys", rules_file=str(folder / "rules.toml"),
            registry_id="test", carrier_url=CARRIER, twilio_base_url=CARRIER,
        )  # fmt: skip
        wiring, log, clock = Wiring(made), MemoryLog(), HandClock(START)
        wiring.__dict__["clock"] = clock  # a cached property: this one is moved by hand
        ledger = wiring.ledger("test")
        town = Town(wiring, ledger, log, clock, Outbox(ledger, log))
        town.run()
        archived(made, town.facts())
        yield town
        ledger.close()


def archived(settings: Settings, facts: Iterable[Fact]) -> None:
    """Every fact into its table, one partition a topic."""
    client = connect(settings)
    by_topic: dict[str, list[tuple[int, Fact]]] = {}
    for fact in facts:
        topic = topic_of(fact).name
        by_topic.setdefault(topic, []).append((len(by_topic.get(topic, [])), fact))
    archive = Archive(client)
    for topic, rows in by_topic.items():
        archive.absorb(topic, 0, rows)
    client.close()


def again(town: Town, month: str, draws: Draws | None = None) -> Redrawn:
    found = redrawn(month, draws or town.draws(), town.stamps, town.wiring.rules, town.clock.at)
    assert found is not None
    return found


def test_every_decision_follows_from_the_facts(town: Town) -> None:
    march, april = again(town, "2026-03"), again(town, "2026-04")
    decided = [f for f in town.facts() if isinstance(f, SurveyDecided)]
    assert march.redraw.differences + april.redraw.differences == []
    assert march.redraw.decisions + april.redraw.decisions == len({f.event_id for f in decided})
    assert (march.passed, april.passed) == (True, True)
    assert march.redraw.recomputed == march.redraw.decisions
    kinds = {f.reason or "asked" for f in decided}
    assert {"asked", "sampled_out", "no_contact", "represented", "reopened"} <= kinds
    assert max(f.weight for f in decided) == 2
    assert march.redraw.unit_endings["outside"] == 0
    assert [seed.day for seed, _ in march.seeds if seed.late] == [START.date()]
    json.dumps(march.as_json())
    assert any("0 differences" in line for line in _sentences(march))


@pytest.fixture
def rewritten(town: Town, address: str) -> Iterator[Callable[[Callable[[Fact], Fact | None]], Draws]]:
    """The same log, but for what somebody changes in it (None: leaves out)."""
    with ExitStack() as stack:

        def rewrite(change: Callable[[Fact], Fact | None]) -> Draws:
            settings = stack.enter_context(database(address))
            # In the place of what was left out stands a fact about nothing, so that every offset stays what it was.
            archived(settings, [change(fact) or NOTHING[type(fact)] for fact in town.facts()])
            return Draws(connect(settings), "test")

        yield rewrite


NOTHING: dict[type[Fact], Fact] = {
    DrawSeed: DrawSeed(event_id="nothing", registry_id="test", day=date(2020, 1, 1), commitment="00"),
    DossierClosed: closed("nothing"),
}


def test_a_decision_somebody_changed_is_named(town: Town, rewritten: Callable[[Callable[[Fact], Fact | None]], Draws]) -> None:
    decided = [f for f in town.facts() if isinstance(f, SurveyDecided)]
    asked = next(f for f in decided if f.asked and f.weight == 1)
    drawn_out = next(f for f in decided if f.reason == "sampled_out")
    lost = next(f for f in decided if f.reason == "no_contact")
    represented = next(f for f in decided if f.reason == "represented")

    def change(fact: Fact) -> Fact | None:
        if isinstance(fact, DossierClosed):
            return None if lost.event_id == f"decided:{fact.event_id}" else fact
        if isinstance(fact, SurveyDecided):
            said: dict[str, dict[str, Any]] = {
                asked.event_id: {"asked": False, "reason": "sampled_out"},
                drawn_out.event_id: {"asked": True, "reason": None},
            }
            said[represented.event_id] = {"reason": "opted_out"}
            return msgspec.structs.replace(fact, **said.get(fact.event_id, {}))
        return fact

    draws = rewritten(change)
    march, april = again(town, "2026-03", draws), again(town, "2026-04", draws)
    differences = march.redraw.differences + april.redraw.differences
    named = {(d.dossier_ref, d.what, d.says, d.follows) for d in differences}
    assert (march.passed, april.passed) == (False, False)
    assert named >= {
        (asked.dossier_ref, "decision", "sampled_out", "asked"),
        (drawn_out.dossier_ref, "decision", "asked", "sampled_out"),
        (represented.dossier_ref, "decision", "opted_out", "asked"),
        (lost.dossier_ref, "ending", lost.event_id.removeprefix("decided:"), "no such ending in the log"),
    }
    assert {what for _, what, _, _ in named} == {"decision", "ending", "turns"}
    assert len(differences) == 5, "the asking that stood for the represented one has a place left"


def test_seeds_that_were_exchanged_left_out_or_late_are_named(
    town: Town, rewritten: Callable[[Callable[[Fact], Fact | None]], Draws]
) -> None:
    day = date(2026, 3, 10)

    def change(fact: Fact) -> Fact | None:
        if not isinstance(fact, DrawSeed):
            return fact
        if fact.day == day and fact.seed:
            return msgspec.structs.replace(fact, seed="00" * 32)
        if fact.day == day + timedelta(days=1) and not fact.seed:
            return None
        return None if fact.day == day + timedelta(days=2) and fact.seed else fact

    made = again(town, "2026-03", rewritten(change))
    assert {(seed.day.day, state) for seed, state in made.faults} == {(10, "does_not_fit"), (11, "never_committed"), (12, "not_revealed")}
    assert made.redraw.without_seed == {day + timedelta(days=n): 4 for n in range(3)}
    assert made.redraw.differences == []


def test_a_seed_whose_commitment_stands_behind_its_first_decision_is_named_and_still_used(town: Town) -> None:
    def late(places: Iterable[Place]) -> Mapping[Place, Stamp]:
        """The commitments as if they had come at the end."""
        return {p: replace(s, written=s.written + timedelta(days=p[0] == "draw.seed.v1")) for p, s in town.stamps(places).items()}

    made = redrawn("2026-03", town.draws(), late, town.wiring.rules, town.clock.at)
    assert made is not None
    assert {state for _, state in made.seeds} == {"committed_too_late"}
    assert made.redraw.recomputed == made.redraw.decisions
    assert not made.passed


def test_a_day_that_is_not_over_waits_for_its_seed(town: Town) -> None:
    first = replace(again(town, "2026-03").seeds[0][0], seeds=())
    assert (first.state(over=False), first.state(over=True)) == ("pending", "not_revealed")
    assert redrawn("2026-02", town.draws(), town.stamps, town.wiring.rules, town.clock.at) is None


def test_the_public_list_has_each_decision_of_the_day_once_and_names_nobody(town: Town) -> None:
    book = PublicDraw(town.wiring, town.ledger)
    day = START.date() + timedelta(days=DAYS - 1)
    decided = {f.dossier_ref: f for f in town.facts() if isinstance(f, SurveyDecided) and f.decided_on == day}
    lines = book.lines(day)
    assert lines is not None
    assert {line.id for line in lines} == {line_id(book.opening(ref), ref) for ref in decided}
    assert {line.unit for line in lines} == {""}, "fewer than five each"
    assert book.lines(day + timedelta(days=1)) is None
    text = json.dumps([line.as_json() for line in lines])
    assert not [ref for ref in decided if ref in text]
    assert [seed.day for seed in book.seeds()][:2] == [day + timedelta(days=1), day]


@pytest.mark.parametrize("typed", ["H28.12-260304-0001", "sl-00017"])
def test_the_line_of_a_dossier_is_found_by_its_code_or_slip(town: Town, typed: str) -> None:
    book = PublicDraw(town.wiring, town.ledger)
    found = book.find(typed)
    assert found is not None
    assert found.line is not None
    assert found.line.id == line_id(bytes.fromhex(found.opening), found.dossier_ref)
    assert found.day is not None
    listed = book.lines(found.day)
    assert listed is not None
    assert found.line.id in {line.id for line in listed}
    assert book.find("H28.12-260304-7777") is None


# --- why


def why(town: Town, code: str, lang: str = "en") -> tuple[dict[str, Any], str]:
    said = told(town.wiring, town.draws(), looked_up(town.wiring, town.ledger, code, None, "cli:tester"))
    words = Sentences(lang)
    document = words.document(said)
    return document, "\n".join(words.lines(document))


def test_why_tells_each_rule_and_each_step_and_names_nobody(town: Town) -> None:
    asked = next(f for f in town.facts() if isinstance(f, SurveyDecided) and f.asked and f.weight == 1)
    code = next(
        c for n in range(DAYS) for k in range(4) if town.ref(c := f"H28.12-{START + timedelta(days=n):%y%m%d}-{k:04d}") == asked.dossier_ref
    )
    document, text = why(town, code)
    assert [check["passed"] for check in document["checks"]] == [True] * 14
    assert [step["step"] for step in document["steps"]][:3] == ["planned", "claimed", "handed_over"]
    assert document["decision"]["rules_version"] == "2026-1"
    assert "asked, by the rules of version 2026-1" in text
    assert "Invitation: accepted by twin at 19:59" in text
    assert "There is no answer yet." in text
    survey = next(s.survey_id for s in town_slots(town) if s.dossier_ref == asked.dossier_ref)
    for secret in ("849000", survey, code):
        assert secret not in text + json.dumps(document, default=str)


def town_slots(town: Town) -> list[Any]:
    with town.ledger.read() as reader:
        return reader.slots()


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("sampled_out", "is not below the share asked, 50.0%"),
        ("no_contact", "✗ There is no usable number or address."),
        ("represented", "Reason: another dossier of the same person or number is asked about instead."),
        (
            "represented",
            "The dossier had to wait until 1 April 2026, because this person, or somebody with the same number, was asked on 2",
        ),
        ("reopened", "cannot be told one by one"),
    ],
)
def test_why_not_is_told_for_each_reason(town: Town, reason: str, sentence: str) -> None:
    refs = {f.dossier_ref for f in town.facts() if isinstance(f, SurveyDecided) and f.reason == reason}
    codes = [f"H28.12-{START + timedelta(days=n):%y%m%d}-{k:04d}" for n in range(DAYS) for k in range(10)]
    document, text = why(town, next(c for c in codes if town.ref(c) in refs))
    assert document["outcome"] == "not_asked"
    assert sentence in text


def test_every_use_of_why_stands_in_the_audit_trail(town: Town) -> None:
    with pytest.raises(Refusal, match="No link or slip has this code") as refused:
        looked_up(town.wiring, town.ledger, "H28.12-999999-0000", None, "cli:tester")
    assert "999999" not in str(refused.value)
    why(town, "H28.12-260302-0001")
    with town.ledger.read() as reader:
        lines = [(line.actor, line.act, line.object) for line in reader.audit(limit=1000)][-2:]
    ref = town.ref("H28.12-260302-0001")
    assert lines == [("cli:tester", "dossier_seen", "dossier:not found"), ("cli:tester", "dossier_seen", f"dossier:{ref}")]


def test_a_dossier_that_rests_is_held_against_every_rule_with_both_days(town: Town) -> None:
    town.clock.at = START + timedelta(days=DAYS)
    town.take("H28.12-260405-0009", PHONE, "X3")
    asyncio.run(town.outbox.drain())
    town.decide(Decider(town.outbox, town.clock, town.wiring.office))
    document, text = why(town, "H28.12-260405-0009", "vi")
    assert (document["outcome"], document["reason"]) == ("waiting", "resting")
    assert [check["rule"] for check in document["checks"] if not check["passed"]] == ["cap"]
    asked_on, until = document["rests"]["asked_on"], document["rests"]["until"]
    assert until - asked_on == timedelta(days=30)
    assert f"được hỏi ngày {numbers.day(asked_on, 'vi')}, nên hồ sơ chờ đến ngày {numbers.day(until, 'vi')}" in text
    assert "Xét theo quy định đang có hiệu lực, phiên bản 2026-1:" in text


@pytest.mark.parametrize(
    ("lang", "header"), [("vi", "Dành cho bộ phận quản lý chất lượng"), ("en", "For the quality office and operations")]
)
def test_the_command_speaks_one_language_also_in_its_header(town: Town, tmp_path: Path, lang: str, header: str) -> None:
    app = typer.Typer()
    register(app)
    door = Door(tmp_path, town.wiring.settings)
    said = CliRunner().invoke(app, ["H28.12-260302-0001", "--lang", lang], obj=door)
    assert said.exit_code == 0, said.output
    assert said.stderr.startswith(header)
    assert ("Hồ sơ của nguồn s" if lang == "vi" else "A dossier of the source s") in said.stdout


def test_who_carried_a_channel_instead_is_read_from_the_log(settings: Settings) -> None:
    changed = [
        ProviderChanged(
            event_id=f"sms:{n}", registry_id="test", channel="sms", provider=provider, before=before, version=n, reason=reason, by="send",
            at=NOON + timedelta(minutes=n),
        )
        for n, (before, provider, reason) in enumerate([("a", "b", "barred"), ("b", "a", "quiet")])
    ]  # fmt: skip
    archived(settings, [*changed, changed[1]])  # an echo is no second change
    draws = Draws(connect(settings), "test")
    assert [(c.before, c.provider, c.reason) for c in draws.changes(NOON)] == [("a", "b", "barred"), ("b", "a", "quiet")]
    assert [c.at for c in draws.changes(NOON + timedelta(seconds=1))] == [NOON + timedelta(minutes=1)]
