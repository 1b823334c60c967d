"""What goes to a described gateway and what its answers say. Pure: a request is built, an answer is judged; nothing is sent here.

What a gateway writes may contain the number, so nothing of it goes any further but codes, and codes only when they look like codes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import smsutil

from hailong.ports import Barred, OutgoingMessage, Permanent, Retryable, UnknownOutcome
from surveys.channels import gateway_file as described
from surveys.channels.gateway_file import PLACEHOLDER, Answer, Code, Gateway

MOST_READ: Final = 65_536
"""Octets of an answer that are looked at."""
_BUSY_WAIT: Final = 2.0
_REPAIR_WAIT: Final = 300.0
_LONGEST_WAIT: Final = 3600.0
_OURS: Final = frozenset({401, 403, 404, 405, 407, 415})
"""Statuses about our address or credentials: every message would be refused alike, so none may be given up for it."""
_NOT_TAKEN: Final = frozenset({408, 425, 429})
_CODE: Final = re.compile(r"(?!.*\d{6})[A-Za-z0-9_.-]{1,24}")
"""A longer run of digits could be a number."""
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True)
class Outgoing:
    """One HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Incoming:
    """One HTTP answer. ``retry_after``: the header as it came."""

    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True)
class Taken:
    """The gateway has taken a message."""

    message_id: str
    segments: int
    code: str | None


def client_id(claim_id: str) -> str:
    """Our id of a message at a gateway: always the same for a claim, and it tells nothing of it."""
    return hashlib.sha256(claim_id.encode()).hexdigest()[:32]


def message_words(message: OutgoingMessage, brand: str, now: datetime) -> dict[str, str]:
    """The placeholders of one message. Raises Permanent when its number is none of Viet Nam's (a domestic gateway has no way there)."""
    if not re.fullmatch(r"\+84\d{8,10}", message.to):
        raise Permanent("invalid_number")
    text = unicodedata.normalize("NFC", message.text)
    return {
        "phone": message.to,
        "phone84": message.to[1:],
        "phone0": "0" + message.to[3:],
        "text": text,
        "brand": brand,
        "id": client_id(message.claim_id),
        "callback": message.callback_url or "",
        "unicode": "1" if smsutil.split(text).encoding.startswith("utf_16") else "0",
        "time": str(int(now.timestamp())),
    }


def request_for(gateway: Gateway, words: Mapping[str, str], base_url: str = "") -> Outgoing:
    """The request that hands a message over. ``base_url`` stands in for scheme and host of the described one."""
    send = gateway.told.send
    return _request(gateway, send.method, send.url, send.body, send.fields, send.headers, words, base_url)


def question_for(gateway: Gateway, message_id: str, now: datetime, base_url: str = "") -> Outgoing:
    """The request that asks what became of our id. Only where ``status`` is described."""
    asking, words = gateway.told.status, {"id": message_id, "time": str(int(now.timestamp()))}
    if asking is None:
        raise Permanent("this gateway cannot be asked what it has taken")
    body = "query" if asking.method == "GET" else "form"
    return _request(gateway, asking.method, asking.url, body, asking.fields, asking.headers, words, base_url)


def fill(template: Any, words: Mapping[str, str]) -> Any:
    """``template`` (text, or tables and lists of it) with its placeholders filled in."""
    if isinstance(template, dict):
        return {key: fill(value, words) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, words) for value in template]
    return PLACEHOLDER.sub(lambda found: words.get(found[1], ""), template) if isinstance(template, str) else template


def sign(secret: bytes, text: str, encoding: str) -> str:
    """HMAC-SHA256 of ``text``, written as ``encoding``."""
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def taken(gateway: Gateway, answer: Incoming, own_id: str, now: datetime) -> Taken:
    """What the answer to a hand-over says. Raises Retryable (surely not taken), Permanent (surely refused), UnknownOutcome."""
    way = gateway.told.answer
    parts = parts_of(way, answer.body)
    code = str(parts["code"]) if parts.get("code") is not None else None
    told = _told(gateway, code)
    if told is not None:
        if told.means != "accepted":
            raise _meaning(told, code, answer, now)
        if answer.status in way.statuses:
            return _taken(parts, own_id, code)
    elif _is_success(way, answer, parts):
        return _taken(parts, own_id, None)
    raise _by_status(gateway, answer, code, now)


def found(gateway: Gateway, answer: Incoming, own_id: str, now: datetime) -> Taken | None:
    """What the answer to a question says: None when the gateway never heard of it. Raises Retryable when that cannot be told now."""
    asking = gateway.told.status
    if asking is None:
        raise Permanent("this gateway cannot be asked what it has taken")
    if answer.status in asking.absent:
        return None
    parts = parts_of(asking.answer, answer.body)
    code = str(parts["code"]) if parts.get("code") is not None else None
    yes = code in asking.answer.accepted if asking.answer.code or asking.answer.pattern else parts.get("message_id") is not None
    if yes and answer.status in asking.answer.statuses:
        return _taken(parts, own_id, code)
    wait = retry_after(answer.retry_after, now) or _BUSY_WAIT
    raise Retryable(f"The gateway {gateway.told.name} did not tell what it has taken (HTTP {answer.status})", wait)


def parts_of(way: Answer, body: bytes) -> dict[str, Any]:
    """``code``, ``message_id`` and ``segments`` of an answer, where it has them."""
    if way.format == "text":
        match = re.search(way.pattern or "", body[:MOST_READ].decode("utf-8", "replace"))
        groups = match.groupdict() if match else {}
        return {"code": groups.get("code"), "message_id": groups.get("message_id"), "segments": groups.get("segments")}
    tree = read_json(body)
    return {name: at(tree, path) for name, path in (("code", way.code), ("message_id", way.message_id), ("segments", way.segments)) if path}


def read_json(body: bytes) -> Any:
    """The value of a JSON text; None for what is none."""
    try:
        return json.loads(body) if len(body) <= MOST_READ else None
    except (ValueError, RecursionError):
        return None


def at(tree: Any, path: str) -> str | None:
    """What stands at a dotted path, as text; None where nothing does. Truth values are ``true`` and ``false``."""
    for step in path.split("."):
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and step.isdecimal() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            return None
    if isinstance(tree, bool):
        return "true" if tree else "false"
    return str(tree) if isinstance(tree, (str, int, float)) else None


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, a number or a date; None when it is absent or neither."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            moment = parsedate_to_datetime(header or "")
        except ValueError:
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None


def _request(
    gateway: Gateway, method: str, url: str, body: str, fields: Any, headers: Mapping[str, str], words: Mapping[str, str], base_url: str
) -> Outgoing:
    values, sent, signed = fill(dict(fields), words), {k: fill(v, words) for k, v in headers.items()}, fill(url, words)
    signatures = []
    for proof in gateway.told.auth:
        secret = gateway.secrets[proof.secret_file]
        if isinstance(proof, described.Signature):
            signatures.append((proof, secret))
        elif isinstance(proof, described.InFields):
            values |= {proof.user_field: proof.user, proof.secret_field: secret.decode()}
        else:
            sent |= _proof_header(proof, secret.decode())
    path = urlsplit(signed).path
    for proof, secret in signatures:
        if proof.field is not None:
            values[proof.field] = proof.prefix + sign(secret, fill(proof.signed, {**words, "method": method, "path": path}), proof.encoding)
    payload, query = _payload(body, values)
    if body != "query":
        sent["Content-Type"] = "application/json; charset=utf-8" if body == "json" else "application/x-www-form-urlencoded; charset=utf-8"
    told = {**words, "method": method, "path": path, "query": query, "body": payload}
    for proof, secret in signatures:
        if proof.header is not None:
            sent[proof.header] = proof.prefix + sign(secret, fill(proof.signed, told), proof.encoding)
        if proof.time_header is not None:
            sent[proof.time_header] = words["time"]
    return Outgoing(method, _there(signed, base_url, query), sent, payload.encode())


def _payload(body: str, values: Any) -> tuple[str, str]:
    """(body, query)."""
    if body == "json":
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")), ""
    return ("", urlencode(values)) if body == "query" else (urlencode(values), "")


def _proof_header(proof: Any, secret: str) -> dict[str, str]:
    if isinstance(proof, described.Basic):
        return {"Authorization": "Basic " + base64.b64encode(f"{proof.user}:{secret}".encode()).decode()}
    if isinstance(proof, described.Bearer):
        return {"Authorization": f"Bearer {secret}"}
    return {proof.name: proof.prefix + secret}


def _there(url: str, base_url: str, query: str) -> str:
    asked, base = urlsplit(url), urlsplit(base_url.rstrip("/"))
    if base_url:
        return urlunsplit((base.scheme, base.netloc, base.path + asked.path, query, ""))
    return urlunsplit((asked.scheme, asked.netloc, asked.path, query, ""))


def _told(gateway: Gateway, code: str | None) -> Code | None:
    if code is None:
        return None
    return gateway.told.codes.get(code) or (Code("accepted") if code in gateway.told.answer.accepted else None)


def _is_success(way: Answer, answer: Incoming, parts: Mapping[str, Any]) -> bool:
    return way.format == "json" and way.code is None and answer.status in way.statuses and parts.get("message_id") is not None


def _taken(parts: Mapping[str, Any], own_id: str, code: str | None) -> Taken:
    """A taken message without a readable id goes by ours: it is taken all the same, and must not be sent again."""
    message_id, segments = str(parts.get("message_id") or ""), str(parts.get("segments") or "")
    number = int(segments) if segments.isdecimal() and len(segments) < 4 else 0
    return Taken(message_id if _ID.fullmatch(message_id) else own_id, number, shown(code))


def shown(code: str | None) -> str | None:
    """A code that may be told; None for what is none, or could name somebody."""
    return code if code is not None and _CODE.fullmatch(code) else None


def _meaning(told: Code, code: str | None, answer: Incoming, now: datetime) -> Exception:
    word = shown(code) or "-"
    asked = retry_after(answer.retry_after, now)
    makers: Mapping[str, Callable[[], Exception]] = {
        "permanent": lambda: Permanent(told.reason, word),
        "retry": lambda: Retryable(f"The gateway cannot take this message now (code {word})", _first(asked, told.after, _BUSY_WAIT)),
        "settings": lambda: Barred(
            f"The gateway refuses our settings (code {word}); correct them, the messages wait", _first(told.after, _REPAIR_WAIT)
        ),
        "unknown": lambda: UnknownOutcome(f"The gateway does not tell whether it took the message (code {word})"),
    }
    return makers[told.means]()


def _by_status(gateway: Gateway, answer: Incoming, code: str | None, now: datetime) -> Exception:
    """What an answer means whose code nobody described.

    A broken server may have taken the message before it broke: that is "not now" only where the same id is taken once, or where the
    server itself says when to come back.
    """
    status, asked, word = answer.status, retry_after(answer.retry_after, now), shown(code)
    if status in _NOT_TAKEN or (status == 503 and asked is not None) or (status >= 500 and gateway.told.send.idempotent):
        return Retryable(f"The gateway {gateway.told.name} cannot take messages now (HTTP {status})", _first(asked, _BUSY_WAIT))
    if status in _OURS:
        said = f"The gateway {gateway.told.name} refuses our settings (HTTP {status}); correct them, the messages wait"
        return Barred(said, _first(asked, _REPAIR_WAIT))
    if 400 <= status < 500:
        return Permanent("refused", word or str(status))
    return UnknownOutcome(f"The gateway {gateway.told.name} answered what nobody described (HTTP {status}, code {word or '-'})")


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), _BUSY_WAIT)
