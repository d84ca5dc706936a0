"""What to do: the output of ``Scheduler.handle``. Imperative, frozen, per job and never per item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Cause(Enum):
    """Why an item is given up."""

    RAISED = "raised"
    KILLED_SLAVE = "killed its slave"
    TIMEOUT = "took too long"
    UNSENDABLE = "cannot be sent"


@dataclass(frozen=True, slots=True)
class SendJob:
    """Give these items (by position) to the slave, as this job."""

    slave: int
    job: int
    positions: Sequence[int]


@dataclass(frozen=True, slots=True)
class RecallJob:
    """Ask the slave to hand the job back if it has not begun it: JobReturned, or JobDone, will come."""

    slave: int
    job: int


@dataclass(frozen=True, slots=True)
class CancelJob:
    """The answer of this job is no longer wanted: drop it if unbegun, else end the slave that works on it.

    JobReturned, JobDone, JobFailed or SlaveLost will come; until then the slave is given nothing else.
    """

    slave: int
    job: int


@dataclass(frozen=True, slots=True)
class StopSlave:
    """End this slave now (its job went over the time limit, ...); SlaveLost(on_purpose=True) will come."""

    slave: int
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This item will not be tried again; it was begun ``tries`` times."""

    position: int
    cause: Cause
    tries: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Every item is finished or given up. Comes once."""


Command = SendJob | RecallJob | CancelJob | StopSlave | GiveUp | Finish
