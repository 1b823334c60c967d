"""Bodies in the encodings of the protocol."""

from __future__ import annotations

import gzip
import struct
import zlib

import lz4.block
import lz4.frame
import pytest
from backports import zstd

from ops.store import encodings, failures

TEXT = b"".join(b"%d,row\n" % i for i in range(5000))


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:])),
        ("deflate", zlib.compress(TEXT)),
        ("zstd", zstd.compress(TEXT)),
        ("lz4", lz4.frame.compress(TEXT)),
        ("", TEXT),
    ],
)
def test_a_body_is_unpacked_whatever_its_pieces(name: str, packed: bytes) -> None:
    (decoder,) = encodings.decoders(name, framed=False)
    assert b"".join(decoder.decode(packed[i : i + 700]) for i in range(0, len(packed), 700)) == TEXT


@pytest.mark.parametrize("name", ["lz4", "zstd", "gzip", "deflate"])
def test_what_we_pack_others_unpack(name: str) -> None:
    chosen = encodings.encoder(f"br, {name};q=0.5")
    assert chosen is not None
    assert chosen[0] == name
    packed = chosen[1].encode(TEXT[:77]) + chosen[1].encode(TEXT[77:]) + chosen[1].finish()
    assert encodings.decoders(name, framed=False)[0].decode(packed) == TEXT


def test_frames_of_clickhouse() -> None:
    def frame(method: int, data: bytes, plain: int) -> bytes:
        return bytes(16) + struct.pack("<BII", method, len(data) + 9, plain) + data

    packed = frame(0x82, lz4.block.compress(TEXT, store_size=False), len(TEXT)) + frame(0x90, zstd.compress(b"b"), 1) + frame(2, b"c", 1)
    (decoder,) = encodings.decoders("", framed=True)
    assert b"".join(decoder.decode(packed[i : i + 100]) for i in range(0, len(packed), 100)) == TEXT + b"bc"


def test_an_unknown_encoding_is_refused_and_broken_data_too() -> None:
    with pytest.raises(failures.Refused, match="br"):
        encodings.decoders("br", framed=False)
    with pytest.raises(failures.Refused) as refused:
        encodings.decoders("gzip", framed=False)[0].decode(b"nonsense")
    assert (refused.value.code, refused.value.status) == (271, 400)
