"""What a master notes in its run file beside results, and what it does when that fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.store.helpers import Clock
from tracking.master.fingerprint import ItemDigests
from tracking.master.record import Record
from tracking.pool.crew import SlaveInfo
from tracking.store.run_file import RunFile, RunFileReader

SLAVE = SlaveInfo(1, "node_0", "node")


@pytest.fixture
def file(tmp_path: Path) -> RunFile:
    return RunFile.open(tmp_path / "x.run", ["a", "b", "c"])


def test_results_are_recorded_with_the_digests_of_their_values(file: RunFile) -> None:
    record = Record(file, ItemDigests({"a": 1, "b": 2.0}))
    record.add(["b", "a"], ["B", "A"], SLAVE, 0.5)
    record.add(["c"], ["C"], SLAVE, 0.5)  # whose value the user has taken out
    assert record.commit(0.0) == [(["b", "a"], ["B", "A"]), (["c"], ["C"])]
    record.close("finished")
    reader = RunFileReader(file.path)
    digests = {id: reader.results_of(id)[0].digest for id in "abc"}
    assert digests == {"a": ItemDigests({0: 1})([0]), "b": ItemDigests({0: 2.0})([0]), "c": None}


def test_values_that_are_made_when_they_are_asked_for_are_unknown() -> None:
    class Made(dict[int, int]):
        def __getitem__(self, key: int) -> int:
            raise AssertionError("asked for once more")

    assert ItemDigests(Made({1: 2}))([1]) is None


def test_what_happens_is_noted_and_committed_with_the_next_results(file: RunFile) -> None:
    record = Record(file)
    record.note("lost", "killed by SIGKILL", host="node", nickname="node_0", ids=["a"])
    assert record.has_untold
    assert record.commit(0.0) == []
    assert not record.has_untold
    record.close("interrupted")
    (event,) = RunFileReader(file.path).history().events
    assert (event.kind, event.words, event.nickname, event.ids) == ("lost", "killed by SIGKILL", "node_0", ("a",))


def test_what_goes_on_is_wanted_once_a_second(file: RunFile) -> None:
    record = Record(file)
    assert record.wants_now(100.0)
    record.note_now("{}", 100.0)
    assert not record.wants_now(100.9)
    assert record.wants_now(101.0)
    record.close("interrupted")
    history = RunFileReader(file.path).history()
    assert history.now is not None
    assert history.now[1] == "{}"


def test_while_the_disk_is_full_nobody_is_kept_busy_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    file = RunFile.open(tmp_path / "x.run", ["a", "b", "c"], clock=clock)
    pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
    file._connection.execute(f"PRAGMA max_page_count = {pages}")
    record = Record(file)
    for id in ("a", "b"):
        record.add([id], [b"x" * 100_000], SLAVE, 0.5)
        assert record.has_untold
        assert record.commit(0.0) == [([id], [b"x" * 100_000])]  # told all the same
        assert not record.has_untold
    assert "the disk is full" in record.problem
    (said,) = caplog.messages
    assert said.startswith("the calculation goes on in memory, but nothing is recorded: run file ")
    clock.now += 60
    assert record.has_untold
    file._connection.execute("PRAGMA max_page_count = 1000000")
    record.commit(0.0)
    assert caplog.messages[1:] == ["recording goes on: everything that had to wait is in the run file now"]
    file._connection.execute(f"PRAGMA max_page_count = {pages}")
    record.add(["c"], [b"x" * 1_000_000], SLAVE, 0.5)
    record.close("finished")
    assert caplog.messages[2].startswith("the run file lacks what came last, which is in memory only: run file ")
    assert sorted(dict(RunFileReader(file.path).results())) == ["a", "b"]


def test_without_a_run_file_nothing_is_noted() -> None:
    record = Record(None)
    assert not record.wants_now(1e9)
    record.note("lost", "killed", ids=["a"])
    record.note_now("{}", 1e9)
    assert not record.has_untold


def test_what_cannot_be_noted_disturbs_nobody(file: RunFile) -> None:
    record = Record(file)
    record.note("lost", "killed", ids=[threading.Lock()])
    file.close("interrupted")
    record.note("lost", "killed", ids=["a"])
    record.note_now("{}", 0.0)
