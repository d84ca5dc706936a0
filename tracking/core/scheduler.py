"""Decides which slave gets which items when, and what is done about whatever goes wrong.

``handle(event, now)`` takes what happened and returns what to do; it does no I/O, asks no clock and holds
no lock. The cost of an event depends neither on the number of items nor on that of slaves (near the end: on
its logarithm).

The way of items::

    Items.take ────────────────┐
    Waiting (pieces, suspects, ├─> Job on a Slave ──> finished, or given up
      retries) ────────────────┘    │     (spare copies share a race: the first answer counts)
         ^                          │
         ├── Blame <── failed, died ┤
         └── unharmed <── returned ─┘   (such that had no trouble before go back to the front of Items)

The Dealer holds the jobs and gives them out, Blame judges what failed, Spares finds what an idle slave can
take over from a busy one (Everywhere: what the old rule gives it). What a silent slave holds waits as pieces, too, and
whoever is given one joins the race of the silent job. This module turns events into calls of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.blame import Blame
from tracking.core.dealer import Dealer
from tracking.core.facts import ItemFact, SlaveNow, WaitingFor, given_fact, slaves_now, waiting_for
from tracking.core.invariants import broken_invariants
from tracking.core.items import Items
from tracking.core.jobs import TRANSITIONS, Job, JobState, JobView
from tracking.core.lifetimes import Life
from tracking.core.policy import Policy
from tracking.core.rows import plain_heads
from tracking.core.slaves import Slave
from tracking.core.story import Story
from tracking.errors import InvalidTransition


class Scheduler:
    """The one owner of what is given to whom.

    Args:
        items: the items and their states; while this lives, nobody else gives them out.
        policy: what the user wants.
        open_ended: items may still be added, so nothing is finished before ``ItemsClosed``.

    Attributes:
        ledger: what each slave was given and did.
        given_up: the positions that will not be tried again (they count as finished).

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
        self._dealer = Dealer(items, policy)
        self._blame = Blame(items, policy, self._dealer)
        self._slaves = self._dealer.slaves
        self._jobs = self._dealer.jobs
        self.ledger = self._dealer.ledger
        self.given_up = self._blame.given_up
        self._is_open_ended = open_ended
        self._has_told_finish = False
        self._now = 0.0  # of the latest event
        self._story = Story()
        self._handlers: dict[type[e.Event], Callable[[Any, float], None]] = {
            e.SlaveReady: self._on_slave_ready,
            e.SlaveSilent: self._on_slave_silent,
            e.SlaveHeard: self._on_slave_heard,
            e.SlaveLost: self._on_slave_lost,
            e.SlaveRetired: self._on_slave_retired,
            e.HostDisabled: self._on_host_disabled,
            e.HostEnabled: self._on_host_enabled,
            e.HostSlowed: self._on_host_slowed,
            e.ItemsAdded: self._on_items_added,
            e.ItemsClosed: self._on_items_closed,
            e.JobProgressed: self._on_job_progressed,
            e.JobDone: self._on_job_done,
            e.JobsDone: self._on_jobs_done,
            e.JobFailed: self._on_job_failed,
            e.JobReturned: self._on_job_returned,
            e.Ticked: self._on_ticked,
        }

    def handle(self, event: e.Event, now: float) -> tuple[c.Command, ...]:
        """Take in what happened and say what to do, in this order.

        Args:
            event: what happened. Answers of jobs that are gone change nothing.
            now: seconds on any clock that does not go back.

        Raises:
            InvalidTransition: the event cannot have happened; nothing was changed.
        """
        self._handlers[type(event)](event, now)
        dealer = self._dealer
        self._now = now
        if self._slaves.idle or self._slaves.resting:
            dealer.use_idle_slaves(now)
        if self.is_finished and not self._has_told_finish:
            self._has_told_finish = True
            dealer.commands.append(c.Finish())
        commands = tuple(dealer.commands)
        dealer.commands.clear()
        self._story.add(now, event, commands)
        return commands

    # ---- what the master asks

    @property
    def is_finished(self) -> bool:
        """True when every item is finished or given up, and none can be added."""
        return not self._is_open_ended and self.items.is_done

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

    def jobs_of_slave(self, slave: int) -> tuple[int, ...]:
        """The jobs that this slave holds, the running one first."""
        found = self._slaves.get(slave)
        return tuple(job.number for job in found.jobs) if found else ()

    def next_wakeup(self) -> float | None:
        """When to send ``Ticked`` if nothing happens before; None: not at all."""
        return self._dealer.next_wakeup(self._now)

    def rest_s(self) -> float:
        """For how many seconds answers may lie before they are handed to ``handle``, for the sake of many at once."""
        return self._dealer.rest_s()

    def story(self, job: int) -> tuple[str, ...]:
        """What happened to this job lately, oldest first."""
        return self._story.of_job(job)

    def story_of_item(self, position: int) -> tuple[ItemFact, ...]:
        """What happened to this item, oldest first, as far as the latest events are remembered."""
        known = self._story.of_item(position, self._slaves.nicknames)
        told = {fact.job for fact in known}
        untold = [job for job in self._jobs.values() if position in job.positions and job.number not in told]
        return (*map(given_fact, untold), *known)

    def waiting_for(self, now: float) -> WaitingFor:
        """Why nothing is happening, if that is so, at this time on the clock of ``handle``."""
        return waiting_for(
            self.items, self._dealer, len(self.given_up), now, is_open_ended=self._is_open_ended
        )

    def slaves_now(self) -> tuple[SlaveNow, ...]:
        """What each slave does that is up."""
        return slaves_now(self.items, self._dealer)

    def check(self) -> None:
        """Look whether everything fits together; takes time in proportion to the number of items.

        Raises:
            AssertionError: it does not: a bug of this package.
        """
        broken = broken_invariants(self.items, self.policy, self._dealer, self.given_up)
        if broken:
            raise AssertionError("; ".join(broken))

    # ---- slaves, hosts, items

    def _on_slave_ready(self, event: e.SlaveReady, now: float) -> None:
        if self._slaves.get(event.slave) is not None:
            raise InvalidTransition(f"slave {event.slave}", "up", event)
        life = None if event.ends_at is None else Life(event.came_at, event.ends_at, now)
        slave = self._slaves.enter(event, life)
        self._dealer.lifetimes.enter(slave, now)
        self._dealer.supply(slave, now)

    def _on_slave_silent(self, event: e.SlaveSilent, now: float) -> None:
        slave = self._slaves.get(event.slave)
        if slave is not None and not slave.is_silent:
            self._dealer.set_aside(slave, now)

    def _on_slave_heard(self, event: e.SlaveHeard, now: float) -> None:
        slave = self._slaves.get(event.slave)
        if slave is not None and slave.is_silent:
            self._dealer.take_up(slave, now)
            self._dealer.supply(slave, now)

    def _on_slave_lost(self, event: e.SlaveLost, now: float) -> None:
        slave = self._slaves.get(event.slave)
        if slave is None:
            return
        held = len(slave.jobs)
        running = slave.jobs[0].number if held == 1 and event.running is None else event.running
        is_over = not event.on_purpose and self._dealer.lifetimes.is_over(slave, now)
        if not (event.on_purpose or event.is_innocent or is_over):
            self._dealer.doubts.one_died(slave.host)
        for job in reversed(self._dealer.remove_all(slave, now)):
            if is_over and job.number == running and not slave.is_silent:
                self._blame.outlasted(job, now)
            elif event.is_innocent and job.number == running and not (event.on_purpose or slave.is_silent):
                self._blame.host_was_lost(job)
            elif is_over or event.is_innocent:
                self._dealer.put_back(job)
            elif job.is_timed_out and not slave.is_silent:
                self._blame.took_too_long(job, now)
            elif job.is_timed_out or (job.number == running and not event.on_purpose) or (
                job.number == event.running and slave.is_silent  # ended for that: an item can do this to any slave
            ):
                self._blame.slave_died(job, was_alone=held == 1)
            else:
                self._dealer.put_back(job)
            self._dealer.cancel_losers(job.leave_race())

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
            self._dealer.supply(slave, now)

    def _on_host_slowed(self, event: e.HostSlowed, now: float) -> None:
        self._slaves.slow_down(self._slaves.host(event.host), event.factor)

    def _withdraw(self, slave: Slave, now: float) -> None:
        """The slave gets nothing more; what it has not begun is asked back."""
        self._slaves.update(slave)
        for job in slave.jobs:
            if job.state is JobState.QUEUED:
                self._dealer.recall(job, now)

    def _on_items_added(self, event: e.ItemsAdded, now: float) -> None:
        self.items.add(event.how_many)

    def _on_items_closed(self, event: e.ItemsClosed, now: float) -> None:
        self._is_open_ended = False

    def _on_ticked(self, event: e.Ticked, now: float) -> None:
        """Only now, when all that came has been taken in, can it be said who is late."""
        for slave in self._dealer.lifetimes.closing(now):
            self._withdraw(slave, now)
            self._dealer.supply(slave, now)
        if self.policy.item_timeout_s is not None:
            self._dealer.limits.end_overdue_slaves(now, event.shared)

    # ---- answers

    def _on_job_progressed(self, event: e.JobProgressed, now: float) -> None:
        job = self._live_job(event.job, event)
        if job is None:
            return
        finished, before = event.finished, len(job.positions) - job.left
        if finished:
            self._demand_own(job, finished, event)
        reported = before + len(finished) if event.reported is None else event.reported
        if not before <= reported <= len(job.positions):
            self._refuse(job.number, f"through with {before} of {len(job.positions)} items", event)
        if reported == before and event.running_s is None:
            return  # says nothing
        self._dealer.change(job, TRANSITIONS[job.state, e.JobProgressed])
        if job.state is JobState.CANCELLED:
            return
        if reported > before:
            self._learn_item_s(job.slave, event.seconds / (reported - before))
        if finished:
            self.items.finish(finished)
            if job.slave.host.deaths:
                self._dealer.doubts.clear(job.slave.host)
        self._dealer.progress(job, reported, event.running_s, now)
        # What has reported all its items is about to come back by itself.
        self._dealer.cancel_losers(one for one in job.race or (job,) if one is not job or job.left > 0)

    def _on_job_done(self, event: e.JobDone, now: float) -> None:
        job = self._live_job(event.job, event)
        if job is None:
            return
        failed, slave, state = event.failed, job.slave, job.state
        if failed:
            self._demand_own(job, failed, event)
        self._dealer.remove(job, TRANSITIONS[state, e.JobDone], now)
        self._learn(slave, len(job.positions), event)
        if state is not JobState.CANCELLED:
            if failed:
                self._blame.some_raised(job, failed, now)
            else:
                self.items.finish(job.positions)
            if job.tries:
                self._blame.forget(job)
            if job.race is not None:
                self._dealer.cancel_losers(job.leave_race())
        self._dealer.supply(slave, now)

    def _on_jobs_done(self, event: e.JobsDone, now: float) -> None:
        slave, count = self._slaves.get(event.slave), len(event.jobs)
        row = [] if slave is None else plain_heads(slave, event.jobs)
        if slave is None or not row:
            for number in event.jobs:
                self._live_job(number, event)  # all of them, before anything is changed
            for number in event.jobs:
                self._on_job_done(e.JobDone(number, event.slave, event.seconds / count, (), event.size // count), now)
            return
        self._dealer.remove_row(slave, row, now)
        self.items.finish_all(job.positions for job in row)
        self._learn(slave, sum(len(job.positions) for job in row), event, count)
        self._dealer.supply(slave, now)

    def _on_job_failed(self, event: e.JobFailed, now: float) -> None:
        job = self._live_job(event.job, event)
        if job is None:
            return
        is_wanted = job.state is not JobState.CANCELLED
        self._dealer.remove(job, TRANSITIONS[job.state, e.JobFailed], now)
        if is_wanted:
            self._blame.all_failed(job, event.final, now)
            self._dealer.cancel_losers(job.leave_race())
        self._dealer.supply(job.slave, now)

    def _on_job_returned(self, event: e.JobReturned, now: float) -> None:
        job = self._live_job(event.job, event)
        if job is None:
            return
        is_wanted = job.state is not JobState.CANCELLED
        self._dealer.remove(job, TRANSITIONS[job.state, e.JobReturned], now)
        self._was_not_begun(job.slave)
        if is_wanted:
            self._dealer.put_back(job)
            job.leave_race()
        if not job.slave.jobs:
            self._dealer.supply(job.slave, now)

    def _was_not_begun(self, slave: Slave) -> None:
        self.ledger.returned(slave.account)
        if slave.jobs_left is not None:
            slave.jobs_left += 1

    def _live_job(self, number: int, event: e.Answer) -> Job | None:
        """The job that an answer belongs to; None if it is gone, which is normal."""
        job = self._jobs.get(number)
        if job is None:
            if not 0 < number <= self._dealer.last_job:
                self._refuse(number, "never given out", event)
            return None
        if job.slave.number != event.slave:
            self._refuse(number, f"on slave {job.slave.number}", event)
        if (job.state, type(event)) not in TRANSITIONS:
            self._refuse(number, job.state.name, event)
        return job

    def _demand_own(self, job: Job, positions: Sequence[int], event: e.Event) -> None:
        if not (positions[0] in job.positions and positions[-1] in job.positions):
            self._refuse(job.number, "a job of other items", event)

    def _refuse(self, number: int, state: str, event: e.Event) -> NoReturn:
        raise InvalidTransition(f"job {number}", state, event, self._story.of_job(number))

    def _learn(self, slave: Slave, count: int, event: e.JobDone | e.JobsDone, jobs: int = 1) -> None:
        seconds, size, host = event.seconds, event.size, slave.host
        self.ledger.done(slave.account, count, seconds, jobs)
        if host.deaths:
            self._dealer.doubts.clear(host)
        for pace in (slave.pace, host.pace, self.ledger.pace):
            pace.learn(count, seconds, size, jobs)

    def _learn_item_s(self, slave: Slave, item_s: float) -> None:
        for pace in (slave.pace, slave.host.pace, self.ledger.pace):
            pace.learn_item_s(item_s)
