"""What an idle slave can take over from a busy one when nothing else is left to give out.

Nothing is followed before the first slave is idle; then the busy slaves are kept in two orders: who is
expected to be busy longest, and whose job is late first.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf
from typing import NamedTuple

from tracking.core.agenda import Agenda
from tracking.core.jobs import Job, JobState
from tracking.core.ledger import Pace
from tracking.core.lifetimes import Lifetimes
from tracking.core.policy import RECALL_PATIENCE_S, Policy
from tracking.core.slaves import Slave, Slaves

MOST_COPIES = 15  # a job is cut in at most so many pieces for spare copies
_LEAST_PAUSE_S = 0.01  # between two looks at the same slave


class Helper(NamedTuple):
    """The idle slave that is to take something over.

    Attributes:
        slave: the slave.
        idle: how many there are that are idle.
        recalled: how many jobs are being recalled for them.
    """

    slave: Slave
    idle: int
    recalled: int


class Spares:
    """Finds the job that an idle slave had better have.

    Args:
        policy: what is worth it.
        slaves: all slaves.
        pace: the measured times of all of them together.
        lifetimes: who has the time for what.
    """

    def __init__(self, policy: Policy, slaves: Slaves, pace: Pace, lifetimes: Lifetimes) -> None:
        self._policy = policy
        self._slaves = slaves
        self._lifetimes = lifetimes
        self._pace = pace
        self._longest = Agenda()  # key: minus the expected end of all its jobs
        self._late = Agenda()  # key: when to look at it again
        self.is_following = False
        self._was_measured = False

    def start(self, now: float) -> None:
        """Follow all slaves from now on (again, when the first time has been measured)."""
        is_measured = self._pace.item_s is not None
        if self.is_following and is_measured == self._was_measured:
            return
        self.is_following = True
        self._was_measured = is_measured
        for slave in self._slaves:
            self.follow(slave, now)

    def follow(self, slave: Slave, now: float) -> None:
        """Something about the jobs of this slave has changed."""
        if not slave.jobs or slave.is_silent or not self.may_take_from(slave):
            self.forget(slave)
            return
        self._longest.put(slave.number, -slave.busy_until)
        self._late.put(slave.number, self._look_again_at(slave, now))

    def foresee(self, slave: Slave, now: float) -> None:
        """The jobs of this slave have changed: when will it be through with them?"""
        if self.may_take_from(slave):
            slave.busy_until = now + slave.load * (self.item_s(slave) or 0.0)
            self.follow(slave, now)

    def may_take_from(self, slave: Slave) -> bool:
        """Whether this busy slave may have something that others could have; if not, it is followed no more."""
        if self._policy.redistribute or len(slave.jobs) > 1:
            return True
        if slave.number in self._late.keys:
            self.forget(slave)
        return False

    def forget(self, slave: Slave) -> None:
        """The slave is idle, silent or gone."""
        if slave.number in self._late.keys:
            self._longest.drop(slave.number)
            self._late.drop(slave.number)

    def next_wakeup(self) -> float | None:
        """When the first job will be late."""
        first = self._late.first()
        return first[0] if first else None

    def find(self, idle: Mapping[int, Slave], recalled: int, now: float) -> Job | None:
        """The job to recall (if it is queued) or else to copy; None if nothing is worth it now.

        Args:
            idle: the idle slaves, the one that is to have it first.
            recalled: how many jobs are being recalled for them.
            now: seconds on the scheduler's clock.
        """
        if not idle or not (self._late.keys or self._longest.keys):
            return None
        helper = Helper(next(iter(idle.values())), len(idle), recalled)
        while (first := self._late.first()) is not None and first[0] <= now:
            slave = self._slaves.get(first[1])
            if slave is None:
                self._late.drop(first[1])
                continue
            job = self._job_to_move(slave, helper, now)
            self._late.put(slave.number, self._look_again_at(slave, now))
            if job is not None:
                return job
        return self._from_longest(helper, now)

    def item_s(self, slave: Slave) -> float | None:
        """Expected seconds per item on this slave."""
        return self._slaves.item_s(slave)

    def _from_longest(self, helper: Helper, now: float) -> Job | None:
        first = self._longest.first()
        if first is None:
            return None
        slave = self._slaves.get(first[1])
        job = self._job_to_move(slave, helper, now) if slave else None
        if job is None and slave is not None and self._is_waited_for(slave):
            # Nothing more can be taken from it until its next job begins; the one behind it may be asked.
            self._longest.drop(slave.number)
        return job

    def _is_waited_for(self, slave: Slave) -> bool:
        head = slave.jobs[0]
        return slave.jobs[-1].state is not JobState.QUEUED and (head.is_copied or head.state is JobState.CANCELLED)

    def _job_to_move(self, slave: Slave, helper: Helper, now: float) -> Job | None:
        last = slave.jobs[-1]
        if last.state is JobState.QUEUED:
            is_worth_it = helper.recalled < helper.idle and self._policy.is_worth_copying(self._wait_s(slave, now), 0.0)
            return last if is_worth_it else None
        if not self._policy.redistribute:
            return None
        for job in slave.jobs:
            if self._is_worth_copying(job, helper, now):
                return job
        return None

    def _wait_s(self, slave: Slave, now: float) -> float:
        """Expected time until the last job of this slave begins."""
        item_s, head = self.item_s(slave), slave.jobs[0]
        if item_s is None or head.began_at is None:
            return inf
        before_last = slave.load - head.left - slave.jobs[-1].left
        return _remaining_s(head.left * item_s, now - head.began_at) + before_last * item_s

    def _is_worth_copying(self, job: Job, helper: Helper, now: float) -> bool:
        if job.is_copied or not job.left or job.state is JobState.CANCELLED:
            return False
        if job.began_at is None:
            return now - job.recalled_at >= RECALL_PATIENCE_S
        if helper.recalled >= helper.idle:
            return False  # the idle ones are to have what is being recalled: nobody works on that yet
        elapsed = now - job.began_at
        if self._lifetimes.is_long(job.positions) or not self._lifetimes.has_time(helper.slave, elapsed, now):
            return False  # it would begin anew, and has not even the time that the other has had
        item_s, copy_item_s = self.item_s(job.slave), self.item_s(helper.slave)
        if item_s is None or copy_item_s is None:
            return elapsed >= self._policy.blind_copy_after_s(job.generation)
        copied_at_once = ceil(job.left / min(job.left, helper.idle, MOST_COPIES))
        remaining_s = _remaining_s(job.left * item_s, elapsed)
        return self._policy.is_worth_copying(remaining_s, copied_at_once * copy_item_s, job.generation)

    def _look_again_at(self, slave: Slave, now: float) -> float:
        """When something of this slave's may be worth moving, as far as is known now."""
        head, last = slave.jobs[0], slave.jobs[-1]
        began_at = now if head.began_at is None else head.began_at
        due = began_at + self._late_after_s(head, is_recall=last.state is JobState.QUEUED)
        if last.state is JobState.RECALLED:
            due = min(due, last.recalled_at + RECALL_PATIENCE_S)
        return due if due > now else now + max(_LEAST_PAUSE_S, (now - began_at) / 2)

    def _late_after_s(self, job: Job, *, is_recall: bool) -> float:
        item_s, mean_s = self.item_s(job.slave), self._pace.item_s
        if item_s is None or mean_s is None:
            return self._policy.blind_copy_after_s(job.generation)
        copy_s = 0.0 if is_recall else job.left * mean_s
        return self._policy.late_after_s(job.left * item_s, copy_s, job.generation)


def _remaining_s(expected_s: float, elapsed_s: float) -> float:
    """What is late by some time is expected to take as long again."""
    return abs(expected_s - elapsed_s)
