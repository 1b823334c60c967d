"""Every message side by side, as it would leave on a day: text, encoding, segments, price. For the command, the page, and who approves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from hailong.domain import links
from hailong.events import MessageChannel, Purpose
from hailong.ports import Invalid
from surveys.channels.gateway_file import PLACEHOLDER, Gateway, strings
from surveys.messages import pricing
from surveys.messages.pricing import BY_NUMBER, Counted, PriceList, Tariff
from surveys.messages.templates import APPROVED_BY_OTHERS, Template
from surveys.messages.texts import Rendered, Texts
from web.pages import DEFAULT

SLIP_CODE: Final = "7KQ2MX9P"
"""A slip's code to show; no slip has it, since nothing is printed with the codes of previews."""


@dataclass(frozen=True)
class Preview:
    """One text in force. ``price``: đồng for one message to the dearest operator, None where it is not known; ``price_note``: where it is
    from, or why not. ``encoding`` is empty and ``segments`` 0 where no letters are charged. ``approved``: or needs no approval."""

    channel: MessageChannel
    provider: str
    language: str
    purpose: Purpose
    arm: str
    link_free: bool
    template_version: str
    approved: bool
    subject: str
    text: str
    letters: int
    encoding: str
    segments: int
    price: int | None
    price_note: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """What a preview is made with. ``providers``: who carries each channel; one that nobody carries has no price. ``gateway``: the
    description of the one that carries SMS, as main provider or as reserve."""

    prices: PriceList
    providers: Mapping[MessageChannel, str]
    survey_url: str
    link_days: int
    gateway: Gateway | None = None


def previews(texts: Texts, setting: Setting, on: date) -> list[Preview]:
    """Every text in force on a local day, by channel, purpose, link, arm, language (Vietnamese first)."""
    order = {channel: i for i, channel in enumerate(links.LENGTHS)}
    shown = [_shown(texts, template, setting, on) for template in texts.templates.in_force(on)]
    return sorted(shown, key=lambda p: (order[p.channel], p.purpose, p.link_free, p.arm, _rank(p.language)))


def sample_url(survey_url: str, channel: MessageChannel) -> str:
    """A link as long as a real one; nobody's code."""
    return f"{survey_url.rstrip('/')}/{(links.ALPHABET * 2)[: links.LENGTHS[channel]]}"


def rendered(texts: Texts, template: Template, survey_url: str, until: date) -> Rendered:
    """A template with sample values. Raises Invalid where it does not fit."""
    url = sample_url(survey_url, template.channel)
    return texts.render(template, url=url, stop_url=f"{url}/stop", until=until, slip_code=SLIP_CODE)


def _shown(texts: Texts, template: Template, setting: Setting, on: date) -> Preview:
    until = on + timedelta(days=setting.link_days)
    warnings: list[str] = []
    try:
        message = rendered(texts, template, setting.survey_url, until)
        subject, text, said = message.subject, message.text, message.data
    except Invalid as fault:
        subject, text, said = template.subject, template.skeleton, {}
        warnings.append(f"{fault}: {fault.detail}")
    count = pricing.counted(text)
    is_sms = template.channel == "sms"
    if is_sms:
        warnings += [str(odd) for odd in count.odd]
        warnings += [] if setting.gateway is None else _of_gateway(setting.gateway, count, said.get("brand"))
    provider = setting.providers.get(template.channel, "")
    segments = count.segments if is_sms else 0
    price, note = _price(setting, template.channel, provider, segments, on)
    approved = bool(template.approval) or template.channel not in APPROVED_BY_OTHERS
    return Preview(
        channel=template.channel, provider=provider, language=template.language, purpose=template.purpose, arm=template.arm,
        link_free=template.link_free, template_version=template.ref, approved=approved, subject=subject, text=text,
        letters=count.letters, encoding=count.encoding if is_sms else "", segments=segments, price=price, price_note=note,
        warnings=tuple(warnings),
    )  # fmt: skip


def _price(setting: Setting, channel: MessageChannel, provider: str, segments: int, on: date) -> tuple[int | None, str]:
    """The price to the dearest operator at home, and where it is from, with what holds abroad; None, and why."""
    if not provider:
        return None, f"Nobody carries {channel} in these settings."
    try:
        tariff = setting.prices.tariff(channel, provider, on)
        return setting.prices.price(channel, provider, None, segments, on), tariff.source + _abroad(tariff, segments)
    except Invalid as unknown:
        return None, unknown.detail


def _abroad(tariff: Tariff, segments: int) -> str:
    if tariff.channel not in BY_NUMBER:
        return ""
    if not tariff.abroad:
        return "; no price for numbers abroad, which it does not write to"
    return f"; to numbers abroad up to {max(tariff.abroad.values()) * tariff.times(segments):,} đ"


def _of_gateway(gateway: Gateway, count: Counted, brand: str | None) -> Iterator[str]:
    """What of a text a described gateway may not carry as it stands."""
    send, name = gateway.told.send, gateway.provider
    leaves = [*strings(send.fields, "fields"), *strings(send.headers, "headers")]
    words = {word for _, leaf in leaves if isinstance(leaf, str) for word in PLACEHOLDER.findall(leaf)}
    longest = send.longest if count.encoding == "GSM-7" else send.longest_unicode
    if longest is not None and count.letters > longest:
        yield f"{name} takes {longest} letters in {count.encoding} by its description, and this text has {count.letters}. Shorten it."
    if count.encoding == "UCS-2" and longest is None and "unicode" not in words:
        yield (
            f"{name} is not told that this text needs UCS-2: no field of its description carries {{unicode}}. Look into its manual how it "
            "knows, and state send.longest_unicode, or take the text without diacritics."
        )
    if brand is not None and "brand" in words and brand != send.brand:
        yield (
            f"the text names {brand} and {name} sends as {send.brand}: send.brand of its description. Make both the registered name, or "
            "operators may refuse the message."
        )


def _rank(language: str) -> tuple[int, str]:
    return (0 if language.partition("-")[0] == DEFAULT else 1), language
