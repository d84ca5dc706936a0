"""Kinds of slaves: what a manager is told to start, and what it knows of each.

A kind of one's own derives from ``Slave`` and overrides ``_start``: a process that runs ``command unique_id`` anywhere
comes back to the manager, if it can read the file that the command names.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable
from typing import Any, ClassVar

from tracking.fabrics.base import Fabric
from tracking.parallel import slavestate, subproc

logger = logging.getLogger("tracking")


class Slave:
    """A slave, abstract.

    Attributes:
        last_contact_time: when something was heard of it last (``time.time``); 0: never.
    """

    _state: str = slavestate.init
    _process: subprocess.Popen[bytes] | None = None  # what _start has started, if it says so: its end is told
    _array: SlaveArray | None = None  # that it belongs to
    _pending = 0  # results of it that nobody has taken yet
    last_contact_time: float = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        """Start a process that runs ``command unique_id``, its output in a file; called anew when it was lost.

        Args:
            command: text for a shell.
            unique_id: to be written behind it, with a blank between.
            output: path of the file.
        """
        self._state = slavestate.started
        self.update_contact_time()

    def update_contact_time(self) -> None:
        """It was heard of just now."""
        self.last_contact_time = time.time()

    def get_contact_timed_out(self, timeout: float) -> bool:
        """Whether nothing was heard of it for more than so many seconds."""
        return time.time() - self.last_contact_time > timeout

    def get_data_pending(self) -> bool:
        """Whether a result of it has come that nobody has taken yet."""
        return self._pending > 0


class SlaveArray:
    """Several slaves that are started together, abstract."""

    _says: Callable[[str], object] = logger.info  # told what happens, in words; its manager may print that

    def _get_slaves(self) -> list[Any]:
        """Its slaves; called once."""
        raise NotImplementedError(f"{type(self).__name__} does not say which slaves it has: override _get_slaves")

    def _get_workers(self) -> list[Any]:
        """The same in the other vocabulary: a kind of one's own overrides one of them."""
        return self._get_slaves()

    def _start(self, command: str) -> Any:
        """Called when ``_start`` of those of its slaves that are to be started was called; so also for one alone that
        was lost. The command is that of each."""

    def _end(self) -> None:
        """Called when the manager ends."""


def is_array(kind: Any) -> bool:
    """Whether it stands for several slaves."""
    return hasattr(kind, "_get_slaves") or hasattr(kind, "_get_workers")


def members(array: Any) -> list[Any]:
    """The slaves of an array, in whatever vocabulary it speaks."""
    of_type = getattr(type(array), "_get_workers", None)
    is_told_by_workers = of_type not in (None, SlaveArray._get_workers)
    return list(array._get_workers() if is_told_by_workers else array._get_slaves())


class LocalSlave(Slave):
    """A process on this machine.

    Where the manager has no ``python`` of its own it is forked in an instant; else its command is run.
    """

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        super()._start(command, unique_id, output)
        self._process = subproc._run_background(f"{command} {unique_id}", output)


class EngineSlave(Slave):
    """One that an engine starts, not a command.

    Args:
        host: its host; where the engine chooses hosts, the name of that.
    """

    def __init__(self, host: str) -> None:
        self._host = host

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._host}>"


class EngineSlaveArray(SlaveArray):
    """Slaves that an engine starts; see ``tracking.parallel.engines``.

    Attributes:
        fabric: how they are started; None: on this machine, and on others over ssh.
    """

    fabric: ClassVar[str | None] = None

    def _make_fabric(self) -> str | Fabric | None:
        return self.fabric

    def _hosts(self) -> list[str]:
        """The host of each."""
        raise NotImplementedError

    def _get_slaves(self) -> list[Any]:
        return [EngineSlave(host) for host in self._hosts()]


Worker = Slave
WorkerArray = SlaveArray
LocalWorker = LocalSlave
