"""What is known of the relays that a queueing system is to run, and what to do about it. Pure.

::

    ordered -> submitted -> (the queue: pending, running) -> up -> its line is cut
       |           |                    |                             |
    refused    unwanted: cancel     failed, or not in the queue any more: ask why, then tell that it has ended

A *task* is what the queue knows: one of an array of jobs, with one relay, or one job with several relays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

WHY_S = 1.5
"""So long an engine may take to say why a task has ended."""
ASK_AGAIN_S = 0.5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_GROWTH = 1.5


class Phase(Enum):
    """Where a task is."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"  # it will never run, but is still in the queue
    ENDED = "ended"


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """The name of a task: its job, and its index in the array; that of a job without an array is 1."""

    job: str
    index: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the queue says of a task.

    Attributes:
        phase: where it is.
        words: of the engine: why it waits, or how it ended ("Resources", "NODE_FAIL").
        host: where it runs, as far as that is known.
    """

    phase: Phase
    words: str = ""
    host: str = ""


class End(NamedTuple):
    """A relay that is up no more, or will never be: its number, its task, where that was, and why."""

    number: int
    task: Task
    host: str
    words: str


@dataclass(slots=True)
class _Task:
    """Numbers: of its relays that were not told to have ended; up: those of them whose line is there."""

    numbers: list[int]
    up: set[int] = field(default_factory=set)
    seen: Seen | None = None
    host: str = ""
    ended_at: float | None = None
    why: str = ""
    ask_at: float | None = None  # when to ask why it has ended; None: no more, or an answer is awaited
    is_cancelled: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the queue may say something of it that nobody else does."""
        return self.ended_at is None and (self.is_cancelled or bool(set(self.numbers) - self.up))


class Tasks:
    """Told what happens, it says what to do: ``to_cancel``, ``to_explain``, ``ends``."""

    def __init__(self) -> None:
        self._ordered: dict[str, list[int]] = {}  # by the name of the order, until the engine has taken it
        self._tasks: dict[Task, _Task] = {}

    # ---- what happens

    def ordered(self, order: str, numbers: Sequence[int]) -> None:
        """Relays of these numbers are being submitted."""
        self._ordered[order] = list(numbers)

    def submitted(self, order: str, tasks: Mapping[Task, Sequence[int]]) -> None:
        """The engine has taken them; these are the numbers of each task."""
        wanted = self._ordered.pop(order)
        for task, numbers in tasks.items():
            self._tasks[task] = _Task([number for number in numbers if number in wanted])

    def refused(self, order: str) -> list[int]:
        """The engine has not taken them: the numbers that have ended by that."""
        return self._ordered.pop(order)

    def is_up(self, number: int) -> None:
        """The line to a relay is there."""
        if (task := self._task_of(number)) is not None:
            task.up.add(number)

    def line_is_cut(self, number: int) -> None:
        """The line to a relay is gone."""
        if (task := self._task_of(number)) is not None:
            task.up.discard(number)

    def unwant(self, number: int) -> None:
        """Nobody wants this relay any more, or wants to hear of it."""
        for numbers in self._ordered.values():
            if number in numbers:
                numbers.remove(number)
        if (task := self._task_of(number)) is not None:
            task.numbers.remove(number)
            task.up.discard(number)

    def saw(self, jobs: Iterable[str], states: Mapping[Task, Seen], now: float) -> None:
        """What the queue says; a task of these jobs that it does not name has ended."""
        asked = set(jobs)
        for name, task in list(self._tasks.items()):
            if name.job not in asked or task.ended_at is not None:
                continue
            task.seen = states.get(name)
            task.host = task.seen.host if task.seen is not None and task.seen.host else task.host
            if task.seen is None or task.seen.phase in (Phase.FAILED, Phase.ENDED):
                task.ended_at = task.ask_at = now
                if task.is_cancelled or not task.numbers:
                    task.ask_at = None
        self._forget()

    def explained(self, name: Task, words: str, now: float) -> None:
        """The engine was asked why this task has ended; "": it does not know yet."""
        if (task := self._tasks.get(name)) is not None:
            task.why = words
            task.ask_at = None if words else now + ASK_AGAIN_S

    def relay_ended(self, number: int, words: str) -> list[End]:
        """One of several relays of a task has ended, says the task itself."""
        for name, task in self._tasks.items():
            if number in task.numbers and number not in task.up:
                task.numbers.remove(number)
                return [End(number, name, "", words)]
        return []

    # ---- what to do

    def to_cancel(self) -> list[Task]:
        """Tasks to be cancelled now: nobody wants their relays, or they can never run."""
        cancelled = []
        for name, task in self._tasks.items():
            is_failed = task.seen is not None and task.seen.phase is Phase.FAILED and not task.numbers
            if not task.is_cancelled and (is_failed or (task.ended_at is None and not task.numbers)):
                task.is_cancelled = True
                cancelled.append(name)
        self._forget()
        return cancelled

    def to_explain(self, now: float) -> list[tuple[Task, Seen | None]]:
        """Tasks of which the engine is to be asked now why they have ended, and how they were seen to."""
        asked = []
        for name, task in self._tasks.items():
            if task.ask_at is not None and now >= task.ask_at:
                task.ask_at = None
                asked.append((name, task.seen))
        return asked

    def ends(self, now: float) -> list[End]:
        """The relays that have ended and whose end is explained, or will not be; each is told once.

        A relay whose line is there is not told of: the line knows better.
        """
        ends = []
        for name, task in self._tasks.items():
            if task.ended_at is None or not (task.why or now >= task.ended_at + WHY_S):
                continue
            words = task.why or (task.seen.words if task.seen is not None else "")
            ends += [End(number, name, task.host, words) for number in task.numbers if number not in task.up]
            task.numbers = [number for number in task.numbers if number in task.up]
        return ends

    def next_decision(self, now: float) -> float | None:
        """In how many seconds time alone brings something to do; None: never."""
        times = [task.ask_at for task in self._tasks.values() if task.ask_at is not None]
        waiting = [task for task in self._tasks.values() if task.ended_at is not None and set(task.numbers) - task.up]
        times += [(task.ended_at or 0.0) + WHY_S for task in waiting]
        return max(0.0, min(times) - now) if times else None

    # ---- what is known

    def open_jobs(self) -> list[str]:
        """The jobs of which the queue may know news."""
        return sorted({name.job for name, task in self._tasks.items() if task.is_open})

    def living(self) -> list[Task]:
        """All tasks that the queue may still have."""
        return [
            name
            for name, task in self._tasks.items()
            if task.ended_at is None or (task.seen is not None and task.seen.phase is Phase.FAILED)
        ]

    def waiting_for(self) -> str:
        """What tasks wait for, in words: "3 pending: Resources"; "": none waits."""
        seen = [task.seen for task in self._tasks.values() if task.seen is not None and not task.up]
        words = Counter(state.words for state in seen if state.phase is Phase.PENDING)
        return ", ".join(f"{count} pending: {why}" if why else f"{count} pending" for why, count in words.items())

    def _task_of(self, number: int) -> _Task | None:
        return next((task for task in self._tasks.values() if number in task.numbers), None)

    def _forget(self) -> None:
        """What has left the queue and was told of is of no more interest."""
        for name, task in list(self._tasks.items()):
            is_failed = task.seen is not None and task.seen.phase is Phase.FAILED
            if task.ended_at is not None and not task.numbers and (task.is_cancelled or not is_failed):
                del self._tasks[name]


class Pace:
    """How often the queue is asked: soon after something has happened, then less and less."""

    def __init__(self) -> None:
        self._pause_s = _FIRST_PAUSE_S
        self._at = 0.0

    def hurry(self, now: float) -> None:
        """Something has happened that the queue may know of."""
        self._pause_s = _FIRST_PAUSE_S
        self._at = min(self._at, now + _FIRST_PAUSE_S)

    def rest(self, now: float) -> None:
        """The queue has no news yet, since nothing that it has was there a moment ago: asking would only cost time."""
        self._at = max(self._at, now + _FIRST_PAUSE_S)

    def was_asked(self, now: float) -> None:
        """The queue has just answered."""
        self._at = now + self._pause_s
        self._pause_s = min(_GROWTH * self._pause_s, _LONGEST_PAUSE_S)

    def due_in(self, now: float) -> float:
        """In how many seconds to ask."""
        return max(0.0, self._at - now)
