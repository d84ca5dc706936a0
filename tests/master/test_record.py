"""What a master notes in its run file beside results, and what it does when that fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.store.helpers import Clock
from tracking.errors import ItemRaised
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


def test_where_nobody_waits_for_results_one_by_one_the_jobs_of_a_moment_share_a_commit(file: RunFile) -> None:
    waiting: list[str] = []
    record = Record(file, is_awaited=lambda: bool(waiting))
    assert record.patience_s(100.0) == float("inf"), "there is nothing to commit"
    record.add(["a"], ["A"], SLAVE, 0.5, [0])
    assert record.is_due(100.0, is_dry=False), "the last commit is long ago"
    record.commit(100.0)
    record.add(["b"], ["B"], SLAVE, 0.5, [1])
    assert not record.is_due(100.01, is_dry=True)
    assert record.patience_s(100.01) == pytest.approx(0.19), "as long as nothing comes"
    waiting.append("somebody")
    assert record.patience_s(100.01) == 0.0
    assert record.is_due(100.01, is_dry=True)
    waiting.clear()
    assert not record.is_due(100.099, is_dry=False)
    assert record.is_due(100.101, is_dry=False)
    record.close("interrupted")


def test_where_nobody_waits_very_many_jobs_are_committed_sooner(file: RunFile) -> None:
    record = Record(file, is_awaited=lambda: False)
    record.commit(100.0)
    for _ in range(64):
        record.add(["a"], ["A"], SLAVE, 0.0, [0])
    assert not record.is_due(100.004, is_dry=True)
    assert record.is_due(100.006, is_dry=False)
    record.close("interrupted")


def test_without_a_run_file_no_master_wakes_up_only_to_tell_results() -> None:
    record = Record(None, is_awaited=lambda: False)
    record.commit(100.0)
    record.add(["a"], ["A"], SLAVE, 0.0, [0])
    assert record.is_due(100.006, is_dry=False), "with what has just come"
    assert record.is_due(100.001, is_dry=True)


def test_what_goes_on_at_the_start_keeps_no_slave_waiting_for_its_commit(file: RunFile) -> None:
    record = Record(file, is_awaited=lambda: False)
    record.note_now("{}", 100.0)
    assert not record.is_due(100.0, is_dry=True)
    assert record.is_due(100.11, is_dry=True)
    record.close("interrupted")


def test_what_goes_on_is_due_a_second_after_it_was_said_and_never_without_a_run_file(file: RunFile) -> None:
    record = Record(file)
    assert record.until_now_s(100.0) == 0.0, "nothing was said yet"
    record.note_now("{}", 100.0)
    assert record.until_now_s(100.25) == pytest.approx(0.75)
    assert record.until_now_s(101.5) == 0.0
    assert record.wants_now(101.5)
    assert Record(None).until_now_s(100.0) == float("inf")
    record.close("interrupted")


def test_jobs_of_one_item_that_come_between_two_commits_are_recorded_each_as_itself(file: RunFile) -> None:
    record = Record(file, ItemDigests({"a": 1, "b": 2.0, "c": "x"}))
    other = SlaveInfo(2, "node_1", "node")
    record.add(["c"], ["C"], SLAVE, 0.5, [2])
    record.add(["a"], ["A"], other, 1.5, [0])
    assert file.finished_ids() == set(), "they are written with the commit"
    record.commit(0.0)
    record.close("interrupted")
    reader = RunFileReader(file.path)
    assert dict(reader.results()) == {"c": "C", "a": "A"}
    assert [(line.nickname, line.jobs, line.seconds) for line in reader.summary().hosts] == [
        ("node_0", 1, 0.5),
        ("node_1", 1, 1.5),
    ]
    assert reader.results_of("c")[0].digest == ItemDigests({0: "x"})([0])


def test_one_result_that_cannot_be_recorded_spoils_no_other(file: RunFile, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(file)
    results = {"a": "A", "b": (i for i in ()), "c": "C"}
    for position, (id, result) in enumerate(results.items()):
        record.add([id], [result], SLAVE, 0.5, [position])
    assert len(record.commit(0.0)) == 3, "all are told"
    record.close("interrupted")
    assert dict(RunFileReader(file.path).results()) == {"a": "A", "c": "C"}
    (said,) = caplog.messages
    assert said.startswith("the results of 1 items ('b' ...) are kept in memory only: ")


def test_an_error_that_comes_after_a_result_of_the_same_item_does_not_count(file: RunFile) -> None:
    record = Record(file)
    record.add(["a"], ["A"], SLAVE, 0.5, [0])
    record.add_error(ItemRaised("too late", id="a"))
    record.close("interrupted")
    assert not RunFileReader(file.path).errors()


@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_values_for_which_there_was_no_time_at_the_start_are_compared_while_it_goes_on_and_at_its_end(
    file: RunFile, state: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = ItemDigests({"a": 1, "b": 2, "c": 3})
    record = Record(file, before)
    for id in "abc":
        record.add([id], [id], SLAVE, 0.5)
    record.close("interrupted")
    monkeypatch.setattr("tracking.store.opening.AT_ONCE_S", -1.0)
    monkeypatch.setattr("tracking.store.recorded_jobs._AT_ONCE", 1)
    monkeypatch.setattr("tracking.master.record._COMPARING_S", -1.0)
    now = ItemDigests({"a": 1, "b": 20, "c": 30})
    record = Record(RunFile.open(file.path, ["a", "b", "c"], digests=now), now)
    record.note_now("{}", 1.0)
    record.note_now("{}", 2.0)
    assert not caplog.messages
    record.close(state)
    (said,) = caplog.messages
    found = "2 results in it were" if state == "finished" else "1 result in it was"
    assert f"{found} made with other values (item" in said
