"""Why a message could not be handed over, as a word of a closed list: what adapters say is written for a log, and in one language only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hailong.domain.modes import HELD
from hailong.telemetry import blot

OTHER: Final = "other"
"""A reason no list knows: only its code is shown, never the sentence of a stranger."""
SENDING: Final = (
    "hour", "lease_over", "no_provider", "given_up", "cannot_be_asked", "not_listed", "no_receipt", "no_place", "provider_settings",
    "provider_token", "provider_unreachable", "provider_busy", "print_folder", "channel_off", "ledger_away", "unmakeable",
    "simulated_busy", OTHER,
)  # fmt: skip
"""Why a try failed on our way to the provider, or because the provider takes nothing now."""
REFUSALS: Final = (
    "refused", "invalid_number", "invalid_address", "not_a_mobile_number", "recipient_is_sender", "region_not_enabled", "no_route",
    "opted_out", "blocked", "empty_text", "text_too_long", "text_not_registered", "no_zalo_account", "zalo_too_old", "cannot_receive",
    "not_agreed", "simulated_recipient", "trial", "no_price_abroad",
)  # fmt: skip
"""Why a provider, or we for it, refuse a message for good."""
CHECKED: Final = ("answered", "expired", "reopened", "recently_asked", "contact_erased", "no_contact", "not_asked", "already_asked")
"""Why a check at the moment of sending withdraws a message, besides those of ``REFUSALS``."""
CAUSES: Final = frozenset({*SENDING, *REFUSALS, *CHECKED})

_TRIES: Final = re.compile(r"not accepted in (\d+) attempts: (.*)", re.DOTALL)
_WORD: Final = re.compile(r"[a-z_]+")
_CODE: Final = re.compile(r"-?[A-Za-z0-9.]{1,12}")
_SAID_CODE: Final = re.compile(r"\b(?:code|reply) (-?[A-Za-z0-9.]+)|\b(HTTP \d{3})|\((-?\d{3,6})\)")
_HELD: Final = tuple(re.compile(re.escape(said).replace("CHANNEL", r"\w+")) for said in HELD.values())
_MEANINGS: Final = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"^no provider .* is set up", "no_provider"),
        (r"^open after its lease; not in the provider's list", "not_listed"),
        (r"cannot be asked|could not be read \(|did not tell what|slips could not be read", "cannot_be_asked"),
        (r"refuses our (settings|sender)|our credentials are wrong|names no template", "provider_settings"),
        (r"access token|Zalo's (new )?tokens", "provider_token"),
        (r"^All places for handing over", "no_place"),
        (r"too many requests|cannot take (this|more|messages)|out of service for a moment", "provider_busy"),
        (r"could not be reached|nothing was (sent|accepted)$", "provider_unreachable"),
        (r"^A slip could not be written", "print_folder"),
        (r"^the ledger('s database)? cannot be", "ledger_away"),
        (r"^no (mail|request) can be made", "unmakeable"),
        (r"^a simulated recipient refuses for now", "simulated_busy"),
    )
)


@dataclass(frozen=True)
class Cause:
    """``word`` of ``CAUSES``; ``code``: the provider's, empty where it gave none; ``tries``: how many ended in this way, then given up."""

    word: str
    code: str = ""
    tries: int = 0


def cause(reason: str, code: str = "") -> Cause | None:
    """A settlement's reason and code → its cause; None when there is neither."""
    if not reason and not code:
        return None
    given_up = _TRIES.fullmatch(reason)
    said = given_up[2] if given_up else reason
    return Cause(_meaning(said), _shown(code) or _code_in(said), int(given_up[1]) if given_up else 0)


def _meaning(said: str) -> str:
    if not said:
        return "refused"  # a provider that says no more than a code
    if _WORD.fullmatch(said):
        return said if said in CAUSES else OTHER
    if any(held.search(said) for held in _HELD):
        return "channel_off"
    return next((word for pattern, word in _MEANINGS if pattern.search(said)), OTHER)


def _code_in(said: str) -> str:
    found = _SAID_CODE.search(said)
    return _shown(next(filter(None, found.groups()), "")) if found else ""


def _shown(code: str) -> str:
    """Empty for what is no code, or could be somebody's number."""
    plain = code.removeprefix("HTTP ")
    return code if _CODE.fullmatch(plain) and blot(plain) == plain else ""
