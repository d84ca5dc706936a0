"""Message streams: what jobs say, kept for whoever comes late.

::

    a job's threads                       any thread
      put(job, message) --> buffer          listen(job, listener): Joined, what is kept, then all that comes
                        --> listeners       hangup(job, listener)

A listener is anything with ``put(message)``: a queue, a ``Monitor``. It is called in the thread that puts, one
message at a time and in order, under no lock of ours; one that raises is logged and goes on listening.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Protocol

from tracking.service.messages import Aborted, Checkpoint, Completed, Error, Improved, Joined, Message, Progress
from tracking.service.staying import StaysHere

logger = logging.getLogger("tracking")

_MOST_KEPT = 1000
_ONLY_NEWEST = (Progress, Improved, Checkpoint)  # of these the newest is kept of each


class Listener(Protocol):
    """Who hears messages."""

    def put(self, message: Message, /) -> object:
        """Take a message; it should not take long."""


class _Line:
    """One listener to one stream: what is still to be told, and whether somebody is telling it. Under the lock."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.untold: deque[Message] = deque()
        self.is_being_told = False


class _Stream:
    """What is known of one job. Under the lock."""

    def __init__(self) -> None:
        self.header = Joined()
        self.kept: list[Message] = []
        self.lines: list[_Line] = []
        self.is_error_told = False

    def keep(self, message: Message) -> None:
        if isinstance(message, _ONLY_NEWEST):
            self.kept = [old for old in self.kept if type(old) is not type(message)]
        self.kept.append(message)
        if len(self.kept) > _MOST_KEPT:
            self.header.missed += len(self.kept) - _MOST_KEPT
            del self.kept[:-_MOST_KEPT]
        if isinstance(message, Progress):
            self.header.complete, self.header.total = message.complete, message.total
            self.header.units = message.units
        elif isinstance(message, Improved | Completed | Aborted):
            self.header.result = message.result

    def note_told(self) -> None:
        """Somebody listens: to the error with which the job has ended, too, if it has come."""
        if self.lines and any(isinstance(message, Error) and message.is_final for message in self.kept[-1:]):
            self.is_error_told = True

    def beginning(self) -> list[Message]:
        """What a listener gets first."""
        if not self.kept:
            return []  # nobody is late
        head = self.header
        return [Joined(head.complete, head.total, head.result, head.units, head.missed), *self.kept]


class MessageStream(StaysHere):
    """The messages of any number of jobs.

    Example:
        >>> from queue import SimpleQueue
        >>> from tracking.service import MessageStream, Progress
        >>> stream, late = MessageStream(), SimpleQueue()
        >>> stream.put("Fit-1", Progress(1, 2, "steps"))
        >>> stream.listen("Fit-1", late)
        >>> late.get()
        Joined(complete=1, total=2, result=None, units='steps', missed=0)
        >>> late.get()
        Progress(complete=1, total=2, units='steps')
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}

    def put(self, job: str, message: Message) -> None:
        """A job says something; from any thread."""
        with self._lock:
            stream = self._streams.setdefault(job, _Stream())
            stream.keep(message)
            stream.note_told()
            lines = list(stream.lines)
            for line in lines:
                line.untold.append(message)
        for line in lines:
            self._tell(line)

    def listen(self, job: str, listener: Listener) -> None:
        """Hear this job: who comes late gets ``Joined`` first, then what is kept, and all that follows, in order.

        Of ``Progress``, ``Improved`` and ``Checkpoint`` the newest is kept, of all else the newest 1000.
        """
        line = _Line(listener)
        with self._lock:
            stream = self._streams.setdefault(job, _Stream())
            line.untold.extend(stream.beginning())
            stream.lines.append(line)
            stream.note_told()
        self._tell(line)

    def hangup(self, job: str | None, listener: Listener) -> None:
        """Hear this job no more; None: none at all."""
        with self._lock:
            for name, stream in self._streams.items():
                if job is None or name == job:
                    for line in [line for line in stream.lines if line.listener is listener]:
                        stream.lines.remove(line)
                        line.untold.clear()

    def is_error_told(self, job: str) -> bool:
        """Whether anybody has heard with which error this job has ended."""
        with self._lock:
            return job in self._streams and self._streams[job].is_error_told

    def forget(self, job: str) -> None:
        """Keep nothing of this job any more; who listens hears no more of it."""
        with self._lock:
            self._streams.pop(job, None)

    def _tell(self, line: _Line) -> None:
        """Tell what is untold, unless another thread is just doing that: it will see what we have added."""
        with self._lock:
            if line.is_being_told:
                return
            line.is_being_told = True
        while (message := self._next(line)) is not None:
            try:
                line.listener.put(message)
            except BaseException as error:
                logger.exception("a listener has failed on %r", message)
                if isinstance(error, KeyboardInterrupt):
                    self._leave(line)
                    raise

    def _leave(self, line: _Line) -> None:
        with self._lock:
            line.is_being_told = False

    def _next(self, line: _Line) -> Message | None:
        with self._lock:
            if line.untold:
                return line.untold.popleft()
            line.is_being_told = False
            return None
