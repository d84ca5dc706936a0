"""How much deciding costs: the real Scheduler against simulated slaves, many of them, with many items.

    python benchmarks/simulation.py [--slaves 10000] [--items 10000000] [--jobs 60000]

Prints a table: if the cost of a job grew with the number of slaves or of items, its last columns would
grow downwards. Time is simulated: each slave has its own speed and is done with a job when an event heap
says so. The last rows are the uneven case: one slave that is 50 times slower than seven others.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Literal

if __name__ == "__main__":  # as a script, it finds the package beside itself
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracking.core.commands import CancelJob, Command, RecallJob, SendJob
from tracking.core.events import Event, JobDone, JobReturned, SlaveLost, SlaveReady, Ticked
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler

_ANSWER_BYTES = 200


@dataclass(slots=True)
class Outcome:
    """What a simulated calculation came to.

    Attributes:
        jobs: how many were given out.
        events: how many the scheduler handled.
        simulated_s: how long the calculation would have taken.
        deciding_s: processor time spent in the scheduler.
        slowest_s: that of its slowest decision.
    """

    jobs: int = 0
    events: int = 0
    simulated_s: float = 0.0
    deciding_s: float = 0.0
    slowest_s: float = 0.0


class SimulatedSlaves:
    """Slaves that work on what they are given, each at its own speed.

    Args:
        scheduler: who decides.
        speeds: seconds per item, one for each slave.
    """

    def __init__(self, scheduler: Scheduler, speeds: list[float]) -> None:
        self._scheduler = scheduler
        self._speeds = speeds
        self._queues: list[list[SendJob]] = [[] for _ in speeds]
        self._heap: list[tuple[float, int, int]] = []  # (when it is done, slave, job)
        self._wakeup = float("inf")
        self.outcome = Outcome()

    def run(self, most_jobs: int) -> Outcome:
        """Let them work until all is done, or so many jobs were given out."""
        now = 0.0
        for slave in range(len(self._speeds)):
            host, is_here = f"host{slave // 64}", slave < 64
            self._handle(SlaveReady(slave=slave, host=host, nickname=f"slave_{slave}", is_here=is_here), now)
        while not self._scheduler.is_finished and self.outcome.jobs < most_jobs:
            event, now = self._next_event()
            self._handle(event, now)
        self.outcome.simulated_s = now
        return self.outcome

    def _next_event(self) -> tuple[Event, float]:
        while True:
            if self._wakeup < self._heap[0][0]:
                return Ticked(), self._wakeup
            now, slave, job = heappop(self._heap)
            queue = self._queues[slave]
            if not queue or queue[0].job != job:
                continue  # its slave was ended
            done = queue.pop(0)
            self._begin(slave, now)
            seconds = len(done.positions) * self._speeds[slave]
            return JobDone(job=job, slave=slave, seconds=seconds, size=_ANSWER_BYTES), now

    def _handle(self, event: Event, now: float) -> None:
        begin = time.thread_time()
        commands = self._scheduler.handle(event, now)
        wakeup = self._scheduler.next_wakeup()
        spent = time.thread_time() - begin
        self._wakeup = float("inf") if wakeup is None else max(now, wakeup)
        outcome = self.outcome
        outcome.deciding_s += spent
        outcome.slowest_s = max(outcome.slowest_s, spent)
        outcome.events += 1
        for command in commands:
            self._perform(command, now)

    def _perform(self, command: Command, now: float) -> None:
        if isinstance(command, SendJob):
            self.outcome.jobs += 1
            queue = self._queues[command.slave]
            queue.append(command)
            if len(queue) == 1:
                self._begin(command.slave, now)
        elif isinstance(command, RecallJob | CancelJob):
            for event in self._obey(command):
                self._handle(event, now)

    def _obey(self, command: RecallJob | CancelJob) -> Iterator[Event]:
        queue = self._queues[command.slave]
        unbegun = [sent for sent in queue[1:] if sent.job == command.job]
        if unbegun:
            queue.remove(unbegun[0])
            yield JobReturned(job=command.job, slave=command.slave)
        elif isinstance(command, CancelJob):
            queue.clear()
            yield SlaveLost(slave=command.slave, reason="its job is not wanted", on_purpose=True)

    def _begin(self, slave: int, now: float) -> None:
        queue = self._queues[slave]
        if queue:
            first = queue[0]
            heappush(self._heap, (now + len(first.positions) * self._speeds[slave], slave, first.job))


def simulated(
    slaves: int, items: int, chunk_size: int | Literal["auto"], most_jobs: int, item_s: float = 0.02
) -> Outcome:
    """A calculation with slaves of speeds that differ by up to a factor of two."""
    chance = random.Random(slaves)
    speeds = [item_s * chance.uniform(0.7, 1.4) for _ in range(slaves)]
    return SimulatedSlaves(Scheduler(Items(items), Policy(chunk_size=chunk_size)), speeds).run(most_jobs)


def uneven(chunk_size: int | Literal["auto"]) -> Outcome:
    """100 items of 20 ms on 8 slaves, one of which is 50 times slower; ideally 0.29 s."""
    scheduler = Scheduler(Items(100), Policy(chunk_size=chunk_size))
    return SimulatedSlaves(scheduler, [1.0] + [0.02] * 7).run(sys.maxsize)


def _line(label: str, simulate: Callable[[], Outcome]) -> None:
    gc.collect()
    found = simulate()
    per_job_us = found.deciding_s / max(1, found.jobs) * 1e6
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1e6)
    print(
        f"{label} {found.jobs:>9,} {found.events / found.deciding_s:>12,.0f} {per_job_us:>10.1f}"
        f" {found.slowest_s * 1e3:>12.2f} {peak_mb:>8.0f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slaves", type=int, default=10_000, help="most slaves")
    parser.add_argument("--items", type=int, default=10_000_000, help="most items")
    parser.add_argument("--jobs", type=int, default=60_000, help="a row with small jobs ends after so many")
    arguments = parser.parse_args()
    print(f"{'chunk':>6} {'slaves':>7} {'items':>11} {'jobs':>9} {'decisions/s':>12} {'us per job':>10}", end=" ")
    print(f"{'slowest (ms)':>12} {'peak MB':>8}")
    chunk_sizes: tuple[int | Literal["auto"], ...] = (1, "auto")
    for chunk_size in chunk_sizes:
        for slaves in (n for n in (10, 100, 1000, 10_000) if n <= arguments.slaves):
            for items in (n for n in (10**4, 10**5, 10**6, 10**7) if n <= arguments.items):
                _line(
                    f"{chunk_size:>6} {slaves:>7,} {items:>11,}",
                    lambda n=slaves, m=items, k=chunk_size: simulated(n, m, k, arguments.jobs),  # type: ignore[misc]
                )
    for chunk_size in chunk_sizes:
        print(f"one slave of eight 50 times slower, chunk {chunk_size}: {uneven(chunk_size).simulated_s:.3f} s of 0.29")


if __name__ == "__main__":
    main()
