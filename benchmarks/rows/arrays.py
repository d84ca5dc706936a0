"""E: large arrays in and out."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contenders import PEERS, Contender
from benchmarks.rows import Cells, Goal, Metric, Row, best_peer, started
from benchmarks.work import fresh_copy


def in_and_out(contender: Contender, *, arrays: int, megabytes: float, slaves: int) -> Cells:
    """MB/s one way; each array is another, each result is new, and all results are kept."""
    started(contender, slaves)
    length = int(megabytes * 1e6 / 8)
    list(contender.singly(fresh_copy, contender.prepare([np.zeros(length)] * slaves)))
    work = contender.prepare([np.full(length, float(number)) for number in range(arrays)])
    begin = time.perf_counter()
    results = list(contender.singly(fresh_copy, work))
    seconds = time.perf_counter() - begin
    assert sorted(float(result[-1]) for result in results) == list(range(arrays))
    return {"MB/s": arrays * megabytes / seconds}


ROWS = (
    Row(
        "E",
        "8 MB arrays in and out, one way",
        in_and_out,
        (Metric("MB/s", "more"),),
        (
            Goal("MB/s", ">= every peer here", best_peer(1, "MB/s", PEERS)),
            Goal("MB/s", "1.5 x", best_peer(1.5, "MB/s", PEERS), then=True),
        ),
        {"arrays": 50, "megabytes": 8, "slaves": 2},
        {"arrays": 4, "megabytes": 1, "slaves": 2},
    ),
)
