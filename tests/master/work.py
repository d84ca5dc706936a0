"""What the slaves of these tests do. Nothing heavy is imported here: slaves import it too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracking import JobSlave


def square(value: Any) -> Any:
    return value * value


def negative(value: int) -> int:
    return -value


def pid(_: object) -> int:
    return os.getpid()


def nice_value(_: object) -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def fail_on_odd(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


def die_on_three(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def wait_for_file(path: str) -> str:
    """Work until the file is there: so a test decides when an item ends."""
    while not os.path.exists(path):
        time.sleep(0.001)  # the processor is for whom we wait for
    return path


def tell_and_wait(paths: tuple[str, str]) -> int:
    """Make the first file, holding the process id; end when the second is there."""
    began, go_on = paths
    temporary = f"{began}.{os.getpid()}"
    Path(temporary).write_text(str(os.getpid()))
    os.replace(temporary, began)
    wait_for_file(go_on)
    return os.getpid()


class Unreadable:
    """Can be pickled and not unpickled."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("I am not to be read")


def unreadable_on_two(value: int) -> Any:
    return Unreadable() if value == 2 else value


def unsendable() -> Iterator[int]:
    """A generator: neither pickle nor anything else can send it."""
    yield 1


def unsendable_on_two(value: int) -> Any:
    return unsendable() if value == 2 else value


class Squares(JobSlave):
    """The plainest slave."""

    params: Any = None

    def initialize(self, params: Any) -> None:
        self.params = params

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        return {id: value * value for id, value in jobs.items()}


class WithParams(Squares):
    """Gives back what it was initialized with, and who it is."""

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        return {id: (self.getTID(), self.params) for id in jobs}


class CannotStart(Squares):
    def initialize(self, params: Any) -> None:
        raise ValueError("no licence for this program")


class Faulty(JobSlave):
    """Does with a job what its first value says."""

    def go(self, jobs: dict[Any, Any]) -> Any:
        good = dict(jobs)
        if "raise" in jobs.values():
            raise ZeroDivisionError("somewhere in go")
        if "too few" in jobs.values():
            return {id: value for id, value in good.items() if value != "too few"}
        if "unknown" in jobs.values():
            return good | {"nobody asked": 1}
        if "no dict" in jobs.values():
            return list(jobs)
        if "unpicklable" in jobs.values():
            return {id: unsendable() if value == "unpicklable" else value for id, value in good.items()}
        return good


class DiesOfItsParameters(Squares):
    """Its slave dies while it initializes."""

    def initialize(self, params: Any) -> None:
        print("about to end", flush=True)
        os._exit(4)


def keep_much(number: int) -> int:
    kept.append(bytearray(60_000_000))
    return number


kept: list[bytearray] = []
