"""Slaves that are started by a command, here or elsewhere, and dial back to the master.

::

    DialledFabric                                  slave (``slave.dialling``), leads a process group of its own
      starts the command  -- key by pipe or environment, number, addresses -->  dials twice, proves the key
      listener (while slaves are awaited) <--- job line, control line ---------

This fabric starts its command on this machine, and tells of the ends of what it has started.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import tracking
from tracking.errors import InputError
from tracking.fabrics.base import BaseFabric, Condition, News, SlaveConnected, SlaveEnded, SlaveLines, SlaveSpec
from tracking.fabrics.local import exit_in_words
from tracking.fabrics.machine import is_local
from tracking.slave import dialling
from tracking.slave.looks import Looks
from tracking.slave.process import Identity
from tracking.wire import keys
from tracking.wire.channel import Channel
from tracking.wire.handshake import Line
from tracking.wire.keys import Key
from tracking.wire.listener import OF_SLAVE, Listener

_MASTER_SILENCE_S = 60.0
_END_TIMEOUT_S = 5.0
_LOOK_S = 0.2  # how often ends are looked for where the system has no descriptors of processes
_OUTPUT_BYTES = 64 * 1024
_ANY = ("", "0.0.0.0", "::")  # noqa: S104  (only compared with)


@dataclass(slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    ended: int | None  # ready when it has ended, where the system has such
    output: int | None  # None: the pool has it
    lines: dict[Line, socket.socket] = field(default_factory=dict)

    def close(self) -> None:
        """Let go of what the pool has not got."""
        for line in self.lines.values():
            line.close()
        self.lines.clear()
        for descriptor in (self.ended, self.output):
            if descriptor is not None:
                os.close(descriptor)
        self.ended = self.output = None


class DialledFabric(BaseFabric):
    """Starts slaves as processes of their own, which dial back.

    Example:
        >>> fabric = DialledFabric()
        >>> fabric.name
        'dialled'
        >>> fabric.close()

    Args:
        command: starts a slave when the master's addresses are appended to it; None: this Python. The environment
            that it is given must reach the slave.
        address: where to listen; only this machine can reach the default.
        port: 0: any that is free, a new one for each time that slaves are awaited.
        reachable_as: names or addresses under which slaves find this machine; none: ``address``, or the
            machine's name if it listens everywhere.
        key_by: 'pipe', or 'environment' where descriptors do not reach the slave.
        master_silence_s: slaves end when they hear nothing of the master for so many seconds; None: they need not,
            as on this machine, where the kernel tells them of its end. 'auto': a minute, unless they are here.

    Raises:
        InputError: there is no such way for the key.
    """

    name = "dialled"
    shares_memory = True

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        reachable_as: Sequence[str] = (),
        key_by: str = "pipe",
        master_silence_s: float | Literal["auto"] | None = "auto",
    ) -> None:
        if key_by not in ("pipe", "environment"):
            raise InputError(f"key_by must be 'pipe' or 'environment', not {key_by!r}")
        self._command = slave_argv() if command is None else list(command)
        self._address = address
        self._port = port
        self._reachable_as = list(reachable_as) or [socket.gethostname() if address in _ANY else address]
        self._key_by = key_by
        if master_silence_s == "auto":
            master_silence_s = None if is_local(address) else _MASTER_SILENCE_S
        self.master_silence_s = master_silence_s
        self._key = Key()
        self._listener: Listener | None = None
        self._selector: selectors.DefaultSelector | None = None
        self._started: dict[int, _Started] = {}
        self._looks = Looks()

    # ---- starting

    def start(self, spec: SlaveSpec) -> None:
        listener = self._listen()
        listener.expect(spec.tid)
        try:
            self._started[spec.tid] = started = self._start(spec, listener.port)
        except BaseException:
            listener.forget(spec.tid)
            self._listen_no_more_than_needed()
            raise
        if started.ended is not None:
            self._watch().register(started.ended, selectors.EVENT_READ)

    def _start(self, spec: SlaveSpec, port: int) -> _Started:
        output, far_output = os.pipe()
        process = None
        try:
            os.set_blocking(output, False)
            process = self._run(spec, port, far_output)
            return _Started(process, os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None, output)
        except BaseException:
            os.close(output)
            if process is not None:
                process.kill()
                process.wait()
            raise
        finally:
            os.close(far_output)

    def _run(self, spec: SlaveSpec, port: int, output: int) -> subprocess.Popen[bytes]:
        environment = keys.without_key(os.environ) | {dialling.WHO: dialling.identity_text(_identity(spec))}
        with contextlib.ExitStack() as stack:
            descriptors = []
            if self._key_by == "pipe":
                pipe = self._key.into_pipe()
                stack.callback(os.close, pipe)
                descriptors = [pipe]
                environment[keys.BY_DESCRIPTOR] = str(pipe)
            else:
                environment |= self._key.for_environment()
            return subprocess.Popen(
                [*self._command, *(f"{host}:{port}" for host in self._reachable_as)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=descriptors,
                env=environment,
                process_group=0,  # Ctrl-C in the terminal is for the master, and all of it can be killed
            )

    def _listen(self) -> Listener:
        if self._listener is None:
            self._listener = Listener(self._key, self._address, self._port)
            self._watch().register(self._listener, selectors.EVENT_READ)
        return self._listener

    def _listen_no_more_than_needed(self) -> None:
        """A port that is not open needs no defence."""
        if self._listener is not None and not self._listener.expects_anybody:
            self._watch().unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _watch(self) -> selectors.DefaultSelector:
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        return self._selector

    # ---- news

    def descriptors(self) -> Iterable[int]:
        return [] if self._selector is None else [self._selector.fileno()]

    def poll_within_s(self) -> float | None:
        within_s = [] if self._listener is None else [self._listener.poll_within_s()]
        if any(started.ended is None for started in self._started.values()):
            within_s.append(_LOOK_S)
        return min((s for s in within_s if s is not None), default=None)

    def poll(self) -> list[News]:
        news: list[News] = []
        for dialled in self._listener.poll() if self._listener is not None else ():
            if dialled.tid in self._started:
                self._started[dialled.tid].lines[dialled.line] = dialled.socket
                news += self._connected(dialled.tid)
            else:
                dialled.socket.close()
        for tid in [tid for tid, started in self._started.items() if _has_ended(started)]:
            news.append(self._ended(tid))
        self._listen_no_more_than_needed()
        return news

    def _connected(self, tid: int) -> list[News]:
        started = self._started[tid]
        if len(started.lines) < len(OF_SLAVE):
            return []
        lines = SlaveLines(Channel(started.lines[Line.JOB]), Channel(started.lines[Line.CONTROL]), started.output)
        started.lines.clear()
        started.output = None
        return [SlaveConnected(tid, lines)]

    def _ended(self, tid: int) -> SlaveEnded:
        started = self._started.pop(tid)
        _kill_group(started)  # before it is reaped, so that its number cannot mean another
        status = started.process.wait()
        printed = b""
        if started.output is not None:
            with contextlib.suppress(BlockingIOError):
                printed = os.read(started.output, _OUTPUT_BYTES)
        self._let_go(started)
        self._looks.forget(tid)
        if self._listener is not None:
            self._listener.forget(tid)
        return SlaveEnded(tid, exit_in_words(status), printed)

    def _let_go(self, started: _Started) -> None:
        if started.ended is not None:
            self._watch().unregister(started.ended)
        started.close()

    def look_at(self, tid: int) -> Condition:
        started = self._started.get(tid)
        return Condition.UNKNOWN if started is None else self._looks.look(tid, started.process.pid)

    # ---- ending

    def stop(self, tid: int) -> None:
        if tid in self._started:
            _kill_group(self._started[tid])

    def close(self) -> None:
        for started in self._started.values():
            _kill_group(started)
        end = time.monotonic() + _END_TIMEOUT_S
        for tid in list(self._started):
            started = self._started.pop(tid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.process.wait(max(0.1, end - time.monotonic()))
            self._let_go(started)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._selector is not None:
            self._selector.close()
            self._selector = None


def _identity(spec: SlaveSpec) -> Identity:
    wanted: Mapping[str, object] = {name: getattr(spec, name) for name in Identity._fields if hasattr(spec, name)}
    return Identity(**wanted)  # type: ignore[arg-type]


def _has_ended(started: _Started) -> bool:
    if started.ended is None:
        return started.process.poll() is not None
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, started.process.pid, options) is not None
    except ChildProcessError:
        return True  # somebody else has reaped it


def _kill_group(started: _Started) -> None:
    if started.process.returncode is None:  # not reaped: its number cannot mean another process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(started.process.pid, signal.SIGKILL)


def slave_argv() -> list[str]:
    """The command of a slave here: this Python, which looks for nothing in the directory that it happens to be in."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from tracking.slave.dialling import main; sys.path.remove({root!r}); sys.exit(main(sys.argv[1:]))"
    )
    flags = [flag for flag in subprocess._args_from_interpreter_flags() if flag != "-i"]  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-P", "-c", code]
