"""What stands in a run file that was damaged is refused in words, not taken for something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import job
from tracking.errors import StoreError
from tracking.store.run_file import RunFile, RunFileReader

IDS = [*range(60), "a", "b", (1, 2)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run file with results of a few jobs."""
    path = tmp_path / "x.run"
    run = RunFile.open(path, IDS)
    run.record(job({id: id for id in range(10)}))
    run.record(job({20: 1, 30: 2, 25: 3}))
    run.record(job({"a": 1, (1, 2): 2}))
    assert run.close("interrupted")
    return path


def by_reader(path: Path) -> None:
    dict(RunFileReader(path).results())


def by_writer(path: Path) -> None:
    run = RunFile.open(path, IDS)
    try:
        dict(run.stored_results().among())
        run.results()
    finally:
        run.close("interrupted")


@pytest.mark.parametrize("go", [by_reader, by_writer])
@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("jobs SET positions = ? WHERE job = 2", "[20,30"),
        ("jobs SET positions = ? WHERE job = 2", '["20",30,25]'),
        ("jobs SET positions = ? WHERE job = 2", None),
        ("jobs SET positions = ? WHERE job = 1", -1),
        ("jobs SET positions = ? WHERE job = 1", 60),
        ("jobs SET positions = ? WHERE job = 1", 2**40),
        ("jobs SET items = ? WHERE job = 1", 12),
        ("jobs SET payload = ? WHERE job = 1", None),
        ("jobs SET payload = ? WHERE job = 1", b"N."),
        ("ids SET ids = ?, keys = NULL", "[1, 2"),
        ("ids SET ids = ?, keys = NULL", "[1, 2]"),
        ("ids SET keys = ?", b"no pickle"),
        ("meta SET value = ? WHERE key = 'n_items'", "many"),
    ],
)
def test_what_makes_no_sense_is_refused(path: Path, go: Callable[[Path], None], change: str, value: Any) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE {change}", (value,))
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=r"run file .*x\.run"):
        go(path)


def test_results_that_are_fewer_than_their_items_are_not_spread_over_them(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE jobs SET items = 9 WHERE job = 1")
    connection.commit()
    connection.close()
    with RunFileReader(path) as reader:
        assert dict(reader.results())[8] == 8
    run = RunFile.open(path, IDS)
    with pytest.raises(StoreError, match="job 1 has not as many results as items"):
        dict(run.stored_results().among())
    run.close("interrupted")


def test_ids_that_go_on_beyond_64_bits_are_recorded(tmp_path: Path) -> None:
    ids = range(2**70, 2**70 + 3)
    run = RunFile.open(tmp_path / "x.run", ids)
    run.record(job({2**70 + 1: "there"}))
    assert run.close("interrupted")
    run = RunFile.open(tmp_path / "x.run", ids)
    assert run.results() == {2**70 + 1: "there"}
    run.close("interrupted")
