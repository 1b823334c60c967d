"""What a described gateway calls us about: delivery reports, and messages of people to its short code. Pure; nothing is kept here."""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from hailong.domain.people import normal_phone
from hailong.ports import Invalid, Receipt
from surveys.channels.gateway_file import Gateway, Inbound, InHeader, InPath, Receipts, Signature
from surveys.channels.gateway_wire import at, fill, read_json, shown, sign

MOST_REPORTS: Final = 500
"""In one request."""
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True)
class Call:
    """A request to us. ``headers``: names in lower case; ``secret``: the last part of the address, if it has one."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    secret: str = ""


@dataclass(frozen=True)
class Reported:
    """The news of a request. ``unread``: how many reports had a status that nobody described."""

    receipts: tuple[Receipt, ...] = ()
    unread: int = 0


@dataclass(frozen=True)
class Said:
    """A message to the short code. ``sender``: E.164, None for what is no number. Names a person: used and dropped, as its text is."""

    id: str
    sender: str | None = field(repr=False)
    text: str = field(repr=False)
    stop: bool
    """Whether it is one of the described stop words."""
    told: Mapping[str, str] = field(repr=False)
    """``id`` and ``sender`` as the gateway wrote them."""


def authentic(gateway: Gateway, way: Receipts | Inbound, call: Call) -> bool:
    """Whether the described gateway sent this."""
    proof, secret = way.auth, gateway.secrets[way.auth.secret_file]
    if isinstance(proof, InPath):
        return hmac.compare_digest(call.secret.encode(), secret)
    if call.secret:
        return False
    if isinstance(proof, InHeader):
        return hmac.compare_digest(call.headers.get(proof.name.lower(), "").encode(), proof.prefix.encode() + secret)
    return _is_signed(proof, secret, way.body, call)


def receipts_of(gateway: Gateway, call: Call) -> Reported:
    """The receipts of an authentic call. Raises Invalid when it is no report as described."""
    way = gateway.told.receipts
    if way is None:
        raise Invalid("not_described", "receipts")
    tree = _tree(way.body, call)
    reports = _list(tree, way.list)
    found, unread = [], 0
    for report in reports:
        provider_id, word = at(report, way.id), at(report, way.status)
        if provider_id is None or word is None or not _ID.fullmatch(provider_id):
            raise Invalid("no_report", "receipts", f"a report has no {way.id} or no {way.status}")
        status = way.statuses.get(word)
        if status is None:
            unread += 1
        else:
            code = at(report, way.code) if way.code else None
            found.append(Receipt(gateway.provider, provider_id, status, shown(code) if status == "failed" else None))
    return Reported(tuple(found), unread)


def said(gateway: Gateway, call: Call) -> Said:
    """The message in an authentic call. Raises Invalid when it has no id or no text as described."""
    way = gateway.told.inbound
    if way is None:
        raise Invalid("not_described", "inbound")
    tree = _tree(way.body, call)
    message_id, sender, text = (at(tree, path) for path in (way.id, way.sender, way.text))
    if message_id is None or not _ID.fullmatch(message_id) or text is None:
        raise Invalid("no_message", "inbound", f"the message has no {way.id} or no {way.text}")
    phone = normal_phone(_national(sender)) if sender else None
    stop = plain(text) in {plain(word) for word in way.stop_words}
    return Said(message_id, phone.e164 if phone else None, text, stop, {"id": message_id, "sender": sender or ""})


def plain(text: str) -> str:
    """Capitals without diacritics, runs of anything but letters and digits as one space: how people type a stop word."""
    letters = unicodedata.normalize("NFKD", text.upper().replace("Đ", "D"))
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[A-Z0-9]+", kept))


def _is_signed(proof: Signature, secret: bytes, body: str, call: Call) -> bool:
    try:
        text = call.body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    words = {"method": call.method, "path": call.path, "query": call.query, "body": text}
    words["time"] = call.headers.get((proof.time_header or "").lower(), "")
    if "{field." in proof.signed:
        tree = _tree(body, call)
        words |= {f"field.{name}": at(tree, name) or "" for name in re.findall(r"\{field\.([A-Za-z0-9_.-]+)\}", proof.signed)}
    expected = proof.prefix + sign(secret, fill(proof.signed, words), proof.encoding)
    return hmac.compare_digest(call.headers.get((proof.header or "").lower(), "").encode(), expected.encode())


def _tree(body: str, call: Call) -> Any:
    """The fields of a call, as described."""
    if body == "json":
        return read_json(call.body)
    try:
        return dict(parse_qsl(call.query if body == "query" else call.body.decode("utf-8"), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return None


def _list(tree: Any, path: str | None) -> list[Any]:
    """The reports of a call: one, or those in the list at ``path``."""
    if path is None:
        return [tree]
    for step in path.split("."):
        tree = tree.get(step) if isinstance(tree, dict) else None
    if not isinstance(tree, list) or len(tree) > MOST_REPORTS:
        raise Invalid("no_report", "receipts", f"there is no list {path} of at most {MOST_REPORTS} reports")
    return tree


def _national(sender: str) -> str:
    """Gateways leave the plus away: 8491… is +8491…."""
    bare = sender.strip()
    return f"+{bare}" if bare.startswith("84") and bare.isdecimal() and len(bare) > 10 else bare
