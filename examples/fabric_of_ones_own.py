"""A fabric of one's own: its engine is the shell, which starts programs here. See docs/fabrics.md.

A launcher starts relays and tells when they are up or have ended; a ``RelayedFabric`` does all else. For another
engine only ``_submit``, ``_has_ended`` and ``_cancel`` change.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tracking import InputError, TrackingJobMaster
from tracking.fabrics.dialled import relay_argv
from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.fabrics.shared_folder import SharedFolder
from tracking.wire.keys import Key

LOOK_S = 0.2


class ShellLauncher:
    """Starts relays with ``setsid``, by the shell.

    Args:
        count: so many slaves are wanted where the user says no other number.
        reception: where relays dial.
    """

    name = "shell"
    is_by_host = False  # the engine chooses the hosts; True: one relay on each host that the user names
    start_timeout_s = 60.0
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(self, count: int, reception: Reception) -> None:
        self._count = count
        self._reception = reception
        self._folder = SharedFolder(self.name)  # private, and removed at the end; all hosts must see it
        self._jobs: dict[int, subprocess.Popen[bytes]] = {}  # number of a relay -> what the engine calls it
        self._looked_at = 0.0

    # ---- the engine

    def _submit(self, number: int) -> subprocess.Popen[bytes]:
        relay = [*relay_argv(), self._folder.file("ticket"), str(number), "--slots", "1"]
        script = 'out="$1"; shift; exec setsid "$@" >"$out" 2>&1 </dev/null'
        return subprocess.Popen(["sh", "-c", script, "sh", self._folder.file(f"{number}.out"), *relay])

    def _has_ended(self, job: subprocess.Popen[bytes]) -> bool:
        return job.poll() is not None

    def _cancel(self, job: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            job.send_signal(signal.SIGKILL)  # its slaves end with their line

    # ---- hosts

    def check_host(self, host: str) -> None:
        if host != self.name:
            raise InputError(f"the shell starts programs here: give a number of slaves, not host {host!r}")

    def hosts_for(self, count: int | None) -> list[str]:
        return [self.name] * (self._count if count is None else count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        return {}

    # ---- relays

    def launch(self, numbers: Sequence[int], host: str) -> None:
        self._folder.make()
        ticket = Path(self._folder.file("ticket"))
        if not ticket.exists():
            self._reception.ticket().into_file(ticket)
        for number in numbers:
            self._reception.expect(number)
            self._jobs[number] = self._submit(number)

    def poll(self) -> list[RelayNews]:
        news: list[RelayNews] = list(self._reception.poll())  # RelayUp, of those that have dialled
        if time.monotonic() >= self._looked_at + LOOK_S:
            self._looked_at = time.monotonic()
            for number in [number for number, job in self._jobs.items() if self._has_ended(job)]:
                news.append(self._ended(number))
        return news

    def _ended(self, number: int) -> RelayEnded:
        job = self._jobs.pop(number)
        self._reception.forget(number)
        printed = self._folder.tail(f"{number}.out")
        return RelayEnded(number, f"the shell's process {job.pid} ended with status {job.returncode}", printed)

    def descriptors(self) -> Iterable[int]:
        return self._reception.descriptors()

    def poll_within_s(self) -> float | None:
        times = [self._reception.poll_within_s(), LOOK_S if self._jobs else None]
        return min((s for s in times if s is not None), default=None)

    def line_is_cut(self, number: int) -> None:
        self._looked_at = 0.0  # poll shall tell soon how it has ended

    def waiting_for(self) -> str:
        return ""  # an engine with a queue says how many are pending, and why

    def stop(self, number: int) -> None:
        self._reception.forget(number)
        if number in self._jobs:
            self._cancel(self._jobs[number])

    def close(self) -> None:
        for job in self._jobs.values():
            self._cancel(job)
        for job in self._jobs.values():
            job.wait()
        self._jobs.clear()
        self._reception.close()
        self._folder.remove()


class ShellFabric(RelayedFabric):
    """Starts slaves by the shell.

    Args:
        n: so many, where the user says no other number.
    """

    def __init__(self, n: int = 2) -> None:
        reception = Reception(Key(), address="127.0.0.1", is_encrypted=False)  # beyond this machine: neither
        super().__init__(ShellLauncher(n, reception))


def square_here(n: int) -> tuple[int, int]:
    time.sleep(0.005)
    return n * n, os.getppid()


if __name__ == "__main__":
    master = TrackingJobMaster({n: n for n in range(100)}, function=square_here, fabric=ShellFabric(3))
    result = master.calculateResult()
    assert {n: square for n, (square, _) in result.items()} == {n: n * n for n in range(100)}
    relays = {relay for _, relay in result.values()}
    assert os.getpid() not in relays
    print(f"{len(result)} squares, by slaves of {len(relays)} relays")
