"""Messages in Zalo from a template (Zalo Notification Service, ZNS).

Zalo takes no text of ours: a template it has approved, the parameters of it, the number. It keeps no list to ask, so what may have been
accepted stays unknown. The link's code goes along as ``tracking_id`` and comes back with every event (``zns_events.py``): Zalo learns no
more from it than from the link in the message, and the site finds the slot by it as by the link.

The interface (addresses, the header ``access_token``, the forms of request and answer, the refresh token that is good once, the meaning of
the codes) is as described by the vendor's public documentation. Nobody has confirmed it against Zalo itself; it was run against this
project's carrier only, which speaks it as written here. Verify with your account, the codes above all.
"""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from hailong.events import MessageChannel
from hailong.ports import Barred, Handover, OutgoingMessage, Permanent, Retryable, UnknownOutcome
from surveys.channels.places import Places
from surveys.channels.zns_tokens import REPAIR_WAIT, Tokens, TokenStore

PROVIDER: Final = "zns"
API: Final = "https://business.openapi.zalo.me"
OAUTH: Final = "https://oauth.zaloapp.com"

PERMANENT: Final[Mapping[int, str]] = {
    -108: "invalid_number",
    -110: "zalo_too_old",
    -114: "cannot_receive",
    -118: "no_zalo_account",
    -119: "cannot_receive",
    -134: "not_agreed",
    -139: "opted_out",
    -140: "cannot_receive",
    -141: "opted_out",
}
"""Codes that say: this person never, and why. Any other that is in no table is ``refused``: it came instead of an acceptance."""

TOKEN: Final = frozenset({-124, -216})
"""Codes that say: not with this access token."""

OURS: Final[Mapping[int, str]] = {
    -101: "application",
    -102: "application",
    -103: "application",
    -104: "application",
    -105: "application",
    -106: "method",
    -107: "message id",
    -109: "template",
    -111: "template data",
    -112: "template data",
    -115: "balance",
    -117: "template",
    -120: "permission",
    -121: "template",
    -122: "request",
    -125: "official account",
    -126: "balance",
    -127: "template in trial",
    -130: "template data",
    -131: "template not approved",
    -132: "request",
    -135: "permission",
    -136: "permission",
    -137: "balance",
    -138: "permission",
    -145: "permission",
    -146: "template switched off",
    -1351: "permission",
}
"""Codes that say: these settings never. Every message would be refused alike, so none may be given up for it: they wait for the repair."""

LATER: Final[Mapping[int, float]] = {-32: 2.0, -133: 3600.0, -144: 3600.0, -147: 3600.0}
"""Codes that say: not now (too many at once; the night; the day's number is used up), and the seconds to wait."""

UNCLEAR: Final = frozenset({-100})
"""Codes of a fault on their side: they do not tell whether the message was taken."""

_BUSY_WAIT = 2.0
_LONGEST_WAIT = 3600.0
_RENEWAL_TIME = 30.0
_SETTINGS_STATUS = frozenset({401, 403, 404, 405, 407})
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class _Data(msgspec.Struct, frozen=True):
    msg_id: str | int = ""


class _Answer(msgspec.Struct, frozen=True):
    error: int
    data: _Data | None = None


class _Granted(msgspec.Struct, frozen=True):
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int = 0
    error: int = 0


@dataclass
class _Stage:
    """How far a handover has come."""

    asked: bool = False
    """A request is under way whose answer is not known."""

    def broken(self, how: str) -> Retryable | UnknownOutcome:
        """What a breakdown means now."""
        if self.asked:
            return UnknownOutcome(f"Zalo {how}")
        return Retryable(f"Zalo {how}; nothing was sent", _BUSY_WAIT)


class ZnsChannel:
    """The channel ``zns``.

    ``app_id``, ``secret``: of the application, for renewing the token; ``token_file``: see ``zns_tokens``. ``now``: real time, which tells
    the token's end. A message's ``callback_url`` says that events are expected; where they go is set at Zalo. ``timeout``: seconds that one
    ``send`` takes at most, its waiting for one of ``parallel`` places and for a token included.
    """

    name: MessageChannel = "zns"
    provider = PROVIDER
    can_reconcile = False

    def __init__(
        self,
        *,
        app_id: str,
        secret: str,
        token_file: Path,
        now: Callable[[], datetime],
        base_url: str = API,
        oauth_url: str = OAUTH,
        timeout: float = 10.0,
        parallel: int = 20,
    ) -> None:
        self._app_id, self._secret, self._now, self._timeout, self._parallel = app_id, secret, now, timeout, parallel
        self._send_url = base_url.rstrip("/") + "/message/template"
        self._renew_url = oauth_url.rstrip("/") + "/v4/oa/access_token"
        self._places = Places(parallel, timeout)
        self._tokens = TokenStore(token_file, self._renew, now)
        self._opened: aiohttp.ClientSession | None = None

    async def send(self, message: OutgoingMessage) -> Handover:
        """Hand over one message. Raises Retryable, Permanent, UnknownOutcome; cancelled from outside, the outcome is unknown too."""
        body, stage = _body(message), _Stage()
        try:
            async with self._places.one():
                answer = await self._answered(body, stage)
        except TimeoutError:
            raise stage.broken("did not answer in time") from None
        if answer.error:
            raise _refusal(answer.error)
        if answer.data is None or not answer.data.msg_id:
            raise UnknownOutcome("Zalo accepted a message and gave no id for it")
        return Handover(PROVIDER, str(answer.data.msg_id), 1, receipts=message.callback_url is not None)

    async def find(self, message: OutgoingMessage, since: datetime) -> Handover | None:
        """Zalo keeps no list by our mark: raises Permanent, always (``can_reconcile`` is False)."""
        raise Permanent("Zalo cannot be asked what it has accepted")

    async def close(self) -> None:
        """Ends when no renewal of the token is under way: a pair that nobody keeps is lost."""
        await self._tokens.close()
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _answered(self, body: bytes, stage: _Stage) -> _Answer:
        """Zalo's answer; after a refusal of the access token that to a second request with another one."""
        token = await self._tokens.current()
        answer = await self._post(body, token, stage)
        if answer.error in TOKEN:
            answer = await self._post(body, await self._tokens.instead_of(token), stage)
        return answer

    async def _post(self, body: bytes, token: str, stage: _Stage) -> _Answer:
        for _ in range(2):  # let the loop see which kept connections have been closed: a POST on one of them would be of unknown outcome
            await asyncio.sleep(0)
        headers = {"access_token": token, "Content-Type": "application/json"}
        stage.asked = True
        try:
            async with self._session().post(self._send_url, data=body, headers=headers, allow_redirects=False) as response:
                octets = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Retryable(f"Zalo could not be reached ({type(error).__name__}); nothing was sent", _BUSY_WAIT) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnknownOutcome(f"Zalo gave no usable answer ({type(error).__name__})") from None
        answer = _read(response.status, octets, response.headers.get("Retry-After"))
        stage.asked = False  # it has spoken: from here on nothing is under way
        return answer

    async def _renew(self, refresh_token: str) -> Tokens:
        """The next pair of tokens. Raises Retryable."""
        form = {"refresh_token": refresh_token, "app_id": self._app_id, "grant_type": "refresh_token"}
        limit = aiohttp.ClientTimeout(total=_RENEWAL_TIME)
        try:
            async with self._session().post(
                self._renew_url, data=form, headers={"secret_key": self._secret}, timeout=limit, allow_redirects=False
            ) as response:
                octets = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(f"Zalo's access token could not be renewed ({type(error).__name__}); the messages wait", _BUSY_WAIT) from None
        if response.status == 429 or response.status >= 500:
            wait = _retry_after(response.headers.get("Retry-After"))
            raise Retryable(f"Zalo does not renew the access token now (HTTP {response.status}); the messages wait", wait)
        return self._granted(octets)

    def _granted(self, octets: bytes) -> Tokens:
        try:
            granted = msgspec.json.decode(octets, type=_Granted, strict=False)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            granted = _Granted()
        if not (granted.access_token and granted.refresh_token and granted.expires_in > 0):
            raise Barred(
                f"Zalo does not renew the access token (code {granted.error}). Check HAILONG_ZNS_APP_ID and HAILONG_ZNS_SECRET_FILE; if "
                "they are right, allow the application again for the official account and write the new refresh token into the file of "
                "HAILONG_ZNS_TOKEN_FILE. The messages wait",
                REPAIR_WAIT,
            )
        return Tokens(granted.refresh_token, granted.access_token, self._now() + timedelta(seconds=granted.expires_in))

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # 10 s: a connection that Zalo is about to close must not be used again, a POST on it would have an unknown outcome.
            # Connecting gets half of the time: a Zalo out of reach is then known as such, and not as a request without an answer.
            connector = aiohttp.TCPConnector(limit=self._parallel + 1, keepalive_timeout=10)
            limits = aiohttp.ClientTimeout(total=self._timeout, connect=self._timeout / 2)
            self._opened = aiohttp.ClientSession(connector=connector, timeout=limits)
        return self._opened


def _body(message: OutgoingMessage) -> bytes:
    """The request's JSON, in NFC. Raises Permanent for a number nobody can have, Retryable without a template."""
    if message.template is None or not message.template.template_id:
        raise Retryable("This message names no template of Zalo. Set HAILONG_ZNS_TEMPLATE; the messages wait", REPAIR_WAIT)
    if not _E164.fullmatch(message.to):
        raise Permanent("invalid_number")
    data = {name: unicodedata.normalize("NFC", value) for name, value in message.template.data.items()}
    phone, template = message.to.removeprefix("+"), message.template.template_id
    return msgspec.json.encode({"phone": phone, "template_id": template, "template_data": data, "tracking_id": message.token})


def _read(status: int, octets: bytes, retry_after: str | None) -> _Answer:
    """What an answer says. Raises Retryable, Permanent, UnknownOutcome for one that says it by its status."""
    if status == 429:
        raise Retryable("Zalo has too many requests from this application at once", _retry_after(retry_after))
    if status >= 500:
        raise UnknownOutcome(f"Zalo gave no usable answer (HTTP {status})")
    try:
        answer = msgspec.json.decode(octets, type=_Answer, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        answer = None
    if answer is not None and (status == 200 or answer.error):
        return answer
    if 200 <= status < 300:
        raise UnknownOutcome(f"Zalo's answer could not be read (HTTP {status})")
    if status in _SETTINGS_STATUS or status < 400:
        raise Barred(f"Zalo's address or our credentials are wrong (HTTP {status}); correct the settings, the messages wait", REPAIR_WAIT)
    raise Permanent("refused", str(status))


def _refusal(error: int) -> Retryable | Permanent | UnknownOutcome:
    if error in UNCLEAR:
        return UnknownOutcome(f"Zalo had a fault of its own (code {error})")
    if error in LATER:
        return Retryable(f"Zalo cannot take more messages now (code {error})", LATER[error])
    if error in OURS or error in TOKEN:
        word = OURS.get(error, "access token")
        return Barred(f"Zalo refuses our settings ({word}, code {error}); correct them, the messages wait", REPAIR_WAIT)
    return Permanent(PERMANENT.get(error, "refused"), str(error))


def _retry_after(header: str | None) -> float:
    """Seconds of a Retry-After header; a short default when it is absent or no number."""
    try:
        seconds = float(header or "")
    except ValueError:
        return _BUSY_WAIT
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else _BUSY_WAIT
