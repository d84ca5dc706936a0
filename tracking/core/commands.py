"""What to do: the output of ``Scheduler.handle``. Imperative, frozen, per job and never per item."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class Cause(Enum):
    """Why an item is given up."""

    RAISED = "raised"
    KILLED_SLAVE = "killed its slave"
    TIMEOUT = "took too long"
    UNSENDABLE = "cannot be sent"
    OUT_OF_TIME = "outlasted its slaves"


class SendJob(NamedTuple):
    """Give these items (by position) to the slave, as this job."""

    slave: int
    job: int
    positions: Sequence[int]


class RecallJob(NamedTuple):
    """Ask the slave to hand the job back if it has not begun it: JobReturned, or JobDone, will come."""

    slave: int
    job: int


class CancelJob(NamedTuple):
    """The answer of this job is no longer wanted: drop it if unbegun, else end the slave that works on it.

    JobReturned, JobDone, JobFailed or SlaveLost will come; until then the slave is given nothing else.
    """

    slave: int
    job: int


class ExcuseHost(NamedTuple):
    """Should the slave die of this job, the job's item is to blame: the death does not speak against the host.

    Comes before the job's SendJob.
    """

    slave: int
    job: int


class StopSlave(NamedTuple):
    """End this slave now (its job went over the time limit, ...); SlaveLost(on_purpose=True) will come."""

    slave: int
    reason: str


class RetireSlave(NamedTuple):
    """Let this idle slave end by itself, another is to take its place. SlaveLost(on_purpose=True) will come."""

    slave: int
    reason: str


class GiveUp(NamedTuple):
    """This item will not be tried again; it was begun ``tries`` times."""

    position: int
    cause: Cause
    tries: int


class Finish(NamedTuple):
    """Every item is finished or given up. Comes once."""


Command = SendJob | RecallJob | CancelJob | ExcuseHost | StopSlave | RetireSlave | GiveUp | Finish
