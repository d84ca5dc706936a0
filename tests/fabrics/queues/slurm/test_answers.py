"""What Slurm's commands answer, read."""

from __future__ import annotations

import pytest

from tracking.fabrics.queues.slurm.answers import (
    TaskState,
    end_in_words,
    parse_idle_cpus,
    parse_squeue,
    parse_submitted,
)
from tracking.fabrics.queues.tasks import WHOLE, Phase, Seen, Task

ANSWER = """\
4|5|FAILED|JobLaunchFailure|node3|4021|
3|0|CANCELLED|None|node1|15|
5|2|PENDING|Resources||0|
10|N/A|CANCELLED|PartitionConfig||0|
slurm_load_jobs: something else
"""


def test_the_state_of_each_task_is_read_and_what_is_no_state_is_passed_over() -> None:
    assert parse_squeue(ANSWER) == {
        Task("4", 5): TaskState("FAILED", "JobLaunchFailure", "node3", 4021),
        Task("3", 0): TaskState("CANCELLED", "", "node1", 15),
        Task("5", 2): TaskState("PENDING", "Resources"),
        Task("10", WHOLE): TaskState("CANCELLED", "PartitionConfig"),
    }
    assert parse_squeue("") == {}


@pytest.mark.parametrize(
    ("text", "array"),
    [("17\n", "17"), ("17;cluster2\n", "17"), ("Welcome to our cluster\n17\n", "17"), ("", None), ("no\n", None)],
)
def test_the_number_of_a_new_array_is_read(text: str, array: str | None) -> None:
    assert parse_submitted(text) == array


@pytest.mark.parametrize(
    ("text", "count"),
    [("4/8/0/12\n", 8), ("0/1.5K/0/2K\n", 1500), ("1/2/3/6\n4/5/6/15\n", 7), ("", 0), ("no answer", 0)],
)
def test_the_idle_cpus_are_counted(text: str, count: int) -> None:
    assert parse_idle_cpus(text) == count


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (TaskState("NODE_FAIL", "", "node2"), "NODE_FAIL (its node has failed)"),
        (TaskState("FAILED", "NonZeroExitCode", "node1", 768), "FAILED (exit status 3)"),
        (TaskState("FAILED", "RaisedSignal:9", "node1", 9), "FAILED (killed by SIGKILL)"),
        (TaskState("FAILED", "RaisedSignal:53", "node1", 127), "FAILED (killed by signal 127)"),
        (TaskState("COMPLETED", "", "n"), "COMPLETED (it has ended; exit status 0)"),
        (TaskState("CANCELLED"), "CANCELLED (cancelled from outside: by scancel, or by an administrator)"),
        (TaskState("TIMEOUT", "", "n"), "TIMEOUT (its time limit is reached: time=... sets it)"),
        (TaskState("BOOT_FAIL", "BootFail", "n"), "BOOT_FAIL (its node did not boot; BootFail)"),
        (TaskState("COMPLETING", "", "n"), "COMPLETING"),
    ],
)
def test_an_end_is_told_in_words(task: TaskState, words: str) -> None:
    assert end_in_words(task) == words


def test_a_job_that_could_not_open_its_output_says_what_to_set() -> None:
    assert "files=..." in end_in_words(TaskState("FAILED", "JobLaunchFailure", "node3", 4021))
    assert "memory=..." in end_in_words(TaskState("OUT_OF_MEMORY"))


@pytest.mark.parametrize(
    "reason", ["PartitionTimeLimit", "BadConstraints", "QOSMaxCpuPerJobLimit", "AssocMaxWallDurationPerJobLimit"]
)
def test_some_jobs_will_never_start(reason: str) -> None:
    assert TaskState("PENDING", reason).never_starts
    assert not TaskState("CANCELLED", reason).never_starts


@pytest.mark.parametrize(
    "reason", ["", "Resources", "Priority", "ReqNodeNotAvail", "QOSMaxCpuPerUserLimit", "AssocGrpCpuLimit", "Licenses"]
)
def test_others_may_start_some_day(reason: str) -> None:
    assert not TaskState("PENDING", reason).never_starts


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "SOMETHING_NEW"])
def test_in_some_states_a_job_has_not_ended(state: str) -> None:
    assert not TaskState(state).has_ended


@pytest.mark.parametrize(
    ("task", "seen"),
    [
        (TaskState("PENDING", "Resources"), Seen(Phase.PENDING, "Resources")),
        (TaskState("RUNNING", "", "node1"), Seen(Phase.RUNNING, "RUNNING", "node1")),
        (TaskState("COMPLETING", "", "node1"), Seen(Phase.ENDING, "COMPLETING", "node1")),
        (TaskState("NODE_FAIL", "", "node1"), Seen(Phase.ENDED, "NODE_FAIL (its node has failed)", "node1")),
        (
            TaskState("PENDING", "InvalidQOS"),
            Seen(Phase.FAILED, "will never start: InvalidQOS (there is no such QOS)"),
        ),
    ],
)
def test_what_a_state_means_for_any_queue(task: TaskState, seen: Seen) -> None:
    assert task.seen == seen
