"""What it costs to record a result: microseconds per item, row L of the targets.

Run ``python -m benchmarks.recording``; all ways take turns in one run, and the median counts.

==================  ===============================================================================
append              pickled results appended to a plain file, flushed to the system, no flush to disk
sqlite one by one   a bare SQLite table in WAL mode, a commit for each job
run file            ``RunFile`` as the master fills it, commits grouped: at the latest after 5 ms
==================  ===============================================================================
"""

from __future__ import annotations

import argparse
import pickle
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tracking.master.fingerprint import ItemDigests
from tracking.master.record import Record
from tracking.pool.crew import SlaveInfo
from tracking.store.run_file import RunFile

SLAVE = SlaveInfo(1, "node_0", "node")


def append(path: Path, n_items: int, chunk: int) -> None:
    """Append the pickled results of each job."""
    with path.open("ab") as file:
        for first in range(0, n_items, chunk):
            ids = range(first, first + chunk)
            file.write(pickle.dumps((list(ids), [float(i) for i in ids]), 5))
            file.flush()


def one_by_one(path: Path, n_items: int, chunk: int) -> None:
    """Commit each job to a bare table."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE jobs (first INTEGER PRIMARY KEY, payload BLOB)")
    for first in range(0, n_items, chunk):
        payload = pickle.dumps([float(i) for i in range(first, first + chunk)], 5)
        database.execute("INSERT INTO jobs VALUES (?, ?)", (first, payload))
    database.close()


def run_file(path: Path, n_items: int, chunk: int) -> None:
    """Record each job in a run file, with the digests of the values, by the hand of the master."""
    ids = list(range(n_items))
    digests = ItemDigests({i: i for i in ids})
    record = Record(RunFile.open(path, ids, digests=digests), digests)
    for first in range(0, n_items, chunk):
        positions = range(first, first + chunk)
        record.add(ids[first : first + chunk], [float(i) for i in positions], SLAVE, 0.0, positions)
        if record.is_due(time.monotonic(), is_dry=False):
            record.commit(time.monotonic())
            assert not record.problem, record.problem
    record.close("finished")


WAYS: dict[str, Callable[[Path, int, int], None]] = {
    "append": append,
    "sqlite one by one": one_by_one,
    "run file": run_file,
}
TARGETS_US = {1: 10.0, 100: 3.0}


def microseconds(way: Callable[[Path, int, int], None], directory: Path, n_items: int, chunk: int) -> float:
    """Measure one way once: microseconds per item, opening and closing included."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        begun = time.perf_counter()
        way(Path(scratch) / "record", n_items, chunk)
        return (time.perf_counter() - begun) / n_items * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="on which disk")
    options = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {(name, chunk): [] for name in WAYS for chunk in TARGETS_US}
    for _ in range(options.runs):
        for name, chunk in found:
            found[name, chunk].append(microseconds(WAYS[name], options.directory, options.items, chunk))
    print(f"{'us per item, median of ' + str(options.runs):32}{'1 item a job':>14}{'100 a job':>14}")
    for name in WAYS:
        _print_row(name, [statistics.median(found[name, chunk]) for chunk in TARGETS_US])
    _print_row("target of the run file", list(TARGETS_US.values()))


def _print_row(name: str, cells: list[float]) -> None:
    print(f"{name:32}" + "".join(f"{cell:14.2f}" for cell in cells))


if __name__ == "__main__":
    main()
