"""Relays for tests: each is a process of this machine with a socket pair for its line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

from tracking.fabrics.launcher import RelayEnded, RelayNews, RelayUp
from tracking.wire.carriers import SocketCarrier

RELAY = """
import socket, sys
from tracking.slave.relay import serve
from tracking.wire.carriers import SocketCarrier
slots, left_s = eval(sys.argv[2])
sys.exit(serve(SocketCarrier(socket.socket(fileno=int(sys.argv[1]))), slots=slots, left_s=left_s))
"""


class LauncherHere:
    """Starts relays as children of the test.

    Args:
        is_by_host: one relay a host, with room for any number; otherwise each has room for one slave.
        left_s: in so many seconds their time is up; None: never.

    Attributes:
        processes: {number: process} of all that were started.
        is_mute: relays are started, and never said to be up.
        refusal: what ``launch`` raises instead of starting anything.
        launches: (count, host) of each launch.
    """

    name = "here"
    start_timeout_s = 60.0
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(self, *, is_by_host: bool = False, left_s: float | None = None) -> None:
        self.is_by_host = is_by_host
        self.left_s = left_s
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.is_mute = False
        self.refusal: OSError | None = None
        self.launches: list[tuple[int, str]] = []
        self.cut: list[int] = []
        self._news: list[RelayNews] = []
        self._ends: dict[int, int] = {}  # number -> descriptor that is ready when it has ended

    def check_host(self, host: str) -> None:
        """All are fine."""

    def hosts_for(self, count: int | None) -> list[str]:
        return ["here"] * (count or 2)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        return {}

    def launch(self, numbers: Sequence[int], host: str) -> None:
        self.launches.append((len(numbers), host))
        if self.refusal is not None:
            raise self.refusal
        slots = None if self.is_by_host else 1
        for number in numbers:
            near, far = socket.socketpair()
            with far:
                command = [sys.executable, "-c", RELAY, str(far.fileno()), repr((slots, self.left_s))]
                process = subprocess.Popen(command, pass_fds=[far.fileno()], stdin=subprocess.DEVNULL)
            self.processes[number] = process
            self._ends[number] = os.pidfd_open(process.pid)
            if self.is_mute:
                near.close()
            else:
                self._news.append(RelayUp(number, SocketCarrier(near, f"relay {number}")))

    def line_is_cut(self, number: int) -> None:
        self.cut.append(number)

    def descriptors(self) -> Iterable[int]:
        return list(self._ends.values())

    def poll(self) -> list[RelayNews]:
        news, self._news = self._news, []
        for number, descriptor in list(self._ends.items()):
            status = self.processes[number].poll()
            if status is not None:
                os.close(descriptor)
                del self._ends[number]
                news.append(RelayEnded(number, f"relay {number} ended with {status}"))
        return news

    def poll_within_s(self) -> float | None:
        return 0.0 if self._news else None

    def waiting_for(self) -> str:
        return ""

    def stop(self, number: int) -> None:
        if number in self._ends:
            with suppress(ProcessLookupError):
                self.processes[number].send_signal(signal.SIGTERM)

    def close(self) -> None:
        for number, descriptor in self._ends.items():
            self.processes[number].terminate()
            self.processes[number].wait(10)
            os.close(descriptor)
        self._ends.clear()
