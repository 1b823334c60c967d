"""Personal data, for commands: the report of what was erased, and everything about one person put together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Final

from hailong.domain.units import LOCAL
from hailong.ports import Permanent, Retryable
from ops.wiring import Wiring
from sinks.clickhouse.connection import translated
from sinks.ledger import LedgerReader

_ANSWERS: Final = (
    "SELECT DISTINCT survey_id, seq, kind, counted_at, questionnaire, questionnaire_version, mode, language, revision, score, answers,"
    " reason FROM counted WHERE survey_id IN {surveys:Array(String)} ORDER BY seq"
)
NOTE: Final = (
    "Found by the keyed hash of what was given, in the ledger; answers by the survey_id of dossiers that still lead to one. "
    "What was erased before leads nowhere: 30 days after a survey is settled nobody can tell whose an answer is, so such answers are not "
    "here. A number that several people use finds the dossiers of all of them. Log and store hold the same facts under dossier_ref and "
    "survey_id."
)


def report(w: Wiring, reader: LedgerReader) -> dict[str, Any]:
    """``{erased: [{day, what, n, key_month}], sealed: {month: {contacts, dead_letters}}, keys, opted_out, peppers, settled_not_yet_erased,
    fakes: [{day, texts, reports}]}``.
    """
    erased = [asdict(one) | {"day": one.day.isoformat()} for one in reader.erasures()]
    fakes = [{"day": day.isoformat(), "texts": texts, "reports": n} for day, texts, n in reader.fake_days()]
    return {"erased": erased, "sealed": reader.sealed(), "keys": w.keys.months(), **reader.standing(), "fakes": fakes}


def sentences(document: Mapping[str, Any]) -> Iterator[str]:
    """What the table does not say."""
    sealed = document["sealed"]
    for month in sorted({*document["keys"], *sealed}):
        here = sealed.get(month, {})
        lost = "" if month in document["keys"] else "; ITS KEY IS NOT HERE"
        yield f"Key {month}: {here.get('contacts', 0):,} contacts, {here.get('dead_letters', 0):,} dead letters sealed under it{lost}."
    yield f"{document['settled_not_yet_erased']:,} surveys are settled and wait for their 30 days."
    versions = ", ".join(f"version {version}: {n:,}" for version, n in document["peppers"].items())
    yield f"{document['opted_out']:,} numbers, addresses and persons opted out{f' ({versions})' if versions else ''}."
    for day in document["fakes"]:
        yield f"Fakes reported on {day['day']}: {day['reports']:,}, of {day['texts']:,} kinds."


def completed(w: Wiring, document: dict[str, Any]) -> dict[str, Any]:
    """An export of the ledger with the answers in the store that still can be joined to it."""
    dossiers: Sequence[dict[str, Any]] = document["dossiers"]
    surveys = [d["survey_id"] for d in dossiers if d["answer"] is not None]
    answers, away = _answers(w, surveys)
    for d in dossiers:
        d["about"], d["arms"] = _read(d["about"]), _read(d["arms"])
        d["answers"] = [a for a in answers if a["survey_id"] == d["survey_id"]]
    note = NOTE if away is None else f"{NOTE} The store could not be asked ({away}): the detailed answers are missing. Export again."
    return {"made_at": w.clock.now(), "note": note, "complete": away is None, **document}


def _answers(w: Wiring, surveys: Sequence[str]) -> tuple[list[dict[str, Any]], str | None]:
    if not surveys:
        return [], None
    try:
        with translated("asking ClickHouse"):
            found = w.clickhouse().query(_ANSWERS, parameters={"surveys": list(surveys)})
    except (Retryable, Permanent) as e:
        return [], e.reason
    return [_answer(dict(zip(found.column_names, row, strict=True))) for row in found.result_rows], None


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the store, its moment aware and its answers read."""
    return row | {"counted_at": row["counted_at"].replace(tzinfo=UTC), "answers": _read(row["answers"])}


def _read(text: str) -> Any:
    """JSON of a column; an empty one says nothing (a retraction has no answers)."""
    return json.loads(text or "{}")


def as_text(document: Mapping[str, Any]) -> str:
    """JSON; times local, with offset."""
    return json.dumps(document, ensure_ascii=False, indent=1, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.astimezone(LOCAL) if value.tzinfo else value).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
