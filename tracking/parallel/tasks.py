"""Tasks, and what a context has of them. Pure: told what happens, it says what is left to do and to give out."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from tracking.parallel.errors import NoMoreSlavesError
from tracking.parallel.far_side import SetUp
from tracking.pool.session import Session

if TYPE_CHECKING:  # the store, with sqlite3, only where it is used
    from tracking.parallel.record import Record


class Task:
    """A task as a context keeps it.

    Attributes:
        number: it was the so-manieth that was added to its context, from 0.
        name: as given, else what its callable calls itself.
        state: 'waiting', 'running', 'done', 'failed', 'cancelled', or 'lost': it has ended all slaves that had it.
        result: what it has returned.
        error: why it has failed: a RemoteError, or what says why it cannot be sent.
        slave: who has it, or had it last; None: nobody.
        host: where that is.
        seconds: for how long that slave has worked on it.
        deaths: so many slaves have ended while they had it.
        is_recorded: its result was in the run file of the context; it was not run.
    """

    def __init__(
        self, number: int, function: Callable[..., Any], name: str | None, callback: Callable[[Task], object] | None
    ) -> None:
        self.number = number
        self.name = _name_of(function) if name is None else name
        self.state = "waiting"
        self.result: Any = None
        self.error: BaseException | None = None
        self.slave: Any = None
        self.host = ""
        self.seconds: float | None = None
        self.deaths = 0
        self.is_recorded = False
        self._key: Hashable = None  # in the run file
        self._digest = b""  # of what is called, as it was when it was sent
        self._function = function
        self._callback = callback

    def __repr__(self) -> str:
        return f"<Task {self.name}: {self.state}>"

    @property
    def worker(self) -> Any:
        """The slave, in the other vocabulary."""
        return self.slave


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


class Progress(NamedTuple):
    """How many tasks of a context are where.

    Attributes:
        waiting, running: those without an outcome.
        done, failed: those that have one, taken or not; lost ones have failed.
        cancelled: those that nobody wanted any more.
    """

    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int

    def __str__(self) -> str:
        return f"{self.done} of {sum(self)} done, {self.running} running, {self.failed} failed"


class Work:
    """The tasks of a context. Everything is used under the lock of its hub.

    Args:
        setup: of the context.
        record: where results are recorded, if they are.

    Attributes:
        unseen: it is not known yet whether their results are recorded.
        ended: they have an outcome that is not recorded yet; it is told after that.
        waiting: not sent yet, in the order in which they are to be.
        running: sent, without an outcome.
        session: on the pool's slaves, made when the first task is sent.
        fault: why none can be sent at all; told once.
        n_iterating: so many iterations are under way; none: no task is sent.
    """

    def __init__(self, setup: SetUp, record: Record | None = None) -> None:
        self.setup = setup
        self.record = record
        self.unseen: deque[Task] = deque()
        self.ended: deque[Task] = deque()
        self.waiting: deque[Task] = deque()
        self.running: set[Task] = set()
        self.session: Session | None = None
        self.fault: BaseException | None = None
        self.n_iterating = 0
        self._lost: list[Task] = []
        self._finished: OrderedDict[int, Task] = OrderedDict()  # by number, in the order of their ends; not taken yet
        self._to_take: OrderedDict[int, Task] = OrderedDict()  # by number: all that somebody will want
        self._n_added = self._n_done = self._n_failed = self._n_cancelled = 0

    def add(
        self, function: Callable[..., Any], name: str | None, callback: Callable[[Task], object] | None
    ) -> Task:
        """One more."""
        task = Task(self._n_added, function, name, callback)
        self._n_added += 1
        self._to_take[task.number] = task
        if self.record is None:
            self.waiting.append(task)
        else:
            task._key = self.record.key(name)
            self.unseen.append(task)
        return task

    @property
    def progress(self) -> Progress:
        """How many are where."""
        waiting = len(self.waiting) + sum(task.state == "waiting" for task in self.unseen)
        running = len(self.running)
        return Progress(waiting, running, self._n_done, self._n_failed, self._n_cancelled)

    # ---- what happens

    def next_to_send(self) -> Task | None:
        """The next one; it is running from now on."""
        if not self.n_iterating or self.fault is not None or not self.waiting:
            return None
        task = self.waiting.popleft()
        task.state = "running"
        self.running.add(task)
        return task

    def is_seen(self, task: Task, recorded: tuple[Any] | None) -> None:
        """What the run file has of it: (result,), or nothing."""
        self.unseen.remove(task)
        if task.state == "cancelled":
            return
        if recorded is None:
            self.waiting.append(task)
            return
        (task.result,) = recorded
        task.is_recorded = True
        self._ends(task, "done")

    def is_sent_back(self, task: Task, *, is_first: bool) -> None:
        """It is to be sent (again); first, or when all others were."""
        self.running.discard(task)
        if task.state == "cancelled":
            return
        task.state = "waiting"
        if is_first:
            self.waiting.appendleft(task)
        else:
            self.waiting.append(task)

    def has_ended_slave(self, task: Task, n_slaves: int) -> None:
        """Its slave has ended: another gets it, when all others were sent, unless it has ended as many as there are."""
        task.deaths += 1
        if task.state != "cancelled" and task.deaths >= max(1, n_slaves):
            self.running.discard(task)
            task.state = "lost"
            self._n_failed += 1
            self._lost.append(task)
            self._to_take.pop(task.number, None)
        else:
            self.is_sent_back(task, is_first=False)

    def is_done(self, task: Task, result: Any) -> None:
        """It has a result."""
        task.result = result
        self._has_outcome(task)

    def has_failed(self, task: Task, error: BaseException) -> None:
        """It has none, and never will."""
        task.error = error
        self._has_outcome(task)

    def _has_outcome(self, task: Task) -> None:
        if self.record is None or task.state == "cancelled":
            self.is_safe(task)
        else:
            self.ended.append(task)

    def is_recorded_no_more(self) -> None:
        """From now on nothing of it is."""
        self.record = None
        while self.unseen:
            self.is_seen(self.unseen[0], None)
        while self.ended:
            self.is_safe(self.ended.popleft())

    def is_safe(self, task: Task) -> None:
        """Its outcome can be told."""
        self._ends(task, "done" if task.error is None else "failed")

    def _ends(self, task: Task, state: str) -> None:
        self.running.discard(task)
        if task.state == "cancelled":
            return
        task.state = state
        self._n_done += state == "done"
        self._n_failed += state == "failed"
        self._finished[task.number] = task

    def cancel(self, task: Task) -> bool:
        """Nobody wants it any more; False: it is over already. If it is running, that is let go on, and forgotten."""
        if task.state not in ("waiting", "running"):
            return False
        with suppress(ValueError):  # it is running, or unseen
            self.waiting.remove(task)
        task.state = "cancelled"
        self._n_cancelled += 1
        self._to_take.pop(task.number, None)
        return True

    def cancel_all(self) -> None:
        """The same of all."""
        waiting, self.waiting = self.waiting, deque()
        for task in [*waiting, *self.unseen, *self.running]:
            if task.state in ("waiting", "running"):
                task.state = "cancelled"
                self._n_cancelled += 1
                self._to_take.pop(task.number, None)

    # ---- what is given out

    def take(self, *, is_ordered: bool) -> Task | None:
        """One that has ended: the first that did; ordered: the first of all that were added. None: not yet."""
        if not is_ordered:
            if not self._finished:
                return None
            task = self._finished.popitem(last=False)[1]
        else:
            number = next(iter(self._to_take), -1)
            if number not in self._finished:
                return None
            task = self._finished.pop(number)
        del self._to_take[task.number]
        return task

    def take_one(self, task: Task) -> bool:
        """This one; False: it has not ended."""
        if self._finished.pop(task.number, None) is None:
            return task.state in ("cancelled", "lost")
        del self._to_take[task.number]
        return True

    @property
    def is_all_taken(self) -> bool:
        """Whether nothing will come any more."""
        return not self._to_take

    def take_lost(self) -> NoMoreSlavesError | None:
        """What is to be said of those that are not tried again; once."""
        lost, self._lost = self._lost, []
        if not lost:
            return None
        names = ", ".join(f"{task.name} (tried {task.deaths} times)" for task in lost)
        return NoMoreSlavesError(
            f"Ran out of slaves to run tasks: each slave that was given one of these has ended: {names}", lost
        )
