"""Processor time and memory of a whole process tree, read from Linux' /proc.

`python -m benchmarks.meters PID` samples the memory of a tree from outside (see `PeakMemory`).
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType

SAMPLE_S = 0.02
_SHM = "/dev/shm/"  # noqa: S108 - to be recognized, not written to
_IN_MEMORY = ("/memfd:", _SHM)


def descendants(root: int) -> list[int]:
    """Process ids of all children of a process, their children, and so on."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                stat = (entry / "stat").read_text()
                children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found = children[root]
    for pid in found:  # grows while we walk
        found.extend(children[pid])
    return found


def cpu_s(pid: int) -> float:
    """Processor seconds used so far by all threads of one process (0 when it is gone).

    The number of a process's own clock is made as in Linux' clock_getcpuclockid(3).
    """
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


class CpuMeter:
    """Processor seconds since it was made: of this process, and of it with all its descendants."""

    def __init__(self) -> None:
        self._before = self._read()

    def _read(self) -> dict[int, float]:
        return {pid: cpu_s(pid) for pid in [os.getpid(), *descendants(os.getpid())]}

    def read(self) -> tuple[float, float]:
        """(this process, the whole tree); processes that ended in between do not count."""
        now = self._read()
        used = {pid: seconds - self._before.get(pid, 0.0) for pid, seconds in now.items()}
        return used[os.getpid()], sum(used.values())


def tree_memory_mb(root: int, without: int) -> float:
    """Memory of a process tree: proportional set sizes, and shared memory that it holds but has not mapped.

    What is shared counts once in all; shared memory counts in full, also where only a few of its pages are looked at.
    """
    pids = [pid for pid in [root, *descendants(root)] if pid != without]
    sizes = [_pss_bytes(pid) for pid in pids]
    shared = {file: size for pid in pids for file, size in _shared_files(pid).items()}
    return (sum(own for own, _ in sizes) + max(sum(mapped for _, mapped in sizes), sum(shared.values()))) / 1e6


def _pss_bytes(pid: int) -> tuple[int, int]:
    """(what is not shared memory, what is)."""
    found = {"Pss": 0, "Pss_Shmem": 0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] = int(rest.split()[0]) * 1024
    return found["Pss"] - found["Pss_Shmem"], found["Pss_Shmem"]


def _shared_files(pid: int) -> dict[tuple[int, int], int]:
    """Bytes that each file in memory takes which the process has open, or mapped under a name; by device and inode."""
    paths = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.readlink(entry.path).startswith(_IN_MEMORY):
                    paths.add(entry.path)
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if _SHM in line:
                paths.add(line[line.index(_SHM) :])
    files = {}
    for path in paths:
        with contextlib.suppress(OSError):  # deleted
            stat = os.stat(path)
            files[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return files


class PeakMemory:
    """Samples the memory of this process and its descendants, from a process of its own.

    Used as `with PeakMemory() as memory: ...`; then `memory.beyond_mb` is the peak less what was
    there at the beginning.
    """

    beyond_mb = 0.0

    def __enter__(self) -> PeakMemory:
        argv = [sys.executable, "-m", "benchmarks.meters", str(os.getpid())]
        self._sampler = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._sampler.stdout is not None
        self._baseline_mb = float(self._sampler.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, _e: object, _t: TracebackType | None) -> None:
        peak, _ = self._sampler.communicate("end\n")  # closing is not enough: forked workers hold a copy
        if kind is None:
            self.beyond_mb = float(peak) - self._baseline_mb


def _sample(root: int) -> None:
    """Print the memory now; then, when a line comes, the peak since."""
    peak = tree_memory_mb(root, os.getpid())
    print(peak, flush=True)
    while not select.select([sys.stdin], [], [], SAMPLE_S)[0]:
        peak = max(peak, tree_memory_mb(root, os.getpid()))
    print(peak)


if __name__ == "__main__":
    _sample(int(sys.argv[1]))
