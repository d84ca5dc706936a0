"""I: work that keeps all processors busy, while ours also records and shows its progress."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.contenders import Contender
from benchmarks.rows import Cells, Goal, Metric, Row, fixed, started
from benchmarks.work import burn

BURN_S = 0.01
TIMES = 3  # what other programs of the machine take differs by more than contenders do


def processor_work(contender: Contender, *, items: int, slaves: int) -> Cells:
    """Share of the pure work in the time, with one item a job, and with the contender's own chunks."""
    started(contender, slaves)
    _seconds(contender, 4 * slaves, in_chunks=False)  # once, so that a row measures work and not imports
    pure_s = BURN_S * items / slaves
    singly, chunks = [], []
    for _ in range(TIMES):
        singly.append(_seconds(contender, items, in_chunks=False))
        chunks.append(_seconds(contender, items, in_chunks=True))
    return {"efficiency": pure_s / median(singly), "efficiency auto": pure_s / median(chunks)}


def _seconds(contender: Contender, items: int, *, in_chunks: bool) -> float:
    work = contender.prepare([BURN_S] * items)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        assert sum(1 for _ in contender.watched(burn, work, Path(folder), in_chunks=in_chunks)) == items
        return time.perf_counter() - begin


ROWS = (
    Row(
        "I",
        "400 x 10 ms of processor work, 2 slaves; ours with run file and progress display on",
        processor_work,
        (Metric("efficiency", "more", 3), Metric("efficiency auto", "more", 3)),
        (
            Goal("efficiency", ">= 0.97", fixed(0.97)),
            Goal("efficiency auto", ">= 0.97, automatic chunks", fixed(0.97)),
        ),
        {"items": 400, "slaves": 2},
        {"items": 8, "slaves": 2},
    ),
)
