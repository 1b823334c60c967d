"""``hailong coverage``: whose voice is missing, and what it could do to the figures."""

from __future__ import annotations

from typing import Annotated

import typer

from dashboard.view import question
from dashboard.voices import PROVINCE, Voice, voices, voices_json
from hailong.domain.shares import Share
from hailong.domain.units import LOCAL
from hailong.ports import Invalid
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.local.refusal import Refusal
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.stated import ClickHouseStated

_HEADER = (
    "unit",
    "endings known",
    "heard",
    "asked",
    "reached",
    "answered",
    "observed",
    "if the silent lean",
    "worst case",
    "portal's index",
)


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(coverage)


def coverage(
    ctx: typer.Context,
    month_from: Annotated[str | None, typer.Option("--from", help="first month, YYYY-MM")] = None,
    month_to: Annotated[str | None, typer.Option("--to", help="last month")] = None,
    view_of: Annotated[str | None, typer.Option("--view", help="the units of this day, YYYY-MM-DD; else as they were")] = None,
    unit: Annotated[str | None, typer.Option(help="this unit and all below it")] = None,
    level: Annotated[str | None, typer.Option(help="province | department | centre | district | commune | other")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Whose voice is missing: endings known, heard of, asked, reached, answered; and three figures: observed, if the silent differ as those
    called did, and the worst case."""
    given = {"from": month_from, "to": month_to, "view": view_of, "unit": unit, "level": level}
    with wired(ctx, data) as w:
        try:
            asked = question({name: value for name, value in given.items() if value})
        except Invalid as wrong:
            raise Refusal(f"--{wrong.field}: {wrong.detail}", wrong_use=True) from wrong
        client = w.clickhouse()
        store = ClickHouseFigures(client, w.settings.registry_id, w.settings.default_target)
        totals = ClickHouseStated(client, w.settings.registry_id).totals()
        lines = voices(store, totals, asked, store.version(), w.clock.now().astimezone(LOCAL).date())
    if as_json:
        print_json({"rows": voices_json(lines)})
        return
    say("For the quality office: do not publish. Where the portal's totals are not imported, what hailong never heard of is not in it.")
    print_table(_HEADER, map(_row, lines), title="coverage")


def _row(v: Voice) -> list[str]:
    portal = v.cover.basis == "portal"
    known = f"{v.cover.ended_known}{'' if portal else ' (heard of)'}"
    steps = [_share(one) for one in (v.shares.heard, v.shares.asked, v.shares.reached, v.shares.answered)]
    index = "" if v.shadow is None else f"{100 * v.shadow.low:.1f}–{100 * v.shadow.high:.1f} %"
    return ["all" if v.unit == PROVINCE else v.name, known, *steps, *_three(v), index]


def _three(v: Voice) -> list[str]:
    if v.three is None:
        return ["few", "", ""]
    seen, leaning, worst = v.three.observed, v.three.sensitivity, v.three.worst_case
    texts = [f"{100 * e.value:.1f} % ({100 * e.low:.0f}–{100 * e.high:.0f})" if e else "" for e in (seen, leaning)]
    return [*texts, f"{100 * worst.low:.0f}–{100 * worst.high:.0f} %"]


def _share(one: Share | None) -> str:
    return "" if one is None or not one.n else f"{100 * one.k / one.n:.0f} %"
