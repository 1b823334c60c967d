"""Which role reads which topics (design: the table of facts)."""

from __future__ import annotations

from typing import Final

from hailong.events import TOPICS

SUBSCRIBES: Final[dict[str, tuple[str, ...]]] = {
    "decide": ("dossier.closed.v1", "dossier.reopened.v1"),
    "send": ("survey.decided.v1", "alert.changed.v1", "case.changed.v1"),
    "count": ("survey.answered.v1", "unit.changed.v1", "target.changed.v1", "alert.changed.v1"),
    "judge": ("survey.counted.v1",),
    "archive": tuple(t.name for t in TOPICS if t.name != "survey.answered.v1"),
}
ROLES: Final = (*SUBSCRIBES, "timer")
