"""The carrier's process: ``python -m ops.carrier --data DIR --http-port N --smtp-port M``.

When both ports answer it writes one line of JSON with its addresses to stdout. SIGTERM and SIGINT end it with 0; what keeps it from
starting is said in a sentence on stderr, and it ends with 2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from hailong.ports import Clock
from hailong.settings import SettingError
from ops.carrier.bounces import API as BOUNCE
from ops.carrier.bounces import Bounces
from ops.carrier.faults import Faults
from ops.carrier.gateway_api import GatewayApi
from ops.carrier.journal import Journal, JournalUnusable
from ops.carrier.mail_server import MailServer
from ops.carrier.reading import Reading
from ops.carrier.receipts import Receipts
from ops.carrier.register import Register
from ops.carrier.short_code import ShortCode
from ops.carrier.twilio_api import TwilioApi
from ops.carrier.zns_api import API as ZNS
from ops.carrier.zns_api import Grants, ZnsAccount, ZnsApi
from ops.clock import make_clock

JOURNAL_NAME = "journal.jsonl"
TOKEN_NAME = "auth_token"  # noqa: S105 - the name of a file
ZNS_SECRET_NAME, ZNS_OA_SECRET_NAME, ZNS_TOKENS_NAME = "zns_secret", "zns_oa_secret", "zns_tokens.json"
ZNS_APP = "1000000000000000001"


class CannotStart(Exception):
    """The sentence for the person who started it."""


@dataclass(frozen=True)
class Options:
    """As on the command line; seconds, attempts."""

    data: Path
    host: str
    http_port: int
    smtp_port: int
    token_file: Path
    account: str | None
    callback_retries: int
    sent_after: float
    delivered_after: float
    zns_app: str
    zns_secret_file: Path
    zns_oa_secret_file: Path
    zns_webhook: str | None
    bounces: Path
    clock: str


def options(arguments: list[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m ops.carrier", description="Takes SMS and mail on this machine instead of a real carrier."
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the journal; made when absent")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--http-port", type=int, required=True, help="Twilio's API, Zalo's, two gateways' and the page; 0: any free port")
    add("--smtp-port", type=int, required=True, help="mail; 0: any free port")
    add("--auth-token-file", type=Path, help=f"file with the account's token (default: DATA/{TOKEN_NAME}, made when absent)")
    add("--account-sid", help="the only account known (default: any, with the token)")
    add("--callback-retries", type=int, default=100, help="attempts after the first to deliver a receipt (default: 100, some 48 minutes)")
    add("--sent-after", type=float, default=0.05, help="seconds from acceptance to 'sent'")
    add("--delivered-after", type=float, default=0.2, help="seconds from acceptance to 'delivered'")
    add("--zns-app-id", default=ZNS_APP, help="the Zalo application that sends")
    add("--zns-secret-file", type=Path, help=f"file with that application's secret (default: DATA/{ZNS_SECRET_NAME}, made when absent)")
    add("--zns-oa-secret-file", type=Path, help=f"file with the secret that signs events (default: DATA/{ZNS_OA_SECRET_NAME})")
    add("--zns-webhook", help="address that Zalo's events go to (default: nowhere)")
    add("--bounce-maildir", type=Path, help="Maildir folder that mails of no delivery go to (default: DATA/bounces)")
    add("--clock", default="real", help="clock of the installation, as HAILONG_CLOCK; the journal notes its moments, too")
    given = parser.parse_args(arguments)
    return Options(
        given.data,
        given.host,
        given.http_port,
        given.smtp_port,
        given.auth_token_file or given.data / TOKEN_NAME,
        given.account_sid,
        given.callback_retries,
        given.sent_after,
        given.delivered_after,
        given.zns_app_id,
        given.zns_secret_file or given.data / ZNS_SECRET_NAME,
        given.zns_oa_secret_file or given.data / ZNS_OA_SECRET_NAME,
        given.zns_webhook,
        given.bounce_maildir or given.data / "bounces",
        given.clock,
    )


async def serve(chosen: Options, stopping: asyncio.Event) -> None:
    """Run until ``stopping`` is set. Raises CannotStart, JournalUnusable."""
    with _bound(chosen.host, chosen.http_port, "--http-port") as http, _bound(chosen.host, chosen.smtp_port, "--smtp-port") as smtp:
        register = Register()
        journal = Journal(chosen.data / JOURNAL_NAME, register.apply, _clock(chosen.clock).now)
        token = _token(chosen.token_file, "--auth-token-file", make=chosen.token_file == chosen.data / TOKEN_NAME)
        receipts = Receipts(journal, register, token, chosen.callback_retries, _now)
        faults = Faults()
        api = TwilioApi(
            journal, register, receipts, faults, token, chosen.account, _now, _sms_id, chosen.sent_after, chosen.delivered_after
        )
        zns = _zns(chosen, journal, register, receipts, faults)
        receipts.speeches[ZNS] = zns.event
        gateways = GatewayApi(journal, register, receipts, faults, token, _now, _gateway_id, chosen.sent_after, chosen.delivered_after)
        receipts.ways[BOUNCE] = _bounces(chosen.bounces).tell
        letters = MailServer(journal, faults, _now, _mail_id, receipts, chosen.delivered_after)
        short_code = ShortCode(journal, register, token, _now, _gateway_id)
        routes = [*api.routes(), *zns.routes(), *gateways.routes(), *short_code.routes()]
        runner = web.AppRunner(_site(routes, Reading(journal, register), faults), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, http).start()
        mail = await asyncio.get_running_loop().create_server(letters.connection, sock=smtp)
        await receipts.start()
        _tell(http, smtp)
        try:
            await stopping.wait()
        finally:
            mail.close()
            letters.cut()
            await receipts.stop()
            await runner.cleanup()
            await journal.close()


def main(arguments: list[str] | None = None) -> int:
    logging.getLogger("mail.log").disabled = True  # aiosmtpd's; it writes addresses
    logging.getLogger("mail.debug").disabled = True
    try:
        uvloop.run(_until_told(options(arguments)))
    except (CannotStart, JournalUnusable) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


async def _until_told(chosen: Options) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await serve(chosen, stopping)


def _zns(chosen: Options, journal: Journal, register: Register, receipts: Receipts, faults: Faults) -> ZnsApi:
    def kept(path: Path, name: str, option: str) -> str:
        return _token(path, option, make=path == chosen.data / name)

    account = ZnsAccount(
        chosen.zns_app,
        kept(chosen.zns_secret_file, ZNS_SECRET_NAME, "--zns-secret-file"),
        kept(chosen.zns_oa_secret_file, ZNS_OA_SECRET_NAME, "--zns-oa-secret-file"),
        chosen.zns_webhook,
    )
    path = chosen.data / ZNS_TOKENS_NAME
    try:
        grants = Grants(path, _now)
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"The carrier cannot read the Zalo tokens it gave out from {path} ({type(error).__name__}). "
            "Remove the file; senders then renew their token."
        ) from error
    return ZnsApi(journal, register, receipts, faults, grants, account, _now, _zns_id, chosen.delivered_after)


def _clock(spec: str) -> Clock:
    try:
        return make_clock(spec)
    except SettingError as error:
        raise CannotStart(str(error).replace("HAILONG_CLOCK", "--clock")) from error


def _bounces(folder: Path) -> Bounces:
    bounces = Bounces(folder, _now, _mail_id)
    try:
        bounces.prepare()
    except OSError as error:
        raise CannotStart(
            f"The carrier cannot return mails into {folder} ({error.strerror}). Choose a folder you may write to with --bounce-maildir."
        ) from error
    return bounces


def _site(routes: list[web.RouteDef], reading: Reading, faults: Faults) -> web.Application:
    site = web.Application(client_max_size=1024 * 1024)

    async def order(request: web.Request) -> web.Response:
        try:
            added = faults.add(await request.read())
        except msgspec.MsgspecError as error:
            return web.json_response(
                {"error": f"These fault orders cannot be read: {error}. See ops/carrier/faults.py for their form."}, status=400
            )
        return web.json_response({"added": added}, status=201)

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(faults.left()), content_type="application/json")

    async def clear(_: web.Request) -> web.Response:
        faults.clear()
        return web.Response(status=204)

    site.add_routes([*routes, *reading.routes(), web.post("/faults", order), web.get("/faults", show), web.delete("/faults", clear)])
    return site


def _bound(host: str, port: int, option: str) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=1024)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise CannotStart(
            f"The carrier cannot listen on {host}:{port} ({reason}). Stop the program that uses it, or choose another port with {option}."
        ) from error


def _token(path: Path, option: str, *, make: bool) -> str:
    try:
        if make and not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16) + "\n", encoding="ascii")
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise CannotStart(
            f"The carrier cannot read its account's secret from {path} ({reason}). Name a readable file with {option}."
        ) from error
    if not token:
        raise CannotStart(
            f"The file {path} for a secret of the carrier's accounts is empty. Write it into the file, or remove it to have one made."
        )
    return token


def _tell(http: socket.socket, smtp: socket.socket) -> None:
    host, port = http.getsockname()[:2]
    mail_host, mail_port = smtp.getsockname()[:2]
    sys.stdout.write(json.dumps({"http": f"http://{host}:{port}", "smtp": f"{mail_host}:{mail_port}", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def _now() -> datetime:
    return datetime.now(UTC)


def _sms_id() -> str:
    return "SM" + secrets.token_hex(16)


def _zns_id() -> str:
    return "ZN" + secrets.token_hex(16)


def _gateway_id() -> str:
    return "GF" + secrets.token_hex(16)


def _mail_id() -> str:
    return "EM" + secrets.token_hex(16)


if __name__ == "__main__":
    sys.exit(main())
