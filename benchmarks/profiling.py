"""Where the time goes: our side of a row under cProfile, each thread with a profile of its own."""

from __future__ import annotations

import contextlib
import cProfile
import pstats
import sys
import threading
from typing import Any

from benchmarks.contenders import make
from benchmarks.measure import measured
from benchmarks.rows import Row


def profile(row: Row, sizes: str, functions: int) -> None:
    """Run the row over ours and print the functions in which most time was spent, thread by thread."""
    if sys.version_info >= (3, 12):
        raise RuntimeError("one profile for each thread needs Python 3.11: later ones allow one in all")
    profiles: dict[str, cProfile.Profile] = {}
    threading.setprofile(lambda *_: _begin(profiles))
    contender = make("ours")
    _begin(profiles)
    try:
        cells = measured(row, contender, sizes)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        with contextlib.suppress(Exception):
            contender.stop()
    print(f"{row.letter}  {row.title}: {cells} (profiled, so slower than it is)")
    for name, taken in profiles.items():
        print(f"\n=== thread {name}")
        _print_top(taken, functions)


def _begin(profiles: dict[str, cProfile.Profile]) -> Any:
    """Called in each new thread before its first line."""
    name = f"{threading.current_thread().name} #{len(profiles)}"
    profiles[name] = cProfile.Profile()
    profiles[name].enable()


def _print_top(taken: cProfile.Profile, functions: int) -> None:
    stats = pstats.Stats(taken)
    stats.strip_dirs().sort_stats("tottime").print_stats(functions)
