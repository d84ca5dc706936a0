"""What the tests of the store share."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from tracking.store.run_file import JobRecord, RunFile

ROOT = Path(__file__).resolve().parents[2]


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def job(results: dict[Any, Any], nickname: str = "node_0", seconds: float = 0.5) -> JobRecord:
    """A finished job with these results."""
    payload = pickle.dumps(list(results.values()))
    return JobRecord(tuple(results), payload, "node", nickname, 999_000.0, seconds)


def recorded(path: Path, ids: Sequence[Hashable], results: dict[Any, Any]) -> None:
    """Make a run file of an interrupted calculation in which these results are recorded."""
    run = RunFile.open(path, ids)
    run.record(job(results))
    assert run.close("interrupted")


def names(directory: Path) -> list[str]:
    """What is in a directory."""
    return sorted(os.listdir(directory))


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a piece of Python in a process of its own, its output in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def kill(process: subprocess.Popen[str]) -> str:
    """Kill a process (SIGKILL), and give what it had said before."""
    process.kill()
    said, _ = process.communicate()
    return said


OnNetwork = Callable[[Path], bool]


def on_network(path: Path) -> bool:
    """As if every path lay on a network file system."""
    return True
