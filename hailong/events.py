"""Every fact of the log in one place: its topic, key, schema and version.

A fact is past tense and never changes meaning: fields are added with defaults, anything else is a new topic version, and the
golden files under ``tests/golden`` keep every version readable. On the wire a fact is JSON (the value), its key (UTF-8) and
CloudEvents headers (binary mode, https://github.com/cloudevents/spec, kafka-protocol-binding).

Nothing here names a person: no contact, no dossier code, no free text. ``dossier_ref`` and ``survey_id`` never stand in one fact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec

Outcome = Literal["result_returned", "done_electronic", "refused", "stopped", "supplement_requested"]
UnitLevel = Literal["province", "department", "centre", "district", "commune", "other"]
SuccessionKind = Literal["merged", "split", "renamed", "recoded"]
SubmissionChannel = Literal["counter", "online", "postal"]
ResultChannel = Literal["counter", "postal", "electronic"]
Timeliness = Literal["early", "on_time", "overdue", "unknown"]
ApplicantType = Literal["citizen", "business", "organisation", "state_body", "other"]
SubmittedBy = Literal["owner", "proxy", "assisted"]
ServiceLevel = Literal["full", "partial", "other"]
Language = Literal["vi", "en", "other"]
Purpose = Literal["invitation", "reminder"]
MessageChannel = Literal["sms", "email", "zns", "print"]
"""The way to people; who carries it is the provider."""
Mode = Literal["link", "code", "call", "sms", "zns", "kiosk", "assisted", "paper"]
Place = Literal["away", "desk"]
"""Where an answer was given; see hailong.domain.doors."""
Form = Literal["full", "short"]
Act = Literal["page", "not_me"]
DeliveryState = Literal["due", "claimed", "handed_over", "delivered", "failed", "unknown", "withdrawn", "expired"]
CountedKind = Literal["answer", "detail", "retraction", "held", "disposition", "unit", "target", "fixed", "day"]
AlertState = Literal["raised", "acknowledged", "acting", "cleared", "settled", "fixed", "not_found"]


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an answer is about, coarse enough that it joins to no single dossier."""

    receiving_unit: str
    handling_unit: str
    field: str
    submission_channel: SubmissionChannel
    ending: Outcome
    timeliness: Timeliness
    month: str
    """Local month in which the dossier ended, ``YYYY-MM``."""
    weight: int = 1
    """Endings this one stands for: of several that waited for the same person's turn, one is asked about."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What every fact carries. ``event_id`` is its identity: content plus the act; a second record with it is an echo."""

    event_id: str
    registry_id: str


class DossierClosed(Fact, frozen=True, kw_only=True):
    """A dossier ended. Days, not times: exact times stand in the ledger."""

    dossier_ref: str
    source: str
    outcome: Outcome
    status_code: int
    procedure_code: str | None = None
    procedure_code_national: str | None = None
    field: str = "other"
    service_level: ServiceLevel = "other"
    receiving_unit: str
    handling_unit: str
    unit_level: UnitLevel = "other"
    submission_channel: SubmissionChannel = "counter"
    result_channel: ResultChannel = "counter"
    received_on: date
    due_on: date | None = None
    ended_on: date
    heard_on: date
    """The local day hailong counts as having heard of it; ``ended_on`` itself for imports ``--as-if-on-time``."""
    supplement_count: int = 0
    supplement_days: float = 0.0
    timeliness: Timeliness = "unknown"
    fee_required: bool = False
    paid_online: bool | None = None
    applicant_type: ApplicantType = "citizen"
    submitted_by: SubmittedBy = "owner"


class DossierReopened(Fact, frozen=True, kw_only=True):
    """An ended dossier goes on after all."""

    dossier_ref: str
    source: str
    status_code: int
    reopened_on: date


class SurveyDecided(Fact, frozen=True, kw_only=True):
    """Whether a dossier's person is asked; one per dossier. ``inputs`` is what the rules saw, nothing that names anyone.

    Anybody who has the seed of ``seed_day`` can make ``draw``, the arms and, with the rules of ``rules_version``, the decision again.
    """

    dossier_ref: str
    asked: bool
    reason: str | None = None
    rules_version: str
    draw: float
    decided_on: date
    inputs: dict[str, Any] = {}
    seed_day: date | None = None
    """The local day of hailong's first receipt of the dossier; null before draws had seeds."""
    arms: dict[str, str] = {}
    """Experiment → arm."""
    weight: int = 1
    """Endings this decision stands for, see About."""


class SurveyDelivery(Fact, frozen=True, kw_only=True):
    """A step of one message to a citizen. ``seq`` numbers the steps of (survey, purpose) from 1."""

    survey_id: str
    purpose: Purpose
    seq: int
    state: DeliveryState
    at: datetime
    channel: MessageChannel | None = None
    provider: str | None = None
    code: str | None = None
    reason: str | None = None
    segments: int = 0
    cost: int = 0
    """In đồng (VND)."""
    about: About


class SurveyAnswered(Fact, frozen=True, kw_only=True):
    """One submission of one page of the questionnaire; or, by ``act``, that the message reached somebody else (``not_me``)."""

    survey_id: str
    questionnaire: str
    questionnaire_version: int
    mode: Mode
    language: Language
    page: int
    answers: dict[str, Any]
    """Question id → 1–5 or null ("not applicable") of a scale, an option id, a list of option ids, or true. Never free text.

    An empty list, and false, take back what was answered before, if anything was."""
    nonce: str
    """Of the form that was filled in: the pages of one submission share it."""
    answered_at: datetime
    """When the person answered: on a phone without signal that may be long before it is sent."""
    about: About
    act: Act = "page"
    form: Form = "full"
    place: Place = "away"
    finished: bool = False
    """The person is done with this questionnaire."""
    signs: list[str] = []
    """Marks of pressure the door saw: the count role holds such a first answer until a person has looked."""


class SurveyCounted(Fact, frozen=True, kw_only=True):
    """**The definition of a counted answer**, and every control record that changes a detector, in one total order.

    ``seq`` counts from 1 without a gap. A reader takes a record only when its ``seq`` is the next one: a lower one is an echo,
    a higher one is out of its turn and will be written again (the writer repeats from the first unacknowledged record).
    """

    seq: int
    kind: CountedKind
    counted_at: datetime
    """Never falls along ``seq``."""
    survey_id: str | None = None
    revision: int = 0
    """0 = the first answer of the slot, the one every figure counts; later ones are reported apart."""
    questionnaire: str | None = None
    questionnaire_version: int | None = None
    mode: Mode | None = None
    language: Language | None = None
    place: Place | None = None
    score: int | None = None
    """Q0, 1–5; null for "not applicable"."""
    answers: dict[str, Any] = {}
    reason: str | None = None
    about: About | None = None
    control: dict[str, Any] = {}
    """What a control record says; of an erased answer, the day it was counted on; of a call's disposition, see hailong.domain.calls."""


class ContactPreference(Fact, frozen=True, kw_only=True):
    """An opt-out or opt-in, after it was committed to the ledger."""

    contact_hash: str
    pepper_version: int
    choice: Literal["opt_out", "opt_in"]
    at: datetime
    door: str


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert about the quality of data stands on: counts that are not what they would be; see hailong.domain.quality."""

    what: str
    where: str
    """The list to look into."""
    against: str
    period: str
    """``YYYY-Www`` or ``YYYY-MM``, the last of those looked at together."""
    observed: int
    of: int | None = None
    expected: float
    p: float
    """How probable that, or more extreme, is when nothing is wrong; raised because it is ``level`` or less."""
    level: float
    numbers: dict[str, float] = {}


class AlertChanged(Fact, frozen=True, kw_only=True):
    """A step of an alert. ``evidence_seq`` is the counted record that caused it.

    The machine's steps of an alert are its versions 1 (raised) and 2 (over); those of people are numbered from 3 on, so that neither has
    to know of the other. With ``doubt`` it is about the quality of data, written by the timer: then what counts answers is 0, and
    ``evidence_seq`` the last counted record it had seen.
    """

    alert_id: str
    version: int
    state: AlertState
    kind: str
    unit: str
    at: datetime
    by: str
    note: str | None = None
    evidence_seq: int
    n: int
    satisfied: int
    target: float
    low: float
    high: float
    since: date
    until: date
    sentence_vi: str
    sentence_en: str
    field: str | None = None
    """The field it is about, in all of ``unit``; null = everything of the unit."""
    expected: float | None = None
    """How many of the ``n`` would have been satisfied on target."""
    estimate: float | None = None
    """Share of satisfied likely now; ``low`` and ``high`` are its 95 % interval."""
    years: float | None = None
    """How seldom, in years, a unit on its target would see this."""
    table_month: str | None = None
    """Month of the table of how hard each field is."""
    doubt: Doubt | None = None
    """For alerts about the quality of data, whose ``kind`` is one of hailong.domain.quality."""


class CaseChanged(Fact, frozen=True, kw_only=True):
    """A step of a case. Confidential ones name unit and day, never the dossier or the survey."""

    case_id: str
    version: int
    state: Literal["opened"]
    kind: Literal["charges", "callback"]
    confidential: bool
    unit: str
    on: date
    at: datetime


class Predecessor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unit that another one carries on from its first day on. ``share``: how much of it went there, null when nobody knows."""

    code: str
    kind: SuccessionKind = "merged"
    share: float | None = None


class UnitChanged(Fact, frozen=True, kw_only=True):
    """A row of the registry of units, valid on local days ``valid_from`` ≤ d < ``valid_to``."""

    code: str
    name: str
    level: UnitLevel
    parent: str | None = None
    valid_from: date
    valid_to: date | None = None
    seq: int
    kind: str = ""
    """What such a unit is called: phường, xã, thị trấn, sở."""
    gso: str | None = None
    """Its code in the General Statistics Office's list; used again for other units in time."""
    aliases: list[str] = []
    """Other spellings and other systems' codes."""
    predecessors: list[Predecessor] = []
    source: str = ""
    """Where this row is written."""


class TargetChanged(Fact, frozen=True, kw_only=True):
    """A target in force on local days ``valid_from`` ≤ d < ``valid_to``: for a unit and everything below it, a field, a channel of
    submission, a question (null = all; of the questions: the first)."""

    value: float
    unit: str | None = None
    valid_from: date
    valid_to: date | None = None
    source: str
    seq: int
    field: str | None = None
    channel: SubmissionChannel | None = None
    question: str | None = None


class DrawSeed(Fact, frozen=True, kw_only=True):
    """The seed of a day's draws: its commitment the day before, the seed itself when the day is over."""

    day: date
    commitment: str
    """SHA-256, hex; see hailong.domain.draw."""
    seed: str | None = None
    """Hex; null while the day has not passed."""


class ProviderChanged(Fact, frozen=True, kw_only=True):
    """Another provider carries a channel from now on. ``version`` numbers the changes of a channel from 1."""

    channel: MessageChannel
    provider: str
    before: str
    version: int
    reason: str
    by: str
    at: datetime


class TotalsStated(Fact, frozen=True, kw_only=True):
    """The portal's own totals of a unit and month, as entered by people: dossiers, none negative. A later ``seq`` replaces the former."""

    unit: str
    month: str
    """``YYYY-MM``."""
    received: int
    ended: int
    overdue: int
    """Of those that ended."""
    petitions: int
    dislikes: int
    source: str
    seq: int


class ReferenceStated(Fact, frozen=True, kw_only=True):
    """A figure of somebody else's measurement, entered by people: shown beside ours, never mixed with it. A later ``seq`` replaces it."""

    series: str
    unit: str
    """Of the registry; or ``NATION``."""
    period: str
    """``YYYY``, ``YYYY-Qn`` or ``YYYY-MM``."""
    value: float
    scale: str
    """``percent``, or ``points/N``: of N points."""
    n: int | None = None
    """People asked, where it is known."""
    source: str
    seq: int


class ProcedureChanged(Fact, frozen=True, kw_only=True):
    """A row of the catalogue of procedures, valid on local days ``valid_from`` ≤ d < ``valid_to``."""

    code: str
    """National: the first two parts of a procedure's code, ``1.001612``."""
    name: str
    field: str
    level: ServiceLevel = "other"
    sensitive: bool = False
    """A message by itself would betray it: nobody is asked."""
    valid_from: date
    valid_to: date | None = None
    source: str
    seq: int


class EarlierStated(Fact, frozen=True, kw_only=True):
    """How often a value was given in an earlier survey, which stays a series of its own whatever its scale. A later ``seq`` replaces it."""

    series: str
    unit: str
    month: str
    question: str
    value: str
    """As that survey called it."""
    place: int
    """Of this value on its scale, from 1, the lowest."""
    places: int
    """Values of the scale."""
    satisfied_from: int
    """Place from which on that survey counts a value as satisfied."""
    n: int
    source: str
    seq: int


class QualityLooked(Fact, frozen=True, kw_only=True):
    """A look at the quality of data: with the one before it and the log up to ``version``, its alerts can be made again, bit for bit."""

    day: date
    """The Monday as of which was looked: weeks and months before it."""
    at: datetime
    version: dict[str, dict[str, int]]
    """Topic → partition → offset up to which the log was looked at."""
    judged: list[str]
    """Kinds of counts looked at for the first time in their week or month."""
    standing: dict[str, date]
    """``unit|kind|what`` of each alert that stands after it → the Monday on which it was raised."""
    quiet: list[str]
    """Units too quiet to judge; of dossiers heard of from ``quiet_from`` on, theirs are drawn to be called first."""
    quiet_from: date
    quiet_part: float
    """Of all endings of the last twelve months, theirs."""


Statement = TotalsStated | ReferenceStated | ProcedureChanged | EarlierStated
"""What people enter from elsewhere; the newest about a thing holds."""
NATION: Final = "national"
"""The unit of a reference figure of the whole country."""
STATES: Final[dict[type[Statement], tuple[str, ...]]] = {
    TotalsStated: ("unit", "month"),
    ReferenceStated: ("series", "unit", "period"),
    ProcedureChanged: ("code", "valid_from"),
    EarlierStated: ("series", "unit", "month", "question", "value"),
}
"""Kind of statement → the fields that say what it is about."""


@dataclass(frozen=True)
class Topic:
    """One topic: its name, the schema of its values, the field that is its key, its partitions (fixed at creation)."""

    name: str
    schema: type[Fact]
    key: str
    partitions: int


TOPICS: Final[tuple[Topic, ...]] = (
    Topic("dossier.closed.v1", DossierClosed, "dossier_ref", 4),
    Topic("dossier.reopened.v1", DossierReopened, "dossier_ref", 4),
    Topic("survey.decided.v1", SurveyDecided, "dossier_ref", 4),
    Topic("survey.delivery.v1", SurveyDelivery, "survey_id", 4),
    Topic("survey.answered.v1", SurveyAnswered, "survey_id", 4),
    Topic("survey.counted.v1", SurveyCounted, "registry_id", 1),
    Topic("contact.preference.v1", ContactPreference, "contact_hash", 4),
    Topic("alert.changed.v1", AlertChanged, "registry_id", 1),
    Topic("case.changed.v1", CaseChanged, "registry_id", 1),
    Topic("unit.changed.v1", UnitChanged, "registry_id", 1),
    Topic("target.changed.v1", TargetChanged, "registry_id", 1),
    Topic("draw.seed.v1", DrawSeed, "registry_id", 1),
    Topic("provider.changed.v1", ProviderChanged, "registry_id", 1),
    Topic("totals.stated.v1", TotalsStated, "registry_id", 1),
    Topic("reference.stated.v1", ReferenceStated, "registry_id", 1),
    Topic("procedure.changed.v1", ProcedureChanged, "registry_id", 1),
    Topic("earlier.stated.v1", EarlierStated, "registry_id", 1),
    Topic("quality.looked.v1", QualityLooked, "registry_id", 1),
)
BY_NAME: Final[dict[str, Topic]] = {t.name: t for t in TOPICS}
_BY_SCHEMA: Final[dict[type[Fact], Topic]] = {t.schema: t for t in TOPICS}
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_QUOTED: Final = re.compile(r"value (?:'.*'|\".*\")", re.DOTALL)
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {t.name: msgspec.json.Decoder(t.schema) for t in TOPICS}


def dead_topic(name: str) -> str:
    """The topic of dead letters of ``name``."""
    return f"dead.{name}"


@dataclass(frozen=True)
class Record:
    """A fact as it goes onto the wire; also a row of the ledger's outbox."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def topic_of(fact: Fact) -> Topic:
    """The topic a fact belongs to."""
    return _BY_SCHEMA[type(fact)]


def encode(fact: Fact, at: datetime) -> Record:
    """A fact → its record. ``at`` (aware) becomes the CloudEvents time."""
    topic = topic_of(fact)
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", fact.event_id.encode()),
        ("ce_type", f"vn.hailong.{topic.name}".encode()),
        ("ce_source", fact.registry_id.encode()),
        ("ce_time", at.isoformat().encode()),
        ("content-type", b"application/json"),
    )
    return Record(topic.name, str(getattr(fact, topic.key)).encode(), _ENCODER.encode(fact), headers)


def decode(topic: str, value: bytes | None) -> Fact:
    """The value of a record of ``topic`` → its fact.

    Raises ValueError naming topic and cause: unknown topic, no value, not JSON, a field missing or of the wrong type.
    """
    decoder = _DECODERS.get(topic)
    if decoder is None:
        raise ValueError(f"{topic}: no such topic of facts")
    if not value:
        raise ValueError(f"{topic}: the record has no value")
    try:
        fact: Fact = decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        # msgspec quotes an unknown option; what an upstream wrote there may name a person.
        raise ValueError(f"{topic}: {_QUOTED.sub('value', str(e))}") from None
    return fact
