"""From what slaves send to results and errors: which answers count, in what order they are recorded and told."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.scheduler import Scheduler
from tracking.master.answers import Answers, SentJob, death_report, unreadable_report
from tracking.master.chronicle import Chronicle
from tracking.master.hooks import is_overridden
from tracking.master.record import Record
from tracking.master.roster import Roster
from tracking.pool.client import SlaveGone
from tracking.wire import codec
from tracking.wire import messages as m
from tracking.wire.channel import Message

if TYPE_CHECKING:
    from tracking.master.job_master import JobMaster


class Intake:
    """Takes answers in for one calculation, in the master's thread.

    Args:
        master: whose hooks are called, and whose results are filled.
        scheduler: knows which answers are wanted.
        answers: the jobs that are out.
        record: takes the results.
        roster: told of slaves that ``is_valid_slave`` refuses.
        chronicle: told of what goes wrong.
        decide: has the scheduler decide what follows.
        flush: sends what was put.
    """

    def __init__(
        self,
        master: JobMaster,
        scheduler: Scheduler,
        answers: Answers,
        record: Record,
        roster: Roster,
        chronicle: Chronicle,
        decide: Callable[[e.Event], None],
        flush: Callable[[], None],
    ) -> None:
        self._master = master
        self._scheduler = scheduler
        self._answers = answers
        self._record = record
        self._roster = roster
        self._chronicle = chronicle
        self._decide = decide
        self._flush = flush
        self._stopped: dict[int, str] = {}  # tid -> why the scheduler has ended it

    def take_results(self, tid: int, message: Message, mean_bytes: int) -> None:
        """A job, or a part of it, has come back; ``mean_bytes``: the usual size of what is sent for one."""
        kind, _, number, seconds, first, payload, reports = message[:7]
        job = self._answers.jobs.get(number)
        if job is None:
            return
        job.seconds += seconds
        wanted = self._scheduler.wanted(number)
        finished: Any = ()
        ids: Sequence[Hashable] = ()
        results: Any = ()
        count = 0
        if len(wanted):
            try:
                results = codec.decode(payload)
            except BaseException as error:  # noqa: BLE001  (its own class may raise anything; no Ctrl-C comes here)
                self.job_failed(tid, number, seconds, unreadable_report(error))
                return
            count = len(results)
            finished, ids, results = self._answers.accept(job, wanted, first, results, reports)
        elif kind == m.PART:
            return  # others were first with all of its items: it is being ended
        if kind == m.DONE:
            del self._answers.jobs[number]  # before the hooks: should one raise, nobody is to wait for this job
        if len(ids) or (kind == m.DONE and len(wanted)):
            ids, results = self._show(tid, ids, results)
            self._answers.settle(finished)
            are_recorded = self._record.add(ids, results, job.slave, seconds, finished)
            self._keep(ids, results, are_recorded=are_recorded)
        if kind == m.PART:
            self._decide(e.JobProgressed(number, tid, finished, seconds, first + count, *message[7:]))
            return
        self._retire_if_refused(tid)
        self._decide(e.JobDone(number, tid, job.seconds, job.failed, codec.size_of(payload) + mean_bytes))
        for index, report in reports.items():
            self._chronicle.items_failed([job.positions[index]], job.slave, report[1])

    def _keep(self, ids: Sequence[Hashable], results: Sequence[Any], *, are_recorded: bool) -> None:
        kept: Any = self._master.result
        if self._master._tr_options.keep_results:
            kept.update(zip(ids, results, strict=True))
        else:
            kept._tr_add(ids, results, are_recorded=are_recorded)

    def take_row(self, tid: int, message: Message, mean_bytes: int) -> None:
        """Many jobs have come back; all items of each went well, says the slave."""
        _, calculation, numbers, seconds, pickles = message
        jobs = [self._answers.jobs.get(number) for number in numbers]
        known = [job for job in jobs if job is not None and not job.failed]
        results = self._results_of_row(known, pickles) if len(known) == len(jobs) else None
        if results is None:
            try:
                for number, its_seconds, data in zip(numbers, seconds, pickles, strict=True):
                    done: Message = m.DONE, calculation, number, its_seconds, 0, data, {}
                    self.take_results(tid, done, mean_bytes)
            finally:  # should a hook raise, nobody is to wait for the jobs behind
                for number in numbers:
                    self._answers.jobs.pop(number, None)
            return
        for number in numbers:
            del self._answers.jobs[number]
        self._answers.settle(position for job in known for position in job.positions)
        for job, its_results, its_seconds in zip(known, results, seconds, strict=True):
            are_recorded = self._record.add(job.ids, its_results, job.slave, its_seconds, job.positions)
            self._keep(job.ids, its_results, are_recorded=are_recorded)
        size = sum(map(len, pickles)) + mean_bytes * len(jobs)
        self._decide(e.JobsDone(numbers, tid, sum(seconds) + sum(job.seconds for job in known), size))

    def _results_of_row(self, jobs: Sequence[SentJob], pickles: Sequence[bytes]) -> list[list[Any]] | None:
        """The results of each; None: this is no usual row, its jobs are to be taken one by one."""
        if is_overridden(self._master, "job_done") or is_overridden(self._master, "is_valid_slave"):
            return None
        if not self._scheduler.items.are_unfinished(position for job in jobs for position in job.positions):
            return None
        try:
            results = [pickle.loads(data) for data in pickles]
            is_usual = list(map(len, results)) == [len(job.positions) for job in jobs]
        except BaseException:  # noqa: BLE001  (as above; which one it is, is found out one by one)
            return None
        return results if is_usual else None

    def _show(self, tid: int, ids: Sequence[Hashable], results: list[Any]) -> tuple[Sequence[Hashable], list[Any]]:
        """The ids and results as the user's hook leaves them; where there is none, no dict of them is made."""
        if not is_overridden(self._master, "job_done"):
            return ids, results  # it was not overridden, neither by a subclass nor on the object
        self._flush()  # the hook may take long: what waits to be sent goes before it
        by_id = dict(zip(ids, results, strict=True))
        self._master.job_done(tid, by_id)
        return list(by_id), list(by_id.values())

    def job_failed(self, tid: int, number: int, seconds: float, report: m.Report) -> None:
        """A job has failed as a whole."""
        job = self._answers.jobs.pop(number, None)
        if job is not None:
            self._answers.note(self._scheduler.wanted(number), job.slave, report)
            self._retire_if_refused(tid)
            self._decide(e.JobFailed(number, tid, seconds))
            self._chronicle.items_failed(self._scheduler.items.unfinished(job.positions), job.slave, report[1])

    def _retire_if_refused(self, tid: int) -> None:
        if not self._master.is_valid_slave(tid):
            self._roster.refuse(tid)
            self._decide(e.SlaveRetired(tid))

    def slave_is_stopped(self, tid: int, reason: str) -> None:
        """The scheduler has this slave ended."""
        self._stopped[tid] = reason

    def slave_gone(self, gone: SlaveGone, calculation: int) -> None:
        """A slave has ended, and with it the jobs that it held."""
        tid = gone.slave.tid
        jobs = self._answers.jobs_of(tid)
        report = death_report(gone.how, self._stopped.pop(tid, ""))
        for job in jobs:
            self._answers.note(self._scheduler.wanted(job), gone.slave, report, gone.last_lines)
        if self._scheduler.has_slave(tid):
            # A slave that died idle, or from another calculation's job, is no fault of our items.
            running = next((job for number, job in gone.jobs[:1] if number == calculation), None)
            on_purpose = gone.on_purpose or running is None
            self._decide(e.SlaveLost(tid, gone.how, running, on_purpose, gone.is_innocent))
        for job in jobs:
            del self._answers.jobs[job]

    def unsendable(self, command: c.SendJob, why: Mapping[Hashable, str]) -> None:
        """Only items that cannot be sent are given up; the scheduler finds them among the others."""
        job = self._answers.jobs.pop(command.job)
        for position, id in zip(command.positions, self._answers.ids_at(command.positions), strict=True):
            if id in why:
                self._answers.note([position], job.slave, (m.REPORT_RESULT, why[id], "", None))
        self._decide(e.JobFailed(command.job, command.slave, 0.0, True))

    def give_up(self, command: c.GiveUp) -> None:
        """An item has failed for good: keep why."""
        error = self._answers.error(command)
        self._master._tr_errors[error.id] = error
        self._record.add_error(error)
