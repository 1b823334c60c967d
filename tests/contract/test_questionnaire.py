"""What is asked, as the command shows it; and that nothing answered may change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hailong.ports import Permanent
from ops.cli.main import main
from ops.questionnaires import frozen, rows
from sinks.ledger import Ledger
from surveys.wording import Library, library
from tests.contract.build import NOON, answered


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_every_question_is_shown_in_every_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("questionnaire", "--json") == 0
    core, portal = json.loads(capsys.readouterr().out)
    assert (core["id"], core["languages"], len(core["pages"])) == ("ttp-core", ["vi", "en"], 10)
    assert (portal["after"], portal["where"], len(portal["pages"])) == ("ttp-core", {"submission_channel": ["online"]}, 4)
    assert all(q["text"]["vi"] and q["text"]["en"] for row in (core, portal) for p in row["pages"] for q in p["questions"])


def test_the_short_form_and_the_wording_of_an_ending(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("questionnaire", "--form", "short", "--ending", "refused", "--language", "vi") == 0
    said = capsys.readouterr().out
    assert "với việc tiếp nhận và trả lời hồ sơ vừa rồi?" in said
    assert "Q7 (only if Q0 ≤ 3)" in said
    assert "Q1" not in said


@pytest.mark.parametrize(
    ("given", "named"), [(("--form", "long"), "full, short"), (("--ending", "lost"), "refused"), (("--language", "fr"), "vi, en")]
)
def test_what_is_not_known_is_named_with_what_there_is(given: tuple[str, str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("questionnaire", *given) == 2
    assert named in capsys.readouterr().err


def changed(core: Library) -> Library:
    """The same with another word."""
    english = core.current.words["en"]
    other = core.current.speaking(replace(english, scale=("Awful", *english.scale[1:])))
    return Library(other, {**core.known, (other.id, other.version): other})


def test_a_version_that_was_answered_cannot_be_changed(ledger: Ledger) -> None:
    core = library()
    frozen(core, ledger, NOON)
    frozen(changed(core), ledger, NOON)
    frozen(core, ledger, NOON)
    with ledger.begin() as tx:
        tx.count(answered("s1", 5), NOON)
    frozen(core, ledger, NOON)
    with pytest.raises(Permanent, match=r"texts/en/ttp-core-1.toml: version 1 of ttp-core was answered already.*make version 2"):
        frozen(changed(core), ledger, NOON)


def test_rows_leave_out_what_a_form_does_not_ask() -> None:
    assert [[p["number"] for p in row["pages"]] for row in rows(library(), "short")] == [[1, 2], []]
