"""A small process beside a slave that has no starter: it ends what the slave leaves, and a slave that cannot hear.

::

    slave (leads its process group) --forks twice--> guard (same group, nobody's child to wait for)
       two lines to the master <------------------------ looks only whether they are cut

The starter's slaves have the starter and the kernel for this. A slave that has dialled may be alone on its
host: when it has ended, however it did, the guard kills what is left of its group. And when a line is cut while the
slave's interpreter is deep in C code and lets no thread see it, the guard kills the group a little later.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Sequence

GRACE_S = 2.0  # a slave whose line is cut ends by itself within this time, or is killed
_LOOK_S = 1.0  # where the system has no descriptors of processes
_CUT = getattr(select, "POLLRDHUP", 0)


def start(lines: Sequence[int]) -> None:
    """Start the guard of this process, which must lead its process group and have no threads yet.

    Args:
        lines: descriptors of the lines to the master.
    """
    slave = os.getpid()
    assert os.getpgrp() == slave
    ended = os.pidfd_open(slave) if hasattr(os, "pidfd_open") else None
    child = os.fork()
    if child == 0:
        try:
            if os.fork() == 0:
                _keep_only([*lines, *([] if ended is None else [ended])])
                _watch(slave, ended, lines)
                os.killpg(slave, signal.SIGKILL)  # the guard with them
        finally:
            os._exit(0)
    os.waitpid(child, 0)  # work that waits for its children finds none of ours
    if ended is not None:
        os.close(ended)


def _keep_only(descriptors: Sequence[int]) -> None:
    """Hold open nothing else: somebody may wait for the end of the slave's output."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    for descriptor in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2, *descriptors}:
        with contextlib.suppress(OSError):  # that of the listing
            os.close(descriptor)


def _watch(slave: int, ended: int | None, lines: Sequence[int]) -> None:
    """Return when the slave has ended, or has not though its line is cut."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what the slave makes of them is seen
    poller = select.poll()
    for line in lines:
        poller.register(line, _CUT)
    if ended is not None:
        poller.register(ended, select.POLLIN)
    ready: list[tuple[int, int]] = []
    while not ready:
        ready = poller.poll(None if ended is not None else _LOOK_S * 1000)
        if ended is None and not _is_alive(slave):
            return
    if any(descriptor == ended for descriptor, _ in ready):
        return
    end = select.poll()
    if ended is not None:
        end.register(ended, select.POLLIN)
    end.poll(GRACE_S * 1000)


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False
