"""Mails that come back, from the SMTP adapter over the carrier into the folder and out of it as receipts."""

import asyncio
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hailong.ports import OutgoingMessage, Receipt
from ops.carrier.outcomes import mail_plan
from surveys.channels.bounces import Swept, sweep
from surveys.channels.mail_smtp import Relay, SmtpMail
from tests.carrier.process import CarrierProcess, carrier, run_carrier, until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarrierProcess]:
    folder = tmp_path_factory.mktemp("carrier")
    with carrier(folder, "--bounce-maildir", str(folder / "mail")) as process:
        yield process


@pytest.fixture
def maildir(shared: CarrierProcess) -> Path:
    shared.clear_faults()
    return shared.data / "mail"


def mail(process: CarrierProcess, to: str, claim: str) -> str:
    """Hand over one mail; its id."""

    async def send() -> str:
        relay = Relay("127.0.0.1", process.smtp_port)
        channel = SmtpMail(relay=relay, sender="ks@example.vn", sender_name="HCC", domain="example.vn", now=lambda: datetime.now(UTC))
        try:
            message = OutgoingMessage(claim, "email", to, "Mời", "Mời Ông/Bà", None, "x", None, "https://ks.example/x/stop", "vi")
            return (await channel.send(message)).provider_id
        finally:
            await channel.close()

    return asyncio.run(send())


def waiting(maildir: Path) -> int:
    return len(list((maildir / "new").iterdir()))


def test_bad_addresses_come_back_as_receipts_of_their_mails(shared: CarrierProcess, maildir: Path) -> None:
    gone = mail(shared, "bounce-511@example.vn", "gone")
    full = mail(shared, "bounce-422+x@example.vn", "full")
    mail(shared, "delay-447@example.vn", "late")
    mail(shared, "nguoi@example.vn", "good")
    until(lambda: waiting(maildir) == 3)
    kept: list[Receipt] = []
    assert sweep(maildir, "example.vn", kept.append) == Swept(failed=2, delayed=1)
    assert sorted(kept, key=str) == sorted([Receipt("smtp", gone, "failed", "5.1.1"), Receipt("smtp", full, "failed", "4.2.2")], key=str)
    assert not [file for file in maildir.glob("*/*") if file.is_file()]
    states = {message["to"]: message["state"] for message in shared.evidence().messages}
    assert (states["bounce-511@example.vn"], states["nguoi@example.vn"]) == ("failed", "accepted")


def test_ordered_faults_lose_and_double_reports(shared: CarrierProcess, maildir: Path) -> None:
    shared.order(
        {"kind": "drop_receipt", "match": {"to": "bounce-550@lost.vn"}}, {"kind": "double_receipt", "match": {"to": "bounce-550@twice.vn"}}
    )
    mail(shared, "bounce-550@lost.vn", "lost")
    twice = mail(shared, "bounce-550@twice.vn", "twice")
    until(lambda: waiting(maildir) == 2)
    until(lambda: shared.accepted("bounce-550@lost.vn")[0]["state"] == "failed")
    kept: list[Receipt] = []
    sweep(maildir, "example.vn", kept.append)
    assert kept == [Receipt("smtp", twice, "failed", "5.5.0")] * 2


def test_a_kill_before_the_report_does_not_lose_it(tmp_path: Path) -> None:
    with carrier(tmp_path, "--delivered-after", "1") as process:
        with smtplib.SMTP("127.0.0.1", process.smtp_port) as relay:
            relay.sendmail("ks@example.vn", ["bounce-511@example.vn"], "Subject: x\r\n\r\nMoi\r\n")
            process.kill()
            relay.close()
        assert waiting(tmp_path / "bounces") == 0
        process.start()
        until(lambda: waiting(tmp_path / "bounces") == 1)


def test_only_reserved_addresses_come_back() -> None:
    assert [(step.status, step.code) for step in mail_plan("bounce-511@example.vn", 1)] == [("failed", 511)]
    assert [(step.status, step.code) for step in mail_plan("Delay-447.x@example.vn", 1)] == [("sent", 447)]
    assert not any(mail_plan(address, 1) for address in ("bouncer-511@example.vn", "a@bounce-511.vn", "bounce-200@example.vn"))


def test_a_folder_it_may_not_write_keeps_it_from_starting_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    child = run_carrier(
        "--data", str(tmp_path / "a"), "--http-port", "0", "--smtp-port", "0", "--bounce-maildir", str(tmp_path / "file" / "mail")
    )
    assert "--bounce-maildir" in child.communicate(timeout=10)[1]
    assert child.returncode == 2
