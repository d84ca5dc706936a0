"""What is calculated in the tests over all fabrics; found by its name on every host, or sent."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from tracking import JobSlave, TrackingJobMaster


def square_here(value: int) -> tuple[int, str]:
    """The square, and the host that found it."""
    time.sleep(0.002)
    return value * value, socket.gethostname()


def square_or_die(job: tuple[int, str]) -> int:
    """The square; where a mark is named, the first slave that meets it makes the mark and dies."""
    value, mark = job
    if mark and not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def nap(value: int) -> int:
    """The square, after a moment."""
    time.sleep(0.01)
    return value * value


def print_and_square(value: int) -> int:
    print(f"now comes {value}")
    return value * value


TAKE, NEWS = 1, 2


class Speaking(JobSlave):
    """Adds what it was given at first, and takes away what its master tells it."""

    def initialize(self, params: int) -> None:
        self.added = params

    def bindMessages(self) -> None:
        self.bind(TAKE, -1, self.take)

    def take(self, value: int) -> None:
        self.taken = value

    def go(self, chunk: dict[Any, int]) -> dict[Any, int]:
        master = self.getParent()
        assert master is not None
        self.send(master, NEWS, (len(chunk),))
        return {id: value + self.added - self.taken for id, value in chunk.items()}


class SpeakingMaster(TrackingJobMaster):
    """Tells its slaves what to take away, and counts what they say they have done."""

    counted = 0

    def bindMessages(self, slave_tid: int) -> None:
        self.bind(NEWS, slave_tid, self.count)

    def count(self, how_many: int) -> None:
        self.counted += how_many

    def getInitParameters(self, slave_tid: int) -> int:
        return 100

    def initializationDone(self, slave_tid: int) -> None:
        self.send(slave_tid, TAKE, (7,))
