"""SQL sessions over HTTP: a handle that outlives the request, with its temporary tables, settings and database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ops.store import failures
from ops.store.engine import Handle

DEFAULT_TIMEOUT_S = 60
MAX_TIMEOUT_S = 3600


@dataclass(slots=True)
class Session:
    """settings: the SET statements the client ran, to be run again after a request's own settings (borrowed) are taken back."""

    handle: Handle
    timeout: float
    expires: float
    busy: bool = True
    database: str = "default"
    settings: list[bytes] = field(default_factory=list)
    borrowed: list[str] = field(default_factory=list)


class Sessions:
    """By session_id. Not thread-safe: used from the event loop only; `now` is monotonic seconds."""

    def __init__(self, new_handle: Callable[[], Handle]) -> None:
        self._new = new_handle
        self._open: dict[str, Session] = {}

    def take(self, session_id: str, timeout: float, must_exist: bool, now: float) -> Session:
        """Raises Refused 373 while another request holds it, 372 when it must exist and does not."""
        session = self._open.get(session_id)
        if session is not None and session.busy:
            raise failures.Refused(failures.SESSION_IS_LOCKED, f"Session {session_id} is locked by a concurrent client.")
        if session is None:
            if must_exist:
                raise failures.Refused(failures.SESSION_NOT_FOUND, f"Session {session_id} not found")
            session = self._open[session_id] = Session(self._new(), timeout, now + timeout)
        session.busy, session.timeout = True, timeout
        return session

    def give_back(self, session_id: str, now: float, close: bool = False) -> None:
        """Frees it for the next request; its time-out starts now."""
        session = self._open[session_id]
        session.busy, session.expires = False, now + session.timeout
        if close:
            self._open.pop(session_id).handle.close()

    def sweep(self, now: float) -> None:
        """Ends the sessions nobody used for their time-out."""
        for session_id in [key for key, session in self._open.items() if not session.busy and session.expires < now]:
            self._open.pop(session_id).handle.close()

    def close(self) -> None:
        """Ends every session that is not in use."""
        self.sweep(float("inf"))


def timeout_of(text: str) -> float:
    """session_timeout of a request, in seconds. Raises Refused 374 outside 1…3600."""
    if not text:
        return DEFAULT_TIMEOUT_S
    if not text.isdigit() or not 0 < int(text) <= MAX_TIMEOUT_S:
        raise failures.Refused(failures.INVALID_SESSION_TIMEOUT, f"Invalid session timeout {text!r}: 1 to {MAX_TIMEOUT_S} seconds", 400)
    return int(text)
