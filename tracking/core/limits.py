"""Time limits of items: when a slave has to say something about the item that it is at, or is ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tracking.core.agenda import Agenda
from tracking.core.jobs import Job
from tracking.core.policy import Policy
from tracking.core.slaves import Slave, Slaves

_LATE_S = 0.02  # after a time limit; until then, nobody was held up


class Limits:
    """Ends what takes too long.

    Args:
        policy: has the limit.
        slaves: all slaves.
        stop: ends a slave, for this reason.
    """

    def __init__(self, policy: Policy, slaves: Slaves, stop: Callable[[Slave, str], None]) -> None:
        self._policy = policy
        self._slaves = slaves
        self._stop = stop
        self._deadlines = Agenda()

    def begin(self, job: Job, began_at: float) -> None:
        """The slave works on this job, or on the rest of it, since then."""
        if self._policy.item_timeout_s is not None:
            limit_s = self._policy.time_limit_s(job.left, is_known=job.announced is not None)
            self._deadlines.put(job.slave.number, began_at + limit_s)

    def forget(self, slave: Slave) -> None:
        """The slave is idle or gone."""
        self._deadlines.drop(slave.number)

    def next_wakeup(self) -> float | None:
        """When the next slave is over its limit; None: never."""
        first = self._deadlines.first()
        return first[0] if first else None

    def end_overdue_slaves(self, now: float, shared: Mapping[int, float | None]) -> None:
        """Stop the slaves whose job has run over its time limit; ``shared``: see ``Ticked``.

        If we come late (we were held up, or the whole machine was), their answer may wait for us, or they were
        held up, too: those get as long again as we were late, and another look.
        """
        while (first := self._deadlines.first()) is not None and first[0] <= now:
            self._deadlines.drop(first[1])
            slave = self._slaves.get(first[1])
            if slave is None or not slave.jobs or slave.is_ending:
                continue
            job = slave.jobs[0]
            began_at = job.given_at if job.began_at is None else job.began_at
            since = shared.get(slave.number, began_at)
            if since is None or since > began_at:  # others' work came first, or it was sent late
                job.began_at = now if since is None else since
                self.begin(job, job.began_at)
                continue
            late_s = now - first[0]
            if late_s > _LATE_S and not job.is_overdue:
                job.is_overdue = True
                self._deadlines.put(slave.number, now + min(late_s, self._policy.time_limit_s(job.left)))
                continue
            self._end(job, self._overrun(job))
            if job.announced is None:
                self._end_copies(job)

    def _end_copies(self, job: Job) -> None:
        """Which item of this job has no end is not known: copies of it are as likely as not stuck in the same one."""
        for other in job.race or ():
            is_stuck = other.slave.jobs[0] is other and other.announced is None and other.left > 1
            if is_stuck and not other.slave.is_ending:
                self._end(other, "another slave took too long with one of its items")

    def _end(self, job: Job, reason: str) -> None:
        job.is_timed_out = True
        self._stop(job.slave, reason)

    def _overrun(self, job: Job) -> str:
        limit_s = self._policy.item_timeout_s or 0.0
        if self._policy.items_report:
            return f"an item took longer than {limit_s:g} s"
        return f"a job took longer than {max(1, job.left) * limit_s:g} s"
