"""A calculation that ends before all its answers are there waits for those that are on their way, and no longer."""

from __future__ import annotations

from tracking.master.answers import Answers, SentJob
from tracking.master.desk import Came
from tracking.master.leaving import _forget_jobs
from tracking.pool.crew import SlaveInfo
from tracking.wire import messages as m

SLAVE = SlaveInfo(1, "node_0", "node")


def test_jobs_that_come_back_in_a_row_are_not_waited_for() -> None:
    answers = Answers("abcd")
    answers.jobs.update({job: SentJob((job,), ("a",), SLAVE) for job in range(4)})
    _forget_jobs(Came(1, (m.ROW_DONE, 7, [0, 2], [0.1, 0.1], [b"", b""])), answers)
    assert list(answers.jobs) == [1, 3]
    _forget_jobs(Came(1, (m.DONE, 7, 3)), answers)
    assert list(answers.jobs) == [1]
