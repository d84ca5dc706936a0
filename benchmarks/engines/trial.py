"""One trial in a process of its own: `python -m benchmarks.engines.trial ENGINE CONTENDER SLAVES ITEMS FD`.

The outcome goes as one line of JSON to the file descriptor FD.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from benchmarks.engines.crews import Bare, Crew, make
from benchmarks.engines.work import Worker, left, nap
from benchmarks.rows import Cells, without_numbers

FIRST, ALL_UP, WORK, CLOSE = "first s", "all up s", "work s", "close s"
ITEM_S = 0.01
_GONE_S = 30.0
_LOOK_S = 0.01


def measured(crew: Crew | Bare, items: int) -> Cells:
    """Seconds of each part; of a bare command only that to its end."""
    if isinstance(crew, Bare):
        begin = time.monotonic()
        crew.run()
        return {FIRST: time.monotonic() - begin} | dict.fromkeys((ALL_UP, WORK, CLOSE), "-")
    crew.prepare()
    try:
        return _measured(crew, items)
    finally:
        with contextlib.suppress(Exception):
            crew.tidy()


def _measured(crew: Crew, items: int) -> Cells:
    begin = time.monotonic()
    crew.start()
    workers: set[Worker] = set(crew.answers(nap, [0.0]))
    first = time.monotonic()
    while len(workers) < crew.slaves:
        workers |= set(crew.answers(nap, [ITEM_S / 2] * crew.slaves))
    all_up = time.monotonic()
    workers |= set(crew.answers(nap, [ITEM_S] * items))
    worked = time.monotonic()
    crew.close()
    gone = _gone(set() if crew.leaves_workers else workers)
    return {FIRST: first - begin, ALL_UP: all_up - begin, WORK: worked - all_up, CLOSE: gone - worked}


def _gone(workers: set[Worker]) -> float:
    """The time when none is left."""
    end = time.monotonic() + _GONE_S
    while still := left(workers):
        if time.monotonic() > end:
            raise TimeoutError(f"{len(still)} workers are left after {_GONE_S:.0f} s")
        time.sleep(_LOOK_S)
    return time.monotonic()


def main(engine: str, name: str, slaves: str, items: str, descriptor: str) -> None:
    """Measure, and tell."""
    try:
        cells = measured(make(engine, name, int(slaves)), int(items))
    except Exception as exc:
        cells = without_numbers(f"fails: {type(exc).__name__}: {exc}".partition("\n")[0])
    os.write(int(descriptor), json.dumps(cells).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
