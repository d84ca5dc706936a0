"""What the hub's thread is told: of slaves, of calls, and by those who use the hub."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tracking.parallel.tasks import Task, Work
from tracking.pool.news import SlaveNews


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call has one."""

    work: Work
    task: Task
    future: Future[Any]


class Nudge:
    """Something was changed: look."""


class SlavesAreStarted:
    """What was said of slaves before, that none is left above all, is of old."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Nobody wants the results of this any more."""

    work: Work


class End:
    """Of all."""


Event = SlaveNews | Outcome | Nudge | SlavesAreStarted | Forget | End
