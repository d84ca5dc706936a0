"""The master is killed within its commits, statement by statement: what was recorded is not computed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.master.helpers import Program, run_program
from tests.master.test_restart import times_computed
from tests.pool.helpers import wait_for_end_of_all_in
from tracking.errors import StoreError
from tracking.store.run_reader import RunFileReader

# Kills itself at the n-th statement of its run file; without a number it goes on to the end.
MASTER = """
import os, sys
from pathlib import Path
from tracking import TrackingJobMaster
from tracking.store import opening

connect, left = opening.connect, int(Path("n").read_text())

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)

def traced(path, mode):
    connection = connect(path, mode)
    connection.set_trace_callback(count)
    return connection

def work(value):
    with open(f"item{value}", "a") as file:
        file.write("x")
    return value * value

opening.connect = traced
master = TrackingJobMaster(
    {i: i for i in range(12)}, 2, ["localhost"] * 2, {}, verbose=0, function=work, run_file="it.run"
)
print(sum(master.calculateResult().values()))
"""
AT_OPENING = 28  # statements, about


def killed_at(directory: Path, n: int) -> bool:
    """Kill a master at its n-th statement, go on, and check; False if it came to its end alive."""
    directory.mkdir()
    (directory / "n").write_text(str(n))
    program = Program(directory, MASTER)
    status = program.wait()
    assert status in (0, -9), program.err
    wait_for_end_of_all_in(directory)
    recorded = recorded_in(directory / "it.run")
    before = times_computed(directory)
    (directory / "n").write_text("-1")
    assert run_program(directory, MASTER) == "506\n"
    after = times_computed(directory)
    assert all(after[f"item{i}"] == before[f"item{i}"] for i in recorded)
    assert set(after) == {f"item{i}" for i in range(12)}
    assert recorded_in(directory / "it.run") == set(range(12))
    return status != 0


def recorded_in(path: Path) -> set[object]:
    try:
        return set(dict(RunFileReader(path).results()))
    except StoreError:  # it had not come to a file
        return set()


@pytest.mark.parametrize("n", [3, AT_OPENING, AT_OPENING + 7, AT_OPENING + 12])
def test_a_master_killed_at_a_statement_is_resumed_without_loss(tmp_path: Path, n: int) -> None:
    assert killed_at(tmp_path / "run", n)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_master_killed_at_any_statement_is_resumed_without_loss(tmp_path: Path) -> None:
    n_killed = sum(killed_at(tmp_path / f"run{n}", n) for n in range(1, 60))
    assert n_killed >= 35
