"""A look out of ClickHouse is the same at its version whatever came after; and what the commands tell of alerts and quiet units."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any

import pytest

from hailong.domain.looking import EVERY, Looked, look
from hailong.domain.quality import week_name
from hailong.domain.units import LOCAL
from hailong.events import Fact, encode
from hailong.settings import Settings, load
from ops.cli.main import main
from ops.looking import Store
from ops.wiring import Wiring
from sinks.clickhouse.archive import Archive
from sinks.clickhouse.connection import connect
from sinks.clickhouse.queries import CLOSED, COUNTED
from sinks.ledger import migrate
from tests.clickhouse.facts import closed, counted
from tests.clickhouse.room import database

pytestmark = pytest.mark.stack
FIRST = date(2025, 3, 3)
DAY = FIRST + 40 * EVERY
AT = datetime.combine(DAY, time(5), LOCAL)
UNITS = [f"C{n:02d}" for n in range(1, 7)]


def endings(first_week: int, weeks: int) -> list[Fact]:
    """Ten a week of each; C02 falls silent after the 36th."""
    found: list[Fact] = []
    for week, code, n in product(range(first_week, weeks), UNITS, range(10)):
        if code != "C02" or week < 36:
            found.append(closed(f"{code}-{week}-{n}", FIRST + week * EVERY + timedelta(days=n % 5), code))
    return found


@pytest.fixture(scope="module")
def settings(address: str) -> Iterator[Settings]:
    with database(address) as made:
        archive, before = Archive(connect(made)), endings(0, 40)
        archive.absorb(CLOSED, 0, list(enumerate(before)))
        answers = [counted(n + 1, FIRST + n // 10 * EVERY, unit="C01" if n % 8 else "C03", score=5) for n in range(400)]
        archive.absorb(COUNTED, 0, list(enumerate(answers)))
        yield made


@pytest.fixture(scope="module")
def command(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    folder = tmp_path_factory.mktemp("home")
    ours = {"DATA_DIR": str(folder), "KEYS_DIR": str(folder / "keys"), "LEDGER": f"sqlite:///{folder / 'ledger.db'}"}
    ours |= {"CLICKHOUSE_URL": settings.clickhouse_url, "CLICKHOUSE_DATABASE": settings.clickhouse_database, "CLOCK": f"offset:{_offset()}"}
    environment = {f"HAILONG_{name}": value for name, value in ours.items()}
    wiring = Wiring(load(environment))
    wiring.keys.make_missing(DAY)
    migrate(wiring.settings.ledger)
    ledger, made = wiring.ledger("test"), looked(settings)
    with ledger.begin() as tx:
        tx.keep_look(made.fact, made.steps, AT)
        tx.close_alert(made.steps[0].alert_id, "confirmed", 1, "minh", AT)
    ledger.close()

    def run(*arguments: str) -> int:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            with pytest.raises(SystemExit) as leaving:
                main(["--home", str(folder), *arguments])
        return int(leaving.value.code or 0)

    return run


def _offset() -> float:
    """So that it is the Monday of the look."""
    return (AT - datetime.now(LOCAL)).total_seconds()


def looked(settings: Settings, version: Any = None) -> Looked:
    store = Store(lambda: connect(settings), settings)
    return look(store.at(DAY, version), DAY, AT, "test", None)


def test_the_commands_tell_alerts_and_how_often_they_were_right(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("alerts", "list", "--json") == 0
    (alert,) = json.loads(capsys.readouterr().out)
    assert (alert["unit"], alert["about"], alert["verdict"], alert["open"]) == ("C02", "data", "confirmed", False)
    assert alert["doubt"]["period"] == week_name(DAY - EVERY)
    assert command("alerts") == 0
    assert "C02: up to the end of week" in capsys.readouterr().out
    assert command("alerts", "precision", "--json") == 0
    silence = next(one for one in json.loads(capsys.readouterr().out) if one["detector"] == "silence")
    assert (silence["raised"], silence["confirmed"], silence["precision"]) == (1, 1, 1.0)
    assert command("alerts", "precision") == 0
    assert "100 % (21–100)" in capsys.readouterr().out


def test_the_commands_tell_which_units_are_too_quiet(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("alerts", "quiet", "--json") == 0
    quiet = json.loads(capsys.readouterr().out)
    assert [one["unit"] for one in quiet] == ["C02", "C04", "C05", "C06", "C03"]
    assert quiet[0]["fall_unseen"] == {"months": None, "months_most": None}
    assert command("alerts", "quiet", "--all") == 0
    assert "6 of 6 units" in capsys.readouterr().out
    assert command("figures", "--json") == 0
    rows = {one["unit"]: one["fall_unseen_months"] for one in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["C02"] is None
    assert 1 < rows["C01"] < 12 < rows["C03"]


def test_nobody_drawn_is_no_difference(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("draw", "calls", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"passed": True, "drawn": {}, "before_strata": 0, "differences": []}


def test_a_look_at_its_version_is_the_same_whatever_came_after(settings: Settings) -> None:
    first = looked(settings)
    assert [(step.unit, step.kind) for step in first.steps] == [("C02", "silence")]
    assert first.fact.version[CLOSED] == {"0": len(endings(0, 40))}
    late = [closed(f"late-{n}", DAY - timedelta(days=9), "C02") for n in range(30)]
    Archive(connect(settings)).absorb(CLOSED, 0, list(enumerate([*late, *endings(40, 42)], start=len(endings(0, 40)))))
    assert looked(settings).steps == []
    version = {topic: {int(p): n for p, n in parts.items()} for topic, parts in first.fact.version.items()}
    again = looked(settings, version)
    assert [encode(f, AT) for f in (again.fact, *again.steps)] == [encode(f, AT) for f in (first.fact, *first.steps)]
