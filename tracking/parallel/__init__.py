"""The interface of IMP.parallel on this engine: a manager, contexts of tasks, slaves.

A program written for it runs with its imports changed; ``docs/parallel.md`` says what else it may have now. Every name
is there in two vocabularies: slaves, and the later workers. Names are loaded on first use (PEP 562): a slave, which
finds the far side of a task in here, loads nothing else.

Example:
    >>> from tracking.parallel import LocalSlave, Manager
    >>> with Manager(output="/dev/null") as manager:
    ...     for _ in range(2):
    ...         manager.add_slave(LocalSlave())
    ...     context = manager.get_context(lambda: (10, 2))
    ...     for n in range(3):
    ...         task = context.add_task(lambda ten, two, n=n: ten * n + two)
    ...     sorted(context.get_results_unordered())
    [2, 12, 22]

Source: the names are those of IMP.parallel (Integrative Modeling Platform).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Error": "errors",
    "NetworkError": "errors",
    "NoMoreSlavesError": "errors",
    "NoMoreWorkersError": "errors",
    "RemoteError": "errors",
    "Slave": "slaves",
    "SlaveArray": "slaves",
    "LocalSlave": "slaves",
    "Worker": "slaves",
    "WorkerArray": "slaves",
    "LocalWorker": "slaves",
    "SGEQsubSlaveArray": "gridengine",
    "SGEPESlaveArray": "gridengine",
    "SGEQsubWorkerArray": "gridengine",
    "SGEPEWorkerArray": "gridengine",
    "HostSlaveArray": "engines",
    "HostWorkerArray": "engines",
    "SlurmSlaveArray": "engines",
    "SlurmWorkerArray": "engines",
    "GridEngineSlaveArray": "engines",
    "GridEngineWorkerArray": "engines",
    "MPISlaveArray": "engines",
    "MPIWorkerArray": "engines",
    "DaskSlaveArray": "engines",
    "DaskWorkerArray": "engines",
    "Context": "context",
    "Progress": "tasks",
    "Task": "tasks",
    "Manager": "manager",
}
_MODULES = (
    "slave_handler", "worker_handler", "slavestate", "workerstate", "master_communicator", "manager_communicator",
    "subproc", "util",
)  # fmt: skip

__all__ = list(_HOME)

if TYPE_CHECKING:
    from tracking.parallel.context import Context as Context
    from tracking.parallel.engines import DaskSlaveArray as DaskSlaveArray
    from tracking.parallel.engines import DaskWorkerArray as DaskWorkerArray
    from tracking.parallel.engines import GridEngineSlaveArray as GridEngineSlaveArray
    from tracking.parallel.engines import GridEngineWorkerArray as GridEngineWorkerArray
    from tracking.parallel.engines import HostSlaveArray as HostSlaveArray
    from tracking.parallel.engines import HostWorkerArray as HostWorkerArray
    from tracking.parallel.engines import MPISlaveArray as MPISlaveArray
    from tracking.parallel.engines import MPIWorkerArray as MPIWorkerArray
    from tracking.parallel.engines import SlurmSlaveArray as SlurmSlaveArray
    from tracking.parallel.engines import SlurmWorkerArray as SlurmWorkerArray
    from tracking.parallel.errors import Error as Error
    from tracking.parallel.errors import NetworkError as NetworkError
    from tracking.parallel.errors import NoMoreSlavesError as NoMoreSlavesError
    from tracking.parallel.errors import NoMoreWorkersError as NoMoreWorkersError
    from tracking.parallel.errors import RemoteError as RemoteError
    from tracking.parallel.gridengine import SGEPESlaveArray as SGEPESlaveArray
    from tracking.parallel.gridengine import SGEPEWorkerArray as SGEPEWorkerArray
    from tracking.parallel.gridengine import SGEQsubSlaveArray as SGEQsubSlaveArray
    from tracking.parallel.gridengine import SGEQsubWorkerArray as SGEQsubWorkerArray
    from tracking.parallel.manager import Manager as Manager
    from tracking.parallel.slaves import LocalSlave as LocalSlave
    from tracking.parallel.slaves import LocalWorker as LocalWorker
    from tracking.parallel.slaves import Slave as Slave
    from tracking.parallel.slaves import SlaveArray as SlaveArray
    from tracking.parallel.slaves import Worker as Worker
    from tracking.parallel.slaves import WorkerArray as WorkerArray
    from tracking.parallel.tasks import Progress as Progress
    from tracking.parallel.tasks import Task as Task


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"tracking.parallel.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'tracking.parallel' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"tracking.parallel.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])
