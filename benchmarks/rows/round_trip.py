"""D: how long one item takes there and back when nothing else goes on."""

from __future__ import annotations

import time
from statistics import quantiles

from benchmarks.contenders import Contender
from benchmarks.rows import Cells, Goal, Metric, Row, fixed, relative, started
from benchmarks.work import same


def round_trips(contender: Contender, *, trips: int, slaves: int, longest_s: float) -> Cells:
    """Median and 99th percentile, in us; slow contenders make fewer trips, so that a round ends."""
    started(contender, slaves)
    for number in range(20):
        contender.call(same, number)
    taken: list[float] = []
    end = time.perf_counter() + longest_s
    while len(taken) < trips and time.perf_counter() < end:
        begin = time.perf_counter()
        contender.call(same, 1)
        taken.append(time.perf_counter() - begin)
    percentiles = quantiles(taken, n=100)
    return {"p50 us": percentiles[49] * 1e6, "p99 us": percentiles[98] * 1e6}


ROWS = (
    Row(
        "D",
        "round trip of one item",
        round_trips,
        (Metric("p50 us", "less"), Metric("p99 us", "less")),
        (
            Goal("p50 us", "<= pebble", relative(1, "pebble", "p50 us")),
            Goal("p99 us", "<= pebble", relative(1, "pebble", "p99 us")),
            Goal("p50 us", "<= 100", fixed(100), then=True),
            Goal("p99 us", "<= 250", fixed(250), then=True),
        ),
        {"trips": 2000, "slaves": 2, "longest_s": 5},
        {"trips": 20, "slaves": 2, "longest_s": 2},
        skipped=dict.fromkeys(("ours+file", "ours+progress"), "a single call has none"),
    ),
)
