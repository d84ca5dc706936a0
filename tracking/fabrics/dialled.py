"""Slaves that are started by a command of one's own, and dial back to the master.

::

    DialledFabric --> CommandLauncher                                  relay (``slave.relay``) with one slave
                        starts: COMMAND - NUMBER   -- ticket by stdin -->  dials, proves the key
                        Reception (while relays are awaited)  <------- one line, encrypted

The command runs on this machine, and may well lead to another one. What it prints before the slave has its line
is told with its end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Literal

import tracking
from tracking.errors import InputError
from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.local import exit_in_words
from tracking.fabrics.machine import is_local, usable_cores
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.wire.keys import Key

_END_TIMEOUT_S = 5.0
_LOOK_S = 0.2  # how often ends are looked for where the system has no descriptors of processes
_PRINTED_BYTES = 64 * 1024


@dataclass(slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    ended: int | None  # ready when it has ended, where the system has such
    printed: IO[bytes]

    def close(self) -> None:
        """Let go of it."""
        self.printed.close()
        if self.ended is not None:
            os.close(self.ended)
            self.ended = None

    def kill(self) -> None:
        """Kill it, and what is in its process group."""
        if self.process.returncode is None:  # not reaped: its number cannot mean another process
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class CommandLauncher:
    """Starts each relay by a command; see ``DialledFabric``."""

    name = "dialled"
    is_by_host = False
    silence_s = 10.0

    def __init__(
        self, command: Sequence[str], reception: Reception, start_timeout_s: float | None, master_silence_s: float
    ) -> None:
        self._command = list(command)
        self._reception = reception
        self.start_timeout_s = start_timeout_s
        self.master_silence_s = master_silence_s
        self._started: dict[int, _Started] = {}

    # ---- hosts

    def check_host(self, host: str) -> None:
        """The command leads where it leads."""
        if not is_local(host):
            raise InputError(f"fabric 'dialled' starts a command, wherever it leads: give a number, not host {host!r}")

    def hosts_for(self, count: int | None) -> list[str]:
        return ["localhost"] * (usable_cores() if count is None else count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        return {}

    # ---- relays

    def launch(self, numbers: Sequence[int], host: str) -> None:
        begun: list[int] = []
        try:
            for number in numbers:
                self._reception.expect(number)
                begun.append(number)
                self._started[number] = self._start(number)
        except BaseException:
            for number in begun:
                self._reception.forget(number)
                self._let_go(number)
            raise

    def _start(self, number: int) -> _Started:
        printed = tempfile.TemporaryFile(prefix="tracking-relay")  # noqa: SIM115  (closed with what it belongs to)
        process = None
        try:
            process = subprocess.Popen(
                [*self._command, "-", str(number)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                process_group=0,  # Ctrl-C in the terminal is for the master, and all of it can be killed
            )
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # its end will be told
                stdin.write(self._reception.ticket().text().encode())  # less than any pipe holds
            ended = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
            return _Started(process, ended, printed)
        except BaseException:
            printed.close()
            if process is not None:
                process.kill()
                process.wait()
            raise

    def line_is_cut(self, number: int) -> None:
        """Its end tells all that is known, and comes by itself."""

    def descriptors(self) -> Iterable[int]:
        ends = (started.ended for started in self._started.values())
        return [*self._reception.descriptors(), *(ended for ended in ends if ended is not None)]

    def poll_within_s(self) -> float | None:
        within_s = self._reception.poll_within_s()
        if any(started.ended is None for started in self._started.values()):
            return _LOOK_S if within_s is None else min(_LOOK_S, within_s)
        return within_s

    def poll(self) -> list[RelayNews]:
        news: list[RelayNews] = list(self._reception.poll())
        for number, started in list(self._started.items()):
            if _has_ended(started):
                news.append(self._ended(number, started))
        return news

    def _ended(self, number: int, started: _Started) -> RelayEnded:
        self._reception.forget(number)
        started.kill()  # the rest of its group, before it is reaped, so that its number cannot mean another
        status = started.process.wait()
        started.printed.seek(0)
        printed = started.printed.read(_PRINTED_BYTES)
        self._let_go(number)
        return RelayEnded(number, f"the command that started it {exit_in_words(status)}", printed)

    def _let_go(self, number: int) -> None:
        started = self._started.pop(number, None)
        if started is not None:
            started.kill()
            started.process.wait()
            started.close()

    def waiting_for(self) -> str:
        return ""

    def stop(self, number: int) -> None:
        self._reception.forget(number)
        if number in self._started:
            self._started[number].kill()

    def close(self) -> None:
        end = time.monotonic() + _END_TIMEOUT_S
        for started in self._started.values():
            started.kill()
        for started in self._started.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.process.wait(max(0.1, end - time.monotonic()))
            started.close()
        self._started.clear()
        self._reception.close()


class DialledFabric(RelayedFabric):
    """Starts each slave by a command of one's own; it dials back.

    For engines that nobody has written a fabric for: the command may as well be ``srun``, ``docker run -i`` or a
    script, as long as what it is given on stdin reaches the relay at its end.

    Example:
        >>> fabric = DialledFabric()
        >>> fabric.name
        'dialled'
        >>> fabric.close()

    Args:
        command: starts a relay when ``-`` (its ticket comes by stdin) and its number are appended; None: this Python,
            on this machine.
        address: where to listen; only this machine can reach the default. "": on all of its addresses.
        port: 0: any that is free; (first, last): one of these, which a firewall lets through.
        reachable_as: names or addresses under which relays find this machine; none: what ``address`` says.
        is_encrypted: whether lines are encrypted; 'auto': unless they stay on this machine.
        start_timeout: seconds that a slave may take to come up.
        master_silence: relays end when they hear nothing of the master for so many seconds.

    Raises:
        InputError: such an address or port cannot be.
        EngineError: what is needed for encryption is not installed.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        address: str = "127.0.0.1",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool | Literal["auto"] = "auto",
        start_timeout: float | None = 60.0,
        master_silence: float = 60.0,
    ) -> None:
        if is_encrypted == "auto":
            is_encrypted = not is_local(address)
        reception = Reception(
            Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted
        )
        argv = relay_argv() if command is None else command
        super().__init__(CommandLauncher(argv, reception, start_timeout, master_silence))


def relay_argv(python: str = sys.executable) -> list[str]:
    """The command of a relay: this Python, which looks for nothing in the directory that it happens to be in."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from tracking.slave.relay import main; sys.path.remove({root!r}); sys.exit(main(sys.argv[1:]))"
    )
    return [python, "-P", "-c", code]


def _has_ended(started: _Started) -> bool:
    if started.ended is None:
        return started.process.poll() is not None
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, started.process.pid, options) is not None
    except ChildProcessError:
        return True  # somebody else has reaped it
