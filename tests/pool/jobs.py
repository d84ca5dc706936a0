"""Functions that slaves call in the tests of the pool."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from tracking.slave.cores import VARIABLES


def add(a: int, b: int = 0) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def raise_key_error(text: str) -> NoReturn:
    raise KeyError(text)


def leave(status: int) -> NoReturn:
    sys.exit(status)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a dead process goes on")


def die_first(mark: str) -> str:
    """Kill the slave unless another one has died of this call before."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "done by another"
    die()


def wait_first(mark: str, gate: str) -> int:
    """Wait at the gate unless another slave has done so before; our process id."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        wait_at(gate)
    return os.getpid()


def wait_at(gate: str) -> int:
    """Wait until somebody opens the other end of this named pipe; our process id."""
    Path(gate).read_bytes()
    return os.getpid()


def size_of(data: Any) -> int:
    return len(data)


def unsendable() -> object:
    return threading.Lock()


class Unreadable:
    """Can be sent, but not read."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def __call__(self) -> None:
        """Nobody comes so far."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, (self._error,)


def _refuse(error: type[BaseException]) -> NoReturn:
    raise error("made nowhere")


def unreadable(error: type[BaseException] = RuntimeError) -> Unreadable:
    return Unreadable(error)


class Setup:
    """The setup of a session: it notes in a file, one line each time, which process it ran in, and gives a list.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> list[int]:
        with self._path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return []


class FailingSetup:
    """It raises at the first call, whichever process makes it."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __call__(self) -> str:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._mark, os.O_CREAT | os.O_EXCL))
            raise KeyError("no restraints")
        return "restraints"


def put(kept: list[int], n: int) -> list[int]:
    """Add to what the setup gave; all that was added to it on this slave."""
    kept.append(n)
    return kept


def wait_with(kept: list[int], gate: str) -> int:
    return wait_at(gate)


def first(*values: Any) -> Any:
    return values[0]


def die_of_setup() -> NoReturn:
    die()


def fork_in_setup() -> int:
    """A copy of the slave comes out of the setup, too."""
    copy = os.fork()
    if copy:
        os.waitpid(copy, 0)
    return copy


def sleep_holding_the_interpreter(seconds: float) -> int:
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return os.getpid()


def burn_holding_the_interpreter(bits: int) -> int:
    pow(7, 1 << bits)
    return os.getpid()


def short(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def thread_variables() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def threads_before_and_after_numpy() -> tuple[int, int]:
    """Of this process; what is loaded starts the pool of BLAS."""
    before = len(os.listdir("/proc/self/task"))
    import numpy as np

    np.ones((200, 200)) @ np.ones((200, 200))
    return before, len(os.listdir("/proc/self/task"))


def own_cpus(_: object = None) -> set[int]:
    return os.sched_getaffinity(0)


def look_up(array: Any, index: int) -> tuple[float, bool, int, int]:
    """What stands there, whether the array can be written to, where it lies, and our process id."""
    return float(array[index]), array.flags.writeable, id(array), os.getpid()


def look_up_two(setup: Any, array: Any, index: int) -> tuple[bool, float]:
    """Whether both are the same, and what stands there."""
    return setup is array, float(array[index])


def same(thing: Any) -> Any:
    return thing


def sum_of(array: Any) -> tuple[float, int]:
    """Of all its numbers, so that all its memory is read; and our process id."""
    return float(array.sum()), os.getpid()
