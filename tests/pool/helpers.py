"""What the tests of the pool share: a crew on a stage, a client that notes, jobs that wait, ends of processes."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from tracking import SlavePool
from tracking.pool.client import JobKey, SlaveGone, SlaveInfo
from tracking.pool.crew import Crew, Place
from tracking.testing import Clock, Job, ScriptedFabric, ScriptedSlave
from tracking.wire.channel import Message

WAIT_S = 30.0
"""Longer than anything takes on the busiest machine; nothing waits so long but in a test that fails."""


class Noting:
    """A client that notes what it is told."""

    can_drive = False
    is_busy: bool = True

    def __init__(self, calculation: int) -> None:
        self.calculation = calculation
        self.up: list[SlaveInfo] = []
        self.messages: list[tuple[int, Message]] = []
        self.lost: list[tuple[str, str, tuple[JobKey, ...], bool]] = []  # nickname, how, jobs, on purpose
        self.last_lines: list[str] = []
        self.innocent: list[bool] = []  # of those lost: whether nothing is to blame for it
        self.heard_of: list[tuple[str, bool]] = []  # nickname, whether it is silent
        self.leaving: list[str] = []  # nicknames
        self.given_up: dict[str, str] = {}  # host -> why no slave comes there any more
        self.end = ""

    def deliver(self, tid: int, message: Message) -> None:
        self.messages.append((tid, message))

    def slave_is_up(self, slave: SlaveInfo) -> None:
        self.up.append(slave)

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        self.heard_of.append((slave.nickname, True))

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        self.heard_of.append((slave.nickname, False))

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        self.leaving.append(slave.nickname)

    def hosts_were_added(self) -> None:
        self.end = ""

    def host_is_given_up(self, host: str, why: str) -> None:
        self.given_up[host] = why

    def slave_is_lost(self, gone: SlaveGone) -> None:
        self.innocent.append(gone.is_innocent)
        self.lost.append((gone.slave.nickname, gone.how, gone.jobs, gone.on_purpose))
        self.last_lines.append(gone.last_lines)

    def crew_is_lost(self, why: str) -> None:
        self.end = why


class Stage:
    """A crew of scripted slaves, turned by the test itself, on a clock that the test steps.

    Args:
        fabric: of the slaves.
        hosts: one a slave; the nickname is the host and a number.
        options: of the crew.
    """

    def __init__(self, fabric: ScriptedFabric, hosts: tuple[str, ...] = ("here",), **options: Any) -> None:
        self.fabric = fabric
        self.clock = Clock()
        self.crew = Crew(clock=self.clock, **options)
        for number, host in enumerate(hosts):
            self.crew.fill(Place(f"{host}_{number}", host, 0, 0, fabric))

    def client(self, calculation: int = 7) -> Noting:
        client = Noting(calculation)
        self.crew.attach(client)
        return client

    def turn_until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.turn(WAIT_S)

    def turn(self, timeout_s: float = 0.0) -> None:
        self.crew.turn_unless(lambda: False, timeout_s)

    def settle(self) -> None:
        """Turn until nothing moves any more: all that is under way between us and the slaves has arrived."""
        for _ in range(10):
            self.turn()

    def pass_time(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.settle()

    @property
    def living(self) -> list[ScriptedSlave]:
        return [slave for slave in self.fabric.slaves if slave.is_alive]


@contextmanager
def stage(*args: object, **options: object) -> Iterator[Stage]:
    """A stage that is cleared at the end."""
    it = Stage(*args, **options)  # type: ignore[arg-type]
    try:
        yield it
    finally:
        it.crew.close(within_s=0.1)  # scripted slaves end at once, or never


class Held:
    """A reaction: the job waits until the test lets it go on."""

    def __init__(self) -> None:
        self._held: SimpleQueue[tuple[ScriptedSlave, Job]] = SimpleQueue()

    def __call__(self, slave: ScriptedSlave, job: Job) -> None:
        self._held.put((slave, job))

    def next(self) -> tuple[ScriptedSlave, Job]:
        """The slave that was given a job, and the job; waits for it."""
        return self._held.get(timeout=WAIT_S)


class Gates:
    """Named pipes at which calls wait, one each: see ``jobs.wait_at``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._paths: list[str] = []

    def new(self) -> str:
        """The path of another one."""
        path = str(self._directory / f"gate_{len(self._paths)}")
        os.mkfifo(path)
        self._paths.append(path)
        return path

    def open_all(self) -> None:
        """Let all go on, when all have come."""
        ends = [os.open(path, os.O_WRONLY) for path in self._paths]
        for end in ends:
            os.close(end)
        self._paths.clear()


def wait_for_slaves(pool: SlavePool, count: int, within_s: float = WAIT_S) -> list[int]:
    """Wait until so many slaves are up, no more and no less; their process ids."""
    news: SimpleQueue[object] = SimpleQueue()
    end = time.monotonic() + within_s
    with closing(pool.watch(news.put)):
        while len(pids := pool.pids) != count:
            left_s = end - time.monotonic()
            assert left_s > 0.0, f"{len(pids)} of {count} slaves are up after {within_s:g} s"
            with suppress(Empty):
                news.get(timeout=left_s)
    return list(pids.values())


def wait_for_end_of_all_in(folder: Path) -> None:
    """Wait until no other process works in this folder: slaves of a program that was killed may begin one more item."""
    while pids := [int(name) for name in os.listdir("/proc") if name.isdecimal() and _is_other_in(folder, name)]:
        wait_for_end(*pids)


def _is_other_in(folder: Path, name: str) -> bool:
    with suppress(OSError):  # it has ended, or is somebody else's
        return os.readlink(f"/proc/{name}/cwd") == str(folder.resolve()) and name != str(os.getpid())
    return False


def wait_for_end(*pids: int) -> None:
    """Wait until these processes, ours or not, have ended."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            assert poller.poll(WAIT_S * 1000), f"process {pid} still runs"
        finally:
            os.close(descriptor)
