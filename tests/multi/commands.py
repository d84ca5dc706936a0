"""Commands, results and memos for tests."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tracking.multi import Memo, Result_command, Result_string, Slave_command, fetch_data


class Kept(Memo):
    """Holds what cannot be pickled, and is given a value by each result."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[Any] = []


class Keep(Result_command):
    """Puts its value into the memo."""

    def __init__(self, processor: Any, value: Any, completed: bool = True, memo_id: Any = None) -> None:
        super().__init__(processor=processor, completed=completed, memo_id=memo_id)
        self.value = value

    def run(self, processor: Any, memo: Any = None) -> None:
        memo.values.append(self.value)


class Square(Slave_command):
    """Without the base's constructor, as those of the old scripts."""

    def __init__(self, value: int) -> None:
        self.value = value

    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(Keep(processor, self.value**2, completed, self.memo_id))


class Call(Slave_command):
    """Returns what a function of the processor returns."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def run(self, processor: Any, completed: bool = True) -> None:
        value = self.function(processor, *self.arguments)
        processor.return_object(Keep(processor, value, completed, self.memo_id))


class Many(Slave_command):
    """Returns so many results, all of them completed, or none at all."""

    def __init__(self, count: int) -> None:
        self.count = count

    def run(self, processor: Any, completed: bool = True) -> None:
        for number in range(self.count):
            processor.return_object(Keep(processor, number, True, self.memo_id))


class Say(Slave_command):
    """Prints pieces of text, 0 to stdout and 1 to stderr, then returns a text."""

    def __init__(self, *pieces: tuple[str, int], returned: str = "") -> None:
        self.pieces, self.returned = pieces, returned

    def run(self, processor: Any, completed: bool = True) -> None:
        for text, stream in self.pieces:
            (sys.stderr if stream else sys.stdout).write(text)
        if self.returned:
            processor.return_object(Result_string(processor, self.returned, completed))


class Trouble(Slave_command):
    """Prints, returns a result, and then does what ends it."""

    def __init__(self, what: Any, *arguments: Any) -> None:
        self.what, self.arguments = what, arguments

    def run(self, processor: Any, completed: bool = True) -> None:
        print("before the trouble")
        if self.memo_id is not None:
            processor.return_object(Keep(processor, "before", completed, self.memo_id))
        self.what(*self.arguments)


def fail(text: str) -> None:
    raise ValueError(text)


def kill_own_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_own_process_once(flag: str) -> None:
    if not os.path.exists(flag):
        Path(flag).touch()
        kill_own_process()


class KillOnce(Square):
    """Kills its slave the first time."""

    def __init__(self, value: int, flag: str) -> None:
        super().__init__(value)
        self.flag = flag

    def run(self, processor: Any, completed: bool = True) -> None:
        kill_own_process_once(self.flag)
        super().run(processor, completed)


class ReturnLock(Slave_command):
    """Returns a result, one that cannot be pickled, and another one."""

    def run(self, processor: Any, completed: bool = True) -> None:
        for value in (1, threading.Lock(), 3):
            processor.return_object(Keep(processor, value, completed, self.memo_id))


def who(processor: Any) -> tuple[int, int]:
    """Rank and process."""
    return processor.rank(), os.getpid()


def stored(processor: Any, name: str) -> Any:
    assert fetch_data(name) is getattr(processor.data_store, name)
    return processor.fetch_data(name)


def has_stored(processor: Any, name: str) -> bool:
    return hasattr(processor.data_store, name)


def meet(processor: Any, pipe: str, *result: Any) -> Any:
    """Wait until the other end of a named pipe is opened by the test."""
    with open(pipe, "rb") as end:
        end.read()
    return result
