"""What ``hailong why`` says: both languages say everything, and no sentence asks for a value its rule does not have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from string import Formatter
from typing import get_args

import pytest

from hailong.domain.asking import REASONS, RULES, WAITING, Known, checks
from hailong.domain.hours import Hours, midnight
from hailong.domain.rulebook import Rules
from hailong.events import ApplicantType, DeliveryState, DossierClosed, MessageChannel, Outcome, Purpose, SubmittedBy
from ops.causes import Cause
from ops.explaining import WORDS, Sentences
from ops.trying import Happened
from tests.contract.build import closed
from web.pages import LANGUAGES, texts

DAY = date(2026, 3, 2)
HOLIDAYS = Hours(closed=frozenset(DAY + timedelta(days=n) for n in range(60)))
KNOWN = Known(reach=("sms", "email"), unit_endings=10)
STRICT = Rules(
    applicant_types=frozenset({"business"}),
    submitted_by=frozenset({"proxy"}),
    procedures=frozenset({"2.000488"}),
    small_unit_endings=0,
    share=0.5,
)
CASES: list[tuple[str | None, DossierClosed, Known, Rules]] = [
    (None, closed("d"), KNOWN, STRICT),
    (None, closed("d"), replace(KNOWN, asked_at=midnight(DAY) - timedelta(days=40)), STRICT),
    ("test", closed("d"), replace(KNOWN, test=True), STRICT),
    ("not_ended", closed("d", outcome="supplement_requested"), KNOWN, STRICT),
    ("ends_before_start", closed("d", received_on=DAY + timedelta(days=1)), KNOWN, STRICT),
    ("too_old", closed("d", received_on=date(2026, 1, 5), ended_on=DAY - timedelta(days=30)), KNOWN, STRICT),
    ("applicant_type", closed("d", applicant_type="business"), KNOWN, STRICT),
    ("submitted_by", closed("d", submitted_by="proxy"), KNOWN, STRICT),
    ("minor", closed("d"), replace(KNOWN, minor=True), STRICT),
    ("sensitive_procedure", closed("d", procedure_code_national="2.000488"), KNOWN, STRICT),
    ("no_contact", closed("d"), replace(KNOWN, reach=()), STRICT),
    ("no_channel", closed("d"), replace(KNOWN, refused=frozenset({"sms", "email"})), STRICT),
    ("opted_out", closed("d"), replace(KNOWN, opted_out=True), STRICT),
    ("sampled_out", closed("d"), KNOWN, replace(STRICT, share=0.1)),
    ("resting", closed("d"), replace(KNOWN, asked_at=midnight(DAY)), STRICT),
    (
        "recently_asked",
        closed("d", received_on=date(2026, 1, 5), ended_on=DAY - timedelta(days=14)),
        replace(KNOWN, asked_at=midnight(DAY)),
        replace(STRICT, delay_days=30),
    ),
    ("no_hour", closed("d"), KNOWN, replace(STRICT, hours=HOLIDAYS)),
]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("reason", "fact", "known", "rules"), CASES)
def test_every_rule_has_a_sentence_for_passing_and_for_each_reason(
    lang: str, reason: str | None, fact: DossierClosed, known: Known, rules: Rules
) -> None:
    words = Sentences(lang)
    made = checks(fact, known, midnight(DAY), rules, lambda purpose: 0.25)
    assert next((c.reason for c in made if not c.passed), None) == reason
    said = [words.check(check) for check in made]
    assert all(said)
    assert not [s for s in said if "{" in s or "None" in s]


def test_the_cases_leave_no_rule_and_no_reason_out() -> None:
    reasons = {reason for reason, *_ in CASES} - {None}
    said = {lang: words["checks"] for lang, words in texts(WORDS).items()}
    for table in said.values():
        assert list(table) == list(RULES)
        assert {name for rule in table.values() for name in rule} - {"passed", "passed_before"} == reasons


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_state_reason_and_word_is_said(lang: str) -> None:
    table, words = texts(WORDS)[lang], Sentences(lang)
    assert set(REASONS) | set(WAITING) <= set(table["reasons"])
    for kind in (Outcome, ApplicantType, SubmittedBy, MessageChannel, Purpose):
        assert set(get_args(kind)) <= set(table["words"])
    steps = {*get_args(DeliveryState), "released", "next_channel", "provider_changed", "next_try", "planned"}
    assert steps <= set(table["steps"])
    at = datetime(2026, 3, 2, 3, tzinfo=UTC)
    for kind in set(table["steps"]) - {"released_many", "no_reminder", "no_reminder_unknown"}:
        said = words.happened(Happened(kind, "invitation", at, "sms", "twilio", Cause("no_receipt", "30006"), 2, "vn", "refusals"))
        assert "{" not in said
        assert "10:00" in said


def test_both_languages_say_the_same_values() -> None:
    said = {lang: {(part, key): text for part, keys in table.items() if isinstance(keys, dict) for key, text in keys.items()}
            for lang, table in texts(WORDS).items()}  # fmt: skip
    for key, text in said["vi"].items():
        if isinstance(text, str):
            assert _asked(text) == _asked(said["en"][key]), key


def _asked(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize(("lang", "sentence"), [("vi", "lý do chưa có lời giải thích ở đây"), ("en", "a reason that has no words here")])
def test_a_reason_no_list_knows_is_never_shown_as_it_came(lang: str, sentence: str) -> None:
    assert Sentences(lang).reason("refused for 0912345678") == sentence


@pytest.mark.parametrize(
    ("lang", "sentence"),
    [
        ("vi", "sau 48 lần vẫn không được nhận, lần cuối vì nhà cung cấp đang không nhận thêm tin (mã 451)"),
        ("en", "not accepted in 48 tries, at last because the provider takes no more messages now (code 451)"),
    ],
)
def test_a_message_that_was_given_up_says_how_often_and_why(lang: str, sentence: str) -> None:
    assert Sentences(lang).cause(Cause("provider_busy", "451", 48)) == sentence
