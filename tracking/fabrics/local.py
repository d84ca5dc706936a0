"""Slaves on this machine, forked by one starter process.

::

    LocalFabric                    starter (single-threaded)              slaves
      _line  <---------------------> forks, reaps, kills  -------------->  forked, each in a process group
      our ends of a slave's lines    (its ends go through, with the order)  of its own

The starter ends with the line to us, and with it its slaves. Should it be killed, its slaves are lost; the next
one to be started gets a new starter.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence

import tracking
from tracking.fabrics.base import BaseFabric, Condition, SlaveEnded, SlaveLines, SlaveSpec
from tracking.fabrics.host_report import HostReport, report_here
from tracking.slave import orders
from tracking.slave.cores import thread_variables
from tracking.slave.looks import Looks
from tracking.wire.channel import Channel

_ORDER_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 5.0
_DRAIN_BYTES = 64 * 1024


class Starter:
    """A starter process, and our end of the line to it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        threads = thread_variables(None, os.environ)  # for what it loads unasked; each slave has its own
        try:
            with theirs:
                self._process = subprocess.Popen(
                    starter_argv(theirs.fileno(), threads),
                    env=os.environ | threads,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C in the terminal is for the master, who decides
                )
        except BaseException:
            self._line.close()
            raise
        self._line.settimeout(_ORDER_TIMEOUT_S)
        self.news = Channel(self._line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, order: bytes, *descriptors: int) -> None:
        """Give an order; OSError: the starter is gone."""
        sent = socket.send_fds(self._line, [order], descriptors) if descriptors else 0
        self._line.sendall(order[sent:])
        self._wake()

    def _wake(self) -> None:
        """Whoever has stopped it has stopped all starting and ending of slaves: it goes on, if it can."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End it, and wait until it and its slaves are gone; the line stays open."""
        try:
            self._line.settimeout(_END_TIMEOUT_S)
            self._line.shutdown(socket.SHUT_WR)
            self._wake()
            while self._line.recv(_DRAIN_BYTES):  # it closes its end by ending
                pass
        except OSError:
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.news.close()


class LocalFabric(BaseFabric):
    """Starts a starter with the first slave; the starter forks all of them.

    Example:
        >>> fabric = LocalFabric()
        >>> fabric.name
        'local'
        >>> fabric.close()
    """

    name = "local"
    shares_memory = True

    def __init__(self) -> None:
        self._starter: Starter | None = None
        self._old_starter: Starter | None = None  # it is gone, but its line is open yet
        self._preloads: list[bytes] = []  # orders for this starter and the next
        self._living: dict[int, int] = {}  # tid -> pid, 0 until we have heard of it
        self._lost: list[SlaveEnded] = []
        self._looks = Looks()

    def examine(self, hosts: Sequence[str]) -> dict[str, HostReport]:
        return {host: report_here(host) for host in hosts}

    def prepare(self) -> None:
        """Start the starter now: it boots while the caller goes on."""
        self._get_starter()

    def _get_starter(self) -> Starter:
        if self._starter is None:
            self._starter = Starter()
            self._forget_old_starter()
            for order in self._preloads:
                self._starter.order(order)
        return self._starter

    def preload(self, modules: Iterable[str]) -> None:
        """Have large modules that the work of the slaves needs loaded once, for all slaves to come.

        Only those named in ``orders.PRELOADABLE``, and only if they are loaded here.
        """
        for module in modules:
            path = getattr(sys.modules.get(module), "__file__", None)
            order = orders.preload(module, path) if path and module in orders.PRELOADABLE else b""
            if order and order not in self._preloads:
                self._preloads.append(order)
                if self._starter is not None:
                    with contextlib.suppress(OSError):  # it is gone: the next one gets the order, too
                        self._starter.order(order)

    def start(self, spec: SlaveSpec) -> SlaveLines:
        order = orders.fork(spec.tid, spec.nickname, spec.host, spec.niceness, spec.memory_limit, spec.share)
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            line, far_line = _socket_pair(ours, theirs)
            control, far_control = _socket_pair(ours, theirs)
            output, far_output = os.pipe()
            ours.callback(os.close, output)
            theirs.callback(os.close, far_output)
            os.set_blocking(output, False)
            self._order_fork(order, far_line.fileno(), far_control.fileno(), far_output)
            lines = SlaveLines(Channel(line), Channel(control, is_for_large=False), output)
            ours.pop_all()  # they are the caller's now
        self._living[spec.tid] = 0
        return lines

    def _order_fork(self, order: bytes, *descriptors: int) -> None:
        """Give the order; to a new starter if the old one turns out to be gone."""
        try:
            self._get_starter().order(order, *descriptors)
        except OSError:
            self._starter_is_gone()
            self._get_starter().order(order, *descriptors)

    def descriptors(self) -> Iterable[int]:
        return [] if self._starter is None else [self._starter.news.fileno()]

    def poll(self) -> list[SlaveEnded]:
        try:
            news = self._starter.news.receive() if self._starter is not None else []
        except (EOFError, OSError):
            self._starter_is_gone()
            news = []
        ended, self._lost = self._lost, []
        for kind, tid, value in news:
            if kind == orders.FORKED:
                self._living[tid] = value
                continue
            self._looks.forget(tid)
            if self._living.pop(tid, None) is not None:
                ended.append(SlaveEnded(tid, value if kind == orders.NOT_FORKED else how_it_ended(value)))
        return ended

    def _starter_is_gone(self) -> None:
        """It was killed, and the kernel kills its slaves; what those have started is ours to kill."""
        if self._starter is None:
            return
        self._forget_old_starter()
        # Who watches our descriptors knows them by number: that of the next starter must not be the same.
        self._old_starter, self._starter = self._starter, None
        self._old_starter.end()
        for tid, pid in sorted(self._living.items()):
            self._lost.append(SlaveEnded(tid, "lost with its starter process"))
            if pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
        self._living.clear()
        self._looks = Looks()

    def _forget_old_starter(self) -> None:
        if self._old_starter is not None:
            self._old_starter.close()
            self._old_starter = None

    def look_at(self, tid: int) -> Condition:
        pid = self._living.get(tid)
        return self._looks.look(tid, pid) if pid else Condition.UNKNOWN

    def stop(self, tid: int) -> None:
        if tid in self._living and self._starter is not None:
            with contextlib.suppress(OSError):  # the starter is gone: poll tells
                self._starter.order(orders.kill(tid))

    def close(self) -> None:
        self._forget_old_starter()
        self._living.clear()
        starter, self._starter = self._starter, None
        if starter is not None:
            starter.end()
            starter.close()


def _socket_pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    return ours.enter_context(near), theirs.enter_context(far)


def starter_argv(descriptor: int, variables: Iterable[str]) -> list[str]:
    """The command line of a starter.

    Args:
        descriptor: where it finds its line to the master.
        variables: which of its environment were set for it alone.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import gc, sys; gc.disable(); sys.path.insert(0, {root!r}); "
        f"from tracking.slave.starter import main; sys.path.remove({root!r}); main({descriptor}, {list(variables)})"
    )
    flags = [flag for flag in subprocess._args_from_interpreter_flags() if flag != "-i"]  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-P", "-c", code]


def how_it_ended(wait_status: int) -> str:
    """A wait status in words.

    >>> how_it_ended(9)
    'killed by SIGKILL'
    >>> how_it_ended(3 << 8)
    'ended with exit status 3'
    """
    return exit_in_words(os.waitstatus_to_exitcode(wait_status))


def exit_in_words(code: int) -> str:
    """An exit status, or a signal's number below zero, in words."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
