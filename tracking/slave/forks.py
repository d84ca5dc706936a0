"""Forks slaves, reaps them, and kills them with all that they have started: for a process with a single thread.

::

    starter, relay --fork([(identity, descriptors)])--> slave (leads a process group, dies with its parent)
         ^--- child_ended is readable --> reap() --> tell(ENDED, ...)

Whatever descriptors its parent has, a slave keeps its own three only: job line, control line, output.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
from typing import NamedTuple, NoReturn

from tracking.slave import heap, orders, process
from tracking.slave.identity import Identity
from tracking.wire.channel import Channel, Descriptor

_PR_SET_PDEATHSIG = 1
_STANDARD = (0, 1, 2)
_HANDLED = (  # perhaps by the parent, never by a slave unless its work does
    signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2
)  # fmt: skip


Wanted = tuple[Identity, Sequence[int]]
"""A slave to be forked, and its descriptors: job line, control line, output."""


class Inherited(NamedTuple):
    """What a slave has of its parent, and must not keep.

    Attributes:
        highest_descriptor: there are none above it.
        handled: signals.
    """

    highest_descriptor: int
    handled: Sequence[int]


class Forks:
    """Slaves that are children of this process.

    Args:
        tell: told FORKED, NOT_FORKED and ENDED, each with its words as in ``orders``.

    Attributes:
        child_ended: readable when ``reap`` is to be called.
    """

    def __init__(self, tell: Callable[[int, int, int | str], None]) -> None:
        self._tell = tell
        self._tids: dict[int, int] = {}  # pid -> tid
        self._pids: dict[int, int] = {}  # tid -> pid
        self._pid = os.getpid()
        self._die_with_me = death_signal_setter()
        self._keep_freed = heap.freed_keeper()
        self._be_batch = batch_setter()
        self.child_ended, self._wakeup = os.pipe()
        for end in (self.child_ended, self._wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # what slaves print is seen, and not lost with a killed one

    def fork(self, wanted: Iterable[Wanted]) -> None:
        """Fork slaves one right behind the other; their descriptors are closed here.

        After a fork each page that is written is copied first, here and in the slave: so as little as can be is done
        between two forks, and nothing in the slave that can be done here for all of them.
        """
        inherited = Inherited(
            highest_descriptor(), [number for number in _HANDLED if signal.getsignal(number) is not signal.SIG_DFL]
        )
        for identity, descriptors in wanted:
            self._fork(identity, descriptors, inherited)

    def _fork(self, identity: Identity, descriptors: Sequence[int], inherited: Inherited) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # no memory, or too many processes: the other slaves live on
            pid = -1
            self._tell(orders.NOT_FORKED, identity.tid, f"could not be started: {error.strerror}")
        if pid == 0:
            self._be_slave(identity, descriptors, inherited)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            self._tids[pid] = identity.tid
            self._pids[identity.tid] = pid
            self._tell(orders.FORKED, identity.tid, pid)

    def reap(self) -> None:
        """See which slaves have ended; what they have left behind is killed."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.child_ended, 4096)
        while self._tids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            tid = self._tids.pop(pid, None)
            if tid is not None:
                del self._pids[tid]
                _kill_rest_of_group(pid)
                self._tell(orders.ENDED, tid, status)

    def pid_of(self, tid: int) -> int | None:
        """The process of a slave; None: it has ended."""
        return self._pids.get(tid)

    def kill(self, tid: int) -> None:
        """Kill a slave and its process group."""
        if tid in self._pids:  # not yet reaped: its number cannot mean another process
            _kill_group(self._pids[tid])

    def kill_all(self) -> None:
        """Kill all slaves, and wait for their ends; nobody is told."""
        for pid in self._tids:
            _kill_group(pid)
        for pid in self._tids:
            os.waitpid(pid, 0)
        self._tids.clear()
        self._pids.clear()

    # ---- in the new process

    def _be_slave(self, identity: Identity, descriptors: Sequence[int], inherited: Inherited) -> NoReturn:
        status = 1
        try:
            line, control, _ = descriptors
            self._leave_parent(descriptors, inherited)
            if identity.memory_limit is None:  # what is kept would count
                self._keep_freed()
            job_line = Channel(Descriptor(line), blocking=True)
            control_line = Channel(Descriptor(control), is_for_large=False)
            process.SlaveProcess(identity, job_line, control_line).serve()
            status = 0
        except BaseException:  # noqa: BLE001  (whatever it is, it must not run on in the parent's code)
            import traceback

            traceback.print_exc()
        finally:
            _exit(status)

    def _leave_parent(self, descriptors: Sequence[int], inherited: Inherited) -> None:
        os.setpgid(0, 0)
        self._die_with_me()
        self._be_batch()
        if os.getppid() != self._pid:
            os._exit(1)  # the parent ended before the kernel was told
        signal.set_wakeup_fd(-1)
        for number in inherited.handled:
            signal.signal(number, signal.SIG_DFL)
        output = descriptors[2]
        for standard in (1, 2):
            os.dup2(output, standard)
        # The parent's objects are not touched: they stay referenced by its frames, and this process never unwinds them.
        close_all_but({*_STANDARD, *descriptors[:2]}, inherited.highest_descriptor)


def highest_descriptor() -> int:
    """Of those that this process has; or a little more."""
    return max(int(name) for name in os.listdir("/dev/fd"))


def close_all_but(kept: set[int], highest: int) -> None:
    """Close all other descriptors of this process up to the highest."""
    begin = 0
    for descriptor in [*sorted(kept), highest + 1]:
        if begin < descriptor:  # an empty range that begins with 0 would be taken for all there are
            os.closerange(begin, descriptor)
        begin = descriptor + 1


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)  # it may not have made its group yet
    _kill_rest_of_group(pid)


def _kill_rest_of_group(pid: int) -> None:
    """Kill what the work has started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def death_signal_setter() -> Callable[[], None]:
    """What a child calls to be killed when the thread that has forked it ends; nothing where that cannot be had."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def batch_setter() -> Callable[[], None]:
    """What a child calls to work in the background, where the system has such a policy and this process has none yet.

    It gets its share of the processors all the same, but does not interrupt who runs when it wakes: neither the
    master, which has just woken it, nor whoever uses this machine.
    """
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return lambda: None
    usual = os.sched_param(0)

    def be_batch() -> None:
        with contextlib.suppress(OSError):  # not everywhere may one choose
            os.sched_setscheduler(0, os.SCHED_BATCH, usual)

    return be_batch


def _exit(status: int) -> NoReturn:
    """End like a program does: exit functions, buffers; but never through the parent's frames."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that the work has left running
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
    finally:
        os._exit(status)
