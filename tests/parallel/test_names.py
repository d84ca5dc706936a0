"""Every name, in both vocabularies, and what programs of old may set."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tracking.parallel as parallel
from tracking.parallel import slavestate

ROOT = Path(__file__).parents[2]

PAIRS = [
    ("NoMoreSlavesError", "NoMoreWorkersError"),
    ("Slave", "Worker"),
    ("SlaveArray", "WorkerArray"),
    ("LocalSlave", "LocalWorker"),
    ("SGEQsubSlaveArray", "SGEQsubWorkerArray"),
    ("SGEPESlaveArray", "SGEPEWorkerArray"),
]


@pytest.mark.parametrize(("slave", "worker"), PAIRS)
def test_each_name_is_there_in_both_vocabularies(slave: str, worker: str) -> None:
    assert getattr(parallel, slave) is getattr(parallel, worker)


@pytest.mark.parametrize("name", parallel.__all__)
def test_all_names_can_be_had(name: str) -> None:
    assert getattr(parallel, name) is not None
    assert name in dir(parallel)


def test_what_is_no_name_is_none() -> None:
    with pytest.raises(AttributeError, match="MpiSlave"):
        _ = parallel.MpiSlave  # type: ignore[attr-defined]


def test_errors_are_one_tree() -> None:
    for name in ("NetworkError", "NoMoreSlavesError", "RemoteError"):
        assert issubclass(getattr(parallel, name), parallel.Error)
    assert issubclass(parallel.Error, Exception)


@pytest.mark.parametrize(
    "name",
    ["slave_handler", "slavestate", "master_communicator", "subproc", "util",
     "worker_handler", "workerstate", "manager_communicator"],
)  # fmt: skip
def test_submodules_are_there_as_attributes_and_to_import(name: str) -> None:
    assert getattr(parallel, name) is importlib.import_module(f"tracking.parallel.{name}")


def test_limits_that_programs_set_are_there() -> None:
    assert parallel.Manager.connect_timeout == parallel.Manager.heartbeat_timeout == 7200
    assert parallel.SGEQsubSlaveArray.standard_options == "-j y -cwd -r n -o sge-errors"
    assert parallel.slave_handler._HeartBeatThread.timeout == 300  # type: ignore[attr-defined]
    assert parallel.master_communicator.MasterCommunicator.connect_timeout == 600  # type: ignore[attr-defined]
    assert parallel.manager_communicator.ManagerCommunicator.connect_timeout == 600  # type: ignore[attr-defined]


def test_signatures_are_those_of_old() -> None:
    names = list(inspect.signature(parallel.Manager).parameters)
    assert names[:3] == ["python", "host", "output"]
    assert inspect.signature(parallel.Manager).parameters["output"].default == "slave%d.output"
    assert list(inspect.signature(parallel.Context).parameters)[:2] == ["manager", "startup"]
    for array in (parallel.SGEQsubSlaveArray(numslave=2, options=""), parallel.SGEQsubWorkerArray(numworker=2)):
        assert len(array._get_slaves()) == len(array._get_workers()) == 2
    assert len(parallel.SGEQsubSlaveArray()._get_slaves()) == 1


def test_states_have_their_old_names() -> None:
    from tracking.parallel import workerstate

    for name in ("init", "started", "connected", "running_task", "dead"):
        assert getattr(slavestate, name) == getattr(workerstate, name) == name


def test_a_slave_knows_when_it_was_heard_of() -> None:
    slave = parallel.LocalSlave()
    assert slave._state == slavestate.init
    assert slave.get_contact_timed_out(10)
    slave.update_contact_time()
    assert slave.last_contact_time > 0
    assert not slave.get_contact_timed_out(10)
    assert slave.get_contact_timed_out(-1)
    assert not slave.get_data_pending()


def test_the_base_of_a_kind_of_one_s_own_says_that_it_was_started() -> None:
    slave = parallel.Slave()
    slave._start("command", "1:1", "output")
    assert slave._state == slavestate.started
    with pytest.raises(NotImplementedError, match="_get_slaves"):
        parallel.SlaveArray()._get_slaves()


def test_a_slave_loads_none_of_the_manager_s_side() -> None:
    code = (
        "import sys; from tracking.parallel.far_side import run, SetUp; "
        "print([m for m in sys.modules if m.startswith('tracking.')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said.strip() == "['tracking.parallel', 'tracking.parallel.far_side']"


def test_importing_the_interface_starts_and_loads_nothing() -> None:
    code = "import sys, tracking.parallel; print([m for m in sys.modules if m.startswith('tracking.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said.strip() == "['tracking.parallel']"
