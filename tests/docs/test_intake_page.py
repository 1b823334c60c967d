"""docs/intake.md tells every field and every reason, and its example is taken."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from hailong.domain.dossier import REASONS, Item, SentContact, parse_item
from hailong.domain.people import Keyed
from hailong.events import DossierClosed

PAGE = (Path(__file__).parents[2] / "docs" / "intake.md").read_text("utf-8")


def test_every_field_and_every_reason_stands_there() -> None:
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert {*Item.__struct_fields__, *SentContact.__struct_fields__} <= told
    assert all(f"| `{reason}` | {said} |" in PAGE for reason, said in REASONS.items())


def test_the_example_is_taken_without_a_note() -> None:
    found = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    heard = datetime(2026, 3, 2, 11, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
    parsed = parse_item(json.loads(found[1]), "one-stop", heard, Keyed(b"k" * 32), "test")
    assert isinstance(parsed.act.fact, DossierClosed)
    assert (parsed.notes, parsed.act.fact.timeliness, parsed.act.contact.phone) == ((), "early", "+84900000001")
