"""What is known of relays in a queue, and what is done about it."""

from __future__ import annotations

import pytest

from tracking.fabrics.queues.pace import Pace
from tracking.fabrics.queues.tasks import (
    ASK_AGAIN_S,
    CUT_S,
    ENDING_S,
    GONE,
    STUCK_S,
    WHOLE,
    WHY_S,
    End,
    Phase,
    Seen,
    Task,
    Tasks,
)

ONE, TWO = Task("5", 1), Task("5", 2)
PENDING, RUNNING = Seen(Phase.PENDING, "Resources"), Seen(Phase.RUNNING, "RUNNING", "node1")


QUEUE = "the queue"


def array() -> Tasks:
    """Two jobs with a relay each, 7 and 8."""
    tasks = Tasks()
    tasks.ordered("first", [7, 8])
    tasks.submitted("first", {ONE: [7], TWO: [8]}, "relays-1")
    return tasks


def spread() -> Tasks:
    """One job with three relays."""
    tasks = Tasks()
    tasks.ordered("first", [7, 8, 9])
    tasks.submitted("first", {ONE: [7, 8, 9]}, "relays-1")
    return tasks


def see_gone(tasks: Tasks, states: dict[Task, Seen], now: float) -> None:
    """What the queue does not know twice is gone."""
    tasks.saw(["5"], states, now)
    tasks.saw(["5"], states, now)


# ---- submitting


def test_relays_that_are_refused_have_ended() -> None:
    tasks = Tasks()
    tasks.ordered("first", [7, 8])
    tasks.unwant(8)
    assert tasks.refused("first") == [7]
    assert tasks.waiting_for(QUEUE) == ""


def test_what_is_not_wanted_before_it_is_submitted_is_cancelled_then() -> None:
    tasks = Tasks()
    tasks.ordered("first", [7, 8])
    tasks.unwant(7)
    assert not tasks.has_to_cancel
    assert tasks.to_cancel() == []
    tasks.submitted("first", {ONE: [7], TWO: [8]})
    assert tasks.has_to_cancel
    assert tasks.to_cancel() == [ONE]
    assert not tasks.has_to_cancel


# ---- asking


def test_the_queue_is_asked_for_jobs_whose_line_is_not_there() -> None:
    tasks = array()
    assert tasks.open_jobs() == ["5"]
    tasks.is_up(7)
    assert tasks.open_jobs() == ["5"]
    tasks.is_up(8)
    assert tasks.open_jobs() == []
    assert tasks.living_jobs() == ["5"]
    tasks.line_is_cut(7, 1.0)
    assert tasks.open_jobs() == ["5"]


def test_what_jobs_wait_for_is_told() -> None:
    tasks = array()
    tasks.ordered("second", [9])
    assert tasks.waiting_for(QUEUE) == "1 slave being submitted; 2 of 2 jobs wait in the queue"
    tasks.saw(["5"], {ONE: PENDING, TWO: PENDING}, 0.0)
    tasks.submitted("second", {Task("6", 1): [9]})
    tasks.saw(["6"], {Task("6", 1): RUNNING}, 0.0)
    assert tasks.waiting_for(QUEUE) == "2 of 3 jobs wait in the queue: Resources; 1 job RUNNING, not heard yet"
    tasks.saw(["5"], {ONE: Seen(Phase.PENDING, "Priority"), TWO: RUNNING}, 0.0)
    tasks.is_up(9)
    assert tasks.waiting_for(QUEUE) == "1 of 3 jobs waits in the queue: Priority; 1 job RUNNING, not heard yet"
    tasks.is_up(7)
    tasks.is_up(8)
    assert tasks.waiting_for(QUEUE) == "", "the line is faster than the queue"


@pytest.mark.parametrize(
    ("state", "is_news"), [(PENDING, False), (Seen(Phase.PENDING, "Priority"), False), (RUNNING, True)]
)
def test_that_a_job_has_gone_on_is_news(state: Seen, is_news: bool) -> None:
    tasks = array()
    assert tasks.saw(["5"], {ONE: PENDING, TWO: PENDING}, 0.0)
    assert tasks.saw(["5"], {ONE: state, TWO: PENDING}, 1.0) is is_news


# ---- ends


def test_an_end_is_told_once_with_what_the_engine_says_of_it_where_it_was_and_its_output() -> None:
    tasks = array()
    tasks.saw(["5"], {ONE: RUNNING, TWO: RUNNING}, 0.0)
    failed = Seen(Phase.ENDED, "NODE_FAIL", "node1")
    tasks.saw(["5"], {ONE: failed, TWO: RUNNING}, 1.0)
    assert tasks.to_explain(1.0) == [(ONE, failed)]
    tasks.explained(ONE, "NODE_FAIL", 1.0)
    assert tasks.next_decision(1.0) == 0.0
    assert tasks.ends(1.0) == [End(7, ONE, "node1", "NODE_FAIL", "relays-1.1")]
    tasks.saw(["5"], {ONE: failed, TWO: RUNNING}, 2.0)
    assert tasks.ends(2.0) == []
    assert tasks.next_decision(2.0) is None


def test_the_end_of_a_job_whose_tasks_are_not_told_apart_is_that_of_them_all() -> None:
    tasks = array()
    tasks.saw(["5"], {Task("5", WHOLE): Seen(Phase.ENDED, "CANCELLED")}, 1.0)
    assert [end.words for end in tasks.ends(1.0 + WHY_S)] == ["CANCELLED", "CANCELLED"]


def test_a_task_that_is_not_in_the_queue_any_more_has_ended_when_the_engine_says_why() -> None:
    tasks = array()
    tasks.saw(["5"], {ONE: RUNNING, TWO: RUNNING}, 0.0)
    see_gone(tasks, {TWO: RUNNING}, 1.0)
    assert tasks.ends(1.0) == []
    assert tasks.to_explain(1.0) == [(ONE, None)]
    assert tasks.to_explain(1.0) == []
    tasks.explained(ONE, "", 1.0)
    assert tasks.next_decision(1.0) == ASK_AGAIN_S
    assert tasks.to_explain(1.0 + ASK_AGAIN_S) == [(ONE, None)]
    tasks.explained(ONE, "exit status 3", 1.6)
    assert tasks.ends(1.6) == [End(7, ONE, "node1", "exit status 3", "relays-1.1")]
    assert tasks.ends(1.6) == []


def test_a_task_is_gone_when_two_answers_one_after_the_other_do_not_know_it() -> None:
    tasks = array()
    tasks.saw(["5"], {TWO: RUNNING}, 1.0)
    assert not tasks.is_urgent
    tasks.saw(["5"], {ONE: RUNNING, TWO: RUNNING}, 2.0)
    tasks.saw(["5"], {TWO: RUNNING}, 3.0)
    assert tasks.is_urgent
    assert tasks.to_explain(3.0) == []
    tasks.saw(["5"], {TWO: RUNNING}, 4.0)
    assert tasks.to_explain(4.0) == [(ONE, None)]


def test_an_end_that_is_not_explained_in_time_is_told_without() -> None:
    tasks = array()
    see_gone(tasks, {TWO: RUNNING}, 1.0)
    assert not tasks.is_urgent
    assert tasks.next_decision(1.0) == 0.0
    assert tasks.to_explain(1.0) == [(ONE, None)]
    assert tasks.next_decision(1.0) == WHY_S
    assert tasks.ends(1.0 + WHY_S) == [End(7, ONE, "", GONE, "relays-1.1")]


def test_the_last_word_of_a_task_that_is_ending_is_waited_for() -> None:
    tasks = array()
    ending = Seen(Phase.ENDING, "COMPLETING", "node1")
    tasks.saw(["5"], {ONE: ending, TWO: ending}, 1.0)
    assert tasks.is_urgent
    assert tasks.ends(1.0) == []
    assert tasks.next_decision(1.0) == ENDING_S
    tasks.saw(["5"], {ONE: Seen(Phase.ENDED, "FAILED", "node1"), TWO: ending}, 1.3)
    tasks.explained(ONE, "FAILED (exit status 1)", 1.3)
    assert [end.words for end in tasks.ends(1.3)] == ["FAILED (exit status 1)"]
    assert [end.words for end in tasks.ends(1.0 + ENDING_S)] == ["COMPLETING"]
    assert tasks.living_jobs() == []


def test_an_answer_says_nothing_of_jobs_that_were_not_asked_for() -> None:
    tasks = array()
    for now in (0.0, 1.0, 2.0):
        tasks.saw(["4"], {}, now)
        tasks.saw([], {}, now)
    assert tasks.living_jobs() == ["5"]
    assert tasks.ends(9.0) == []


# ---- lines


def test_as_long_as_its_line_is_there_a_relay_lives_whatever_the_queue_says() -> None:
    tasks = array()
    tasks.is_up(7)
    see_gone(tasks, {TWO: RUNNING}, 0.0)
    assert tasks.ends(WHY_S) == []
    assert tasks.to_explain(WHY_S) == [(ONE, None)]
    assert tasks.next_decision(WHY_S) is None
    tasks.line_is_cut(7, 9.0)
    assert tasks.ends(9.0) == [End(7, ONE, "", GONE, "relays-1.1")]


def test_one_that_is_cut_off_though_it_runs_for_the_queue_is_given_up_and_cancelled() -> None:
    tasks = array()
    tasks.saw(["5"], {ONE: RUNNING, TWO: RUNNING}, 1.0)
    tasks.is_up(7)
    tasks.line_is_cut(7, 100.0)
    assert tasks.is_urgent
    tasks.saw(["5"], {ONE: RUNNING, TWO: RUNNING}, 100.2)
    assert tasks.ends(100.2) == []
    assert tasks.next_decision(100.0) == CUT_S
    (end,) = tasks.ends(100.0 + CUT_S)
    assert (end.number, end.host) == (7, "node1")
    assert end.words.startswith("its line is cut, though in the queue it is RUNNING: the node, or the network")
    assert tasks.to_cancel() == [ONE]
    assert tasks.next_decision(102.0) is None
    assert not tasks.is_urgent


def test_why_a_line_was_cut_is_told_as_soon_as_the_queue_knows() -> None:
    tasks = array()
    tasks.is_up(7)
    tasks.line_is_cut(7, 100.0)
    tasks.saw(["5"], {ONE: Seen(Phase.ENDED, "TIMEOUT"), TWO: RUNNING}, 100.3)
    tasks.explained(ONE, "TIMEOUT (its time limit is reached)", 100.3)
    assert [end.words for end in tasks.ends(100.3)] == ["TIMEOUT (its time limit is reached)"]


def test_the_end_of_one_that_is_cut_is_not_explained_longer_than_others_wait() -> None:
    tasks = array()
    tasks.is_up(7)
    tasks.line_is_cut(7, 100.0)
    see_gone(tasks, {TWO: RUNNING}, 101.0)
    assert [end.words for end in tasks.ends(100.0 + CUT_S)] == [GONE]


# ---- cancelling


def test_a_task_that_can_never_run_is_explained_told_and_cancelled() -> None:
    tasks = array()
    failed = Seen(Phase.FAILED, "Eqw")
    tasks.saw(["5"], {ONE: failed, TWO: RUNNING}, 0.0)
    assert tasks.to_cancel() == []
    assert tasks.to_explain(0.0) == [(ONE, failed)]
    tasks.explained(ONE, "no such file", 0.1)
    assert tasks.ends(0.1) == [End(7, ONE, "", "no such file", "relays-1.1")]
    assert tasks.living_jobs() == ["5"]
    assert tasks.to_cancel() == [ONE]
    assert tasks.to_cancel() == []


def test_a_relay_that_nobody_wants_is_cancelled_once_and_its_end_is_not_told() -> None:
    tasks = array()
    tasks.unwant(7)
    tasks.unwant(7)
    tasks.unwant(99)
    assert tasks.to_cancel() == [ONE]
    assert tasks.to_cancel() == []
    assert tasks.open_jobs() == ["5"]
    see_gone(tasks, {TWO: RUNNING}, 0.0)
    assert tasks.to_explain(WHY_S) == []
    assert tasks.ends(WHY_S) == []
    tasks.unwant(8)
    assert tasks.to_cancel() == [TWO]
    assert tasks.living_jobs() == ["5"]
    see_gone(tasks, {}, 1.0)
    assert tasks.living_jobs() == []


# ---- several relays in a task


def test_a_job_with_several_relays_is_cancelled_when_none_of_them_is_wanted() -> None:
    tasks = spread()
    tasks.is_up(7)
    tasks.is_up(8)
    tasks.unwant(9)
    tasks.unwant(7)
    assert tasks.to_cancel() == []
    tasks.unwant(8)
    assert tasks.to_cancel() == [ONE]


def test_a_relay_that_is_cut_off_is_given_up_without_the_others_of_its_job() -> None:
    tasks = spread()
    for number in (7, 8, 9):
        tasks.is_up(number)
    tasks.line_is_cut(8, 1.0)
    assert [end.number for end in tasks.ends(1.0 + CUT_S)] == [8]
    assert tasks.to_cancel() == []


def test_a_job_says_itself_which_of_its_relays_have_ended() -> None:
    tasks = spread()
    assert tasks.open_outputs() == {"relays-1"}
    tasks.is_up(7)
    tasks.is_up(8)
    assert tasks.relay_ended(7, "early") == [], "its line is there yet"
    tasks.line_is_cut(7, 0.0)
    assert tasks.relay_ended(7, "no route to host") == [End(7, ONE, "", "no route to host", "relays-1.1")]
    assert tasks.relay_ended(7, "no route to host") == []
    see_gone(tasks, {}, 0.0)
    assert tasks.ends(WHY_S) == [End(9, ONE, "", GONE, "relays-1.1")]


# ---- the pace


def test_the_queue_is_not_asked_at_once_for_the_first_job_in_it() -> None:
    pace = Pace()
    now = 100.0
    pace.rest(now)
    pace.hurry(now)
    assert pace.due_in(now) == 1.0


def test_the_queue_is_asked_less_and_less_until_something_happens() -> None:
    pace = Pace()
    pauses = []
    now = 0.0
    for _ in range(12):
        now += pace.due_in(now)
        pace.was_asked(now)
        pauses.append(pace.due_in(now))
    assert pauses[:2] == [1.5, 2.25]
    assert pauses[-1] == 30.0
    pace.hurry(now)
    assert pace.due_in(now) == 1.0
    pace.hurry(now, 0.0)
    assert pace.due_in(now) == 0.0
    pace.was_asked(now, is_news=True)
    assert pace.due_in(now) == 1.0


def test_while_an_end_is_looked_for_the_queue_is_asked_again_and_again() -> None:
    pace = Pace()
    pace.was_asked(1.0, is_urgent=True)
    assert pace.due_in(1.0) == 0.25


# ---- nodes that are down, which the queue has not noticed yet

STARTING = Seen(Phase.STARTING, "starting", "node2")


def test_a_job_that_starts_for_ever_is_told_to_have_ended_and_cancelled() -> None:
    tasks = spread()
    tasks.saw(["5"], {ONE: STARTING}, 1.0)
    tasks.saw(["5"], {ONE: STARTING}, STUCK_S)
    assert tasks.ends(STUCK_S) == []
    assert tasks.to_cancel() == []
    tasks.saw(["5"], {ONE: STARTING}, 2.0 + STUCK_S)
    ends = tasks.ends(2.0 + STUCK_S)
    assert [end.number for end in ends] == [7, 8, 9]
    assert ends[0].words == "had been starting for 21 s: the node, or the network to it?"
    assert ends[0].host == "node2"
    assert tasks.to_cancel() == [ONE]


def test_one_whose_relay_is_up_has_begun_whatever_the_queue_said_last() -> None:
    tasks = spread()
    tasks.saw(["5"], {ONE: STARTING}, 1.0)
    tasks.is_up(7)
    tasks.saw(["5"], {ONE: STARTING}, 1.0 + STUCK_S)
    assert tasks.ends(1.0 + STUCK_S) == []


def test_the_next_job_may_start_for_twice_as_long_until_one_is_up() -> None:
    tasks = array()
    tasks.saw(["5"], {ONE: STARTING, TWO: PENDING}, 1.0)
    tasks.saw(["5"], {ONE: STARTING, TWO: STARTING}, 1.0 + STUCK_S)
    assert [end.number for end in tasks.ends(1.0 + STUCK_S)] == [7]
    tasks.saw(["5"], {TWO: STARTING}, 1.0 + 2 * STUCK_S)
    assert tasks.ends(1.0 + 2 * STUCK_S) == []
    tasks.saw(["5"], {TWO: STARTING}, 1.0 + 3 * STUCK_S)
    assert [end.number for end in tasks.ends(1.0 + 3 * STUCK_S)] == [8]
