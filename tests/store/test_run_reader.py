"""Looking into a run file, above all while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.helpers import Clock, job, kill, names, on_network, recorded, start_python
from tracking.errors import StoreError
from tracking.store.run_file import HostSummary, RunFile, RunFileReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.run"


def test_the_summary_says_how_the_calculation_stands(path: Path) -> None:
    clock = Clock(100.0)
    run = RunFile.open(path, range(10), clock=clock)
    run.record(job({0: 0, 1: 1}, "node_1", seconds=2.0))
    run.record(job({2: 2}, "node_0", seconds=0.25))
    clock.now = 130.0
    run.record(job({3: 3, 2: "again"}, "node_1", seconds=1.0))
    run.record_error(9, "bad", "node", "node_0", 1, b"")
    run.commit()
    with RunFileReader(path) as reader:
        summary = reader.summary()
    run.close("failed")
    assert (summary.path, summary.n_items, summary.n_finished, summary.n_failed) == (path, 10, 4, 1)
    assert (summary.started_at, summary.updated_at) == (100.0, 130.0)
    assert summary.hosts == (
        HostSummary("node_1", "node", jobs=2, items=3, seconds=3.0),
        HostSummary("node_0", "node", jobs=1, items=1, seconds=0.25),
    )


@pytest.mark.parametrize("state", ["finished", "interrupted", "failed"])
def test_the_state_is_running_until_the_file_is_closed(path: Path, state: str) -> None:
    run = RunFile.open(path, [1])
    assert RunFileReader(path).summary().state == "running"
    run.close(state)
    assert RunFileReader(path).summary().state == state


def test_a_calculation_whose_master_was_killed_is_interrupted(path: Path) -> None:
    process = start_python(_OPEN_AND_WAIT, path)
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    summary = RunFileReader(path).summary()
    assert (summary.state, summary.owner.rpartition(":")[2]) == ("running", str(process.pid))
    kill(process)
    assert RunFileReader(path).summary().state == "interrupted"


_OPEN_AND_WAIT = """
import sys
from tracking.store.run_file import RunFile
run = RunFile.open(sys.argv[1], [1])
print("open", flush=True)
sys.stdin.read()
"""


def test_asking_for_the_state_does_not_take_the_lock_away_from_the_writer(path: Path) -> None:
    run = RunFile.open(path, [1])
    for _ in range(3):
        RunFileReader(path).summary()
    process = start_python(_TRY_TO_OPEN, path)
    said, _ = process.communicate()
    assert "being written by process" in said
    run.close("finished")


_TRY_TO_OPEN = """
import sys
from tracking.store.run_file import RunFile, RunFileReader
print(RunFileReader(sys.argv[1]).summary().state)
try:
    RunFile.open(sys.argv[1], [1])
except OSError as exc:
    print(exc)
"""


@pytest.mark.parametrize("network", [False, True], ids=["local", "network"])
def test_a_reader_sees_what_is_committed_and_nothing_else(path: Path, network: bool) -> None:
    run = RunFile.open(path, range(10), on_network=lambda _: network)
    reader = RunFileReader(path)
    for number in range(10):
        run.record(job({number: -number}))
        assert dict(reader.results()) == {i: -i for i in range(number)}
        run.commit()
        assert dict(reader.results()) == {i: -i for i in range(number + 1)}
    run.close("finished")


def test_a_reader_that_stops_half_way_holds_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.store.contents.BATCH_JOBS", 2)
    run = RunFile.open(path, range(10))
    for number in range(5):
        run.record(job({number: number}))
    run.commit()
    half_read = RunFileReader(path).results()
    assert next(half_read) == (0, 0)
    run.record(job({5: 5}))
    assert run.commit()
    run.close("finished")
    assert names(path.parent) == [path.name]  # nobody holds it, or its log could not have gone
    assert list(half_read) == [(i, i) for i in range(1, 6)]


def test_reading_leaves_nothing_beside_the_file_and_changes_nothing(path: Path) -> None:
    recorded(path, [1, 2], {1: 1})
    path.chmod(0o400)
    before = path.read_bytes()
    reader = RunFileReader(path)
    reader.summary()
    assert dict(reader.results()) == {1: 1}
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("network", [0, 1], ids=["local", "network"])
def test_a_reader_never_disturbs_a_writer_in_full_flight(path: Path, network: int) -> None:
    process = start_python(_WRITE_FAST, path, network)
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    seen = -1
    while seen < 2000:
        try:
            with RunFileReader(path) as reader:
                results = list(reader.results())
        except StoreError as error:
            if network and "try again" in str(error):
                continue  # on a busy disk, the slower journal is held for longer than a reader waits
            raise
        assert results == [(i, i * i) for i in range(len(results))]
        assert len(results) >= seen
        seen = len(results)
    said, _ = process.communicate()
    assert said == "True True\n"
    assert RunFileReader(path).summary().state == "finished"


_WRITE_FAST = """
import pickle, sys
from tracking.store.run_file import JobRecord, RunFile
run = RunFile.open(sys.argv[1], range(2000), on_network=lambda path: sys.argv[2] == "1")
print("open", flush=True)
is_safe = True
for i in range(0, 2000, 4):
    ids = range(i, i + 4)
    run.record(JobRecord(ids, pickle.dumps([j * j for j in ids]), "node", "node_0", 0.0, 0.0))
    is_safe = run.commit() and is_safe
print(is_safe, run.close("finished"))
"""


def test_a_reader_cleans_up_after_a_writer_that_was_killed_within_a_commit(path: Path) -> None:
    process = start_python(_DIE_WITHIN_COMMIT, path)
    process.communicate()
    assert f"{path.name}-journal" in names(path.parent)
    reader = RunFileReader(path)
    assert dict(reader.results()) == {0: 0}
    assert reader.summary().state == "interrupted"
    run = RunFile.open(path, range(1000), on_network=on_network)
    assert run.results() == {0: 0}
    run.close("finished")
    assert names(path.parent) == [path.name]


# Dies when half of a large commit has gone into the file itself: without its journal it would be damaged.
_DIE_WITHIN_COMMIT = """
import os, pickle, signal, sys
from tracking.store.run_file import JobRecord, RunFile
run = RunFile.open(sys.argv[1], range(1000), on_network=lambda path: True)
run.record(JobRecord([0], pickle.dumps([0]), "node", "node_0", 0.0, 0.0))
run.commit()
connection = run._connection
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE jobs SET payload = zeroblob(100000)")
rows = ((number, 7, "never committed") for number in range(10, 90000))
connection.executemany("INSERT INTO ids VALUES (?, ?, ?, NULL)", rows)
os.kill(os.getpid(), signal.SIGKILL)
"""
