"""G: from the start of the interpreter to the first result."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import TextIO

from benchmarks.contenders import Contender
from benchmarks.meters import descendants
from benchmarks.rows import Cell, Cells, Goal, Metric, Row, fixed

LIMIT_S = 20.0  # for one start
LONGEST_S = 4.0  # for all starts: slow contenders make fewer, but two


def first_result(contender: Contender, *, starts: int) -> Cells:
    """Seconds until the first result of a new interpreter; median of some, after one that fills caches."""
    return {kind: _median_of(contender.name, kind, starts) for kind in ("s by name", "s by value")}


def _median_of(name: str, kind: str, starts: int) -> Cell:
    taken: list[float] = []
    while len(taken) < starts + 1 and (len(taken) < 2 or sum(taken) < LONGEST_S):
        with tempfile.TemporaryFile("w+") as shown:
            begin_s = time.monotonic()
            ended = _run([sys.executable, "-m", "benchmarks.first", name, kind], shown)
            shown.seek(0)
            text = shown.read().strip()
        if ended != 0:
            return f"nothing in {LIMIT_S:.0f} s" if ended is None else "fails: " + _without_module(text)
        found = re.search(r"first: ([\d.]+)", text)
        assert found, text
        taken.append(float(found[1]) - begin_s)
    return median(taken[1:])


def _run(argv: list[str], shown: TextIO) -> int | None:
    """Exit status, None when it hangs; output goes to a file, as workers left behind keep a pipe open."""
    with subprocess.Popen(argv, stdout=shown, stderr=shown) as process:
        try:
            return process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            for pid in [*descendants(process.pid), process.pid]:
                os.kill(pid, signal.SIGKILL)
            return None


def _without_module(shown: str) -> str:
    kind, colon, text = shown.rpartition("\n")[2].partition(":")
    return kind.rpartition(".")[2] + colon + text


ROWS = (
    Row(
        "G",
        "interpreter start to first result",
        first_result,
        (Metric("s by name", "less", 3), Metric("s by value", "less", 3)),
        (
            Goal("s by name", "<= 0.2", fixed(0.2)),
            Goal("s by name", "<= 0.12", fixed(0.12), then=True),
            Goal("s by value", "<= 0.18", fixed(0.18), then=True),
        ),
        {"starts": 5},
        {"starts": 1},
    ),
)
