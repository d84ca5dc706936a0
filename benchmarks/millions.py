"""Ten million items through the real master in one run, with the run file on and no results kept in memory.

Run `python -m benchmarks.millions --items 10_000_000`. Each line is a process of its own:

==================  ===========================================================================
lazy                data made when it is needed: `LazyMapping` over a range
iterator            taken from a generator: `IteratorMapping`
dict                a plain dict {0: 0.0, 1: 1.0, ...}
..., killed         the same, which kills itself (SIGKILL) when half of the results are there
..., resumed        goes on with what that has left; all digests of values are compared
==================  ===========================================================================

`start` is from `start()` until the first slave is ready and gets its first new job; `run` from there to the end;
`peak` the largest resident memory of the master (VmHWM), `beyond` that beyond what it had with its data before
`start()`, for each item; `file` the size of the run file with its companions. `read`: to read one result by
its id, and all of them, from the file after the end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracking import IteratorMapping, LazyMapping, TrackingJobMaster

MB = 1e6
FORMS = ("lazy", "iterator", "dict")


def half(value: float) -> float:
    """The work: as good as none."""
    return value / 2


def memory_bytes(name: str) -> int:
    """What Linux says of this process's memory: 'VmHWM', the peak, or 'VmRSS', now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class Watched(TrackingJobMaster):
    """Notes when its first slave gets its first job."""

    first_job_at = 0.0

    def initializationDone(self, slave_tid: int) -> None:
        """Note it."""
        self.first_job_at = self.first_job_at or time.perf_counter()


class Doomed(Watched):
    """Kills itself when half of the results are there."""

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        """Look whether it is time to."""
        if 2 * len(self.result) >= len(self.data):
            print(json.dumps({"peak_mb": memory_bytes("VmHWM") / MB}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def data_of(form: str, n_items: int) -> Mapping[int, float]:
    """The items in one of the forms."""
    if form == "lazy":
        return LazyMapping(range(n_items), float)
    if form == "iterator":
        return IteratorMapping((float(n) for n in range(n_items)), n_items)
    return {n: float(n) for n in range(n_items)}


def work(form: str, n_items: int, path: Path, *, slaves: int, dies: bool) -> dict[str, Any]:
    """Run the calculation in this process, and tell what it took."""
    data = data_of(form, n_items)
    before = memory_bytes("VmRSS")
    master = (Doomed if dies else Watched)(
        data, "auto", slaves, {"default": 0}, function=half, verbose=0, run_file=path, keep_results=False
    )
    begun = time.perf_counter()
    result = master.calculateResult()
    ended = time.perf_counter()
    assert len(result) == n_items
    peak = memory_bytes("VmHWM")
    return {
        "start_s": master.first_job_at - begun,
        "run_s": ended - master.first_job_at,
        "peak_mb": peak / MB,
        "beyond_bytes": (peak - before) / n_items,
        **_reading(result),
    }


def _reading(result: Mapping[int, float]) -> dict[str, float]:
    begun = time.perf_counter()
    assert result[len(result) // 3] == len(result) // 3 / 2
    one = time.perf_counter()
    assert sum(result.values()) == len(result) * (len(result) - 1) / 4
    return {"one_ms": 1000 * (one - begun), "all_s": time.perf_counter() - one}


def in_a_process(form: str, options: argparse.Namespace, path: Path, *, dies: bool = False) -> dict[str, Any]:
    """Do the same in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.millions", f"--items={options.items}", f"--slaves={options.slaves}"]
    argv += [f"--one={form}", f"--run-file={path}", *(["--dies"] if dies else [])]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=not dies)
    if done.returncode != (-signal.SIGKILL if dies else 0):
        raise RuntimeError(f"it ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"file_mb": sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) / MB}


COLUMNS = {
    "start_s": ("start s", ".2f"),
    "run_s": ("run s", ".1f"),
    "us_an_item": ("us an item", ".2f"),
    "peak_mb": ("peak MB", ".0f"),
    "beyond_bytes": ("B beyond", ".1f"),
    "file_mb": ("file MB", ".1f"),
    "one_ms": ("read 1 ms", ".1f"),
    "all_s": ("read all s", ".1f"),
}


def show(name: str, found: dict[str, Any]) -> None:
    """One line of the table."""
    cells = [f"{found[key]:{form}}" if key in found else "" for key, (_, form) in COLUMNS.items()]
    print(f"{name:16}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def compare(options: argparse.Namespace) -> None:
    """Print the table."""
    print(f"{options.items:_} items, {options.slaves} slaves, jobs of automatic size\n{'':16}", end="")
    print("".join(f"{title:>12}" for title, _ in COLUMNS.values()), flush=True)
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        for form in options.forms.split(","):
            whole = in_a_process(form, options, Path(scratch) / f"{form}.run")
            show(form, whole | {"us_an_item": 1e6 * (whole["start_s"] + whole["run_s"]) / options.items})
            path = Path(scratch) / f"{form}-resumed.run"
            show(f"{form}, killed", in_a_process(form, options, path, dies=True))
            show(f"{form}, resumed", in_a_process(form, options, path))


def main() -> None:
    """Read the options, and do it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.millions", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--slaves", type=int, default=2)
    parser.add_argument("--forms", default=",".join(FORMS), help="of the data")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="on which disk")
    for name in ("--one", "--run-file"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--dies", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        path = Path(options.run_file)
        print(json.dumps(work(options.one, options.items, path, slaves=options.slaves, dies=options.dies)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
