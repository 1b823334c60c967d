"""How a process speaks: one JSON object a line on stderr, without anything that names a person; and its counters.

Log what happened with ids that name nobody (event_id, unit, topic, offset). A key known to carry personal data is dropped whoever
wrote it, and numbers and addresses inside sentences of foreign libraries are blotted out: the last net, not the first.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hailong.ports import Invalid, Permanent, Retryable, UnknownOutcome

PERSONAL: Final = frozenset(
    {
        "address", "addresses", "applicant", "applicant_id", "body", "client", "code", "comment", "contact", "cookie", "dossier",
        "dossier_code", "email", "form", "fullname", "headers", "html", "identity", "ip", "mail", "message_text", "name", "password",
        "path_params", "payload", "person", "phone", "recipient", "recipients", "remote", "secret", "slip_code", "survey_code", "text",
        "ticket_no", "to", "token", "unsubscribe_url", "url", "value",
    }
)  # fmt: skip
"""Keys that are dropped wherever they stand."""
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_PHONE: Final = re.compile(r"(?<![\w.:-])(\+?84|0)[ .]?\d{2,3}[ .]?\d{3}[ .]?\d{3,4}(?![\w:-])")
_DOSSIER: Final = re.compile(r"\b(\d{3}\.\d{2}\.\d{2}\.)?H\d{2}(\.\d+)*-\d{6}-\d{3,6}\b")
BLOT: Final = "[…]"


def blot(said: str) -> str:
    """A sentence with mail addresses, phone numbers and dossier codes blotted out."""
    return _DOSSIER.sub(BLOT, _PHONE.sub(BLOT, _MAIL.sub(BLOT, said)))


def drop_personal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: drops personal keys at any depth, blots what is left of strings."""
    return cast(MutableMapping[str, Any], _cleaned(event))


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _cleaned(v) for k, v in value.items() if str(k).lower() not in PERSONAL}
    if isinstance(value, list | tuple | set):
        return [_cleaned(v) for v in value]
    return blot(value) if isinstance(value, str) else value


def configure(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up this process's log: our own events and those of libraries, as JSON lines on ``stream`` (stderr).

    Raises ValueError for an unknown level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: unknown. Take debug, info, warning or error.")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for quiet in ("aiokafka", "kafka", "uvicorn.access", "httpx", "twilio"):
        logging.getLogger(quiet).setLevel(max(number, logging.WARNING))  # they name addresses and write a line per call
    logging.getLogger("kafka.net.selector").setLevel(max(number, logging.ERROR))  # a busy machine is no news to who imports a file


def _formatter(shared: list[Any]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _where_it_failed,
            drop_personal,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
    )


def _named(service: str) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def failure(error: BaseException) -> dict[str, Any]:
    """An error for the log: its type and the places it passed. A foreign message stays out: it may repeat what a person sent."""
    places, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    said = {"reason": error.reason} if isinstance(error, Retryable | Permanent | Invalid | UnknownOutcome) else {}
    return {"error": type(error).__name__, **said, "places": places[-12:]}


def _where_it_failed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """``exc_info`` → type and places."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event.update(failure(error))
    return event


def log(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of our own."""
    made: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return made


def registry() -> CollectorRegistry:
    """A registry of this process's counters, with those of the process itself (memory, open files, garbage collection)."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    return made


def exposition(counters: CollectorRegistry) -> tuple[bytes, str]:
    """The counters as Prometheus reads them: (body, content type)."""
    return generate_latest(counters), CONTENT_TYPE_LATEST
