"""A small world around the Scheduler: slaves that hold jobs, lines that deliver late, results that are kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler

SECONDS_PER_STEP = 0.01


@dataclass
class FakeSlave:
    """What a slave holds; the first job is the one that it works on."""

    number: int
    host: str
    jobs: deque[int] = field(default_factory=deque)
    most_jobs: int | None = None
    ends_at: float | None = None
    begun: int = 0
    is_silent: bool = False
    is_retiring: bool = False


class World:
    """Performs commands on fake slaves, and checks the scheduler after every event.

    Args:
        items: how many.
        policy: of the scheduler.
        open_ended: whether items may be added.
    """

    def __init__(self, items: int, policy: Policy, *, open_ended: bool = False) -> None:
        self.scheduler = Scheduler(Items(items), policy, open_ended=open_ended)
        self.now = 0.0
        self.slaves: dict[int, FakeSlave] = {}
        self.last_slave = 0
        self.positions: dict[int, Sequence[int]] = {}
        self.results: Counter[int] = Counter()
        self.given_up: dict[int, c.GiveUp] = {}
        self.orders: deque[c.Command] = deque()  # recalls, cancellations and stops on their way
        self.through: Counter[int] = Counter()  # job -> with how many of its items it is
        self.failed: dict[int, tuple[int, ...]] = {}  # job -> items that raised, of those
        self.excused: set[int] = set()  # jobs that are to blame should their slave die
        self.old_answers: list[e.Event] = []
        self.finishes = 0

    def handle(self, event: e.Event) -> tuple[c.Command, ...]:
        """Tell the scheduler, check it, and perform what it says."""
        self.now += SECONDS_PER_STEP
        finished = set(self.scheduler.items.finished())
        commands = self.scheduler.handle(event, self.now)
        self.scheduler.check()
        assert finished <= set(self.scheduler.items.finished())
        for command in commands:
            self._perform(command)
        wakeup = self.scheduler.next_wakeup()
        assert wakeup is None or wakeup > self.now or not isinstance(event, e.Ticked), "the master would spin"
        return commands

    def _perform(self, command: c.Command) -> None:
        assert not self.finishes, "a command after the end"
        if isinstance(command, c.SendJob):
            assert command.job not in self.positions, "a job number given out twice"
            assert len(set(command.positions)) == len(command.positions) > 0
            self.positions[command.job] = command.positions
            slave = self.slaves[command.slave]
            assert slave.ends_at is None or self.now < slave.ends_at, "its time is up"
            self._give(slave, command.job)
        elif isinstance(command, c.GiveUp):
            assert command.position not in self.given_up
            assert command.position not in self.results
            self.given_up[command.position] = command
        elif isinstance(command, c.Finish):
            self.finishes += 1
        elif isinstance(command, c.ExcuseHost):
            assert command.job not in self.positions, "it comes before the job is sent"
            assert command.job not in self.excused
            self.excused.add(command.job)
        elif isinstance(command, c.RetireSlave):
            slave = self.slaves[command.slave]
            assert not slave.jobs
            assert not slave.is_retiring, "told twice"
            slave.is_retiring = True
            self.orders.append(command)
        else:
            self.orders.append(command)

    @staticmethod
    def _give(slave: FakeSlave, job: int) -> None:
        slave.jobs.append(job)
        slave.begun += 1
        assert not slave.is_silent, "it does not answer"
        assert not slave.is_retiring
        assert slave.most_jobs is None or slave.begun <= slave.most_jobs

    # ---- what slaves do

    def add_slave(
        self,
        host: str = "here",
        most_jobs: int | None = None,
        life_s: float | None = None,
        used_s: float = 0.0,
        *,
        is_here: bool = False,
    ) -> FakeSlave:
        """A slave is ready; it may stay for ``life_s`` in all, of which ``used_s`` are over."""
        self.last_slave += 1
        came_at = self.now - used_s
        ends_at = None if life_s is None else came_at + life_s
        slave = FakeSlave(self.last_slave, host, most_jobs=most_jobs, ends_at=ends_at)
        self.slaves[self.last_slave] = slave
        nickname = f"{host}_{slave.number}"
        self.handle(e.SlaveReady(slave.number, host, nickname, most_jobs, ends_at, came_at, is_here=is_here))
        return slave

    def end_time(self, slave: FakeSlave, *, is_told: bool = True) -> None:
        """The time of a slave passes, and it is ended by who gave it; ``is_told``: its fabric says that."""
        assert slave.ends_at is not None
        self.tick(slave.ends_at - self.now)
        if slave.number in self.slaves:
            self.lose(slave, is_innocent=is_told)

    def fall_silent(self, slave: FakeSlave) -> None:
        slave.is_silent = True
        self.handle(e.SlaveSilent(slave.number))

    def be_heard(self, slave: FakeSlave) -> None:
        slave.is_silent = False
        self.handle(e.SlaveHeard(slave.number))

    def lose(
        self, slave: FakeSlave, *, is_known: bool = True, on_purpose: bool = False, is_innocent: bool = False
    ) -> None:
        del self.slaves[slave.number]
        running = slave.jobs[0] if slave.jobs and is_known else None
        self.handle(e.SlaveLost(slave.number, "killed", running, on_purpose, is_innocent))

    def answer(self, event: e.JobDone | e.JobFailed | e.JobReturned) -> None:
        """A job leaves its slave; its results are taken where they are wanted."""
        slave = self.slaves.get(event.slave)
        if slave is not None and event.job in slave.jobs:
            slave.jobs.remove(event.job)
            slave.begun -= isinstance(event, e.JobReturned)
        if isinstance(event, e.JobDone):
            failed = set(event.failed)
            self._take(p for p in self.scheduler.wanted(event.job) if p not in failed)
        self.old_answers.append(event)
        self.handle(event)

    def done(self, slave: FakeSlave, failed: Sequence[int] = (), seconds: float = SECONDS_PER_STEP) -> None:
        job = slave.jobs[0]
        failed = (*self.failed.pop(job, ()), *(p for p in failed if p not in self.positions[job][: self.through[job]]))
        self.answer(e.JobDone(job, slave.number, seconds, failed, 100))

    def done_row(self, slave: FakeSlave, count: int, seconds: float = SECONDS_PER_STEP) -> tuple[c.Command, ...]:
        """The first so many jobs that the slave holds come back together, if every item of them went well."""
        jobs = [job for job in list(slave.jobs)[:count] if not self.failed.get(job)]
        for job in jobs:
            slave.jobs.remove(job)
            self._take(self.scheduler.wanted(job))
        return self.handle(e.JobsDone(jobs, slave.number, seconds, 100 * len(jobs))) if jobs else ()

    def progress(self, slave: FakeSlave, finished: Sequence[int]) -> None:
        """The old way: only what is finished is told."""
        job = slave.jobs[0]
        wanted = set(self.scheduler.wanted(job))
        self._take(p for p in finished if p in wanted)
        self.handle(e.JobProgressed(job, slave.number, finished, 0.001))

    def report(
        self, slave: FakeSlave, count: int, failed: Sequence[int] = (), running_s: float | None = None
    ) -> tuple[c.Command, ...]:
        """The first job is through with ``count`` more of its items, of which some failed."""
        job = slave.jobs[0]
        through = self.positions[job][self.through[job] :][:count]
        self.through[job] += len(through)
        self.failed[job] = (*self.failed.get(job, ()), *failed)
        wanted = set(self.scheduler.wanted(job))
        finished = tuple(p for p in through if p in wanted and p not in failed)
        self._take(finished)
        return self.handle(
            e.JobProgressed(job, slave.number, finished, 0.001, self.through[job], running_s)
        )

    def _take(self, positions) -> None:  # type: ignore[no-untyped-def]
        self.results.update(positions)

    def deliver_order(self) -> None:
        """The oldest order arrives."""
        order = self.orders.popleft()
        slave = self.slaves.get(order.slave)  # type: ignore[union-attr]
        if slave is None:
            return
        if isinstance(order, c.StopSlave | c.RetireSlave):
            self.lose(slave, on_purpose=True)
        elif slave.is_silent and isinstance(order, c.RecallJob):
            pass  # it is not read
        elif slave.is_silent and order.job in slave.jobs:  # type: ignore[union-attr]
            self.lose(slave, on_purpose=True)
        elif order.job in slave.jobs:  # type: ignore[union-attr]
            if slave.jobs[0] != order.job:  # type: ignore[union-attr]
                self.answer(e.JobReturned(order.job, slave.number))  # type: ignore[union-attr]
            elif isinstance(order, c.CancelJob):
                self.lose(slave, on_purpose=True)

    def tick(self, seconds: float = 0.0) -> None:
        """Time passes; the scheduler is told whenever it wants to be."""
        end = self.now + seconds
        while (wakeup := self.scheduler.next_wakeup()) is not None and wakeup <= end:
            self.now = max(self.now, wakeup - SECONDS_PER_STEP)
            self.handle(e.Ticked())
        self.tick_late(end - self.now)

    def tick_late(self, seconds: float = 0.0) -> None:
        """Time passes in which the scheduler is told nothing."""
        self.now += max(0.0, seconds)
        self.handle(e.Ticked())

    # ---- to the end

    def finish(self) -> None:
        """All goes well from here: everybody answers, and new slaves come when none is left."""
        bound = 20 * len(self.scheduler.items) + 20 * len(self.positions) + 200
        for _ in range(bound):
            if self.finishes:
                break
            if self.orders:
                self.deliver_order()
            elif busy := [slave for slave in self.slaves.values() if slave.jobs and not slave.is_silent]:
                self.done(busy[0])
            elif not self.scheduler.usable_slaves:
                self.add_slave(f"new_{self.last_slave}")
            else:
                wakeup = self.scheduler.next_wakeup()
                assert wakeup is not None, "nothing runs, and nothing is waited for"
                self.tick(max(0.0, wakeup - self.now))
        assert self.finishes == 1
        self.verify_end()

    def verify_end(self) -> None:
        """Each item has exactly one result, or was given up."""
        assert set(self.results.values()) <= {1}
        assert set(self.results) | set(self.given_up) == set(range(len(self.scheduler.items)))
        assert not set(self.results) & set(self.given_up)
        assert self.scheduler.is_finished
