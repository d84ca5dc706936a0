"""Small things that both sides use: how loud, what a result is, and an exception that travels as text."""

from __future__ import annotations

import importlib
import sys
import traceback
from types import ModuleType, TracebackType
from typing import Any, ClassVar, NoReturn, TypeAlias

_RULE = "-" * 120

ExcInfo: TypeAlias = (
    "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None"
)


def import_module(module_path: str) -> ModuleType:
    """The module of this dotted name.

    >>> import_module("os.path").__name__ in ("posixpath", "ntpath")
    True
    """
    return importlib.import_module(module_path)


def raise_unimplemented(method: Any) -> NoReturn:
    """Say that a method of a base class was called which a subclass has to define.

    Raises:
        NotImplementedError: names it.
    """
    name = getattr(method, "__qualname__", None) or getattr(method, "__name__", None) or repr(method)
    raise NotImplementedError(f"Attempt to invoke unimplemented abstract method {name}")


class Verbosity:
    """How much is printed, for the whole program: 0 nothing, 1 prefixes, progress and times, 2 for debugging.

    There is one of it: each call gives the same.
    """

    _only: ClassVar[Verbosity | None] = None
    _level = 0

    def __new__(cls, *args: object, **kwargs: object) -> Verbosity:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def level(self) -> int:
        """The level now."""
        return self._level

    def set(self, value: int | None = 0) -> None:
        """Have this level from now on; None leaves it as it is."""
        if value is not None:
            self._level = value


class Result:
    """What comes from a slave to the master.

    Attributes:
        completed: whether it was the last of its command; nothing depends on it any more.
        memo_id: of the memo that waits for it on the master; None: there is none.
        rank: of the processor that has made it.
    """

    memo_id: Any = None
    completed: bool = True
    rank: Any = None

    def __init__(self, processor: Any, completed: bool = True) -> None:
        self.completed = completed
        self.memo_id = None
        self.rank = processor.rank()


class Result_string(Result):  # noqa: N801  (names of old)
    """A text for the master's stdout.

    Args:
        processor: who makes it.
        string: the text.
        completed: see ``Result``.
    """

    def __init__(self, processor: Any, string: str, completed: bool = True) -> None:
        super().__init__(processor, completed)
        self.string = string

    def run(self, processor: Any, memo: Any = None) -> None:
        """Print it; called on the master."""
        sys.stdout.write(self.string)


class Capturing_exception(Exception):  # noqa: N801
    """An exception of a slave as text, with its traceback there.

    Args:
        exc_info: as of ``sys.exc_info()``; None: the exception that is being handled, if any is.
        rank: of the processor.
        name: of the processor.

    Attributes:
        rank, name: of the processor.
        exception_name: of its class; "" if there was none.
        exception_string: its text.
        traceback: lines, as of ``traceback.format_tb``.
    """

    def __init__(self, exc_info: ExcInfo = None, rank: Any = "unknown", name: str = "unknown") -> None:
        super().__init__()
        kind, value, trace = sys.exc_info() if exc_info is None else exc_info
        self.rank = rank
        self.name = name
        self.exception_name = "" if kind is None else kind.__name__
        self.exception_string = "" if value is None else _text(value)
        self.traceback = [] if trace is None else traceback.format_tb(trace)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (), self.__dict__.copy()

    def __str__(self) -> str:
        if not self.exception_name:
            return f"\n\nNo exception was captured (Rank: {self.rank} Name: {self.name})\n"
        told = [
            "Nested Exception from sub processor",
            f"Rank: {self.rank} Name: {self.name}",
            f"Exception type: {self.exception_name}",
            f"Message: {self.exception_string}",
        ]
        return "\n".join(["\n", _RULE, "", "".join(self.traceback), "", *told, "", _RULE, "\n"])


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:  # noqa: BLE001  (the user's own class, which may raise anything)
        return f"its text cannot be made: {type(problem).__name__}: {problem}"
