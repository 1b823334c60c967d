"""The way back: headers, compression, and how a result that fails half-way ends."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field

from aiohttp import web

from ops.store import encodings, failures
from ops.store.engine import Counts

_BIG = 65536  # above this, compressing is worth a thread


@dataclass(frozen=True, slots=True)
class Manner:
    """How this client wants its answer."""

    query_id: str
    format: str
    timezone: str
    accepts: str = ""
    tag: str = field(default_factory=lambda: secrets.token_hex(8))

    def headers(self) -> dict[str, str]:
        """Headers of every answer, with or without an error."""
        shown = {"X-ClickHouse-Format": self.format} if self.format else {}
        return shown | {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": self.timezone,
            "X-ClickHouse-Exception-Tag": self.tag,
            "X-ClickHouse-Server-Display-Name": "store",
            "Content-Type": content_type(self.format),
        }


def content_type(format_name: str) -> str:
    """The media type a ClickHouse server names for an output format."""
    name = format_name.lower()
    if name.startswith(("tabseparated", "tsv", "raw")):
        return "text/tab-separated-values; charset=UTF-8"
    if name.startswith("csv"):
        return f"text/csv; charset=UTF-8; header={'present' if 'withnames' in name else 'absent'}"
    if "eachrow" in name and name.startswith("json"):
        return "application/x-ndjson; charset=UTF-8"
    if name.startswith("json"):
        return "application/json; charset=UTF-8"
    if name.startswith(("native", "rowbinary", "arrow", "parquet", "orc", "avro", "msgpack", "protobuf", "capnproto", "npy")):
        return "application/octet-stream"
    return "text/xml; charset=UTF-8" if name == "xml" else "text/plain; charset=UTF-8"


def summary(counts: Counts) -> str:
    """X-ClickHouse-Summary: numbers as strings, as a server sends them."""
    return json.dumps(
        {
            "read_rows": str(counts.read_rows),
            "read_bytes": str(counts.read_bytes),
            "written_rows": str(counts.written_rows),
            "written_bytes": str(counts.written_bytes),
            "total_rows_to_read": str(counts.read_rows),
            "result_rows": str(counts.result_rows),
            "elapsed_ns": str(counts.elapsed_ns),
        },
        separators=(",", ":"),
    )


async def whole(manner: Manner, body: bytes, counts: Counts) -> web.Response:
    """A result that is there as a whole."""
    headers = manner.headers() | {"X-ClickHouse-Summary": summary(counts)}
    packing = encodings.encoder(manner.accepts)
    if packing is not None and body:
        headers["Content-Encoding"], encoder = packing
        body = await _packed(encoder, body) + encoder.finish()
    return web.Response(body=body, headers=headers)


def error(refused: failures.Refused, version: str, manner: Manner | None = None) -> web.Response:
    """An error before the first byte of a result."""
    headers = (manner.headers() if manner else {}) | {
        "X-ClickHouse-Exception-Code": str(refused.code),
        "Content-Type": "text/plain; charset=UTF-8",
    }
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    if refused.status == 503:
        headers["Retry-After"] = "1"
    return web.Response(status=refused.status, headers=headers, text=with_version(refused, version))


def with_version(refused: failures.Refused, version: str) -> str:
    """The text clients parse, ended as a server ends it."""
    return f"{refused.text} (version {version} (official build))\n"


class Stream:
    """A result that is sent while it is made."""

    def __init__(self, request: web.Request, manner: Manner) -> None:
        packing = encodings.encoder(manner.accepts)
        headers = manner.headers()
        self._encoder: encodings.Encoder | None = None
        if packing is not None:
            headers["Content-Encoding"], self._encoder = packing
        self._request, self._tag = request, manner.tag
        self.response = web.StreamResponse(headers=headers)

    async def send(self, data: bytes) -> None:
        """Waits until the client has room for it."""
        if not self.response.prepared:
            self.response.enable_chunked_encoding()
            await self.response.prepare(self._request)
        await self.response.write(await _packed(self._encoder, data) if self._encoder else data)

    async def end(self) -> None:
        if self._encoder:
            await self.response.write(self._encoder.finish())
        await self.response.write_eof()

    async def fail(self, text: str) -> None:
        """Tells the error in the stream, then cuts the connection without the last chunk: nobody takes half for whole."""
        block = failures.in_stream(text, self._tag)
        await self.response.write(self._encoder.encode(block) + self._encoder.finish() if self._encoder else block)
        if self._request.transport is not None:
            self._request.transport.close()


async def _packed(encoder: encodings.Encoder, data: bytes) -> bytes:
    return await asyncio.to_thread(encoder.encode, data) if len(data) > _BIG else encoder.encode(data)
