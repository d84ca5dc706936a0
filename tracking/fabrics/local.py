"""Slaves on this machine, forked by one starter process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import tracking
from tracking.fabrics.base import SlaveEnded, SlaveLines, SlaveSpec
from tracking.slave import orders
from tracking.wire.channel import Channel

_ORDER_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 5.0


class LocalFabric:
    """Starts a starter with the first slave; the starter forks all of them.

    Example:
        >>> fabric = LocalFabric()
        >>> fabric.name
        'local'
        >>> fabric.close()
    """

    name = "local"

    def __init__(self) -> None:
        self._starter: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._news: Channel | None = None
        self._living: set[int] = set()
        self._lost: list[SlaveEnded] = []

    def prepare(self) -> None:
        """Start the starter now: it boots while the caller goes on."""
        if self._starter is None:
            self._start_starter()

    def _start_starter(self) -> None:
        ours, theirs = socket.socketpair()
        root = str(Path(tracking.__file__).resolve().parent.parent)
        code = (
            f"import sys; sys.path.insert(0, {root!r}); "
            f"from tracking.slave.starter import main; sys.path.remove({root!r}); main({theirs.fileno()})"
        )
        flags = [flag for flag in subprocess._args_from_interpreter_flags() if flag != "-i"]  # type: ignore[attr-defined]
        with theirs:
            self._starter = subprocess.Popen(
                [sys.executable, *flags, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal is for the master, who decides
            )
        ours.settimeout(_ORDER_TIMEOUT_S)
        self._line = ours
        self._news = Channel(Connection(os.dup(ours.fileno())))

    def start(self, spec: SlaveSpec) -> SlaveLines:
        self.prepare()
        line, far_line = _socket_pair()
        control, far_control = _socket_pair()
        output, far_output = os.pipe()
        os.set_blocking(output, False)
        try:
            self._order(
                orders.fork(spec.tid, spec.nickname, spec.host, spec.niceness),
                far_line,
                far_control,
                far_output,
            )
        except OSError:
            for descriptor in (line, control, output):
                os.close(descriptor)
            self._starter_is_gone()
            raise
        finally:
            for descriptor in (far_line, far_control, far_output):
                os.close(descriptor)
        self._living.add(spec.tid)
        return SlaveLines(Channel(Connection(line)), Channel(Connection(control)), output)

    def _order(self, order: bytes, *descriptors: int) -> None:
        assert self._line is not None
        sent = socket.send_fds(self._line, [order], descriptors) if descriptors else 0
        self._line.sendall(order[sent:])

    def descriptors(self) -> Iterable[int]:
        return [] if self._news is None else [self._news.fileno()]

    def poll(self) -> list[SlaveEnded]:
        ended, self._lost = self._lost, []
        try:
            news = self._news.receive() if self._news is not None else []
        except EOFError:
            self._starter_is_gone()
            return ended + self.poll()
        for kind, tid, value in news:
            if kind == orders.ENDED:
                self._living.discard(tid)
                ended.append(SlaveEnded(tid, how_it_ended(value)))
        return ended

    def _starter_is_gone(self) -> None:
        """The starter was killed; its slaves go with it. The next slave gets a new starter."""
        self._lost += [SlaveEnded(tid, "lost with its starter process") for tid in sorted(self._living)]
        self._living.clear()
        self.close()

    def stop(self, tid: int) -> None:
        if tid in self._living:
            with contextlib.suppress(OSError):
                self._order(orders.kill(tid))

    def close(self) -> None:
        starter, self._starter = self._starter, None
        if self._line is not None and self._news is not None:
            self._line.close()
            self._news.close()
        self._line = self._news = None
        if starter is None:
            return
        try:
            starter.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            starter.kill()
            starter.wait()


def _socket_pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def how_it_ended(wait_status: int) -> str:
    """A wait status in words.

    >>> how_it_ended(9)
    'killed by SIGKILL'
    >>> how_it_ended(3 << 8)
    'ended with exit status 3'
    """
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
