"""One site: ``python -m ops.site intake|survey|dashboard --port P``. Each is a process of its own; run as many as needed."""

from __future__ import annotations

import argparse
import asyncio
import base64
import secrets
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import uvicorn
import uvloop
from starlette.applications import Starlette

from dashboard.app import Publishing, build_dashboard
from hailong import telemetry
from hailong.domain.alert_sentences import listed
from hailong.domain.questionnaire import QuestionnaireError
from hailong.domain.units import LOCAL
from hailong.events import Form
from hailong.ports import Permanent, Retryable
from hailong.settings import SettingError, Settings, load
from ops import arms, messages, questionnaires
from ops.doors import talking
from ops.drawing import PublicDraw
from ops.entering import DossierRefs
from ops.kiosks import KioskBook
from ops.people import door
from ops.running import Running
from ops.waiting import OfficeLists
from ops.ways import secret
from ops.wiring import Wiring
from producers.desk import Desk
from producers.intake import build_intake, load_keys
from sinks.clickhouse.queries import ClickHouseFigures
from sinks.clickhouse.stated import ClickHouseStated
from sinks.clickhouse.strata import ClickHouseStrata
from sinks.ledger.fakes import FakeBook, SentBook
from surveys.answers.spool import Spool
from surveys.channels.sms_twilio import parse_callback, verify_callback
from surveys.channels.zns_events import ZnsEvents
from surveys.inbound.receipts import ReceiptDoor
from surveys.site import Parts, build_site
from surveys.wording import library, office
from web.assembly import server
from web.health import Check
from web.outbox import Outbox

NAMES: Final = ("intake", "survey", "dashboard")


def intake(wiring: Wiring, _name: str) -> Starlette:
    """Where dossiers come in."""
    s = wiring.settings
    publisher = wiring.publisher("intake")
    desk = Desk(wiring.lasting_ledger("intake"), publisher, wiring.keyed, s.registry_id)
    keys = load_keys(Path(s.intake_keys_file)) if s.intake_keys_file else {}
    return build_intake(desk, keys, wiring.clock, publisher.check, close=publisher.close)


def survey(wiring: Wiring, name: str) -> Starlette:
    """Where citizens answer."""
    s = wiring.settings
    publisher = wiring.aio_publisher(name)
    ledger = wiring.lasting_ledger(name)
    token = secret(s.twilio_token_file)

    asked = library()
    with suppress(Retryable):  # answers can be taken without the ledger; it is held against it at the next start
        questionnaires.frozen(asked, ledger, wiring.clock.now())

    async def ledger_answers() -> None:
        await asyncio.to_thread(ledger.pending, 1)

    parts = Parts(
        settings=s,
        ledger=ledger,
        publisher=publisher,
        spool=Spool(s.data_dir / "spool", name),
        clock=wiring.clock,
        office=office(),
        library=asked,
        form_keys=[base64.urlsafe_b64encode(wiring.keys.named("forms"))],
        new_nonce=lambda: secrets.token_hex(16),
        monotonic=time.monotonic,
        real_now=lambda: datetime.now(UTC),
        receipt_for=wiring.receipt_for,
        receipts={"twilio": ReceiptDoor("X-Twilio-Signature", partial(verify_callback, token), parse_callback)},
        zalo=ZnsEvents(s.zns_app_id, secret(s.zns_oa_secret_file)) if s.zns_app_id and s.zns_oa_secret_file else None,
        gateways=[wiring.out.gateway] if wiring.out.gateway else [],
        stop_number=lambda tx, number: tx.opt_out_number(number, wiring.clock.now(), "sms"),
        sent=SentBook(ledger, LOCAL),
        fakes=FakeBook(ledger, LOCAL, wiring.directory.office, wiring.officers_ref, s.dashboard_url),
        draw=PublicDraw(wiring, ledger),
        dossier_codes=DossierRefs(ledger, wiring.keyed, time.monotonic),
        kiosks=KioskBook(ledger),
        checks=[Check("ledger", ledger_answers, needed=False), Check("log", publisher.check, needed=False)],
        close=publisher.close,
    )
    return build_site(parts)


def dashboard(wiring: Wiring, name: str) -> Starlette:
    """Where officers look, once they have signed in."""
    s = wiring.settings
    ledger = wiring.lasting_ledger(name)
    publisher = wiring.aio_publisher(name)

    def alerts() -> list[dict[str, Any]]:
        with ledger.read() as reader:
            return listed(reader.alerts(history=True))

    client = wiring.clickhouse()
    figures = ClickHouseFigures(client, s.registry_id, s.default_target)
    return build_dashboard(
        figures,
        alerts,
        wiring.clock,
        door(ledger, s),
        notice=notice(s),
        letters=lambda: letters(wiring),
        arms=partial(arms.report, wiring, ledger),
        running=Running(wiring, ledger),
        talking=talking(wiring, ledger),
        measures=ledger,
        alerting=ledger,
        behind=(ClickHouseStrata(client, figures), ClickHouseStated(client, s.registry_id)),
        publishing=Publishing(Outbox(ledger, publisher, "dashboard"), publisher.check, publisher.close),
        asked=lambda form, ending: questionnaires.rows(library(), cast(Form, form), ending),
        waiting=(OfficeLists(ledger), wiring.unit_names(ledger)),
        loopback_only=s.dashboard_loopback_only,
        trusted_proxies=s.trusted_proxies,
    )


def letters(wiring: Wiring) -> list[dict[str, Any]]:
    """Every message in force today, as ``/messages`` shows it."""
    day = wiring.clock.now().astimezone(LOCAL).date()
    return messages.rows(wiring.texts, messages.setting_of(wiring, day), day)


def notice(settings: Settings) -> dict[str, str]:
    """What the page says above everything, such as what of the demonstration is public and what simulated."""
    if not settings.notice_file:
        return {}
    return tomllib.loads(Path(settings.notice_file).read_text("utf-8-sig"))


BUILD: Final[dict[str, Callable[[Wiring, str], Starlette]]] = {"intake": intake, "survey": survey, "dashboard": dashboard}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.site", description="One site.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    args = parser.parse_args(argv)
    try:
        settings = load()
    except SettingError as e:
        sys.stderr.write(f"{e}\n")
        return 2
    name = settings.service if settings.service != Settings().service else args.name
    telemetry.configure(name, settings.log_level)
    try:
        app = BUILD[args.name](Wiring(settings), name)
    except (Permanent, QuestionnaireError) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    uvloop.run(uvicorn.Server(server(app, args.host, args.port)).serve())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
