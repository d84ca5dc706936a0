"""What a call on a grid costs on one host: ``python -m benchmarks.grid``.

Microseconds, 50th and 99th percentile: of a call and its result, and of acquire, call, get and release.
The goal is less than 1,000 at the median; the grids whose interface this is took 85,000 (pipes) and 320,000 (files).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import quantiles

from tracking.grid import Grid

GOAL_US = 1000
TRIPS = 2000


class Adder:
    """What is called."""

    def add(self, a: int, b: int = 0) -> int:
        return a + b


def measured(action: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile in us."""
    for _ in range(50):
        action()
    taken = []
    for _ in range(TRIPS):
        begin = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begin) * 1e6)
    percentiles = quantiles(taken, n=100)
    return percentiles[49], percentiles[98]


def main() -> None:
    with Grid(["localhost"] * 2) as grid:
        service_id = grid.publish(Adder())
        proxy = grid.acquire_service(service_id)

        def one_round() -> None:
            mine = grid.acquire_service(service_id)
            mine.add(1).get()
            grid.release_service(mine)

        rows = {
            "a call and its result": measured(lambda: proxy.add(1, b=2).get()),
            "acquire, call, get, release": measured(one_round),
        }
    for name, (median, late) in rows.items():
        verdict = "met" if median < GOAL_US else "missed"
        print(f"{name}: p50 {median:,.0f} us, p99 {late:,.0f} us (goal: p50 < {GOAL_US:,} us, {verdict})")


if __name__ == "__main__":
    main()
