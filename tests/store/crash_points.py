"""Kills the writer of a run file at one moment after another, and looks each time whether the file is right.

Run ``python -m tests.store.crash_points DIRECTORY STRIDE WAY ...``: prints {way: number of kills} as JSON, or what went
wrong; the way ``torn`` prints {damage: number of files}.
A process of its own, since it forks: one child writes and is killed, the next one goes on with what is there.

==========  ======================================================================================================
lines       before each line of Python in the store: opening, locking, committing, closing
statements  before each SQL statement
steps       at instructions of SQLite's virtual machine, within statements
bytes       within a write to the disk: the limit of file sizes (SIGXFSZ) cuts it, at every 512 bytes of the files
==========  ======================================================================================================

Every way is taken with four beginnings (a new file, one to go on with, one of version 1, one whose code has changed)
and with both journals (local, network).
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from tests.data.make_samples import IDS as OLD_IDS
from tests.data.make_samples import RESULTS as OLD_RESULTS
from tracking.errors import StoreError
from tracking.store import opening, run_file
from tracking.store.run_file import JobRecord, RunFile, RunFileReader

SAMPLE = Path(__file__).parents[1] / "data" / "v1.run"
IDS = [*range(12)]
SIZES = (10, 3000, 700, 9000)  # of results; pages have 4096 bytes
STORE = str(Path(run_file.__file__).parent)
N_STEPS = 20  # instructions of SQLite between two points
N_BYTES = 512
PAGE = 4096

Spot = Callable[[], None]


def result(id: Any, code: str) -> Any:
    """What an item gives."""
    return id, code, "x" * SIZES[sum(str(id).encode()) % len(SIZES)]


class Case:
    """One beginning with one journal: what was there, and what the file may hold after a kill.

    Args:
        name: of the beginning.
        path: of the file.
        network: use the slower journal.
    """

    def __init__(self, name: str, path: Path, network: bool) -> None:
        self.name, self.path, self.network = name, path, network
        self.code = "c2" if name == "recompute" else "c1"
        self.ids: list[Any] = list(OLD_IDS) if name == "upgrade" else IDS
        self.before: dict[Any, Any] = {}

    def prepare(self) -> None:
        """Make the file as it is before the writer comes."""
        if self.name == "upgrade":
            shutil.copy(SAMPLE, self.path)
            self.path.chmod(0o600)
            self.before = dict(OLD_RESULTS)
        elif self.name != "new":
            run = RunFile.open(self.path, IDS, code="c1")
            for first in (0, 4):
                self.before |= self.record(run, [*range(first, first + 4)], "c1")
            run.close("interrupted")

    def record(self, run: RunFile, ids: list[Any], code: str) -> dict[Any, Any]:
        results = {id: result(id, code) for id in ids}
        payload = pickle.dumps(list(results.values()))
        digests = b"12345678" * len(ids)
        run.record(JobRecord(ids, payload, "node", "node_0", 0.0, 0.0, digests))
        return results

    def open(self) -> RunFile:
        """Go on with the file, as the writer does."""
        return RunFile.open(
            self.path, self.ids, code=self.code, on_change="recompute" if self.name == "recompute" else "keep",
            on_network=lambda _: self.network,
        )  # fmt: skip

    def write(self, tell: Callable[[str], object]) -> None:
        """What the writer does; it tells which items are safe."""
        run = self.open()
        tell("open")
        missing = [id for id in self.ids if id not in run.finished_ids()]
        for place in range(0, len(missing), 2):
            ids = missing[place : place + 2]
            run.note("lost", "killed by SIGKILL", host="node", nickname="node_0", ids=ids)
            run.record_error(ids[0], "bad", "node", "node_0", 1, b"x" * 50)
            if place % 4:
                run.record_error(ids[0], "worse", "node", "node_0", 2, b"x" * 5000)
            self.record(run, ids, self.code)
            run.note_now('{"at": 1}')
            run.checkpoint("seen", repr(len(run.finished_ids())).encode())
            if run.commit():
                tell(repr(len(missing[: place + 2])))
        if run.close("finished"):
            tell("closed")

    def check(self, told: list[str]) -> None:
        """The file is right, as it is and after somebody has gone on with it."""
        if not self.path.exists():
            assert "open" not in told
            return
        as_read = self._as_read(is_begun="open" in told)
        run = self.open()
        found = run.results()
        assert set(found) == run.finished_ids()
        if self.name == "recompute":
            as_read = {id: value for id, value in as_read.items() if value[1] == "c2"}
        assert found == as_read, (found.keys(), as_read.keys())
        old = {} if self.name == "recompute" else self.before
        missing = [id for id in self.ids if id not in old]
        n_new = len(found) - len(old)
        safe = max([int(word) for word in told if word.isdigit()] or [0])
        assert n_new >= safe, (n_new, safe)
        assert n_new % 2 == 0 or n_new == len(missing), n_new  # a commit is there whole or not at all
        assert found == old | {id: result(id, self.code) for id in missing[:n_new]}
        assert run.kept("seen") == (repr(len(found)).encode() if n_new else None)  # with its results, or not at all
        if missing[n_new:]:
            self.record(run, missing[n_new:], self.code)
        assert run.close("finished")
        self._check_end(old | {id: result(id, self.code) for id in missing})

    def _as_read(self, *, is_begun: bool) -> dict[Any, Any]:
        """What somebody finds who only looks."""
        try:
            reader = RunFileReader(self.path)
        except StoreError as exc:
            if is_begun or "holds nothing yet" not in str(exc):
                raise
            return {}
        found = dict(reader.results())
        assert reader.summary().n_finished == len(found)
        assert reader.summary().state in ("interrupted", "finished")
        reader.history()
        return found

    def _check_end(self, expected: dict[Any, Any]) -> None:
        reader = RunFileReader(self.path)
        assert dict(reader.results()) == expected
        assert reader.summary().n_finished == len(self.ids)
        assert not set(reader.errors()) & set(expected)
        assert sorted(os.listdir(self.path.parent)) == [self.path.name]
        database = sqlite3.connect(self.path)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        states = database.execute("SELECT count(*), count(DISTINCT id) FROM item_states").fetchone()
        assert states == (len(expected), len(expected)), states
        database.close()


# ---- ways to die


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def countdown(n: int) -> Spot:
    """Dies when it is called for the n-th time."""
    left = n

    def spot() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            die()

    return spot


def by_lines(n: int) -> None:
    spot = countdown(n)

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(STORE):
            return None
        if event == "line":
            spot()
        return trace

    sys.settrace(trace)


def with_connections(change: Callable[[sqlite3.Connection], object]) -> None:
    """Have each connection that the writer opens changed like that."""
    plain = opening.connect

    def connect(path: Path, mode: str) -> sqlite3.Connection:
        connection = plain(path, mode)
        change(connection)
        return connection

    opening.connect = connect


def by_statements(n: int) -> None:
    spot = countdown(n)
    with_connections(lambda connection: connection.set_trace_callback(lambda statement: spot()))


def by_steps(n: int) -> None:
    spot = countdown(n)
    with_connections(lambda connection: connection.set_progress_handler(spot, N_STEPS))


def by_bytes(n: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (n * N_BYTES, n * N_BYTES))


WAYS: dict[str, Callable[[int], None]] = {
    "lines": by_lines,
    "statements": by_statements,
    "steps": by_steps,
    "bytes": by_bytes,
}


# ---- one after the other


def forked(action: Callable[[], None], output: int | None = None) -> int:
    """Do it in a child; give how that ended."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        if output is not None:
            os.dup2(output, 1)
        action()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def killed_at(case: Case, way: str, n: int) -> bool:
    """Have the writer killed at the n-th point of this way, and check; False if it came to its end alive."""
    read, write = os.pipe()

    def write_until_killed() -> None:
        WAYS[way](n)
        case.write(lambda word: os.write(1, f"{word}\n".encode()))

    status = forked(write_until_killed, write)
    os.close(write)
    with open(read) as lines:
        told = lines.read().split()
    was_killed = os.WIFSIGNALED(status)
    assert was_killed or status == 0, f"the writer failed at {way} {n} of {case.name}"
    status = forked(lambda: case.check(told))
    assert status == 0, f"killed at {way} {n}, {case.name}, network {case.network}, told {told}: not right"
    return was_killed


def all_points(directory: Path, stride: int, ways: list[str]) -> Counter[str]:
    """Kill at every ``stride``-th point of every case; give how many kills there were, way by way."""
    kills: Counter[str] = Counter()
    place = directory / "place"
    for name in ("new", "go on", "upgrade", "recompute"):
        for network in (False, True):
            for way in ways:
                n, alive = (len(name) + network) % stride, False
                while not alive:
                    _empty(place)
                    case = Case(name, place / "x.run", network)
                    case.prepare()
                    alive = not killed_at(case, way, n)
                    kills[way] += not alive
                    n += stride
    shutil.rmtree(place)
    return kills


# ---- torn files: what was written last did not reach the disk


def torn_files(directory: Path, stride: int) -> Counter[str]:
    """Check copies whose log was cut, or got garbage, at the ends and within its pages; and whose file was cut."""
    counts: Counter[str] = Counter()
    for name in ("new", "go on", "upgrade", "recompute"):
        case = Case(name, _empty(directory / "whole") / "x.run", network=False)
        case.prepare()
        last = str(len(case.ids) - (0 if name == "recompute" else len(case.before)))
        forked(partial(case.write, partial(_die_at, last)))
        file, log = case.path.read_bytes(), Path(f"{case.path}-wal").read_bytes()
        assert len(log) > 5 * PAGE
        torn = Case(name, directory / "place" / "x.run", network=False)
        torn.before = case.before
        ends = [end for frame in range(32, len(log), PAGE + 24) for end in (frame, frame + 24, frame + 2000)]
        for end in ends[len(name) % stride :: stride]:
            for kind, tail in (("cut", b""), ("zeros", bytes(len(log) - end)), ("garbage", b"\xa7" * (len(log) - end))):
                _put(torn.path, file, log[:end] + tail)
                assert forked(partial(torn.check, [])) == 0, f"{name}: log with {kind} at {end}"
                counts[f"log {kind}"] += 1
        for end in range(0, len(file), PAGE * stride):
            _put(torn.path, file[:end], log)
            assert forked(partial(_check_damaged, torn)) == 0, f"{name}: file cut at {end}"
            counts["file cut"] += 1
    shutil.rmtree(directory / "whole")
    shutil.rmtree(directory / "place")
    return counts


def _die_at(last: str, word: str) -> None:
    if word == last:
        die()


def _put(path: Path, file: bytes, log: bytes) -> None:
    _empty(path.parent)
    path.write_bytes(file)
    path.chmod(0o600)
    log_path = Path(f"{path}-wal")
    log_path.write_bytes(log)
    log_path.chmod(0o600)


def _check_damaged(case: Case) -> None:
    """No crash leaves such a file: it is refused, or nothing in it is wrong."""
    try:
        found = case.open().results()
    except StoreError:
        return
    old = {} if case.name == "recompute" else case.before
    right = {id: result(id, case.code) for id in case.ids} | old
    assert all(right[id] == value for id, value in found.items())


def _empty(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


if __name__ == "__main__":
    place, stride, *ways = sys.argv[1:]
    if ways == ["torn"]:
        print(json.dumps(torn_files(Path(place), int(stride))))
    else:
        print(json.dumps(all_points(Path(place), int(stride), ways)))
