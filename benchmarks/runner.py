"""Runs measurements, each in a fresh process with a time limit, in interleaved rounds.

    runner ── Popen ──> benchmarks.measure ──> the contender's workers
      ^  one line of JSON through a pipe │
      └─ a terminal for what they print ─┘

Whatever outlives its measurement becomes a child of the runner, which ends it before the next one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType

from benchmarks.contenders import is_installed
from benchmarks.meters import descendants
from benchmarks.rows import Cells, Row, without_numbers

ROOT = Path(__file__).parent.parent
GRACE_S = 5.0  # for a process to clean up after its measurement
PR_SET_CHILD_SUBREAPER = 36  # see prctl(2)

Rounds = dict[str, list[Cells]]  # contender -> its measurements


def adopt_orphans() -> None:
    """From now on orphans of our measurements become our children instead of those of process 1."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run_rows(
    rows: list[Row], names: list[str], rounds: int, sizes: str, say: Callable[[str], None]
) -> Iterator[tuple[Row, Rounds]]:
    """Measure the rows one after the other; those with one measurement share it. Says how far it is."""
    done: dict[Callable[..., Cells], Rounds] = {}
    steps = len({row.measure for row in rows}) * rounds * len(names)
    begin_s, steps_done = time.monotonic(), count(1)

    def tell(text: str) -> None:
        say(f"[{next(steps_done)} of {steps}, {(time.monotonic() - begin_s) / 60:.1f} min] {text}")

    for row in rows:
        if row.measure not in done:
            done[row.measure] = _interleaved(row, names, rounds, sizes, tell)
        yield row, done[row.measure]


def _interleaved(row: Row, names: list[str], rounds: int, sizes: str, tell: Callable[[str], None]) -> Rounds:
    results: Rounds = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            begin_s = time.monotonic()
            cells = _asked(row, name, sizes, results[name])
            results[name].append(cells)
            tell(f"{row.letter} round {number + 1} {name}, {time.monotonic() - begin_s:.1f} s: {json.dumps(cells)}")
    return results


def _asked(row: Row, name: str, sizes: str, before: list[Cells]) -> Cells:
    """A measurement, or why there is none; what took too long once is not asked again."""
    if not is_installed(name):
        return without_numbers("not installed")
    if name in row.skipped:
        return without_numbers(row.skipped[name])
    if before and before[-1] == took_too_long(row.limit_s):
        return before[-1]
    return measure_apart(row, name, sizes)


def measure_apart(row: Row, name: str, sizes: str) -> Cells:
    """One measurement in a fresh process."""
    return told_apart(["benchmarks.measure", row.letter, name, sizes], row.limit_s)


def took_too_long(limit_s: float) -> Cells:
    """A measurement that was ended."""
    return without_numbers(f"nothing in {limit_s:g} s")


def told_apart(arguments: list[str], limit_s: float, variables: Mapping[str, str] = MappingProxyType({})) -> Cells:
    """What a module told that ran in a fresh process, with a terminal and a folder for temporary files of its own.

    Args:
        arguments: the module, and its arguments; one more says to which file descriptor it tells its line of JSON.
        limit_s: after so many seconds it is ended.
        variables: more of its environment.
    """
    others = set(descendants(os.getpid()))
    outcome, outcome_end = os.pipe()
    screen, terminal = pty.openpty()
    argv = [sys.executable, "-m", *arguments, str(outcome_end)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        child = subprocess.Popen(
            argv, cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal, pass_fds=(outcome_end,),
            env=environment(folder) | dict(variables),
        )  # fmt: skip
        os.close(outcome_end)
        os.close(terminal)
        try:
            line, shown = _first_line(outcome, screen, child, limit_s)
            if line:
                _first_line(outcome, screen, child, GRACE_S)
        finally:
            end_all(child, others)
            os.close(outcome)
            os.close(screen)
    if line:
        cells: Cells = json.loads(line)
        return cells
    return took_too_long(limit_s) if child.returncode == -signal.SIGKILL else without_numbers(_last_words(child, shown))


def environment(folder: str) -> dict[str, str]:
    """That of a user at a terminal: an installed package has its bytecode, so one in a checkout may keep it, too."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    kept["PYTHONPATH"] = str(ROOT)  # or workers that are started anew by some peers do not find the functions
    return kept | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30", "TMPDIR": folder}


def _first_line(
    outcome: int, screen: int, child: subprocess.Popen[bytes], limit_s: float
) -> tuple[bytes, bytes]:
    """(a line from `outcome`; empty when the child ended or the time is over, what the screen showed)."""
    line, shown, end = b"", b"", time.monotonic() + limit_s
    sources = [outcome, screen]
    while not line.endswith(b"\n") and time.monotonic() < end:
        ready = select.select(sources, [], [], 0.05)[0]
        if screen in ready and not (seen := read_some(screen)):
            sources.remove(screen)  # nobody is at the terminal any more
        elif screen in ready:
            shown = (shown + seen)[-4000:]
        if outcome in ready and not (read := read_some(outcome)):
            break
        if outcome in ready:
            line += read
        elif not ready and child.poll() is not None:
            break
    return line, shown


def read_some(descriptor: int) -> bytes:
    with contextlib.suppress(OSError):  # Linux says so when the last one at a terminal has gone
        return os.read(descriptor, 65536)
    return b""


def end_all(child: subprocess.Popen[bytes], others: set[int]) -> None:
    """End the measurement and everything that it left behind; `others` were our descendants before it."""
    if child.poll() is None:
        kill({child.pid, *descendants(child.pid)})
        child.wait()
    end = time.monotonic() + GRACE_S
    while left := set(descendants(os.getpid())) - others:
        if time.monotonic() > end:
            kill(left)
        for pid in left:
            with contextlib.suppress(ChildProcessError):  # the child of one that is still there
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def kill(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _last_words(child: subprocess.Popen[bytes], shown: bytes) -> str:
    last = shown.decode(errors="replace").strip().rpartition("\n")[2]
    return f"fails: exit {child.returncode}: {last}"
