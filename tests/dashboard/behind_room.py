"""Strata that stand still, the figures they add up to, and a province of them worth looking at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from dashboard.behind import Sources
from hailong.domain.dispositions import Seen
from hailong.domain.scoring import Counts, Figures, Filters, Version
from hailong.domain.shadow import Totals
from hailong.domain.strata import Cell, Strata, later
from hailong.domain.units import Registry, Targets
from hailong.events import NATION, ReferenceStated
from tests.clickhouse.facts import unit as registered
from tests.dashboard.room import DISTRICT, START, Settled

AT: Version = {"survey.counted.v1": {0: 42}}
SIPAS = ReferenceStated(
    event_id="r", registry_id="test", series="sipas-from-2022", unit=NATION, period="2024", value=83.94, scale="percent", n=36525,
    source="Bộ Nội vụ", seq=1,
)  # fmt: skip


def said(satisfied: int, n: int, ended: int = 0) -> Counts:
    return Counts((n - satisfied, 0, 0, 0, satisfied), ended=ended)


@dataclass
class Still(Settled):
    """Strata that stand still, and the figures they add up to."""

    cells: Mapping[Cell, Counts] = field(default_factory=dict)
    rows: Registry = field(default_factory=lambda: Registry(DISTRICT))
    decided: Mapping[tuple[str, str], Mapping[str | None, int]] = field(default_factory=dict)
    seen: Mapping[tuple[str, str], Mapping[Seen, int]] = field(default_factory=dict)
    portal: Mapping[tuple[str, str], Totals] = field(default_factory=dict)

    def version(self) -> Version:
        return AT

    def figures(self, filters: Filters, version: Version | None = None) -> Figures:
        found: dict[tuple[str, str], Counts] = {}
        for (unit, month, of_field, _), counts in self.cells.items():
            if filters.field in (None, of_field):
                found[unit, month] = found.get((unit, month), Counts()) + counts
        return Figures(41, AT, START, found)

    def as_of(self, version: Version) -> tuple[int, datetime | None]:
        return 41, START

    def registry(self, version: Version | None = None) -> Registry:
        return self.rows

    def targets(self, version: Version | None = None) -> Targets:
        return Targets(0.9)

    def strata(self, filters: Filters, version: Version, *, by_month: bool) -> Strata:
        cells = {key: counts for key, counts in self.cells.items() if filters.holds(key[1]) and filters.field in (None, key[2])}
        return Strata(cells)

    def decisions(self, filters: Filters, version: Version) -> Mapping[tuple[str, str], Mapping[str | None, int]]:
        return self.decided

    def surveys(self, filters: Filters, version: Version) -> Mapping[tuple[str, str], Mapping[Seen, int]]:
        return self.seen

    def totals(self, version: Version | None = None) -> Mapping[tuple[str, str], Totals]:
        return self.portal

    def references(self, version: Version | None = None) -> list[ReferenceStated]:
        return [SIPAS]

    @property
    def sources(self) -> Sources:
        return Sources(self, self, self)


COMMUNES = (
    "Thượng Cốc", "Mường Thàng", "Tân Hòa", "Quyết Thắng", "Ngọc Sơn", "Nhân Nghĩa", "Đại Đồng", "Yên Phú", "Lạc Sơn", "Mường Vang",
    "Hang Kia", "Pà Cò",
)  # fmt: skip
FEW = (2, 11)
"""Of the communes, those that hardly speak. The second has fallen; of the tenth all say the same."""


def province(months: int = 39, first: str = "2023-01") -> Still:
    """Twelve communes over ``months``: one that fell a year before the end, two with few answers, one where all say the same."""
    random, cells = Random(4), dict[Cell, Counts]()
    codes = [f"C{i:02d}" for i in range(1, len(COMMUNES) + 1)]
    for n, code in enumerate(codes):
        for i in range(months):
            month = later(first, i)
            share = 0.70 if n == 1 and i >= months - 12 else 0.84 + 0.01 * (n % 5) + 0.0006 * i
            for of_field, part, harder in (("civil", 5, 0.03), ("land", 3, -0.08), ("social", 2, 0.0)):
                for channel, more in (("counter", 1), ("online", 2)):
                    size = part * more * (1 if n == 9 else 6 if n == 0 else 3)
                    answers = 0 if n in FEW and i < months - 1 else size // 4 if n in FEW else random.randint(size // 2, size)
                    good = sum(random.random() < share + harder for _ in range(answers))
                    good = answers if n == 9 else good
                    cells[code, month, of_field, channel] = said(good, answers, 6 * size)
    rows = [registered("D1", "Huyện Lạc Sơn", level="district")] + [
        registered(code, f"Xã {name}", "D1") for code, name in zip(codes, COMMUNES, strict=True)
    ]
    reached = {Seen("delivered"): 612, Seen("delivered", doing=("finished",)): 190, Seen("delivered", doing=("started",)): 74}
    seen = reached | {Seen("unknown"): 9, Seen("failed"): 41, Seen("due"): 3, Seen("delivered", call="refused"): 5}
    seen |= {Seen(doing=("started",)): 22}
    decided: dict[str | None, int] = {None: 940, "no_contact": 120, "opted_out": 14, "sampled_out": 75, "test": 2, "no_hour": 3}
    month = later(first, months - 4)
    totals = {("D1", later(first, months - 1 - i)): Totals(900, 800, 23, 6, 9) for i in range(3)}
    return Still(cells, Registry(rows), {("C01", month): decided}, {("C01", month): seen}, totals)
