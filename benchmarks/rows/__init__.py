"""What is measured: each row of the table of targets, by its letter."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.contenders import Contender

Cell = float | str  # a number, or why there is none
Cells = dict[str, Cell]  # one measurement: metric -> cell
WHY_NOT = "why not"  # stands for every metric of a measurement that gave no numbers
Medians = Mapping[str, Mapping[str, float]]  # contender -> metric -> median, numbers only
Limit = Callable[[Medians], float | None]  # None: what it is compared with is not there


@dataclass(frozen=True)
class Metric:
    """One number of a row; `decimals` as shown."""

    name: str
    better: Literal["more", "less"]
    decimals: int = 0


@dataclass(frozen=True)
class Goal:
    """What ours must reach in one metric; `then`: what comes after the first goal."""

    metric: str
    text: str
    limit: Limit
    then: bool = False


@dataclass(frozen=True)
class Row:
    """One row: how a contender is measured, what comes out, and what ours must reach.

    `measure` gets a fresh contender and the sizes by name, in a process of its own.
    """

    letter: str
    title: str
    measure: Callable[..., Cells]
    metrics: tuple[Metric, ...]
    goals: tuple[Goal, ...]
    full: Mapping[str, float]
    quick: Mapping[str, float]
    limit_s: float = 60
    skipped: Mapping[str, str] = field(default_factory=dict)  # contender -> why it is not asked


def without_numbers(reason: str) -> Cells:
    """A measurement that failed as a whole."""
    return {WHY_NOT: reason}


def fixed(limit: float) -> Limit:
    """A limit that does not depend on anybody."""
    return lambda _: limit


def relative(factor: float, contender: str, metric: str) -> Limit:
    """So many times what a contender reached in this run."""

    def limit(medians: Medians) -> float | None:
        value = medians.get(contender, {}).get(metric)
        return None if value is None else factor * value

    return limit


def best_peer(factor: float, metric: str, peers: tuple[str, ...]) -> Limit:
    """So many times the largest that one of the peers reached in this run."""

    def limit(medians: Medians) -> float | None:
        values = [cells[metric] for name, cells in medians.items() if name in peers and metric in cells]
        return factor * max(values) if values else None

    return limit


def started(contender: Contender, slaves: int) -> None:
    """Start, and have each slave do something, so that a row measures work and not the start."""
    from benchmarks.work import nap

    contender.start(slaves)
    list(contender.singly(nap, contender.prepare([0.002] * (4 * slaves))))


_MODULES = ("tiny_items", "round_trip", "arrays", "shared_object", "first_result", "many_slaves",
            "processor_work", "uneven", "killed", "recording", "waiting_items")  # fmt: skip


def all_rows() -> dict[str, Row]:
    """All rows, in the order of their letters."""
    modules = [importlib.import_module(f"{__name__}.{module}") for module in _MODULES]
    rows = {row.letter: row for module in modules for row in module.ROWS}
    return dict(sorted(rows.items()))
