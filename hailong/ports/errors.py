"""The errors that cross rooms, named by what the caller shall do; foreign ones are translated once, at the door."""

from __future__ import annotations


class Retryable(Exception):
    """Nothing happened; try again after ``after`` seconds."""

    def __init__(self, reason: str, after: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Barred(Retryable):
    """A provider refuses us, whatever the message is (account, credentials, balance); surely nothing was accepted."""


class Permanent(Exception):
    """Refused for good; trying again changes nothing. ``code`` is the provider's, if there is one."""

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Invalid(Exception):
    """What came in is wrong. ``field`` names where; ``reason`` is a word of a closed list; ``detail`` a sentence without personal data."""

    def __init__(self, reason: str, field: str | None = None, detail: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason = reason
        self.field = field
        self.detail = detail


class UnknownOutcome(Exception):
    """A message may or may not have been accepted: never sent again blindly."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
