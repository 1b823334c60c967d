"""``/did``: you said, we did. An officer writes what people told a unit and what it did; citizens read it on the survey site.

Nothing is published at the first button: first the writer sees what citizens would see, with whatever names a person masked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.access import Who
from dashboard.gate import Gate, who_of
from dashboard.scope import codes_within
from dashboard.view import collated
from hailong.domain.access import Role
from hailong.domain.masking import LIMIT
from hailong.domain.measures import FIELDS, OLDEST, Prepared, Written, prepared
from hailong.domain.units import LOCAL, Registry
from hailong.events import UnitChanged
from hailong.ports import Clock, Invalid, Measure
from web.assembly import by_method

PAGE: Final = "/did"
MAY: Final[frozenset[Role]] = frozenset({"unit_officer", "quality_officer"})
BODY: Final = 49_152
"""Bytes of a form: four texts of Vietnamese letters, each of them nine bytes on its way."""
LISTED: Final = 100
_DONE: Final = ("published", "corrected", "withdrawn")


class MeasureReader(Protocol):
    """Looking."""

    def units(self) -> list[UnitChanged]: ...
    def written_measures(self, units: Collection[str] | None, limit: int) -> list[Written]: ...
    def written_measure(self, number: int) -> Written | None: ...


class MeasureTransaction(Protocol):
    """Writing, with the trail."""

    def put_measure(self, measure: Measure, by: str, now: datetime) -> int: ...
    def correct_measure(self, number: int, measure: Measure, by: str, now: datetime) -> int: ...
    def withdraw_measure(self, number: int, by: str, now: datetime) -> bool: ...


class MeasureLedger(Protocol):
    """Every method raises Retryable when it is away."""

    def begin(self) -> AbstractContextManager[MeasureTransaction]: ...
    def read(self) -> AbstractContextManager[MeasureReader]: ...


class MeasurePages:
    """The handlers. ``survey``: origin of the survey site, empty where it is not known."""

    def __init__(self, gate: Gate, ledger: MeasureLedger, clock: Clock, survey: str = "") -> None:
        self._gate = gate
        self._ledger = ledger
        self._clock = clock
        self._survey = survey

    def routes(self) -> list[Route]:
        """Its address."""
        page = by_method(self._gate.page(self.show, MAY), self._gate.page(self.take, MAY))
        return [Route(PAGE, page, methods=["GET", "POST"], name="measures")]

    async def show(self, request: Request) -> Response:
        """``GET /did``: the form and what was written; ``?correct=N``: the form with what stands."""
        number = _number(request.query_params.get("correct", ""))
        standing = await self._gate.ask(self._mine, who_of(request), number)
        done = request.query_params.get("done", "")
        if standing is None:
            return await self._page(request, done=done if done in _DONE else "")
        return await self._page(request, sent=_typed(standing.measure), standing=standing)

    async def take(self, request: Request) -> Response:
        """``POST /did``: ``step`` is ``preview``, ``change``, ``publish`` or ``withdraw``; 422 with what is wrong, what was typed stays."""
        sent, who = await self._gate.sent(request), who_of(request)
        number = _number(sent.get("number", ""))
        standing = await self._gate.ask(self._mine, who, number)
        if number is not None and standing is None:
            return await self._page(request, 422, wrong=Invalid("gone"))
        step = sent.get("step")
        if step == "withdraw" and standing is not None:
            await self._gate.ask(self._withdraw, standing.number, who.login)
            return self._gate.to(PAGE, request, done="withdrawn")
        if step not in ("preview", "change", "publish"):
            raise HTTPException(422)
        try:
            ready = await self._gate.ask(self._prepared, who, sent, standing)
            if step == "publish":
                await self._gate.ask(self._publish, ready.measure, standing, who.login)
                return self._gate.to(PAGE, request, done="corrected" if standing else "published")
        except Invalid as wrong:
            return await self._page(request, 422, wrong=wrong, sent=sent, standing=standing)
        return await self._page(request, sent=_typed(ready.measure), standing=standing, ready=ready if step == "preview" else None)

    # --- with the ledger

    def _mine(self, who: Who, number: int | None) -> Written | None:
        """What citizens see under this number, if this account may write about its unit."""
        if number is None:
            return None
        with self._ledger.read() as reader:
            found = reader.written_measure(number)
            if found is None or found.withdrawn_at is not None:
                return None
            mine = who.scope is None or found.measure.unit in codes_within(who.scope, Registry(reader.units()), self._today())
        return found if mine else None

    def _prepared(self, who: Who, sent: Mapping[str, str], standing: Written | None) -> Prepared:
        """Raises Invalid. A correction stays with its unit."""
        unit = standing.measure.unit if standing is not None else sent.get("unit", "")
        if standing is None and unit not in dict(self._units(who)):
            raise Invalid("unit", "unit", "choose a unit of the list")
        return prepared(unit, sent.get("day", ""), {field: sent.get(field, "") for field in FIELDS}, self._today())

    def _units(self, who: Who) -> list[tuple[str, str]]:
        """(code, name) of the units there are today that this account may write about."""
        today = self._today()
        with self._ledger.read() as reader:
            registry = Registry(reader.units())
        there = [(code, unit.name) for code in registry.codes() if (unit := registry.on(code, today)) is not None]
        mine = codes_within(who.scope, registry, today) if who.scope is not None else registry.codes()
        return sorted((unit for unit in there if unit[0] in mine), key=lambda unit: collated(unit[1]))

    def _publish(self, measure: Measure, standing: Written | None, by: str) -> None:
        with self._ledger.begin() as tx:
            if standing is None:
                tx.put_measure(measure, by, self._clock.now())
            else:
                tx.correct_measure(standing.number, measure, by, self._clock.now())

    def _withdraw(self, number: int, by: str) -> None:
        with self._ledger.begin() as tx:
            tx.withdraw_measure(number, by, self._clock.now())

    def _written(self, who: Who) -> list[Written]:
        with self._ledger.read() as reader:
            mine = None if who.scope is None else codes_within(who.scope, Registry(reader.units()), self._today())
            return reader.written_measures(mine, LISTED)

    def _today(self) -> date:
        return self._clock.now().astimezone(LOCAL).date()

    # --- the page

    async def _page(
        self, request: Request, status: int = 200, *, wrong: Invalid | None = None, done: str = "", sent: Mapping[str, str] | None = None,
        standing: Written | None = None, ready: Prepared | None = None,
    ) -> Response:  # fmt: skip
        """``standing``: what is being corrected; ``ready``: what would be published, then nothing else is shown."""
        who, today = who_of(request), self._today()
        units = await self._gate.ask(self._units, who)
        written = await self._gate.ask(self._written, who) if ready is None and standing is None else []
        at_first = {"unit": who.scope or "", "day": today.isoformat()}
        return self._gate.shown(
            request, "measures.html", status, units=units, sent=at_first | dict(sent or {}), standing=standing, ready=ready, wrong=wrong,
            done=done, shown=[one for one in written if one.withdrawn_at is None], past=[one for one in written if one.withdrawn_at],
            local=lambda at: at.astimezone(LOCAL).date(), limit=LIMIT, first=(today - OLDEST).isoformat(), today=today.isoformat(),
            unit_names=dict(units), survey=self._survey, listed=LISTED, full=len(written) == LISTED,
            turned=self._gate.pages.turned(f"{PAGE}?correct={standing.number}&" if standing and not ready else f"{PAGE}?"),
        )  # fmt: skip


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 10 else None


def _typed(measure: Measure) -> dict[str, str]:
    """A measure as the fields of the form."""
    texts = {f"{part}_{lang}": text for part, said in (("said", measure.said), ("did", measure.did)) for lang, text in said.items()}
    return {"unit": measure.unit, "day": measure.day.isoformat()} | texts
