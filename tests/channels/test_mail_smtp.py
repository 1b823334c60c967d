"""What is SMTP's own: the mail itself, and the dialogue's corners."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser

import pytest

from hailong.ports import Handover, OutgoingMessage, Permanent, Retryable, UnknownOutcome
from surveys.channels.mail_smtp import Relay, SmtpMail, compose, message_id
from tests.carrier.process import CarrierProcess, carrier

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SENDER = Address("Khảo sát hài lòng", addr_spec="ks@example.vn")


def message(to: str = "nguoi@example.vn", subject: str = "Mời Ông/Bà đánh giá", html: str | None = "<p>Kính gửi</p>") -> OutgoingMessage:
    return OutgoingMessage("claim-1", "email", to, subject, "Kính gửi Ông/Bà\n", html, "t", None, "https://ks.example.vn/u/7KQ2", "vi")


def smtp(port: int, timeout: float = 1.0, connections: int = 1) -> SmtpMail:
    return SmtpMail(
        relay=Relay("127.0.0.1", port),
        sender="ks@example.vn",
        sender_name="Khảo sát",
        domain="example.vn",
        now=lambda: NOW,
        timeout=timeout,
        connections=connections,
    )


def read(mail: EmailMessage) -> EmailMessage:
    parsed = BytesParser(policy=policy.default).parsebytes(mail.as_bytes(policy=policy.SMTP))
    assert isinstance(parsed, EmailMessage)
    return parsed


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    with carrier(tmp_path_factory.mktemp("carrier")) as running:
        yield running


def test_a_mail_carries_text_html_and_the_headers_of_an_automatic_sender() -> None:
    mail = read(compose(message(), SENDER, "nguoi@example.vn", "example.vn", NOW))
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe"] == "<https://ks.example.vn/u/7KQ2>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Date"].datetime == NOW
    assert str(mail["From"]) == "Khảo sát hài lòng <ks@example.vn>"
    assert mail["Subject"] == "Mời Ông/Bà đánh giá"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["Kính gửi Ông/Bà", "<p>Kính gửi</p>"]


def test_without_html_or_unsubscribing_there_is_neither() -> None:
    plain = OutgoingMessage("c", "email", "a@example.vn", "x", "y", None, "t", None, None, "vi")
    mail = read(compose(plain, SENDER, "a@example.vn", "example.vn", NOW))
    assert mail.get_content_type() == "text/plain"
    assert mail["List-Unsubscribe"] is None


def test_the_message_id_is_the_claims_for_ever_and_does_not_show_it() -> None:
    assert message_id("claim-1", "example.vn") == message_id("claim-1", "example.vn")
    assert message_id("claim-1", "example.vn") != message_id("claim-2", "example.vn")
    assert "claim" not in message_id("claim-1", "example.vn")


def test_letters_go_out_composed() -> None:
    mail = read(compose(message(subject="Mo\u031b\u0300i", html="o\u0302"), SENDER, "a@example.vn", "example.vn", NOW))
    assert mail["Subject"] == "M\u1eddi"
    assert [part.get_content().strip() for part in mail.iter_parts()][1] == "\u00f4"


def test_a_subject_cannot_bring_headers_of_its_own() -> None:
    mail = read(compose(message(subject="Mời\r\nBcc: other@example.vn"), SENDER, "a@example.vn", "example.vn", NOW))
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Mời Bcc: other@example.vn"


@pytest.mark.parametrize(
    "address", ["", "nobody", "@example.vn", "a@", "a b@example.vn", "a@b\r\nRCPT TO:<c@d>", "ngườidân@example.vn", "a@" + "x" * 70 + ".vn"]
)
def test_an_address_nobody_can_have_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(Permanent, match="invalid_address") as refused:
        asyncio.run(smtp(1).send(message(address)))
    assert not address or address not in str(refused.value)


def test_a_mail_cannot_be_looked_for() -> None:
    assert not smtp(1).can_reconcile
    with pytest.raises(Permanent):
        asyncio.run(smtp(1).find(message(), NOW))


@pytest.mark.stack
def test_a_domain_in_vietnamese_letters_is_reached(process: CarrierProcess) -> None:
    sent(process, message("a@hòabình.vn"))
    assert len(process.accepted("a@xn--habnh-ksa5r.vn") + process.accepted("a@" + "hòabình.vn".encode("idna").decode())) >= 1


@pytest.mark.stack
def test_a_refusal_after_the_text_is_permanent_and_the_connection_goes_on(process: CarrierProcess) -> None:
    with pytest.raises(Permanent) as refused:
        sent(process, message("data-554@example.vn"), message("after@example.vn"))
    assert refused.value.code == "554"

    async def one_after_the_other() -> Handover:
        channel = smtp(process.smtp_port)
        with pytest.raises(Permanent):
            await channel.send(message("refuse-550@example.vn"))
        handover = await channel.send(message("after@example.vn"))
        await channel.close()
        return handover

    asyncio.run(one_after_the_other())
    assert len(process.accepted("after@example.vn")) == 1


@pytest.mark.stack
def test_a_relay_going_out_of_service_is_retryable_soon(process: CarrierProcess) -> None:
    process.order({"kind": "503", "match": {"to": "a421@example.vn"}})
    with pytest.raises(Retryable) as put_off:
        sent(process, message("a421@example.vn"))
    assert put_off.value.after <= 5


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([b"554 no\r\n"], Retryable),  # it refuses us, not the mail
        ([b"220 hi\r\n", b"250 hi\r\n", b"550 you?\r\n"], Retryable),
        ([b"220 hi\r\n", b"250 hi\r\n", None], Retryable),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", None], Retryable),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"451 no\r\n"], Retryable),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", None], UnknownOutcome),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", None], UnknownOutcome),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"what?\r\n"], UnknownOutcome),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"452 full\r\n"], Retryable),
        ([b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b""], UnknownOutcome),
        ([b"220 hi\r\n", b"250 hi\r\n", b""], Retryable),
        ([b""], Retryable),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, list) else value.__name__,
)
@pytest.mark.stack
def test_where_the_dialogue_breaks_decides_what_is_known(script: list[bytes | None], kind: type[Exception]) -> None:
    """``script``: the relay's answers in turn; None cuts the connection, empty says nothing more."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in script:
                if not answer:
                    await asyncio.sleep(0 if answer is None else 1.0)
                    break
                writer.write(answer)
                await (reader.readuntil(b"\r\n.\r\n") if answer.startswith(b"354") else reader.readline())
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            ended.set()

    async def attempt() -> None:
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        channel = smtp(server.sockets[0].getsockname()[1], timeout=0.5)
        with pytest.raises(kind):
            await channel.send(message())
        await channel.close()
        await ended.wait()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)

    ended = asyncio.Event()
    asyncio.run(attempt())


def sent(process: CarrierProcess, *messages: OutgoingMessage) -> list[Handover]:
    async def all_in_turn() -> list[Handover]:
        channel = smtp(process.smtp_port)
        try:
            return [await channel.send(one) for one in messages]
        finally:
            await channel.close()

    return asyncio.run(all_in_turn())


@pytest.mark.parametrize("subject", ["Sáng nay: 2 cảnh báo mới, 0 cảnh báo đã hết, 12 câu trả lời, mọi phần đều chạy", "plain", "ễ" * 120])
def test_a_subject_arrives_letter_by_letter(subject: str) -> None:
    message = OutgoingMessage("c1", "email", "an@dan.example", subject, "text", None, "t", None, None, "vi")
    made = compose(message, Address(addr_spec="x@hoabinh.example"), "an@dan.example", "hoabinh.example", datetime(2026, 3, 2, tzinfo=UTC))
    octets = made.as_bytes()
    assert BytesParser(policy=policy.default).parsebytes(octets)["Subject"] == subject
    assert max(map(len, octets.split(b"\r\n"))) <= 78 + 2
