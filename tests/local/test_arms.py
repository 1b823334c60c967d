"""``hailong draw arms`` on a ledger of its own: the table, the sentence, the document, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from hailong.domain.units import LOCAL
from ops.cli.main import main
from ops.clock import ClockFile
from ops.keys import Keys
from sinks.ledger import migrate, open_ledger
from tests.contract.build import NOON, act, answered, claim, decide, settle, take, tools

NOW = datetime(2026, 3, 20, 9, tzinfo=LOCAL)
EACH = 30
RULES = """[[versions]]
version = "a"
valid_from = 2026-01-01
source = "a test"
experiments.wording = {{ a = 0.5, b = 0.5 }}
[[versions]]
version = "b"
valid_from = {changed}
source = "a test"
experiments.wording = {{ a = 0.9, b = 0.1 }}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of arm a 28 in 30 have answered, of arm b 7 in 30; one more was asked by each of the arms of another experiment."""
    folder = tmp_path_factory.mktemp("arms")
    url = f"sqlite:///{folder / 'ledger.db'}"
    migrate(url)
    ledger = open_ledger(url, tools(zone=LOCAL), "test")
    refs = {arm: [f"{arm}{n}" for n in range(EACH)] for arm in ("a", "b")}
    for arm, of_arm in refs.items():
        take(ledger, *(act(ref, None, f"{ref}@x.y{ref:0>5}", event_id=f"closed:{ref}") for ref in of_arm))
        surveys = decide(ledger, *of_arm, arms={"wording": arm} | ({"link": "link"} if arm == "a" else {}))
        settle(ledger, "handed_over", *claim(ledger, limit=EACH))
        with ledger.begin() as tx:
            for survey in surveys[: 28 if arm == "a" else 7]:
                tx.count(answered(survey, 5), NOON + timedelta(days=2))
    ledger.close()
    Keys(folder / "keys").make_missing(NOW.date())
    ClockFile(folder / "clock", NOW)
    (folder / "rules.toml").write_text(RULES.format(changed="2026-01-02"))
    return folder


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A command sets up this process's log; the next test finds it as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def run(home: Path, *arguments: str, rules: str = "rules.toml") -> int:
    ours = {"DATA_DIR": home, "KEYS_DIR": home / "keys", "LEDGER": f"sqlite:///{home / 'ledger.db'}", "CLOCK": f"file:{home / 'clock'}"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**ours, "RULES_FILE": home / rules}.items():
            environment.setenv(f"HAILONG_{name}", str(value))
        with pytest.raises(SystemExit) as leaving:
            main(["--home", str(home / "none"), "draw", "arms", *arguments])
    return leaving.value.code if isinstance(leaving.value.code, int) else 1


def test_each_experiment_is_a_table_and_a_sentence_for_each_pair(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    at = lines.index("wording:")
    assert lines[at + 1].split() == ["arm", "asked", "delivered", "answered", "rate", "95%", "interval", "open", "unknown", "failed"]
    assert lines[at + 2].split() == ["a", "30", "0", "28", "93.3%", "78.7%", "to", "98.2%", "0", "0", "0"]
    assert lines[at + 3].split() == ["b", "30", "0", "7", "23.3%", "11.8%", "to", "40.9%", "0", "0", "0"]
    assert lines[at + 4].startswith("“a” is answered more often than “b”, by 70 percentage points (95% interval ")
    assert lines[at + 4].endswith("at 95% the difference is more than chance.")
    assert "counts for the arm that was drawn, also where it could not be followed" in told.err
    assert "changed on 2026-01-02:" in told.err, "within the last 90 days"


def test_as_json_it_is_one_document_with_fractions(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "--json", "--from", "2026-03-01", "--until", "2026-03-02") == 0
    said = json.loads(capsys.readouterr().out)
    assert {k: said[k] for k in ("from", "until", "followed_days", "changed")} == {
        "from": "2026-03-01", "until": "2026-03-02", "followed_days": 14, "changed": [],
    }  # fmt: skip
    link, wording = said["experiments"]
    assert (link["experiment"], link["differences"]) == ("link", [])
    assert wording["arms"][0]["rate"] == pytest.approx(28 / 30)
    (d,) = wording["differences"]
    assert (d["arm"], d["other"], d["beyond_chance"], d["difference"]) == ("a", "b", True, pytest.approx(0.7))


def test_a_period_without_experiments_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "--from", "2026-03-03") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "No experiment has an arm among those asked from 2026-03-03 to 2026-03-20. Name one in the rules" in told.err


def test_days_on_which_shares_changed_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "changed.toml").write_text(RULES.format(changed="2026-03-02"))
    assert run(home, "--from", "2026-02-20", rules="changed.toml") == 0
    assert "Arms or shares changed on 2026-03-02: rates compare within one version" in capsys.readouterr().err
    assert run(home, "--from", "2026-03-02", "--json", rules="changed.toml") == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "monday"), "--from monday: is no day. Write it as 2026-03-02."),
        (("--until", "2026-02-30"), "--until 2026-02-30: is no day."),
        (("--from", "2026-03-05", "--until", "2026-03-04"), "--until 2026-03-04: lies before --from 2026-03-05."),
    ],
)
def test_what_is_no_period_is_wrong_use(arguments: tuple[str, ...], told: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, *arguments) == 2
    said = capsys.readouterr()
    assert (said.out, told in said.err) == ("", True)
