"""The description of a domestic SMS gateway: a TOML file, read once and held against what an adapter needs.

Aggregators differ in addresses, names of fields, codes and signatures, not in kind; so there is one adapter and a file for each of them
(two invented ones with every key explained: ``examples/gateways``). Secrets never stand in the file: it names files of a folder.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote_plus, urlsplit
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec
from msgspec import Meta, Struct

from hailong.domain import replies
from hailong.domain.links import ALPHABET
from hailong.settings import SettingError

PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
MESSAGE_WORDS: Final = frozenset({"phone84", "phone0", "phone", "text", "brand", "id", "callback", "unicode", "time"})
"""What a field of a request may be made of."""
SIGNED_WORDS: Final = MESSAGE_WORDS | {"method", "path", "query", "body"}
_STATUS_WORDS: Final = frozenset({"id", "time"})
_HEARD_WORDS: Final = frozenset({"body", "query", "path", "method", "time"})
_REPLY_WORDS: Final = frozenset({"text", "id", "sender"})
_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]+", re.IGNORECASE)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BRAND: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,10}")
_NEXT: Final = "Compare with the files of examples/gateways, correct it and start again."

Name = Annotated[str, Meta(pattern="^[a-z0-9](-?[a-z0-9])*$", max_length=40)]
HttpStatus = Annotated[int, Meta(ge=200, le=599)]
Method = Literal["GET", "POST"]
Encoding = Literal["hex", "base64"]
Meaning = Literal["accepted", "permanent", "retry", "settings", "unknown"]
"""``permanent``: this message never. ``retry``: not now. ``settings``: refused because of us, so every message waits for the repair.
``unknown``: it may have been taken."""
Reason = Literal[
    "refused",
    "invalid_number",
    "not_a_mobile_number",
    "opted_out",
    "blocked",
    "no_route",
    "empty_text",
    "text_too_long",
    "text_not_registered",
]


class GatewayFileError(SettingError):
    """A description cannot be used; the sentence names the file, the key, the cause and the next step."""


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Basic(_Strict, frozen=True, tag_field="kind", tag="basic"):
    """HTTP's own user and password."""

    user: str
    secret_file: str


class Bearer(_Strict, frozen=True, tag_field="kind", tag="bearer"):
    """``Authorization: Bearer SECRET``."""

    secret_file: str


class InHeader(_Strict, frozen=True, tag_field="kind", tag="header"):
    """A header whose value is ``prefix`` and the secret. Also how a gateway may prove itself to us."""

    name: str
    secret_file: str
    prefix: str = ""


class InFields(_Strict, frozen=True, tag_field="kind", tag="fields"):
    """User and password among the fields of the message."""

    user_field: str
    user: str
    secret_field: str
    secret_file: str


class Signature(_Strict, frozen=True, tag_field="kind", tag="hmac-sha256"):
    """HMAC-SHA256 over ``signed``, in ``header`` or ``field``, after ``prefix``; the ``{time}`` in it goes into ``time_header``."""

    secret_file: str
    signed: str
    encoding: Encoding = "hex"
    header: str | None = None
    field: str | None = None
    prefix: str = ""
    time_header: str | None = None


class InPath(_Strict, frozen=True, tag_field="kind", tag="path"):
    """The gateway is given an address that ends in the secret."""

    secret_file: str


class Code(_Strict, frozen=True):
    """What one of the gateway's codes says; ``after``: seconds to wait, for ``retry`` and ``settings``."""

    means: Meaning
    reason: Reason = "refused"
    after: Annotated[float, Meta(ge=0, le=3600)] | None = None


class Answer(_Strict, frozen=True):
    """How an answer is read. ``code``, ``message_id``, ``segments``: paths in JSON (``data.id``, ``results.0.id``); in text: groups of
    ``pattern`` that have these names."""

    format: Literal["json", "text"] = "json"
    statuses: tuple[HttpStatus, ...] = (200, 201, 202)
    """HTTP statuses an acceptance can have."""
    code: str | None = None
    accepted: tuple[str, ...] = ()
    """Values of the code that say: taken."""
    message_id: str | None = None
    """Absent: the gateway goes by our id."""
    segments: str | None = None
    pattern: str | None = None


class Send(_Strict, frozen=True):
    """The request that hands one message over. ``idempotent``: another request with the same ``{id}`` is the same message there."""

    url: str
    fields: dict[str, Any]
    method: Method = "POST"
    body: Literal["json", "form", "query"] = "json"
    headers: dict[str, str] = {}
    brand: str = ""
    idempotent: bool = False
    longest: Annotated[int, Meta(ge=1)] | None = None
    """Most letters it takes in one message of plain letters (GSM-7); absent: not stated."""
    longest_unicode: Annotated[int, Meta(ge=0)] | None = None
    """The same with diacritics (UCS-2); 0: it takes none."""


class Asking(_Strict, frozen=True):
    """The request that asks what became of ``{id}``; only where ``send.idempotent`` makes it one message."""

    url: str
    answer: Answer
    method: Method = "GET"
    fields: dict[str, str] = {}
    headers: dict[str, str] = {}
    absent: tuple[HttpStatus, ...] = (404,)
    """HTTP statuses that say: never heard of it."""


class Reply(_Strict, frozen=True):
    """What the gateway wants to hear from us."""

    status: HttpStatus = 200
    text: str = ""
    type: str = "text/plain"


class Receipts(_Strict, frozen=True):
    """How delivery is reported. Paths as in ``Answer``; ``list``: where several reports of one request stand."""

    id: str
    status: str
    statuses: dict[str, Literal["sent", "delivered", "failed"]]
    auth: InPath | InHeader | Signature
    method: Method = "POST"
    body: Literal["json", "form", "query"] = "json"
    code: str | None = None
    list: str | None = None
    answer: Reply = Reply()


class Back(_Strict, frozen=True):
    """How our answer to a message carries a text back to its sender. ``text``: the body, with ``{text}`` in it, maybe ``{id}`` and
    ``{sender}`` as the gateway told them; values are written as ``type`` needs it (JSON, XML, form fields)."""

    text: str
    status: HttpStatus = 200
    type: str = "text/plain"
    thanks: bool = True
    """Whether a counted answer is thanked for, too: it may cost a message."""

    def filled(self, words: Mapping[str, str]) -> str:
        """The body with its placeholders filled in."""
        return PLACEHOLDER.sub(lambda found: _written(words.get(found[1], ""), self.type), self.text)


class Inbound(_Strict, frozen=True):
    """How messages to the short code come in. ``stop_words``: texts that say "no more messages", compared without case and diacritics;
    what else is surely one (``tu choi 7kq2``) need not stand there."""

    sender: str
    text: str
    id: str
    auth: InPath | InHeader | Signature
    method: Method = "POST"
    body: Literal["json", "form", "query"] = "json"
    stop_words: tuple[str, ...] = ("TC", "TU CHOI")
    answer: Reply = Reply()
    reply: Back | None = None
    """Absent: nothing can be said to a sender."""


class Description(_Strict, frozen=True):
    """The whole file."""

    name: Name
    description: str
    send: Send
    auth: tuple[Basic | Bearer | InHeader | InFields | Signature, ...]
    answer: Answer
    codes: dict[str, Code] = {}
    status: Asking | None = None
    receipts: Receipts | None = None
    inbound: Inbound | None = None


@dataclass(frozen=True)
class Gateway:
    """A description that holds, and its secrets by file name."""

    told: Description
    secrets: Mapping[str, bytes]

    @property
    def provider(self) -> str:
        """As facts and the ledger name it."""
        return f"gateway-{self.told.name}"

    def address(self, public_url: str, door: Literal["receipts", "inbound"] = "receipts") -> str | None:
        """Where the gateway calls us, under our public address; None where nothing of the kind is described."""
        way = self.told.receipts if door == "receipts" else self.told.inbound
        if way is None:
            return None
        secret = f"/{self.secrets[way.auth.secret_file].decode()}" if isinstance(way.auth, InPath) else ""
        return f"{public_url.rstrip('/')}/{door}/gateway/{self.told.name}{secret}"


def load(path: Path, secrets: Path) -> Gateway:
    """The gateway described in ``path`` with its secrets from the folder ``secrets``. Raises GatewayFileError."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise GatewayFileError(f"{path}: cannot be read ({why}). Name a readable file with HAILONG_GATEWAY_FILE.") from None
    told = parse(text, path.name)
    return Gateway(told, {name: _secret(secrets, name, path.name) for name in secret_files(told)})


def parse(text: str, source: str) -> Description:
    """A description out of its text; ``source`` names it in errors. Raises GatewayFileError."""
    try:
        told = msgspec.convert(tomllib.loads(text), Description)
    except tomllib.TOMLDecodeError as error:
        raise GatewayFileError(f"{source}: not TOML ({error}). {_NEXT}") from None
    except msgspec.ValidationError as error:
        cause, _, where = str(error).partition(" - at `$")
        raise GatewayFileError(f"{source}: {where.strip('.`') or 'the file'}: {cause}. {_NEXT}") from None
    for key, cause in _faults(told):
        raise GatewayFileError(f"{source}: {key}: {cause}. {_NEXT}")
    return told


def secret_files(told: Description) -> list[str]:
    """The names of the files this description needs."""
    doors = [way.auth for way in (told.receipts, told.inbound) if way is not None]
    return list(dict.fromkeys(proof.secret_file for proof in (*told.auth, *doors)))


def strings(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every leaf under ``value`` with its key, dotted."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from strings(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from strings(inner, f"{key}.{index}")
    else:
        yield key, value


def _secret(folder: Path, name: str, source: str) -> bytes:
    file = folder / name
    try:
        secret = file.read_bytes().strip()
        secret.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise GatewayFileError(
            f"{source}: the secret file {name} cannot be read ({why}). Put it into {folder} (HAILONG_GATEWAY_SECRETS_DIR), rights 0600."
        ) from None
    if not secret:
        raise GatewayFileError(f"{source}: the secret file {name} is empty. Write the secret into {file}.")
    return secret


# --- what types do not say: (key, cause) of each fault


def _faults(told: Description) -> Iterator[tuple[str, str]]:
    yield from _request_faults(told)
    yield from _answer_faults(told.answer, "answer")
    for index, proof in enumerate(told.auth):
        yield from _proof_faults(proof, f"auth.{index}")
    if told.status is not None:
        yield from _asking_faults(told, told.status)
    for name, door in (("receipts", told.receipts), ("inbound", told.inbound)):
        if door is not None:
            yield from _door_faults(door, name)
    if told.receipts is not None and not told.receipts.statuses:
        yield "receipts.statuses", "no status is described, so no receipt could say anything"
    if told.inbound is not None:
        yield from _inbound_faults(told.inbound)
    for name in secret_files(told):
        if not _SECRET_NAME.fullmatch(name):
            yield "secret_file", f"`{name}` is a path; give the name of a file in the folder of secrets"


def _request_faults(told: Description) -> Iterator[tuple[str, str]]:
    send = told.send
    yield from _url_faults(send.url, "send.url")
    if not told.auth:
        yield "auth", "empty; a gateway that takes messages from anybody is not to be used"
    if send.method == "GET" and send.body != "query":
        yield "send.body", 'a GET carries its fields in the address; write body = "query"'
    leaves = list(strings(send.fields, "send.fields"))
    if send.body != "json" and any(not isinstance(value, str) or key.count(".") > 2 for key, value in leaves):
        yield "send.fields", f'a {send.body} has plain text fields only; nested tables and numbers need body = "json"'
    used = {word for _, value in leaves if isinstance(value, str) for word in PLACEHOLDER.findall(value)}
    yield from _placeholder_faults([*leaves, *strings(send.headers, "send.headers")], MESSAGE_WORDS)
    if "text" not in used or not used & {"phone", "phone84", "phone0"}:
        yield "send.fields", "no field carries {text}, or none carries {phone84}, {phone0} or {phone}"
    if "brand" in used and not _BRAND.fullmatch(send.brand):
        yield "send.brand", "a brand name has 1 to 11 plain letters and digits, without diacritics"
    if "id" not in used and (send.idempotent or (told.answer.message_id is None and told.answer.format == "json")):
        yield "send.fields", "no field carries {id}, which `idempotent` or an absent `answer.message_id` relies on"


def _answer_faults(answer: Answer, key: str) -> Iterator[tuple[str, str]]:
    if not answer.statuses:
        yield f"{key}.statuses", "empty, so no answer could be a success"
    if answer.format == "text":
        try:
            groups = re.compile(answer.pattern or "").groupindex
        except re.error as error:
            yield f"{key}.pattern", f"not a regular expression ({error})"
            return
        if "code" not in groups or not answer.accepted:
            yield f"{key}.pattern", "a text needs a pattern with a group named `code`, and `accepted` codes; no text is a success by itself"
    elif answer.code is not None and not answer.accepted:
        yield f"{key}.accepted", "empty, so no code could be a success"
    elif answer.code is None and answer.message_id is None:
        yield f"{key}.code", "neither `code` nor `message_id` is described; an HTTP status alone does not tell that a message was taken"


def _proof_faults(proof: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(proof, Signature):
        if (proof.header is None) == (proof.field is None):
            yield f"{key}.header", "name either a `header` or a `field` for the signature"
        if proof.field is not None and {"body", "query"} & set(PLACEHOLDER.findall(proof.signed)):
            yield f"{key}.signed", "a signature that stands among the fields cannot cover {body} or {query}"
        yield from _placeholder_faults([(f"{key}.signed", proof.signed)], SIGNED_WORDS)


def _asking_faults(told: Description, asking: Asking) -> Iterator[tuple[str, str]]:
    yield from _url_faults(asking.url, "status.url")
    yield from _answer_faults(asking.answer, "status.answer")
    leaves = [("status.url", asking.url), *strings(asking.fields, "status.fields"), *strings(asking.headers, "status.headers")]
    yield from _placeholder_faults(leaves, _STATUS_WORDS)
    if not any("{id}" in value for _, value in leaves):
        yield "status.url", "nothing carries {id}, so nobody could tell which message is meant"
    if not told.send.idempotent:
        yield "status", "only where send.idempotent is true does our id stand for one message; remove [status] or say so"


def _door_faults(door: Receipts | Inbound, key: str) -> Iterator[tuple[str, str]]:
    if door.method == "GET" and door.body != "query":
        yield f"{key}.body", 'a GET carries its fields in the address; write body = "query"'
    if isinstance(door.auth, Signature):
        if door.auth.header is None:
            yield f"{key}.auth.header", "name the header that carries the signature"
        if "time" in PLACEHOLDER.findall(door.auth.signed) and door.auth.time_header is None:
            yield f"{key}.auth.time_header", "the signature covers {time}; name the header that tells it"
        words = [word for word in PLACEHOLDER.findall(door.auth.signed) if not word.startswith("field.")]
        if not {"body", "query"} & set(words) and "{field." not in door.auth.signed:
            yield f"{key}.auth.signed", "covers nothing of what is reported; sign {body}, {query} or {field.NAME}"
        yield from _placeholder_faults([(f"{key}.auth.signed", "".join(f"{{{word}}}" for word in words))], _HEARD_WORDS)


def _inbound_faults(door: Inbound) -> Iterator[tuple[str, str]]:
    # Of a sender without an open survey nothing is an answer; so somebody's code has to stand in.
    for word in door.stop_words:
        if isinstance(replies.parse(word, [ALPHABET[:12]]), replies.Score):
            yield "inbound.stop_words", f"`{word}` is an answer to the survey; whoever gives it would be written to no more"
        elif not any(letter.isalnum() for letter in word):
            yield "inbound.stop_words", f"`{word}` has neither letter nor digit, so it would be everything that has none"
    back = door.reply
    if back is None:
        return
    if back.text.count("{text}") != 1:
        yield "inbound.reply.text", "write {text} once, where the text for the sender stands"
    yield from _placeholder_faults([("inbound.reply.text", back.text)], _REPLY_WORDS)
    if not _TYPE.fullmatch(back.type):
        yield "inbound.reply.type", "not a media type such as application/json"
    elif not _can_be_read(back):
        yield "inbound.reply.text", f"is no {back.type} once its placeholders are filled in"


def _can_be_read(back: Back) -> bool:
    """Whether the body is what its type says, whatever stands in it."""
    body = back.filled(dict.fromkeys(_REPLY_WORDS, 'a "b" <c> & d'))
    try:
        if _is(back.type, "json"):
            json.loads(body)
        elif _is(back.type, "xml"):
            expat.ParserCreate().Parse(body, True)
    except (ValueError, expat.ExpatError):
        return False
    return True


def _written(value: str, media: str) -> str:
    """A value as it stands within a body of a type."""
    if _is(media, "json"):
        return json.dumps(value, ensure_ascii=False)[1:-1]
    if _is(media, "xml"):
        return escape(value, {'"': "&quot;"})
    return quote_plus(value) if media.lower() == "application/x-www-form-urlencoded" else value


def _is(media: str, kind: str) -> bool:
    return re.search(rf"[/+]{kind}$", media.lower()) is not None


def _url_faults(url: str, key: str) -> Iterator[tuple[str, str]]:
    parts = urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        yield key, "not an https address; numbers and texts must not travel in the open"
    if parts.query or parts.fragment or parts.username:
        yield key, "has a query, a fragment or a user; put what belongs there into `fields` and `auth`"


def _placeholder_faults(leaves: list[tuple[str, Any]], known: frozenset[str]) -> Iterator[tuple[str, str]]:
    for key, value in leaves:
        for word in PLACEHOLDER.findall(value) if isinstance(value, str) else ():
            if word not in known:
                yield key, f"there is no {{{word}}} here; known are {', '.join(f'{{{name}}}' for name in sorted(known))}"
