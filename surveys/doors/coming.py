"""``/did`` and ``/did/UNIT``: what came of answers. A unit says what people told it and what it did; nothing here leads to an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hailong.ports import Measure, Retryable
from surveys.answers.showing import Showing
from surveys.records import Records

PAGE: Final = PurePosixPath("/did")
SHOWN: Final = 30
"""So many stand on a page, the newest first."""


class Coming:
    """The pages."""

    def __init__(self, records: Records, showing: Showing) -> None:
        self._records = records
        self._showing = showing

    def routes(self) -> list[Route]:
        """Its addresses; before those that take any first word for a code."""
        return [Route(str(PAGE), self.everywhere, name="did"), Route(str(PAGE / "{unit}"), self.of_unit, name="did-unit")]

    async def everywhere(self, request: Request) -> Response:
        """``GET /did``: of every unit; 503."""
        try:
            found = await self._records.look(lambda view: view.measures(None, SHOWN))
        except Retryable as away:
            return self._away(request, PAGE, away)
        return self._page(request, PAGE, measures=found)

    async def of_unit(self, request: Request) -> Response:
        """``GET /did/UNIT``: of one unit; 404 for what is none; 503."""
        unit = str(request.path_params["unit"])
        try:
            name, found = await self._records.look(lambda view: (view.unit_name(unit), view.measures(unit, SHOWN)))
        except Retryable as away:
            return self._away(request, PAGE, away)
        if name is None:
            raise HTTPException(404)
        return self._page(request, PAGE / unit, name=name, measures=found)

    def _away(self, request: Request, address: PurePosixPath, away: Retryable) -> Response:
        return self._page(request, address, status=503, headers={"Retry-After": str(max(1, round(away.after)))})

    def _page(
        self,
        request: Request,
        address: PurePosixPath,
        *,
        name: str = "",
        measures: Sequence[Measure] = (),
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        state = "away" if status != 200 else "some" if measures else "none"
        lang, pages = self._showing.language(request), self._showing.pages
        turned = pages.turned(f"{address}?")
        return pages.respond("did.html", lang, status, headers, state=state, name=name, measures=measures, turned=turned)
