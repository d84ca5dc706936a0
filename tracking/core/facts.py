"""What is known of one item and of the whole calculation, for whoever asks why: facts in tuples, no sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tracking.core.dealer import Dealer
from tracking.core.items import Items
from tracking.core.jobs import Job, JobState
from tracking.core.slaves import Slave

FactKind = Literal[
    "given",  # to a slave, as part of a job; again or as a spare copy, if it had been given before
    "running",  # the slave said that it works on this very item
    "finished",
    "raised",  # or gave no usable result
    "failed",  # the job as a whole
    "late",  # the job came back, but the item had been finished by another
    "recalled",  # asked back
    "returned",  # came back unbegun
    "cancelled",  # not wanted any more: another was first
    "silent",  # its slave does not answer
    "heard",  # its slave answers again
    "stopped",  # its slave is to be ended
    "lost",  # its slave is gone
    "given up",
]


class ItemFact(NamedTuple):
    """Something that happened to an item.

    Attributes:
        time_s: when, on the scheduler's clock.
        kind: what.
        slave: the number of the slave, None: none is meant.
        nickname: its name, "" as above.
        job: the number of the job, None as above.
        items: how many items that job has, or had.
        words: the reason, "" if there is none to tell.
    """

    time_s: float
    kind: FactKind
    slave: int | None = None
    nickname: str = ""
    job: int | None = None
    items: int = 0
    words: str = ""


class RunningJob(NamedTuple):
    """A job that a slave works on.

    Attributes:
        job: its number.
        slave, nickname, host: who works on it.
        left: how many of its items are not reported yet.
        item: the position of the item that is known to run, None: that is not known.
        given_s: so long ago it was given out.
        running_s: so long ago it began, or reported an item.
        expected_s: time that what is left should take in all, as far as was measured; None: nothing was.
    """

    job: int
    slave: int
    nickname: str
    host: str
    left: int
    item: int | None
    given_s: float
    running_s: float
    expected_s: float | None


class SlaveNow(NamedTuple):
    """What a slave does.

    Attributes:
        slave: its number.
        state: what it is at.
        since_s: since when on the scheduler's clock: when its job began, or reported an item last; None: not known.
        positions: what is left of its job, the item that is known to run first.
    """

    slave: int
    state: Literal["idle", "working", "silent"]
    since_s: float | None = None
    positions: Sequence[int] = ()


class WaitingFor(NamedTuple):
    """What a calculation is waiting for.

    Attributes:
        not_started, active, finished: items; those given up count as finished.
        given_up: items that are.
        suspects: of those not started: may have killed a slave, and go to a slave that holds nothing else.
        again: of those not started: were given out before, and go first.
        retries: of those not started: failed before, and go last.
        long: of those not started: outlasted the time of a slave, and wait for one that has more.
        retry_at: until then (on the scheduler's clock) the first retry waits for another slave than the one that
            it failed on; None: it does not wait.
        slaves: that are up; the next four count those of them that
        usable: may get jobs,
        idle: may get jobs and hold none,
        silent: do not answer,
        retired: get none, since ``is_valid_slave`` said no,
        ending: were told to end.
        disabled_hosts: by name.
        is_open_ended: more items may come.
        longest: of the jobs that run, the one that has said nothing for the longest time; None: none runs.
    """

    not_started: int
    active: int
    finished: int
    given_up: int
    suspects: int
    again: int
    retries: int
    long: int
    retry_at: float | None
    slaves: int
    usable: int
    idle: int
    silent: int
    retired: int
    ending: int
    disabled_hosts: tuple[str, ...]
    is_open_ended: bool
    longest: RunningJob | None


def given_fact(job: Job) -> ItemFact:
    """That this job was given out."""
    slave = job.slave
    return ItemFact(
        job.given_at, "given", slave.number, slave.account.nickname, job.number, len(job.positions)
    )


def slaves_now(items: Items, dealer: Dealer) -> tuple[SlaveNow, ...]:
    """What each slave does."""
    return tuple(_slave_now(items, slave) for slave in dealer.slaves)


def _slave_now(items: Items, slave: Slave) -> SlaveNow:
    if not slave.jobs:
        return SlaveNow(slave.number, "silent" if slave.is_silent else "idle")
    job = slave.jobs[0]
    positions = items.unfinished(job.positions)
    if job.announced is not None:
        positions = (job.announced, *(position for position in positions if position != job.announced))
    return SlaveNow(slave.number, "silent" if slave.is_silent else "working", job.began_at, positions)


def waiting_for(items: Items, dealer: Dealer, given_up: int, now: float, *, is_open_ended: bool) -> WaitingFor:
    """The facts as they are now; takes time in proportion to the slaves and to what was given back."""
    slaves, waiting = dealer.slaves, dealer.waiting
    kinds = Counter[str]()
    for piece in waiting:
        is_long = len(piece.positions) == 1 and piece.positions[0] in waiting.outlasted_s
        kind = "long" if is_long else "suspects" if piece.is_alone else "retries" if piece.turn else "again"
        kinds[kind] += sum(items.count(position) is None for position in piece.positions)
    states = Counter[str]()
    for slave in slaves:
        states.update(name for name in ("is_silent", "is_retired", "is_ending") if getattr(slave, name))
    return WaitingFor(
        not_started=items.count_not_started,
        active=items.count_active,
        finished=items.count_finished,
        given_up=given_up,
        suspects=kinds["suspects"],
        again=kinds["again"],
        retries=kinds["retries"],
        long=kinds["long"],
        retry_at=min(waiting.next_wakeups(now), default=None),
        slaves=sum(1 for _ in slaves),
        usable=slaves.usable,
        idle=len(slaves.idle) + len(slaves.resting),
        silent=states["is_silent"],
        retired=states["is_retired"],
        ending=states["is_ending"],
        disabled_hosts=slaves.disabled_hosts(),
        is_open_ended=is_open_ended,
        longest=_longest(dealer, now),
    )


def _longest(dealer: Dealer, now: float) -> RunningJob | None:
    heads = [slave.jobs[0] for slave in dealer.slaves if slave.jobs]
    running = [job for job in heads if job.state is not JobState.CANCELLED and job.began_at is not None]
    if not running:
        return None
    job = min(running, key=lambda job: job.began_at or 0.0)
    slave, item_s = job.slave, dealer.expected_item_s(job.slave)
    return RunningJob(
        job=job.number,
        slave=slave.number,
        nickname=slave.account.nickname,
        host=slave.host.name,
        left=job.left,
        item=job.announced,
        given_s=now - job.given_at,
        running_s=now - (job.began_at or 0.0),
        expected_s=None if item_s is None else item_s * job.left,
    )
