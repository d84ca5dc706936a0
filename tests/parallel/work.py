"""Setups and tasks of the tests, as a program has them in a module of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

WAIT_S = 30.0
"""Longer than anything takes on the busiest machine."""


def three() -> tuple[int, int, int]:
    return 1, 2, 3


def nothing() -> None:
    return None


def fails() -> NoReturn:
    raise KeyError("no data")


class Noted:
    """A setup that notes each time that it is called, and gives the process and how often it was called there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> tuple[int, list[int]]:
        with self._path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return os.getpid(), []


class Add:
    """A task: a number added to what the setup gave."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *values: int) -> int:
        return sum(values) + self.number

    def method(self, *values: int) -> int:
        return self(*values)


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> int:
        return self.number


class Falsy(Add):
    """A task that is false."""

    def __len__(self) -> int:
        return 0


def pid(*_: object) -> int:
    return os.getpid()


def give_all(*values: Any) -> tuple[Any, ...]:
    return values


def note(path: Path, number: int) -> int:
    """Note that this was called; the number."""
    with path.open("a") as file:
        file.write(f"{number}\n")
    return number


def wait_at(gate: str, *_: object) -> int:
    """Wait until somebody opens the other end of this named pipe."""
    Path(gate).read_bytes()
    return os.getpid()


def raise_value_error(*_: object) -> NoReturn:
    raise ValueError("boom")


def note_and_raise(path: Path) -> NoReturn:
    note(path, 0)
    raise ValueError("boom")


class Unpicklable(Exception):
    def __reduce__(self) -> NoReturn:
        raise TypeError("not me")


class Unreadable(Exception):
    """It pickles, but does not unpickle."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class ReadsBadly(Exception):
    """It raises what could be taken for half a message."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _index_error, ()


def _index_error() -> NoReturn:
    raise IndexError("pickle exhausted before end of frame")


def raise_one_of(kind: str) -> NoReturn:
    if kind == "unpicklable":
        raise Unpicklable("text of it")
    if kind == "unreadable":
        raise Unreadable(1, 2)
    raise ReadsBadly("text of it")


def not_to_be_pickled() -> Any:
    return threading.Lock()


class NotHere:
    """A task that slaves cannot import."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _import_it, ()

    def __call__(self) -> None:
        """Never."""


def _import_it() -> NoReturn:
    raise ModuleNotFoundError("No module named 'my_model'", name="my_model")


def leave(how: str) -> None:
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "SystemExit":
        sys.exit(3)


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a dead process goes on")


def exit_at_once(*_: object) -> NoReturn:
    os._exit(3)


def note_and_die(path: Path) -> NoReturn:
    note(path, os.getpid())
    die()


def die_first(mark: Path) -> str:
    """Die of it, unless another slave has done so before."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        die()
    return "done by another"


def stop_first(mark: Path) -> str:
    """Freeze the slave, unless another has done so before."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        os.kill(os.getpid(), signal.SIGSTOP)
    return "done by another"


def compute(seconds: float) -> str:
    """Compute without a break, by the processor's time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return "computed"


def large(n_bytes: int) -> bytes:
    return b"x" * n_bytes


def say(text: str) -> None:
    print(text, flush=True)
    os.system(f"echo {text} >&2")  # noqa: S605  (a task's child)


def look(path: str, name: str) -> bool:
    """Whether this is in the command line or the environment of ours or of one of our parents."""
    return name in Path(path).read_text()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def directory_and_path() -> tuple[str, list[str]]:
    return os.getcwd(), sys.path


def index_of(number: int, index: int, value: Any) -> tuple[int, int, Any]:
    return number, index, value


def read(path: Path) -> str:
    """A task that fails until the file is there."""
    return path.read_text()


def loaded() -> list[str]:
    """The modules of this process."""
    return list(sys.modules)
