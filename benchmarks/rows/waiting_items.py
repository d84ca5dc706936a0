"""M: what an item costs the master that only waits, at one slave and at many."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from benchmarks.contenders import SURVIVORS, Contender
from benchmarks.meters import cpu_s
from benchmarks.rows import Cells, Goal, Metric, Row, relative
from benchmarks.rows.many_slaves import start_all
from benchmarks.work import nap

SHORTEST_NAP_S = 0.01
ITEMS_PER_S = 1280  # of all slaves together, at most: they are mostly idle, however many they are
SLAVES = (1, 8, 64, 512)
TOO_MANY = "not 512: see 128"


def waiting_items(contender: Contender, *, seconds: float, most_slaves: int) -> Cells:
    """Microseconds of the master an item, and the share of the naps in the time, for each number of slaves."""
    cells: Cells = {}
    for slaves in SLAVES:
        if slaves <= most_slaves:
            cells |= _at(contender, slaves, seconds)
    return cells


def _at(contender: Contender, slaves: int, seconds: float) -> Cells:
    nap_s = max(SHORTEST_NAP_S, slaves / ITEMS_PER_S)
    naps = max(1, round(seconds / nap_s))
    start_all(contender, slaves)
    work = contender.prepare([nap_s] * (slaves * naps))
    cpu_before, begin = cpu_s(os.getpid()), time.perf_counter()
    assert sum(1 for _ in contender.singly(nap, work)) == slaves * naps
    took_s, used_s = time.perf_counter() - begin, cpu_s(os.getpid()) - cpu_before
    contender.stop()
    return {f"us at {slaves}": used_s / (slaves * naps) * 1e6, f"share at {slaves}": nap_s * naps / took_s}


def _metrics(numbers: Sequence[int]) -> tuple[Metric, ...]:
    return tuple(
        metric for n in numbers for metric in (Metric(f"us at {n}", "less"), Metric(f"share at {n}", "more", 2))
    )


ROWS = (
    Row(
        "M",
        "items that wait, at 1 to 512 slaves",
        waiting_items,
        _metrics(SLAVES),
        (
            Goal("us at 8", "<= 1.3 x that at 1", relative(1.3, "ours", "us at 1")),
            Goal("us at 64", "<= 1.3 x that at 8", relative(1.3, "ours", "us at 8")),
            Goal("us at 512", "<= 1.3 x that at 8", relative(1.3, "ours", "us at 8")),
        ),
        {"seconds": 1.6, "most_slaves": 512},
        {"seconds": 0.1, "most_slaves": 8},
        skipped=dict.fromkeys(("loky", "joblib", *SURVIVORS), TOO_MANY),
    ),
)
