"""Compressed bodies: gzip, deflate, zstd, lz4 in both directions, and ClickHouse's own framing of request bodies."""

from __future__ import annotations

import struct
import sys
import zlib
from typing import Final, Protocol

import lz4.block
import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from ops.store import failures

_FRAME_HEAD: Final = 16 + 9  # checksum, method, sizes
_METHODS: Final = {0x82: "lz4", 0x90: "zstd", 0x02: "none"}


class Decoder(Protocol):
    """Takes a body in pieces."""

    def decode(self, data: bytes) -> bytes: ...


class Encoder(Protocol):
    """Gives a body in pieces; finish() once at the end."""

    def encode(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class _Inflate:
    def __init__(self, name: str) -> None:
        wbits = {"gzip": 31, "deflate": 15}.get(name)
        self._new = (
            (lambda: zlib.decompressobj(wbits)) if wbits else (zstd.ZstdDecompressor if name == "zstd" else lz4.frame.LZ4FrameDecompressor)
        )
        self._stream = self._new()

    def decode(self, data: bytes) -> bytes:
        """Several streams behind each other are one body (gzip members, frames)."""
        out = bytearray()
        try:
            while data:
                if self._stream.eof:
                    self._stream = self._new()
                out += self._stream.decompress(data)
                data = self._stream.unused_data or b"" if self._stream.eof else b""
        except (zlib.error, zstd.ZstdError, RuntimeError) as error:
            raise failures.Refused(failures.CANNOT_DECOMPRESS, f"The body cannot be decompressed: {error}", 400) from error
        return bytes(out)


class _Framed:
    """ClickHouse's blocks (`decompress=1`): 16 bytes checksum (not verified), method, compressed and plain size, data."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def decode(self, data: bytes) -> bytes:
        self._buffer += data
        out = bytearray()
        while len(self._buffer) >= _FRAME_HEAD:
            method, packed, plain = struct.unpack_from("<BII", self._buffer, 16)
            if len(self._buffer) < 16 + packed:
                break
            out += _unframe(method, bytes(self._buffer[_FRAME_HEAD : 16 + packed]), plain)
            del self._buffer[: 16 + packed]
        return bytes(out)


def _unframe(method: int, data: bytes, plain: int) -> bytes:
    try:
        kind = _METHODS[method]
        if kind == "lz4":
            return bytes(lz4.block.decompress(data, uncompressed_size=plain))
        return zstd.decompress(data) if kind == "zstd" else data
    except (KeyError, lz4.block.LZ4BlockError, zstd.ZstdError) as error:
        raise failures.Refused(failures.CANNOT_DECOMPRESS, f"A compressed block cannot be read: {error}", 400) from error


class _Plain:
    def decode(self, data: bytes) -> bytes:
        return data


def decoders(encoding: str, framed: bool) -> list[Decoder]:
    """What a body goes through. Raises Refused for an encoding that is not spoken here."""
    chain: list[Decoder] = []
    name = encoding.strip().lower()
    if name in {"gzip", "x-gzip", "deflate", "zstd", "lz4"}:
        chain.append(_Inflate(name.removeprefix("x-")))
    elif name not in {"", "identity"}:
        raise failures.Refused(failures.NOT_IMPLEMENTED, f"Content-Encoding {name!r} is not spoken here; send gzip, deflate, zstd or lz4")
    if framed:
        chain.append(_Framed())
    return chain or [_Plain()]


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.compressobj(3, wbits=wbits)

    def encode(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdCompressor(level=1)

    def encode(self, data: bytes) -> bytes:
        return self._stream.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Lz4:
    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._head = self._stream.begin()

    def encode(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._stream.compress(data))

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._stream.flush())


def encoder(accepted: str) -> tuple[str, Encoder] | None:
    """The fastest encoding the client takes, or None for plain."""
    names = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    if "lz4" in names:
        return "lz4", _Lz4()
    if "zstd" in names:
        return "zstd", _Zstd()
    if "gzip" in names:
        return "gzip", _Zlib(31)
    return ("deflate", _Zlib(15)) if "deflate" in names else None
