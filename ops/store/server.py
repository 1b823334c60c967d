"""The HTTP side: takes a request through authentication, admission, session and engine, and sends the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from ops.store import answers, asks, failures, results, statements
from ops.store.asks import Ask
from ops.store.engine import Counts, Engine, Handle
from ops.store.sessions import Session, Sessions

T = TypeVar("T")

MAX_RUNNING = 32
MAX_WAITING = 224
_PIECE = 1024 * 1024  # data goes to the engine in pieces of this size
_READING = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "USE", "SET", "CHECK", "VALUES"})


class Store:
    """The running store. `password` empty: nobody is asked."""

    def __init__(self, engine: Engine, password: str = "") -> None:
        self._engine = engine
        self._password = password
        self._pool = ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix="query")
        self._room = asyncio.Semaphore(MAX_RUNNING)
        self._admitted = 0
        self._running: set[str] = set()
        self._sessions = Sessions(engine.handle)

    def app(self) -> web.Application:
        """The routes; `/` answers queries."""
        app = web.Application(client_max_size=2**40)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_get("/", self._answer)
        app.router.add_post("/", self._answer)
        app.router.add_route("*", "/{rest:.*}", _unknown)
        return app

    def sweep(self, now: float) -> None:
        """Ends forgotten sessions; call every few seconds."""
        self._sessions.sweep(now)

    async def close(self) -> None:
        """Ends what still runs, then frees the engine."""
        for query_id in list(self._running):
            await asyncio.to_thread(self._engine.kill, query_id)
        await asyncio.to_thread(self._pool.shutdown)
        self._sessions.close()
        self._engine.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        manner: answers.Manner | None = None
        try:
            self._admit_client(request)
            ask = await asks.read(request)
            if not ask.text and request.method != "POST":
                return web.Response(text="Ok.\n")
            zone = ask.settings.get("session_timezone") or self._engine.timezone
            manner = answers.Manner(ask.query_id, ask.default_format, zone, ask.accepts)
            async with self._admission(ask):
                return await self._work(request, ask, manner)
        except failures.Refused as refused:
            return answers.error(refused, self._engine.version, manner)

    def _admit_client(self, request: web.Request) -> None:
        if self._password:
            asks.allowed(request, self._password)
        origin = request.headers.get("Origin")
        # A page from elsewhere in someone's browser must not reach a store that asks for no password.
        if origin and not self._password and urlsplit(origin).hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise failures.Refused(failures.ACCESS_DENIED, "Requests of pages from other origins are not answered")

    @asynccontextmanager
    async def _admission(self, ask: Ask) -> AsyncIterator[None]:
        if self._admitted >= MAX_RUNNING + MAX_WAITING:
            raise failures.Refused(failures.TOO_MANY_QUERIES, "Too many simultaneous queries; try again in a second")
        if ask.query_id in self._running:
            raise failures.Refused(failures.SAME_ID_RUNNING, f"Query with id = {ask.query_id} is already running.")
        self._admitted += 1
        self._running.add(ask.query_id)
        try:
            async with self._room:
                yield
        finally:
            self._admitted -= 1
            self._running.discard(ask.query_id)

    async def _call(self, work: Callable[..., T], *args: object, killable: str = "") -> T:
        """Runs engine work in a thread. If the client leaves meanwhile: ends the query that `killable` names, and waits for the thread."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                if killable:
                    await asyncio.to_thread(self._engine.kill, killable)
                await asyncio.wait([future], timeout=0.5)
            future.exception()  # seen: the client who asked has gone
            raise

    async def _work(self, request: web.Request, ask: Ask, manner: answers.Manner) -> web.StreamResponse:
        text, rest, statement = await _statement(request, ask)
        _permit(statement, ask)
        manner = replace(manner, format=_format(statement, ask))
        async with self._context(ask) as (handle, session):
            try:
                if statement.kind in {"insert", "insert_input"}:
                    return await self._insert(handle, ask, manner, statement, text, rest)
                if statement.kind == "rows":
                    return await self._rows(request, handle, ask, manner, statement, text)
                return await self._other(handle, session, ask, manner, statement, text)
            except failures.Refused as refused:
                raise failures.in_default_database(refused, text) from refused

    @asynccontextmanager
    async def _context(self, ask: Ask) -> AsyncIterator[tuple[Handle, Session | None]]:
        """A handle with the request's database, settings and external tables; what it leaves behind is taken back."""
        loop = asyncio.get_running_loop()
        session = None
        if ask.session_id:
            session = self._sessions.take(ask.session_id, ask.session_timeout, ask.session_check, loop.time())
        handle: Handle | None = session.handle if session else None
        try:
            if handle is None:
                handle = await self._call(self._engine.handle)
            await self._call(_prepare, handle, session, ask)
            yield handle, session
        finally:
            if session is not None:
                try:
                    await asyncio.shield(self._call(_take_back, session, ask))
                finally:
                    self._sessions.give_back(ask.session_id, loop.time(), ask.close_session)
            elif handle is not None:
                await asyncio.shield(self._call(handle.close))

    async def _other(
        self, handle: Handle, session: Session | None, ask: Ask, manner: answers.Manner, statement: statements.Statement, text: bytes
    ) -> web.StreamResponse:
        sql = text
        if statement.verb == "KILL":
            sql = statements.kill_by_given_id(sql)
        body, counts = await self._call(handle.run, sql, ask.binds, killable=ask.query_id if _reads(statement) else "")
        if session is not None and statement.verb == "SET":
            session.settings.append(sql)
        if session is not None and statement.verb == "USE":
            session.database = (await self._call(handle.run, "SELECT currentDatabase() FORMAT TSVRaw"))[0].decode().strip()
        return await answers.whole(manner, body, counts)

    async def _insert(
        self, handle: Handle, ask: Ask, manner: answers.Manner, statement: statements.Statement, text: bytes, rest: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        head = statements.insert_head(text, statement)
        first = text[statement.data_at :]
        if statement.kind == "insert_input":
            table, structure, head = statements.input_table(head)
            await self._call(_create_table, handle, table, structure)
            await self._fill(handle, f"INSERT INTO {table}", statement.format, first, rest)
            counts = (await self._call(handle.run, head, ask.binds))[1]
            await self._call(handle.run, f"DROP TEMPORARY TABLE {table}")
        else:
            if ask.binds:
                await self._call(handle.bind, ask.binds)
            counts = await self._fill(handle, head, statement.format, first, rest)
        return await answers.whole(manner, b"", counts)

    async def _fill(self, handle: Handle, head: str | bytes, data_format: str, first: bytes, rest: AsyncIterator[bytes]) -> Counts:
        """Passes data on in pieces of a megabyte; a client that leaves half-way leaves nothing that was not finished."""
        insert = await self._call(handle.insert, head, data_format)
        piece = bytearray(first)
        try:
            async for data in rest:
                piece += data
                if len(piece) >= _PIECE:
                    await self._call(insert.append, bytes(piece))
                    piece.clear()
            return await self._call(insert.finish, bytes(piece))
        except BaseException:
            await asyncio.shield(self._call(insert.cancel))
            raise

    async def _rows(
        self, request: web.Request, handle: Handle, ask: Ask, manner: answers.Manner, statement: statements.Statement, text: bytes
    ) -> web.StreamResponse:
        if _by_blocks(statement, manner):
            result: results.Result = results.Blockwise(self._call, handle, ask, text)
        else:
            result = results.Piped(self._call, handle, ask, statement, text)
        if ask.whole_first:
            return await results.send_whole(request, manner, result)
        return await results.send(request, manner, result, self._engine.version)


async def _statement(request: web.Request, ask: Ask) -> tuple[bytes, AsyncIterator[bytes], statements.Statement]:
    """Reads the body until the statement is known; an INSERT's data is left in the iterator."""
    rest = _nothing() if ask.body_read or request.method == "GET" else asks.body(request)
    text = bytearray(ask.text)
    looked_at = 0
    if text and not ask.body_read:
        text += b"\n"
    async for piece in rest:
        text += piece
        if len(text) >= 2 * looked_at:
            looked_at = len(text)
            statement = statements.read(bytes(text), whole=False)
            if statement.data_at >= 0:
                return bytes(text), rest, statement
        if len(text) > asks.MAX_QUERY_BYTES:
            raise failures.Refused(failures.QUERY_IS_TOO_LARGE, f"The query is longer than {asks.MAX_QUERY_BYTES} bytes")
    return bytes(text), rest, statements.read(bytes(text))


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for piece in empty:
        yield piece


def _format(statement: statements.Statement, ask: Ask) -> str:
    """The format of the result; empty for statements that have none."""
    if statement.kind == "rows" or statement.verb in {"CHECK", "KILL"}:
        return statement.format or (ask.default_format if statement.kind == "rows" else "TabSeparated")
    return ""


def _by_blocks(statement: statements.Statement, manner: answers.Manner) -> bool:
    """The engine streams the blocks of selects only."""
    return manner.format == "Native" and statement.verb in {"SELECT", "WITH", "FROM"}


def _reads(statement: statements.Statement) -> bool:
    return statement.verb in _READING


def _permit(statement: statements.Statement, ask: Ask) -> None:
    if statement.kind == "empty":
        raise failures.Refused(failures.SYNTAX_ERROR, "Empty query")
    if statement.kind == "several":
        raise failures.Refused(failures.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    if statement.touches_files:
        raise failures.Refused(failures.ACCESS_DENIED, "Reading and writing files of the server's machine by SQL is not allowed")
    if ask.reads_only and not _reads(statement):
        raise failures.Refused(
            failures.READONLY,
            "Cannot execute query in readonly mode. Over HTTP, method GET implies readonly; use POST for queries that modify data",
        )


def _prepare(handle: Handle, session: Session | None, ask: Ask) -> None:
    """log_comment carries the query id, so that the query can be found and ended."""
    if ask.database or session is not None:
        handle.use(ask.database or (session.database if session else "default"))
    handle.set({**ask.settings, "log_comment": ask.query_id})
    if session:
        session.borrowed = list(ask.settings)
    for table in ask.tables:
        _create_table(handle, table.name, table.structure)
        insert = handle.insert(f"INSERT INTO {table.name}", table.format)
        insert.append(table.data)
        insert.finish()


def _take_back(session: Session, ask: Ask) -> None:
    """Settings of one request do not outlive it; those of the session's own SET statements do."""
    session.handle.unset(session.borrowed)
    session.borrowed = []
    for sql in session.settings:
        session.handle.run(sql)
    for table in ask.tables:
        session.handle.run(f"DROP TEMPORARY TABLE IF EXISTS {table.name}")


def _create_table(handle: Handle, name: str, structure: str) -> None:
    handle.run(f"CREATE TEMPORARY TABLE {name} ({structure}) ENGINE = Memory")


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _unknown(request: web.Request) -> web.Response:
    return web.Response(status=404, text=f"There is no handle {request.path}\n\nUse / or /ping for health checks.\n")
