"""``hailong message``: how every message reads, counts and costs; and one sent as a test to a guest."""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import typer

from hailong.domain.units import LOCAL
from hailong.events import MessageChannel, Purpose
from hailong.ports import Channel, Handover, OutgoingMessage, Permanent, Retryable, TemplateCall, UnknownOutcome
from ops import messages
from ops.cli.door import Data, Json, print_json, say, wired
from ops.clock import real_now
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.people import known_login
from ops.reaching import guests, normal
from sinks.ledger.going import Trial
from surveys.messages.previewing import Setting, sample_url
from surveys.messages.texts import Texts
from surveys.wording import office

_BEGINS_WITH: Final = {"zns": "HAILONG_ZNS_APP_ID", "print": "HAILONG_PRINT_DIR"}
"""Channel that need not be there → the setting that sets it up."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Messages to citizens: how they read, count and cost; send one as a test.")
    for name, command in (("preview", preview), ("test", send_test), ("seen", seen)):
        group.command(name)(command)
    app.add_typer(group, name="message")


def preview(
    ctx: typer.Context,
    channel: Annotated[str | None, typer.Option(help="only this channel: sms, email, zns, print")] = None,
    language: Annotated[str | None, typer.Option(help="only this language, as in the files' names: vi, vi-plain, en…")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Every message that is in force today, with encoding, segments and price to the dearest operator."""
    with wired(ctx, data) as w:
        try:
            day = w.clock.now().astimezone(LOCAL).date()
            rows = messages.rows(w.texts, messages.setting_of(w, day), day)
        except ValueError as fault:
            raise Refusal(str(fault), wrong_use=True) from fault
    shown = [r for r in rows if channel in (None, r["channel"]) and language in (None, r["language"])]
    if not shown:
        there = ", ".join(dict.fromkeys(f"{r['language']}.{r['channel']}" for r in rows))
        raise Refusal(f"No message of that channel and language. There are {there}.", wrong_use=True)
    if as_json:
        print_json(shown)
        return
    sys.stdout.write("\n".join(_block(row) for row in shown))


def _block(row: dict[str, Any]) -> str:
    wording = f" · wording {row['arm']}" if row["channel"] == "sms" else ""
    free = " · without a link" if row["link_free"] else ""
    head = f"{row['channel']} · {row['purpose']}{free}{wording} · {row['language']}"
    counted = (
        f"{row['encoding']}, {row['letters']} letters, {row['segments']} segment{'s' * (row['segments'] != 1)}, " if row["encoding"] else ""
    )
    price = (
        f"price not known: {row['price_note']}" if row["price"] is None else f"{row['price']:,} đ ({row['provider']}; {row['price_note']})"
    )
    approval = "" if row["approved"] else ", not approved yet"
    body = [row["subject"], ""] if row["subject"] else []
    lines = [head, f"  {row['template_version']}: {counted}{price}{approval}"]
    if not row["provider"]:
        setting = _BEGINS_WITH.get(row["channel"], "its provider")
        lines.append(f"  ⚑ {row['channel']} is not set up, so nobody gets this message. Set {setting}; `hailong settings` lists what else.")
    lines += [f"  ⚑ {warning}" for warning in row["warnings"]]
    return "\n".join([*lines, *(f"    {line}".rstrip() for line in [*body, *row["text"].strip().splitlines()]), ""])


def send_test(
    ctx: typer.Context,
    channel: Annotated[str, typer.Option(help="sms, email, zns, print")],
    to: Annotated[str | None, typer.Option(help="number or address; it must stand in the guest list. print needs none")] = None,
    guest_list: Annotated[Path | None, typer.Option("--guests", help="guest list [default: that of HAILONG_GUESTS_FILE]")] = None,
    language: Annotated[str, typer.Option(help="vi, en…")] = "vi",
    purpose: Annotated[str, typer.Option(help="invitation or reminder")] = "invitation",
    data: Data = None,
) -> None:
    """Send one message, marked TEST, to a guest by the channel as it is set up. Nothing else is sent."""
    way, kind = _channel(channel), _purpose(purpose)
    with wired(ctx, data) as w:
        guest = "" if way == "print" else _guest(to, guest_list or w.settings.guests_file, way)
        day = w.clock.now().astimezone(LOCAL).date()
        texts = Texts(messages.marked(office()), w.texts.templates)
        message = composed(texts, messages.setting_of(w, day), way, kind, language, guest, day)
        carrier, ledger = w.ways.get(way), w.ledger("cli")
        found = w.channels(ledger).get(carrier.main) if carrier else None
        if found is None:
            raise Refusal(f"The channel {way} is not set up. `hailong settings` lists what it needs.")
        handed = asyncio.run(_send(found, message))
        test = Trial(message.claim_id, way, handed.provider, message.language, at_the_keyboard(), real_now())
        with ledger.begin() as tx:
            tx.note_test(test)
            tx.audited(test.by, "message_tested", f"test:{test.id}", {"channel": way, "provider": handed.provider})
    say(f"Handed over to {handed.provider}, marked {messages.MARK}. See whether it arrives; on a local stack, at the carrier's page.")
    say("Once it has arrived, say so; going live asks for it:")
    sys.stdout.write(f"hailong message seen {test.id} --by LOGIN\n")


def seen(
    ctx: typer.Context,
    test: Annotated[str, typer.Argument(help="id of the test, as `message test` printed it")],
    by: Annotated[str, typer.Option(help="login of who saw it arrive")],
    data: Data = None,
) -> None:
    """Confirm that a test message arrived, whole and readable. Going live asks for it."""
    with wired(ctx, data) as w, w.ledger("cli").begin() as tx:
        login = known_login(tx, by)
        found = tx.test_seen(test, login, real_now())
        if found is None:
            raise Refusal(f"There is no test {test}: it was never handed over. `hailong message test` sends one and prints its id.")
        tx.audited(at_the_keyboard(), "test_message_seen", f"test:{test}", {"by": login, "channel": found.channel})
    say(f"The test of {found.channel} by {found.provider} was seen by {found.seen_by}.")


def composed(texts: Texts, made_with: Setting, way: MessageChannel, kind: Purpose, language: str, guest: str, day: date) -> OutgoingMessage:
    """A test as its channel takes it: words in force on a local day, a link as long as a real one."""
    url = sample_url(made_with.survey_url, way)
    until = day + timedelta(days=made_with.link_days)
    said = texts.message(kind, way, language, url=url, stop_url=f"{url}/stop", until=until, on=day)
    return OutgoingMessage(
        claim_id=uuid.uuid4().hex,
        channel=way,
        to=guest,
        subject=said.subject,
        text=said.text,
        html=said.html,
        token=url.rpartition("/")[2],
        callback_url=None,
        unsubscribe_url=None,
        language=said.language.partition("-")[0],
        template=TemplateCall(said.approval or said.template_version, said.data) if way == "zns" else None,
    )


def _channel(typed: str) -> MessageChannel:
    for known in get_args(MessageChannel):
        if typed == known:
            return cast(MessageChannel, known)
    raise Refusal(f"--channel {typed}: no such channel. There are {', '.join(get_args(MessageChannel))}.", wrong_use=True)


def _purpose(typed: str) -> Purpose:
    for known in get_args(Purpose):
        if typed == known:
            return cast(Purpose, known)
    raise Refusal(f"--purpose {typed}: no such message. There are {', '.join(get_args(Purpose))}.", wrong_use=True)


def _guest(typed: str | None, named: Path | str, way: MessageChannel) -> str:
    """The recipient, if the guest list has it. The refusal names neither number nor address."""
    if typed is None:
        raise Refusal(f"--to is missing: a test by {way} goes to a guest. Name a number or an address of the guest list.", wrong_use=True)
    guest = normal(typed)
    if guest is None:
        raise Refusal("--to is neither a telephone number nor a mail address.", wrong_use=True)
    if ("@" in guest) != (way == "email"):
        raise Refusal(f"--to does not fit the channel {way}: mail goes to an address, everything else to a number.", wrong_use=True)
    if not named:
        raise Refusal(
            "There is no guest list: HAILONG_GUESTS_FILE is not set, and --guests names no file. Write the number or address of somebody "
            "who agreed into a file, one a line, and name it in either.",
            wrong_use=True,
        )
    listed = Path(named)
    if not listed.is_file():
        raise Refusal(f"The guest list {listed} is no file. Make it, or mend HAILONG_GUESTS_FILE or --guests.", wrong_use=True)
    try:
        known = guests(listed)
    except ValueError as fault:
        raise Refusal(str(fault), wrong_use=True) from fault
    if guest not in known:
        raise Refusal(f"Whoever --to names is not in {listed.name}. Tests go to guests only: add the line once the person has agreed.")
    return guest


async def _send(channel: Channel, message: OutgoingMessage) -> Handover:
    try:
        return await channel.send(message)
    except (Retryable, Permanent) as refused:
        raise Refusal(f"Nothing was sent. {refused.reason.rstrip('.')}.") from refused
    except UnknownOutcome as unknown:
        raise Refusal(
            f"{unknown.reason}: the test may or may not have been accepted. Look whether it arrives before you repeat it."
        ) from unknown
    finally:
        await channel.close()
