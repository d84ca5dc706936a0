"""Gives jobs to slaves and takes them away again: who holds what, and what is given out next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from tracking.core.commands import CancelJob, Command, ExcuseHost, RecallJob, RetireSlave, SendJob, StopSlave
from tracking.core.doubts import Doubts
from tracking.core.everywhere import Everywhere
from tracking.core.given_back import GivenBack
from tracking.core.items import Items
from tracking.core.jobs import Job, JobState
from tracking.core.ledger import Ledger
from tracking.core.lifetimes import Lifetimes
from tracking.core.limits import Limits
from tracking.core.policy import FEW_JOBS, Policy
from tracking.core.rows import jobs_in_row
from tracking.core.sizes import Sizes
from tracking.core.slaves import Slave, Slaves
from tracking.core.spares import MOST_COPIES, Spares
from tracking.core.waiting import Piece, Waiting

_ASKED_AT_ONCE = 3  # so many idle slaves are asked whether they can take what has become free


class Dealer:
    """The jobs that are out.

    Args:
        items: the items and their states.
        policy: what the user wants.

    Attributes:
        commands: what is to be done; the scheduler empties it.
        jobs: the live ones by number.
        last_job: the highest number given out.
        recalled: how many jobs are being recalled.
        doubts: know which hosts may be broken.
        limits: end what takes too long.
        lifetimes: know which slaves have the time for what.
    """

    def __init__(self, items: Items, policy: Policy) -> None:
        self.commands: list[Command] = []
        self.ledger = Ledger()
        self.slaves = Slaves(self.ledger)
        self.waiting = Waiting(items)
        self.jobs: dict[int, Job] = {}
        self.last_job = 0
        self.recalled = 0
        self._items = items
        self._policy = policy
        self.lifetimes = Lifetimes(self.slaves, items, self.waiting)
        self._sizes = Sizes(policy, items, self.waiting, self.slaves, self.lifetimes)
        self.doubts = Doubts(policy, self.slaves, is_resumed=items.count_finished > 0)
        self._given_back = GivenBack(items, self.waiting, self.slaves, self.lifetimes, self.doubts)
        self._spares = Spares(policy, self.slaves, self.ledger.pace, self.lifetimes)
        self._everywhere = Everywhere(items, self.lifetimes) if policy.redistribute == "always" else None
        self.limits = Limits(policy, self.slaves, self._stop)

    # ---- giving out

    def supply(self, slave: Slave, now: float) -> bool:
        """Give the slave jobs up to its depth; True if it got any."""
        has_got = False
        if slave.is_usable and not slave.is_closed and self._sizes.has_any:
            if slave.host.deaths:
                return self._supply_in_doubt(slave, now)
            pace = slave.pace
            depth = self._policy.depth(pace.item_s, pace.job_s, pace.job_bytes)
            has_got = depth > FEW_JOBS and self._supply_row(slave, depth, now)
            while self._sizes.has_any and len(slave.jobs) < depth and slave.jobs_left != 0:
                size = self._sizes.next_job(slave, depth, now)
                if not size:
                    break
                job = self._next_job(slave, size, now)
                if job is None:
                    break
                self._send(slave, (job,), now)
                has_got = True
        if not slave.jobs:
            self._rest(slave, now)
        return has_got

    def _supply_in_doubt(self, slave: Slave, now: float) -> bool:
        """Slaves die on its host: give it one job that shows whether the host works."""
        size = self._sizes.next_job(slave, 1, now) if not slave.jobs and slave.jobs_left != 0 else 0
        found = self._given_back.next_in_doubt(slave, now) if size else None
        if found is not None:
            self._send(slave, (self._job_of(slave, found, now),), now)
        elif not slave.jobs:
            self._rest(slave, now)
        return found is not None

    def _supply_row(self, slave: Slave, depth: int, now: float) -> bool:
        """Give the slave tiny jobs, as many as it is to hold; False: such that are to be looked at one by one."""
        size, count = self._sizes.row(slave, depth)
        if count < 2:
            return False
        row = jobs_in_row(slave, self._items.take(count * size), size, self.last_job + 1, now)
        self.last_job = row[-1].number
        self._send(slave, row, now)
        return True

    def use_idle_slaves(self, now: float) -> None:
        """Give idle slaves what has become free; if that is nothing, let them help the busy ones."""
        while self._supply_idle(now):
            pass
        if self._everywhere is not None:
            self._use_everybody(self._everywhere, now)
        if not self.jobs or not (idle := self.lifetimes.able(now)):
            return
        self._spares.start(now)
        while (job := self._spares.find(idle, self.recalled, now)) is not None:
            if job.state is JobState.QUEUED:
                self.recall(job, now)
            else:
                self._copy(job, idle, now)
            self._spares.follow(job.slave, now)
            idle = self.lifetimes.able(now)

    def expected_item_s(self, slave: Slave) -> float | None:
        """Expected seconds per item on this slave; None: nothing was measured."""
        return self._spares.item_s(slave)

    def _rest(self, slave: Slave, now: float) -> None:
        """The slave holds nothing: it waits, or ends if that was its last job, or if its time is up."""
        is_done = slave.jobs_left == 0
        reason = "it was given as many jobs as it may have" if is_done else self.lifetimes.why_retire(slave, now)
        if reason and not slave.is_ending:
            slave.is_ending = True
            self.slaves.update(slave)
            self.lifetimes.retired(slave)
            self.commands.append(RetireSlave(slave.number, reason))
        else:
            self.slaves.sort(slave)

    def _use_everybody(self, everywhere: Everywhere, now: float) -> None:
        """If nothing is left to start, give each idle slave what was given out least often."""
        if self._items.has_queued or not self.jobs:
            return
        everywhere.start(self.jobs.values())
        while (slave := self.lifetimes.first_able(now)) is not None:
            pace, host = slave.pace, slave.host
            item_s = host.pace.item_s if pace.item_s is None else pace.item_s
            active, usable = self._items.count_active, self.slaves.usable
            size = self._policy.size(item_s, host.pace.largest_job, active, usable, host.slowness)
            found = everywhere.least_given(min(size, self.lifetimes.room(slave, now)))
            if found is None:
                return
            job, positions = found
            self._items.take_again(positions)
            self._send_copy(slave, job, positions[::-1], now)

    def _next_job(self, slave: Slave, size: int, now: float) -> Job | None:
        if self.waiting and (found := self._given_back.next_for(slave, now)) is not None:
            return self._job_of(slave, found, now)
        positions = self._items.take(size)
        return self._new_job(slave, positions, now) if positions else None

    def _job_of(self, slave: Slave, found: tuple[Piece, Sequence[int]], now: float) -> Job:
        """A job of these items of a piece."""
        piece, positions = found
        job = self._new_job(slave, positions, now, piece)
        if self.doubts.excuses_host(job):
            self.commands.append(ExcuseHost(slave.number, job.number))
        return job

    def _supply_idle(self, now: float) -> bool:
        """Give one idle slave something, if there is anything that it may have."""
        if not self._sizes.has_any:
            return False
        most = len(self.slaves.idle) if self.doubts.hosts else _ASKED_AT_ONCE  # not all may have what there is
        return any(self.supply(slave, now) for slave in self.lifetimes.asked(most))

    def _copy(self, job: Job, idle: Mapping[int, Slave], now: float) -> None:
        """Give what is left of a job to idle slaves, too; the first answer of each item will count.

        They begin at its end: its own slave works on it from the front, and may never leave the item that it is at.
        """
        rest = self._items.unfinished(job.positions)
        if not rest:  # somebody else has said that they are finished
            self.cancel_losers((job,))
            return
        helpers = list(islice(idle.values(), min(len(rest), MOST_COPIES)))
        self._items.take_again(rest)
        for helper, positions in zip(helpers, self._policy.pieces(rest[::-1], most=len(helpers)), strict=False):
            self._send_copy(helper, job, positions[: self.lifetimes.room(helper, now)], now)

    def _send_copy(self, helper: Slave, job: Job, positions: Sequence[int], now: float) -> None:
        copy = self._new_job(helper, positions, now, Piece((), job.tries, job.is_alone))
        copy.join(job)
        self._send(helper, (copy,), now)

    # ---- slaves fall silent

    def set_aside(self, slave: Slave, now: float) -> None:
        """The slave is silent: others do what it holds, too, and the first answer of each item will count."""
        slave.is_silent = True
        self.slaves.update(slave)
        self._spares.forget(slave)
        if not self._policy.redistribute:
            if slave.jobs and not slave.is_ending:
                self._stop(slave, "it does not answer, and no item is to be on two slaves")
            return
        for job in reversed(slave.jobs):
            rest = job.unshared(self._items.unfinished(job.positions))
            if job.state is JobState.CANCELLED or not rest:
                continue
            is_repeated = job.silent_race is not None
            whole = Piece(rest, job.tries + (job is slave.jobs[0]), is_alone=job.is_alone, race=job.open_race())
            if not is_repeated:
                self.waiting.put_first(whole)
            elif len(rest) > 1:  # something in it may silence any slave: that is to be found alone
                for positions in reversed(self._policy.pieces(rest)):
                    self.waiting.put_first(whole._replace(positions=positions))
            else:  # and then it comes last, so that no other item lacks a slave for it
                self.waiting.put_last(whole._replace(is_alone=False, turn=len(self._items)))

    def take_up(self, slave: Slave, now: float) -> None:
        """The slave was silent and is heard: what nobody else has begun is left to it."""
        for job in slave.jobs:
            self.reclaim(job)
        slave.is_silent = False
        for job in slave.jobs:
            job.close_race()
        self.slaves.update(slave)
        if slave.jobs:
            self.begin(slave.jobs[0], now)

    def reclaim(self, job: Job) -> None:
        """Those items of a job on a silent slave that still wait are the job's alone again."""
        if job.race is None or not job.slave.is_silent:
            return
        for piece in self.waiting.withdraw(job.race):
            own = tuple(position for position in piece.positions if position in job.positions)
            self._items.take_these(own)
            if len(own) < len(piece.positions):
                others = tuple(position for position in piece.positions if position not in job.positions)
                self.waiting.put_first(piece._replace(positions=others))

    # ---- jobs come and go

    def remove(self, job: Job, state: JobState, now: float) -> None:
        """The slave does not hold this job any more; the next one begins."""
        self.reclaim(job)
        self.change(job, state)
        del self.jobs[job.number]
        slave = job.slave
        slave.load -= job.left
        if slave.jobs[0] is not job:
            slave.jobs.remove(job)
            return
        slave.jobs.popleft()
        if slave.jobs:
            self.begin(slave.jobs[0], now)
            return
        slave.is_closed = False
        self._forget(slave)

    def remove_row(self, slave: Slave, row: Sequence[Job], now: float) -> None:
        """The slave has done these ``plain_heads`` of what it holds."""
        for job in row:
            job.state = JobState.DONE
            del self.jobs[job.number]
            slave.load -= job.left
            slave.jobs.popleft()
        if slave.jobs:
            self.begin(slave.jobs[0], now)
        else:
            self._forget(slave)

    def remove_all(self, slave: Slave, now: float) -> tuple[Job, ...]:
        """The slave is gone: returns the jobs that it held and whose answer is missing, the running one first."""
        jobs = tuple(slave.jobs)
        for job in jobs:
            self.reclaim(job)
        self.slaves.leave(slave)
        self.lifetimes.forget(slave)
        self._forget(slave)
        slave.jobs.clear()
        for job in jobs:
            del self.jobs[job.number]
        wanted = tuple(job for job in jobs if job.state is not JobState.CANCELLED)
        for job in jobs:
            self.change(job, JobState.LOST)
        return wanted

    def begin(self, job: Job, began_at: float) -> None:
        """The slave works on this job, or on the rest of it, since then."""
        job.began_at = began_at
        job.is_overdue = False
        if job.state is JobState.QUEUED:
            job.state = JobState.RUNNING
        if self._spares.is_following:
            self._spares.foresee(job.slave, began_at)
        if self._policy.item_timeout_s is not None:
            self.limits.begin(job, began_at)

    def progress(self, job: Job, reported: int, running_s: float | None, now: float) -> None:
        """The job is through with so many of its items; the next one is said to run for so long."""
        job.slave.load -= job.left
        job.left = len(job.positions) - reported
        job.slave.load += job.left
        began_at, job.announced = now, None
        if running_s is not None and job.left:
            job.announced = job.positions[reported]
            # It may well have begun before the last report, but not before the job was given, whatever the slave says.
            began_at = max(now - running_s, job.given_at)
        self.begin(job, began_at)

    def recall(self, job: Job, now: float) -> None:
        """Ask for a queued job."""
        self.change(job, JobState.RECALLED)
        job.recalled_at = now
        self.commands.append(RecallJob(job.slave.number, job.number))

    def cancel_losers(self, jobs: Iterable[Job]) -> None:
        """Some items were finished: those of these jobs that have nothing left to do are cancelled."""
        for job in tuple(jobs):
            if job.number in self.jobs and not self._items.unfinished(job.positions):
                self.change(job, JobState.CANCELLED)
                job.slave.is_closed = True
                job.leave_race()
                self.commands.append(CancelJob(job.slave.number, job.number))

    def put_back(self, job: Job) -> None:
        """Nothing has happened to the items of this job: they are to be given out again, first."""
        self.put_back_these(job, self._items.unfinished(job.positions))

    def put_back_these(self, job: Job, positions: Sequence[int]) -> None:
        """The same for some unfinished items of the job."""
        rest, race = job.unshared(positions), job.silent_race
        if not rest:
            return
        if job.tries or job.is_alone or race:
            self.waiting.put_first(Piece(rest, job.tries, is_alone=job.is_alone, race=race))
        else:
            self._items.release(rest)

    def change(self, job: Job, state: JobState) -> None:
        """The job is now in this state."""
        self.recalled += (state is JobState.RECALLED) - (job.state is JobState.RECALLED)
        job.state = state

    def _new_job(self, slave: Slave, positions: Sequence[int], now: float, piece: Piece | None = None) -> Job:
        self.last_job += 1
        if piece is None:
            return Job(self.last_job, slave, positions, now)
        job = Job(self.last_job, slave, positions, now, piece.tries, piece.is_alone)
        job.enter(piece.race)
        return job

    def _send(self, slave: Slave, row: Sequence[Job], now: float) -> None:
        was_idle, tid = not slave.jobs, slave.number
        if slave.life is not None:
            self.lifetimes.job_is_given(slave, row[0], now)
        for job in row:
            self.jobs[job.number] = job
            self.commands.append(SendJob(tid, job.number, job.positions))
            slave.load += job.left
            if self._everywhere is not None:
                self._everywhere.add(job)
        slave.jobs.extend(row)
        slave.is_closed = row[0].is_alone
        if slave.jobs_left is not None:
            slave.jobs_left -= 1
        self.ledger.given(slave.account, now, len(row))
        if was_idle:
            self.slaves.sort(slave)
            self.begin(row[0], now)
        elif self._spares.is_following:
            self._spares.foresee(slave, now)

    # ---- time

    def rest_s(self) -> float:
        """See ``Policy.rest_s``."""
        return self._sizes.rest_s(self.ledger.pace)

    def next_wakeup(self, now: float) -> float | None:
        """When something is to be looked at if nothing happens before; None: never."""
        times = [self.lifetimes.next_wakeup()] if self.lifetimes.are_limited else []
        if self._policy.item_timeout_s is not None:
            times.append(self.limits.next_wakeup())
        if self.jobs and self.lifetimes.able(now):
            times.append(self._spares.next_wakeup())
        if self.waiting and (self.slaves.idle or self.slaves.resting):
            times += self.waiting.next_wakeups(now)
        return min((at for at in times if at is not None), default=None) if times else None

    def _stop(self, slave: Slave, reason: str) -> None:
        slave.is_ending = True
        self.slaves.update(slave)
        self._spares.forget(slave)  # what it has is free in a moment
        self.commands.append(StopSlave(slave.number, reason))

    def _forget(self, slave: Slave) -> None:
        self._spares.forget(slave)
        if self._policy.item_timeout_s is not None:
            self.limits.forget(slave)
