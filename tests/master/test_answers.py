"""Which of the results that came count, and for which items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracking.master.answers import Answers, SentJob
from tracking.pool.crew import SlaveInfo
from tracking.wire import messages as m

SLAVE = SlaveInfo(1, "node_0", "node")
IDS = list("abcdefgh")


def sent(answers: Answers, positions: Sequence[int]) -> SentJob:
    return SentJob(positions, answers.ids_at(positions), SLAVE)


def test_a_whole_job_is_taken_as_it_came_without_looking_at_each_item() -> None:
    answers = Answers(IDS)
    job = sent(answers, range(2, 5))
    results: list[Any] = [1, 2, 3]
    finished, ids, kept = answers.accept(job, range(2, 5), 0, results, {})
    assert (finished, ids) == (range(2, 5), ["c", "d", "e"])
    assert kept is results
    assert ids is job.ids


def test_a_part_of_a_job_whose_rest_is_wanted_is_taken_as_it_came() -> None:
    answers = Answers(IDS)
    job = sent(answers, range(2, 7))
    results: list[Any] = [1, 2]
    finished, ids, kept = answers.accept(job, range(3, 7), 1, results, {})
    assert (finished, ids) == (range(3, 5), ["d", "e"])
    assert kept is results


def test_of_a_part_that_others_were_first_with_only_the_rest_counts() -> None:
    answers = Answers(IDS)
    job = sent(answers, range(2, 7))
    assert answers.accept(job, range(4, 7), 1, [1, 2, 3], {}) == ([4, 5], ["e", "f"], [2, 3])


def test_a_part_without_results_finishes_nothing() -> None:
    answers = Answers(IDS)
    finished, ids, results = answers.accept(sent(answers, range(2, 7)), range(2, 7), 0, [], {})
    assert (list(finished), ids, results) == ([], [], [])


def test_items_of_a_copy_that_run_backwards_keep_their_results() -> None:
    answers = Answers(IDS)
    job = sent(answers, range(5, 1, -1))
    whole = answers.accept(job, range(2, 6), 0, [1, 2, 3, 4], {})
    assert whole == (range(5, 1, -1), ["f", "e", "d", "c"], [1, 2, 3, 4])
    finished, ids, results = answers.accept(job, range(2, 4), 1, [2, 3, 4], {})
    assert (list(finished), ids, results) == ([3, 2], ["d", "c"], [3, 4])


def test_what_failed_is_noted_and_left_out() -> None:
    answers = Answers(IDS)
    job = sent(answers, range(3))
    report: m.Report = (m.REPORT_RAISED, "ValueError: b", "", None)
    assert answers.accept(job, range(3), 0, [1, None, 3], {1: report}) == ([0, 2], ["a", "c"], [1, 3])
    assert job.failed == (1,)
