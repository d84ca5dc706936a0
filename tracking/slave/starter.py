"""The process that forks slaves: single-threaded, small, with everything loaded that a slave needs.

A slave is ready some milliseconds after it was asked for, since nothing is imported anew; and the
master, which has threads, is never forked. The starter is also the parent that learns how a slave ended.

What it is told and what it answers: ``orders``. When the line to the master ends, the starter kills its slaves
and ends; should the starter itself be killed, the kernel kills the slaves (on Linux; elsewhere they see
the end of their lines).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import socket
import sys
from collections.abc import Iterable
from typing import NoReturn

from tracking.slave import cores, job_slave, orders  # noqa: F401  (job_slave: loaded here once, for all slaves)
from tracking.slave.forks import Forks, Wanted
from tracking.wire.channel import Channel

_FORKS_AT_ONCE = 16  # each holds, for a moment, the descriptors of those behind it


def main(descriptor: int, variables: Iterable[str]) -> NoReturn:
    """Serve the master at the other end of this socket until it is gone.

    Args:
        variables: those of the environment that the master has set for this process alone.
    """
    cores.OWN.parent_has(variables)
    starter = Starter(socket.socket(fileno=descriptor))
    starter.serve()
    os._exit(0)  # whoever closes a pool waits for this end: nothing here needs a tidy interpreter


class Starter:
    """Forks, reaps and kills; nothing else."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._up = Channel(line, blocking=True)
        self._master_ended = _open_parent()
        self._slaves = Forks(self._tell)
        self._wanted: list[Wanted] = []  # slaves to be forked

    def _tell(self, kind: int, tid: int, value: int | str) -> None:
        self._up.put((kind, tid, value))

    def serve(self) -> None:
        """Obey until the master is gone."""
        gc.freeze()  # what is here now is shared with all slaves for ever
        gc.enable()  # it was off while all this was loaded
        poller = select.poll()
        poller.register(self._line, select.POLLIN)
        poller.register(self._slaves.child_ended, select.POLLIN)
        if self._master_ended is not None:
            poller.register(self._master_ended, select.POLLIN)
        with contextlib.suppress(OSError):  # the master is gone
            while True:
                ready = {fd for fd, _ in poller.poll()}
                if self._master_ended in ready:
                    break
                if self._slaves.child_ended in ready:
                    self._slaves.reap()
                if self._line.fileno() in ready and not self._take_orders():
                    break
                self._up.flush()
        self._slaves.kill_all()

    def _take_orders(self) -> bool:
        """Obey what has come; False at the end of the line. Slaves that are wanted at the same time are forked so."""
        is_open, poller = True, select.poll()
        poller.register(self._line, select.POLLIN)
        while is_open and len(self._wanted) < _FORKS_AT_ONCE and poller.poll(0):
            is_open = self._take_order()
        self._fork_wanted()
        return is_open

    def _fork_wanted(self) -> None:
        wanted, self._wanted = self._wanted, []
        if wanted:
            self._slaves.fork(wanted)

    def _take_order(self) -> bool:
        """Read one order; False at the end of the line."""
        head, descriptors, _, _ = socket.recv_fds(self._line, orders.HEAD_BYTES, orders.N_DESCRIPTORS)
        head = self._read_on(head, orders.HEAD_BYTES)
        if len(head) < orders.HEAD_BYTES:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # not for the programs that the work may start
        length = int.from_bytes(head, "big")
        body = self._read_on(b"", length)
        if len(body) < length:
            return False
        self._obey(orders.words_of(body), descriptors)
        return True

    def _read_on(self, data: bytes, length: int) -> bytes:
        """So many bytes, beginning with ``data``; fewer only at the end of the line."""
        while len(data) < length:
            piece = self._line.recv(length - len(data))
            if not piece:
                break
            data += piece
        return data

    def _obey(self, order: list[str], descriptors: list[int]) -> None:
        if order[0] == orders.FORK:
            self._wanted.append((orders.identity_of(order), descriptors))
            return
        self._fork_wanted()  # they were ordered before
        if order[0] == orders.PRELOAD:
            _preload(order[1], order[2])
        else:
            self._slaves.kill(int(order[1]))


def _preload(module: str, path: str) -> None:
    """Load what all slaves will need; only what the master has: a slave may yet find another one on its own path."""
    if module not in orders.PRELOADABLE or module in sys.modules:
        return
    with contextlib.suppress(Exception):  # slaves that need it will say what is wrong with it
        from importlib.util import find_spec

        spec = find_spec(module)
        if spec is not None and spec.origin == path:
            gc.disable()
            importlib.import_module(module)
            gc.freeze()
    gc.enable()


def _open_parent() -> int | None:
    """A descriptor that is ready when the master has ended, where the system has such.

    The end of the line does not always tell: a child that the master's program has forked holds it open.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(os.getppid())
    except OSError:
        return None
