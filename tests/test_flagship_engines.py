"""The flagship's numbers come out the same over every engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import engine
from tests.test_examples import EXAMPLES, FLAGSHIP, ROOT, load_matrix, require, said

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(240)]

TRIES = 2  # an engine may be restarted under us by other tests on this machine
LIMIT_S = 100

Run = Callable[..., None]


@pytest.fixture(autouse=True)
def is_installed() -> None:
    require("numpy", "matplotlib", "MDAnalysisTests")


@pytest.fixture(scope="module")
def by_serial_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The matrix of the C-alpha atoms as one process finds it that knows nothing of slaves."""
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


def search_path(*first: Path) -> str:
    return os.pathsep.join(filter(None, [*map(str, first), str(ROOT), os.environ.get("PYTHONPATH")]))


@pytest.fixture
def agrees(tmp_path: Path, by_serial_program: Path) -> Run:
    """Runs the flagship, which compares its numbers with those of independent programs, and compares the matrix."""

    def run(*arguments: object, before: tuple[str, ...] = (sys.executable,), **variables: str) -> None:
        matrix, run_file = tmp_path / "matrix.npy", tmp_path / "rmsd.run"
        files = ["-o", str(tmp_path / "map.png"), "--matrix", str(matrix), "--run-file", str(run_file)]
        command = [*before, str(FLAGSHIP), *map(str, arguments), *files, "--verbose"]
        environment = {**os.environ, "PYTHONPATH": search_path(), **variables}
        for attempt in range(TRIES):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
            if done.returncode == 0 or attempt == TRIES - 1:
                break
        assert done.returncode == 0, said(done)
        import numpy as np

        for selection in ("CA", "all"):
            assert np.isfinite(load_matrix(tmp_path / f"matrix-{selection}.npy")).all()
        expected = load_matrix(by_serial_program)
        off_diagonal = ~np.eye(len(expected), dtype=bool)
        found = load_matrix(tmp_path / "matrix-CA.npy")
        assert np.abs(found - expected)[off_diagonal].max() < 1e-6

    return run


def test_over_ssh_on_three_hosts_with_networks_of_their_own(agrees: Run) -> None:
    variables = engine("ssh", "-m", "netns")
    config = variables["TRACKING_SSH_CONFIG"]
    agrees("--hosts", *variables["TRACKING_SSH_HOSTS"].split(), "--fabric", "ssh", config, f"python={sys.executable}")


def test_over_slurm_on_three_nodes(agrees: Run, tmp_path: Path) -> None:
    variables = engine("slurm", "-m", "netns")
    agrees("--hosts", 6, "--fabric", "slurm", f"files={tmp_path}", **variables)


@pytest.mark.parametrize("way", [(), ("parallel_environment=spread",)], ids=["array", "parallel environment"])
def test_over_grid_engine(agrees: Run, way: tuple[str, ...], tmp_path: Path) -> None:
    agrees("--hosts", 6, "--fabric", "gridengine", f"files={tmp_path}", *way, **engine("sge"))


def test_with_slaves_on_the_ranks_of_mpiexec(agrees: Run) -> None:
    variables = engine("mpi", sys.executable)
    before = (variables["TRACKING_MPIEXEC"], "-n", "4", sys.executable, "-m", "tracking.fabrics.mpi")
    agrees(before=before, **variables)


def test_with_slaves_that_mpi_starts(agrees: Run) -> None:
    variables = engine("mpi", sys.executable)
    agrees("--hosts", 3, "--fabric", "mpi", f"mpiexec={variables['TRACKING_MPIEXEC']}", **variables)


@pytest.fixture
def dask_address(tmp_path: Path) -> Iterator[str]:
    """A cluster in a process of its own: scheduler and two workers."""
    pytest.importorskip("distributed")
    code = (
        "import sys; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None)\n"
        "    print(cluster.scheduler_address, flush=True); sys.stdin.read(); cluster.close()\n"
    )
    program = tmp_path / "cluster.py"
    program.write_text(code)
    environment = {**os.environ, "PYTHONPATH": search_path(), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    command = [sys.executable, str(program)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(30)


def test_on_the_workers_of_a_dask_cluster(agrees: Run, dask_address: str) -> None:
    agrees("--fabric", "dask", dask_address)
