"""Dask on each engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import cloudpickle
import distributed
from distributed import Client, LocalCluster, as_completed

from benchmarks.engines import work
from benchmarks.engines.crews import Crew, Nap
from benchmarks.engines.work import Worker
from benchmarks.runner import ROOT

_MEMORY = "400MB"  # must be said; Dask's workers watch it, and queues are asked for it


class _OnCluster(Crew):
    """Any cluster of Dask's."""

    def prepare(self) -> None:
        cloudpickle.register_pickle_by_value(work)  # workers elsewhere do not have it

    def cluster(self) -> Any:
        raise NotImplementedError

    def start(self) -> None:
        self._cluster = self.cluster()
        self._client = Client(self._cluster)

    def answers(self, function: Nap, seconds: Sequence[float]) -> Iterable[Worker]:
        futures = self._client.map(function, seconds, pure=False)
        return (Worker(*result) for _, result in as_completed(futures, with_results=True))

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


class Local(_OnCluster):
    """Processes on this machine."""

    def cluster(self) -> Any:
        return LocalCluster(n_workers=self.slaves, threads_per_worker=1, dashboard_address=None)


class Submit(Local):
    """A cluster that is there already."""

    leaves_workers = True

    def prepare(self) -> None:
        super().prepare()
        super().start()
        self._client.wait_for_workers(self.slaves)
        self._client.close()

    def start(self) -> None:
        self._client = Client(self._cluster)

    def close(self) -> None:
        self._client.close()

    def tidy(self) -> None:
        self._cluster.close()


class Ssh(_OnCluster):
    """The first host is the scheduler's: this machine, as dask-jobqueue's is."""

    def cluster(self) -> Any:
        from benchmarks.engines.ours import ssh_hosts

        hosts = ssh_hosts(self.slaves)
        options = {"config": os.environ.get("TRACKING_SSH_CONFIG", ())}
        return distributed.SSHCluster(
            [hosts[0], *hosts],
            connect_options=options,
            worker_options={"nthreads": 1},
            scheduler_options={"port": 0, "dashboard": False},
            remote_python=f"env PYTHONPATH={ROOT} {sys.executable}",
        )


class _Queued(_OnCluster):
    """dask-jobqueue: one job a worker, one process and core each."""

    def __init__(self, nanny: bool = True) -> None:
        self._nanny = nanny

    def options(self) -> dict[str, Any]:
        host = os.environ.get("TRACKING_SLURM_MASTER" if self.engine == "slurm" else "TRACKING_SGE_MASTER")
        scheduler = {"dashboard_address": None} | ({"host": host} if host else {})
        return {
            "cores": 1, "processes": 1, "memory": _MEMORY, "nanny": self._nanny, "python": sys.executable,
            "scheduler_options": scheduler, "log_directory": os.environ.get("TMPDIR"),
            "worker_extra_args": ["--no-dashboard"],
        }  # fmt: skip

    def start(self) -> None:
        self._cluster = self.cluster()
        self._cluster.scale(jobs=self.slaves)
        self._client = Client(self._cluster)


class Slurm(_Queued):
    """SLURMCluster."""

    def prepare(self) -> None:
        super().prepare()
        from dask_jobqueue import SLURMCluster

        self._kind: Any = SLURMCluster

    def cluster(self) -> Any:
        return self._kind(**self.options())


class GridEngine(_Queued):
    """SGECluster."""

    def prepare(self) -> None:
        super().prepare()
        from dask_jobqueue import SGECluster

        self._kind: Any = SGECluster

    def cluster(self) -> Any:
        return self._kind(**self.options())
