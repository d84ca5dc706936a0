"""The flagship's numbers come out the same over every engine, and the example for other machines runs there."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.engines import engine, engine_anew
from tests.test_examples import EXAMPLES, FLAGSHIP, ROOT, load_matrix, require, said

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(400)]

TRIES = 2  # an engine may be restarted under us by other tests on this machine
LIMIT_S = 150
NODES = frozenset({"node1", "node2", "node3"})
HERE = frozenset({socket.gethostname()})


@dataclass(frozen=True)
class Engine:
    """Where an example is to run.

    Attributes:
        arguments: of the example.
        variables: of its environment.
        hosts: that may take part.
        starter: what the program is handed to.
        up: script and arguments that repair it.
        window: frames in each window of the flagship; the smaller, the more there is for hosts that come late.
    """

    arguments: tuple[str, ...]
    variables: dict[str, str]
    hosts: frozenset[str] = HERE
    starter: tuple[str, ...] = (sys.executable,)
    up: tuple[str, ...] = ()
    window: int = 10


def over_ssh(folder: Path) -> Engine:
    """Three hosts, each with a network of its own."""
    variables = engine("ssh", "-m", "netns")
    hosts = variables["TRACKING_SSH_HOSTS"].split()
    arguments = ("--hosts", *hosts, "--fabric", "ssh", variables["TRACKING_SSH_CONFIG"], f"python={sys.executable}")
    return Engine(arguments, {}, NODES, up=("ssh", "-m", "netns"))


def over_slurm(folder: Path) -> Engine:
    """Three nodes."""
    arguments = ("--hosts", "6", "--fabric", "slurm", f"files={folder}")
    return Engine(arguments, engine("slurm", "-m", "netns"), NODES, up=("slurm", "-m", "netns"))


def over_grid_engine(folder: Path) -> Engine:
    """An array of jobs."""
    arguments = ("--hosts", "6", "--fabric", "gridengine", f"files={folder}")
    return Engine(arguments, engine("sge"), NODES, up=("sge",))


def over_a_parallel_environment(folder: Path) -> Engine:
    """One job of Grid Engine on all nodes."""
    array = over_grid_engine(folder)
    return replace(array, arguments=(*array.arguments, "parallel_environment=spread"), window=1)


def over_ranks(folder: Path) -> Engine:
    """The program is rank 0 of a job of MPI."""
    variables = engine("mpi", sys.executable)
    starter = (variables["TRACKING_MPIEXEC"], "-n", "4", sys.executable, "-m", "tracking.fabrics.mpi")
    return Engine((), variables, starter=starter)


def over_mpi(folder: Path) -> Engine:
    """An ordinary program, whose slaves are started by MPI."""
    variables = engine("mpi", sys.executable)
    arguments = ("--hosts", "3", "--fabric", "mpi", f"mpiexec={variables['TRACKING_MPIEXEC']}")
    return Engine(arguments, variables)


ENGINES = [over_ssh, over_slurm, over_grid_engine, over_a_parallel_environment, over_ranks, over_mpi]


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Engine]:
    """A cluster in a process of its own: scheduler and two workers."""
    pytest.importorskip("distributed")
    program = tmp_path / "cluster.py"
    program.write_text(
        "import sys; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None)\n"
        "    print(cluster.scheduler_address, flush=True); sys.stdin.read(); cluster.close()\n"
    )
    environment = {**os.environ, "PYTHONPATH": search_path(), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Engine(("--fabric", "dask", process.stdout.readline().strip()), {})
        finally:
            process.stdin.close()
            process.wait(30)


def search_path(*first: Path) -> str:
    return os.pathsep.join(filter(None, [*map(str, first), str(ROOT), os.environ.get("PYTHONPATH")]))


def run(engine: Engine, program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*engine.starter, str(program), *engine.arguments, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": search_path(), **engine.variables}
    for _ in range(TRIES):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode == 0 or not engine.up:
            break
        engine_anew(*engine.up)
    assert done.returncode == 0, said(done)
    return done


# ---- the flagship


@pytest.fixture(scope="module")
def by_serial_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The matrix of the C-alpha atoms as one process finds it that knows nothing of slaves."""
    require("numpy", "matplotlib", "MDAnalysisTests")
    path = tmp_path_factory.mktemp("serial") / "serial.npy"
    code = (
        "import sys, numpy; from trajectory_frames import *; from trajectory_superposition import *\n"
        "topology, path = adk_files(); frames = DcdTrajectory.open(path)\n"
        "atoms = centred(frames.read(0, frames.n_frames)[:, :, selected_atoms(topology, 'CA')])\n"
        "numpy.save(sys.argv[1], pairwise_rmsd(atoms, atoms))"
    )
    environment = {**os.environ, "PYTHONPATH": search_path(EXAMPLES)}
    subprocess.run([sys.executable, "-c", code, path], env=environment, check=True, timeout=50)
    return path


def agrees(engine: Engine, folder: Path, by_serial_program: Path) -> None:
    """The flagship compares its numbers with those of independent programs; the matrix is compared, too."""
    import numpy as np

    files = ("-o", folder / "map.png", "--matrix", folder / "matrix.npy", "--run-file", folder / "rmsd.run")
    run(engine, FLAGSHIP, *files, "--window", engine.window, "--verbose")
    assert np.isfinite(load_matrix(folder / "matrix-all.npy")).all()
    found, expected = load_matrix(folder / "matrix-CA.npy"), load_matrix(by_serial_program)
    off_diagonal = ~np.eye(len(expected), dtype=bool)
    assert np.abs(found - expected)[off_diagonal].max() < 1e-6
    hosts = hosts_of(folder / "rmsd-CA.run") | hosts_of(folder / "rmsd-all.run")
    assert hosts <= engine.hosts
    assert len(hosts) > 1 or len(engine.hosts) == 1


def hosts_of(run_file: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(run_file)) as record:
        return {host for (host,) in record.execute("SELECT DISTINCT host FROM item_states")}


@pytest.mark.parametrize("engine_of", ENGINES)
def test_the_flagship_finds_the_same(
    engine_of: Callable[[Path], Engine], tmp_path: Path, by_serial_program: Path
) -> None:
    agrees(engine_of(tmp_path), tmp_path, by_serial_program)


def test_the_flagship_finds_the_same_on_dask(dask: Engine, tmp_path: Path, by_serial_program: Path) -> None:
    agrees(dask, tmp_path, by_serial_program)


# ---- the example for other machines


@pytest.mark.parametrize("engine_of", ENGINES)
def test_the_example_for_other_machines_runs_there(engine_of: Callable[[Path], Engine], tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    done = run(engine, EXAMPLES / "beyond_one_machine.py")
    shares = dict(share.split(" has done ") for share in done.stdout.splitlines()[-1].split("; "))
    assert set(shares) <= engine.hosts
    assert sum(map(int, shares.values())) == 400


def test_the_example_for_other_machines_runs_on_dask(dask: Engine) -> None:
    assert run(dask, EXAMPLES / "beyond_one_machine.py").stdout.endswith(" has done 400\n")
