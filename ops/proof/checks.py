"""The six promises of a crash proof, each checked from evidence. A check says what it found and shows examples without personal data."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ops.proof.citizens import Visit
from ops.proof.evidence import Evidence, LogRecord
from ops.proof.walkins import key_of

UNKNOWN_PER_KILL: Final = 20
THANKED_SHARE: Final = 0.95
TURNED_AWAY_SHARE: Final = 0.05
DOORS: Final = {
    "link": ("link", "away"), "sms": ("sms", "away"), "code": ("code", "away"), "slip": ("code", "away"), "call": ("call", "away"),
    "assisted": ("assisted", "desk"), "paper": ("paper", "desk"), "kiosk": ("kiosk", "desk"),
}  # fmt: skip
"""Door → mode and class its answers must be counted in; said here, not by hailong."""
_REASONS: Final[dict[str, frozenset[str | None]]] = {
    "asked": frozenset({None, "unknown", "opted_out"}),
    "undeliverable": frozenset({"undeliverable", "unknown"}),
}
_PHONE: Final = re.compile(r"(?:\+|%2B)?84\d{9}|0\d{9}")
_MAIL: Final = re.compile(r"[\w.+-]+@dan\.example")
_CODE: Final = re.compile(r"H28\.\d{2}-\d{6}-\d{5}")
_ID: Final = re.compile(r"[0-9a-f]{32}")
WITH_DOSSIER: Final = ("dossier.closed.v1", "dossier.reopened.v1", "survey.decided.v1")
WITH_SURVEY: Final = ("survey.delivery.v1", "survey.answered.v1", "survey.counted.v1")


@dataclass(frozen=True)
class Check:
    """One promise: kept or not, with how many violations and some of them."""

    id: str
    ok: bool
    found: str
    examples: tuple[str, ...] = ()


def _check(id_: str, said: str, wrong: Iterable[str]) -> Check:
    faults = list(wrong)
    return Check(id_, not faults, f"{said}; {len(faults)} violations", tuple(faults[:5]))


def all_checks(e: Evidence) -> list[Check]:
    """Checks 1–4 and 6; the fifth (rebuild) is made by the rebuild itself."""
    return [outcomes(e), asked_once(e), asked_have_message(e), answers(e), doors(e), *privacy(e)]


# --- 1


def outcomes(e: Evidence) -> Check:
    """Every valid dossier exactly one outcome, the expected one; every invalid one a dead letter or a refusal with a reason."""
    return _check(
        "1 outcomes", f"{len(e.acknowledged)} dossiers taken, {len(e.refused)} refused, {len(e.dead)} dead letters", _outcome_faults(e)
    )


def _outcome_faults(e: Evidence) -> Iterator[str]:
    decided = defaultdict(set)
    for r in e.topic("survey.decided.v1"):
        if r.value:
            decided[r.value["dossier_ref"]].add(r.value["event_id"])
    for n, sent in enumerate(e.sent):
        code = sent.item["dossier_code"]
        if sent.expected == "refused_by_intake":
            if e.refused.get(code) != "ends_before_start":
                yield f"dossier #{n}: ends before it starts, and intake said {e.refused.get(code, 'nothing')}"
            continue
        slot = e.slots.get(e.reference[code])
        if slot is None:
            yield f"dossier #{n}: {'confirmed' if code in e.acknowledged else 'never confirmed'}, and unknown to the ledger"
            continue
        answered_first = slot.reason == "answered" and key_of(code) in e.visits  # by another door, before their message went out
        if not (answered_first or (code in e.reopened and slot.reason == "reopened")):
            yield from _one_outcome(n, sent.expected, slot)
        if len(decided[slot.dossier_ref]) != 1:
            yield f"dossier #{n}: {len(decided[slot.dossier_ref])} decisions in the log"
    if len(e.dead) != e.poison:
        yield f"{e.poison} records were poison, {len(e.dead)} are dead letters"
    for letter in e.dead:
        if not letter.reason:
            yield f"dead letter {letter.id} has no reason"


def _one_outcome(n: int, expected: str, slot: Any) -> Iterator[str]:
    if slot.outcome == "waiting":
        yield f"dossier #{n}: still waiting ({slot.reason}) after all was quiet"
    allowed = _REASONS.get(expected, frozenset({expected}))
    if slot.reason not in allowed or (expected == "asked" and slot.outcome == "asked" and slot.reason not in (None, "unknown")):
        yield f"dossier #{n}: expected {expected}, is {slot.outcome} ({slot.reason})"


# --- 2


def asked_once(e: Evidence) -> Check:
    """Nobody two messages for one (dossier, purpose), by whatever channel or provider; nobody after their opt-out was confirmed."""
    told = Counter(e.purpose_of.get(m.code, "nameless") for m in e.messages)
    said = ", ".join(f"{n} {purpose}s" for purpose, n in sorted(told.items())) or "no messages"
    return _check("2 asked once", f"{said} in the carrier's journal, {_confirmed(e)} opt-outs confirmed", [*doubles(e), *after_stop(e)])


def _confirmed(e: Evidence) -> int:
    return sum(v.opted_out_at is not None for v in e.visits.values())


def doubles(e: Evidence) -> Iterator[str]:
    """More than one message for a (dossier, purpose); and messages whose code belongs to none."""
    for m in e.messages:
        if m.code not in e.survey_of or m.code not in e.purpose_of:
            yield f"a message by {m.channel} whose code belongs to no dossier"
    known = ((e.survey_of[m.code], e.purpose_of[m.code]) for m in e.messages if m.code in e.survey_of and m.code in e.purpose_of)
    for (survey, purpose), n in Counter(known).items():
        if n > 1:
            yield f"survey {survey[:8]}…: {n} messages of the kind {purpose}"


def after_stop(e: Evidence) -> Iterator[str]:
    """Messages after the page had confirmed, without reserve, that none would come."""
    stopped: dict[str, datetime] = {}
    for m in e.messages:
        v = e.visits.get(m.code)
        if v is not None and v.opted_out_at is not None:
            stopped[m.to] = min(v.opted_out_at, stopped.get(m.to, v.opted_out_at))
    for m in e.messages:
        if m.to in stopped and m.at > stopped[m.to]:
            yield f"a message {(m.at - stopped[m.to]).total_seconds():.1f} s after the opt-out was confirmed"


# --- 3


def asked_have_message(e: Evidence) -> Check:
    """Everybody asked has their message, or is a named unknown; no message without an asked dossier."""
    unknown = sum(c.state == "unknown" for c in e.claims)
    asked = sum(s.outcome == "asked" for s in e.slots.values())
    stopped = f"{_sending_kills(e)} kills (or sleeps) of send or carrier and {unanswered(e)} unanswered calls"
    said = f"{asked} asked, {unknown} unknown after {stopped}"
    return _check("3 asked have it", said, [*without_message(e), *too_many_unknown(e)])


def _sending_kills(e: Evidence) -> int:
    return sum(n for part, n in e.killed.items() if part.startswith("send") or part == "carrier")


def unanswered(e: Evidence) -> int:
    """Requests that the carrier met with a fault which tells the sender nothing, and did not accept: by order, and by its own journal."""
    return sum(e.faults.get(kind, 0) for kind in ("500", "503", "timeout_before"))


def without_message(e: Evidence) -> Iterator[str]:
    """Asked without an invitation in the journal, and the other way round; claims that are still open."""
    reached = {e.survey_of.get(m.code) for m in e.messages if e.purpose_of.get(m.code) == "invitation"}
    for slot in e.slots.values():
        if slot.outcome == "asked" and slot.reason is None and slot.survey_id not in reached:
            yield f"survey {slot.survey_id[:8]}…: asked, and no message in the journal"
    asked = {s.survey_id for s in e.slots.values() if s.outcome == "asked"}
    for survey in {s for s in reached if s is not None} - asked:
        yield f"survey {survey[:8]}…: a message, and not asked"
    for claim in e.claims:
        if claim.state == "claimed":
            yield f"claim {claim.claim_id[:8]}… of {claim.purpose}: neither settled nor unknown"


def too_many_unknown(e: Evidence) -> Iterator[str]:
    """Unknown messages of which no receipt told: at most so many for each kill, and one for each call the carrier left unanswered."""
    unknown = sum(c.state == "unknown" and c.reason != "no_receipt" for c in e.claims)
    if unknown > UNKNOWN_PER_KILL * _sending_kills(e) + unanswered(e):
        yield f"{unknown} unknown, more than {UNKNOWN_PER_KILL} for each kill of send or carrier and {unanswered(e)} unanswered calls"


# --- 4


def answers(e: Evidence) -> Check:
    """Every thanked answer counted once, none that was not given; enough of those who try again get their thanks."""
    thanked = sum(v.thanked for v in e.visits.values())
    tried = sum(v.posted > 0 for v in e.visits.values())
    rows = sum(r["kind"] == "answer" and r["revision"] == 0 for r in e.counted)
    return _check("4 answers", f"{tried} citizens answered, {thanked} were thanked, {rows} counted", _answer_faults(e, thanked, tried))


def _answer_faults(e: Evidence, thanked: int, tried: int) -> Iterator[str]:
    given = given_by_survey(e)
    counted = defaultdict(list)
    for row in first_answers(e):
        counted[row["survey_id"]].append(row["score"])
    for survey, v in given.items():
        if (v.thanked or v.kept) and counted.get(survey) != [v.score]:
            yield f"survey {survey[:8]}…, by {v.way}: {'thanked' if v.thanked else 'taken'} for {v.score}, counted as {counted.get(survey)}"
    for survey, scores in counted.items():
        told = given.get(survey)
        if told is None or not told.posted or scores != [told.score]:
            yield f"survey {survey[:8]}…: counted as {scores}, given {told.score if told and told.posted else 'nothing'}"
    for row in e.counted:
        if row["kind"] in ("answer", "held") and row["revision"] > 0:
            yield f"survey {row['survey_id'][:8]}…: counted as {row['score']} later on, and nobody here answers twice in two ways"
    for v in e.visits.values():
        if (v.thanked or v.kept) and v.code not in e.survey_of:
            yield f"somebody by {v.way}: thanked for {v.score}, and what they came about is unknown to the ledger"
    if tried and thanked < THANKED_SHARE * tried:
        away = sum((v.turned_away for v in e.visits.values() if v.posted and not v.thanked), Counter[str]())
        met = dict(away.most_common(6))
        yield f"{thanked} of {tried} who tried again were thanked: fewer than {THANKED_SHARE:.0%}; the others met {met}"
    seqs = sorted(row["seq"] for row in e.counted)
    if seqs != list(range(1, len(seqs) + 1)):
        yield f"the counted order has a gap or a double: {len(seqs)} rows, the last is {seqs[-1] if seqs else 0}"


def given_by_survey(e: Evidence) -> dict[str, Visit]:
    """survey_id → who came about it; of several, one who answered."""
    visits = sorted((v for v in e.visits.values() if v.code in e.survey_of), key=lambda v: v.posted > 0)
    return {e.survey_of[v.code]: v for v in visits}


def first_answers(e: Evidence) -> Iterator[dict[str, Any]]:
    """Rows of first answers, held ones too."""
    return (row for row in e.counted if row["kind"] in ("answer", "held") and row["revision"] == 0)


def doors(e: Evidence) -> Check:
    """Every answer in the mode and class of the door its person came by; nobody turned away whose dossier waits for an answer."""
    tally = by_door(e)
    said = ", ".join(f"{way} {n['thanked']}/{n['counted']}" for way, n in tally.items()) or "nobody came"
    return _check("4 doors", f"thanked/counted by door: {said}", [*_door_faults(e), *_sms_once(e), *_turned_away(e)])


def by_door(e: Evidence) -> dict[str, dict[str, int]]:
    """Door → how many came, answered, were thanked, were counted."""
    given, tally = given_by_survey(e), {way: Counter[str]() for way in DOORS}
    for v in e.visits.values():
        tally[v.way].update({"came": 1, "answered": int(v.posted > 0), "thanked": int(v.thanked)})
    for row in first_answers(e):
        if row["survey_id"] in given:
            tally[given[row["survey_id"]].way]["counted"] += 1
    names = ("came", "answered", "thanked", "counted")
    return {way: {name: n[name] for name in names} for way, n in tally.items() if n}


def _door_faults(e: Evidence) -> Iterator[str]:
    given = given_by_survey(e)
    for row in first_answers(e):
        v = given.get(row["survey_id"])
        if v is not None and (row["mode"], row["place"]) != DOORS[v.way]:
            is_ = f"{row['mode'] or 'no mode'}, {row['place'] or 'no class'}"
            yield f"survey {row['survey_id'][:8]}…: came by {v.way}, counted as {is_}"


def _sms_once(e: Evidence) -> Iterator[str]:
    """A message that a gateway passes on again is no second answer: at most one fact for each message its person wrote."""
    facts = defaultdict(set)
    for r in e.topic("survey.answered.v1"):
        if isinstance(r.value, dict) and r.value.get("mode") == "sms":  # poison may be anything
            facts[r.value["survey_id"]].add(r.value["event_id"])
    given = given_by_survey(e)
    for survey, ids in facts.items():
        wrote = given[survey].posted if survey in given else 0
        if len(ids) > wrote:
            yield f"survey {survey[:8]}…: {len(ids)} answers by SMS of somebody who wrote {wrote} times"


def _turned_away(e: Evidence) -> Iterator[str]:
    """A reopened dossier's code leads nowhere, rightly; a message may lose its way once in a while, the rest is harm."""
    reopened = {key_of(code) for code in e.reopened}
    came = Counter(v.way for v in e.visits.values() if v.way != "link")
    away = [v for v in e.visits.values() if v.given_up and not v.thanked and v.code not in reopened and v.way != "link"]
    for way, n in Counter(v.way for v in away).items():
        if n > 1 + TURNED_AWAY_SHARE * came[way]:
            met = dict(sum((v.turned_away for v in away if v.way == way), Counter[str]()).most_common())
            yield f"{n} of {came[way]} who came by {way} got no thanks, however often they tried: {met}"


# --- 6


def privacy(e: Evidence) -> Iterator[Check]:
    """No number, address, dossier code or link code outside ledger and carrier; no key that joins an answer to a dossier."""
    said = f"{len(e.log)} records, {sum(map(len, e.stored.values()))} rows, {len(e.files)} log files read"
    yield _check("6 nobody is named", said, _named(e))
    yield _check("6 nothing joins", "ids of dossiers and ids of answers compared", _joining(e))


def _secrets(e: Evidence) -> set[str]:
    people = (p for s in e.sent for p in (s.item["contact"].get("phone"), s.item["contact"].get("email")) if p)
    return {*people, *(s.item["dossier_code"] for s in e.sent), *(m.code for m in e.messages)}


def _named(e: Evidence) -> Iterator[str]:
    secrets = _secrets(e)
    bare = {s.lstrip("+") for s in secrets} | {f"0{s[3:]}" for s in secrets if s.startswith("+84")}
    links = re.compile("|".join(sorted({m.code for m in e.messages})) or r"(?!)")
    for where, text in _texts(e):
        words = {w.replace("%2B", "").lstrip("+") for w in _PHONE.findall(text)} | set(_MAIL.findall(text)) | set(_CODE.findall(text))
        hits = (words & bare) | set(links.findall(text))
        for hit in sorted(hits):
            yield f"{where}: a {'number' if hit.isdigit() else 'mail address' if '@' in hit else 'code'}"


def _texts(e: Evidence) -> Iterator[tuple[str, str]]:
    for name, text in e.files.items():
        yield f"log file {name}", text
    for table, rows in e.stored.items():
        yield f"ClickHouse {table}", "\n".join(rows)
    for r in e.log:
        yield f"{r.topic} {r.partition}/{r.offset}", f"{r.key!r} {r.value!r} {r.headers!r}"


def _joining(e: Evidence) -> Iterator[str]:
    of_dossiers = _ids(r for name in WITH_DOSSIER for r in e.topic(name))
    of_surveys = _ids(r for name in WITH_SURVEY for r in e.topic(name))
    for shared in sorted(of_dossiers & of_surveys):
        yield f"the id {shared[:8]}… stands with a dossier and with an answer"


def _ids(records: Iterable[LogRecord]) -> set[str]:
    return {found for r in records for found in _ID.findall(f"{r.key!r} {r.value!r} {r.headers!r}")}
