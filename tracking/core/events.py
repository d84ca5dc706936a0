"""What happened: the input of ``Scheduler.handle``. Past tense, frozen, per job and never per item.

Items are known here by their position (0, 1, 2, ... in the order of the data dict), never by their id;
slaves by their number (tid); jobs by a number that is given out once and never again, so that a late
answer can not be taken for a new one. Named tuples: as frozen as a dataclass, and made in half the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class SlaveReady(NamedTuple):
    """A slave is up and initialized: it may be given jobs; ``jobs_left`` of them in all, None: any number.

    ``ends_at``: then its time is up, on the clock of ``handle``, None: it may stay as long as it likes; ``came_at``:
    since then it has counted. ``host_works``: a job was done there, of whichever calculation. ``is_here``: on the
    machine of the master, to which messages take no time.
    """

    slave: int
    host: str
    nickname: str
    jobs_left: int | None = None
    ends_at: float | None = None
    came_at: float = 0.0
    host_works: bool = False
    is_here: bool = False


class SlaveSilent(NamedTuple):
    """A slave does not answer: frozen, cut off, held up. It is waited for no longer; what it says still counts."""

    slave: int


class SlaveHeard(NamedTuple):
    """A slave that was silent has spoken again: it may be given jobs as before."""

    slave: int


class SlaveLost(NamedTuple):
    """A slave is gone: killed, crashed, its line cut, or ended on purpose.

    ``running`` is the job that it was working on, None if it was idle or that is unknown;
    its other jobs had not begun. ``on_purpose``: we ended it ourselves, so no item is guilty.
    ``is_innocent``: its host, its line or its time in a queue ended, so no item is guilty either.
    """

    slave: int
    reason: str
    running: int | None = None
    on_purpose: bool = False
    is_innocent: bool = False


class SlaveRetired(NamedTuple):
    """The slave stays up but gets no more jobs (``is_valid_slave`` said no)."""

    slave: int


class HostDisabled(NamedTuple):
    """No slave on this host gets another job; what they are doing still counts."""

    host: str


class HostEnabled(NamedTuple):
    """The host was taken back out of ``disabled_hosts``."""

    host: str


class HostSlowed(NamedTuple):
    """The user said that items take ``factor`` times as long on this host (``mark_slow_slaves``)."""

    host: str
    factor: float


class ItemsAdded(NamedTuple):
    """``how_many`` more items, at the positions after the last one (calls submitted to a pool)."""

    how_many: int


class ItemsClosed(NamedTuple):
    """No more items will be added: an open-ended scheduler now finishes when all it has are done."""


class JobProgressed(NamedTuple):
    """A running job has finished some of its items; the rest is still being worked on.

    ``seconds``: time the slave worked on these items. ``reported``: with how many of its items the job is through,
    in their order, since it began: finished, failed, or not wanted any more; None: as many as were ``finished`` in
    all. ``running_s``: for how long the item after these is being worked on, its end will be reported at once;
    None: that is not known.
    """

    job: int
    slave: int
    finished: Sequence[int]
    seconds: float
    reported: int | None = None
    running_s: float | None = None


class JobDone(NamedTuple):
    """A job has come back whole.

    ``failed``: positions of the job whose item raised or gave no usable result, by itself; all others
    of the job are finished. ``seconds``: time the slave worked on the whole job. ``size``: bytes that
    travelled for it, both ways.
    """

    job: int
    slave: int
    seconds: float
    failed: Sequence[int] = ()
    size: int = 0


class JobsDone(NamedTuple):
    """Several jobs of one slave have come back whole, in this order, and every item of them is finished.

    ``seconds``, ``size``: as of JobDone, for all of them together.
    """

    jobs: Sequence[int]
    slave: int
    seconds: float
    size: int = 0


class JobFailed(NamedTuple):
    """A job failed as a whole (``go`` raised, or returned nothing usable): which item is guilty is unknown.

    ``final``: trying again cannot help (a value that cannot be sent), so all its items are given up.
    """

    job: int
    slave: int
    seconds: float = 0.0
    final: bool = False


class JobReturned(NamedTuple):
    """A recalled job came back unbegun, or a cancelled one was dropped unbegun."""

    job: int
    slave: int


class Ticked(NamedTuple):
    """Nothing happened but time: asked for by ``Scheduler.next_wakeup``.

    Attributes:
        shared: slaves that may work for others, too, or be sent something late, with the time since which each may
            work on the first of our jobs; None: it cannot have begun that.
    """

    shared: Mapping[int, float | None] = MappingProxyType({})


Answer = JobProgressed | JobDone | JobsDone | JobFailed | JobReturned
Event = (
    SlaveReady
    | SlaveSilent
    | SlaveHeard
    | SlaveLost
    | SlaveRetired
    | HostDisabled
    | HostEnabled
    | HostSlowed
    | ItemsAdded
    | ItemsClosed
    | Answer
    | Ticked
)
