"""States that are kept in the run file, beside the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.helpers import Clock, job, kill, start_python
from tracking.errors import StoreError
from tracking.store import run_file
from tracking.store.records import CheckpointRecord
from tracking.store.run_file import RunFile, RunFileReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.run"


def test_the_newest_state_of_each_name_is_kept_with_number_time_and_size(path: Path) -> None:
    clock = Clock(100.0)
    run = RunFile.open(path, [1], clock=clock)
    assert [run.checkpoint("a", b"1"), run.checkpoint("b", b"two"), run.checkpoint("a", b"22")] == [1, 1, 2]
    assert run.kept("a") == b"22"
    assert run.commit()
    assert (run.kept("a"), run.kept("c")) == (b"22", None)
    assert run.close("interrupted")
    reader = RunFileReader(path)
    assert reader.summary().checkpoints == (
        CheckpointRecord("a", number=2, at=100.0, run=1, size=2),
        CheckpointRecord("b", number=1, at=100.0, run=1, size=3),
    )
    assert (reader.checkpoint("b"), reader.checkpoint("c")) == (b"two", None)


def test_numbers_go_on_in_the_next_run(path: Path) -> None:
    run = RunFile.open(path, [1])
    run.checkpoint("a", b"1")
    run.close("interrupted")
    run = RunFile.open(path, [1])
    assert run.kept("a") == b"1"
    assert run.checkpoint("a", b"2") == 2
    run.close("interrupted")
    assert RunFileReader(path).summary().checkpoints[0].run == 2


def test_what_was_not_committed_is_not_there_and_what_was_survives_a_kill(path: Path) -> None:
    program = start_python(
        "import sys; from tracking.store.run_file import RunFile\n"
        "run = RunFile.open(sys.argv[1], [1])\n"
        "run.checkpoint('a', b'safe'); run.commit(); run.checkpoint('a', b'lost')\n"
        "print('ready', flush=True); sys.stdin.read()",
        path,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    kill(program)
    assert RunFileReader(path).checkpoint("a") == b"safe"


def test_a_state_and_the_results_of_the_same_moment_are_written_together(path: Path) -> None:
    run = RunFile.open(path, [1, 2])
    run.record(job({1: "one"}))
    run.checkpoint("a", b"after one")
    looked = RunFileReader(path)
    assert (dict(looked.results()), looked.checkpoint("a")) == ({}, None)
    run.commit()
    assert (dict(looked.results()), looked.checkpoint("a")) == ({1: "one"}, b"after one")
    run.close("interrupted")


def test_a_name_that_cannot_be_stored_as_text_is_written_so_that_it_can(path: Path) -> None:
    run = RunFile.open(path, [1])
    run.record(job({1: "one"}))
    assert [run.checkpoint("\udc80", b"1"), run.checkpoint("\udc80", b"2")] == [1, 2]
    assert run.kept("\udc80") == b"2"
    assert run.commit()
    assert run.close("finished")
    reader = RunFileReader(path)
    assert (dict(reader.results()), reader.checkpoint("\udc80")) == ({1: "one"}, b"2")


@pytest.mark.parametrize(("on_change", "kept"), [("keep", b"sum of one"), ("recompute", None)])
def test_states_are_forgotten_where_results_are_computed_anew(path: Path, on_change: str, kept: bytes | None) -> None:
    run = RunFile.open(path, [1], code="old")
    run.record(job({1: "one"}))
    run.checkpoint("a", b"sum of one")
    run.close("finished")
    run = RunFile.open(path, [1], code="old", on_change=on_change)
    assert run.kept("a") == b"sum of one"  # nothing has changed
    run.close("finished")
    run = RunFile.open(path, [1], code="new", on_change=on_change)
    assert run.kept("a") == kept
    run.close("finished")


def test_a_state_that_is_too_large_is_refused_in_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_file, "MAX_PAYLOAD", 10)
    run = RunFile.open(path, [1])
    with pytest.raises(StoreError, match=r"the state 'a' has .* keep what is large in files"):
        run.checkpoint("a", bytes(11))
    run.close("interrupted")
    with pytest.raises(StoreError, match="closed"):
        run.checkpoint("a", b"1")
