"""From measurements to medians and verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import median

from benchmarks.contenders import PEERS
from benchmarks.rows import WHY_NOT, Cell, Cells, Goal, Medians, Metric, Row
from benchmarks.runner import Rounds


def median_cell(measurements: list[Cells], metric: str) -> Cell:
    """Median of the numbers; the last reason when there is none."""
    cells = [cells.get(metric, cells.get(WHY_NOT, "-")) for cells in measurements]
    numbers = [cell for cell in cells if not isinstance(cell, str)]
    return median(numbers) if numbers else cells[-1]


def gaps(row: Row, rounds: Rounds) -> list[str]:
    """Which medians leave out rounds that gave no number, and why those gave none: no failure goes unsaid.

    Metrics that failed alike are told together.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for who, cells in rounds.items():
        for metric in row.metrics:
            reasons = [why for each in cells if isinstance(why := each.get(metric.name, each.get(WHY_NOT, "-")), str)]
            if reasons and len(reasons) < len(cells):
                found.setdefault((who, f"{len(reasons)} of {len(cells)} rounds: {reasons[-1]}"), []).append(metric.name)
    return [f"{row.letter} {who}, {', '.join(names)}: not in {what}" for (who, what), names in found.items()]


def medians_of(rounds: Rounds, metrics: tuple[Metric, ...]) -> dict[str, dict[str, Cell]]:
    """Contender -> metric -> median or reason."""
    names = [metric.name for metric in metrics]
    return {who: {name: median_cell(cells, name) for name in names} for who, cells in rounds.items()}


def numbers_only(cells: dict[str, dict[str, Cell]]) -> Medians:
    """The same without reasons."""
    return {
        who: {name: cell for name, cell in row.items() if not isinstance(cell, str)}
        for who, row in cells.items()
    }


@dataclass(frozen=True)
class Verdict:
    """How ours stands to one goal."""

    metric: Metric
    goal: str
    limit: float | None
    ours: Cell
    peers: tuple[tuple[str, float], ...]  # best first
    then: bool = False  # a second goal

    @property
    def word(self) -> str:
        """'met', by how much not, or why that can't be said."""
        if isinstance(self.ours, str):
            return self.ours
        if self.limit is None:
            return "no peer to compare with"
        high, low = (self.limit, self.ours) if self.metric.better == "more" else (self.ours, self.limit)
        if high <= low:
            return "met"
        return f"{ceil(100 * high / low) / 100:.2f} times off" if low > 0 else "not met"

    @property
    def ratio(self) -> str:
        """Ours to the goal, where both are there."""
        return "" if isinstance(self.ours, str) or not self.limit else f"{self.ours / self.limit:.2f} of it"


def verdicts(row: Row, cells: dict[str, dict[str, Cell]]) -> list[Verdict]:
    """One for each goal of the row, from its medians."""
    medians = numbers_only(cells)
    return [_verdict(row, goal, cells, medians) for goal in row.goals]


def _verdict(row: Row, goal: Goal, cells: dict[str, dict[str, Cell]], medians: Medians) -> Verdict:
    metric = next(metric for metric in row.metrics if metric.name == goal.metric)
    peers = [(who, medians[who][metric.name]) for who in PEERS if metric.name in medians.get(who, {})]
    peers.sort(key=lambda peer: peer[1], reverse=metric.better == "more")
    ours = cells.get("ours", {}).get(metric.name, "not run")
    return Verdict(metric, goal.text, goal.limit(medians), ours, tuple(peers), goal.then)
