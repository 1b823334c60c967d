"""The mail header that lets a mail program stop the messages (RFC 8058), from the composed mail to the ledger."""

from __future__ import annotations

from email.headerregistry import Address

import pytest

from hailong.ports import OutgoingMessage
from surveys.channels.mail_smtp import compose
from tests.survey.twins import CODE, NOW, UNKNOWN, Installation, unsealed

pytestmark = pytest.mark.anyio


def unsubscribe(code: str) -> tuple[str, str]:
    """(address, body) as a mail program reads them from the headers."""
    stop = f"https://ks.example/{code}/stop"
    message = OutgoingMessage("claim-1", "email", "a@example.vn", "x", "x", None, code, None, stop, "vi")
    mail = compose(message, Address("HCC", addr_spec="ks@example.vn"), "a@example.vn", "example.vn", NOW)
    return str(mail["List-Unsubscribe"]).strip("<>"), str(mail["List-Unsubscribe-Post"])


@pytest.mark.parametrize("as_form", [True, False])
async def test_one_post_opts_out_without_a_page_between(site: Installation, as_form: bool) -> None:
    address, body = unsubscribe(CODE)
    name, _, value = body.partition("=")
    if as_form:
        done = await site.http.post(address, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    else:
        done = await site.http.post(address, files={name: (None, value)})
    assert done.status_code == 200
    assert site.ledger.opted_out == {"s-1": "one_click"}


async def test_a_program_that_only_looks_stops_nothing(site: Installation) -> None:
    address, _ = unsubscribe(CODE)
    assert (await site.http.get(address)).status_code == 200
    assert (await site.http.head(address)).status_code in (200, 405)
    assert site.ledger.opted_out == {}


async def test_it_is_not_confirmed_while_it_cannot_be_kept_and_an_unknown_code_is_told_the_same(site: Installation) -> None:
    address, body = unsubscribe(CODE)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    site.ledger.away = True
    assert (await site.http.post(address, content=body, headers=form)).status_code == 503
    site.ledger.away = False
    known = await site.http.post(address, content=body, headers=form)
    unknown = await site.http.post(unsubscribe(UNKNOWN)[0], content=body, headers=form)
    assert (known.status_code, unsealed(known)) == (unknown.status_code, unsealed(unknown).replace(UNKNOWN, CODE))
