"""`import totals`, `references`, `procedures`, `answers` at the command line: dry runs, refusals, exit codes; none needs a stack."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hailong.events import ReferenceStated
from hailong.settings import load
from ops.local.home import REPOSITORY
from ops.wiring import Wiring
from producers.lists import Places
from producers.registry import Registrar, read_units
from producers.stated import Recorder, read_references
from sinks.ledger import migrate
from tests.contract.build import NOON
from tests.intake.room import KeptLog
from tests.local.test_cli import run

# kafka-python 3.0.12 reads its schemas with calls that Python 3.11 (not 3.13) calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")
EXAMPLES = REPOSITORY / "examples"
SLIPS = EXAMPLES / "answers"


class Office:
    """A ledger with the province's units; ``ask`` runs a command on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        ours = {"DATA_DIR": str(folder), "KEYS_DIR": str(folder / "keys"), "LEDGER": f"sqlite:///{folder / 'ledger.db'}"}
        self._environment = {f"HAILONG_{name}": value for name, value in ours.items()}
        wiring = Wiring(load(self._environment))
        wiring.keys.make_missing(NOON.date())
        migrate(wiring.settings.ledger)
        self.ledger = wiring.ledger("test")
        Registrar(self.ledger, KeptLog(), "hoa-binh").put_units(read_units(EXAMPLES / "units" / "hoa-binh.csv"), NOON)

    def ask(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, stdout, stderr of ``import …``."""
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self._environment.items():
                environment.setenv(name, value)
            code = run("--home", str(self.folder / "home"), "import", *map(str, arguments))
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def json(self, *arguments: object, code: int = 0) -> Any:
        found, out, err = self.ask(*arguments, "--json")
        assert found == code, err
        return json.loads(out)

    def written(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text, "utf-8")
        return self.folder / name


@pytest.fixture
def office(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    made = Office(tmp_path, capsys)
    yield made
    made.ledger.close()


LISTS = {
    "totals": EXAMPLES / "totals" / "invented.csv",
    "references": EXAMPLES / "references" / "sipas.csv",
    "procedures": EXAMPLES / "procedures" / "hoa-binh.csv",
}


@pytest.mark.parametrize("what", LISTS)
def test_a_dry_run_of_a_shipped_list_shows_all_as_new_and_writes_nothing(office: Office, what: str) -> None:
    for _ in range(2):
        told = office.json(what, LISTS[what], "--dry-run")
        assert told["rows"] == len(told["changes"]) > 1
        assert {c["new"] for c in told["changes"]} == {True}
    code, out, err = office.ask(what, LISTS[what], "--dry-run")
    assert (code, out) == (0, "")
    assert f"{told['rows']} {what}, {told['rows']} would be new or changed; nothing was written." in err
    assert office.ledger.for_writer("cli").pending() == []


def test_a_dry_run_tells_what_differs(office: Office) -> None:
    with office.ledger.read() as reader:
        rows = read_references(LISTS["references"], Places(reader.units()), NOON.date()).rows
    Recorder(office.ledger, KeptLog()).put(rows, NOON)
    text = LISTS["references"].read_text("utf-8").replace("83.94", "83.95")
    told = office.json("references", office.written("new.csv", text), "--dry-run")
    assert [(c["about"]["period"], c["new"], c["fields"]) for c in told["changes"]] == [
        ("2024", False, {"value": {"is": 83.94, "would_be": 83.95}})
    ]
    _, _, err = office.ask("references", office.folder / "new.csv", "--dry-run")
    assert "sipas-from-2022, national, 2024: value: 83.94 → 83.95" in err
    with office.ledger.read() as reader:
        assert 83.95 not in [r.value for r in reader.statements(ReferenceStated)]


def test_a_fault_is_wrong_use_and_names_the_line(office: Office) -> None:
    header = LISTS["totals"].read_text("utf-8").splitlines()[0]
    code, out, err = office.ask("totals", office.written("t.csv", f"{header}\nhb-trung-tam,2024-01,1,1,2,0,0,s\n"), "--dry-run")
    assert (code, out) == (2, "")
    assert "line 2: overdue is more than ended" in err
    assert office.ask("totals", office.folder / "none.csv")[0] == 2
    for what, reason in (("units", "there is no column code"), ("targets", "there is no column value")):
        code, _, err = office.ask(what, office.written("u.csv", "a,b\n1,2\n"))
        assert (code, reason in err) == (2, True)


def test_a_masked_source_is_told(office: Office) -> None:
    header = LISTS["totals"].read_text("utf-8").splitlines()[0]
    _, _, err = office.ask("totals", office.written("t.csv", f"{header}\nhb-trung-tam,2024-01,1,1,1,0,0,https://x.vn/1\n"), "--dry-run")
    assert "Masked in the sources, for it may name or find a person: link 1." in err


def test_answers_with_refused_lines_are_reported_by_line_and_cause_and_leave_with_1(office: Office) -> None:
    told = office.json("answers", SLIPS / "slips.csv", "--mapping", SLIPS / "slips.toml", "--dry-run")
    assert (told["lines"], told["refused"], told["rows"], told["report"], len(told["changes"])) == (5, 0, 5, None, 5)
    text = (SLIPS / "slips.csv").read_text("utf-8") + "16/02/2024;TTHCC;Chung;0912345678;1\n16/02/2024;nơi khác;Chung;HL;1\n"
    file = office.written("slips.csv", text)
    told = office.json("answers", file, "--mapping", SLIPS / "slips.toml", "--dry-run", code=1)
    assert told["refusals"] == [
        {"line": 7, "column": "Mức độ", "reason": "unknown_value"}, {"line": 8, "column": "Đơn vị", "reason": "unknown_unit"},
    ]  # fmt: skip
    with Path(told["report"]).open(encoding="utf-8-sig", newline="") as report:
        assert list(csv.reader(report)) == [["line", "column", "reason"], ["7", "Mức độ", "unknown_value"], ["8", "Đơn vị", "unknown_unit"]]
    code, out, err = office.ask("answers", file, "--mapping", SLIPS / "slips.toml", "--dry-run")
    assert (code, out) == (1, "")
    assert "refused, unknown_value (not on the scale: map it in [values]): 1" in err
    assert "0912345678" not in err + Path(told["report"]).read_text("utf-8")


def test_a_wrong_mapping_is_wrong_use(office: Office) -> None:
    code, _, err = office.ask("answers", SLIPS / "slips.csv", "--mapping", office.written("m.toml", "[series]\n"), "--dry-run")
    assert code == 2
    assert "m.toml" in err
