"""Errors of the manager, one tree.

::

    Error
    ├── NetworkError          nothing was heard of any slave for ``heartbeat_timeout``, or none could be started
    ├── NoMoreSlavesError     no slave is left, or these tasks have ended all that they were given to
    └── RemoteError           a task, or the setup, has raised on a slave
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Error(Exception):
    """Base of all errors of this interface."""


class NetworkError(Error):
    """No slave was heard of for ``heartbeat_timeout`` seconds, or none could be started; says why, if that is known."""


class NoMoreSlavesError(Error):
    """No slave is left to run tasks; or the others are done, and what is left has ended each slave that had it.

    Attributes:
        tasks: those that ended their slaves, and are not tried again; none if slaves just ran out.
    """

    def __init__(self, message: str = "Ran out of slaves to run tasks", tasks: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self.tasks = list(tasks)


NoMoreWorkersError = NoMoreSlavesError


class RemoteError(Error):
    """A task, or the setup function, has raised on a slave. The slave lives on.

    Attributes:
        exc: the exception; where it could not travel or be read here, one that says in words what it was.
        traceback: its traceback there, a list of lines.
        slave: the slave.
    """

    def __init__(self, exc: BaseException, traceback: Iterable[str], slave: Any) -> None:
        super().__init__(exc, traceback, slave)
        self.exc = exc
        self.traceback = list(traceback)
        self.slave = slave

    def __str__(self) -> str:
        head = f"{type(self.exc)}: {self.exc} from {self.slave}"
        return f"{head}\nRemote traceback:\n{''.join(self.traceback).rstrip()}"

    @property
    def worker(self) -> Any:
        """The slave, in the other vocabulary."""
        return self.slave
