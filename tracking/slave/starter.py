"""The process that forks slaves: single-threaded, small, with everything loaded that a slave needs.

A slave is ready some milliseconds after it was asked for, since nothing is imported anew; and the
master, which has threads, is never forked. The starter is also the parent that learns how a slave ended.

What it is told and what it answers: ``orders``. When the line to the master ends, the starter kills its slaves
and ends; should the starter itself be killed, the kernel kills the slaves (on Linux; elsewhere they see
the end of their lines).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

from tracking.slave import job_slave, orders, process  # noqa: F401  (job_slave: loaded here once, for all slaves)
from tracking.wire.channel import Channel

_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> NoReturn:
    """Serve the master at the other end of this socket until it is gone."""
    starter = Starter(socket.socket(fileno=descriptor))
    starter.serve()
    os._exit(0)  # whoever closes a pool waits for this end: nothing here needs a tidy interpreter


class Starter:
    """Forks, reaps and kills; nothing else."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._up = Channel(line, blocking=True)
        self._tids: dict[int, int] = {}  # pid -> tid
        self._pids: dict[int, int] = {}  # tid -> pid
        self._pid = os.getpid()
        self._master_ended = _open_parent()
        self._die_with_me = _death_signal_setter()
        self._child_ended, self._wakeup = os.pipe()
        for end in (self._child_ended, self._wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> None:
        """Obey until the master is gone."""
        gc.freeze()  # what is here now is shared with all slaves for ever
        gc.enable()  # it was off while all this was loaded
        poller = select.poll()
        poller.register(self._line, select.POLLIN)
        poller.register(self._child_ended, select.POLLIN)
        if self._master_ended is not None:
            poller.register(self._master_ended, select.POLLIN)
        with contextlib.suppress(OSError):  # the master is gone
            while True:
                ready = {fd for fd, _ in poller.poll()}
                if self._master_ended in ready:
                    break
                if self._child_ended in ready:
                    self._reap()
                if self._line.fileno() in ready and not self._take_order():
                    break
        self._kill_all()

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
            _, tid, nickname, host, niceness, limit = order
            identity = process.Identity(int(tid), nickname, host, int(niceness), int(limit) if limit else None)
            self._fork(identity, descriptors)
        elif order[0] == orders.PRELOAD:
            _preload(order[1], order[2])
        else:
            self._kill(int(order[1]))

    def _fork(self, identity: process.Identity, descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # no memory, or too many processes: the other slaves live on
            pid = -1
            self._up.send((orders.NOT_FORKED, identity.tid, f"could not be started: {error.strerror}"))
        if pid == 0:
            self._be_slave(identity, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            self._know(pid, identity.tid)

    def _know(self, pid: int, tid: int) -> None:
        self._tids[pid] = tid
        self._pids[tid] = pid
        self._up.send((orders.FORKED, tid, pid))

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._child_ended, 4096)
        while self._tids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            tid = self._tids.pop(pid, None)
            if tid is not None:
                del self._pids[tid]
                _kill_rest_of_group(pid)
                self._up.send((orders.ENDED, tid, status))

    def _kill(self, tid: int) -> None:
        if tid in self._pids:  # not yet reaped: its number cannot mean another process
            _kill_group(self._pids[tid])

    def _kill_all(self) -> None:
        for pid in self._tids:
            _kill_group(pid)
        for pid in self._tids:
            os.waitpid(pid, 0)

    # ---- in the new process

    def _be_slave(self, identity: process.Identity, descriptors: list[int]) -> NoReturn:
        status = 1
        try:
            line, control, output = descriptors
            self._leave_starter(output)
            job_line = Channel(socket.socket(fileno=line), blocking=True)
            control_line = Channel(socket.socket(fileno=control))
            process.SlaveProcess(identity, job_line, control_line).serve()
            status = 0
        except BaseException:  # noqa: BLE001  (whatever it is, it must not run on in the starter's code)
            import traceback

            traceback.print_exc()
        finally:
            _exit(status)

    def _leave_starter(self, output: int) -> None:
        os.setpgid(0, 0)
        self._die_with_me()
        if os.getppid() != self._pid:
            os._exit(1)  # the starter ended before the kernel was told
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self._child_ended, self._wakeup, self._master_ended):
            if descriptor is not None:
                os.close(descriptor)
        self._up.close()
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # what is printed is seen, and not lost with a killed slave


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


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)  # it may not have made its group yet
    _kill_rest_of_group(pid)


def _kill_rest_of_group(pid: int) -> None:
    """Kill what the work has started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _death_signal_setter() -> Callable[[], None]:
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _exit(status: int) -> NoReturn:
    """End like a program does: exit functions, buffers; but never through the starter's frames."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that the work has left running
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
    finally:
        os._exit(status)
