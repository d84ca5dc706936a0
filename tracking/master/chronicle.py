"""What a run file is told beside results: what befell slaves, hosts and items out of the ordinary."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence

from tracking.core.places import was
from tracking.core.scheduler import Scheduler
from tracking.master.answers import Answers
from tracking.master.record import Record
from tracking.pool.client import SlaveGone
from tracking.pool.crew import Crew, SlaveInfo
from tracking.why import facts as f


class Chronicle:
    """Notes for one calculation; used by the master's thread.

    Args:
        record: has the run file; without one nothing is noted.
        answers: know the ids.
        scheduler: knows which items a slave holds.
        crew: the slaves.
    """

    def __init__(self, record: Record, answers: Answers, scheduler: Scheduler, crew: Crew) -> None:
        self._record = record
        self._answers = answers
        self._scheduler = scheduler
        self._crew = crew
        self._seen: set[str] = set()  # nicknames
        self._troubles: dict[str, str] = {}  # host -> state
        self._n_lost = 0
        self._first_lost: list[str] = []

    def slave_is_up(self, slave: SlaveInfo) -> None:
        """One that takes another's place is worth a note."""
        if slave.nickname in self._seen:
            self._note(f.SLAVE_UP, "it takes the place of another", slave)
        self._seen.add(slave.nickname)

    def slave_is_gone(self, gone: SlaveGone) -> None:
        """To be told before the scheduler is."""
        kind = f.SLAVE_ENDED if gone.on_purpose else f.LOST
        if not gone.on_purpose:
            self._n_lost += 1
            if len(self._first_lost) < _MOST_TOLD:
                self._first_lost.append(f"{gone.slave.nickname} {was(gone.how)}")
        self._note(kind, gone.how + self._given_before(gone.slave.tid), gone.slave, self._held(gone.slave.tid))
        self.look_at_hosts()

    def losses(self) -> str:
        """The slaves that ended without being asked to, in a sentence; '' if none did."""
        if not self._n_lost:
            return ""
        more = ", ..." if self._n_lost > len(self._first_lost) else ""
        n = "1 slave" if self._n_lost == 1 else f"{self._n_lost} slaves"
        return f"{n} ended in between: {', '.join(self._first_lost)}{more}"

    def slave_is_quiet(self, slave: SlaveInfo, *, is_silent: bool) -> None:
        """It does not answer, or does again."""
        self._note(f.SILENT if is_silent else f.HEARD, "", slave, self._held(slave.tid))

    def slave_is_stopped(self, tid: int, reason: str) -> None:
        """An item ran over its time limit."""
        slave, job = self._crew.info(tid), next(iter(self._scheduler.jobs_of_slave(tid)), None)
        if slave is not None and job is not None:
            self._note(f.TIMED_OUT, reason + self._given_before(tid), slave, self._ids(self._scheduler.wanted(job)))

    def items_failed(self, positions: Iterable[int], slave: SlaveInfo, words: str) -> None:
        """To be told after the scheduler was: of these items, those that are not given up are tried again."""
        again = [position for position in positions if position not in self._scheduler.given_up]
        if again:
            self._note(f.FAILED, words, slave, self._ids(again))

    def job_is_given(self, positions: Sequence[int], slave: SlaveInfo) -> None:
        """Worth a note if others have its items, too."""
        if (self._scheduler.items.count(positions[0]) or 0) > 1:
            self._note(f.COPIED, "", slave, self._ids(positions))

    def look_at_hosts(self) -> None:
        """Note what has changed with hosts that give trouble."""
        now = {trouble.host: trouble for trouble in self._crew.trouble()}
        for host, trouble in now.items():
            kind = _KINDS.get(trouble.state)
            if kind is not None and self._troubles.get(host) != trouble.state:
                self._record.note(kind, trouble.reason, host=host)
        self._troubles = {host: trouble.state for host, trouble in now.items()}

    def hosts_are_disabled(self, hosts: Iterable[str], *, is_disabled: bool) -> None:
        """The user put them into ``disabled_hosts``, or took them out."""
        for host in hosts:
            self._record.note(f.DISABLED if is_disabled else f.ENABLED, "by the user", host=host)

    def _given_before(self, tid: int) -> str:
        """When the slave was given the job that it is at: that is noted only now, when it matters."""
        job = self._scheduler.job(next(iter(self._scheduler.jobs_of_slave(tid)), 0))
        return "" if job is None else f", {time.monotonic() - job.given_at:.2g} s after it was given the job"

    def _held(self, tid: int) -> list[Hashable]:
        jobs = self._scheduler.jobs_of_slave(tid)
        return [id for job in jobs for id in self._ids(self._scheduler.wanted(job))]

    def _ids(self, positions: Sequence[int]) -> Sequence[Hashable]:
        return self._answers.ids_at(positions)

    def _note(self, kind: str, words: str, slave: SlaveInfo, ids: Sequence[Hashable] = ()) -> None:
        self._record.note(kind, words, host=slave.host, nickname=slave.nickname, ids=ids)


_MOST_TOLD = 3
_KINDS = {"on probation": f.PROBATION, "left out": f.LEFT_OUT}
