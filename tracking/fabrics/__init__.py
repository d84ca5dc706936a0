"""Fabrics: what brings slaves to life, here or elsewhere. Each is loaded when it is first asked for (PEP 562).

>>> from tracking.fabrics import LocalFabric
>>> LocalFabric.name
'local'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_BY_NAME = {
    "DaskFabric": "dask",
    "DialledFabric": "dialled",
    "GridEngineFabric": "gridengine",
    "LocalFabric": "local",
    "MpiFabric": "mpi",
    "SlurmFabric": "slurm",
    "SshFabric": "ssh",
}
_HOME = {
    "BaseFabric": "base",
    "Fabric": "base",
    "HostSettings": "settings",
}

__all__ = [*_BY_NAME, *_HOME]

if TYPE_CHECKING:
    from tracking.fabrics.base import BaseFabric as BaseFabric
    from tracking.fabrics.base import Fabric as Fabric
    from tracking.fabrics.dask import DaskFabric as DaskFabric
    from tracking.fabrics.dialled import DialledFabric as DialledFabric
    from tracking.fabrics.local import LocalFabric as LocalFabric
    from tracking.fabrics.mpi import MpiFabric as MpiFabric
    from tracking.fabrics.queues.gridengine.fabric import GridEngineFabric as GridEngineFabric
    from tracking.fabrics.queues.slurm.fabric import SlurmFabric as SlurmFabric
    from tracking.fabrics.settings import HostSettings as HostSettings
    from tracking.fabrics.ssh.fabric import SshFabric as SshFabric


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"tracking.fabrics.{_HOME[name]}"), name)
    elif name in _BY_NAME:
        from tracking.fabrics.registry import fabric_class

        value = fabric_class(_BY_NAME[name])
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
