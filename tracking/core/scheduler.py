"""Decides which slave gets which items when, and what is done about whatever goes wrong.

``handle(event, now)`` takes what happened and returns what to do; it does no I/O, asks no clock and holds
no lock. The cost of an event depends neither on the number of items nor on that of slaves (a few heap
operations near the end: on its logarithm).

The way of items::

    Items.take ──────────────┐
    Waiting (pieces, suspects,│──> Job on a Slave ──> finished, or given up
      retries) ──────────────┘       │  ^ spare copies share a race: the first answer counts
         ^                           │
         └── failed, died, returned ─┘   (unharmed ones go back to the front of Items)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NoReturn

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.agenda import Agenda
from tracking.core.items import Items
from tracking.core.jobs import TRANSITIONS, Job, JobState, JobView
from tracking.core.ledger import Ledger
from tracking.core.policy import RETRY_PATIENCE_S, Policy
from tracking.core.slaves import Slave, Slaves
from tracking.core.spares import MOST_COPIES, Spares
from tracking.core.story import Story
from tracking.core.waiting import Piece, Trouble, Waiting
from tracking.errors import InvalidTransition

_AT_ONCE = 3  # so many idle slaves are asked whether they can take what has become free


class Scheduler:
    """The one owner of what is given to whom.

    Args:
        items: the items and their states; changed by the scheduler only.
        policy: what the user wants.
        open_ended: items may still be added, so nothing is finished before ``ItemsClosed``.

    >>> scheduler = Scheduler(Items(2), Policy(chunk_size=1))
    >>> scheduler.handle(e.SlaveReady(slave=1, host="here", nickname="here_0"), now=0.0)
    (SendJob(slave=1, job=1, positions=range(0, 1)),)
    >>> scheduler.handle(e.JobDone(job=1, slave=1, seconds=0.5), now=0.5)
    (SendJob(slave=1, job=2, positions=range(1, 2)),)
    >>> scheduler.handle(e.JobDone(job=2, slave=1, seconds=0.5), now=1.0)
    (Finish(),)
    """

    def __init__(self, items: Items, policy: Policy, *, open_ended: bool = False) -> None:
        self.items = items
        self.policy = policy
        self.ledger = Ledger()
        self.given_up: set[int] = set()
        self._slaves = Slaves(self.ledger)
        self._jobs: dict[int, Job] = {}
        self._last_job = 0
        self._waiting = Waiting(items)
        self._trouble: dict[int, Trouble] = {}
        self._spares = Spares(policy, self._slaves, self.ledger.pace)
        self._deadlines = Agenda()
        self._recalled = 0
        self._is_open_ended = open_ended
        self._has_told_finish = False
        self._story = Story()
        self._out: list[c.Command] = []
        self._now = 0.0  # of the latest event
        self._handlers: dict[type[e.Event], Callable[[Any, float], None]] = {
            e.SlaveReady: self._on_slave_ready,
            e.SlaveLost: self._on_slave_lost,
            e.SlaveRetired: self._on_slave_retired,
            e.HostDisabled: self._on_host_disabled,
            e.HostEnabled: self._on_host_enabled,
            e.HostSlowed: self._on_host_slowed,
            e.ItemsAdded: self._on_items_added,
            e.ItemsClosed: self._on_items_closed,
            e.JobProgressed: self._on_job_progressed,
            e.JobDone: self._on_job_done,
            e.JobFailed: self._on_job_failed,
            e.JobReturned: self._on_job_returned,
            e.Ticked: self._on_ticked,
        }

    # ---- what the master asks

    def handle(self, event: e.Event, now: float) -> tuple[c.Command, ...]:
        """Take in what happened and say what to do, in this order.

        Args:
            event: what happened. Answers of jobs that are gone change nothing.
            now: seconds on any clock that does not go back.

        Raises:
            InvalidTransition: the event cannot have happened; nothing was changed.
        """
        self._out = out = []
        self._now = now
        self._handlers[type(event)](event, now)
        if self.policy.item_timeout_s is not None:
            self._end_overdue_slaves(now)
        if self._slaves.idle or self._slaves.resting:
            self._use_idle_slaves(now)
        if self.items.is_done and not self._is_open_ended and not self._has_told_finish:
            self._has_told_finish = True
            out.append(c.Finish())
        commands = tuple(out)
        self._story.add((now, event, commands))
        return commands

    @property
    def is_finished(self) -> bool:
        """True when every item is finished or given up, and none can be added."""
        return self.items.is_done and not self._is_open_ended

    @property
    def usable_slaves(self) -> int:
        """How many slaves may be given jobs."""
        return self._slaves.usable

    def wanted(self, job: int) -> Sequence[int]:
        """Those items of this job whose result is still wanted: () if it is gone, or others were first."""
        found = self._jobs.get(job)
        if found is None or found.state is JobState.CANCELLED:
            return ()
        return self.items.unfinished(found.positions)

    def job(self, job: int) -> JobView | None:
        """A job that a slave holds, None if it is gone."""
        found = self._jobs.get(job)
        return JobView(found.slave.number, found.positions, found.given_at) if found else None

    def has_slave(self, slave: int) -> bool:
        """True from SlaveReady to SlaveLost."""
        return self._slaves.get(slave) is not None

    def slaves_of_host(self, host: str) -> tuple[int, ...]:
        """The numbers of the slaves that are up on this host."""
        return tuple(self._slaves.host(host).slaves)

    def jobs_of_slave(self, slave: int) -> tuple[int, ...]:
        """The jobs that this slave holds, the running one first."""
        found = self._slaves.get(slave)
        return tuple(job.number for job in found.jobs) if found else ()

    def next_wakeup(self) -> float | None:
        """When to send ``Ticked`` if nothing happens before; None: not at all."""
        times = []
        if self.policy.item_timeout_s is not None and (first := self._deadlines.first()):
            times.append(first[0])
        if self._slaves.idle or self._slaves.resting:
            times += [t for t in (self._late_at(), self._waiting.next_wakeup(self._now)) if t is not None]
        return min(times) if times else None

    def _late_at(self) -> float | None:
        return self._spares.next_wakeup() if self._slaves.idle else None

    def story(self, job: int) -> tuple[str, ...]:
        """What happened to this job lately, oldest first."""
        return self._story.of_job(job)

    # ---- slaves and hosts

    def _on_slave_ready(self, event: e.SlaveReady, now: float) -> None:
        if self._slaves.get(event.slave) is not None:
            raise InvalidTransition(f"slave {event.slave}", "up", event)
        slave = self._slaves.enter(event.slave, event.host, event.nickname)
        self._supply(slave, now)

    def _on_slave_lost(self, event: e.SlaveLost, now: float) -> None:
        slave = self._slaves.get(event.slave)
        if slave is None:
            return
        jobs = tuple(slave.jobs)
        self._slaves.leave(slave)
        self._spares.forget(slave)
        self._deadlines.drop(slave.number)
        running = event.running
        if running is None and len(jobs) == 1:
            running = jobs[0].number
        for job in reversed(jobs):
            is_wanted = job.state is not JobState.CANCELLED
            self._remove(job, JobState.LOST, now)
            if not is_wanted:
                continue
            if job.is_timed_out:
                self._blame_for_timeout(job)
            elif job.number == running and not event.on_purpose:
                self._blame_for_death(job, was_alone=len(jobs) == 1)
            else:
                self._put_back(job)
            job.leave_race()

    def _on_slave_retired(self, event: e.SlaveRetired, now: float) -> None:
        slave = self._slaves.get(event.slave)
        if slave is not None:
            slave.is_retired = True
            self._withdraw(slave, now)

    def _on_host_disabled(self, event: e.HostDisabled, now: float) -> None:
        host = self._slaves.host(event.host)
        host.is_disabled = True
        for slave in host.slaves.values():
            self._withdraw(slave, now)

    def _on_host_enabled(self, event: e.HostEnabled, now: float) -> None:
        host = self._slaves.host(event.host)
        host.is_disabled = False
        for slave in host.slaves.values():
            self._slaves.update(slave)
            self._supply(slave, now)

    def _on_host_slowed(self, event: e.HostSlowed, now: float) -> None:
        self._slaves.slow_down(self._slaves.host(event.host), event.factor)

    def _withdraw(self, slave: Slave, now: float) -> None:
        """The slave gets nothing more; what it has not begun is asked back."""
        self._slaves.update(slave)
        for job in slave.jobs:
            if job.state is JobState.QUEUED:
                self._recall(job, now)

    def _end_overdue_slaves(self, now: float) -> None:
        while (first := self._deadlines.first()) is not None and first[0] <= now:
            self._deadlines.drop(first[1])
            slave = self._slaves.get(first[1])
            if slave is None or not slave.jobs or slave.is_ending:
                continue
            slave.jobs[0].is_timed_out = True
            slave.is_ending = True
            self._slaves.update(slave)
            limit_s = slave.jobs[0].left * (self.policy.item_timeout_s or 0.0)
            self._out.append(c.StopSlave(slave.number, f"job {slave.jobs[0].number} took over {limit_s:g} s"))

    # ---- items

    def _on_items_added(self, event: e.ItemsAdded, now: float) -> None:
        self.items.add(event.count)

    def _on_items_closed(self, event: e.ItemsClosed, now: float) -> None:
        self._is_open_ended = False

    def _on_ticked(self, event: e.Ticked, now: float) -> None:
        """All that depends on time alone is looked at after every event."""

    # ---- answers

    def _on_job_progressed(self, event: e.JobProgressed, now: float) -> None:
        job = self._live_job(event.job, event.slave, event)
        if job is None:
            return
        self._demand_own(job, event.finished, event)
        self._change(job, TRANSITIONS[job.state, e.JobProgressed])
        count = len(event.finished)
        if job.state is JobState.CANCELLED or not count:
            return
        job.left -= count
        job.slave.load -= count
        self._learn_item_s(job.slave, event.seconds / count)
        self.items.finish(event.finished)
        self._begin(job, now)
        self._cancel_losers([other for other in job.race or () if other is not job])

    def _on_job_done(self, event: e.JobDone, now: float) -> None:
        job = self._live_job(event.job, event.slave, event)
        if job is None:
            return
        failed = event.failed
        if failed:
            self._demand_own(job, failed, event)
        slave = job.slave
        is_wanted = job.state is not JobState.CANCELLED
        self._remove(job, TRANSITIONS[job.state, e.JobDone], now)
        self._learn(slave, job, event)
        if is_wanted:
            if failed:
                self._finish_all_but(job, failed, now)
            else:
                self.items.finish(job.positions)
            if job.tries:
                self._forget_trouble(job)
            if job.race is not None:
                self._cancel_losers(job.leave_race())
        self._supply(slave, now)

    def _on_job_failed(self, event: e.JobFailed, now: float) -> None:
        job = self._live_job(event.job, event.slave, event)
        if job is None:
            return
        is_wanted = job.state is not JobState.CANCELLED
        self._remove(job, TRANSITIONS[job.state, e.JobFailed], now)
        if is_wanted:
            self._blame_for_failure(job, event.final, now)
            self._cancel_losers(job.leave_race())
        self._supply(job.slave, now)

    def _on_job_returned(self, event: e.JobReturned, now: float) -> None:
        job = self._live_job(event.job, event.slave, event)
        if job is None:
            return
        is_wanted = job.state is not JobState.CANCELLED
        self._remove(job, TRANSITIONS[job.state, e.JobReturned], now)
        if is_wanted:
            self._put_back(job)
            job.leave_race()
        if not job.slave.jobs:
            self._supply(job.slave, now)

    def _live_job(self, number: int, slave: int, event: e.Event) -> Job | None:
        """The job that an answer belongs to; None if it is gone, which is normal."""
        job = self._jobs.get(number)
        if job is None:
            if not 0 < number <= self._last_job:
                self._refuse(number, "never given out", event)
            return None
        if job.slave.number != slave:
            self._refuse(number, f"on slave {job.slave.number}", event)
        if (job.state, type(event)) not in TRANSITIONS:
            self._refuse(number, job.state.name, event)
        return job

    def _demand_own(self, job: Job, positions: Sequence[int], event: e.Event) -> None:
        if positions and not (positions[0] in job.positions and positions[-1] in job.positions):
            self._refuse(job.number, "a job of other items", event)

    def _refuse(self, number: int, state: str, event: e.Event) -> NoReturn:
        raise InvalidTransition(f"job {number}", state, event, self._story.of_job(number))

    # ---- what failed

    def _finish_all_but(self, job: Job, failed: Sequence[int], now: float) -> None:
        unlucky = set(failed)
        blamed = [position for position in failed if self.items.count(position)]
        self.items.finish(tuple(position for position in job.positions if position not in unlucky))
        for position in blamed:
            self._blame_item(job, position, now)

    def _blame_for_failure(self, job: Job, is_final: bool, now: float) -> None:
        rest = self.items.unfinished(job.positions)
        if len(rest) > 1:
            self._split(job, rest, is_alone=False)
        elif rest and is_final:
            self._give_up(rest[0], c.Cause.UNSENDABLE, self._trouble_of(job, rest[0]).tries)
        elif rest:
            self._blame_item(job, rest[0], now)

    def _blame_item(self, job: Job, position: int, now: float) -> None:
        """The item raised, by itself."""
        trouble = self._trouble_of(job, position)
        trouble.raised += 1
        if trouble.raised > self.policy.retries:
            self._give_up(position, c.Cause.RAISED, trouble.tries)
        elif self._unheld(job, (position,)):
            self._waiting.put_last(
                Piece(
                    (position,),
                    trouble.tries,
                    avoided=job.slave.number,
                    avoided_until=now + RETRY_PATIENCE_S,
                    turn=len(self.items),
                )
            )

    def _blame_for_death(self, job: Job, *, was_alone: bool) -> None:
        """The slave died while it worked on this job."""
        rest = self.items.unfinished(job.positions)
        if len(rest) != 1:
            self._split(job, rest, is_alone=True)
            return
        trouble = self._trouble_of(job, rest[0])
        trouble.deaths += was_alone
        if self.policy.max_deaths is not None and trouble.deaths >= self.policy.max_deaths:
            self._give_up(rest[0], c.Cause.KILLED_SLAVE, trouble.tries)
            self._cancel_losers(job.race)
        elif self._unheld(job, rest):
            self._waiting.put_first(Piece(rest, trouble.tries, is_alone=True))

    def _blame_for_timeout(self, job: Job) -> None:
        rest = self.items.unfinished(job.positions)
        if len(rest) > 1:
            self._split(job, rest, is_alone=job.is_alone)
        elif rest:
            self._give_up(rest[0], c.Cause.TIMEOUT, self._trouble_of(job, rest[0]).tries)
            self._cancel_losers(job.race)

    def _trouble_of(self, job: Job, position: int) -> Trouble:
        """The record of a troubled item, with the try in this job counted."""
        trouble = self._trouble.setdefault(position, Trouble(job.tries))
        trouble.tries += 1
        return trouble

    def _forget_trouble(self, job: Job) -> None:
        for position in job.positions:
            if self.items.count(position) == 0:
                self._trouble.pop(position, None)

    def _split(self, job: Job, positions: Sequence[int], *, is_alone: bool) -> None:
        positions = self._unheld(job, positions)
        for piece in reversed(self.policy.pieces(positions)):
            self._waiting.put_first(Piece(piece, job.tries + 1, is_alone=is_alone))

    def _put_back(self, job: Job) -> None:
        """Nothing has happened to the items of this job: they are to be given out again, first."""
        rest = self._unheld(job, self.items.unfinished(job.positions))
        if not rest:
            return
        if job.tries or job.is_alone:
            self._waiting.put_first(Piece(rest, job.tries, is_alone=job.is_alone))
        else:
            self.items.release(rest)

    def _unheld(self, job: Job, positions: Sequence[int]) -> Sequence[int]:
        """Those that no other live job is working on."""
        if job.race is None:
            return positions
        others = [other.positions for other in job.race if other is not job]
        return tuple(p for p in positions if not any(p in held for held in others))

    def _give_up(self, position: int, cause: c.Cause, tries: int) -> None:
        self.items.finish_one(position)
        self.given_up.add(position)
        self._trouble.pop(position, None)
        self._out.append(c.GiveUp(position, cause, tries))

    # ---- jobs come and go

    def _send(self, slave: Slave, job: Job, now: float) -> None:
        self._jobs[job.number] = job
        slave.jobs.append(job)
        slave.load += job.left
        slave.account.given += 1
        slave.account.started_at = now
        self._out.append(c.SendJob(slave.number, job.number, job.positions))
        if len(slave.jobs) == 1:
            self._slaves.sort(slave)
            self._begin(job, now)
        elif self._spares.is_following:
            self._foresee(slave, now)
        if job.is_alone:
            slave.is_closed = True

    def _new_job(self, slave: Slave, positions: Sequence[int], now: float, piece: Piece | None = None) -> Job:
        self._last_job += 1
        if piece is None:
            return Job(self._last_job, slave, positions, now)
        return Job(self._last_job, slave, positions, now, piece.tries, piece.is_alone)

    def _begin(self, job: Job, now: float) -> None:
        """The slave works on this job (or on the rest of it) from now on."""
        job.began_at = now
        if job.state is JobState.QUEUED:
            job.state = JobState.RUNNING
        if self._spares.is_following:
            self._foresee(job.slave, now)
        if self.policy.item_timeout_s is not None:
            self._deadlines.put(job.slave.number, now + job.left * self.policy.item_timeout_s)

    def _foresee(self, slave: Slave, now: float) -> None:
        slave.busy_until = now + slave.load * (self._spares.item_s(slave) or 0.0)
        self._spares.follow(slave, now)

    def _remove(self, job: Job, state: JobState, now: float) -> None:
        """The slave does not hold this job any more; the next one begins."""
        self._change(job, state)
        del self._jobs[job.number]
        slave = job.slave
        slave.load -= job.left
        jobs = slave.jobs
        if jobs[0] is not job:
            jobs.remove(job)
            return
        jobs.popleft()
        if jobs:
            self._begin(jobs[0], now)
            return
        slave.is_closed = False
        self._spares.forget(slave)
        self._deadlines.drop(slave.number)

    def _change(self, job: Job, state: JobState) -> None:
        self._recalled += (state is JobState.RECALLED) - (job.state is JobState.RECALLED)
        job.state = state

    def _recall(self, job: Job, now: float) -> None:
        self._change(job, JobState.RECALLED)
        job.recalled_at = now
        self._out.append(c.RecallJob(job.slave.number, job.number))

    def _cancel_losers(self, race: Sequence[Job] | None) -> None:
        """Some items were finished: jobs that shared them may have nothing left to do."""
        for job in tuple(race or ()):
            if job.number in self._jobs and not self.items.unfinished(job.positions):
                self._change(job, JobState.CANCELLED)
                job.slave.is_closed = True
                job.leave_race()
                self._out.append(c.CancelJob(job.slave.number, job.number))

    def _learn(self, slave: Slave, job: Job, event: e.JobDone) -> None:
        count = len(job.positions)
        seconds, size = event.seconds, event.size
        self.ledger.done(slave.account, count, seconds)
        slave.pace.learn(count, seconds, size)
        slave.host.pace.learn(count, seconds, size)
        self.ledger.pace.learn(count, seconds, size)

    def _learn_item_s(self, slave: Slave, item_s: float) -> None:
        for pace in (slave.pace, slave.host.pace, self.ledger.pace):
            pace.learn_item_s(item_s)

    # ---- giving out

    def _supply(self, slave: Slave, now: float) -> bool:
        """Give the slave jobs up to its depth; True if it got any."""
        has_got = False
        while (room := self._room(slave)) and (job := self._next_job(slave, room, now)) is not None:
            self._send(slave, job, now)
            has_got = True
        if not slave.jobs:
            self._slaves.sort(slave)
        return has_got

    def _room(self, slave: Slave) -> int:
        """How many items the next job of the slave may have; 0: it gets none now."""
        if not slave.is_usable or slave.is_closed:
            return 0
        pace, slaves = slave.pace, self._slaves.usable
        depth = self.policy.depth(pace.item_s, pace.job_s, pace.job_bytes)
        held = len(slave.jobs)
        if held and (held >= depth or self._waiting.suspects):
            return 0
        remaining = self.items.count_not_started
        host = slave.host
        item_s = host.pace.item_s if pace.item_s is None else pace.item_s
        size = self.policy.size(item_s, host.pace.largest_job, remaining, slaves * depth, host.slowness)
        if held and self.policy.is_scarce(size, remaining, slaves):
            return 0
        if self.policy.leaves_last_jobs(size, host.slowness, remaining, self._slaves.brisk):
            return 0
        return size

    def _next_job(self, slave: Slave, size: int, now: float) -> Job | None:
        if self._waiting:
            job = self._waiting_job(slave, now)
            if job is not None:
                return job
        positions = self.items.take(size)
        return self._new_job(slave, positions, now) if positions else None

    def _waiting_job(self, slave: Slave, now: float) -> Job | None:
        while True:
            piece = None if slave.jobs else self._waiting.next_suspect()
            if piece is None:
                piece = self._waiting.next_piece(slave.number, self._slaves.usable > 1, now)
            if piece is None:
                return None
            positions = self.items.take_these(piece.positions)
            if positions:
                return self._new_job(slave, positions, now, piece)

    def _use_idle_slaves(self, now: float) -> None:
        while self._supply_idle(now):
            pass
        idle = self._slaves.idle
        if not idle or not self._jobs:
            return
        self._spares.start(now)
        while idle:
            helper = next(iter(idle.values()))
            job = self._spares.find(helper, len(idle), self._recalled, now)
            if job is None:
                return
            if job.state is JobState.QUEUED:
                self._recall(job, now)
            else:
                self._copy(job, now)
            self._spares.follow(job.slave, now)

    def _supply_idle(self, now: float) -> bool:
        """Give one idle slave something, if there is anything that it may have."""
        if not self._waiting and not self.items.has_queued:
            return False
        candidates = [*islice(self._slaves.idle.values(), _AT_ONCE), *islice(self._slaves.resting.values(), 1)]
        return any(self._supply(slave, now) for slave in candidates)

    def _copy(self, job: Job, now: float) -> None:
        """Give what is left of a job to idle slaves, too; the first answer of each item will count."""
        rest = self.items.unfinished(job.positions)
        helpers = list(islice(self._slaves.idle.values(), min(len(rest), MOST_COPIES)))
        self.items.take_again(rest)
        piece_of_job = Piece((), job.tries, is_alone=job.is_alone)
        pieces = self.policy.pieces(rest, most=len(helpers))
        for helper, positions in zip(helpers, pieces, strict=False):
            copy = self._new_job(helper, positions, now, piece_of_job)
            copy.join(job)
            self._send(helper, copy, now)
