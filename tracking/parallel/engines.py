"""Slaves on everything that the engine of this package can reach: other hosts, Slurm, Grid Engine, MPI, Dask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from tracking.fabrics.base import Fabric
from tracking.fabrics.registry import Fabrics, fabric_class, make_fabric
from tracking.parallel.slaves import EngineSlaveArray
from tracking.pool import arguments


class HostSlaveArray(EngineSlaveArray):
    """A slave for each of these hosts: on this machine, on others over ssh, or by any fabric.

    Args:
        hosts: as of a ``SlavePool``: names, 'name*n', '@FILE', or how many.
        fabric: a name or a fabric; None: as the names of the hosts say.
    """

    def __init__(self, hosts: int | str | Iterable[str], fabric: str | Fabric | None = None) -> None:
        self._given = hosts
        self._its_fabric = None if fabric is None else make_fabric(fabric)

    def _make_fabric(self) -> str | Fabric | None:
        return self._its_fabric

    def _hosts(self) -> list[str]:
        return arguments.checked_hosts(self._given, Fabrics(self._its_fabric))


class _OfEngine(EngineSlaveArray):
    """Slaves of an engine that chooses the hosts.

    Args:
        numslave: how many; None: as many as it has room for.
        numworker: the same.
        options: of the fabric, see its class.
    """

    _name: ClassVar[str] = ""

    def __init__(self, numslave: int | None = None, *, numworker: int | None = None, **options: Any) -> None:
        self._count = numworker if numslave is None else numslave
        self._made: Fabric = fabric_class(self._name)(**options)

    def _make_fabric(self) -> str | Fabric | None:
        return self._made

    def _hosts(self) -> list[str]:
        return self._made.hosts_for(self._count)


class SlurmSlaveArray(_OfEngine):
    """Slaves in the queues of Slurm; options as of ``SlurmFabric``."""

    _name = "slurm"


class GridEngineSlaveArray(_OfEngine):
    """Slaves in the queues of a Grid Engine; options as of ``GridEngineFabric``."""

    _name = "gridengine"


class MPISlaveArray(_OfEngine):
    """Slaves that MPI starts; options as of ``MpiFabric``."""

    _name = "mpi"


class DaskSlaveArray(_OfEngine):
    """Slaves on the workers of a Dask cluster; options as of ``DaskFabric``."""

    _name = "dask"


HostWorkerArray = HostSlaveArray
SlurmWorkerArray = SlurmSlaveArray
GridEngineWorkerArray = GridEngineSlaveArray
MPIWorkerArray = MPISlaveArray
DaskWorkerArray = DaskSlaveArray
