"""Run files of calculations whose items are added as they go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.helpers import job, kill, recorded, start_python
from tracking.errors import StoreError
from tracking.store.by_item import Recorded
from tracking.store.fingerprints import Fingerprints
from tracking.store.run_file import RunFile, RunFileReader

PYTHON = Fingerprints("").python


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.run"


def test_any_item_can_be_recorded_and_is_found_by_its_id_in_the_next_run(path: Path) -> None:
    run = RunFile.open(path, None, code="c")
    run.record(job({"a": 1, ("b", 2): 2})._replace(digests=b"12345678abcdefgh"))
    run.record(job({3: 3}))
    run.close("interrupted")
    run = RunFile.open(path, None, code="c")
    assert run.recorded(("b", 2)) == Recorded(2, b"abcdefgh", PYTHON)
    assert run.recorded("a") == Recorded(1, b"12345678", PYTHON)
    assert run.recorded(3) == Recorded(3, None, PYTHON)
    assert run.recorded("c") is None
    run.close("interrupted")


def test_what_is_outdated_is_not_found_and_can_be_recorded_anew(path: Path) -> None:
    recorded_then = {"a": 1, "b": 2}
    run = RunFile.open(path, None)
    run.record(job(recorded_then))
    run.close("interrupted")
    run = RunFile.open(path, None)
    run.outdate("a", "other code")
    run.outdate("unknown", "other code")
    assert run.recorded("a") is None
    assert dict(RunFileReader(path).results()) == recorded_then, "nothing was committed"
    run.record(job({"a": 10}))
    assert run.commit()
    assert dict(RunFileReader(path).results()) == {"a": 10, "b": 2}
    assert [record.why for record in RunFileReader(path).results_of("a")] == ["other code", None]
    run.close("interrupted")


def test_how_many_items_there_are_is_what_was_last_said(path: Path) -> None:
    run = RunFile.open(path, None)
    run.grow(5)
    run.record(job({"a": 1, "b": 2}))
    run.record_error("c", "ValueError: bad", "node", "node_0", 1, b"")
    run.record_error("d", "ValueError: bad", "node", "node_0", 1, b"")
    assert RunFileReader(path).summary().n_items == 0
    run.commit()
    summary = RunFileReader(path).summary()
    assert (summary.n_items, summary.n_finished, summary.n_failed) == (5, 2, 2)
    assert RunFileReader(path).ids() == ["a", "b", "c", "d"]
    assert list(RunFileReader(path).errors()) == ["c", "d"]
    run.close("interrupted")


def test_what_was_committed_survives_a_kill(path: Path) -> None:
    program = start_python(
        "import sys; from tests.store.helpers import job; from tracking.store.run_file import RunFile\n"
        "run = RunFile.open(sys.argv[1], None)\n"
        "run.record(job({'a': 1})); run.commit(); run.record(job({'b': 2}))\n"
        "print('ready', flush=True); sys.stdin.read()",
        path,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    kill(program)
    assert dict(RunFileReader(path).results()) == {"a": 1}


def test_a_file_of_the_other_kind_is_refused_and_left_as_it_was(path: Path, tmp_path: Path) -> None:
    recorded(path, [1, 2], {1: "one"})
    with pytest.raises(StoreError, match="another kind of calculation"):
        RunFile.open(path, None)
    RunFile.open(tmp_path / "open.run", None).close("interrupted")
    with pytest.raises(StoreError, match="another kind of calculation"):
        RunFile.open(tmp_path / "open.run", [])
    assert dict(RunFileReader(path).results()) == {1: "one"}
