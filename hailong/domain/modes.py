"""Whom a channel may reach: nobody (the carrier keeps every message), guests, or people. A fresh installation reaches nobody. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from hailong.events import MessageChannel

Mode = Literal["carrier", "trial", "live"]
"""``carrier``: only an address that stands in for the provider's is written to; ``trial``: guests; ``live``: people, once the ledger holds
the record of going live."""
WhyHeld = Literal["no_carrier", "not_live", "tries", "no_basis_abroad"]
"""Why no message of a channel may leave now; all of them wait."""

HELD: Final[Mapping[WhyHeld, str]] = {
    "no_carrier": (
        "the channel's mode is carrier and nothing stands in for its provider. Start the carrier and name its address, or set "
        "HAILONG_CHANNEL_MODES to CHANNEL=trial"
    ),
    "not_live": "the channel's mode is live and nobody has let it go live yet. Run `hailong live CHANNEL --by LOGIN`",
    "tries": "settings for tries are set and the channel's mode is live. Unset them; `hailong doctor --go-live` names them",
    "no_basis_abroad": (
        "its provider is abroad and no legal basis is stated for handing contacts to it. Write it into HAILONG_ABROAD_BASIS, or use a "
        "domestic provider"
    ),
}
"""The cause and the next step, for people."""


class ModeError(ValueError):
    """The text of the modes cannot be read; the message names what is wrong and what would do."""


def read_modes(text: str) -> dict[str, Mode]:
    """``sms=trial,email=live`` → {sms: trial, email: live}. Raises ModeError."""
    modes: dict[str, Mode] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        channel, _, mode = (word.strip() for word in part.partition("="))
        if channel not in get_args(MessageChannel) or channel in modes:
            known = ", ".join(get_args(MessageChannel))
            raise ModeError(f"{part}: no such channel, or it stands there twice. Channels are {known}.")
        known_mode = next((m for m in get_args(Mode) if m == mode), None)
        if known_mode is None:
            raise ModeError(f"{part}: no such mode. Modes are {', '.join(get_args(Mode))}.")
        modes[channel] = known_mode
    return modes


@dataclass(frozen=True)
class Reach:
    """How far messages may go. A channel that is not named reaches nobody."""

    modes: Mapping[str, Mode] = field(default_factory=dict)
    carried: Collection[str] = ()
    """Providers whose address is the carrier's: nothing they are given leaves."""
    abroad: Collection[str] = ()
    """Providers outside the country."""
    basis: str = ""
    """The legal basis for handing contacts to them, in words."""
    tried: Collection[str] = ()
    """Settings for tries that are set."""

    def mode(self, channel: str) -> Mode:
        return self.modes.get(channel, "carrier")

    def held(self, channel: str, provider: str, live: bool) -> WhyHeld | None:
        """Why nothing of a channel may be handed to a provider now; None when it may. ``live``: the record of going live stands."""
        mode = self.mode(channel)
        if mode == "live" and self.tried:
            return "tries"
        if mode == "live" and not live:
            return "not_live"
        if provider in self.carried:
            return None
        if mode == "carrier":
            return "no_carrier"
        return "no_basis_abroad" if provider in self.abroad and not self.basis.strip() else None

    @property
    def some_live(self) -> bool:
        """Whether a channel is meant for people."""
        return "live" in self.modes.values()
