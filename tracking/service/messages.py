"""The messages of a job: those that steer it, and those that tell of it. All can be pickled."""

from __future__ import annotations

import copy
import logging
import os
import sys
import traceback
from typing import Any

_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Message:
    """Base of all messages; derive your own from it.

    Args:
        fields: its attributes.
    """

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


# ---- to a job


class Abort(Message):
    """End as soon as possible."""


class Pause(Message):
    """Wait in the next ready state."""


class Resume(Message):
    """Go on after a pause."""


class Set(Message):
    """Set attributes: those of the handler (``progress_delta``, ...) at once, those of the service when it is ready.

    Attributes:
        values: {name: value}.
    """

    values: dict[str, Any]

    def __init__(self, **values: Any) -> None:
        super().__init__(values=values)


class Invoke(Message):
    """Call a method of the service when it is ready.

    Attributes:
        method: its name.
        args, kw: what it is called with.
    """

    method: str
    args: tuple[Any, ...]
    kw: dict[str, Any]

    def __init__(self, method: str, /, *args: Any, **kw: Any) -> None:
        super().__init__(method=method, args=args, kw=kw)


# ---- from a job


class Started(Message):
    """The job has begun.

    Attributes:
        job: its name.
        service: the name of its service.
        is_resumed: it goes on from a state that was kept.
    """

    job: str
    service: str
    is_resumed: bool

    def __init__(self, job: str = "", service: str = "", is_resumed: bool = False) -> None:
        super().__init__(job=job, service=service, is_resumed=is_resumed)


class Joined(Message):
    """The first message to whoever listens late: how the job stands.

    Attributes:
        complete, total, units: of its last progress; None: there was none.
        result: the last improvement, or the final result.
        missed: so many earlier messages are kept no longer; the others follow.
    """

    complete: float | None
    total: float | None
    units: str | None
    result: Any
    missed: int

    def __init__(
        self,
        complete: float | None = None,
        total: float | None = None,
        result: Any = None,
        units: str | None = None,
        missed: int = 0,
    ) -> None:
        super().__init__(complete=complete, total=total, result=result, units=units, missed=missed)


class Progress(Message):
    """So much is done.

    Attributes:
        complete, total: so much of how much.
        units: of what.

    >>> print(Progress(3, 10, "generations"))
    Progress: 3 generations of 10
    """

    complete: float
    total: float
    units: str | None

    def __init__(self, complete: float, total: float, units: str | None = None) -> None:
        super().__init__(complete=complete, total=total, units=units)

    def __str__(self) -> str:
        return f"Progress: {self.complete} {self.units + ' ' if self.units else ''}of {self.total}"


class _WithResult(Message):
    result: Any

    def __init__(self, result: Any = None) -> None:
        super().__init__(result=result)


class Improved(_WithResult):
    """There is a better result: ``result``."""


class Completed(_WithResult):
    """The job is done: ``result``."""


class Aborted(_WithResult):
    """The job was ended; ``result``: the last improvement, None if there was none."""


class Error(Message):
    """Something has failed.

    Attributes:
        words: the error, in a line.
        trace: the traceback as text, from the user's own frames on.
        is_final: the job has ended with it; else it goes on.
    """

    words: str
    trace: str
    is_final: bool

    def __init__(self, error: BaseException | None = None, *, is_final: bool = False) -> None:
        error = error or sys.exception()
        super().__init__(words=words_of(error), trace=trace_of(error), is_final=is_final)

    def __str__(self) -> str:
        return f"Error: {self.words}\n{self.trace}".rstrip()


class Log(Message):
    """A line of the job's log: ``record``, a ``logging.LogRecord`` that can be pickled."""

    record: logging.LogRecord

    def __init__(self, record: logging.LogRecord) -> None:
        super().__init__(record=_sendable(record))


class Checkpoint(Message):
    """A state from which the job can go on: ``handler.start(service, checkpoint, resume=True)``.

    Attributes:
        state: a copy of what ``Service.checkpoint`` gave.
        version: of the service.
        best: the last improvement, None if there was none.
        number: the first of a job is 1.
    """

    state: Any
    version: Any
    best: Any
    number: int

    def __init__(self, state: Any, version: Any = None, best: Any = None, number: int = 0) -> None:
        super().__init__(state=state, version=version, best=best, number=number)

    def __repr__(self) -> str:
        return f"Checkpoint(number={self.number}, version={self.version!r})"


FINAL = (Completed, Aborted)


def is_final(message: Message) -> bool:
    """Whether a job sends nothing after this."""
    return isinstance(message, FINAL) or (isinstance(message, Error) and message.is_final)


def words_of(error: BaseException | None) -> str:
    """'ValueError: what it says', in a line; also of an error that cannot say it."""
    if error is None:
        return "unknown"
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as other:  # noqa: BLE001  it is the user's own __str__
        return f"{type(error).__name__}, whose text cannot be had ({type(other).__name__})"


def trace_of(error: BaseException | None) -> str:
    """The traceback as text, with that of a slave where there is one; frames of this package are left out."""
    if error is None:
        return ""
    told = traceback.TracebackException.from_exception(error)
    at: traceback.TracebackException | None = told
    while at is not None:
        own = [frame for frame in at.stack if not frame.filename.startswith(_OWN_FOLDER)]
        at.stack = traceback.StackSummary.from_list(own)
        at = at.__cause__ or at.__context__
    return "".join(told.format())


def _sendable(record: logging.LogRecord) -> logging.LogRecord:
    """A copy whose text is made already: what it was made of may not travel."""
    told = copy.copy(record)
    if told.exc_info and not told.exc_text:
        told.exc_text = logging.Formatter().formatException(told.exc_info)
    told.msg, told.args, told.exc_info = record.getMessage(), None, None
    return told
