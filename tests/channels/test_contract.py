"""What every channel promises (hailong.ports.Channel), on each adapter against the real carrier process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hailong.ports import Channel, Handover, OutgoingMessage, Permanent, Retryable, TemplateCall, UnknownOutcome
from surveys.channels.gateway import GatewaySms
from surveys.channels.mail_smtp import Relay, SmtpMail
from surveys.channels.printed import PrintedSlips
from surveys.channels.sms_twilio import TwilioSms
from surveys.channels.zns import ZnsChannel
from tests.carrier.process import ACCOUNT, CarrierProcess, carrier
from tests.channels.gateways import FORM, JSON, described

pytestmark = pytest.mark.stack

_numbers = count(1)

Result = TypeVar("Result")
Error = TypeVar("Error", bound=Exception)


@dataclass(frozen=True)
class Adapter:
    """One implementation, and who is refused and put off by its provider."""

    name: str
    make: Callable[..., Channel]
    """Of a carrier and, where there is a wire, the seconds a message may take."""
    refused: str
    busy: str
    channel: Any = "sms"
    places: int = 20
    told_to_wait: float = 7
    """Seconds to wait after "too many requests", come back in 7."""
    wired: bool = True
    """Whether there is a provider at the other end of a wire, which can refuse, break and be away."""

    def message(self, to: str = "") -> OutgoingMessage:
        n = next(_numbers)
        link = f"https://ks.example.vn/{n:08d}"
        to = to or (f"nguoi{n}@example.vn" if self.channel == "email" else f"+8498{n:07d}")
        template = TemplateCall("301234", {"link": link, "until": "30/4/2026"}) if self.channel == "zns" else None
        return OutgoingMessage(
            f"claim-{n}",
            self.channel,
            to,
            "Mời Ông/Bà đánh giá",
            f"Moi Ong/Ba danh gia: {link}",
            None,
            f"{n:08d}",
            None,
            None,
            "vi",
            template,
        )


def twilio(process: CarrierProcess, timeout: float = 1.0) -> TwilioSms:
    return TwilioSms(account_sid=ACCOUNT, auth_token=process.token, sender="HCC", base_url=process.url, timeout=timeout)


def smtp(process: CarrierProcess, timeout: float = 1.0) -> SmtpMail:
    relay = Relay("127.0.0.1", process.smtp_port)
    return SmtpMail(
        relay=relay, sender="ks@example.vn", sender_name="Khảo sát", domain="example.vn", now=lambda: datetime.now(UTC), timeout=timeout
    )


def zns(process: CarrierProcess, timeout: float = 1.0) -> ZnsChannel:
    return ZnsChannel(**process.zns(), now=lambda: datetime.now(UTC), timeout=timeout)


def gateway(text: str) -> Callable[..., Channel]:
    def make(process: CarrierProcess, timeout: float = 1.0) -> GatewaySms:
        return GatewaySms(described(text, process.token), now=lambda: datetime.now(UTC), base_url=process.url, timeout=timeout)

    return make


def printed(process: CarrierProcess) -> PrintedSlips:
    return PrintedSlips(process.data / "slips")


ADAPTERS = [
    Adapter("sms", twilio, "+84510000004", "+84510000029"),
    Adapter("email", smtp, "refuse-550@example.vn", "later-451@example.vn", "email", 4, 300),
    Adapter("zns", zns, "+84510000004", "+84510000029", "zns"),
    Adapter("gateway-json", gateway(JSON), "+84510000004", "+84510000029"),
    Adapter("gateway-form", gateway(FORM), "+84510000004", "+84510000029"),
    Adapter("print", printed, "", "", "print", wired=False),
]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.name)
def every_adapter(request: pytest.FixtureRequest) -> Adapter:
    given: Adapter = request.param
    return given


@pytest.fixture(params=[adapter for adapter in ADAPTERS if adapter.wired], ids=lambda adapter: adapter.name)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    given: Adapter = request.param
    return given


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as process:
        yield process


@pytest.fixture
def process(shared: CarrierProcess) -> CarrierProcess:
    shared.clear_faults()
    return shared


def using(channel: Channel, work: Callable[[Channel], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        try:
            return await work(channel)
        finally:
            await channel.close()

    return asyncio.run(run())


def failing(adapter: Adapter, process: CarrierProcess, message: OutgoingMessage, kind: type[Error]) -> Error:
    """The error of sending; it must not tell who or what."""

    async def send(channel: Channel) -> Error:
        with pytest.raises(kind) as raised:
            await channel.send(message)
        return raised.value

    error = using(adapter.make(process), send)
    told = repr(error) + str(error) + repr(error.__dict__) + repr(error.__cause__)
    assert error.__suppress_context__ or error.__context__ is None
    for secret in (message.to, message.to.split("@")[0].lstrip("+"), message.token, message.claim_id):
        assert secret not in told
    return error


def test_only_what_was_handed_over_is_found_by_those_who_can_tell(every_adapter: Adapter, process: CarrierProcess) -> None:
    message = every_adapter.message()
    since = datetime.now(UTC) - timedelta(minutes=1)

    async def ask(channel: Channel) -> tuple[Handover | None, Handover, Handover | None]:
        return await channel.find(message, since), await channel.send(message), await channel.find(message, since)

    channel = every_adapter.make(process)
    assert channel.name == message.channel
    if channel.can_reconcile:
        before, handover, after = using(channel, ask)
        assert before is None
        assert after is not None
        assert (after.provider, after.provider_id, after.segments) == (handover.provider, handover.provider_id, handover.segments)
    else:
        with pytest.raises(Permanent):
            using(channel, lambda channel: channel.find(message, since))


def test_a_message_is_accepted_once_and_is_in_the_journal(adapter: Adapter, process: CarrierProcess) -> None:
    message = adapter.message()
    handover = using(adapter.make(process), lambda channel: channel.send(message))
    (found,) = process.accepted(message.to)
    assert message.token in found["body"]
    assert (handover.provider, handover.segments) == (adapter.make(process).provider, found["segments"])
    assert handover.provider_id in (found["id"], dict(found["headers"]).get("Message-ID", "").strip("<>"))


def test_a_refused_message_is_permanent_and_tells_the_code(adapter: Adapter, process: CarrierProcess) -> None:
    error = failing(adapter, process, adapter.message(adapter.refused), Permanent)
    refused = process.evidence().refused[-1]
    assert refused.to == adapter.refused
    assert error.code == str(refused.code or refused.status)
    assert not process.accepted(adapter.refused)


def test_a_busy_provider_is_retryable(adapter: Adapter, process: CarrierProcess) -> None:
    error = failing(adapter, process, adapter.message(adapter.busy), Retryable)
    assert error.after > 0
    assert not process.accepted(adapter.busy)


def test_too_many_requests_are_retryable(adapter: Adapter, process: CarrierProcess) -> None:
    message = adapter.message()
    process.order({"kind": "429", "retry_after": 7, "match": {"to": message.to}})
    error = failing(adapter, process, message, Retryable)
    assert error.after == adapter.told_to_wait
    assert not process.accepted(message.to)


def test_no_answer_after_it_was_accepted_is_unknown(adapter: Adapter, process: CarrierProcess) -> None:
    message = adapter.message()
    process.order({"kind": "timeout_after", "seconds": 20, "match": {"to": message.to}})
    failing(adapter, process, message, UnknownOutcome)
    assert len(process.accepted(message.to)) == 1


def test_no_answer_before_it_was_accepted_is_unknown_too(adapter: Adapter, process: CarrierProcess) -> None:
    message = adapter.message()
    process.order({"kind": "timeout_before", "seconds": 20, "match": {"to": message.to}})
    failing(adapter, process, message, UnknownOutcome)
    assert process.accepted(message.to) == []


def test_a_connection_cut_instead_of_an_answer_is_unknown(adapter: Adapter, process: CarrierProcess) -> None:
    message = adapter.message()
    process.order({"kind": "timeout_after", "seconds": 0.05, "match": {"to": message.to}})
    failing(adapter, process, message, UnknownOutcome)
    assert len(process.accepted(message.to)) == 1


def test_a_provider_that_is_away_is_retryable_and_works_again_when_it_is_back(adapter: Adapter, tmp_path: Path) -> None:
    first, second, third = (adapter.message() for _ in range(3))
    with carrier(tmp_path) as own:

        async def over_a_restart(channel: Channel) -> None:
            await channel.send(first)
            own.kill()
            with pytest.raises(Retryable):
                await channel.send(second)
            own.start()
            await channel.send(third)

        using(adapter.make(own), over_a_restart)
        assert [message["to"] for message in own.evidence().messages] == [first.to, third.to]


def test_a_kept_connection_that_died_costs_nothing(adapter: Adapter, tmp_path: Path) -> None:
    first, second = adapter.message(), adapter.message()
    with carrier(tmp_path) as own:

        async def over_a_restart(channel: Channel) -> None:
            await channel.send(first)
            own.kill()
            own.start()
            await channel.send(second)

        using(adapter.make(own), over_a_restart)
        assert len(own.accepted(second.to)) == 1


def test_twenty_at_once_are_accepted_once_each(adapter: Adapter, process: CarrierProcess) -> None:
    messages = [adapter.message() for _ in range(100)]

    async def twenty_at_once(channel: Channel) -> list[Handover]:
        handovers: list[Handover] = []
        left = iter(messages)

        async def worker() -> None:
            for message in left:
                handovers.append(await channel.send(message))

        await asyncio.gather(*(worker() for _ in range(20)))
        return handovers

    handovers = using(adapter.make(process, 20.0), twenty_at_once)
    to = [message["to"] for message in process.evidence().messages]
    assert len({handover.provider_id for handover in handovers}) == 100
    assert [to.count(message.to) for message in messages] == [1] * 100


@pytest.mark.thorough
def test_sending_takes_no_longer_than_its_time_with_every_place_taken(adapter: Adapter, process: CarrierProcess) -> None:
    messages = [adapter.message() for _ in range(24)]
    process.order({"kind": "timeout_before", "count": None, "seconds": 120, "match": {"channel": adapter.channel}})

    async def crowd(channel: Channel) -> list[BaseException | Handover]:
        return await asyncio.gather(*(channel.send(message) for message in messages), return_exceptions=True)

    began = time.monotonic()
    # Time enough for every place to come as far as the text, also on a busy machine.
    outcomes = using(adapter.make(process, 2.5), crowd)
    assert time.monotonic() - began < 60, "it waited for the answers that never come"
    unknown = [outcome for outcome in outcomes if isinstance(outcome, UnknownOutcome)]
    never_begun = [outcome for outcome in outcomes if isinstance(outcome, Retryable)]
    assert (len(unknown), len(never_begun)) == (adapter.places, 24 - adapter.places)
