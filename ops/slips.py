"""Slips, stickers and posters as PDF: pages are typst templates in ``slip_pages``, which say what stands on them. Binding a slip by hand.

The codes go from here onto paper and nowhere else. A file names neither a path nor a user, and is the same for the same codes and day.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, Literal

import segno
import typst

from hailong.domain import slips
from hailong.ports import Permanent, Publisher, Retryable
from ops.keyboard import at_the_keyboard
from sinks.ledger import Ledger
from sinks.ledger.slips import Binding
from surveys.wording import Office
from web.pages import DEFAULT

PAGES: Final = Path(__file__).parent / "slip_pages"
ENTRY: Final = "code"
"""Where a code is typed, on the survey site."""
VERIFY: Final = "verify"
MOST: Final = 1_000
"""Slips in one file: as many pages take half a gigabyte to set."""
LABELS: Final = 24
"""Stickers on a sheet."""
_TRIES: Final = 20
_FONTS: Final = typst.Fonts(include_system_fonts=False)
"""Typst's own: paper looks the same wherever it is made."""
STANDARD: Final = "ua-1"
"""PDF/UA-1 (ISO 14289-1): tagged, with title and language, so that a screen reader can read it; typst refuses what falls short."""
Kind = Literal["slip", "sticker", "poster"]


@dataclass(frozen=True)
class Imprint:
    """What stands on every piece of a batch. ``unit``: name of the desk, or None; ``batch``: its id, in small print."""

    office: Office
    survey_url: str
    unit: str | None
    batch: str
    day: date

    def address(self, page: str) -> str:
        """A page of the survey site, as a QR code leads to it."""
        return f"{self.survey_url.rstrip('/')}/{page}"

    def to_type(self, page: str) -> str:
        """The same as people type it."""
        return self.address(page).partition("://")[2]


def new_codes(n: int, random: Callable[[int], bytes], taken: Callable[[Sequence[str]], set[str]]) -> list[str]:
    """``n`` codes, none twice and none that is ``taken`` (gives those of some codes that are). ``random``: bytes, so many."""
    found: dict[str, None] = {}
    for _ in range(_TRIES):
        fresh = [slips.new_code(random(slips.RANDOM_BYTES)) for _ in range(n - len(found))]
        gone = taken(fresh)
        found |= dict.fromkeys(code for code in fresh if code not in gone)
        if len(found) == n:
            return list(found)
    raise ValueError(f"{n} new codes were not found in {_TRIES} tries: the randomness repeats itself. Check the machine's random source.")


def printed(kind: Kind, codes: Sequence[str], imprint: Imprint) -> bytes:
    """The PDF: a slip a page, ``LABELS`` stickers a page, or the poster, which takes no codes (ValueError)."""
    on = datetime.combine(imprint.day, time(), UTC)
    made: bytes = typst.compile(
        str(PAGES / f"{kind}.typ"), **handed(kind, codes, imprint), format="pdf", pdf_standards=STANDARD, timestamp=on
    )  # fmt: skip
    return made


def pages(kind: Kind, n: int) -> int:
    """How many sheets ``n`` codes take."""
    return {"slip": n, "sticker": -(-n // LABELS), "poster": 1}[kind]


def handed(kind: Kind, codes: Sequence[str], imprint: Imprint) -> dict[str, Any]:
    """What typst is handed with a template. Raises ValueError as ``said`` does."""
    filled = json.dumps(said(kind, codes, imprint))
    return {"root": str(PAGES), "font_paths": _FONTS, "ignore_system_fonts": True, "sys_inputs": {"said": filled}}


def said(kind: Kind, codes: Sequence[str], imprint: Imprint) -> dict[str, Any]:
    """What a template is filled with. Raises ValueError: a poster with codes, anything else without, too many."""
    if bool(codes) == (kind == "poster") or len(codes) > MOST:
        raise ValueError(f"{len(codes)} codes on a {kind}: a poster takes none, everything else 1 to {MOST}.")
    every = {
        "office": imprint.office.name[DEFAULT], "brand": imprint.office.brand, "hotline": imprint.office.hotline, "unit": imprint.unit,
        "batch": imprint.batch, "entry": imprint.to_type(ENTRY), "verify": imprint.to_type(VERIFY),
    }  # fmt: skip
    if kind == "poster":
        entry = imprint.address(ENTRY)
        return every | {"entry_address": entry, "square": square(entry)}
    return every | {"slips": [_slip(code, imprint.address(code)) for code in codes]}


def _slip(code: str, address: str) -> dict[str, str]:
    return {"code": code, "shown": slips.shown(code), "address": address, "square": square(address)}


def square(address: str) -> str:
    """A QR code that stands a scratch (a seventh of it may be unreadable), as SVG without an edge."""
    out = io.BytesIO()
    segno.make(address, error="m", micro=False).save(out, kind="svg", border=0, xmldecl=False, omitsize=True, nl=False)
    return out.getvalue().decode()


def bound(ledger: Ledger, publisher: Publisher, code: str, dossier_ref: str, now: datetime) -> tuple[Binding, str | None]:
    """Bind a slip; what came in by it is in the log before this returns, so that no later answer of the dossier overtakes it.

    What became of it, and why the log did not take that: then it stays in the outbox of ``ledger``, which the timer empties once this
    process is gone. Raises Invalid as ``bind_slip`` does, Retryable when the ledger is away.
    """
    with ledger.begin() as tx:
        became = tx.bind_slip(code, dossier_ref, now)
        if became == "bound":
            tx.audited(at_the_keyboard(), "slip_bound", f"dossier:{dossier_ref}", {"door": "command"})
    if not tx.written:
        return became, None
    try:
        publisher.publish([row.record for row in tx.written])
    except (Retryable, Permanent) as e:
        return became, e.reason
    ledger.published([row.id for row in tx.written])
    return became, None
