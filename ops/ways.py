"""The ways to people: which channels and providers this installation has, what messages say, what they cost at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

from hailong.domain.modes import Reach
from hailong.domain.units import LOCAL
from hailong.domain.ways import Way
from hailong.events import MessageChannel, Purpose
from hailong.ports import Channel, Claimed, Invalid, OutgoingMessage, Permanent, Receipt, TemplateCall
from hailong.settings import SettingError, Settings
from ops.clock import real_now
from ops.reaching import PRINT, SMTP, TWILIO, ZNS, Gate, Gated, guest_list, reach_of, simulated
from surveys.channels import zns as zalo
from surveys.channels.gateway import GatewaySms
from surveys.channels.gateway_file import Gateway
from surveys.channels.gateway_file import load as load_gateway
from surveys.channels.mail_smtp import Relay, SmtpMail
from surveys.channels.printed import PrintedSlips
from surveys.channels.sms_twilio import API, TwilioSms
from surveys.messages import pricing, templates
from surveys.messages.texts import OfficersKind, Texts
from surveys.wording import office

PRICES: Final = Path(__file__).parent / "rules" / "prices.toml"
GATEWAY: Final = "gateway"
_CARRY: Final[Mapping[str, tuple[str, ...]]] = {"sms": (TWILIO, GATEWAY), "email": (SMTP,), "zns": (ZNS,), "print": (PRINT,)}
"""Channel → providers it can have, as settings name them; the gateway's own name is that of its description."""
T = TypeVar("T")


class Price(Protocol):
    """(channel, provider, language, number or address) → đồng. Without a number: one at home."""

    def __call__(self, channel: str, provider: str, language: str, to: str | None = None) -> int: ...


def secret(path: str) -> str:
    """The content of a secret's file; empty for no file. Raises SettingError when the one that is named cannot be read."""
    try:
        return Path(path).read_text("utf-8").strip() if path else ""
    except (OSError, UnicodeDecodeError) as fault:
        told = fault.strerror if isinstance(fault, OSError) else "it is no text"
        raise SettingError(f"The secret in {path} cannot be read: {told}. Make it, or mend the HAILONG_…_FILE that names it.") from None


def pairs(name: str, text: str, kind: Callable[[str], T]) -> dict[str, T]:
    """``a=1,b=2`` → {a: 1, b: 2}. Raises SettingError."""
    try:
        return {key.strip(): kind(value.strip()) for key, _, value in (part.partition("=") for part in text.split(",") if part.strip())}
    except ValueError:
        raise SettingError(f"{name}: cannot be read. Write it as name=value,name=value, or leave it empty.") from None


def given(name: str, path: Path, read: Callable[[], T]) -> T:
    """What ``read`` makes of the file or folder that a setting names. Raises SettingError when it cannot be read or is wrong."""
    try:
        return read()
    except OSError as e:
        raise SettingError(f"{name}: {path}: cannot be read ({e.strerror}). Name one that can be, or unset it for the shipped one.") from e
    except UnicodeDecodeError as e:
        raise SettingError(f"{name}: {path}: is not UTF-8 (byte {e.start}). Save it as UTF-8.") from e
    except ValueError as e:  # a sentence of the reader
        raise SettingError(f"{name}: {e}") from e


class Ways:
    """``code_for(survey_id, purpose, channel)`` makes the code of a link; ``officers()`` gives the addresses of the office's own people."""

    def __init__(
        self, settings: Settings, code_for: Callable[[str, str, str], str], officers: Callable[[], frozenset[str]] = frozenset
    ) -> None:
        self._s = settings
        self._code_for = code_for
        self._officers_of_ours = officers

    @cached_property
    def texts(self) -> Texts:
        """Raises SettingError for a template that is wrong."""
        s, folder = self._s, Path(self._s.templates_dir)
        theirs = given("HAILONG_TEMPLATES_DIR", folder, lambda: templates.load(folder)) if s.templates_dir else None
        return Texts(office(), theirs, plain_sms=not s.sms_diacritics)

    @cached_property
    def gateway(self) -> Gateway | None:
        """The domestic gateway that is described, if one is. Raises GatewayFileError."""
        s = self._s
        return load_gateway(Path(s.gateway_file), s.gateway_secrets_dir) if s.gateway_file else None

    @cached_property
    def by_channel(self) -> dict[str, Way]:
        """Channel → who carries it; only channels that are set up. Raises SettingError for a provider there is not."""
        s, reserves = self._s, pairs("HAILONG_RESERVES", self._s.reserves, str)
        main = {"sms": self._provider("HAILONG_SMS_PROVIDER", "sms", s.sms_provider), "email": SMTP}
        main |= {"zns": ZNS} if s.zns_app_id else {}
        main |= {"print": PRINT} if s.print_dir else {}
        unknown = sorted(set(reserves) - set(main))
        if unknown:
            raise SettingError(f"HAILONG_RESERVES: there is no channel {unknown[0]}. Channels here are {', '.join(main)}.")
        return {channel: Way(provider, self._reserve(channel, provider, reserves.get(channel))) for channel, provider in main.items()}

    def _reserve(self, channel: str, main: str, name: str | None) -> str | None:
        if not name:
            return None
        reserve = self._provider("HAILONG_RESERVES", channel, name)
        if reserve == main:
            raise SettingError(
                f"HAILONG_RESERVES: {channel}={name}: it is the main provider already. Name another one, or leave {channel} out."
            )
        return reserve

    def _provider(self, setting: str, channel: str, name: str) -> str:
        """The provider that a setting names for a channel. Raises SettingError."""
        if name not in _CARRY[channel]:
            raise SettingError(f"{setting}: no provider of {channel} is called {name!r}. There is {' or '.join(_CARRY[channel])}.")
        if name != GATEWAY:
            return name
        if self.gateway is None:
            raise SettingError("HAILONG_GATEWAY_FILE names no description of the gateway that carries SMS. Name one (examples/gateways).")
        return self.gateway.provider

    # --- how far messages go

    @cached_property
    def reach(self) -> Reach:
        """How far each channel's messages may go. Raises SettingError."""
        return reach_of(self._s, self.gateway.provider if self.gateway else None)

    @cached_property
    def _guests(self) -> frozenset[str]:
        return guest_list(self._s)

    def may_leave(self, channel: str, provider: str, live: bool) -> str | None:
        """Why nothing of a channel may be handed to a provider now; None when it may. Raises SettingError."""
        return self.reach.held(channel, provider, live)

    def welcome(self, channel: str, to: str | None) -> bool:
        """Whether a citizen may be written to there at all: in a trial only guests and simulated recipients. Raises SettingError."""
        return self.reach.mode(channel) != "trial" or (to is not None and (to in self._guests or simulated(to)))

    @property
    def only_carrier(self) -> bool:
        """Whether every message, whoever carries it, stays with the carrier."""
        return all(p in self.reach.carried for way in self.by_channel.values() for p in (way.main, way.reserve) if p)

    def _welcome_ours_too(self, channel: str, to: str | None) -> bool:
        return self.welcome(channel, to) or (channel == "email" and to in self._officers_of_ours())

    def open(
        self, live: Callable[[str], bool] = lambda _channel: False, report: Callable[[Receipt], None] = lambda _receipt: None
    ) -> dict[str, Channel]:
        """The ways out, by provider, each behind its gate (``ops.reaching``). ``live``: whether a channel's record of going live stands;
        ``report``: takes the receipts of simulated recipients."""
        gate = Gate(self.reach, self._welcome_ours_too, live, report)
        return {provider: Gated(channel, gate) for provider, channel in self._providers().items()}

    def _providers(self) -> dict[str, Channel]:
        s = self._s
        found: dict[str, Channel] = {TWILIO: self._twilio(), SMTP: self._smtp()}
        if self.gateway is not None:
            found[self.gateway.provider] = GatewaySms(
                self.gateway, now=real_now, base_url=s.gateway_base_url, timeout=s.send_timeout_s, parallel=s.send_parallel
            )
        if s.zns_app_id:
            found[ZNS] = self._zns()
        if s.print_dir:
            found[PRINT] = PrintedSlips(Path(s.print_dir))
        return found

    def _twilio(self) -> TwilioSms:
        s = self._s
        return TwilioSms(
            account_sid=s.twilio_account_sid,
            auth_token=secret(s.twilio_token_file),
            sender=s.twilio_sender,
            base_url=s.twilio_base_url or API,
            timeout=s.send_timeout_s,
            parallel=s.send_parallel,
        )

    def _smtp(self) -> SmtpMail:
        s = self._s
        return SmtpMail(
            relay=Relay(
                s.smtp_host, s.smtp_port, s.smtp_user or None, secret(s.smtp_password_file) or None, start_tls=None if s.smtp_tls else False
            ),
            sender=s.mail_from,
            sender_name=office().name["vi"],
            domain=s.mail_from.rpartition("@")[2],
            now=real_now,
            timeout=s.send_timeout_s,
            connections=s.send_parallel,
            later=s.retry_base_s,
        )

    def _zns(self) -> zalo.ZnsChannel:
        s = self._s
        return zalo.ZnsChannel(
            app_id=s.zns_app_id,
            secret=secret(s.zns_secret_file),
            token_file=s.zns_token_file,
            now=real_now,
            base_url=s.zns_base_url or zalo.API,
            oauth_url=s.zns_oauth_url or zalo.OAUTH,
            timeout=s.send_timeout_s,
            parallel=s.send_parallel,
        )

    # --- words and price

    def compose(self, c: Claimed) -> OutgoingMessage:
        """A claimed message as its channel takes it."""
        return self._officers(c) if c.kind == "officers" else self._to_citizen(c)

    def _to_citizen(self, c: Claimed) -> OutgoingMessage:
        code = self._code_for(c.ref, c.kind, c.channel)
        url = f"{self._s.survey_url.rstrip('/')}/{code}"
        said = self.texts.message(
            cast(Purpose, c.kind), c.channel, c.language, url=url, stop_url=f"{url}/stop", until=_last_day(c), on=_day(c.claimed_at),
            arm=c.arms.get("wording", "a"), link_free=c.arms.get("link") == "link_free", slip_code=c.slip_code,
        )  # fmt: skip
        to = None if c.contact is None else c.contact.email if c.channel == "email" else c.contact.phone
        self._refuse_unpriced(c, to)
        token = c.slip_code or code if said.link_free else code  # what stands in the text, so that a provider's list can be searched
        template = TemplateCall(said.approval or said.template_version, dict(said.data)) if c.channel == "zns" else None
        return OutgoingMessage(
            c.claim_id, c.channel, to or "", said.subject, said.text, said.html, token, self._callback(c), f"{url}/stop", c.language,
            template=template,
        )  # fmt: skip

    def _refuse_unpriced(self, c: Claimed, to: str | None) -> None:
        """Raises Permanent for a number of a country its provider states no price for; the next channel is tried then."""
        if c.channel in pricing.BY_NUMBER and pricing.abroad(to) is not None:
            try:
                self.prices.price(c.channel, c.provider, to, 1, _day(c.claimed_at))
            except Invalid as none:
                if none.reason == pricing.NO_PRICE_ABROAD:
                    raise Permanent(none.reason) from none

    def _callback(self, c: Claimed) -> str | None:
        """Where the provider of this message reports what became of it."""
        base = self._s.callback_url.rstrip("/")
        if self.gateway is not None and c.provider == self.gateway.provider:
            return self.gateway.address(base)
        if c.provider == ZNS:
            return f"{base}/receipts/zns" if self._s.zns_oa_secret_file else None
        return f"{base}/receipts/twilio" if c.channel == "sms" else None

    def _officers(self, c: Claimed) -> OutgoingMessage:
        words = {k: v for k, v in c.payload.items() if k not in ("to", "kind", "language")}
        text = self.texts.officers(cast(OfficersKind, c.payload["kind"]), c.language, words)
        return OutgoingMessage(c.claim_id, "email", c.address or "", text.subject, text.text, text.html, c.claim_id, None, None, c.language)

    @cached_property
    def prices(self) -> pricing.PriceList:
        """What messages cost. Raises SettingError for a list that is wrong."""
        path = Path(self._s.prices_file) if self._s.prices_file else PRICES
        return given("HAILONG_PRICES_FILE", path, lambda: pricing.prices(path))

    def price(self, day: date) -> Price:
        """The most a message may cost on a local day: what a budget sets aside before the text is made. An unknown price is 0 without a
        budget, and more than the day has with one: such messages wait, and nothing else does. Where only the price abroad is missing it is
        0: ``compose`` refuses the message."""
        return self._price(day)

    @cached_property
    def _price(self) -> Callable[[date], Price]:
        @lru_cache(maxsize=8)
        def of_day(day: date) -> Price:
            @lru_cache(maxsize=256)
            def at_home(channel: str, provider: str, language: str) -> int:
                return self._most(channel, provider, language, None, day)

            def most(channel: str, provider: str, language: str, to: str | None = None) -> int:
                if channel in pricing.BY_NUMBER and pricing.abroad(to) is not None:  # rare, and no number is kept in memory
                    return self._most(channel, provider, language, to, day)
                return at_home(channel, provider, language)

            return most

        return of_day

    def _most(self, channel: str, provider: str, language: str, to: str | None, day: date) -> int:
        way = cast(MessageChannel, channel)
        try:
            return self.prices.price(way, provider, to, self.texts.most_segments(way, language, day), day)
        except Invalid as unknown:
            budget = self._s.daily_budget
            return budget + 1 if budget > 0 and unknown.reason != pricing.NO_PRICE_ABROAD else 0


def _day(at: datetime) -> date:
    return at.astimezone(LOCAL).date()


def _last_day(c: Claimed) -> Any:
    """The last whole day on which the link can be answered: it ends with that day."""
    at = (c.expires_at or c.claimed_at).astimezone(LOCAL)
    return at.date() if at.time() > datetime.min.time() else _day_before(at.date())


def _day_before(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)
