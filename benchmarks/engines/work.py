"""What workers do, and how to find their processes from here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Worker(NamedTuple):
    """A process, also one with process numbers of its own: its namespace (an inode) and its number in there."""

    namespace: int
    pid: int


def nap(seconds: float) -> Worker:
    """Sleep, and say who did."""
    time.sleep(seconds)
    return Worker(os.stat("/proc/self/ns/pid").st_ino, os.getpid())


def left(workers: Iterable[Worker]) -> set[Worker]:
    """Those that are still there, as far as they are on this machine; zombies have gone."""
    wanted = set(workers)
    found: set[Worker] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            worker = Worker((process / "ns" / "pid").stat().st_ino, _number_in_there(status))
        except (OSError, IndexError):
            continue  # it has just ended
        if worker in wanted and "\nState:\tZ" not in status:
            found.add(worker)
    return found


def _number_in_there(status: str) -> int:
    return int(status.partition("\nNSpid:")[2].partition("\n")[0].split()[-1])
