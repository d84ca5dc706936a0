"""Grids: copies of an object on many hosts, called through proxies; the interface of IMP.isd's grids over our slaves.

The names are loaded on first use: a slave needs only ``tracking.grid.far``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "AbstractGrid": "tracking.grid.abstract",
    "AbstractService": "tracking.grid.service",
    "FIFOBasedGrid": "tracking.grid.grids",
    "FileBasedGrid": "tracking.grid.grids",
    "Grid": "tracking.grid.grids",
    "GridClosed": "tracking.grid.errors",
    "GridError": "tracking.grid.errors",
    "Host": "tracking.grid.hosts",
    "NoServers": "tracking.grid.errors",
    "Pipe": "tracking.grid.queues",
    "PyroGrid": "tracking.grid.grids",
    "Result": "tracking.grid.result",
    "Server": "tracking.grid.server",
    "SortedQueue": "tracking.grid.queues",
    "TimeoutError": "tracking.grid.errors",
    "UnknownService": "tracking.grid.errors",
    "WatchDog": "tracking.grid.watchdog",
    "abspath": "tracking.grid.hosts",
    "create_host_list": "tracking.grid.hosts",
    "get_sge_host_list": "tracking.grid.hosts",
    "remote_mkdirs": "tracking.grid.grids",
}

__all__ = list(_HOME)

if TYPE_CHECKING:
    from tracking.grid.abstract import AbstractGrid as AbstractGrid
    from tracking.grid.errors import GridClosed as GridClosed
    from tracking.grid.errors import GridError as GridError
    from tracking.grid.errors import NoServers as NoServers
    from tracking.grid.errors import TimeoutError as TimeoutError
    from tracking.grid.errors import UnknownService as UnknownService
    from tracking.grid.grids import FIFOBasedGrid as FIFOBasedGrid
    from tracking.grid.grids import FileBasedGrid as FileBasedGrid
    from tracking.grid.grids import Grid as Grid
    from tracking.grid.grids import PyroGrid as PyroGrid
    from tracking.grid.grids import remote_mkdirs as remote_mkdirs
    from tracking.grid.hosts import Host as Host
    from tracking.grid.hosts import abspath as abspath
    from tracking.grid.hosts import create_host_list as create_host_list
    from tracking.grid.hosts import get_sge_host_list as get_sge_host_list
    from tracking.grid.queues import Pipe as Pipe
    from tracking.grid.queues import SortedQueue as SortedQueue
    from tracking.grid.result import Result as Result
    from tracking.grid.server import Server as Server
    from tracking.grid.service import AbstractService as AbstractService
    from tracking.grid.watchdog import WatchDog as WatchDog


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tracking.grid' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
