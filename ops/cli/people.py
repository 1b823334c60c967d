"""``hailong accounts`` and ``hailong audit``: who may sign in on the officers' site, and what people did."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from dashboard.administration import Wanted
from hailong.domain.access import AuditEntry, Break, Chain
from hailong.domain.units import LOCAL
from hailong.ports import Retryable
from ops.anchors import Anchors
from ops.cli.door import Data, Json, print_json, say, wired
from ops.cli.tables import print_table
from ops.clock import real_now
from ops.keyboard import at_the_keyboard
from ops.local.refusal import Refusal
from ops.people import address, administration
from ops.wiring import Wiring
from sinks.ledger.audit import ORIGIN

_BROKEN = {
    "missing": "line {seq} is gone",
    "changed": "line {seq} does not say what was written",
    "moved": "line {seq} does not follow the one before it",
    "cut": "the end is gone, from line {seq} on",
    "replaced": "line {seq} is another one than was anchored: the trail was written anew",
}
Login = Annotated[str, typer.Argument(help="login of the account")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    accounts = typer.Typer(no_args_is_help=True, help="Who may sign in on the officers' site: first, list, add, disable, enable, reset.")
    for name, command in (
        ("first", first), ("list", listed), ("add", add), ("disable", disable), ("enable", enable), ("reset", reset),
    ):  # fmt: skip
        accounts.command(name)(command)
    app.add_typer(accounts, name="accounts")
    audit = typer.Typer(no_args_is_help=True, help="What people did and looked at: list; verify that nothing of it was changed.")
    audit.command("list")(entries)
    audit.command("verify")(verify)
    app.add_typer(audit, name="audit")


# --- accounts


def first(
    ctx: typer.Context,
    login: Annotated[str | None, typer.Option(help="login of that administrator [default: the one there is, else admin]")] = None,
    again: Annotated[bool, typer.Option("--again", help="although there is an administrator already: all are locked out")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A one-time link for the first administrator: it sets a password, once, within 24 hours."""
    with wired(ctx, data) as w:
        made = administration(w.ledger("cli")).first(at_the_keyboard(), login=login, again=again)
        if made is None:
            raise Refusal(
                "There is an administrator already, who can make links for others on the officers' site. "
                "If all of them are locked out, add --again; it stands in the audit trail."
            )
        _print_link(w, *made, as_json)


def listed(ctx: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Every account, with role, scope and whether it has a second factor."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        found = [
            {
                "login": a.login, "name": a.name, "role": a.role, "scope": a.scope, "factor": a.factor is not None,
                "state": "disabled" if a.disabled_at else "invited" if a.password is None else "active", "created_at": a.created_at,
            }
            for a in reader.accounts()
        ]  # fmt: skip
    if as_json:
        print_json(found)
        return
    rows = [[str(a["login"]), str(a["role"]), str(a["scope"] or "all"), "yes" if a["factor"] else "no", str(a["state"])] for a in found]
    print_table(("login", "role", "scope", "second factor", "state"), rows)
    if not found:
        say("There is no account yet. `hailong accounts first` makes the first administrator's.")


def add(
    ctx: typer.Context,
    login: Login,
    role: Annotated[str, typer.Option(help="viewer | desk | caller | unit_officer | quality_officer | operator | administrator")],
    name: Annotated[str | None, typer.Option(help="as pages show it [default: the login]")] = None,
    scope: Annotated[str | None, typer.Option(help="code of the unit whose subtree is seen [default: all]")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A new account, and the one-time link to hand to its owner."""
    with wired(ctx, data) as w:
        token = administration(w.ledger("cli")).add(login, Wanted(name or login, role, scope), at_the_keyboard())
        _print_link(w, login.strip().lower(), token, as_json)


def disable(ctx: typer.Context, login: Login, data: Data = None) -> None:
    """End an account's sessions and keep it from signing in. Accounts are never deleted."""
    with wired(ctx, data) as w:
        administration(w.ledger("cli")).disable(login, at_the_keyboard())
    say(f"{login} is disabled and signed out everywhere.")


def enable(ctx: typer.Context, login: Login, data: Data = None) -> None:
    """Let a disabled account sign in again."""
    with wired(ctx, data) as w:
        administration(w.ledger("cli")).enable(login, at_the_keyboard())
    say(f"{login} may sign in again.")


def reset(
    ctx: typer.Context,
    login: Login,
    without_factor: Annotated[bool, typer.Option("--without-factor", help="remove the second factor too: the phone was lost")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A one-time link for a new password. The old one stops working at once."""
    with wired(ctx, data) as w:
        token = administration(w.ledger("cli")).reset(login, at_the_keyboard(), without_factor=without_factor)
        _print_link(w, login, token, as_json)


def _print_link(w: Wiring, login: str, token: str, as_json: bool) -> None:
    """The link alone on stdout: it is shown here and nowhere else."""
    link = address(w.settings, token)
    if as_json:
        print_json({"login": login, "link": link})
        return
    say(f"For {login}, once, within 24 hours:")
    sys.stdout.write(f"{link}\n")


# --- audit


def entries(
    ctx: typer.Context,
    after: Annotated[int, typer.Option(min=0, help="lines behind this number")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="at most so many")] = 100,
    actor: Annotated[str | None, typer.Option(help="of this login only")] = None,
    about: Annotated[str | None, typer.Option("--object", help="about this only, such as account:lan")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The audit trail, oldest first. Times are real, whatever clock a local stack has."""
    with wired(ctx, data) as w, w.ledger("cli").read() as reader:
        lines = reader.audit(after=after, limit=limit, actor=actor, obj=about)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    print_table(("no.", "at", "who", "did", "to", "detail"), [_row(line) for line in lines])
    if not lines:
        say("No line of the audit trail fits.")


def _row(line: AuditEntry) -> list[str]:
    detail = ", ".join(f"{key}={value}" for key, value in line.detail.items())
    return [str(line.seq), line.at.astimezone(LOCAL).isoformat(timespec="seconds"), line.actor, line.act, line.object, detail]


def verify(
    ctx: typer.Context,
    anchor: Annotated[list[str] | None, typer.Option(help="NUMBER:HASH from the timer's log, may be repeated")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Walk the whole audit trail and hold it against its anchors; exit code 1 names the first line that is not as it was written."""
    given = dict(map(_anchor, anchor or []))
    with wired(ctx, data) as w:
        anchors = Anchors(w.settings.data_dir)
        kept = anchors.read() | given
        with w.ledger("cli").read() as reader:
            chain = reader.verify_audit(kept)
        if chain.broken is None:
            _keep(anchors, chain)
    if as_json:
        broken = asdict(chain.broken) if chain.broken else None
        print_json({"passed": chain.broken is None, "lines": chain.length, "newest": chain.newest, "anchors": len(kept), "broken": broken})
    elif chain.broken is None:
        newest = "" if chain.newest == ORIGIN else f" Newest: {chain.length}:{chain.newest}"
        sys.stdout.write(f"The audit trail is whole: {chain.length:,} lines, held against {len(kept)} anchors.{newest}\n")
    else:
        sys.stdout.write(_sentence(chain.broken))
    if chain.broken is not None:
        raise typer.Exit(1)


def _keep(anchors: Anchors, chain: Chain) -> None:
    try:
        anchors.keep(chain.length, chain.newest, real_now())
    except Retryable as e:
        say(f"Note: {e.reason}. Where the timer runs they can.")


def _sentence(broken: Break) -> str:
    said = _BROKEN[broken.kind].format(seq=broken.seq)
    return (
        f"The audit trail is not whole: {said}. Somebody with the database's password changed it, or an older copy was restored. "
        "Keep a copy of the database as it is, compare it with the last backup and with the anchors in the timer's log, "
        "and tell the quality office.\n"
    )


def _anchor(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != len(ORIGIN):
        raise Refusal(f"--anchor {text}: write NUMBER:HASH, as the timer's log has them under `audit anchor`.", wrong_use=True)
    return int(number), digest
