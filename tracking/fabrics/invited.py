"""Slaves that somebody else starts: whoever holds an invitation may come.

::

    InvitedFabric: a slave is wanted --> invite(Invitation) --> a program's own way to start processes, a person ...
                   Reception  <---- a relay dials, proves the key ------------------------+
                   its end is told  <---- has_begun(number, process), will_not_come(number, why): from any thread

A relay comes with ``python -m tracking.slave.relay TICKET NUMBER``. Each host has a relay of its own: so a host is a
name for whatever is to be started there, and where its slaves really are is what the relay says.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.local import exit_in_words
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.wire.keys import Key
from tracking.wire.tickets import Ticket

_END_TIMEOUT_S = 5.0
_LOOK_S = 0.2  # how often ends are looked for where the system has no descriptors of processes


@dataclass(frozen=True, slots=True)
class Invitation:
    """A relay is wanted.

    Attributes:
        host: what for.
        number: of the relay; it is let in once.
        ticket: how it finds us and is let in; for a private channel.
    """

    host: str
    number: int
    ticket: Ticket


class InvitedLauncher:
    """Has others start relays; see ``InvitedFabric``."""

    name = "invited"
    is_by_host = True
    silence_s = 10.0

    def __init__(
        self,
        invite: Callable[[Invitation], object],
        reception: Reception,
        start_timeout_s: float | None,
        master_silence_s: float,
    ) -> None:
        self.start_timeout_s = start_timeout_s
        self.master_silence_s = master_silence_s
        self._invite = invite
        self._reception = reception
        self._wanted: set[int] = set()  # those that were invited, and are not over
        self._processes: dict[int, tuple[subprocess.Popen[bytes], int | None]] = {}  # and what is ready at its end
        self._told: SimpleQueue[tuple[int, subprocess.Popen[bytes] | RelayEnded]] = SimpleQueue()  # by any thread
        self._wakes: int | None = None
        self._is_closed = False

    # ---- hosts

    def check_host(self, host: str) -> None:
        """Any name will do."""

    def hosts_for(self, count: int | None) -> list[str]:
        return [f"guest_{number}" for number in range(1 if count is None else count)]

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        return {}

    # ---- relays

    def launch(self, numbers: Sequence[int], host: str) -> None:
        if self._wakes is None:
            self._wakes = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for number in numbers:
            self._reception.expect(number)
            self._wanted.add(number)
            self._invite(Invitation(host, number, self._reception.ticket()))

    def tell(self, number: int, what: subprocess.Popen[bytes] | RelayEnded) -> None:
        """Its process, or that there will be none; from any thread."""
        self._told.put((number, what))
        wakes = self._wakes
        if wakes is not None and not self._is_closed:
            with contextlib.suppress(OSError):
                os.eventfd_write(wakes, 1)

    def line_is_cut(self, number: int) -> None:
        """Its end tells all that is known, if we have it; and comes by itself."""
        if number not in self._processes:
            self.tell(number, RelayEnded(number, "lost: its line was cut, and its process is not known here"))

    # ---- news

    def descriptors(self) -> Iterable[int]:
        ends = [ended for _, ended in self._processes.values() if ended is not None]
        return [*self._reception.descriptors(), *ends, *([] if self._wakes is None else [self._wakes])]

    def poll_within_s(self) -> float | None:
        within_s = self._reception.poll_within_s()
        if any(ended is None for _, ended in self._processes.values()):
            return _LOOK_S if within_s is None else min(_LOOK_S, within_s)
        return within_s

    def poll(self) -> list[RelayNews]:
        news: list[RelayNews] = list(self._reception.poll())
        if self._wakes is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wakes)
        with contextlib.suppress(Empty):
            while True:
                news += self._take(*self._told.get_nowait())
        for number, (process, _) in list(self._processes.items()):
            if process.poll() is not None:
                words = f"the process that was to be its relay {exit_in_words(process.returncode)}"
                news += self._over(RelayEnded(number, words))
        return news

    def _take(self, number: int, what: subprocess.Popen[bytes] | RelayEnded) -> list[RelayEnded]:
        if isinstance(what, RelayEnded):
            return self._over(what)
        self._processes[number] = what, os.pidfd_open(what.pid) if hasattr(os, "pidfd_open") else None
        if number not in self._wanted:
            _kill(what)  # it is not wanted any more
        return []

    def _over(self, news: RelayEnded) -> list[RelayEnded]:
        self._reception.forget(news.number)
        self._let_go(news.number)
        if news.number not in self._wanted:
            return []
        self._wanted.discard(news.number)
        return [news]

    def _let_go(self, number: int) -> None:
        _, ended = self._processes.pop(number, (None, None))
        if ended is not None:
            os.close(ended)

    def waiting_for(self) -> str:
        return ""

    # ---- the end

    def stop(self, number: int) -> None:
        self._reception.forget(number)
        self._wanted.discard(number)
        if number in self._processes:
            _kill(self._processes[number][0])

    def close(self) -> None:
        self._is_closed = True
        with contextlib.suppress(Empty):
            while True:
                self._take(*self._told.get_nowait())
        end = time.monotonic() + _END_TIMEOUT_S
        for process, _ in self._processes.values():
            _kill(process)
        for number, (process, _) in list(self._processes.items()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            self._let_go(number)
        self._wanted.clear()
        self._reception.close()
        if self._wakes is not None:
            os.close(self._wakes)
            self._wakes = None
        self._is_closed = False


class InvitedFabric(RelayedFabric):
    """Slaves that somebody else starts, by an invitation.

    Example:
        >>> fabric = InvitedFabric(print)
        >>> fabric.name
        'invited'
        >>> fabric.close()

    Args:
        invite: called with each ``Invitation``, in the thread that starts slaves and under a lock: it only takes note.
        address: where to listen; "": on all addresses of this machine.
        port: 0: any that is free; (first, last): one of these, which a firewall lets through.
        reachable_as: names or addresses under which relays find this machine; none: what ``address`` says.
        is_encrypted: whether lines are encrypted.
        start_timeout: seconds that a slave may take to come up; None: for ever.
        master_silence: relays end when they hear nothing of the master for so many seconds.

    Raises:
        InputError: such an address or port cannot be.
        EngineError: what is needed for encryption is not installed.
    """

    names_are_hosts = False
    launcher: InvitedLauncher

    def __init__(
        self,
        invite: Callable[[Invitation], object],
        *,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        start_timeout: float | None = None,
        master_silence: float = 60.0,
    ) -> None:
        reception = Reception(
            Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted
        )
        super().__init__(InvitedLauncher(invite, reception, start_timeout, master_silence))

    def has_begun(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """This process was started for an invitation: its end is waited for, and told; from any thread.

        It is killed when its relay is not wanted any more, with its group if it leads one.
        """
        self.launcher.tell(number, process)

    def will_not_come(self, number: int, why: str) -> None:
        """Nothing comes of an invitation; from any thread.

        Args:
            number: of the invitation.
            why: in words ("could not be started: no such host").
        """
        self.launcher.tell(number, RelayEnded(number, why))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # not reaped: its number cannot mean another process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
