"""Calculations over every fabric, each doing what all must do; and what only hosts of a network can suffer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import engine, engine_anew
from tests.fabrics.dask_clusters import QUEUED, Cluster
from tests.fabrics.relays import LauncherHere
from tracking import TrackingJobMaster
from tracking.fabrics import DaskFabric, DialledFabric, GridEngineFabric, LocalFabric, MpiFabric, SlurmFabric, SshFabric
from tracking.fabrics.base import Fabric
from tracking.fabrics.relayed import RelayedFabric
from tracking.testing.contracts import CalculationContract, Make
from tracking.testing.contracts.chores import nap, square_here

NODES = frozenset({"node1", "node2", "node3"})
on_engines = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(180)]


class TestLocal(CalculationContract):
    @pytest.fixture
    def make(self) -> Make:
        return LocalFabric


class TestRelaysHere(CalculationContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda: RelayedFabric(LauncherHere())


class TestDialled(CalculationContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda: DialledFabric(is_encrypted=True)


class OnNodes(CalculationContract):
    """Hosts with a network of their own: one may crash, another may be cut off.

    Attributes:
        wire: name of a host's cable, without its number.
        folder: environment variable that names where its process numbers are.
        up: script and arguments that repair the engine.
    """

    nodes = NODES
    wire = ""
    folder = ""
    up: tuple[str, ...] = ()

    @pytest.fixture
    def repaired(self) -> Iterator[None]:
        """Whatever the test does to its hosts."""
        yield
        for number in (1, 2, 3):
            subprocess.run(["ip", "link", "set", f"{self.wire}{number}", "up"], check=False)
        engine_anew(*self.up)

    def runs_on_though(self, make: Make, harm: Any) -> None:
        """A calculation, half-way through which some harm is done, is right."""
        data = {n: n for n in range(1500)}
        master = self.master(make, data, function=nap)
        master.start()
        for count, _ in enumerate(master, start=1):
            if count == 300:
                harm()
        assert master.result == {n: n * n for n in data}
        assert master.errors == {}

    @pytest.mark.usefixtures("repaired")
    def test_a_host_that_crashes_costs_nothing_but_time(self, make: Make) -> None:
        file = Path(os.environ[self.folder], "node2.pid")
        self.runs_on_though(make, lambda: os.kill(int(file.read_text().split()[0]), 9))

    @pytest.mark.usefixtures("repaired")
    def test_a_network_that_is_cut_costs_nothing_but_time(self, make: Make) -> None:
        self.runs_on_though(make, lambda: subprocess.run(["ip", "link", "set", f"{self.wire}2", "down"], check=True))


class TestSsh(OnNodes):
    pytestmark = on_engines
    hosts = ("node1*2", "node2", "node3")
    wire, folder, up = "trk", "TRACKING_SSH_DIR", ("ssh", "-m", "netns")

    @pytest.fixture
    def make(self, environment: Any) -> Make:
        config = environment(engine(*self.up))["TRACKING_SSH_CONFIG"]

        def make() -> Fabric:
            return SshFabric(config, python=sys.executable)

        return make


class TestSlurm(OnNodes):
    pytestmark = on_engines
    hosts = 5
    wire, folder, up = "trs", "TRACKING_SLURM_DIR", ("slurm", "-m", "netns")

    @pytest.fixture
    def make(self, environment: Any, tmp_path: Path) -> Make:
        environment(engine(*self.up))
        return lambda: SlurmFabric(files=tmp_path)


class TestGridEngineArray(OnNodes):
    pytestmark = on_engines
    hosts = 5
    wire, folder, up = "trg", "TRACKING_SGE_DIR", ("sge",)

    @pytest.fixture
    def make(self, environment: Any, tmp_path: Path) -> Make:
        environment(engine(*self.up))
        return lambda: GridEngineFabric(files=tmp_path)


class TestGridEngineParallelEnvironment(TestGridEngineArray):
    @pytest.fixture
    def make(self, environment: Any, tmp_path: Path) -> Make:
        environment(engine(*self.up))
        return lambda: GridEngineFabric(parallel_environment="spread", files=tmp_path)


class TestMpi(CalculationContract):
    pytestmark = on_engines

    @pytest.fixture
    def make(self, environment: Any, tmp_path: Path) -> Make:
        mpiexec = environment(engine("mpi", sys.executable))["TRACKING_MPIEXEC"]
        return lambda: MpiFabric(mpiexec=mpiexec, files=tmp_path)


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if os.environ.get("TRACKING_ENGINES_REQUIRED") != "1":
        pytest.importorskip("distributed", reason="Dask is not installed: pip install 'tracking[dask]'")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


class TestDask(CalculationContract):
    pytestmark = on_engines

    @pytest.fixture
    def make(self, dask_cluster: Cluster) -> Iterator[Make]:
        yield lambda: DaskFabric(dask_cluster.address)
        dask_cluster.wait_until("idle", "0 2")


@pytest.fixture
def dask_on_slurm(tmp_path: Path) -> Iterator[Cluster]:
    if os.environ.get("TRACKING_ENGINES_REQUIRED") != "1":
        pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    variables = engine("slurm", "-m", "netns")
    cluster = Cluster(tmp_path, variables["TRACKING_SLURM_MASTER"], code=QUEUED, environment=variables)
    yield cluster
    cluster.close()


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_calculation_on_dask_workers_that_slurm_has_started_is_right_and_they_are_left_as_they_were(
    dask_on_slurm: Cluster,
) -> None:
    data = {n: n for n in range(300)}
    master = TrackingJobMaster(data, function=square_here, fabric=DaskFabric(dask_on_slurm.address), verbose=0)
    result = master.calculateResult()
    assert {n: square for n, (square, _) in result.items()} == {n: n * n for n in data}
    assert {host for _, host in result.values()} <= NODES
    assert dask_on_slurm.ask("threads") == "4"
    dask_on_slurm.wait_until("idle", "0 2")
