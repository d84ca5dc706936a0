"""Slaves of every fabric."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.engines import engine
from tests.parallel import work
from tests.parallel.conftest import ManagerOf
from tracking import InputError
from tracking.fabrics.dialled import DialledFabric
from tracking.parallel import (
    DaskSlaveArray,
    DaskWorkerArray,
    GridEngineSlaveArray,
    GridEngineWorkerArray,
    HostSlaveArray,
    HostWorkerArray,
    MPISlaveArray,
    MPIWorkerArray,
    NetworkError,
    SlurmSlaveArray,
    SlurmWorkerArray,
)
from tracking.testing import ScriptedFabric


def test_they_are_there_in_both_vocabularies() -> None:
    assert HostSlaveArray is HostWorkerArray
    assert SlurmSlaveArray is SlurmWorkerArray
    assert GridEngineSlaveArray is GridEngineWorkerArray
    assert MPISlaveArray is MPIWorkerArray
    assert DaskSlaveArray is DaskWorkerArray


def test_slaves_of_any_fabric_work_beside_local_ones(manager_of: ManagerOf, own_folder: Path) -> None:
    manager = manager_of(1)
    manager.add_slave(HostSlaveArray(2, DialledFabric()))
    manager.add_slave(HostSlaveArray(["localhost*2"]))
    context = manager.get_context(work.three)
    for n in range(40):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(6, 46))
    assert sorted(path.name for path in own_folder.iterdir()) == [f"slave{n}.output" for n in range(5)]
    assert repr(manager._hub.slaves["slave3"]) == "<EngineSlave localhost>"


def test_hosts_that_cannot_be_used_are_no_obstacle_while_others_can(
    manager_of: ManagerOf, caplog: pytest.LogCaptureFixture
) -> None:
    fabric = ScriptedFabric()
    fabric.failing = {"bad": "no route"}
    manager = manager_of(1)
    manager.add_slave(HostSlaveArray(["bad", "bad"], fabric))
    context = manager.get_context()
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]
    assert "cannot be started: no slave can be started on any host: bad: no route" in caplog.text


def test_where_no_host_can_be_used_that_is_the_error(manager_of: ManagerOf) -> None:
    fabric = ScriptedFabric()
    fabric.failing = {"bad": "no route"}
    manager = manager_of(0)
    manager.add_slave(HostSlaveArray(["bad"], fabric))
    context = manager.get_context()
    context.add_task(work.Add(1))
    with pytest.raises(NetworkError, match=r"No slave could be started.*no route"):
        list(context.get_results_unordered())


def test_wrong_hosts_are_refused(manager_of: ManagerOf) -> None:
    manager = manager_of(0)
    manager.add_slave(HostSlaveArray(["a,b"]))
    with pytest.raises(InputError, match="give a list"):
        list(manager.get_context().get_results_unordered())


@pytest.mark.engine
def test_slaves_in_the_queues_of_slurm_work(manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in engine("slurm").items():
        monkeypatch.setenv(name, value)
    manager = manager_of(1)
    manager.add_slave(SlurmSlaveArray(2))
    context = manager.get_context()
    seen: set[str] = set()
    while len(seen) < 2:
        tasks = [context.add_task(work.Add(n)) for n in range(8)]
        assert sorted(context.get_results_unordered()) == list(range(8))
        seen |= {task.host for task in tasks}
    assert sum(report.tasks for report in manager.hosts.values()) % 8 == 0


@pytest.mark.engine
def test_slaves_in_the_queues_of_grid_engine_work(manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in engine("sge").items():
        monkeypatch.setenv(name, value)
    manager = manager_of(0)
    manager.add_slave(GridEngineSlaveArray(2))
    context = manager.get_context()
    for n in range(8):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(8))


@pytest.mark.engine
def test_slaves_that_mpi_starts_work(manager_of: ManagerOf) -> None:
    engine("mpi", sys.executable)
    manager = manager_of(0)
    manager.add_slave(MPISlaveArray(2))
    context = manager.get_context()
    for n in range(8):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(8))


@pytest.mark.engine
def test_slaves_over_ssh_work(manager_of: ManagerOf) -> None:
    variables = engine("ssh")
    from tracking.fabrics.ssh.fabric import SshFabric

    hosts = variables["TRACKING_SSH_HOSTS"].replace(",", " ").split()
    manager = manager_of(1)
    manager.add_slave(HostSlaveArray(hosts[:2], SshFabric(config=variables["TRACKING_SSH_CONFIG"])))
    context = manager.get_context()
    seen: set[str] = set()
    while len(seen) < 3:
        tasks = [context.add_task(work.Add(n)) for n in range(12)]
        assert sorted(context.get_results_unordered()) == list(range(12))
        seen |= {task.host for task in tasks}
