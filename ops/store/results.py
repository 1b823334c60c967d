"""Results of queries on their way to the client: made block by block or through a pipe, never whole in memory unless small or asked for."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from aiohttp import web

from ops.store import answers, failures, statements
from ops.store.asks import Ask
from ops.store.engine import Blocks, Counts, Handle, query_into

# Runs engine work in a thread; `killable` is the id of the query to end when the client leaves.
Call = Callable[..., Awaitable[Any]]

_PIECE = 1024 * 1024
_HOLD = 65536  # a result shorter than this is sent as a whole, with its summary and a true status
_SPOOL = 16 * 1024 * 1024  # above this, a result that is waited for waits on disk


class Result(Protocol):
    """A running query. pieces() raises failures.Refused, also half-way; counts are known after its end."""

    counts: Counts

    def pieces(self) -> AsyncGenerator[bytes, None]: ...


class Blockwise:
    """Native, block by block: each block reaches the client as soon as it is there."""

    def __init__(self, call: Call, handle: Handle, ask: Ask, text: bytes) -> None:
        self._call, self._handle, self._ask, self._text = call, handle, ask, text
        self.counts = Counts()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        ask = self._ask
        blocks, first = await self._call(_begin, self._handle, self._text, ask, killable=ask.query_id)
        try:
            for block in first:
                yield block
            while not blocks.ended and (block := await self._call(blocks.fetch, killable=ask.query_id)) is not None:
                yield block
            self.counts = blocks.counts
        finally:
            if not blocks.ended:
                await asyncio.shield(asyncio.ensure_future(self._call(blocks.cancel)))


def _begin(handle: Handle, text: bytes, ask: Ask) -> tuple[Blocks, list[bytes]]:
    """Starts a query and fetches as much as is held back anyway; most results are no longer, and need one trip to a thread only."""
    blocks = handle.blocks(text, ask.binds)
    first: list[bytes] = []
    while len(first) < 2 and sum(map(len, first)) < _HOLD and (block := blocks.fetch()) is not None:
        first.append(block)
    return blocks, first


class Piped:
    """Any format, written by the engine into a pipe, so that heads, totals and feet are right and memory stays small."""

    def __init__(self, call: Call, handle: Handle, ask: Ask, statement: statements.Statement, text: bytes) -> None:
        self._call, self._handle, self._ask, self._statement, self._text = call, handle, ask, statement, text
        self.counts = Counts()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        ask = self._ask
        reading, writing = os.pipe()
        reader = asyncio.StreamReader(limit=_PIECE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
        )
        arguments = (self._handle, self._text, self._statement, ask.default_format, ask.binds, writing)
        work = asyncio.ensure_future(self._call(query_into, *arguments, killable=ask.query_id))
        try:
            while piece := await reader.read(_PIECE):
                yield piece
            self.counts = await work
        finally:
            transport.close()
            if not work.done():
                work.cancel()
                await asyncio.wait([work])


async def send(request: web.Request, manner: answers.Manner, result: Result, version: str) -> web.StreamResponse:
    """Holds the beginning back until it is long enough or a second piece comes; until then an error has its true status."""
    stream = answers.Stream(request, manner)
    held = bytearray()
    try:
        async with aclosing(result.pieces()) as pieces:
            async for piece in pieces:
                if not stream.response.prepared and not held and len(piece) < _HOLD:
                    held += piece
                    continue
                await stream.send(bytes(held) + piece)
                held.clear()
    except failures.Refused as refused:
        if not stream.response.prepared:
            raise
        await stream.fail(answers.with_version(refused, version))
        return stream.response
    if not stream.response.prepared:
        return await answers.whole(manner, bytes(held), result.counts)
    await stream.end()
    return stream.response


async def send_whole(request: web.Request, manner: answers.Manner, result: Result) -> web.StreamResponse:
    """wait_end_of_query: nothing is sent before the query has succeeded."""
    with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
        async with aclosing(result.pieces()) as pieces:
            async for piece in pieces:
                spool.write(piece)
        size = spool.tell()
        spool.seek(0)
        if size <= _SPOOL:
            return await answers.whole(manner, spool.read(), result.counts)
        stream = answers.Stream(request, manner)
        stream.response.headers["X-ClickHouse-Summary"] = answers.summary(result.counts)
        while piece := spool.read(_PIECE):
            await stream.send(piece)
        await stream.end()
        return stream.response
