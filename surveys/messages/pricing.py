"""What a message costs: segments as the network counts them (GSM 03.38 with its extension, UCS-2, concatenation), prices as dated data.

The price list is a file; it knows each provider's price by operator, and which operator a number's prefix was given to. Numbers may be
taken along to another operator, so a price by prefix is an estimate: what is charged is known from the provider's receipt. A number of
another country has the price stated for its prefix or for ``other``; where neither is, there is none, and never that of a number at home.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal

import msgspec
import smsutil

from hailong.events import MessageChannel
from hailong.ports import Invalid

Encoding = Literal["GSM-7", "UCS-2"]
FEW_ODD: Final = 3
"""Up to so many different letters outside GSM-7 are told one by one: they were hardly meant to make the message dearer."""
_INSTEAD: Final = {
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": "...", "\u00a0": " ",
    "\u202f": " ", "\u200b": "", "\ufeff": "", "đ": "d", "Đ": "D", "`": "'", "•": "-",
}  # fmt: skip
_LONGEST_PREFIX: Final = 4
BY_NUMBER: Final[frozenset[MessageChannel]] = frozenset({"sms", "zns"})
"""Channels that reach people by their number."""
HOME: Final = "+84"
OTHER: Final = "other"
"""Among prices abroad: every prefix that is not named."""
NO_PRICE_ABROAD: Final = "no_price_abroad"
"""Why a provider has no price for a number: no country's but our own is stated."""
_ABROAD: Final = re.compile(r"\+[1-9]\d{0,6}")


@dataclass(frozen=True)
class Odd:
    """A letter outside GSM-7: at which place (from 1) it stands first, its Unicode name, what GSM-7 has instead ("" for nothing)."""

    letter: str
    at: int
    name: str
    instead: str

    def __str__(self) -> str:
        said = f"Put {self.instead!r} there." if self.instead else "Take it out."
        return f"letter {self.at} ({self.name}) is outside GSM-7 and makes the whole message UCS-2, 70 letters a segment. {said}"


@dataclass(frozen=True)
class Counted:
    """A text as the network counts it. ``units``: septets (GSM-7) or 16-bit units (UCS-2)."""

    encoding: Encoding
    letters: int
    units: int
    segments: int
    odd: tuple[Odd, ...]
    """Letters outside GSM-7, where they are few; a text with diacritics throughout has none listed."""


def counted(text: str) -> Counted:
    """Count a text after NFC."""
    said = unicodedata.normalize("NFC", text)
    split = smsutil.split(said)
    plain = split.encoding == "gsm0338"
    outside = [] if plain else list(dict.fromkeys(letter for letter in said if not smsutil.is_valid_gsm(letter)))
    odd = tuple(_odd(said, letter) for letter in outside) if len(outside) <= FEW_ODD else ()
    units = split.total_bytes if plain else split.total_bytes // 2
    return Counted("GSM-7" if plain else "UCS-2", len(said), units, len(split.parts), odd)


def segments(text: str) -> int:
    """SMS segments a text takes (GSM-7 at 160/153 letters, UCS-2 at 70/67), after NFC."""
    return len(smsutil.split(unicodedata.normalize("NFC", text)).parts)


def _odd(text: str, letter: str) -> Odd:
    return Odd(letter, text.index(letter) + 1, unicodedata.name(letter, f"U+{ord(letter):04X}"), _instead(letter))


def _instead(letter: str) -> str:
    if letter in _INSTEAD:
        return _INSTEAD[letter]
    bare = "".join(part for part in unicodedata.normalize("NFD", letter) if not unicodedata.combining(part))
    return bare if bare and smsutil.is_valid_gsm(bare) else ""


# --- prices


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one provider takes from the local day ``valid_from`` on, in đồng; ``default`` holds for operators that are not named.

    ``abroad``: prefix (``+82``) or ``other`` → price. A country without either is not written to by this provider.
    """

    channel: MessageChannel
    provider: str
    valid_from: date
    per: Literal["segment", "message"]
    source: str
    default: int
    operators: dict[str, int] = {}
    abroad: dict[str, int] = {}

    def at_home(self, operator: str | None) -> int:
        """For a number of Viet Nam, the dearest operator's where it is not known."""
        if operator is None:
            return max(self.default, *self.operators.values()) if self.operators else self.default
        return self.operators.get(operator, self.default)

    def at(self, number: str) -> int | None:
        """For a number of another country, by the longest prefix that is stated; None where none fits."""
        fitting = [prefix for prefix in self.abroad if prefix != OTHER and number.startswith(prefix)]
        return self.abroad.get(max(fitting, key=len, default=OTHER))

    def times(self, segments: int) -> int:
        """How many times the price a message of so many segments costs."""
        return max(segments, 1) if self.per == "segment" else 1


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    operators: dict[str, list[str]]
    tariffs: list[Tariff]


@dataclass(frozen=True)
class PriceList:
    """Prices by provider and operator. ``prefixes``: national prefix (``098``) → operator."""

    tariffs: tuple[Tariff, ...]
    prefixes: dict[str, str]

    def price(self, channel: MessageChannel, provider: str, to_prefix: str | None, segments: int, on: date) -> int:
        """What a message of so many segments costs on a local day, in đồng; at home the dearest operator's where the number is not known.

        ``to_prefix``: the number or its beginning, ``+8498…``, ``098…``, ``+82…``; None: a number at home. Raises Invalid
        ``price_unknown`` or ``no_price_abroad``: a budget that does not know a price must not be spent.
        """
        found = self.tariff(channel, provider, on)
        number = abroad(to_prefix)
        each = found.at(number) if number else found.at_home(self.operator(to_prefix) if to_prefix else None)
        if each is None:
            told = (
                f"{provider} has no price for numbers of that country. State one in its [[tariffs]], as abroad = {{ other = … }}; until "
                "then it writes to none of them."
            )
            raise Invalid(NO_PRICE_ABROAD, "prices", told)
        return each * found.times(segments)

    def tariff(self, channel: MessageChannel, provider: str, on: date) -> Tariff:
        """The tariff in force. Raises Invalid ``price_unknown``."""
        known = [t for t in self.tariffs if (t.channel, t.provider) == (channel, provider) and t.valid_from <= on]
        if not known:
            told = (
                f"No price of {provider} for {channel} is in force on {on.isoformat()}. Add a [[tariffs]] with that provider to the list."
            )
            raise Invalid("price_unknown", "prices", told)
        return max(known, key=lambda t: t.valid_from)

    def operator(self, number: str) -> str | None:
        """The operator a number's prefix was given to; None for one that is no mobile prefix of the list."""
        digits = "".join(c for c in number if c.isdigit())
        if number.strip().startswith("+84") or (digits.startswith("84") and not number.strip().startswith("0")):
            digits = "0" + digits[2:]
        return next((self.prefixes[digits[:n]] for n in range(_LONGEST_PREFIX, 1, -1) if digits[:n] in self.prefixes), None)


def abroad(number: str | None) -> str | None:
    """A number of another country as ``+`` and its digits; None for one of Viet Nam, and for None.

    What begins with neither ``+``, 0 nor 84 is taken for one of another country, too: it is surely no mobile number at home.
    """
    digits = "".join(c for c in number or "" if c.isdigit())
    if (number or "").strip().startswith("00"):
        digits = digits[2:]
    elif digits.startswith("0"):
        return None
    return None if not digits or digits.startswith(HOME[1:]) else f"+{digits}"


def prices(path: Path) -> PriceList:
    """The price list of a file. Raises ValueError naming file, key, cause and what to do."""
    try:
        read = msgspec.toml.decode(path.read_text("utf-8-sig"), type=_File)
    except msgspec.DecodeError as e:
        raise ValueError(f"{path.name}: {e}. Mend it there.") from None
    prefixes: dict[str, str] = {}
    for operator, given in read.operators.items():
        for prefix in given:
            if prefix in prefixes or not (prefix.isdigit() and prefix.startswith("0") and len(prefix) <= _LONGEST_PREFIX):
                raise ValueError(f"{path.name}: operators.{operator}: {prefix} is no prefix like 098, or stands twice. Mend it there.")
            prefixes[prefix] = operator
    for i, tariff in enumerate(read.tariffs):
        _check(path.name, f"tariffs[{i}]", tariff, read)
    return PriceList(tuple(read.tariffs), prefixes)


def _check(file: str, where: str, tariff: Tariff, read: _File) -> None:
    strange = sorted(set(tariff.operators) - set(read.operators))
    twins = [t for t in read.tariffs if (t.channel, t.provider, t.valid_from) == (tariff.channel, tariff.provider, tariff.valid_from)]
    if strange:
        raise ValueError(f"{file}: {where}.operators.{strange[0]}: no such operator. Name it in [operators] with its prefixes.")
    if len(twins) > 1:
        raise ValueError(f"{file}: {where}: a second tariff of {tariff.provider} from {tariff.valid_from}. Give it another day.")
    for prefix in tariff.abroad:
        if prefix != OTHER and (not _ABROAD.fullmatch(prefix) or prefix.startswith(HOME)):
            raise ValueError(f"{file}: {where}.abroad.{prefix}: no prefix of another country like +82, nor other. Mend it there.")
    if min([tariff.default, *tariff.operators.values(), *tariff.abroad.values()]) < 0:
        raise ValueError(f"{file}: {where}: a price below zero. Prices are in đồng, 0 or more.")
    if not tariff.source.strip():
        raise ValueError(f"{file}: {where}.source: empty. Say from which contract or list the price is.")
