"""What a ready state does, step by step, and when something is due. Pure: no threads, no clock.

::

    1 the queue  ->  2 paused? wait, and go on with the queue  ->  3 aborted? raise
                 ->  4 a delayed improvement  ->  5 progress  ->  6 a checkpoint      (4 to 6: where they are due)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from tracking.service.messages import Message


class Step(Enum):
    """What is to be done next in a ready state."""

    HANDLE = "handle the next message of the queue"
    WAIT = "wait until something changes"
    RAISE = "raise AbortService"
    IMPROVED = "send the delayed improvement"
    PROGRESS = "ask for progress, and send it"
    CHECKPOINT = "ask for a state, and keep it"
    DONE = "go on computing"


@dataclass(frozen=True, slots=True)
class Seen:
    """How things are at a moment.

    Attributes:
        has_message: the queue has a message for this ready state.
        is_paused, is_aborted: the job was told to wait, to end.
        due: which of ``IMPROVED``, ``PROGRESS`` and ``CHECKPOINT`` are due.
    """

    has_message: bool = False
    is_paused: bool = False
    is_aborted: bool = False
    due: frozenset[Step] = frozenset()


class ReadyTurn:
    """One ready state: says what comes next, given how things are."""

    def __init__(self) -> None:
        self._left = [Step.IMPROVED, Step.PROGRESS, Step.CHECKPOINT]

    def next(self, seen: Seen) -> Step:
        """The next step; it is to be done before this is asked again."""
        if seen.has_message:
            return Step.HANDLE
        if seen.is_aborted:
            return Step.RAISE
        if seen.is_paused:
            return Step.WAIT
        while self._left:
            step = self._left.pop(0)
            if step in seen.due:
                return step
        return Step.DONE


class Backlog:
    """The messages that wait for a ready state, first come, first served.

    A ready state handles those that are there when it begins; in a pause those that come as well. One that is queued
    by the computation itself, as a handler does that wants to see its message again, waits for the next ready state.
    """

    def __init__(self) -> None:
        self._come: deque[tuple[int, Message]] = deque()  # (how manieth, message)
        self._own: deque[tuple[int, Message]] = deque()  # by the computation: for the next ready state
        self._count = 0
        self._admitted = 0

    def __len__(self) -> int:
        return len(self._come) + len(self._own)

    def put(self, message: Message, *, is_own: bool = False) -> None:
        """Queue a message; ``is_own``: by the computation."""
        self._count += 1
        (self._own if is_own else self._come).append((self._count, message))

    def begin_turn(self) -> None:
        """A ready state begins: all that are there now are for it, in the order in which they came."""
        self._come = deque(sorted((*self._come, *self._own), key=itemgetter(0)))
        self._own.clear()
        self._admitted = len(self._come)

    def admit_newcomers(self) -> None:
        """The job is paused: what has come meanwhile may be handled, too."""
        self._admitted = len(self._come)

    def has_admitted(self) -> bool:
        """Whether there is a message for this ready state."""
        return self._admitted > 0

    def take(self) -> Message:
        """The next message of this ready state."""
        self._admitted -= 1
        return self._come.popleft()[1]


class Clocks:
    """When progress, improvements and states are due. Times in seconds, on any clock that only goes forward.

    Args:
        now: the start of the job.
    """

    def __init__(self, now: float) -> None:
        self._last = {Step.IMPROVED: float("-inf"), Step.PROGRESS: now, Step.CHECKPOINT: now}

    def restart(self, step: Step, now: float) -> None:
        """It was done: sent, or, of a state, kept. A checkpoint that gave None was not."""
        self._last[step] = now

    def due(self, deltas: dict[Step, float], now: float) -> frozenset[Step]:
        """Those for which so many seconds are over."""
        return frozenset(step for step, delta in deltas.items() if now - self._last[step] >= delta)
