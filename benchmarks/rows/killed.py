"""K: a worker killed half-way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.rows import Cells, Goal, Metric, Row, fixed, started
from benchmarks.work import Errand, dies_once


def killed_half_way(contender: Contender, *, items: int, slaves: int, seconds: float) -> Cells:
    """Seconds without and with a death, items redone; a contender that loses items says how many."""
    started(contender, slaves)
    with tempfile.TemporaryDirectory() as folder:
        work = contender.prepare([Errand(number, seconds, folder) for number in range(items)])
        undisturbed_s, _ = _timed(contender, work)
        runs = Path(folder) / "runs"
        runs.unlink()
        (Path(folder) / f"kill-{items // 2}").touch()
        killed_s, trouble = _timed(contender, work)
        redone = runs.stat().st_size - items
    if trouble is not None:
        return {"undisturbed s": undisturbed_s, "s": f"{trouble} after {killed_s:.2f} s"}
    return {"undisturbed s": undisturbed_s, "s": killed_s, "redone": redone}


def _timed(contender: Contender, work: Any) -> tuple[float, str | None]:
    """Seconds, and what was not right."""
    begin = time.perf_counter()
    results: list[int] = []
    error = ""
    try:
        error = _collect(contender.singly(dies_once, work), results)
    except Exception as exc:
        error = type(exc).__name__
    seconds = time.perf_counter() - begin
    right = len(set(results))
    return seconds, None if right == len(work) else f"{right} of {len(work)} ({error})"


def _collect(answers: Iterable[int], results: list[int]) -> str:
    """All results that come, also after an error where the contender goes on; the last error."""
    iterator, error = iter(answers), "no error"
    while True:
        try:
            results.append(next(iterator))
        except StopIteration:
            return error
        except Exception as exc:
            error = type(exc).__name__


ROWS = (
    Row(
        "K",
        "a worker killed half-way through 200 x 20 ms over 4",
        killed_half_way,
        (Metric("s", "less", 2), Metric("undisturbed s", "less", 2), Metric("redone", "less")),
        (
            Goal("s", "<= 1.15, all items right", fixed(1.15)),
            Goal("redone", "<= 1 job redone", fixed(1)),
        ),
        {"items": 200, "slaves": 4, "seconds": 0.02},
        {"items": 200, "slaves": 4, "seconds": 0.002},
        limit_s=25,
        skipped={"raw": "knows no faults"},
    ),
)
