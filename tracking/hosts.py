"""The machines that there are, from the hosts file, under the names that old programs know.

::

    from tracking.hosts import cpus_all, nice_dic
    TrackingJobMaster(data, 10, cpus_all, nice_dic, ...)

- ``cpus_own``, ``cpus_shared``, ``cpus_other``, ``cpus_all``: names of hosts, each as often as it has slots;
- ``nodes_own``, ``nodes_shared``, ``nodes_other``, ``nodes_all``: each once;
- ``nice_dic``: {host: nice value, 'default': nice value of all others};
- ``ram_dic``: {host: GB of memory}, of those where it is known.

The file is that in $TRACKING_HOSTS, else ./hosts.toml, else ~/.config/tracking/hosts.toml; without any, this machine is
the only one. It is read when the first of these names is used. The names know what else the file says of their hosts
(Python, directory, environment): given to a master or pool as ``hosts``, that holds.

>>> from tracking.hosts import cpus_all, nice_dic
>>> isinstance(nice_dic["default"], int)
True
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tracking.fabrics.hosts_file import HostsFile, find_if_any, read, this_machine
from tracking.fabrics.machine import is_local
from tracking.fabrics.settings import KINDS

if TYPE_CHECKING:
    cpus_own: list[str]
    cpus_shared: list[str]
    cpus_other: list[str]
    cpus_all: list[str]
    nodes_own: list[str]
    nodes_shared: list[str]
    nodes_other: list[str]
    nodes_all: list[str]
    nice_dic: dict[str, int]
    ram_dic: dict[str, float]

__all__ = [
    *(f"{what}_{kind}" for what in ("cpus", "nodes") for kind in (*KINDS, "all")), "nice_dic", "ram_dic"
]  # fmt: skip

_OTHERS = 20  # as nice as can be, as masters are to hosts that no niceness was said of


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = _named(name, _file())
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@functools.cache
def _file() -> HostsFile:
    path = find_if_any()
    return this_machine() if path is None else read(path)


def _named(name: str, file: HostsFile) -> Any:
    if name == "nice_dic":
        of_hosts = {host: its.niceness for host, its in file.settings.items()}
        return {**of_hosts, "default": _OTHERS if file.default.niceness is None else file.default.niceness}
    if name == "ram_dic":
        return _ram(file)
    what, _, kind = name.partition("_")
    kinds = KINDS if kind == "all" else (kind,)
    return file.cpus(kinds) if what == "cpus" else file.nodes(kinds)


def _ram(file: HostsFile) -> dict[str, float]:
    """What the file says; of this machine, what it has."""
    ram = {host: its.ram_bytes for host, its in file.settings.items()}
    here = next(iter(this_machine().settings.values())).ram_bytes
    known = {host: size or (here if is_local(host) else None) for host, size in ram.items()}
    return {host: round(size / 1e9, 3) for host, size in known.items() if size}
