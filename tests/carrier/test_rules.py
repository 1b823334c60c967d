"""Fixed outcomes, faults, receipts' signatures and waiting: what the carrier decides without I/O."""

import msgspec
import pytest
from twilio.request_validator import RequestValidator

from ops.carrier.faults import Faults, Order, bend
from ops.carrier.letters import parse
from ops.carrier.outcomes import check, mail_reply, plan
from ops.carrier.reading import linked
from ops.carrier.receipts import signature, wait_before
from ops.carrier.records import PlannedStep

GOOD = {"To": "+84912345678", "From": "HCC", "Body": "Moi Ong/Ba danh gia"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": "  "}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "ftp://example.vn"}, 21609),
        ({"From": "a name far too long"}, 21212),
        ({"From": "+15005550007"}, 21606),
        ({"From": "+84912345678"}, 21266),
        ({"To": "0912345678"}, 21211),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+84510000001"}, 21211),
        ({"To": "+84510000009"}, 21614),
        ({"To": "+84510000011"}, 21611),
    ],
)
def test_a_wrong_form_gets_twilios_code(changed: dict[str, str], code: int) -> None:
    found = check(GOOD | changed)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize("sender", ["HCC", "+15005550006", "12345", "MG" + "a" * 32])
def test_a_good_form_is_accepted_from_any_kind_of_sender(sender: str) -> None:
    assert check(GOOD | {"From": sender}) is None


def test_reserved_numbers_choose_their_steps() -> None:
    def steps(to: str) -> list[tuple[str, int | None, int]]:
        return [(step.status, step.code, step.posts) for step in plan(to, 1, 2)]

    assert steps("+84912345103") == [("sent", None, 1), ("delivered", None, 1)]
    assert steps("+84510000103") == [("sent", None, 1), ("undelivered", 30003, 1)]
    assert steps("+84510000101") == [("failed", 30001, 1)]
    assert steps("+84510000200") == [("sent", None, 1)]
    assert steps("+84510000201") == [("delivered", None, 1), ("sent", None, 1)]
    assert steps("+84510000202") == [("sent", None, 2), ("delivered", None, 2)]


def test_reserved_addresses_choose_their_reply() -> None:
    assert mail_reply("refuse-550@example.vn", "rcpt") == 550
    assert mail_reply("later-451.7@example.vn", "rcpt") == 451
    assert mail_reply("data-554@example.vn", "rcpt") is None
    assert mail_reply("data-554@example.vn", "data") == 554
    assert mail_reply("refuser@example.vn", "rcpt") is None


def test_a_fault_meets_every_nth_match_until_it_is_used_up() -> None:
    faults = Faults()
    faults.add(b'[{"kind": "500", "count": 2, "match": {"channel": "sms", "to_prefix": "+8491", "nth": 3}}]')
    met = [faults.for_request("sms", f"+849100000{n}") is not None for n in range(9)]
    assert met == [False, False, True, False, False, True, False, False, False]
    assert not faults.left()


def test_a_fault_leaves_other_channels_recipients_and_receipts_alone() -> None:
    faults = Faults()
    faults.add(b'[{"kind": "429", "match": {"channel": "email", "to": "a@example.vn"}}]')
    assert faults.for_request("sms", "+84912345678") is None
    assert faults.for_request("email", "b@example.vn") is None
    assert faults.for_receipts("email", "a@example.vn") is None
    assert faults.for_request("email", "a@example.vn") is not None


def test_an_order_that_cannot_be_read_changes_nothing() -> None:
    faults = Faults()
    with pytest.raises(msgspec.ValidationError):
        faults.add(b'[{"kind": "500"}, {"kind": "meteor"}]')
    assert not faults.left()


@pytest.mark.parametrize(("kind", "posts", "after"), [("drop_receipt", 0, 1.0), ("double_receipt", 2, 1.0), ("late_receipt", 1, 6.0)])
def test_receipt_faults_bend_the_plan(kind: str, posts: int, after: float) -> None:
    order = msgspec.convert({"kind": kind, "seconds": 5.0}, Order)
    assert bend([PlannedStep("sent", 1.0)], order) == (PlannedStep("sent", after, None, posts),)


def test_a_receipts_signature_satisfies_twilios_own_validator() -> None:
    url, form = "https://ks.example.vn/twilio/status?survey=1", {"MessageSid": "SM1", "To": "+84912345678", "Body": "Mời"}
    assert RequestValidator("secret").validate(url, form, signature("secret", url, form))
    assert not RequestValidator("other").validate(url, form, signature("secret", url, form))


def test_waiting_grows_and_stays_bounded() -> None:
    waits = [wait_before(failures) for failures in range(1, 200)]
    assert waits == sorted(waits)
    assert waits[0] < 1
    assert waits[-1] == 30


def test_links_are_clickable_and_everything_else_is_text() -> None:
    shown = linked('Xem <b>https://ks.example.vn/7KQ2?a=1&b="2</b>. Cảm ơn')
    assert '<a href="https://ks.example.vn/7KQ2?a=1&amp;b=" target="_blank"' in shown
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown


def test_a_mail_is_taken_apart_even_when_its_character_set_is_unknown() -> None:
    raw = "Subject: =?utf-8?b?TeG7nWk=?=\r\nContent-Type: text/plain; charset=klingon\r\n\r\nM\xe1\xbb\x9di\r\n"
    letter = parse(raw)
    assert (letter.subject, letter.text, letter.html) == ("Mời", "Mời\n", "")
