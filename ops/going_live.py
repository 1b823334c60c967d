"""``hailong doctor --go-live``: everything that must be in order before a channel writes to people. What cannot be shown, refuses.

``examine`` gives every check; ``hailong live`` refuses while one of a channel's is not satisfied.
"""

from __future__ import annotations

import ipaddress
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import httpx

from hailong.domain import links
from hailong.domain.people import normal_mail
from hailong.domain.units import LOCAL
from hailong.domain.ways import Way
from hailong.events import MessageChannel
from hailong.ports import Invalid
from ops.clock import real_now
from ops.reaching import TWILIO, simulated, tries
from ops.wiring import Wiring
from sinks.ledger import Ledger, LedgerReader
from sinks.ledger.going import place_of
from surveys.messages.templates import Template

BACKUP_WITHIN: Final = timedelta(days=31)
TEST_WITHIN: Final = timedelta(days=31)
_EXAMPLE: Final = "example"
_DEFAULT: Final = "product default"
_REPORTING: Final = frozenset({"sms", "zns"})
"""Channels whose providers call back."""
_FETCH_S: Final = 10.0


Fetch = Callable[[str], httpx.Response]
"""Gets a page by its address. Raises httpx.HTTPError."""


def outside() -> Fetch:
    """The real one; a redirection is no page."""
    return partial(httpx.get, timeout=_FETCH_S, follow_redirects=False)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``channel``: empty for what all channels need. ``next_step``: empty when it is in order."""

    id: str
    channel: str
    ok: bool
    found: str
    next_step: str


def examine(w: Wiring, ledger: Ledger, channels: Sequence[str] | None = None, fetch: Fetch | None = None) -> list[Check]:
    """Every check of the installation and of these channels (None: all that are set up). Raises Invalid for one that is not.

    Reads the ledger, files and the network; changes nothing.
    """
    wanted = list(w.ways) if channels is None else list(channels)
    unknown = [channel for channel in wanted if channel not in w.ways]
    if unknown:
        raise Invalid("unknown", "channel", f"{unknown[0]} is not set up here; channels are {', '.join(w.ways)}")
    with ledger.read() as reader:
        office = _Office(w, reader, fetch or outside(), wanted)
        return [*_all(office), *(check for channel in wanted for check in _each(office, channel))]


def line(check: Check) -> str:
    """A check as the command prints it."""
    name = f"{check.id} {check.channel}".strip()
    told = f"{'ok ' if check.ok else 'NO '} {name:<22} {check.found}\n"
    return told if check.ok else f"{told}{'':>27}{check.next_step.rstrip('.')}.\n"


@dataclass(frozen=True)
class _Office:
    """What the checks look at. ``wanted``: the channels that are to go live."""

    w: Wiring
    reader: LedgerReader
    fetch: Fetch
    wanted: Sequence[str]

    @cached_property
    def today(self) -> date:
        return self.w.clock.now().astimezone(LOCAL).date()


Seen = tuple[bool, str, str]
"""(in order, what was found, the next step)."""


def _all(office: _Office) -> Iterator[Check]:
    """What every channel needs."""
    for name, look in _INSTALLATION.items():
        ok, found, step = look(office)
        yield Check(name, "", ok, found, "" if ok else step)


def _each(office: _Office, channel: str) -> Iterator[Check]:
    """What one channel needs."""
    for name, look in _CHANNEL.items():
        ok, found, step = look(office, channel, office.w.ways[channel])
        yield Check(name, channel, ok, found, "" if ok else step)


# --- people, backup, keys


def _second_factor(o: _Office) -> Seen:
    """Administrators and operators, all of them."""
    lacking = o.reader.without_factor()
    able = [a for a in o.reader.accounts() if a.role == "administrator" and a.disabled_at is None and a.password and a.factor]
    if lacking:
        step = "Each of them signs in on the officers' site and turns it on under My account; or disable the account"
        return False, f"without a second factor: {', '.join(lacking)}", step
    if not able:
        return False, "no administrator can sign in", "Run `hailong accounts first` and set password and second factor"
    return True, "every administrator and operator has one", ""


def _backup(o: _Office) -> Seen:
    """Both acts stand in the audit trail, which only the commands for them write."""
    taken, restored = o.reader.last_act("backup_taken"), o.reader.last_act("backup_restored")
    since = real_now() - BACKUP_WITHIN
    if taken and restored and min(taken, restored) > since:
        return True, f"taken {taken:%Y-%m-%d}, restored {restored:%Y-%m-%d}", ""
    lacks = " and ".join(what for what, at in (("taken", taken), ("restored", restored)) if at is None or at <= since)
    step = "This release has no command that takes and restores a backup, so no channel goes live with it. Wait for the release that has"
    return False, f"the audit trail knows of no backup {lacks} within {BACKUP_WITHIN.days} days", step


def _keys_apart(o: _Office) -> Seen:
    """Whoever steals the database must not have the keys with it."""
    keys, place = o.w.settings.keys_dir.resolve(), place_of(o.w.settings.ledger)
    if not isinstance(place, Path):
        return True, f"keys in {keys}, the database on {place}", ""
    database = place.resolve()
    step = "Put the keys on another disk or volume (HAILONG_KEYS_DIR), so that no copy of the database takes them along"
    if database.parent == keys or database.parent in keys.parents:
        return False, f"the keys {keys} lie inside the database's folder", step
    if not keys.is_dir():
        return False, f"there is no folder {keys}", "Name the folder of the keys in HAILONG_KEYS_DIR"
    if database.exists() and database.stat().st_dev == keys.stat().st_dev:
        return False, f"the keys {keys} lie on the same filesystem as the database", step
    return True, f"keys in {keys}, the database on another filesystem", ""


def _keys_closed(o: _Office) -> Seen:
    """Files of keys are their owner's alone."""
    folder = o.w.settings.keys_dir.resolve()
    if not folder.is_dir():
        return False, f"there is no folder {folder}", "Name the folder of the keys in HAILONG_KEYS_DIR"
    open_ = [path for path in (folder, *sorted(folder.rglob("*"))) if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if open_:
        which = open_[0].relative_to(folder) if open_[0] != folder else folder
        return False, f"others than the owner may read {which}, and {len(open_) - 1} more", f"chmod -R u=rwX,go= {folder}"
    return True, f"{folder} and everything in it is closed to others", ""


# --- the world outside


def _stop_page(o: _Office) -> Seen:
    """The page behind every message's way out, asked for at its public address."""
    base = o.w.settings.survey_url.rstrip("/")
    if (wrong := _not_public(base)) is not None:
        return False, f"HAILONG_SURVEY_URL is {base}: {wrong}", "Set it to the public https address of the survey site"
    code = "".join(secrets.choice(links.ALPHABET) for _ in range(links.LENGTHS["sms"]))
    try:
        answer = o.fetch(f"{base}/{code}/stop")
    except httpx.HTTPError as fault:
        step = "Open the address from a phone outside your network; look at DNS, certificate, proxy and firewall"
        return False, f"{base}/…/stop does not answer ({type(fault).__name__})", step
    if answer.status_code != 200 or f"/{code}/stop" not in answer.text:
        step = "Let the proxy pass every path of that address to the survey site"
        return False, f"{base}/…/stop answers {answer.status_code}, and not with the page that ends messages", step
    return True, f"{base}/…/stop shows the page that ends messages", ""


def _not_public(url: str) -> str | None:
    """Why an address is none that people outside can open; None when it can be one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return "not https"
    try:
        return None if ipaddress.ip_address(host).is_global else "an address of this network"
    except ValueError:
        reserved = simulated(f"nobody@{host}")
        return None if "." in host and not reserved else "a name that can be nobody's" if reserved else "a name of this network"


def _officers(o: _Office) -> Seen:
    """Alerts and the daily mail need somebody."""
    step = 'Write office = ["…"] into the file of HAILONG_OFFICERS_FILE'
    told = [address for address in o.w.directory.office() if normal_mail(address)]
    if not told:
        return False, "HAILONG_OFFICERS_FILE names no quality office", step
    if all(map(simulated, told)):
        return False, "the quality office has only addresses that can be nobody's", step
    if (held := _officers_held(o)) is not None:
        return False, *held
    return True, f"the quality office has {len(told)} address{'es' * (len(told) > 1)}, and mails to officers leave", ""


def _officers_held(o: _Office) -> tuple[str, str] | None:
    """Why mails to officers reach nobody, and the next step; None when they leave. They go by the channel email, whatever carries people's
    messages."""
    reach, way = o.w.out.reach, o.w.ways["email"]
    begin = "email=trial writes to officers and guests only"
    if way.main in reach.carried:
        return "the carrier keeps the mails to officers", f"Name the real mail relay in HAILONG_SMTP_HOST; {begin}"
    live = "email" in o.reader.live_channels() or "email" in o.wanted
    why = reach.held("email", way.main, live)
    if why == "no_carrier":
        return (
            "mails to officers wait: the mode of email is carrier, and there is none",
            f"Set email=trial in HAILONG_CHANNEL_MODES: {begin}",
        )
    if why == "not_live":
        return (
            "mails to officers wait: the mode of email is live, and nobody has let it",
            f"`hailong live email --by LOGIN` first; or {begin}",
        )
    return None  # anything else is a check of its own


# --- settings and rules


def _clock(o: _Office) -> Seen:
    spec = o.w.settings.clock
    return spec == "real", "real" if spec == "real" else f"HAILONG_CLOCK is {spec.partition(':')[0]}", "Unset HAILONG_CLOCK"


def _tries(o: _Office) -> Seen:
    found = [name for name in tries(o.w.settings) if name != "HAILONG_CLOCK"]
    return not found, f"set: {', '.join(found)}" if found else "none is set", "Unset them: the rulebook's numbers hold"


def _rules(o: _Office) -> Seen:
    rules = o.w.rulebook.in_force(o.today)
    ok = not rules.source.strip().lower().startswith(_DEFAULT)
    step = "Write the province's decision as a version of its own, with its source, and name the file in HAILONG_RULES_FILE"
    return ok, f"version {rules.version}, source: {rules.source}", step


def _sensitive(o: _Office) -> Seen:
    """Whom a message by itself would betray. Versions that are still to come count: nobody looks at this list again on their day."""
    coming = [r for r in o.w.rulebook.versions if r.valid_from > o.today]
    silent = [r for r in (o.w.rulebook.in_force(o.today), *coming) if not r.procedures_named]
    if silent:
        which = f"version {silent[0].version} of the rules, from {silent[0].valid_from},"
        step = "Write [versions.never] with procedures = [...] into it; an empty list, procedures = [], where that is what was decided"
        return False, f"{which} does not say which procedures are never asked about, so every one is", step
    n = len(o.w.rulebook.in_force(o.today).procedures)
    return True, f"{n} procedure{'s are' if n != 1 else ' is'} never asked about, by the version in force", ""


def _budget(o: _Office) -> Seen:
    budget = o.w.settings.daily_budget
    step = "Set HAILONG_DAILY_BUDGET to the most a day may cost, in đồng"
    return budget > 0, f"{budget:,} đ a day" if budget > 0 else "no limit is set", step


# --- one channel


def _mode(o: _Office, channel: str, _way: Way) -> Seen:
    mode = o.w.out.reach.mode(channel)
    step = f"Set HAILONG_CHANNEL_MODES to {channel}=live and start `send` again: until this check list is satisfied its messages wait"
    return mode == "live", f"HAILONG_CHANNEL_MODES says {mode}", step


def _real_provider(o: _Office, _channel: str, way: Way) -> Seen:
    """A stand-in in live operation would report messages as sent that nobody gets."""
    standing_in = [p for p in _providers(way) if p in o.w.out.reach.carried and p != "print"]
    if TWILIO in _providers(way) and not o.w.settings.twilio_account_sid:
        return False, "twilio has no account here", "Set HAILONG_TWILIO_ACCOUNT_SID and HAILONG_TWILIO_SENDER, or name another provider"
    step = "Unset the address that stands in for it: HAILONG_TWILIO_BASE_URL, HAILONG_GATEWAY_BASE_URL, HAILONG_ZNS_…, HAILONG_SMTP_HOST"
    return not standing_in, f"the carrier stands in for {', '.join(standing_in)}" if standing_in else ", ".join(_providers(way)), step


def _abroad(o: _Office, _channel: str, way: Way) -> Seen:
    reach = o.w.out.reach
    there = [p for p in _providers(way) if p in reach.abroad]
    if not there:
        return True, "no provider is abroad", ""
    basis = " ".join(reach.basis.split())
    step = "Write the legal basis for handing contacts to it into HAILONG_ABROAD_BASIS, or use a domestic provider"
    return bool(basis), f"{', '.join(there)} is abroad; basis: {basis or 'none is stated'}", step


def _templates(o: _Office, channel: str, _way: Way) -> Seen:
    lacking = [t.ref for t in used(o.w, cast(MessageChannel, channel), o.today) if t.ref in _unapproved(o, channel)]
    step = "Have the operator (or Zalo) approve each text and write its id as `approval` into the file of HAILONG_TEMPLATES_DIR"
    shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
    return not lacking, f"not approved: {shown}" if lacking else "every text in use is approved, or needs no approval", step


def _unapproved(o: _Office, channel: str) -> frozenset[str]:
    return frozenset(o.w.texts.templates.unapproved(o.today, [cast(MessageChannel, channel)]))


def used(w: Wiring, channel: MessageChannel, on: date) -> list[Template]:
    """Texts in force that can be sent: one with diacritics is not, where the same text without them takes its place."""
    there = [t for t in w.texts.templates.in_force(on) if t.channel == channel]
    if channel != "sms" or w.settings.sms_diacritics:
        return there
    plain = {(t.language.removesuffix("-plain"), *t.slot[1:]) for t in there if t.language.endswith("-plain")}
    return [t for t in there if t.slot not in plain]


def _test_seen(o: _Office, channel: str, way: Way) -> Seen:
    since = real_now() - TEST_WITHIN
    stand_ins = set(o.w.out.reach.carried) - {"print"}  # a slip that stays here is the real thing
    for test in o.reader.tests(channel):
        if test.provider == way.main and test.seen_at is not None and test.seen_at > since and test.provider not in stand_ins:
            return True, f"by {way.main}, seen by {test.seen_by} on {test.seen_at:%Y-%m-%d}", ""
    to = "" if channel == "print" else " --to GUEST"
    step = f"With {channel}=trial: `hailong message test --channel {channel}{to}`, then `hailong message seen ID --by LOGIN`"
    return False, f"no test by {way.main} was seen within {TEST_WITHIN.days} days", step


def _prices(o: _Office, channel: str, way: Way) -> Seen:
    step = "Write the prices of your contract, with their source, into a list and name it in HAILONG_PRICES_FILE"
    for provider in _providers(way):
        try:
            tariff = o.w.out.prices.tariff(cast(MessageChannel, channel), provider, o.today)
        except Invalid as fault:
            return False, fault.detail or str(fault), step
        if tariff.source.strip().lower().startswith(_EXAMPLE):
            return False, f"the price of {provider} is an example ({tariff.source})", step
    return True, f"known for {', '.join(_providers(way))}", ""


def _receipts(o: _Office, channel: str, _way: Way) -> Seen:
    if channel not in _REPORTING:
        return True, "this channel's provider does not call back", ""
    url = o.w.settings.callback_url
    wrong = _not_public(url)
    step = "Set HAILONG_RECEIPTS_URL to the public https address of the survey site"
    return wrong is None, url if wrong is None else f"{url}: {wrong}", step


def _providers(way: Way) -> list[str]:
    return [p for p in (way.main, way.reserve) if p]


_INSTALLATION: Final[dict[str, Callable[[_Office], Seen]]] = {
    "second-factor": _second_factor, "backup": _backup, "keys-apart": _keys_apart, "keys-closed": _keys_closed, "stop-page": _stop_page,
    "officers": _officers, "clock": _clock, "tries": _tries, "rules": _rules, "sensitive": _sensitive,
    "budget": _budget,
}  # fmt: skip
_CHANNEL: Final[dict[str, Callable[[_Office, str, Way], Seen]]] = {
    "mode": _mode, "provider": _real_provider, "abroad": _abroad, "templates": _templates, "test-seen": _test_seen, "prices": _prices,
    "receipts": _receipts,
}  # fmt: skip
