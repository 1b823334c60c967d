"""Messages as this installation would send them today: what is shown of them, and how a test is marked."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any, Final, cast

import msgspec

from hailong.events import MessageChannel
from ops.wiring import Wiring
from surveys.messages.previewing import Setting, previews
from surveys.messages.texts import Texts
from surveys.wording import Office

MARK: Final = "TEST"
"""Stands before the brand in every test message, on every channel: nobody shall take one for an invitation."""


def setting_of(w: Wiring, day: date) -> Setting:
    """What previews are made with, by the rules of a local day. Raises ValueError for a price list that cannot be used."""
    carried = {cast(MessageChannel, channel): way.main for channel, way in w.ways.items()}
    way, gateway = w.ways.get("sms"), w.out.gateway
    used = way is not None and gateway is not None and gateway.provider in (way.main, way.reserve)
    return Setting(w.out.prices, carried, w.settings.survey_url, w.rules(day).link_days, gateway if used else None)


def rows(texts: Texts, made_with: Setting, on: date) -> list[dict[str, Any]]:
    """Every message in force on a local day, as the page and ``--json`` show it."""
    return [asdict(one) for one in previews(texts, made_with, on)]


def marked(office: Office) -> Office:
    """The office as test messages name it."""
    return msgspec.structs.replace(office, brand=f"{MARK} {office.brand}")
