"""What becomes of jobs in Slurm's queue, told as lists of events."""

from __future__ import annotations

import pytest

from tracking.fabrics.slurm_answers import WHOLE_ARRAY, TaskState
from tracking.fabrics.slurm_jobs import JobEnded, Jobs

PENDING = TaskState("PENDING", "Resources")
RUNNING = TaskState("RUNNING", "", "node2")


@pytest.fixture
def jobs() -> Jobs:
    """Three jobs, 12_0 to 12_2, with relays 5 to 7, submitted at second 0."""
    jobs = Jobs()
    jobs.submitting([5, 6, 7])
    jobs.submitted([5, 6, 7], 12, 0.0)
    return jobs


def of(*states: TaskState) -> dict[tuple[int, int], TaskState]:
    return {(12, task): state for task, state in enumerate(states)}


def test_an_end_is_told_once_with_its_reason_and_its_output(jobs: Jobs) -> None:
    assert jobs.answered([12], of(RUNNING, RUNNING, RUNNING), 1.0) == []
    failed = TaskState("NODE_FAIL", "", "node2")
    how = "Slurm job 12_1 on node2: NODE_FAIL (its node has failed)"
    assert jobs.answered([12], of(RUNNING, failed, RUNNING), 2.0) == [JobEnded(6, how, "12_1.out")]
    assert jobs.answered([12], of(RUNNING, failed, RUNNING), 3.0) == []


def test_the_end_of_an_array_that_was_never_told_apart_is_that_of_all_its_jobs(jobs: Jobs) -> None:
    ended = jobs.answered([12], {(12, WHOLE_ARRAY): TaskState("CANCELLED")}, 1.0)
    assert [job.number for job in ended] == [5, 6, 7]


def test_slurm_is_asked_less_and_less_often_while_all_is_quiet(jobs: Jobs) -> None:
    now, pauses = 0.0, []
    for _ in range(15):
        pauses.append(jobs.ask_in_s(now) or 0.0)
        now += pauses[-1]
        jobs.answered([12], of(PENDING, PENDING, PENDING), now)
    assert pauses[0] == 1.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0
    jobs.answered([12], of(RUNNING, PENDING, PENDING), now)
    assert jobs.ask_in_s(now) == 1.0


def test_slurm_is_not_asked_for_jobs_whose_line_is_there(jobs: Jobs) -> None:
    for number in (5, 6, 7):
        jobs.is_up(number)
    assert jobs.ask_in_s(5.0) is None
    assert jobs.arrays() == []
    assert jobs.all_arrays() == [12]


def test_nothing_is_asked_where_there_is_nothing() -> None:
    assert Jobs().ask_in_s(0.0) is None


def test_when_a_line_is_cut_slurm_is_asked_at_once_and_again_and_again(jobs: Jobs) -> None:
    for number in (5, 6, 7):
        jobs.is_up(number)
    jobs.is_cut(6, 100.0)
    assert jobs.ask_in_s(100.0) == 0.0
    jobs.answered([12], of(RUNNING, RUNNING, RUNNING), 100.0)
    jobs.answered([12], of(RUNNING, RUNNING, RUNNING), 100.2)
    assert jobs.ask_in_s(100.2) == 0.25
    assert jobs.overdue(100.3) == []
    ended = jobs.answered([12], of(RUNNING, TaskState("TIMEOUT", "TimeLimit", "node2"), RUNNING), 100.5)
    assert ended[0].how.startswith("Slurm job 12_1 on node2: TIMEOUT")
    assert jobs.overdue_in_s(100.5) is None


def test_one_that_is_cut_off_though_slurm_sees_it_running_is_given_up_and_cancelled(jobs: Jobs) -> None:
    jobs.answered([12], of(RUNNING, RUNNING, RUNNING), 1.0)
    jobs.is_up(6)
    jobs.is_cut(6, 100.0)
    assert jobs.overdue_in_s(100.0) == 1.5
    (ended,) = jobs.overdue(101.5)
    assert ended.how.startswith("Slurm job 12_1 on node2: its line is cut, though for Slurm it is RUNNING")
    assert jobs.to_cancel == ["12_1"]


def test_the_last_word_of_a_job_that_is_completing_is_waited_for(jobs: Jobs) -> None:
    completing = TaskState("COMPLETING", "", "node2")
    assert jobs.answered([12], of(completing, RUNNING, RUNNING), 1.0) == []
    (ended,) = jobs.answered([12], of(TaskState("FAILED", "", "node2", 256), RUNNING, RUNNING), 1.3)
    assert ended.how.endswith("FAILED (exit status 1)")
    assert jobs.answered([12], of(RUNNING, completing, RUNNING), 2.0) == []
    (ended,) = jobs.answered([12], of(RUNNING, completing, RUNNING), 3.1)
    assert ended.how.endswith("COMPLETING")


def test_a_controller_that_does_not_answer_ends_no_job(jobs: Jobs) -> None:
    now = 1.0
    for _ in range(20):
        jobs.not_answered(now)
        now += jobs.ask_in_s(now) or 0.0
    assert jobs.ask_in_s(now - 30.0) == 30.0
    assert jobs.answered([12], of(RUNNING, RUNNING, RUNNING), now) == []


def test_a_job_that_slurm_does_not_know_is_gone_when_it_says_so_twice(jobs: Jobs) -> None:
    assert jobs.answered([12], {}, 1.0) == []
    assert jobs.answered([12], of(RUNNING, RUNNING, RUNNING), 2.0) == []
    assert jobs.answered([12], of(RUNNING, RUNNING), 3.0) == []
    (ended,) = jobs.answered([12], of(RUNNING, RUNNING), 4.0)
    assert ended.how == "Slurm job 12_2 on node2: is not in the queue any more"


def test_an_answer_says_nothing_of_jobs_that_were_not_asked_for(jobs: Jobs) -> None:
    jobs.submitting([8])
    jobs.submitted([8], 13, 1.0)
    for now in (2.0, 3.0, 4.0):
        assert jobs.answered([12], of(RUNNING, RUNNING, RUNNING), now) == []


def test_a_job_that_will_never_start_is_told_of_and_cancelled(jobs: Jobs) -> None:
    (ended,) = jobs.answered([12], of(PENDING, TaskState("PENDING", "PartitionTimeLimit"), PENDING), 1.0)
    assert ended.number == 6
    assert ended.how.startswith("Slurm job 12_1 will never start: PartitionTimeLimit (it asks for more time")
    assert jobs.to_cancel == ["12_1"]


def test_jobs_that_are_refused_have_the_words_of_slurm() -> None:
    jobs = Jobs()
    jobs.submitting([1, 2])
    jobs.unwanted(2)
    how = "Slurm has refused the job: invalid partition"
    assert jobs.refused([1, 2], "invalid partition") == [JobEnded(1, how, "")]
    assert jobs.waiting_words(None) == ""


def test_one_that_is_not_wanted_any_more_is_cancelled_as_soon_as_its_name_is_known() -> None:
    jobs = Jobs()
    jobs.submitting([1, 2])
    jobs.unwanted(2)
    assert jobs.to_cancel == []
    jobs.submitted([1, 2], 12, 0.0)
    jobs.unwanted(1)
    jobs.unwanted(1)
    jobs.unwanted(99)
    assert jobs.to_cancel == ["12_1", "12_0"]


def test_what_jobs_wait_for_is_told(jobs: Jobs) -> None:
    jobs.submitting([8])
    assert jobs.waiting_words("debug") == (
        "1 job being submitted; 3 of 3 jobs wait in the queue of partition debug"
    )
    jobs.submitted([8], 13, 0.0)
    jobs.answered([12, 13], {**of(PENDING, RUNNING, PENDING), (13, 0): RUNNING}, 1.0)
    jobs.is_up(8)
    assert jobs.waiting_words(None) == "2 of 4 jobs wait in Slurm's queue: Resources; 1 job RUNNING, not heard yet"
    for number in (5, 6, 7):
        jobs.is_up(number)
    assert jobs.waiting_words(None) == ""
