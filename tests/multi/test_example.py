"""The example under kill -9: of a slave, of the program; and on the ranks of MPI."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import engine
from tests.pool.helpers import wait_for_end_of_all_in

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "relax_monte_carlo.py"
N_ALL = 240


def run(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run it; if nobody ends it, it has found its own result right."""
    return subprocess.run(
        [*before, sys.executable, str(EXAMPLE), "--log", "log", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=55,
    )  # fmt: skip


def begun(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def table(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return lines[lines.index("spin        R (1/s)    error  expected") :][1:5]


def test_a_slave_that_is_killed_half_way_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", "--slaves", "2")
    killed = run(tmp_path, "--slaves", "2", "--kill-slave", str(tmp_path / "killed"))
    assert (tmp_path / "killed").exists()
    assert table(killed) == table(whole)
    assert len(begun(tmp_path / "whole")) == N_ALL
    assert N_ALL < len(begun(tmp_path)) < N_ALL + 60


def test_a_program_that_is_killed_half_way_goes_on_from_its_record(tmp_path: Path) -> None:
    killed = run(tmp_path, "--record", "record", "--interrupt-after", "100")
    assert killed.returncode == -signal.SIGKILL
    wait_for_end_of_all_in(tmp_path)
    (tmp_path / "log").unlink()
    again = run(tmp_path, "--record", "record")
    assert len(table(again)) == 4
    assert len(begun(tmp_path)) <= N_ALL - 100
    assert len(set(begun(tmp_path))) == len(begun(tmp_path))
    (tmp_path / "log").unlink()
    assert table(run(tmp_path, "--record", "record")) == table(again)
    assert not (tmp_path / "log").exists()  # nothing was computed


@pytest.mark.engine
def test_it_runs_on_the_ranks_of_mpi_and_a_killed_slave_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = engine("mpi", sys.executable)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    mpiexec = (environment["TRACKING_MPIEXEC"], "-n", "4")
    killed = str(tmp_path / "killed")
    assert len(table(run(tmp_path, "--processor", "mpi4py", "--kill-slave", killed, before=mpiexec))) == 4
    assert os.path.exists(killed)
