"""What slaves do in the contracts; it goes to them by value, so that it need not be where they are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracking.slave.job_slave import JobSlave

TAKE, NEWS = 1, 2


def square(value: int) -> int:
    """The square."""
    return value * value


def obey(what: Any) -> Any:
    """Do what an item says: a word, or a tuple of one and its arguments."""
    name, *arguments = what if isinstance(what, tuple) else (what,)
    ways: dict[str, Callable[..., Any]] = {"print": print, "die": die, "leave": os._exit, "start_child": start_child}
    return ways[name](*arguments)


def die(number: int) -> None:
    """Send oneself a signal, and wait for its effect."""
    os.kill(os.getpid(), number)
    signal.pause()


def start_child() -> int:
    """Start a program that would run for an hour; its process number."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid


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


def suicidal(value: int) -> int:
    """Dies of 0."""
    if not value:
        os._exit(3)
    return value


def nap(value: int) -> int:
    """The square, after a moment."""
    time.sleep(0.01)
    return value * value


def square_behind_gate(value: tuple[int, str]) -> int:
    """The square; from number 100 on not before this file is there."""
    number, gate = value
    while number >= 100 and not os.path.exists(gate):
        time.sleep(0.01)  # a file stays for runs to come, which shall not wait; nobody tells of it
    return number * number


def print_and_square(value: int) -> int:
    """The square, and a line that says so."""
    print(f"now comes {value}")
    return value * value


class Speaking(JobSlave):
    """Adds what it was given at first, and takes away what its master tells it."""

    def initialize(self, params: int) -> None:
        self.added = params

    def bindMessages(self) -> None:
        self.bind(TAKE, -1, self.take)

    def take(self, value: int) -> None:
        """What to take away."""
        self.taken = value

    def go(self, chunk: dict[Any, int]) -> dict[Any, int]:
        master = self.getParent()
        assert master is not None
        self.send(master, NEWS, (len(chunk),))
        return {id: value + self.added - self.taken for id, value in chunk.items()}
