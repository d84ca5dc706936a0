"""L: what recording each result costs."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders import PEERS, Contender, NotOfferedError
from benchmarks.rows import Cell, Cells, Goal, Metric, Row, fixed, started
from benchmarks.work import same

NO_RECORD = "keeps no record"


def recording(contender: Contender, *, single: int, chunked: int, pairs: int, slaves: int) -> Cells:
    """Microseconds an item: the time with a record less the time without, at one and at 100 items a job."""
    started(contender, slaves)
    return {
        "us, one a job": _extra_us(contender, single, 1, pairs),
        "us, 100 a job": _extra_us(contender, chunked, 100, pairs),
    }


def _extra_us(contender: Contender, items: int, items_per_job: int, pairs: int) -> Cell:
    """Median over pairs of runs one after the other, so that a busy minute hits both."""
    work = contender.prepare(range(items))
    try:
        extra = [
            _seconds(contender, work, items_per_job, recorded=True)
            - _seconds(contender, work, items_per_job, recorded=False)
            for _ in range(pairs)
        ]
    except NotOfferedError as exc:
        return str(exc)
    return median(extra) / items * 1e6


def _seconds(contender: Contender, work: Any, items_per_job: int, *, recorded: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        contender.recorded(same, work, items_per_job, Path(folder) / "record" if recorded else None)
        return time.perf_counter() - begin


ROWS = (
    Row(
        "L",
        "recording each result (raw: plain append; joblib: Memory)",
        recording,
        (Metric("us, one a job", "less", 1), Metric("us, 100 a job", "less", 1)),
        (
            Goal("us, one a job", "<= 10", fixed(10)),
            Goal("us, 100 a job", "<= 3", fixed(3)),
        ),
        {"single": 10_000, "chunked": 100_000, "pairs": 5, "slaves": 2},
        {"single": 100, "chunked": 400, "pairs": 1, "slaves": 2},
        skipped=dict.fromkeys((who for who in PEERS if who != "joblib"), NO_RECORD)
        | {"ours+file": "ours has it in this row"},
    ),
)
