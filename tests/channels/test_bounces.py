"""Mails that came back, out of a Maildir folder."""

from pathlib import Path

import pytest

from hailong.ports import Receipt, Retryable
from surveys.channels.bounces import Read, Swept, read, sweep

OURS = "ab" * 16 + "@HCC.example.vn"


def report(action: str = "failed", status: str = "5.1.1", message_id: str = OURS, whole: bool = False, more: str = "") -> bytes:
    kept = f"Message-ID:\r\n <{message_id}>\r\nTo: nguoi@example.vn\r\n"
    original = f"Content-Type: message/rfc822\n\n{kept}\nMoi Ong/Ba" if whole else f"Content-Type: text/rfc822-headers\n\n{kept}"
    return f"""From: MAILER-DAEMON@mx.example
Message-ID: <{"cd" * 16}@HCC.example.vn>
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=utf-8

Mail of <{"ef" * 16}@HCC.example.vn> to nguoi@example.vn

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

{more}Final-Recipient: rfc822; nguoi@example.vn
Action: {action}
Status: {status}

--b
{original}

--b--
""".encode()


def failed(code: str | None) -> Read:
    return Read("failed", Receipt("smtp", OURS, "failed", code))


@pytest.mark.parametrize("whole", [False, True])
def test_a_failure_is_a_receipt_of_the_message_it_names(whole: bool) -> None:
    assert read(report(whole=whole), "HCC.example.vn") == failed("5.1.1")


def test_a_server_that_has_given_up_after_delays_has_failed_too() -> None:
    assert read(report(status="4.4.7 (delivery time expired)"), "HCC.example.vn") == failed("4.4.7")
    assert read(report(action="Failed", status="?"), "HCC.example.vn") == failed(None)


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_other_reports_change_nothing(action: str) -> None:
    assert read(report(action, "4.4.1"), "HCC.example.vn") == Read("delayed")


def test_one_failed_recipient_among_several_is_a_failure() -> None:
    more = "Final-Recipient: rfc822; other@example.vn\nAction: delayed\nStatus: 4.4.1\n\n"
    assert read(report(more=more), "HCC.example.vn") == failed("5.1.1")


@pytest.mark.parametrize(
    "octets",
    [
        report(message_id="ab" * 16 + "@elsewhere.vn"),
        report(message_id="short@HCC.example.vn"),
        b"Subject: Re: khao sat\n\nToi khong hieu\n",
        b"Content-Type: multipart/report; boundary=b\n\nno parts",
        b"Content-Type: multipart/report\n\n",
        b"\xff\xfe\x00" * 50,
        b"",
    ],
)
def test_what_is_no_report_of_ours_is_other(octets: bytes) -> None:
    assert read(octets, "HCC.example.vn") == Read("other")


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_sweep_keeps_receipts_removes_reports_and_leaves_what_people_wrote(maildir: Path) -> None:
    (maildir / "new" / "1.a").write_bytes(report())
    (maildir / "new" / "2.b").write_bytes(report("delayed", "4.4.1"))
    (maildir / "new" / "3.c").write_bytes(b"Subject: Re\n\nXin chao")
    (maildir / "cur" / "0.d:2,").write_bytes(report())
    (maildir / "cur" / "0.e:2,S").write_bytes(report())
    kept: list[Receipt] = []
    assert sweep(maildir, "HCC.example.vn", kept.append) == Swept(failed=2, delayed=1, other=1)
    assert kept == [Receipt("smtp", OURS, "failed", "5.1.1")] * 2
    assert sorted(file.name for file in maildir.glob("*/*")) == ["0.e:2,S", "3.c:2,S"]
    assert sweep(maildir, "HCC.example.vn", kept.append) == Swept()


def test_a_report_stays_until_its_receipt_is_kept(maildir: Path) -> None:
    (maildir / "new" / "1.a").write_bytes(report())

    def away(_: Receipt) -> None:
        raise Retryable("ledger: away")

    with pytest.raises(Retryable, match="ledger"):
        sweep(maildir, "HCC.example.vn", away)
    assert [file.name for file in (maildir / "new").iterdir()] == ["1.a"]


def test_a_sweep_takes_no_more_than_it_may(maildir: Path) -> None:
    for n in range(5):
        (maildir / "new" / f"{n}.a").write_bytes(report())
    assert sweep(maildir, "HCC.example.vn", lambda _: None, limit=2).failed == 2
    assert len(list((maildir / "new").iterdir())) == 3


def test_a_folder_that_is_none_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match="HAILONG_BOUNCE_MAILDIR"):
        sweep(tmp_path / "none", "HCC.example.vn", lambda _: None)
