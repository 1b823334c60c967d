"""``/questionnaire``: what is asked, all languages side by side, by form and ending."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import Response

from dashboard.gate import Gate
from hailong.domain.access import Role
from hailong.events import Form, Outcome

Rows = Callable[[str, str], Sequence[Mapping[str, Any]]]
"""(form, ending) → as ``hailong questionnaire --json`` prints them."""
ROLES: Final[frozenset[Role]] = frozenset({"quality_officer", "administrator"})
ENDINGS: Final = tuple(one for one in get_args(Outcome) if one != "supplement_requested")


def page(rows: Rows, gate: Gate) -> Callable[[Request], Awaitable[Response]]:
    """The handler. What an address asks for that is not known is the usual."""

    async def show(request: Request) -> Response:
        form, ending = request.query_params.get("form", ""), request.query_params.get("ending", "")
        form = form if form in get_args(Form) else "full"
        ending = ending if ending in ENDINGS else ENDINGS[0]
        return gate.shown(
            request,
            "questionnaire.html",
            asked=rows(form, ending),
            form=form,
            forms=get_args(Form),
            ending=ending,
            endings=ENDINGS,
            turned=gate.pages.turned(f"/questionnaire?form={form}&ending={ending}&"),
        )

    return show
