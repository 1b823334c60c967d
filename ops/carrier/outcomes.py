"""Numbers and addresses whose outcome is fixed, and the checks a message must pass, with the codes Twilio gives.

Twilio's own test numbers behave as Twilio documents them. For Vietnam the block **+84510000NNN** is reserved here: it has the form of a
mobile number, but no operator has been given 051. NNN chooses the outcome:

===  =====================================================  ===  ===========================================
NNN  refused at once                                        NNN  accepted, then
===  =====================================================  ===  ===========================================
001  400 / 21211 not a number                               101  failed / 30001 queue overflow
002  400 / 21612 no route                                   103  undelivered / 30003 unreachable
003  400 / 21408 region not enabled                         104  undelivered / 30004 blocked
004  400 / 21610 opted out                                  105  undelivered / 30005 unknown handset
009  400 / 21614 not a mobile number                        106  undelivered / 30006 landline
011  429 / 21611 sender's queue is full                     107  undelivered / 30007 filtered
029  429 / 20429 too many requests                          108  undelivered / 30008 unknown error
===  =====================================================  ===  ===========================================

200: sent, and never any word of delivery. 201: the receipt of *delivered* comes before that of *sent*. 202: every receipt comes twice.
Any other number is delivered. Mail: a local part ``refuse-550`` or ``later-451`` (any 5xx, 4xx) is answered so at RCPT, ``data-554`` (any
4xx, 5xx) after the text. ``bounce-511`` (any 4xx, 5xx) is accepted and comes back as undeliverable (5.1.1), ``delay-447`` as delayed;
every other address is accepted and that is all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ops.carrier.records import PlannedStep

RESERVED_BLOCK = "+84510000"
MAX_BODY = 1600
"""Characters, over all segments."""

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_ALPHANUMERIC_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")
_SHORT_CODE = re.compile(r"\d{3,8}")
_SERVICE = re.compile(r"MG[0-9a-f]{32}")
_MAIL_BACK = re.compile(r"(bounce|delay)-([45]\d\d)(?=[@+.-])")
_MAIL_REPLY = re.compile(r"(refuse-5|later-4|data-[45])(\d\d)(?=[@+.-])")

_TWILIO_TO = {1: 21211, 2: 21612, 3: 21408, 4: 21610, 9: 21614}
_TWILIO_FROM = {1: 21212, 7: 21606, 8: 21611}
_RESERVED_REFUSALS = {"001": 21211, "002": 21612, "003": 21408, "004": 21610, "009": 21614, "011": 21611, "029": 20429}
_RESERVED_FAILURES = {"101": 30001, "103": 30003, "104": 30004, "105": 30005, "106": 30006, "107": 30007, "108": 30008}

_MESSAGES = {
    20003: "The account and its token do not match.",
    20005: "The account is not active.",
    20404: "There is no such resource: {}.",
    20429: "Too many requests at once.",
    20500: "Something broke at the carrier.",
    20503: "The carrier is out of service for a while.",
    21211: "'To' {} is no valid phone number.",
    21212: "'From' {} is no valid phone number.",
    21266: "'To' and 'From' are the same: {}.",
    21408: "Sending to the region of {} is not enabled.",
    21602: "A message needs a body.",
    21603: "A message needs a 'From' or a messaging service.",
    21604: "A message needs a 'To'.",
    21606: "'From' {} cannot send SMS.",
    21609: "The status callback is no valid URL: {}.",
    21610: "{} has opted out of messages from this sender.",
    21611: "The queue of 'From' {} is full.",
    21612: "There is no route from this sender to {}.",
    21614: "'To' {} is no mobile number.",
    21617: "The body is longer than 1,600 characters.",
}
_STATUS = {20003: 401, 20005: 403, 20404: 404, 20429: 429, 20500: 500, 20503: 503, 21611: 429}


@dataclass(frozen=True)
class Problem:
    """Why a request is refused: HTTP status, Twilio's code, a sentence (which, as at Twilio, may contain the number)."""

    status: int
    code: int
    message: str


def problem(code: int, value: str = "") -> Problem:
    return Problem(_STATUS.get(code, 400), code, _MESSAGES[code].format(value))


def check(form: Mapping[str, str]) -> Problem | None:
    """What is wrong with the form of a message to be created; None if it is accepted."""
    to, body = form.get("To", "").strip(), form.get("Body", "")
    if not to:
        return problem(21604)
    sender = form.get("MessagingServiceSid") or form.get("From", "")
    if not sender:
        return problem(21603)
    if not body.strip():
        return problem(21602)
    if len(body) > MAX_BODY:
        return problem(21617)
    callback = form.get("StatusCallback", "")
    if callback and not re.match(r"https?://[^/\s]+", callback):
        return problem(21609, callback)
    return _check_sender(sender, to) or _check_recipient(to, sender)


def plan(to: str, sent_after: float, delivered_after: float) -> tuple[PlannedStep, ...]:
    """The steps of an accepted SMS, in the order of their receipts. Seconds count from its acceptance."""
    last = to[len(RESERVED_BLOCK) :] if to.startswith(RESERVED_BLOCK) else ""
    sent, delivered = PlannedStep("sent", sent_after), PlannedStep("delivered", delivered_after)
    if last in _RESERVED_FAILURES:
        code = _RESERVED_FAILURES[last]
        end = PlannedStep("failed" if code == 30001 else "undelivered", delivered_after, code)
        return (end,) if end.status == "failed" else (sent, end)
    return {
        "200": (sent,),
        "201": (PlannedStep("delivered", sent_after), PlannedStep("sent", delivered_after)),
        "202": (PlannedStep("sent", sent_after, posts=2), PlannedStep("delivered", delivered_after, posts=2)),
    }.get(last, (sent, delivered))


def mail_reply(address: str, when: str) -> int | None:
    """The SMTP reply code this address is reserved for at ``when`` (``rcpt`` or ``data``); None: accept."""
    found = _MAIL_REPLY.match(address.lower())
    if not found or (found[1].startswith("data")) != (when == "data"):
        return None
    return int(found[1][-1] + found[2])


def mail_plan(address: str, after: float) -> tuple[PlannedStep, ...]:
    """The report a mail to this address is reserved for; empty: none."""
    found = _MAIL_BACK.match(address.lower())
    return (PlannedStep("failed" if found[1] == "bounce" else "sent", after, int(found[2])),) if found else ()


def _check_sender(sender: str, to: str) -> Problem | None:
    if _SERVICE.fullmatch(sender):
        return None
    if sender.startswith("+1500555000") and int(sender[-1]) in _TWILIO_FROM:
        return problem(_TWILIO_FROM[int(sender[-1])], sender)
    if not any(form.fullmatch(sender) for form in (_E164, _ALPHANUMERIC_SENDER, _SHORT_CODE)):
        return problem(21212, sender)
    return problem(21266, to) if sender == to else None


def _check_recipient(to: str, sender: str) -> Problem | None:
    if not _E164.fullmatch(to):
        return problem(21211, to)
    if to.startswith("+1500555000") and int(to[-1]) in _TWILIO_TO:
        return problem(_TWILIO_TO[int(to[-1])], to)
    code = _RESERVED_REFUSALS.get(to[len(RESERVED_BLOCK) :]) if to.startswith(RESERVED_BLOCK) else None
    return problem(code, sender if code == 21611 else to) if code else None
