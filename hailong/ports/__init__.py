"""What the rooms need of the outside and of each other, as Protocols; and the three errors, named by what the caller shall do.

``Retryable``: nothing happened, try again after a while. ``Permanent``: it was refused, never try again. ``Invalid``: what came
in is wrong, put it aside with its reason. ``UnknownOutcome`` (of sending only): it may or may not have happened, find out first.
Foreign errors are translated once, at the door of the room that talks to the foreigner.
"""

from hailong.ports.errors import Barred, Invalid, Permanent, Retryable, UnknownOutcome
from hailong.ports.ledger import Ledger, Transaction, WorkingLedger
from hailong.ports.log import AsyncPublisher, Clock, Publisher
from hailong.ports.messages import Channel, Handover, OutgoingMessage, Rating, Receipt, TemplateCall
from hailong.ports.records import (
    Claimed,
    Contact,
    DeadLetter,
    Decision,
    DossierAct,
    DueRow,
    Erased,
    Measure,
    OptOut,
    PendingRecord,
    ReceiptState,
    Resting,
    Settlement,
    SlotForAnswer,
    SlotForDecision,
    Taken,
)
from hailong.ports.stores import FactStore, FakeReports, SentMessage, SentMessages

__all__ = [
    "AsyncPublisher",
    "Barred",
    "Channel",
    "Claimed",
    "Clock",
    "Contact",
    "DeadLetter",
    "Decision",
    "DossierAct",
    "DueRow",
    "Erased",
    "FactStore",
    "FakeReports",
    "Handover",
    "Invalid",
    "Ledger",
    "Measure",
    "OptOut",
    "OutgoingMessage",
    "PendingRecord",
    "Permanent",
    "Publisher",
    "Rating",
    "Receipt",
    "ReceiptState",
    "Resting",
    "Retryable",
    "SentMessage",
    "SentMessages",
    "Settlement",
    "SlotForAnswer",
    "SlotForDecision",
    "Taken",
    "TemplateCall",
    "Transaction",
    "UnknownOutcome",
    "WorkingLedger",
]
