"""Everything at once: jobs that are steered, paused, cancelled and aborted by many threads, while their slaves die."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from typing import Any

import pytest

from tests.service.helpers import Heard
from tests.service.services import WAIT_S, Steer, double
from tracking import Interrupted
from tracking.service import (
    Abort,
    Client,
    Invoke,
    MapCancelled,
    Message,
    Pause,
    Proxy,
    Resume,
    Service,
    ServiceHandler,
    Set,
)  # fmt: skip
from tracking.service.messages import is_final


class Busy(Service):
    """Maps in both ways, is steered, and counts what it did."""

    version = "1"
    level = 0

    def prepare(self, request: Any) -> None:
        self.rounds, self.done = request.rounds, 0
        self.cleaned = 0

    def checkpoint(self) -> int:
        return self.done

    def progress(self) -> tuple[int, int]:
        return self.done, self.rounds

    def note(self) -> None:
        self.level += 1

    def onSignalSteer(self, handler: ServiceHandler, message: Steer) -> None:
        self.queue.put(message)

    def onReadySteer(self, handler: ServiceHandler, message: Steer) -> None:
        handler.cancel_map()

    def run(self, handler: ServiceHandler) -> int:
        with handler.mapper(double) as mapper:
            while self.done < self.rounds:
                handler.ready()
                with contextlib.suppress(MapCancelled):
                    assert handler.map(double, range(5)) == mapper(range(5)) == [0, 2, 4, 6, 8]
                    self.done += 1
                    handler.improved(self.done)
        return self.done

    def cleanup(self) -> None:
        self.cleaned += 1


def disturb(job: Proxy, chance: random.Random, pids: dict[str, int]) -> None:
    """One of the things that may happen to a job."""
    what = chance.randrange(8)
    messages: list[Message] = [Pause(), Resume(), Set(level=3, progress_delta=0), Invoke("note"), Steer(), Invoke("no")]
    if what < len(messages):
        job.send(messages[what])
        job.send(Resume())
    elif what == 6:
        job.cancel_map()
    elif pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(sorted(pids.values())), signal.SIGKILL)


def weather(seed: int, rounds: int) -> None:
    """One storm; whatever happens, each job ends, with exactly one final message, the last one, and is cleaned up."""
    chance = random.Random(seed)
    with Client(workers=2, host_failures=None, max_deaths=None) as client:
        jobs = [client.submit(Busy.request(rounds=rounds), Busy) for _ in range(3)]
        heard = [Heard() for _ in jobs]
        for job, listener in zip(jobs, heard, strict=True):
            client.listen(job.job, listener)

        def storm(own: random.Random) -> None:
            for _ in range(12):
                disturb(own.choice(jobs), own, client.workers.pool.pids)

        threads = [threading.Thread(target=storm, args=(random.Random(chance.random()),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        for job in jobs:
            job.send(Resume())
        if seed % 2:
            jobs[0].send(Abort())
        for job, listener in zip(jobs, heard, strict=True):
            try:
                assert job.wait(WAIT_S) == rounds
            except Interrupted:
                assert job is jobs[0]
            listener.kinds()
            assert [is_final(message) for message in listener.messages].index(True) == len(listener.messages) - 1
            assert job._handler.service.cleaned == 1


@pytest.mark.parametrize("seed", range(2))  # one with an abort; the slow ones have more
def test_in_any_weather_jobs_end_once_and_right(seed: int) -> None:
    weather(seed, rounds=10)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 125))
def test_in_much_weather_jobs_end_once_and_right(seed: int) -> None:
    weather(seed, rounds=40)
