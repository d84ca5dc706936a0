"""Runs a dict of independent pieces of work over many processes, tracks who did what, and loses nothing.

The public names are loaded on first use, so a slave process loads only what it needs (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "JobMaster": "tracking.master",
    "TrackingJobMaster": "tracking.master",
    "Status": "tracking.master",
    "LazyMapping": "tracking.master",
    "IteratorMapping": "tracking.master",
    "restart": "tracking.master",
    "run": "tracking.master",
    "JobSlave": "tracking.slave.job_slave",
    "SlavePool": "tracking.pool",
    "TrackingError": "tracking.errors",
    "InputError": "tracking.errors",
    "EncodeError": "tracking.errors",
    "ProtocolError": "tracking.errors",
    "NoSlavesError": "tracking.errors",
    "EngineError": "tracking.errors",
    "SlaveLost": "tracking.errors",
    "UnknownHost": "tracking.errors",
    "StoreError": "tracking.errors",
    "InvalidTransition": "tracking.errors",
    "CalculationError": "tracking.errors",
    "Interrupted": "tracking.errors",
    "ItemError": "tracking.errors",
    "ItemRaised": "tracking.errors",
    "ItemKilledSlave": "tracking.errors",
    "ItemTimeout": "tracking.errors",
    "ItemResultError": "tracking.errors",
}

__all__ = list(_HOME)

if TYPE_CHECKING:
    from tracking.errors import CalculationError as CalculationError
    from tracking.errors import EncodeError as EncodeError
    from tracking.errors import EngineError as EngineError
    from tracking.errors import InputError as InputError
    from tracking.errors import Interrupted as Interrupted
    from tracking.errors import InvalidTransition as InvalidTransition
    from tracking.errors import ItemError as ItemError
    from tracking.errors import ItemKilledSlave as ItemKilledSlave
    from tracking.errors import ItemRaised as ItemRaised
    from tracking.errors import ItemResultError as ItemResultError
    from tracking.errors import ItemTimeout as ItemTimeout
    from tracking.errors import NoSlavesError as NoSlavesError
    from tracking.errors import ProtocolError as ProtocolError
    from tracking.errors import SlaveLost as SlaveLost
    from tracking.errors import StoreError as StoreError
    from tracking.errors import TrackingError as TrackingError
    from tracking.errors import UnknownHost as UnknownHost
    from tracking.master import IteratorMapping as IteratorMapping
    from tracking.master import JobMaster as JobMaster
    from tracking.master import LazyMapping as LazyMapping
    from tracking.master import Status as Status
    from tracking.master import TrackingJobMaster as TrackingJobMaster
    from tracking.master import restart as restart
    from tracking.master import run as run
    from tracking.pool import SlavePool as SlavePool
    from tracking.slave.job_slave import JobSlave as JobSlave


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tracking' has no attribute {name!r}")
    from tracking import collector

    with collector.resting():
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
