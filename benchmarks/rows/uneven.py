"""J: one worker 50 times slower than the others."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.rows import Cells, Goal, Metric, Row, fixed, started
from benchmarks.work import Errand, slow_in_one_worker


def one_slow_worker(contender: Contender, *, items: int, slaves: int, seconds: float) -> Cells:
    """Seconds with one item a job, and with the contender's own chunks."""
    started(contender, slaves)
    return {
        "s": _timed(contender.singly, contender, items, seconds),
        "s auto": _timed(contender.batched, contender, items, seconds),
    }


def _timed(run: Callable[..., Any], contender: Contender, items: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        work = contender.prepare([Errand(number, seconds, folder) for number in range(items)])
        begin = time.perf_counter()
        assert sorted(run(slow_in_one_worker, work)) == list(range(items))
        return time.perf_counter() - begin


ROWS = (
    Row(
        "J",
        "one worker 50 times slower, 100 x 20 ms over 8",
        one_slow_worker,
        (Metric("s", "less", 2), Metric("s auto", "less", 2)),
        (Goal("s", "<= 0.5", fixed(0.5)), Goal("s auto", "<= 0.5, automatic chunks", fixed(0.5))),
        {"items": 100, "slaves": 8, "seconds": 0.02},
        {"items": 16, "slaves": 4, "seconds": 0.002},
    ),
)
