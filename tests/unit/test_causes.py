"""Every reason an adapter can give has a word: whoever adds a sentence to one adds it to the list, or this fails."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from hailong.domain.asking import REASONS, WAITING
from hailong.domain.modes import HELD
from ops.causes import CAUSES, CHECKED, OTHER, REFUSALS, SENDING, Cause, cause
from ops.explaining import WORDS
from surveys.channels import sms_twilio, zns
from surveys.channels.gateway_file import Reason
from web.pages import texts

ROOT = Path(__file__).resolve().parents[2]
SENDERS = [
    *(ROOT / "surveys" / "channels").glob("[!b_]*.py"),
    ROOT / "ops" / "reaching.py",
    ROOT / "streams" / "sending.py",
    ROOT / "sinks" / "ledger" / "engine.py",
]
"""Where a try can fail; returned mails (bounces) are read elsewhere."""


def said(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """What an argument can say; 7 stands for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from said(node.body, tree)
        yield from said(node.orelse, tree)
    elif isinstance(node, ast.Name):
        for other in ast.walk(tree):
            if isinstance(other, ast.Assign) and any(isinstance(t, ast.Name) and t.id == node.id for t in other.targets):
                yield from said(other.value, tree)


def sentences() -> Iterator[tuple[str, str]]:
    """(file, reason) of everything that ends a try in one of the senders."""
    for file in SENDERS:
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("Retryable", "Barred", "Permanent") and node.args:
                yield from ((file.name, reason) for reason in said(node.args[0], tree))
            elif node.func.id == "Settlement" and not any(isinstance(a, ast.Constant) and a.value == "open" for a in node.args):
                yield from ((file.name, r) for k in node.keywords if k.arg == "reason" for r in said(k.value, tree))


def test_every_sentence_of_an_adapter_has_a_word() -> None:
    found = [(file, reason) for file, reason in sentences() if any(c.isalpha() for c in reason) and not reason.endswith(": 7")]
    assert len(found) > 40
    found = [(file, reason) for file, reason in found if "is no database any more" not in reason]  # of the start, when nothing is sent
    assert {file for file, _ in found} >= {"sms_twilio.py", "mail_smtp.py", "zns.py", "gateway_wire.py", "printed.py", "sending.py"}
    unknown = [(file, reason) for file, reason in found if (made := cause(reason)) is None or made.word == OTHER]
    assert not unknown, "ops/causes.py does not know these: add a pattern, and words in ops/why"
    elsewhere = {"hour", "lease_over", "given_up", "no_receipt", "channel_off", OTHER}
    reached = {made.word for made in (cause(reason) for _, reason in found) if made is not None}
    assert reached >= set(SENDING) - elsewhere


def test_every_word_of_an_adapter_is_in_the_list() -> None:
    words = {*sms_twilio.PERMANENT.values(), *zns.PERMANENT.values(), *get_args(Reason)}
    assert words <= set(REFUSALS)
    assert {made.word for said in HELD.values() if (made := cause(f"twilio: {said.replace('CHANNEL', 'sms')}"))} == {"channel_off"}


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_every_cause_is_said_in_both_languages(lang: str) -> None:
    reasons = texts(WORDS)[lang]["reasons"]
    assert set(reasons) >= CAUSES
    assert set(CHECKED) - {"not_asked", "already_asked"} <= {*REASONS, *WAITING}
    assert set(reasons) <= CAUSES | set(REASONS) | set(WAITING) | {"unknown"}


@pytest.mark.parametrize(
    ("reason", "code", "expected"),
    [
        ("Twilio refuses our settings (sender, code 21212); correct them, the messages wait", "", Cause("provider_settings", "21212")),
        ("The gateway vn cannot take messages now (HTTP 503)", "", Cause("provider_busy", "HTTP 503")),
        ("The mail relay cannot take this mail now (reply 451)", "", Cause("provider_busy", "451")),
        ("Zalo refuses our settings (balance, code -126); correct them, the messages wait", "", Cause("provider_settings", "-126")),
        (
            "not accepted in 48 attempts: The mail relay could not be reached; nothing was accepted",
            "",
            Cause("provider_unreachable", "", 48),
        ),
        ("invalid_number", "21211", Cause("invalid_number", "21211")),
        ("", "30005", Cause("refused", "30005")),
        ("lease_over", "", Cause("lease_over")),
        ("Leider nicht", "7", Cause(OTHER, "7")),
        ("a_word_of_another_release", "", Cause(OTHER)),
        ("refused for 0912345678 (code 0912345678)", "", Cause(OTHER)),
        ("", "p@example.vn", Cause("refused")),
    ],
)
def test_a_reason_becomes_a_word_and_a_code_and_nothing_else(reason: str, code: str, expected: Cause) -> None:
    assert cause(reason, code) == expected


def test_no_reason_is_no_cause() -> None:
    assert cause("", "") is None
