"""What became of everybody, and AAPOR's rates of it, over closed months: where nothing can come to an end any more that would count."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from dashboard.behind.sources import Asker, Sources, as_of, share_json
from dashboard.view import Question
from hailong.domain.dispositions import NOT_ASKED, Class, Dispositions, Outside, Rates, counted, of_survey, rates
from hailong.domain.scoring import PRIVACY_LIMIT, Filters, Version
from hailong.domain.strata import is_closed
from hailong.domain.succession import Succession

DEFINITIONS: Final = {
    "source": (
        "AAPOR, Standard Definitions, 10th edition (2023): RR1, RR2, COOP1, REF1, CON1. Sample: dossiers that ended in closed months,"
        " eligible and selected by the rules and the draw. Started: the first page was sent; nothing is called opened"
    ),
    "I": "interview: the questionnaire was finished, or a call answered",
    "P": "partial: the first question was answered, no more",
    "R": "refusal: opted out before a message went, wants no such channel, or refused in a call; later opt-outs join no dossier",
    "O": "other: no common language in a call",
    "NC": "no contact: silent, undeliverable, no contact known, or somebody else's number",
    "UO": "unknown: nobody can say whether the message arrived",
    "UH": "nothing was tried: too old, no hour, expired, or erased before",
    "not_eligible": "the rules leave such people or dossiers out, or the dossier goes on",
    "not_selected": "the draw fell on others",
    "open": "asked, and nothing has come to an end yet; in no rate",
    "uninvited": "answers without an invitation (slip, desk, call to who had no message): their dossier counts as decided; in no rate here",
}


@dataclass(frozen=True)
class Gone:
    """``months``: the closed ones of the period that have dossiers. ``rates``: None when the sample has fewer answers than may be shown."""

    months: tuple[str, ...]
    dispositions: Dispositions
    rates: Rates | None
    open: int
    uninvited: int
    question: Question
    version: Version
    seq: int
    counted_at: datetime | None
    asker: Asker

    @property
    def answered(self) -> int:
        return self.dispositions.I + self.dispositions.P


def gone(sources: Sources, question: Question, version: Version, asker: Asker) -> Gone:
    """Of the unit asked for with all below it, else of all the asker may see. Period, unit, field, channel and by are minded; answers by
    every door count here. Raises Retryable, Permanent."""
    filters = replace(question.filters, mode=None, place="away", question=None, level=None, day=None)
    like = sources.nothing(version)
    within = _Within(Succession(sources.figures.registry(version)), filters, asker)
    decided = {key: reasons for key, reasons in sources.strata.decisions(filters, version).items() if within.holds(*key)}
    seen = {key: surveys for key, surveys in sources.strata.surveys(filters, version).items() if within.holds(*key)}
    finals: Counter[Class | Outside] = Counter()
    to_ask = uninvited = invited = still = 0
    for reasons in decided.values():
        to_ask += reasons.get(None, 0)
        for reason, n in reasons.items():
            if reason is not None:
                finals[NOT_ASKED.get(reason, "UH")] += n
    for surveys in seen.values():
        for survey, n in surveys.items():
            if survey.state is None:
                uninvited += n
                continue
            invited += n
            end = of_survey(survey)
            if end is None:
                still += n
            else:
                finals[end] += n
    found = counted(finals)
    enough = found.I + found.P >= PRIVACY_LIMIT
    months = tuple(sorted({month for _, month in (*decided, *seen)}))
    waiting = still + max(0, to_ask - invited)
    return Gone(
        months, found, rates(found) if enough else None, waiting, uninvited, question, version, like.as_of, like.counted_at, asker
    )  # fmt: skip


@dataclass(frozen=True)
class _Within:
    """Units and months that count."""

    maps: Succession
    filters: Filters
    asker: Asker

    def holds(self, unit: str, month: str) -> bool:
        today = self.asker.today
        tops = [top for top in (self.filters.unit, self.asker.scope.unit) if top is not None]
        carried = self.maps.parts(unit, month, today) if tops else ()
        return is_closed(month, today) and all(top in self.maps.chain(part.unit, today) for top in tops for part in carried)


def gone_json(found: Gone) -> dict[str, Any]:
    """``hailong dispositions --json``. Under the privacy limit the classes of who answered, or did not, are left out."""
    f = found.question.filters
    classes = asdict(found.dispositions)
    hide = () if found.rates is not None else ("I", "P", "R", "O", "NC", "UO", "UH")
    shown = found.rates and {name: share_json(getattr(found.rates, name)) for name in RATES}
    return as_of(found.version, found.seq, found.counted_at) | {
        "filters": {"from": f.month_from, "to": f.month_to, "unit": f.unit, "field": f.field, "channel": f.channel, "by": f.by},
        "months": list(found.months),
        "suppressed": found.rates is None,
        "dispositions": {name: None if name in hide else n for name, n in classes.items()},
        "sample": found.dispositions.sample,
        "rates": shown,
        "open": found.open,
        "uninvited": found.uninvited if found.uninvited == 0 or found.uninvited >= PRIVACY_LIMIT else None,
        "definitions": DEFINITIONS,
    }


RATES: Final = ("rr1", "rr2", "coop1", "ref1", "con1")
