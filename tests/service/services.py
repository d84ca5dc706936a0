"""Services that the tests run, and what their tasks do on slaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracking.service import Message, Service, ServiceHandler, export

WAIT_S = 20.0


def double(value: Any) -> Any:
    return 2 * value


def fail_on_odd(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


def pid(value: Any) -> int:
    return os.getpid()


def wait_at(gate: str) -> int:
    """Wait until somebody opens the other end of this named pipe, and closes it; our process id."""
    Path(gate).read_bytes()
    return os.getpid()


def die_once(mark: str) -> str:
    """Kill the slave unless another one has died of this before."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "done by another"
    os.kill(os.getpid(), signal.SIGKILL)
    return "dead"


class Steer(Message):
    """A message of the user's own."""


class SteerMore(Steer):
    """One derived from it."""


@export
class Sum(Service):
    """Sums what it is given."""

    version = "1"

    def prepare(self, request: Any) -> None:
        self.values = request.values

    def run(self, handler: ServiceHandler) -> Any:
        return sum(handler.map(self.task, self.values))

    def task(self, value: Any) -> Any:
        return value


class NotExported(Service):
    """Cannot be had by name."""

    version = "1"


class Scripted(Service):
    """Does what a test says, step by step; notes what happened.

    Args:
        body: its run.
    """

    version = "1"
    level = 0

    def __init__(self, body: Callable[[Any, ServiceHandler], Any] = lambda service, handler: None) -> None:
        self.body = body
        self.story: list[Any] = []
        self.state: Any = None
        self.told: Any = None

    def prepare(self, request: Any) -> None:
        self.story.append("prepare")

    def restore(self, state: Any) -> None:
        self.story.append(("restore", state))

    def run(self, handler: ServiceHandler) -> Any:
        self.story.append("run")
        return self.body(self, handler)

    def cleanup(self) -> None:
        self.story.append("cleanup")

    def progress(self) -> Any:
        return self.told

    def checkpoint(self) -> Any:
        self.story.append("asked")
        return self.state

    def note(self, *what: Any) -> None:
        self.story.append(what)

    def fail(self) -> None:
        raise ValueError("as it was told")
