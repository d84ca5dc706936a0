"""How a calculation takes leave of slaves that go on working for others."""

from __future__ import annotations

import time

from tracking.master.answers import Answers
from tracking.master.desk import Came, CrewGone, Desk, Note
from tracking.pool.client import SlaveGone
from tracking.pool.crew import Crew
from tracking.wire import messages as m

MERCY_S = 0.05  # a slave that is ended must be replaced and initialized: short jobs are let end by themselves
_LONGEST_END_S = 5.0


def end_jobs(crew: Crew, desk: Desk, answers: Answers) -> None:
    """See to it that no slave works on a job of this calculation any more; bounded.

    Jobs that are still out are the losers of a race, or were interrupted: nobody wants their answers.
    """
    _await_jobs(desk, answers, MERCY_S)
    for job, sent in answers.jobs.items():
        crew.cancel(sent.slave.tid, (desk.calculation, job))
    _await_jobs(desk, answers, _LONGEST_END_S)


def _await_jobs(desk: Desk, answers: Answers, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while answers.jobs and (left_s := end - time.monotonic()) > 0:
        desk.take(left_s, lambda note: _forget_jobs(note, answers))


def _forget_jobs(note: Note, answers: Answers) -> None:
    if isinstance(note, SlaveGone):
        for job in answers.jobs_of(note.slave.tid):
            del answers.jobs[job]
    elif isinstance(note, Came) and note.message[0] in m.ENDS_JOB:
        answers.jobs.pop(note.message[2], None)
    elif isinstance(note, Came) and note.message[0] == m.ROW_DONE:
        for job in note.message[2]:
            answers.jobs.pop(job, None)
    elif isinstance(note, CrewGone):
        answers.jobs.clear()
