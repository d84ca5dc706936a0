"""What items of these tests do to their process. Nothing heavy is imported here: slaves import it, too."""

from __future__ import annotations

import builtins
import ctypes
import gc
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

BAD = 2


def square_unless(abuse: Callable[[], Any]) -> Callable[[int], Any]:
    """Squares; the bad item abuses its process, and answers what comes of that, or its square."""

    def item(value: int) -> Any:
        if value == BAD:
            return abuse() or value * value
        return value * value

    return item


# ---- what ends the process


def exit_well() -> None:
    os._exit(0)


def close_all_descriptors() -> None:
    os.closerange(3, 1000)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def read_from_nowhere() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def become_another_program() -> None:
    os.execvp("sleep", ["sleep", "60"])  # noqa: S606


def daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    os._exit(0)


def ring_an_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.pause()


def break_builtins() -> None:
    builtins.len = builtins.isinstance = None  # type: ignore[assignment]


# ---- what stays in the process


def change_surroundings() -> None:
    os.chdir(tempfile.mkdtemp())
    os.rmdir(os.getcwd())
    os.umask(0o777)
    os.environ.clear()
    os.nice(5)


def ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()


def start_endless_threads() -> None:
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600,)).start()


def start_a_busy_thread() -> None:
    def count() -> None:
        while True:
            pass

    threading.Thread(target=count).start()


def drop_streams() -> None:
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]
    sys.excepthook = None  # type: ignore[assignment]


def close_streams() -> None:
    for descriptor in (0, 1, 2):
        os.close(descriptor)


def print_much() -> None:
    for _ in range(100):
        print("x" * 1_000_000)


def forbid_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def forbid_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


# ---- what is raised


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise RuntimeError("no reduce")


def raiser(error: BaseException) -> Callable[[], Any]:
    def abuse() -> None:
        raise error

    return abuse


def recurse_for_ever() -> Any:
    return recurse_for_ever()


def need_too_much_memory() -> Any:
    resource.setrlimit(resource.RLIMIT_AS, (10**8, 10**8))
    return bytes(10**9)


# ---- what comes back, or is given


class Reduced:
    """Is sent as a call, made by whoever reads it."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Unreducible:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


def nested() -> list[Any]:
    lists: list[Any] = []
    for _ in range(100_000):
        lists = [lists]
    return lists


class Contrary:
    """Refuses whatever may be asked of a value."""

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError("do not ask")

    __bool__ = __len__ = __eq__ = __repr__ = __iter__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def raise_it(value: Any) -> None:
    raise ValueError(value)


class IncomparableId:
    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")
