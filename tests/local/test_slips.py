"""`hailong slips` on a ledger without a stack: codes go onto paper and nowhere else, and a slip leads to one dossier."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import stat
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import segno
import sqlalchemy as sa
import typst
from typer.testing import CliRunner, Result

from hailong.domain import slips
from hailong.domain.units import LOCAL
from hailong.events import BY_NAME, DossierClosed, Record, SurveyAnswered, UnitChanged, decode
from hailong.ports import Contact, DossierAct, Invalid, Retryable
from hailong.settings import load
from ops import slips as paper
from ops.acceptance.sample import sample
from ops.cli.main import build
from ops.local.refusal import Refusal
from ops.wiring import Wiring
from sinks.ledger import Ledger, migrate
from sinks.ledger import schema as t
from sinks.ledger.slips import batches
from surveys.wording import Office, office

NOW = datetime(2026, 3, 2, 10, tzinfo=LOCAL)
OFFICE = Office(brand="HCC HOABINH", hotline="1022", name={"vi": "Trung tâm Phục vụ hành chính công", "en": "Centre"})
LONG = "Bộ phận tiếp nhận và trả kết quả giải quyết thủ tục hành chính, chi nhánh số 3 tại xã Hợp Thành"
IMPRINT = paper.Imprint(OFFICE, "https://khaosat.example/", LONG, "2026-03-02-slip-7KQ2", date(2026, 3, 2))


class Desk:
    """A command line on a migrated ledger; dossiers are taken in as intake does."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.folder = folder
        shutil.copy(empty, folder / "ledger.db")
        ours = {"DATA_DIR": str(folder), "KEYS_DIR": str(folder / "keys"), "LEDGER": f"sqlite:///{folder / 'ledger.db'}"}
        self.env = {f"HAILONG_{name}": value for name, value in ours.items()} | {"HAILONG_SURVEY_URL": "https://khaosat.example"}
        self.wiring = Wiring(load(self.env))
        self.wiring.keys.make_missing(NOW.date())
        self.ledger: Ledger = self.wiring.ledger("test")

    def run(self, *arguments: str, code: int = 0, typed: str | None = None) -> Result:
        told = CliRunner().invoke(build(["slips"]), ["--home", str(self.folder), "slips", *arguments], env=self.env, input=typed)
        ended = told.exception.exit_code if isinstance(told.exception, Refusal) else told.exit_code
        assert ended == code, told.exception or told.output
        return told

    def refused(self, *arguments: str, code: int) -> str:
        return str(self.run(*arguments, code=code).exception)

    def json(self, *arguments: str, typed: str | None = None) -> Any:
        return json.loads(self.run(*arguments, "--json", typed=typed).stdout)

    def end(self, dossier: str, source: str = "one-stop", slip: str | None = None) -> str:
        """A dossier ends; its dossier_ref."""
        ref = self.wiring.keyed.dossier_ref(source, dossier)
        fact = sample(BY_NAME["dossier.closed.v1"], 1, NOW, full=True)
        assert isinstance(fact, DossierClosed)
        fact = msgspec.structs.replace(fact, event_id=f"closed:{ref}", dossier_ref=ref, source=source)
        with self.ledger.begin() as tx:
            tx.take_act(DossierAct(fact.event_id, "c", fact, dossier, NOW, None, Contact(None, None), None, "vi", slip_code=slip), NOW)
        return ref

    def give_out(self, n: int, batch: str = "b1", at: datetime = NOW) -> list[str]:
        """Slips as printed."""
        codes = paper.new_codes(n, secrets.token_bytes, lambda _: set())
        with self.ledger.begin() as tx:
            assert tx.register_slips([self.hash(code) for code in codes], batch, at) == n
        return codes

    def hash(self, code: str) -> str:
        return self.wiring.keyed.slip_hash(code) or pytest.fail("no code")

    def rows(self, table: sa.Table) -> list[Any]:
        with self.ledger.read() as reader:
            return list(reader.conn.execute(sa.select(table)))

    def on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in sorted(self.folder.glob("ledger.db*")))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger with nothing in it."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def desk(tmp_path: Path, empty: Path) -> Desk:
    return Desk(tmp_path, empty)


def codes(n: int) -> list[str]:
    return paper.new_codes(n, secrets.token_bytes, lambda _: set())


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def found_on(kind: paper.Kind, made: list[str]) -> list[str]:
    """The codes as the pages hold them, in order."""
    told = typst.query(str(paper.PAGES / f"{kind}.typ"), "<code>", **paper.handed(kind, made, IMPRINT), field="value")
    return list(json.loads(told))


# --- codes


def test_a_code_that_is_taken_or_comes_twice_is_made_again() -> None:
    stream = [bytes([n] * 32) for n in (0, 0, 1, 2, 3)]
    made = paper.new_codes(3, lambda n: stream.pop(0)[:n], lambda some: {code for code in some if code.startswith("222")})
    assert [code[:7] for code in made] == ["3" * 7, "4" * 7, "5" * 7]


def test_randomness_that_repeats_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="Check the machine's random source"):
        paper.new_codes(2, lambda n: bytes(n), lambda _: set())


# --- paper


@pytest.mark.parametrize(("kind", "n", "pages"), [("slip", 3, 3), ("sticker", 24, 1), ("sticker", 25, 2)])
def test_every_code_stands_once_on_the_right_number_of_pages(kind: paper.Kind, n: int, pages: int) -> None:
    made = codes(n)
    assert found_on(kind, made) == made
    pdf = paper.printed(kind, made, IMPRINT)
    assert pages_of(pdf) == paper.pages(kind, n) == pages


def test_a_poster_is_one_page_without_any_code_that_leads_to_code_entry_only() -> None:
    assert found_on("poster", []) == []
    assert pages_of(paper.printed("poster", [], IMPRINT)) == paper.pages("poster", 1) == 1
    said = paper.said("poster", [], IMPRINT)
    assert said["square"] == paper.square("https://khaosat.example/code")
    assert "slips" not in said
    with pytest.raises(ValueError, match="a poster takes none"):
        paper.printed("poster", codes(1), IMPRINT)
    with pytest.raises(ValueError, match="1 to 1000"):
        paper.printed("slip", [], IMPRINT)


def test_a_slips_square_leads_to_its_own_address() -> None:
    (one,) = paper.said("slip", ["2345678J"], IMPRINT)["slips"]
    assert (one["shown"], one["address"]) == ("2345-678J", "https://khaosat.example/2345678J")
    assert matrix(one["square"]) == [list(row) for row in segno.make(one["address"], error="m", micro=False).matrix]


def matrix(svg: str) -> list[list[int]]:
    """The squares of a drawing by segno: a line per run of dark ones, from one to the next."""
    size = int((re.search(r'viewBox="0 0 (\d+) ', svg) or pytest.fail("no size"))[1])
    dark, x, y = [[0] * size for _ in range(size)], 0.0, 0.0
    for step, across, down, run in re.findall(r"([Mm])(-?[\d.]+) (-?[\d.]+)h(\d+)", svg):
        x, y = (float(across), float(down)) if step == "M" else (x + float(across), y + float(down))
        for column in range(int(x), int(x) + int(run)):
            dark[int(y)][column] = 1
        x += float(run)
    return dark


def test_the_same_codes_and_day_give_the_same_file_which_names_neither_path_nor_user() -> None:
    made = codes(2)
    first = paper.printed("slip", made, IMPRINT)
    assert first == paper.printed("slip", made, IMPRINT)
    later = paper.Imprint(OFFICE, IMPRINT.survey_url, IMPRINT.unit, IMPRINT.batch, IMPRINT.day + timedelta(days=1))
    assert first != paper.printed("slip", made, later)
    for name in (str(paper.PAGES), str(Path.home()), Path.home().name):
        assert name.encode() not in first
    assert b"/CreationDate(D:20260302" in first


@pytest.mark.parametrize(("kind", "n"), [("slip", 2), ("sticker", 2), ("poster", 0)])
def test_a_file_is_tagged_and_says_title_and_language(kind: paper.Kind, n: int) -> None:
    pdf = paper.printed(kind, codes(n), IMPRINT)
    title = re.search(rb"<dc:title><rdf:Alt><rdf:li[^>]*>([^<]+)<", pdf)
    assert title is not None
    assert "đánh giá việc giải quyết hồ sơ" in title[1].decode()
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    tree = {name.decode() for name in re.findall(rb"/S/(\w+)", pdf)}
    assert tree >= {"Document", "Figure", *({"H1", "P"} if kind != "sticker" else set())}
    assert {b"/Marked true" in pdf, b"/DisplayDocTitle true" in pdf, b"/Lang(vi)" in pdf} == {True}
    assert len(re.findall(rb"/Alt[( <]", pdf)) == max(n, 1), "every square says where it leads"


LETTERS = "aàảãáạăằẳẵắặâầẩẫấậbcdđeèẻẽéẹêềểễếệghiìỉĩíịklmnoòỏõóọôồổỗốộơờởỡớợpqrstuùủũúụưừửữứựvxyỳỷỹýỵ"


@pytest.mark.parametrize("font", ["Libertinus Serif", "DejaVu Sans Mono"])
def test_the_fonts_of_the_pages_have_every_vietnamese_letter(font: str) -> None:
    missing = "\N{ETHIOPIC SYLLABLE HA}"
    every = [*LETTERS, *LETTERS.upper(), missing]
    drawn = {letter: shape(font, letter) for letter in every}
    assert len(set(drawn.values())) == len(every), "letters that are missing would all look alike"
    assert f'"{font}"' in (paper.PAGES / "paper.typ").read_text("utf-8")


def shape(font: str, letter: str) -> str:
    """The outline of a letter."""
    text = f'#set page(width: 1cm, height: 1cm, margin: 0pt)\n#set text(font: "{font}", fallback: false)\n{letter}'
    drawn = typst.compile(text.encode(), ignore_system_fonts=True, format="svg")
    return "|".join(re.findall(r' d="([^"]+)"', drawn.decode()))


# --- slips print


def test_a_hundred_slips_are_a_hundred_hashes_and_no_code_in_the_ledger(desk: Desk) -> None:
    out = desk.folder / "slips.pdf"
    made = desk.json("print", "--n", "100", "--kind", "slip", "--out", str(out))
    assert made == {"batch": made["batch"], "kind": "slip", "codes": 100, "pages": 100, "file": str(out)}
    assert pages_of(out.read_bytes()) == 100
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = desk.rows(t.slips)
    assert len({row.slip_hash for row in rows}) == 100
    assert {row.batch for row in rows} == {made["batch"]}
    assert all(re.fullmatch("[0-9a-f]{32}", row.slip_hash) for row in rows), "keyed hashes, nothing that can be typed"
    with desk.ledger.read() as reader:
        (line,) = [line for line in reader.audit() if line.act == "slip_printed"]
    assert (line.object, line.detail) == (f"batch:{made['batch']}", {"kind": "slip", "n": 100, "unit": "none"})


def test_codes_stand_nowhere_but_in_the_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = (bytes([n] * 32) for n in range(31))
    monkeypatch.setattr(secrets, "token_bytes", lambda n: next(stream)[:n])
    told = desk.run("print", "--n", "5", "--kind", "sticker", "--out", str(desk.folder / "s.pdf"))
    assert len(desk.rows(t.slips)) == 5
    for value in range(31):
        code = slips.new_code(bytes([value] * 32))
        assert code.encode() not in desk.on_disk()
        assert code not in told.output
        assert slips.shown(code) not in told.output


def test_the_desk_s_name_stands_on_its_slips_and_its_code_in_the_batch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk.ledger.begin() as tx:
        fact = sample(BY_NAME["unit.changed.v1"], 1, NOW, full=True)
        assert isinstance(fact, UnitChanged)
        tx.put_unit(msgspec.structs.replace(fact, code="X07", name="Xã Hợp Thành", valid_from=date(2020, 1, 1), valid_to=None))
    monkeypatch.setattr(secrets, "token_bytes", lambda n: bytes(range(n)))
    out = desk.folder / "s.pdf"
    batch = desk.json("print", "--unit", "X07", "--out", str(out))["batch"]
    day, _, end = batch.partition("-slip-")
    assert end == "X07-2345"
    imprint = paper.Imprint(office(), "https://khaosat.example", "Xã Hợp Thành", batch, date.fromisoformat(day))
    assert out.read_bytes() == paper.printed("slip", ["2345678J"], imprint)
    assert desk.json("list")[0]["batch"] == batch


def test_a_poster_registers_nothing(desk: Desk) -> None:
    made = desk.json("print", "--kind", "poster", "--out", str(desk.folder / "p.pdf"))
    assert (made["codes"], made["pages"], made["batch"]) == (0, 1, None)
    assert desk.rows(t.slips) == []


def test_what_cannot_be_printed_is_refused_and_registers_nothing(desk: Desk) -> None:
    there = desk.folder / "there.pdf"
    there.write_bytes(b"kept")
    out = str(desk.folder / "new.pdf")
    assert "cannot be written (File exists)" in desk.refused("print", "--out", str(there), code=2)
    assert "--kind flag: cannot be printed. There are slip | sticker | poster" in desk.refused(
        "print", "--kind", "flag", "--out", out, code=2
    )
    assert "Leave --n out" in desk.refused("print", "--kind", "poster", "--n", "2", "--out", out, code=2)
    assert "--unit X9: no such unit today" in desk.refused("print", "--unit", "X9", "--out", out, code=2)
    desk.run("print", "--n", "0", "--out", out, code=2)
    assert there.read_bytes() == b"kept"
    assert not Path(out).exists()
    assert desk.rows(t.slips) == []


def test_a_file_whose_codes_the_ledger_did_not_take_does_not_stay(desk: Desk) -> None:
    out = desk.folder / "s.pdf"
    with desk.ledger.begin() as tx:
        tx.conn.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON slips BEGIN SELECT RAISE(IGNORE); END")
    assert "Nothing was kept; print again." in desk.refused("print", "--n", "2", "--out", str(out), code=1)
    assert not out.exists()


def test_an_address_that_only_this_machine_knows_is_said(desk: Desk) -> None:
    desk.env["HAILONG_SURVEY_URL"] = "http://127.0.0.1:8082"
    told = desk.run("print", "--out", str(desk.folder / "s.pdf"))
    assert "for tries only. HAILONG_SURVEY_URL names the public address." in told.stderr
    assert told.stdout == ""


# --- slips bind


def test_a_slip_is_bound_once_however_it_is_typed(desk: Desk) -> None:
    (code,) = desk.give_out(1)
    ref = desk.end("000.01.H28-1")
    assert desk.json("bind", slips.shown(code).lower(), "000.01.H28-1") == {"binding": "bound"}
    assert desk.json("bind", code, "-", typed="000.01.H28-1\n") == {"binding": "already"}
    (slot,) = desk.rows(t.slots)
    assert (slot.dossier_ref, slot.slip_hash) == (ref, desk.hash(code))
    with desk.ledger.read() as reader:
        assert [(line.object, line.detail) for line in reader.audit() if line.act == "slip_bound"] == [
            (f"dossier:{ref}", {"door": "command"})
        ]


def test_a_slip_leads_to_one_dossier_and_a_dossier_has_one_slip(desk: Desk) -> None:
    first, second, third = desk.give_out(3)
    desk.end("A1")
    desk.end("A2")
    desk.end("A3", slip=third)
    desk.run("bind", first, "A1")
    assert "This slip leads to another dossier already" in desk.refused("bind", first, "A2", code=1)
    assert "This dossier has another slip already" in desk.refused("bind", second, "A1", code=1)
    assert "leads to another dossier already" in desk.refused("bind", third, "A2", code=1), "bound by intake"
    assert desk.json("bind", third, "A3") == {"binding": "already"}
    assert desk.json("bind", second, "A2") == {"binding": "bound"}


def test_what_is_not_known_is_told_with_the_next_step_and_without_the_code(desk: Desk) -> None:
    (code,) = desk.give_out(1)
    stranger = next(one for one in codes(2) if one != code)
    desk.end("A1")
    desk.end("A1", source="portal")
    wrong = code[:-1] + ("2" if code[-1] != "2" else "3")
    for arguments, exit_code, sentence in (
        ((stranger, "A1", "--source", "portal"), 1, "No slip with this code was printed here."),
        ((code, "B7"), 1, "No dossier of any source has this code. A dossier is known once it has ended."),
        ((code, "A1", "--source", "vnpost"), 1, "No dossier of the source vnpost has this code."),
        ((code, "A1"), 2, "Several sources have a dossier of this code: one-stop, portal. Add --source."),
        ((wrong, "A1"), 2, "one sign is wrong or two are swapped"),
        ((code[:-1], "A1"), 2, "the code of a slip has 8 signs"),
        (("0" + code[1:], "A1"), 2, "a sign that no slip has"),
    ):
        said = desk.refused("bind", *arguments, code=exit_code)
        assert sentence in said
        assert code not in said
    assert all(slot.slip_hash is None for slot in desk.rows(t.slots))


def test_nothing_is_bound_to_a_dossier_that_was_erased(desk: Desk) -> None:
    (code,) = desk.give_out(1)
    ref = desk.end("A1")
    with desk.ledger.begin() as tx:
        tx.conn.execute(sa.update(t.slots).values(erased_on=NOW.date()))
    with desk.ledger.begin() as tx, pytest.raises(Invalid, match="dossier: unknown"):
        tx.bind_slip(code, ref, NOW)
    assert "what named the person was erased. Take another" in desk.refused("bind", code, "A1", code=1)


def test_what_came_in_by_the_slip_is_in_the_log_before_the_command_ends(desk: Desk, log: Log) -> None:
    (code,) = desk.give_out(1)
    desk.end("A1")
    fact = came_in(desk, code)
    told = desk.run("bind", code, "A1")
    assert told.stderr.splitlines() == ["The slip leads to the dossier."]
    (survey,) = [slot.survey_id for slot in desk.rows(t.slots)]
    (passed_on,) = [decode(record.topic, record.value) for record in log.records]
    assert isinstance(passed_on, SurveyAnswered)
    assert (passed_on.event_id, passed_on.survey_id, passed_on.answers) == (fact.event_id, survey, fact.answers)
    assert left_by_commands(desk) == [], "nothing for the timer"
    assert desk.json("bind", code, "A1") == {"binding": "already"}
    assert (len(log.records), log.open) == (1, 0)


def test_while_the_log_is_away_what_came_in_waits_for_the_timer_and_the_command_says_so(desk: Desk, log: Log) -> None:
    (code,) = desk.give_out(1)
    desk.end("A1")
    came_in(desk, code)
    log.away = True
    told = desk.run("bind", code, "A1", "--json")
    assert json.loads(told.stdout) == {"binding": "bound"}
    assert "answers came in by this slip, and the log did not take them: the broker is away. They are kept" in told.stderr
    assert "the timer passes them on once the log is back" in told.stderr
    assert left_by_commands(desk) == ["survey.answered.v1"]
    assert log.open == 0


class Log:
    """The log at its port: acknowledged records in order; ``away`` takes it away."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.away = False
        self.open = 0

    def opened(self, _wiring: Wiring, _name: str) -> Log:
        self.open += 1
        return self

    def publish(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Retryable("the broker is away", 3.0)
        self.records += records

    def close(self) -> None:
        self.open -= 1


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    monkeypatch.setattr(Wiring, "publisher", lambda wiring, name: made.opened(wiring, name))
    return made


def left_by_commands(desk: Desk) -> list[str]:
    return [row.topic for row in desk.rows(t.outbox) if row.writer.startswith("cli:")]


def came_in(desk: Desk, code: str) -> SurveyAnswered:
    """Somebody answers by a slip that leads nowhere yet."""
    fact = sample(BY_NAME["survey.answered.v1"], 1, NOW, full=True)
    assert isinstance(fact, SurveyAnswered)
    with desk.ledger.begin() as tx:
        tx.hold_slip_page(desk.hash(code), fact, {}, NOW)
    with desk.ledger.begin() as tx:
        # As long as it is kept by the clock on the wall, which the command goes by.
        tx.conn.execute(sa.update(t.slip_answers).values(keep_until=datetime(2999, 1, 1, tzinfo=LOCAL)))
    return fact


# --- slips list


def test_batches_tell_what_became_of_their_slips(desk: Desk) -> None:
    assert desk.json("list") == []
    first = desk.give_out(3, "b1")
    (later,) = desk.give_out(1, "b2", NOW + timedelta(days=1))
    desk.end("A1")
    desk.run("bind", first[0], "A1")
    for code, until in ((first[0], 30), (first[1], 30), (first[2], -1), (later, 30)):
        for page in (1, 2):
            hold(desk, code, NOW + timedelta(days=until), page)
    with desk.ledger.read() as reader:
        found = batches(reader, NOW)
    assert [(b.batch, b.made_at, b.made, b.bound, b.unbound, b.held) for b in found] == [
        ("b2", NOW + timedelta(days=1), 1, 0, 1, 1),
        ("b1", NOW, 3, 1, 2, 1),
    ], "bound ones and those whose time is over hold nothing; two pages of a slip are one answer"
    assert [set(row) for row in desk.json("list")] == [{"batch", "made_at", "made", "bound", "unbound", "held"}] * 2
    assert desk.run("list").stdout.splitlines()[1].split()[0] == "b2"


def hold(desk: Desk, code: str, until: datetime, page: int) -> None:
    row = {"slip_hash": desk.hash(code), "event_id": f"{code}:{page}", "fact": "{}", "texts": "{}", "keep_until": until}
    with desk.ledger.begin() as tx:
        tx.conn.execute(sa.insert(t.slip_answers).values(**row))
