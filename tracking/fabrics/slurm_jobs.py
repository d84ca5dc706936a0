"""Which jobs of ours are in Slurm's queue, and what becomes of them. Pure: told, remembers, decides.

::

    submitting -> submitted -> (PENDING -> RUNNING ->) up -> ended
         |            |                                 \\-> cut: its end is looked for at once
         +-> refused  +-> ended, or found never to start

A job is a task of an array, and starts one relay; both are known here by the relay's number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tracking.fabrics.slurm_answers import WHOLE_ARRAY, TaskState, how_it_ended, place

_FIRST_ASK_S = 1.0
_LAST_ASK_S = 30.0
_ASK_SLOWER = 1.5
_ASK_CUT_S = 0.25
_CUT_S = 1.5  # a job whose line is cut is given up then, whatever Slurm says
_COMPLETING_S = 1.0  # so long a last word is waited for
_GONE_ANSWERS = 2  # a job that Slurm does not know in so many answers is gone
_COMPLETING = "COMPLETING"
_NEW = TaskState("PENDING")


class JobEnded(NamedTuple):
    """A job has ended, or will not start, and is forgotten.

    Attributes:
        number: of its relay.
        how: in words.
        output: the name of the file that it has printed to, if it ran; "": it did not.
    """

    number: int
    how: str
    output: str


@dataclass(slots=True)
class _Job:
    number: int
    array: int
    task: int
    state: TaskState = _NEW
    is_up: bool = False
    cut_at: float | None = None
    completing_since: float | None = None
    missing: int = 0  # in so many answers, one after the other

    @property
    def name(self) -> str:
        return f"{self.array}_{self.task}"

    @property
    def is_watched(self) -> bool:
        """Whether its end would not be heard of by its line."""
        return not self.is_up or self.cut_at is not None


class Jobs:
    """Knows the jobs of one fabric.

    Attributes:
        to_cancel: names of jobs that are not wanted any more; who cancels them takes them out.
    """

    def __init__(self) -> None:
        self.to_cancel: list[str] = []
        self._jobs: dict[int, _Job] = {}
        self._submitting: set[int] = set()
        self._unwanted: set[int] = set()  # before they were submitted
        self._pause_s = _FIRST_ASK_S
        self._ask_at: float | None = None

    # ---- what happens

    def submitting(self, numbers: Sequence[int]) -> None:
        """Jobs with these numbers are being submitted."""
        self._submitting.update(numbers)

    def submitted(self, numbers: Sequence[int], array: int, now: float) -> None:
        """They are in the queue, as an array of this number."""
        for task, number in enumerate(numbers):
            self._submitting.discard(number)
            self._jobs[number] = job = _Job(number, array, task)
            if number in self._unwanted:
                self._unwanted.discard(number)
                self._cancel(job)
        self._ask_soon(now)

    def refused(self, numbers: Sequence[int], words: str) -> list[JobEnded]:
        """Slurm has not taken them."""
        wanted = [number for number in numbers if number not in self._unwanted]
        self._submitting.difference_update(numbers)
        self._unwanted.difference_update(numbers)
        return [JobEnded(number, f"Slurm has refused the job: {words}", "") for number in wanted]

    def is_up(self, number: int) -> None:
        """The line to its relay is there."""
        if number in self._jobs:
            self._jobs[number].is_up = True

    def is_cut(self, number: int, now: float) -> None:
        """The line to its relay is gone."""
        job = self._jobs.get(number)
        if job is not None and job.cut_at is None:
            job.cut_at = now
            self._ask_at = now

    def unwanted(self, number: int) -> None:
        """It is to end."""
        if number in self._submitting:
            self._unwanted.add(number)
        elif number in self._jobs:
            self._cancel(self._jobs[number])

    def answered(
        self, asked: Collection[int], states: Mapping[tuple[int, int], TaskState], now: float
    ) -> list[JobEnded]:
        """What Slurm knows of the arrays that it was asked for."""
        has_changed = False
        ended = []
        for job in [job for job in self._jobs.values() if job.array in asked]:
            known = states.get((job.array, job.task)) or states.get((job.array, WHOLE_ARRAY))
            job.missing = 0 if known else job.missing + 1
            has_changed |= known is not None and known.state != job.state.state
            job.state = known or job.state
            words = self._end_of(job, now)
            if words:
                ended.append(self._forget(job, words))
        self._ask_at = now + _FIRST_ASK_S if has_changed else self._later(now)
        if has_changed:
            self._pause_s = _FIRST_ASK_S
        return ended

    def not_answered(self, now: float) -> None:
        """Slurm was asked, and did not answer: that says nothing of the jobs."""
        self._ask_at = self._later(now)

    def overdue(self, now: float) -> list[JobEnded]:
        """Jobs whose line has been cut for so long that they are given up, whatever Slurm says."""
        return [
            self._give_up(job)
            for job in list(self._jobs.values())
            if job.cut_at is not None and now - job.cut_at >= _CUT_S
        ]

    # ---- decisions

    def _end_of(self, job: _Job, now: float) -> str:
        """Why it has ended or will not start, in words; "": it has not, and may."""
        if job.missing >= _GONE_ANSWERS:
            return f"Slurm job {job.name}{place(job.state)}: is not in the queue any more"
        if job.state.has_ended:
            return how_it_ended(job.name, job.state)
        if job.state.never_starts:
            self._cancel(job)
            return f"Slurm job {job.name} will never start: {job.state.reason} ({job.state.never_starts})"
        if job.state.state != _COMPLETING:
            return ""
        if job.completing_since is None:
            job.completing_since = now
        return how_it_ended(job.name, job.state) if now - job.completing_since >= _COMPLETING_S else ""

    def _give_up(self, job: _Job) -> JobEnded:
        self._cancel(job)
        what = f"its line is cut, though for Slurm it is {job.state.state}"
        return self._forget(job, f"Slurm job {job.name}{place(job.state)}: {what}: the node, or the network to it?")

    def _forget(self, job: _Job, words: str) -> JobEnded:
        del self._jobs[job.number]
        return JobEnded(job.number, words, f"{job.name}.out")

    def _cancel(self, job: _Job) -> None:
        if job.name not in self.to_cancel:
            self.to_cancel.append(job.name)

    # ---- when to ask

    def _ask_soon(self, now: float) -> None:
        self._pause_s = _FIRST_ASK_S
        self._ask_at = now + _FIRST_ASK_S

    def _later(self, now: float) -> float:
        self._pause_s = min(_LAST_ASK_S, self._pause_s * _ASK_SLOWER)
        is_urgent = any(job.cut_at is not None or job.completing_since is not None for job in self._jobs.values())
        return now + (_ASK_CUT_S if is_urgent else self._pause_s)

    def ask_in_s(self, now: float) -> float | None:
        """In how many seconds Slurm should be asked; None: all that matters is heard by lines."""
        if self._ask_at is None or not any(job.is_watched for job in self._jobs.values()):
            return None
        return max(0.0, self._ask_at - now)

    def overdue_in_s(self, now: float) -> float | None:
        """In how many seconds ``overdue`` may have something; None: never."""
        cuts = [job.cut_at for job in self._jobs.values() if job.cut_at is not None]
        return max(0.0, min(cuts) + _CUT_S - now) if cuts else None

    # ---- what is known

    def arrays(self) -> list[int]:
        """The arrays that Slurm should be asked for."""
        return sorted({job.array for job in self._jobs.values() if job.is_watched})

    def all_arrays(self) -> list[int]:
        """All arrays of which something may still be there."""
        return sorted({job.array for job in self._jobs.values()})

    def waiting_words(self, partition: str | None) -> str:
        """What jobs that are not up wait for; "": nothing."""
        waiting = [job for job in self._jobs.values() if not job.is_up]
        pending = [job for job in waiting if job.state.state == "PENDING"]
        words = []
        if self._submitting:
            words.append(f"{_jobs(len(self._submitting))} being submitted")
        if pending:
            where = f"the queue of partition {partition}" if partition else "Slurm's queue"
            reasons = Counter(job.state.reason for job in pending if job.state.reason)
            why = f": {', '.join(reason for reason, _ in reasons.most_common(3))}" if reasons else ""
            words.append(f"{len(pending)} of {_jobs(len(self._jobs))} wait{'s' * (len(pending) == 1)} in {where}{why}")
        others = Counter(job.state.state for job in waiting if job.state.state != "PENDING")
        words += [f"{_jobs(count)} {state}, not heard yet" for state, count in others.most_common()]
        return "; ".join(words)


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"
