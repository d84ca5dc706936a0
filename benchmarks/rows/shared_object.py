"""F: one large object that every item needs."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contenders import Contender
from benchmarks.meters import PeakMemory
from benchmarks.rows import Cells, Goal, Limit, Medians, Metric, Row, fixed
from benchmarks.work import LookUp

MEGABYTES = 400


def shared_object(contender: Contender, *, megabytes: float, tasks: int, slaves: int) -> Cells:
    """Seconds with the start; then, in a run of its own, the memory beyond the user's object.

    The second run pauses in each task, so that also the quickest is seen by the sampler.
    """
    thing = np.arange(int(megabytes * 1e6 / 8), dtype=np.float64)
    begin = time.perf_counter()
    _look_up_all(contender, thing, tasks, slaves, 0.0)
    seconds = time.perf_counter() - begin
    contender.stop()
    with PeakMemory() as memory:
        _look_up_all(contender, thing, tasks, slaves, 0.005)
    begin = time.perf_counter()
    thing.copy()
    return {"s": seconds, "MB beyond": memory.beyond_mb, "copy s": time.perf_counter() - begin}


def _look_up_all(contender: Contender, thing: np.ndarray, tasks: int, slaves: int, pause_s: float) -> None:
    indices = range(0, len(thing), len(thing) // tasks)[:tasks]
    found = contender.shared(thing, slaves, [LookUp(index, pause_s) for index in indices])
    assert sorted(found) == [float(index) for index in indices]


def _copy_and(extra_s: float) -> Limit:
    def limit(medians: Medians) -> float | None:
        copy_s = medians.get("ours", {}).get("copy s")
        return None if copy_s is None else copy_s + extra_s

    return limit


ROWS = (
    Row(
        "F",
        "one 400 MB object for 200 tasks, start included",
        shared_object,
        (Metric("s", "less", 2), Metric("MB beyond", "less"), Metric("copy s", "less", 2)),
        (
            Goal("s", "<= one plain copy + 0.25 s", _copy_and(0.25)),
            Goal("MB beyond", "<= one copy a host + 50", fixed(MEGABYTES + 50)),
        ),
        {"megabytes": MEGABYTES, "tasks": 200, "slaves": 2},
        {"megabytes": 4, "tasks": 8, "slaves": 2},
    ),
)
