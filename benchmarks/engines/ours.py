"""This package on each engine, by its public names only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from benchmarks.engines.crews import Crew, Nap
from benchmarks.engines.work import Worker
from tracking import SlavePool, TrackingJobMaster, fabrics


class Ours(Crew):
    """Masters over one pool, so that its start, its work and its end can be told apart."""

    def prepare(self) -> None:
        self._cluster: Any = None
        if self.engine == "dask":
            from distributed import Client, LocalCluster

            self._cluster = LocalCluster(n_workers=self.slaves, threads_per_worker=1, dashboard_address=None)
            self._client = Client(self._cluster)
            self._client.wait_for_workers(self.slaves)
        self._make()  # imports what there is to import, but for what makes certificates
        with suppress(ImportError):
            import cryptography.hazmat.primitives.asymmetric.ec
            import cryptography.x509  # noqa: F401

    def _make(self) -> tuple[Any, Any]:
        """(hosts, fabric)."""
        if self.engine == "local":
            return ["localhost"] * self.slaves, None
        if self.engine == "ssh":
            hosts = ssh_hosts(self.slaves)
            return hosts, fabrics.SshFabric(os.environ.get("TRACKING_SSH_CONFIG"), python=sys.executable)
        make: dict[str, Any] = {
            "slurm": lambda: fabrics.SlurmFabric(),
            "gridengine": lambda: fabrics.GridEngineFabric(),
            "gridengine-pe": lambda: fabrics.GridEngineFabric(parallel_environment=parallel_environment()),
            "mpi": lambda: fabrics.MpiFabric(mpiexec=os.environ.get("TRACKING_MPIEXEC")),
            "dask": lambda: fabrics.DaskFabric(self._client),
        }
        return self.slaves, make[self.engine]()

    def start(self) -> None:
        hosts, fabric = self._make()
        self._pool = SlavePool(hosts, fabric=fabric)

    def answers(self, function: Nap, seconds: Sequence[float]) -> Iterable[Worker]:
        items = dict(enumerate(seconds))
        master = TrackingJobMaster(items, chunk_size=1, function=function, pool=self._pool, verbose=0)
        master.start()
        for _, worker in master:
            yield worker

    def close(self) -> None:
        self._pool.shutdown()

    def tidy(self) -> None:
        if self._cluster is not None:
            self._client.close()
            self._cluster.close()


def ssh_hosts(slaves: int) -> list[str]:
    """So many entries: the hosts in turn."""
    hosts = os.environ["TRACKING_SSH_HOSTS"].split()
    return [hosts[number % len(hosts)] for number in range(slaves)]


def parallel_environment() -> str:
    """That of the tests' Grid Engine, unless another is named."""
    return os.environ.get("TRACKING_SGE_PE", "spread")
