"""The manager: of slaves, which work for its contexts."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import weakref
from types import TracebackType
from typing import Any, Final, NamedTuple

from tracking.fabrics.machine import usable_cores
from tracking.parallel.checks import check_slave
from tracking.parallel.context import Context
from tracking.parallel.hub import Hub
from tracking.parallel.never_run import NeverRun
from tracking.parallel.slaves import LocalSlave
from tracking.parallel.starting import Added, Starting

logger = logging.getLogger("tracking")


class _Default(str):
    """An argument that nobody has given."""

    __slots__ = ()


_SLAVE_OUTPUT: Final = _Default("slave%d.output")
_WORKER_OUTPUT: Final = "worker%d.output"
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (listening there is what is asked for)


class HostReport(NamedTuple):
    """What was done on a host.

    Attributes:
        tasks: so many ended there, well or not.
        seconds: for how long slaves worked on them, in all.
    """

    tasks: int
    seconds: float


class Manager:
    """Has slaves started, and gives them the tasks of its contexts.

    Nothing is started before the first result is asked for. Slaves end with the manager: when it is closed, forgotten,
    or its program ends.

    Args:
        python: how Python is started for slaves, text for a shell ("module load imp; python3"); None: this one.
        host: name or address of this machine by which slaves that dial find it, and at which it listens;
            'localhost': for this machine only; None: at all addresses, and they try each.
        output: path of a file per slave for all that it prints, with a place for its number ('%d').
        verbose: print what happens.

    Attributes:
        connect_timeout: seconds that a slave started by a command may take to come.
        heartbeat_timeout: seconds after which it is an error that no slave was heard of; read whenever it is used. A
            slave that computes is not silent.

    Raises:
        socket.gaierror: no such host is known.

    Source: IMP.parallel.Manager.
    """

    connect_timeout: float = 7200
    heartbeat_timeout: float = 7200

    def __init__(
        self,
        python: str | None = None,
        host: str | None = None,
        output: str = _SLAVE_OUTPUT,
        *,
        verbose: bool = False,
    ) -> None:
        if host is not None and host not in _EVERYWHERE:
            _check_host(host)
        self._output = output
        says = _print if verbose else logger.info
        self._hub = Hub(says)
        self._starting = Starting(self._hub, python, host, says)
        self._added: list[Added] = []
        self._start_lock = threading.Lock()
        self._never_run: weakref.WeakSet[NeverRun] = weakref.WeakSet()  # of its contexts
        weakref.finalize(self, _forget, self._hub).atexit = False

    # ---- slaves

    def add_slave(self, slave: Any) -> None:
        """Have one more slave, or an array of slaves; it is started when results are asked for.

        Raises:
            TypeError: it is neither.
        """
        self._add(slave, self._output)

    def add_worker(self, worker: Any) -> None:
        """The same in the other vocabulary: output is called so, too, if nobody has said otherwise."""
        self._add(worker, _WORKER_OUTPUT if self._output is _SLAVE_OUTPUT else self._output)

    def _add(self, slave: Any, output: str) -> None:
        check_slave(slave)
        with self._hub.changed:
            self._added.append((slave, output))
            self._hub.changed.notify_all()

    def add_local(self, n: int | None = None) -> None:
        """Have so many slaves on this machine; None: one for each core that may be used."""
        for _ in range(usable_cores() if n is None else n):
            self.add_slave(LocalSlave())

    def _start_slaves(self, *, must_begin: bool = False) -> None:
        """Start those that were added since; what cannot be started is told as ``Starting.start`` says.

        Args:
            must_begin: have the hub's thread, though there are no slaves.
        """
        with self._start_lock:
            with self._hub.changed:
                added, self._added = self._added, []
            if must_begin:
                self._hub.begin(self.heartbeat_timeout)
            if added:
                self._starting.start(self._hub.begin(self.heartbeat_timeout), added, self.connect_timeout)

    # ---- tasks

    def get_context(
        self, startup: Any = None, *args: Any, run_file: str | os.PathLike[str] | None = None, **kwargs: Any
    ) -> Context:
        """Tasks that share a setup; there may be any number of contexts on the same slaves.

        Args:
            startup: function that is called on each slave before the first task of the context there. What it gives
                are the arguments of each task: anything iterable expands, None is none.
            args, kwargs: of startup.
            run_file: path of a file in which each result is recorded before it is told. The program started again,
                also after it was killed, has those results without running their tasks. A task is known by its name,
                or by its place among those without one; it is run again if its code or values have changed since.

        Raises:
            TypeError: the setup cannot be called, or there is none, and arguments for it.
            StoreError: the run file cannot be used, as when another program has it; says why.
        """
        return Context(self, startup, *args, run_file=run_file, **kwargs)

    @property
    def hosts(self) -> dict[str, HostReport]:
        """What was done on each host."""
        with self._hub.changed:
            return {host: HostReport(int(tasks), seconds) for host, (tasks, seconds) in self._hub.hosts.items()}

    # ---- the end

    def close(self) -> None:
        """End all slaves, also those that work, and wait for that. May be called twice."""
        for never_run in self._all_never_run():
            never_run.tell()
        self._hub.end(wait=True)

    def _all_never_run(self) -> list[NeverRun]:
        if not self._hub.is_own:  # its lock may be held for ever
            return []
        with self._hub.changed:
            return list(self._never_run)

    def __enter__(self) -> Manager:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        for never_run in self._all_never_run():
            never_run.is_over |= exc_type is not None
        self.close()


def _check_host(host: str) -> None:
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        what_to_give = "give a name or address of this machine that slaves can reach, 'localhost' if all are on it"
        raise socket.gaierror(
            error.errno, f"host={host!r}: {error.strerror}; {what_to_give}, or leave host out"
        ) from error


def _print(text: str) -> None:
    """For people who watch."""
    print(text, file=sys.stdout, flush=True)


def _forget(hub: Hub) -> None:
    """Nobody has the manager any more."""
    hub.end(wait=False)
