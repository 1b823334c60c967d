"""A survey answered by SMS, through the real door and ledger: every noisy reply of the collection, and what must not happen twice."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette

from hailong.domain import links, receipts
from hailong.domain.replies import AskBack, NotOurs, Score, parse
from hailong.ports import Retryable
from sinks.ledger import Ledger, open_ledger, schema
from surveys import wording
from surveys.answers.spool import Spool
from surveys.inbound.gateway_doors import GatewayDoors
from surveys.inbound.replying import quotable, read, refuses
from surveys.messages.pricing import counted
from surveys.records import Records
from tests.channels.gateways import FORM, JSON, SECRET, described
from tests.contract.build import act, answered, decide, tools
from tests.survey.test_gateway_doors import empty_ledger, signed
from tests.survey.twins import KEY, NOW, HandClock, MemoryLog, replying, slot
from tests.unit.test_replies import ROWS, Row

pytestmark = pytest.mark.anyio

DOOR: Final = f"/inbound/gateway/form-example/{SECRET}"
NO_REPLY: Final = FORM[: FORM.index("# Where the gateway sends on")] + FORM[FORM.index("[inbound.auth]") :]
ANNA: Final = "+84912345678"
CODE: Final = "7KQ2HF4M9XYZ"
OTHER: Final = "B3NNP8RT2WXV"


@dataclass
class Room:
    """The door of two gateways over a real ledger; ``code_of``: survey → the code of its invitation."""

    ledger: Ledger
    log: MemoryLog
    clock: HandClock
    counters: CollectorRegistry
    http: httpx.AsyncClient
    code_of: dict[str, str]
    spool: Spool
    stopped: list[str] = field(default_factory=list)
    away: list[bool] = field(default_factory=list)
    _ids: int = 0
    _rounds: int = 0

    def invite(self, people: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Number → codes of the invitations it has got; number → surveys."""
        self._rounds += 1
        refs = {f"{self._rounds}/{number}/{n}": (number, code) for number, codes in people.items() for n, code in enumerate(codes)}
        with self.ledger.begin() as tx:
            for n, (ref, (number, _)) in enumerate(refs.items()):
                tx.take_act(act(ref, number, ended_on=date(2026, 3, 1 + n % 9)), NOW)
        surveys = dict(zip(refs, decide(self.ledger, *refs, ask_at=NOW), strict=True))
        # Several open invitations of one number are rare (the cap), so they are not sent here but set.
        with self.ledger.begin() as tx:
            tx.conn.execute(sa.update(schema.slots).where(schema.slots.c.dossier_ref.in_(refs)).values(outcome="asked"))
        found: dict[str, list[str]] = {number: [] for number in people}
        for ref, (number, code) in refs.items():
            found[number].append(surveys[ref])
            self.code_of[surveys[ref]] = code
        return found

    async def says(self, number: str, text: str, smsid: str = "") -> httpx.Response:
        self._ids += 1
        return await self.http.get(DOOR, params={"from": number.removeprefix("+"), "content": text, "smsid": smsid or f"m{self._ids}"})

    def outcomes(self, gateway: str = "form-example") -> dict[str, float]:
        name = "hailong_gateway_inbound"
        samples = next(m.samples for m in self.counters.collect() if m.name == name)
        return {s.labels["outcome"]: s.value for s in samples if s.name == f"{name}_total" and s.labels["gateway"] == gateway}

    def scored(self) -> list[tuple[str, int]]:
        return [(fact.survey_id, fact.answers["Q0"]) for fact in self.log.answers()]

    def notes(self) -> list[tuple[str, str, str, str]]:
        with self.ledger.read() as view:
            return [
                tuple(row)
                for row in view.conn.execute(
                    sa.text("SELECT kind, ref, state, payload FROM due WHERE kind LIKE 'in%d' OR kind LIKE 'asked%'")
                )
            ]


class Failing:
    """The ledger; what stands in ``away`` says of its next transactions whether they fail."""

    def __init__(self, ledger: Ledger, away: list[bool]) -> None:
        self._ledger, self._away = ledger, away

    def begin(self) -> Any:
        if self._away and self._away.pop(0):
            raise Retryable("ledger: away", 9.0)
        return self._ledger.begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


@asynccontextmanager
async def opened(folder: Path, form: str = FORM) -> AsyncIterator[Room]:
    (folder / "ledger.db").write_bytes(empty_ledger())
    code_of: dict[str, str] = {}

    def code_for(survey: str, purpose: str, channel: str) -> str:
        return code_of[survey] if purpose == "invitation" else links.code(KEY, survey, "reminder", "sms")

    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", tools(code_for=code_for), "test")
    log, clock, counters, stopped, away = MemoryLog(), HandClock(), CollectorRegistry(), list[str](), list[bool]()
    records = Records(Failing(ledger, away))
    spool = Spool(folder / "spool", "w")
    replies = replying(spool, records, log, clock, counters)
    gateways = [described(form), described(JSON)]
    doors = GatewayDoors(gateways, records, replies, clock, counters, lambda _tx, number: stopped.append(number))
    transport = httpx.ASGITransport(Starlette(routes=list(doors.routes())))
    async with httpx.AsyncClient(transport=transport, base_url="http://site") as http:
        yield Room(ledger, log, clock, counters, http, code_of, spool, stopped, away)
    spool.close()
    ledger.close()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    async with opened(tmp_path) as room:
        yield room


def said(answer: httpx.Response) -> str:
    """What the gateway sends to the person; empty: nothing."""
    assert answer.status_code == 200
    if answer.text == "OK":
        return ""
    word, _, text = answer.text.split("|", 2)
    assert word == "REPLY"
    return text


def no_room_for(path: Path) -> None:
    """From now on the disk under a file that this process has open is full."""
    (held,) = [int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.exists() and fd.samefile(path)]
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, held)
    os.close(full)


# --- the collection


async def test_of_all_noisy_replies_none_is_scored_wrongly_and_what_is_not_certain_is_asked_back_once(here: Room) -> None:
    people = {f"+849{n:08d}": row for n, row in enumerate(ROWS, 12_000_000)}
    surveys = here.invite({number: row.codes for number, row in people.items()})
    asked = {number: said(await here.says(number, row.text)) for number, row in people.items()}
    scored = dict(here.scored())
    right = {s: int(row.score) for number, row in people.items() for s in surveys[number] if row.right and here.code_of[s] == row.code}
    assert {survey: score for survey, score in scored.items() if right.get(survey) != score} == {}
    assert len(here.scored()) == len(scored)
    held = [number for number, row in people.items() if row.score == "none"]
    thanked = [number for number, text in asked.items() if "bien nhan" in text]
    questions = [number for number, text in asked.items() if text and number not in thanked]
    assert len(thanked) == len(scored) >= 0.7 * sum(row.right is not None for row in ROWS)
    assert len(thanked) + len(questions) + len(held) == len(ROWS), "scored, asked back, or a stop word or nobody's"
    assert here.stopped == [number for number in held if people[number].text.strip() and people[number].codes]
    assert not set(here.stopped) & set(thanked)
    for number in questions:
        assert said(await here.says(number, "ai day")) == ""
    assert here.outcomes()["asked_back"] == len(questions)
    assert len(here.scored()) == len(scored)


def test_what_scores_stops_nobody_and_what_stops_is_never_a_score() -> None:
    for row in ROWS:
        reply = parse(row.text, row.codes)
        assert not (isinstance(reply, Score) and refuses(row.text, row.codes)), row
        if row.codes and row.text.strip():
            assert refuses(row.text, row.codes) == isinstance(reply, NotOurs), row
        if row.score != "none":
            assert not refuses(row.text, []), row


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.text in ("TC", "tc 7kq2", "TỪ CHỐI", "Từ chối.", "STOP")], ids=lambda row: row.text
)
def test_who_has_no_open_survey_can_refuse_in_the_same_words(row: Row) -> None:
    assert refuses(row.text, [])
    assert refuses(f"HL {row.text} b3nn", [])


# --- one reply


async def test_a_reply_is_the_answer_of_the_slot_away_from_the_desk(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    text = said(await here.says(ANNA, "hl 4 7kq2", "gw-77"))
    (fact,) = here.log.answers()
    assert (fact.survey_id, fact.answers, fact.act, fact.page) == (survey, {"Q0": 4}, "page", 1)
    assert (fact.mode, fact.form, fact.place, fact.language, fact.finished) == ("sms", "short", "away", "vi", False)
    assert (fact.questionnaire, fact.about.receiving_unit, fact.answered_at) == ("ttp-core", "X1", NOW)
    assert text == f"HCC HOABINH: Cam on Ong/Ba. Cau tra loi da duoc luu. Ma bien nhan: {receipts.shown(receipts.receipt(KEY, fact.nonce))}"


async def test_a_reply_to_the_reminder_is_one_to_the_same_survey(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    await here.says(ANNA, f"{links.code(KEY, survey, 'reminder', 'sms')[:4]} hai long")
    assert here.scored() == [(survey, 4)]


async def test_the_same_message_twice_is_one_answer_and_another_one_changes_nothing(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    texts = [said(await here.says(ANNA, "5", "gw-1")) for _ in range(3)]
    assert [bool(text) for text in texts] == [True, False, False]
    assert said(await here.says(ANNA, "1", "gw-2")) == "", "an answer stands, though it is not counted yet"
    assert here.scored() == [(survey, 5)]
    assert here.outcomes() == {"answered": 1, "repeated": 2, "not_understood": 1}


async def test_an_answer_that_was_counted_stands(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    with here.ledger.begin() as tx:
        tx.count(answered(survey, 2), NOW)
    assert said(await here.says(ANNA, "5")) == ""
    assert here.scored() == []


async def test_who_has_two_open_surveys_is_asked_which_and_may_answer_both(here: Room) -> None:
    one, other = here.invite({ANNA: [CODE, OTHER]})[ANNA]
    text = said(await here.says(ANNA, "rat hai long"))
    assert "7KQ2 (1/3), B3NN (2/3)" in text
    assert said(await here.says(ANNA, "5")) == "", "asked once"
    assert here.scored() == []
    await here.says(ANNA, "B3NN 5")
    await here.says(ANNA, "7kq2 khong hai long")
    assert here.scored() == [(other, 5), (one, 2)]


async def test_a_new_survey_may_be_asked_back_about_again(here: Room) -> None:
    here.invite({ANNA: [CODE]})
    assert said(await here.says(ANNA, "tot"))
    assert said(await here.says(ANNA, "tot")) == ""
    with here.ledger.begin() as tx:
        tx.conn.execute(sa.update(schema.slots).values(expires_at=NOW))
    here.invite({ANNA: [OTHER]})
    assert "rat hai long" in said(await here.says(ANNA, "tot"))


@pytest.mark.parametrize("text", ["5", "7kq2 5", "rất hài lòng", "alo", ""])
async def test_who_has_no_open_survey_hears_nothing(here: Room, text: str) -> None:
    here.invite({ANNA: [CODE]})
    here.clock.at = NOW + timedelta(days=30)
    for number in (ANNA, "+84987654321", "VIETTEL"):
        assert said(await here.says(number, text)) == ""
    assert here.outcomes() == {"not_understood": 3}
    assert here.scored() == []
    assert [row for row in here.notes() if row[0] == "asked_back"] == []


async def test_who_opted_out_may_answer_all_the_same(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    with here.ledger.begin() as tx:
        tx.opt_out_number(ANNA, NOW, "sms")
    assert said(await here.says(ANNA, "3"))
    assert here.scored() == [(survey, 3)]


# --- what fails


async def test_while_the_log_is_away_the_spool_keeps_it(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    here.log.away = True
    assert said(await here.says(ANNA, "5"))
    assert here.scored() == []
    assert survey.encode() in here.spool.path.read_bytes()


async def test_while_neither_keeps_it_the_gateway_is_not_told_it_was_taken_and_it_counts_once_when_it_comes_again(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    here.log.away = True
    no_room_for(here.spool.path)
    for _ in range(2):
        assert (await here.says(ANNA, "2", "gw-1")).status_code == 503
    here.log.away = False
    # By now the survey cannot be answered any more, and another one can: what was said holds for the first.
    with here.ledger.begin() as tx:
        tx.conn.execute(sa.update(schema.slots).values(expires_at=NOW))
    here.invite({ANNA: [OTHER]})
    assert said(await here.says(ANNA, "2", "gw-1"))
    assert said(await here.says(ANNA, "2", "gw-1")) == ""
    assert here.scored() == [(survey, 2)]
    assert here.outcomes() == {"put_off": 2, "answered": 1, "repeated": 1}


@pytest.mark.parametrize("away", [[True], [False, True], [False, True, False, True]])
async def test_while_the_ledger_is_away_the_gateway_comes_again_and_it_counts_once(here: Room, away: list[bool]) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    here.away.extend(away)
    for _ in range(sum(away)):
        answer = await here.says(ANNA, "5", "gw-1")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "9")
    assert said(await here.says(ANNA, "5", "gw-1"))
    assert here.scored() == [(survey, 5)]


# --- how it gets back, and what is kept


async def test_a_gateway_that_cannot_reply_counts_it_and_nothing_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path, NO_REPLY) as here:
        (survey,) = here.invite({ANNA: [CODE]})[ANNA]
        assert (await here.says(ANNA, "tot")).text == "OK"
        assert [row for row in here.notes() if row[0] == "asked_back"] == [], "another gateway may still ask"
        assert (await here.says(ANNA, "5")).text == "OK"
        assert here.outcomes() == {"not_understood": 1, "answered": 1}
        assert here.scored() == [(survey, 5)]


async def test_thanks_can_be_saved(tmp_path: Path) -> None:
    async with opened(tmp_path, FORM.replace("thanks = true", "thanks = false")) as here:
        here.invite({ANNA: [CODE]})
        assert said(await here.says(ANNA, "tot"))
        assert said(await here.says(ANNA, "5")) == ""
        assert here.outcomes() == {"asked_back": 1, "answered": 1}


async def test_another_gateway_says_it_in_its_own_words(here: Room) -> None:
    (survey,) = here.invite({ANNA: [CODE]})[ANNA]
    for smsid, text, status in (("m1", "tot", 200), ("m2", "4", 200), ("m3", "4", 204)):
        body = json.dumps({"message_id": smsid, "from": {"msisdn": ANNA[1:]}, "content": text}).encode()
        answer = await here.http.post("/inbound/gateway/json-example", content=body, headers=signed(body))
        assert answer.status_code == status
        assert status == 204 or answer.json()["reply"]["content"].startswith("HCC HOABINH: ")
        assert status == 204 or answer.headers["Content-Type"] == "application/json"
    assert here.scored() == [(survey, 4)]


async def test_nothing_but_the_message_s_id_is_kept_and_no_fact_leads_to_it(here: Room, caplog: pytest.LogCaptureFixture) -> None:
    here.invite({ANNA: [CODE], "+84987654321": [OTHER]})
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the gateway's side
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logged:
        await here.says(ANNA, "tot lam, Nguyen Van A", "gw-1")
        await here.says(ANNA, "hai long", "gw-2")
        await here.says("+84987654321", "tc b3nn", "gw-3")
    kept = "".join(map(str, [*here.notes(), *logged])) + caplog.text + generate_latest(here.counters).decode()
    for secret in (ANNA[3:], "987654321", "Nguyen", "tot lam", "hai long", CODE[:4], OTHER[:4], "b3nn"):
        assert secret not in kept
    assert [row for row in here.notes() if row[0] == "inbound"] == [
        ("inbound", f"gateway-form-example:gw-{n}", "done", "{}") for n in (1, 2, 3)
    ]
    assert b"gw-" not in b"".join(record.value for record in here.log.records)
    with here.ledger.begin() as tx:
        assert tx.next_due() == NOW, "the invitations; nobody waits for a note"


# --- the words


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_text_is_one_message_of_plain_letters(language: str) -> None:
    words = wording.page_words()[language]["sms"]
    filled = {"brand": "HCC HOABINH", "codes": "7KQ2 (31/12), B3NN (31/12)", "receipt": "HL-7KQ-2MX-9P4T"}
    for key, text in words.items():
        count = counted(text.format(**filled))
        assert (key, count.encoding, count.segments) == (key, "GSM-7", 1)


async def test_more_surveys_than_a_message_holds_are_not_listed(here: Room) -> None:
    codes = [links.code(KEY, f"s-{n}", "invitation", "sms") for n in range(6)]
    here.invite({ANNA: codes})
    text = said(await here.says(ANNA, "5"))
    assert "4 chu hoac so dau tien" in text
    assert counted(text).segments == 1


@pytest.mark.parametrize(
    ("codes", "quoted"),
    [
        (["7KQ2HF4M9XYZ"], ["7KQ2"]),
        (["7KQ24NVE8TRA"], ["7KQ24"]),
        (["7KQ2HF4M9XYZ", "7KQ24NVE8TRA"], ["7KQ2H", "7KQ24"]),
        (["2345KMNPQRST", "B3NNP8RT2WXV"], ["2345", "B3NN"]),
    ],
)
def test_what_is_asked_for_is_understood(codes: list[str], quoted: list[str]) -> None:
    open_ = [(slot(f"s-{n}"), (code,)) for n, code in enumerate(codes)]
    assert quotable(open_) == quoted
    for beginning, code in zip(quoted, codes, strict=True):
        assert {score: read(f"{beginning.lower()} {score}", open_) for score in range(1, 6)} == {n: Score(n, code) for n in range(1, 6)}


def test_invitation_and_reminder_are_one_survey_and_never_two() -> None:
    one = [(slot(), (CODE, OTHER))]
    assert read("4", one) == Score(4, CODE)
    assert read("b3nn 4", one) == Score(4, OTHER)
    assert isinstance(read("4 5", one), AskBack)
    assert read("4", [(slot(), (CODE,)), (slot("s-2"), (OTHER,))]) == AskBack("which")
