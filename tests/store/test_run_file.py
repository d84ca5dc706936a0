"""What a run file promises to the master that writes it."""

from __future__ import annotations

import enum
import os
import re
import sqlite3
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.helpers import Clock, job, names, on_network, recorded, start_python
from tracking.errors import EncodeError, StoreError
from tracking.store import run_file
from tracking.store.run_file import RunFile, RunFileReader


class Colour(enum.IntEnum):
    RED = 1


class Unreadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return _fail, ()


def _fail() -> None:
    raise RuntimeError("no such thing")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a b'\"?#%.run"  # names are never pasted into anything


@pytest.fixture(params=[False, True], ids=["local", "network"])
def network(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_recorded_results_are_there_when_the_file_is_opened_again(path: Path, network: bool) -> None:
    run = RunFile.open(path, range(5), on_network=lambda _: network)
    assert run.is_new
    run.record(job({0: "zero", 1: [1]}))
    assert run.commit()
    run.record(job({4: None}))
    assert run.close("interrupted")

    again = RunFile.open(path, range(5), on_network=lambda _: network)
    assert not again.is_new
    assert again.finished_ids() == {0, 1, 4}
    assert again.results() == {0: "zero", 1: [1], 4: None}
    again.close("finished")


def test_only_the_owner_may_read_or_write_the_file(path: Path) -> None:
    run = RunFile.open(path, [1])
    modes = {name: os.stat(path.parent / name).st_mode & 0o777 for name in names(path.parent)}
    assert len(modes) == 4  # with log, index and lock
    assert set(modes.values()) == {0o600}
    run.close("finished")


def test_an_empty_file_that_was_there_is_used_and_closed_to_others(path: Path) -> None:
    path.touch(0o644)
    RunFile.open(path, [1]).close("finished")
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_after_a_clean_close_nothing_stands_beside_the_file(path: Path, network: bool) -> None:
    run = RunFile.open(path, range(3), on_network=lambda _: network)
    run.record(job({1: 1}))
    run.close("finished")
    assert names(path.parent) == [path.name]


def test_closing_twice_does_nothing_and_recording_after_it_is_refused(path: Path) -> None:
    run = RunFile.open(path, range(3))
    assert run.close("finished")
    assert run.close("failed")
    assert RunFileReader(path).summary().state == "finished"
    with pytest.raises(StoreError, match="is closed"):
        run.record(job({1: 1}))
    with pytest.raises(StoreError, match="is closed"):
        run.commit()


def test_a_result_that_is_recorded_again_changes_nothing(path: Path) -> None:
    run = RunFile.open(path, range(6))
    run.record(job({0: "first", 1: "first"}))
    run.record(job({0: "second", 2: "of a part", 1: "second", 3: "of a part"}))
    run.commit()
    run.record(job({0: "third"}))
    assert not run.has_uncommitted
    expected = {0: "first", 1: "first", 2: "of a part", 3: "of a part"}
    assert run.results() == expected
    run.close("interrupted")

    again = RunFile.open(path, range(6))
    again.record(job({3: "fourth", 4: "new"}))
    again.commit()
    assert again.results() == {**expected, 4: "new"}
    again.close("finished")
    assert list(RunFileReader(path).results()) == list({**expected, 4: "new"}.items())


def test_nothing_is_in_the_file_before_the_commit(path: Path) -> None:
    run = RunFile.open(path, range(3))
    run.record(job({0: 0}))
    assert run.has_uncommitted
    assert run.finished_ids() == {0}
    assert run.results() == {}
    run.commit()
    assert not run.has_uncommitted
    assert run.results() == {0: 0}
    run.close("finished")


IDS: list[Hashable] = [
    0, -1, 2**63 - 1, -(2**63), 2**63, 10**30, "", "text", "it's; \"DROP\"", "nul\0nul", "é字",
    "half \udc80", b"bytes", 1.5, float("inf"), None, (1, "a"), "(1, 'a')", frozenset({1, 2}), Colour.RED,
]  # fmt: skip


def test_ids_of_any_kind_come_back_as_what_they_were(path: Path) -> None:
    run = RunFile.open(path, IDS)
    for id in IDS:
        run.record(job({id: [id]}))
    run.record_error("x", "bad", "node", "node_0", 1, b"")
    run.close("interrupted")

    again = RunFile.open(path, IDS)
    results = again.results()
    again.close("finished")
    assert list(results) == IDS
    assert [type(id) for id in results] == [type(id) for id in IDS]
    assert results == {id: [id] for id in IDS}


def test_the_order_of_the_ids_does_not_matter(path: Path) -> None:
    recorded(path, ["a", "b", "c"], {"b": 1})
    again = RunFile.open(path, ["c", "a", "b"])
    assert again.results() == {"b": 1}
    again.close("finished")


def test_errors_stay_until_the_item_is_finished(path: Path) -> None:
    clock = Clock()
    run = RunFile.open(path, ["a", "b", ("c",)], clock=clock)
    run.record_error("a", "first", "node", "node_0", 1, b"1")
    run.record_error("a", "second \udc80", "node", "node_1", 2, b"2")
    run.record_error(("c",), "odd", "node", "node_0", 1, b"3")
    run.commit()
    assert {id: error.message for id, error in run.errors().items()} == {
        "a": "second \\udc80",
        ("c",): "odd",
    }
    run.close("failed")

    again = RunFile.open(path, ["a", "b", ("c",)], clock=clock)
    error = again.errors()["a"]
    assert (error.host, error.nickname, error.tries, error.failed_at, error.error) == (
        "node", "node_1", 2, clock.now, b"2",
    )  # fmt: skip
    again.record(job({"a": 1}))
    again.record_error("a", "too late: it is finished", "node", "node_0", 1, b"")
    again.commit()
    assert list(again.errors()) == [("c",)]
    again.close("failed")
    summary = RunFileReader(path).summary()
    assert (summary.n_finished, summary.n_failed) == (1, 1)


def test_an_error_of_this_run_is_replaced_by_its_result_within_one_commit(path: Path) -> None:
    run = RunFile.open(path, ["a"])
    run.record_error("a", "bad", "node", "node_0", 1, b"")
    run.record(job({"a": 1}))
    run.commit()
    assert run.errors() == {}
    run.close("finished")


def test_the_recipe_is_kept_and_can_be_replaced(path: Path) -> None:
    RunFile.open(path, [1], recipe=b"old").close("interrupted")
    RunFile.open(path, [1]).close("interrupted")
    assert RunFileReader(path).recipe() == b"old"
    RunFile.open(path, [1], recipe=b"new").close("interrupted")
    assert RunFileReader(path).recipe() == b"new"


def test_a_link_to_the_file_stays_a_link(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    RunFile.open(link, [1]).close("finished")
    assert link.is_symlink()
    assert RunFileReader(link).summary().n_items == 1


def test_any_sqlite_tool_shows_which_items_are_in_which_state(path: Path) -> None:
    run = RunFile.open(path, ["a", 7, (1,), "z"])
    run.record(job({"a": 1, (1,): 2}))
    run.record_error(7, "it raised", "node", "node_1", 1, b"")
    run.close("failed")
    database = sqlite3.connect(path)
    rows = database.execute("SELECT id, state, nickname, message FROM item_states").fetchall()
    database.close()
    assert rows == [
        ("a", "finished", "node_0", ""),
        ("(1,)", "finished", "node_0", ""),
        (7, "failed", "node_1", "it raised"),
    ]


def test_a_result_that_cannot_be_read_back_is_named(path: Path) -> None:
    run = RunFile.open(path, [1, 2])
    run.record(job({1: 1, 2: Unreadable()}))
    run.commit()
    said = r"\.run: the result of item 1, 2 cannot be read back: .*no such thing"
    with pytest.raises(StoreError, match=said):
        run.results()
    run.close("failed")


def test_results_too_large_for_the_file_are_refused_and_nothing_else_is_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_file, "MAX_PAYLOAD", 1000)
    run = RunFile.open(path, ["a", "b"])
    run.record(job({"a": 1}))
    with pytest.raises(StoreError, match=r"items 'b'.*GB"):
        run.record(job({"b": b"0" * 1001}))
    run.commit()
    assert run.results() == {"a": 1}
    assert run.finished_ids() == {"a"}
    run.close("finished")


def test_an_id_that_cannot_be_pickled_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    id: Hashable = (i for i in range(3))  # type: ignore[assignment]
    with pytest.raises(EncodeError, match="list of all ids"):
        RunFile.open(tmp_path / "x.run", [id])
    assert names(tmp_path) == []


class Interrupting:
    """A connection that Ctrl-C strikes just after a statement."""

    def __init__(self, connection: sqlite3.Connection, beginning: str) -> None:
        self._connection = connection
        self._beginning = beginning

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: str, *arguments: Any) -> Any:
        return self._run(self._connection.execute, query, arguments)

    def executemany(self, query: str, *arguments: Any) -> Any:
        return self._run(self._connection.executemany, query, arguments)

    def _run(self, function: Callable[..., Any], query: str, arguments: tuple[Any, ...]) -> Any:
        done = function(query, *arguments)
        if query.startswith(self._beginning):
            raise KeyboardInterrupt
        return done


def interrupt(run: RunFile, beginning: str) -> None:
    """Interrupt a commit just after the statement that begins so."""
    connection = run._connection
    run._connection = Interrupting(connection, beginning)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        run.commit()
    run._connection = connection


def test_a_commit_that_is_interrupted_is_done_again(path: Path) -> None:
    run = RunFile.open(path, range(4))
    run.record(job({0: 0, 1: 1}))
    interrupt(run, "INSERT OR IGNORE INTO jobs")
    assert dict(RunFileReader(path).results()) == {}
    assert run.commit()
    assert run.close("finished")
    assert dict(RunFileReader(path).results()) == {0: 0, 1: 1}


def test_a_program_that_holds_the_file_for_long_delays_a_commit_and_spoils_nothing(path: Path) -> None:
    clock = Clock()
    run = RunFile.open(path, range(4), clock=clock)
    run._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    run.record(job({0: 0}))
    assert not run.commit()
    assert run.problem is not None
    assert "is held by another program" in run.problem
    other.close()
    clock.now += 1
    assert run.commit()
    assert run.close("finished")
    assert dict(RunFileReader(path).results()) == {0: 0}


def test_a_forked_child_cannot_write_or_close_the_file_of_its_parent(path: Path) -> None:
    process = start_python(_FORK, path)
    said, _ = process.communicate()
    closed = "child: .* is closed: .*"
    taken = f"child: .* is being written by process {process.pid} on host .*"
    assert re.fullmatch(f"{closed}\n{taken}\nparent: True running finished\n", said)
    assert dict(RunFileReader(path).results()) == {0: 0}


_FORK = """
import os, pickle, sys
from tracking.store.run_file import JobRecord, RunFile, RunFileReader
run = RunFile.open(sys.argv[1], [0, 1])
if os.fork() == 0:
    run.close("failed")
    try:
        run.record(JobRecord([1], pickle.dumps([1]), "node", "node_0", 0.0, 0.0))
    except OSError as exc:
        os.write(1, f"child: {exc}\\n".encode())
    try:
        RunFile.open(sys.argv[1], [0, 1])
    except OSError as exc:
        os.write(1, f"child: {exc}\\n".encode())
    os._exit(0)
os.wait()
run.record(JobRecord([0], pickle.dumps([0]), "node", "node_0", 0.0, 0.0))
safe = run.commit()
state = RunFileReader(sys.argv[1]).summary().state
run.close("finished")
print("parent:", safe, state, RunFileReader(sys.argv[1]).summary().state)
"""


def test_a_commit_that_succeeded_unnoticed_is_not_done_twice(path: Path) -> None:
    run = RunFile.open(path, range(4))
    run.record(job({0: 0, 1: 1}))
    run.record_error(2, "bad", "node", "node_0", 1, b"")
    interrupt(run, "COMMIT")
    run.record(job({3: 3}))
    assert run.commit()
    run.close("failed")
    assert list(RunFileReader(path).results()) == [(0, 0), (1, 1), (3, 3)]
    assert RunFileReader(path).summary().n_finished == 3
    assert RunFileReader(path).summary().n_failed == 1


def test_many_jobs_are_read_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.store.contents.BATCH_JOBS", 7)
    monkeypatch.setattr("tracking.store.contents.BATCH_BYTES", 300)
    run = RunFile.open(path, range(100))
    for first in range(0, 100, 2):
        run.record(job({first: "x" * first, first + 1: first}))
    run.commit()
    expected = {i: "x" * i if i % 2 == 0 else i - 1 for i in range(100)}
    assert run.results() == expected
    assert dict(RunFileReader(path).results()) == expected
    run.close("finished")


def test_on_a_network_file_system_the_writer_gives_signs_of_life(path: Path) -> None:
    clock = Clock()
    run = RunFile.open(path, [1], clock=clock, on_network=on_network)
    started = clock.now
    clock.now += 5
    run.commit()
    assert RunFileReader(path, clock=clock).summary().updated_at == started
    clock.now += 6
    run.commit()
    assert RunFileReader(path, clock=clock).summary().updated_at == clock.now
    clock.now += 9
    run.commit()
    assert RunFileReader(path, clock=clock).summary().updated_at == clock.now - 9
    run.close("finished")


ids = st.one_of(st.integers(0, 9), st.text("ab", max_size=1), st.tuples(st.integers(0, 1)))
steps = st.lists(
    st.one_of(
        st.dictionaries(ids, st.integers(), min_size=1, max_size=4),
        st.sampled_from(["commit", "reopen"]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_whatever_is_recorded_the_first_result_of_each_item_stays(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("run") / "x.run"
    everything: list[Hashable] = [*range(10), "", "a", "b", (0,), (1,)]
    expected: dict[Hashable, int] = {}
    run = RunFile.open(path, everything)
    for step in steps:
        if step == "commit":
            assert run.commit()
        elif step == "reopen":
            run.close("interrupted")
            run = RunFile.open(path, everything)
        else:
            run.record(job(step))
            expected = {**step, **expected}
        assert run.finished_ids() == set(expected)
    run.commit()
    assert run.results() == expected
    assert dict(RunFileReader(path).results()) == expected
    run.close("finished")


def test_payloads_are_opaque_until_they_are_read(path: Path) -> None:
    run = RunFile.open(path, [1])
    run.record(job({1: Unreadable()}))
    assert run.commit()
    assert run.close("finished")
    assert RunFileReader(path).summary().n_finished == 1


def test_a_master_that_records_often_gives_signs_of_life_as_well(tmp_path: Path) -> None:
    clock = Clock(1000.0)
    run = RunFile.open(tmp_path / "x.run", range(100), clock=clock, on_network=on_network)
    for id in range(60):
        clock.now += 2
        run.record(job({id: id}))
        assert run.commit()
        assert clock.now - RunFileReader(run.path).history().runs[0].alive_at <= run_file.HEARTBEAT_S
    run.close("interrupted")
