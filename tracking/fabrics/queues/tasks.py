"""What is known of the relays that a queueing system is to run, and what to do about it. Pure.

::

    ordered -> submitted -> (the queue: pending, running) -> up -> its line is cut: its end is looked for at once
       |           |                    |                             |
    refused    unwanted: cancel     failed, ended, or gone: ask why, then tell; cut off but running: tell, cancel
                                    starting for too long: tell, cancel

A *task* is what the queue knows: one of an array of jobs, with one relay, or one job with several relays.

A queue that has not yet noticed that a node is down gives its slots to the next job, which then starts for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

WHY_S = 1.5
"""So long an engine may take to say why a task has ended."""
CUT_S = 1.5
"""A relay whose line is cut is given up then, whatever the engine says."""
ENDING_S = 1.0
"""So long the last word of a task that is just ending is waited for."""
ASK_AGAIN_S = 0.5
WHOLE: Final = -1
"""An index that stands for all tasks of a job that are not named."""
GONE = "is not in the queue any more"
STUCK_S = 20.0
"""A task that starts for longer is given up: the node that it was given to is down. Doubled each time."""
_GONE_ANSWERS = 2  # a task that the queue does not know in so many answers is gone


class Phase(Enum):
    """Where a task is."""

    PENDING = "pending"
    STARTING = "starting"  # a node has been chosen, and has not confirmed that it has begun
    RUNNING = "running"
    ENDING = "ending"  # how, the queue will know in a moment
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
        words: of the engine: why it waits, what it does, or how it ended ("Resources", "RUNNING", "NODE_FAIL").
        host: where it runs, as far as that is known.
    """

    phase: Phase
    words: str = ""
    host: str = ""


class End(NamedTuple):
    """A relay that is up no more, or will never be.

    Attributes:
        number: of the relay.
        task: its task.
        host: where that was; "": not known.
        words: why.
        output: the file that the task has printed to, if it ran.
    """

    number: int
    task: Task
    host: str
    words: str
    output: str = ""


@dataclass(slots=True)
class _Task:
    name: Task
    numbers: set[int]  # of its relays that were not told to have ended
    outputs: str  # of its job, without ".INDEX"
    up: set[int] = field(default_factory=set)  # those of them whose line is there
    cut_at: dict[int, float] = field(default_factory=dict)  # when the lines of others were cut
    seen: Seen | None = None  # in the last answer that knew it
    host: str = ""
    missing: int = 0  # in so many answers, one after the other
    starting_at: float | None = None
    is_stuck: bool = False
    ending_at: float | None = None
    ended_at: float | None = None
    why: str = ""
    ask_at: float | None = None  # when to ask why it has ended; None: no more, or an answer is awaited
    is_cancelled: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the queue may say something of it that nobody else does."""
        return self.ended_at is None and (self.is_cancelled or self.numbers != self.up)

    @property
    def is_gone(self) -> bool:
        """Whether the queue knows it no more."""
        return self.missing >= _GONE_ANSWERS

    @property
    def is_failed(self) -> bool:
        """Whether it is in the queue though it can never run."""
        is_failed = self.seen is not None and self.seen.phase is Phase.FAILED
        return not self.is_gone and (is_failed or self.is_stuck)

    @property
    def is_urgent(self) -> bool:
        """Whether its end is looked for."""
        is_missed = self.missing > 0 and self.seen is not None
        return self.ended_at is None and (bool(self.cut_at) or is_missed or self.ending_at is not None)

    def end_of(self, number: int, words: str) -> End:
        """The end of one of its relays, which is forgotten by that."""
        self.numbers.discard(number)
        self.up.discard(number)
        self.cut_at.pop(number, None)
        return End(number, self.name, self.host, words, f"{self.outputs}.{self.name.index}")


class Tasks:
    """Told what happens, it says what to do: ``to_cancel``, ``to_explain``, ``ends``."""

    def __init__(self) -> None:
        self._ordered: dict[str, list[int]] = {}  # by the name of the order, until the engine has taken it
        self._tasks: dict[Task, _Task] = {}
        self._by_number: dict[int, _Task] = {}
        self._stuck_s = STUCK_S

    # ---- what happens

    def ordered(self, order: str, numbers: Sequence[int]) -> None:
        """Relays of these numbers are being submitted."""
        self._ordered[order] = list(numbers)

    def submitted(self, order: str, tasks: Mapping[Task, Sequence[int]], output: str = "") -> None:
        """The engine has taken them: the numbers of each task, and its outputs without their ``.INDEX``."""
        wanted = set(self._ordered.pop(order))
        for name, numbers in tasks.items():
            self._tasks[name] = task = _Task(name, wanted.intersection(numbers), output)
            self._by_number |= dict.fromkeys(task.numbers, task)

    def refused(self, order: str) -> list[int]:
        """The engine has not taken them: the numbers that have ended by that."""
        return self._ordered.pop(order)

    def is_up(self, number: int) -> None:
        """The line to a relay is there."""
        if (task := self._by_number.get(number)) is not None:
            task.up.add(number)
            self._stuck_s = STUCK_S
            task.starting_at = None

    def line_is_cut(self, number: int, now: float) -> None:
        """The line to a relay is gone."""
        if (task := self._by_number.get(number)) is not None:
            task.up.discard(number)
            task.cut_at.setdefault(number, now)

    def unwant(self, number: int) -> None:
        """Nobody wants this relay any more, or wants to hear of it."""
        for numbers in self._ordered.values():
            if number in numbers:
                numbers.remove(number)
        if (task := self._by_number.pop(number, None)) is not None:
            task.end_of(number, "")

    def saw(self, jobs: Collection[str], states: Mapping[Task, Seen], now: float) -> bool:
        """What the queue says of these jobs, and nothing of others; whether there is news in it."""
        is_news = False
        stuck = sum(task.is_stuck for task in self._tasks.values())
        for name, task in self._tasks.items():
            if name.job in jobs and task.ended_at is None:
                seen = states.get(name) or states.get(Task(name.job, WHOLE))
                is_news |= seen is not None and (task.seen is None or seen.phase is not task.seen.phase)
                self._saw_one(task, seen, now)
        if sum(task.is_stuck for task in self._tasks.values()) > stuck:
            self._stuck_s *= 2
        self._forget()
        return is_news

    def _saw_one(self, task: _Task, seen: Seen | None, now: float) -> None:
        if seen is None:
            task.missing += 1
        else:
            task.missing, task.seen, task.host = 0, seen, seen.host or task.host
        phase = None if task.seen is None else task.seen.phase
        if phase is not Phase.STARTING or task.starting_at is None:
            task.starting_at = now if phase is Phase.STARTING else None
        if phase is Phase.ENDING and task.ending_at is None:
            task.ending_at = now
        if task.is_gone or phase in (Phase.FAILED, Phase.ENDED):
            _end(task, now)
        elif task.starting_at is not None and now >= task.starting_at + self._stuck_s:
            task.is_stuck, task.why = True, _stuck_words(now - task.starting_at)
            _end(task, now)

    def explained(self, name: Task, words: str, now: float, host: str = "") -> None:
        """The engine was asked why this task has ended, and where; "": it does not know yet."""
        if (task := self._tasks.get(name)) is not None:
            task.why = words
            task.host = task.host or host
            task.ask_at = None if words else now + ASK_AGAIN_S

    def relay_ended(self, number: int, words: str) -> list[End]:
        """One of several relays of a task has ended, says the task itself."""
        task = self._by_number.get(number)
        if task is None or number in task.up:
            return []
        del self._by_number[number]
        return [task.end_of(number, words)]

    # ---- what to do

    def to_cancel(self) -> list[Task]:
        """Tasks to be cancelled now: nobody wants their relays, or they can never run."""
        cancelled = []
        for name, task in self._tasks.items():
            if not task.is_cancelled and not task.numbers and (task.ended_at is None or task.is_failed):
                task.is_cancelled = True
                cancelled.append(name)
        self._forget()
        return cancelled

    def to_explain(self, now: float) -> list[tuple[Task, Seen | None]]:
        """Tasks of which the engine is to be asked now why they have ended, and how they were seen to; None: gone."""
        asked: list[tuple[Task, Seen | None]] = []
        for name, task in self._tasks.items():
            if task.ask_at is not None and now >= task.ask_at:
                task.ask_at = None
                asked.append((name, None if task.is_gone else task.seen))
        return asked

    def ends(self, now: float) -> list[End]:
        """The relays that have ended and whose end is explained, or will not be; each is told once.

        A relay whose line is there is not told of: the line knows better.
        """
        ends = []
        for task in self._tasks.values():
            if task.ended_at is None and task.ending_at is not None and now >= task.ending_at + ENDING_S:
                _end(task, now)
                task.why = task.seen.words if task.seen is not None else ""
            for number in sorted(task.numbers - task.up) if task.ended_at is not None or task.cut_at else ():
                if now >= _due(task, number):
                    ends.append(task.end_of(number, _words(task)))
                    del self._by_number[number]
        if ends:
            self._forget()
        return ends

    def next_decision(self, now: float) -> float | None:
        """In how many seconds time alone brings something to do; None: never."""
        times = list(self._times())
        return max(0.0, min(times) - now) if times else None

    def _times(self) -> Iterator[float]:
        for task in self._tasks.values():
            if task.ask_at is not None:
                yield task.ask_at
            if task.ending_at is not None and task.ended_at is None:
                yield task.ending_at + ENDING_S
            if task.ended_at is not None or task.cut_at:
                yield from (due for number in task.numbers - task.up if (due := _due(task, number)) < float("inf"))

    # ---- what is known

    @property
    def is_urgent(self) -> bool:
        """Whether the end of a task is looked for: the queue should be asked again soon."""
        return any(task.is_urgent for task in self._tasks.values())

    @property
    def has_to_cancel(self) -> bool:
        """Whether ``to_cancel`` has something."""
        return any(
            not task.is_cancelled and not task.numbers and (task.ended_at is None or task.is_failed)
            for task in self._tasks.values()
        )

    def open_jobs(self) -> list[str]:
        """The jobs of which the queue may know news."""
        return sorted({name.job for name, task in self._tasks.items() if task.is_open})

    def living_jobs(self) -> list[str]:
        """All jobs of which the queue may still have something."""
        living = (name for name, task in self._tasks.items() if task.ended_at is None or task.is_failed)
        return sorted({name.job for name in living})

    def open_outputs(self) -> set[str]:
        """Where jobs of which some relays are not up print to, without ".INDEX"."""
        return {task.outputs for task in self._tasks.values() if task.numbers != task.up}

    def waiting_for(self, queue: str) -> str:
        """What relays that are not up wait for, in words; "": nothing.

        Args:
            queue: how it is called ("Slurm's queue").
        """
        tasks = [task for task in self._tasks.values() if task.ended_at is None and not task.is_cancelled]
        seen = [task.seen for task in tasks if not task.up and task.seen is not None]
        pending = [state.words for state in seen if state.phase is Phase.PENDING]
        pending += [""] * sum(task.seen is None and not task.up for task in tasks)
        words = []
        if ordered := sum(map(len, self._ordered.values())):
            words.append(f"{ordered} slave{'s' * (ordered != 1)} being submitted")
        if pending:
            reasons = [reason for reason, _ in Counter(filter(None, pending)).most_common(3)]
            what = f"{len(pending)} of {_jobs(len(tasks))} wait{'s' * (len(pending) == 1)} in {queue}"
            words.append(f"{what}: {', '.join(reasons)}" if reasons else what)
        others = Counter(state.words for state in seen if state.phase in _AT_WORK)
        words += [f"{_jobs(count)} {state}, not heard yet" for state, count in others.most_common()]
        return "; ".join(words)

    def _forget(self) -> None:
        """What has left the queue and was told of is of no more interest."""
        for name, task in list(self._tasks.items()):
            if task.ended_at is not None and not task.numbers and (task.is_cancelled or not task.is_failed):
                del self._tasks[name]


_AT_WORK = (Phase.STARTING, Phase.RUNNING, Phase.ENDING)


def _stuck_words(seconds: float) -> str:
    return f"had been starting for {seconds:.0f} s: the node, or the network to it?"


def _end(task: _Task, now: float) -> None:
    task.ended_at = now
    task.ask_at = None if task.is_cancelled or not task.numbers or task.why else now


def _due(task: _Task, number: int) -> float:
    """When to tell of a relay that is not up, whatever may yet be learnt."""
    if task.ended_at is None:
        return task.cut_at[number] + CUT_S if number in task.cut_at else float("inf")
    return task.ended_at if task.why else min(task.ended_at + WHY_S, task.cut_at.get(number, float("inf")) + CUT_S)


def _words(task: _Task) -> str:
    """Why a relay of it is told to have ended."""
    if task.ended_at is None:
        state = task.seen.words if task.seen is not None else ""
        return f"its line is cut, though in the queue it is {state or 'there'}: the node, or the network to it?"
    seen = "" if task.is_gone or task.seen is None else task.seen.words
    return task.why or seen or GONE


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"
