"""``POST /v1/dossiers``: endings of dossiers over HTTP, a bearer key for each source.

202 is a promise: the ledger has committed and the broker has acknowledged. Ledger or broker away: 503, and the source sends the same
again. Nothing of what a source sends is logged or repeated in an answer; an answer names fields and reasons only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import math
import re
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hailong import telemetry
from hailong.domain.dossier import FIELDS, unknown_fields
from hailong.ports import Clock, Permanent, Retryable
from producers.desk import Desk, ItemResult, SourcePaused
from web.headers import Policy, SecurityHeaders
from web.health import Check
from web.health import routes as health_routes
from web.limits import BodyLimit, Buckets

MOST_ITEMS: Final = 500
MOST_BYTES: Final = 2 * 1024 * 1024
DRAIN_EVERY_S: Final = 3.0
_SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_THREADS: Final = 8
_Answer = TypeVar("_Answer")


class KeysError(Exception):
    """The file of bearer keys cannot be used; the message names file, cause and next step."""


def load_keys(path: Path) -> dict[str, bytes]:
    """Source → SHA-256 of its bearer key, from a TOML file (``one-stop = "9f86d0…"``, or a list of two while keys are changed).

    The keys of the result are ``source`` or ``source#n``. Raises KeysError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise KeysError(f'{path}: cannot be read as TOML ({type(e).__name__}). Write lines like one-stop = "SHA-256 of its key"') from None
    keys: dict[str, bytes] = {}
    for source, value in document.items():
        if not _SOURCE.fullmatch(source):
            raise KeysError(f"{path}: a source's name must be small letters, digits and hyphens, at most 32; rename {source!r}")
        for n, one in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(one, str) or not _HASH.fullmatch(one):
                raise KeysError(f"{path}: {source}: not a SHA-256 in 64 hexadecimal digits. Make it with: printf %s KEY | sha256sum")
            keys[f"{source}#{n}"] = bytes.fromhex(one)
    if not keys:
        raise KeysError(f'{path}: names no source. Write a line like one-stop = "SHA-256 of its key"')
    return keys


def source_of(authorization: str, keys: Mapping[str, bytes]) -> str | None:
    """The source whose key this is. Every key is compared, each in constant time, so that no answer is faster than another."""
    scheme, _, key = authorization.partition(" ")
    offered = hashlib.sha256(key.strip().encode()).digest()
    found = [name.partition("#")[0] for name, known in keys.items() if hmac.compare_digest(offered, known)]
    return found[0] if found and scheme.lower() == "bearer" else None


class Refusal(Exception):
    """A request that is answered with an error: ``{"error": {"code", "message"}}``."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def answer(self, more: Mapping[str, str] | None = None) -> JSONResponse:
        """The response; ``more``: headers beside its own."""
        headers = dict(more or {})
        if self.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": {"code": self.code, "message": self.message}}, self.status, headers)


_SAID: Final = {
    404: ("not_found", "There is nothing here. Dossiers are sent to POST /v1/dossiers."),
    405: (
        "method_not_allowed",
        "This address does not take such a request; Allow names what it takes. Send dossiers with POST /v1/dossiers.",
    ),
    413: ("too_large", f"At most {MOST_BYTES // 1024 // 1024} MiB and {MOST_ITEMS} dossiers in one request. Send several."),
}


class Intake:
    """The site's handlers."""

    def __init__(
        self,
        desk: Desk,
        keys: Mapping[str, bytes],
        clock: Clock,
        check_broker: Callable[[], None],
        rate: float,
        monotonic: Callable[[], float],
        close: Callable[[], None] | None,
    ) -> None:
        self._desk = desk
        self._keys = keys
        self._clock = clock
        self._check_broker = check_broker
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="intake")
        self._buckets = Buckets(rate * 10, 10.0, monotonic)
        self._log = telemetry.log("intake")
        self._outbox = "ok"
        self._close = close

    async def dossiers(self, request: Request) -> Response:
        """``POST /v1/dossiers``: one item or a list."""
        try:
            return await self._answered(request)
        except Refusal as refusal:
            return refusal.answer()
        except HTTPException:
            raise
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to be answered
        except Exception as error:
            # Here and not in the server: what it writes of an error may repeat what a person sent.
            self._log.error("request failed", **telemetry.failure(error))
            return Refusal(500, "failed", "hailong failed here; the error is logged without what you sent. Ask operations.").answer()

    async def _answered(self, request: Request) -> JSONResponse:
        source = source_of(request.headers.get("authorization", ""), self._keys)
        if source is None:
            raise Refusal(401, "unauthorized", "No known key. Send Authorization: Bearer KEY with the key of your source.")
        if (
            request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json"
            or "content-encoding" in request.headers
        ):
            raise Refusal(415, "unsupported_media_type", "Send application/json in UTF-8, not compressed.")
        bucket = self._buckets.of(source)
        if not bucket.take():
            raise Refusal(
                429, "too_many_requests", "More requests than this source may send. Put up to 500 dossiers in one.", bucket.wait()
            )
        items = _items(await request.body())
        results = [_noted(result, items[result.index]) for result in await self._taken(items, source)]
        self._log.info("items taken", source=source, items=len(items), accepted=sum(r.status == 202 for r in results))
        return _answer(results)

    async def _taken(self, items: Sequence[Any], source: str) -> list[ItemResult]:
        try:
            return await self._aside(lambda: self._desk.take(items, source, self._clock.now()))
        except SourcePaused as paused:
            raise Refusal(
                429, "source_paused", "This source is paused: too much of what it sent cannot be used. Ask operations.", 300
            ) from paused
        except Retryable as away:
            self._log.warning("not taken", source=source, reason=away.reason)
            raise Refusal(
                503, "unavailable", "Not acknowledged; nothing is lost. Send the same again later.", max(1.0, away.after)
            ) from away
        except Permanent as never:
            self._log.error("not taken", source=source, reason=never.reason)
            raise Refusal(500, "not_taken", "This cannot be taken. Ask operations; sending it again will not help.") from never

    async def _aside(self, work: Callable[[], _Answer]) -> _Answer:
        """Run what waits for ledger or broker in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def checks(self) -> list[Check]:
        """What the site depends on."""

        async def ledger() -> None:
            await self._aside(self._desk.check_ledger)

        async def broker() -> None:
            await self._aside(self._check_broker)

        async def outbox() -> None:
            if self._outbox != "ok":
                raise Retryable(self._outbox)

        return [Check("ledger", ledger), Check("kafka", broker, timeout=6.0), Check("outbox", outbox, needed=False)]

    async def _drain(self) -> None:
        """At the start and then every few seconds: what an earlier process or a broken request left in the outbox."""
        while True:
            self._outbox = await self._drained()
            await asyncio.sleep(DRAIN_EVERY_S)

    async def _drained(self) -> str:
        """``ok``, or why the outbox is not empty."""
        try:
            if drained := await self._aside(self._desk.drain):
                self._log.info("outbox drained", facts=drained)
            return "ok"
        except Exception as error:  # whatever it is: it is tried again, and /readyz tells it until then
            self._log.warning("outbox not drained", **telemetry.failure(error))
            return error.reason if isinstance(error, Retryable | Permanent) else type(error).__name__

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Drains while the site runs."""
        draining = asyncio.create_task(self._drain())
        try:
            yield
        finally:
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining
            self._pool.shutdown(wait=True)
            if self._close:
                self._close()


def build_intake(
    desk: Desk,
    keys: Mapping[str, bytes],
    clock: Clock,
    check_broker: Callable[[], None],
    *,
    requests_per_second: float = 100.0,
    monotonic: Callable[[], float] = time.monotonic,
    close: Callable[[], None] | None = None,
) -> Starlette:
    """The intake as an ASGI application. ``check_broker`` raises Retryable while the broker does not answer; ``keys`` as ``load_keys``
    gives them; ``requests_per_second`` holds for each source, tenfold at once; ``close`` is called when the site has stopped.
    """
    intake = Intake(desk, keys, clock, check_broker, requests_per_second, monotonic, close)
    routes = [*health_routes(intake.checks()), Route("/v1/dossiers", intake.dossiers, methods=["POST"], name="dossiers")]
    layers = [Middleware(SecurityHeaders, policy=Policy(styles="'none'")), Middleware(BodyLimit, limit=MOST_BYTES)]
    handlers: dict[Any, Any] = {HTTPException: _http_error}
    return Starlette(routes=routes, middleware=layers, exception_handlers=handlers, lifespan=intake.lifespan)


def _items(body: bytes) -> list[Any]:
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "not_json", "The body is not JSON in UTF-8.") from None
    if isinstance(sent, dict) and not FIELDS & sent.keys() and any(isinstance(value, list) for value in sent.values()):
        raise Refusal(422, "not_an_item", "A list inside an object. Send the array of dossiers itself, or one dossier as an object.")
    items = sent if isinstance(sent, list) else [sent]
    if not items:
        raise Refusal(422, "no_items", "The list is empty. Send a dossier or a list of dossiers.")
    if len(items) > MOST_ITEMS:
        raise Refusal(413, *_SAID[413])
    return items


def _noted(result: ItemResult, item: Any) -> ItemResult:
    """With a note for each field hailong does not know: a misspelt one says so, whether the item was taken or not."""
    unknown = unknown_fields(item)
    return replace(result, notes=(*result.notes, *unknown)) if unknown else result


def _answer(results: Sequence[ItemResult]) -> JSONResponse:
    """202 when any item was accepted; else 409 when all are in conflict, 422 otherwise."""
    accepted = sum(result.status == 202 for result in results)
    body: dict[str, Any] = {"accepted": accepted, "items": [result.as_json() for result in results]}
    if accepted:
        return JSONResponse(body, 202)
    if all(result.status == 409 for result in results):
        error = {"code": "conflict", "message": "The same act of the same dossier came before with another content."}
        return JSONResponse(body | {"error": error}, 409)
    return JSONResponse(body | {"error": {"code": "all_refused", "message": "No item can be taken; each says field and reason."}}, 422)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    code, message = _SAID.get(status, ("error", "The request cannot be answered."))
    return Refusal(status, code, message).answer(headers)
