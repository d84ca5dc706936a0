"""What is known of relays in a queue, and what is done about it."""

from __future__ import annotations

from tracking.fabrics.queue_tasks import ASK_AGAIN_S, WHY_S, End, Pace, Phase, Seen, Task, Tasks

ONE, TWO = Task("5", 1), Task("5", 2)
PENDING, RUNNING = Seen(Phase.PENDING, "Resources"), Seen(Phase.RUNNING, "r", "node1")


def array() -> Tasks:
    tasks = Tasks()
    tasks.ordered("first", [7, 8])
    tasks.submitted("first", {ONE: [7], TWO: [8]})
    return tasks


def spread() -> Tasks:
    tasks = Tasks()
    tasks.ordered("first", [7, 8, 9])
    tasks.submitted("first", {ONE: [7, 8, 9]})
    return tasks


def test_relays_that_are_refused_have_ended() -> None:
    tasks = Tasks()
    tasks.ordered("first", [7, 8])
    tasks.unwant(8)
    assert tasks.refused("first") == [7]


def test_the_queue_is_asked_until_all_relays_are_up() -> None:
    tasks = array()
    assert tasks.open_jobs() == ["5"]
    tasks.is_up(7)
    assert tasks.open_jobs() == ["5"]
    tasks.is_up(8)
    assert tasks.open_jobs() == []
    tasks.line_is_cut(7)
    assert tasks.open_jobs() == ["5"]


def test_what_is_pending_is_said_with_its_reasons() -> None:
    tasks = array()
    assert tasks.waiting_for() == ""
    tasks.saw(["5"], {ONE: PENDING, TWO: PENDING}, 0.0)
    assert tasks.waiting_for() == "2 pending: Resources"
    tasks.saw(["5"], {ONE: PENDING, TWO: RUNNING}, 0.0)
    assert tasks.waiting_for() == "1 pending: Resources"
    tasks.is_up(7)
    assert tasks.waiting_for() == "", "the line is faster than the queue"


def test_a_task_that_is_not_in_the_queue_any_more_has_ended_when_the_engine_says_why() -> None:
    tasks = array()
    tasks.saw(["5"], {ONE: RUNNING, TWO: RUNNING}, 0.0)
    tasks.saw(["5"], {TWO: RUNNING}, 1.0)
    assert tasks.ends(1.0) == []
    assert tasks.to_explain(1.0) == [(ONE, None)]
    assert tasks.to_explain(1.0) == []
    tasks.explained(ONE, "", 1.0)
    assert tasks.next_decision(1.0) == ASK_AGAIN_S
    assert tasks.to_explain(1.0 + ASK_AGAIN_S) == [(ONE, None)]
    tasks.explained(ONE, "exit status 3", 1.6)
    assert tasks.ends(1.6) == [End(7, ONE, "node1", "exit status 3")]
    assert tasks.ends(1.6) == []


def test_an_end_that_is_not_explained_in_time_is_told_without() -> None:
    tasks = array()
    tasks.saw(["5"], {TWO: RUNNING}, 1.0)
    assert tasks.ends(1.0 + WHY_S) == [End(7, ONE, "", "")]


def test_jobs_that_were_not_asked_for_have_not_ended() -> None:
    tasks = array()
    tasks.saw(["4"], {}, 0.0)
    tasks.saw([], {}, 0.0)
    assert tasks.living() == [ONE, TWO]


def test_as_long_as_its_line_is_there_a_relay_lives_whatever_the_queue_says() -> None:
    tasks = array()
    tasks.is_up(7)
    tasks.saw(["5"], {TWO: RUNNING}, 0.0)
    assert tasks.ends(WHY_S) == []
    assert tasks.next_decision(WHY_S) is None or tasks.to_explain(WHY_S)
    tasks.line_is_cut(7)
    assert tasks.ends(WHY_S) == [End(7, ONE, "", "")]


def test_a_task_that_can_never_run_is_explained_told_and_cancelled() -> None:
    tasks = array()
    failed = Seen(Phase.FAILED, "Eqw")
    tasks.saw(["5"], {ONE: failed, TWO: RUNNING}, 0.0)
    assert tasks.to_cancel() == []
    assert tasks.to_explain(0.0) == [(ONE, failed)]
    tasks.explained(ONE, "no such file", 0.1)
    assert tasks.ends(0.1) == [End(7, ONE, "", "no such file")]
    assert tasks.living() == [ONE, TWO]
    assert tasks.to_cancel() == [ONE]
    assert tasks.living() == [TWO]


def test_a_relay_that_nobody_wants_is_cancelled_once_and_its_end_is_not_told() -> None:
    tasks = array()
    tasks.unwant(7)
    assert tasks.to_cancel() == [ONE]
    assert tasks.to_cancel() == []
    assert tasks.open_jobs() == ["5"]
    tasks.saw(["5"], {TWO: RUNNING}, 0.0)
    assert tasks.to_explain(WHY_S) == []
    assert tasks.ends(WHY_S) == []
    assert tasks.living() == [TWO]


def test_what_is_not_wanted_before_it_is_submitted_is_cancelled_then() -> None:
    tasks = Tasks()
    tasks.ordered("first", [7, 8])
    tasks.unwant(7)
    assert tasks.to_cancel() == []
    tasks.submitted("first", {ONE: [7], TWO: [8]})
    assert tasks.to_cancel() == [ONE]


def test_a_job_with_several_relays_is_cancelled_when_none_of_them_is_wanted() -> None:
    tasks = spread()
    tasks.is_up(7)
    tasks.is_up(8)
    tasks.unwant(9)
    tasks.unwant(7)
    assert tasks.to_cancel() == []
    tasks.unwant(8)
    assert tasks.to_cancel() == [ONE]


def test_a_job_says_itself_which_of_its_relays_have_ended() -> None:
    tasks = spread()
    tasks.is_up(7)
    tasks.is_up(8)
    assert tasks.relay_ended(7, "early") == [], "its line is there yet"
    tasks.line_is_cut(7)
    assert tasks.relay_ended(7, "no route to host") == [End(7, ONE, "", "no route to host")]
    assert tasks.relay_ended(7, "no route to host") == []
    tasks.saw(["5"], {}, 0.0)
    assert tasks.ends(WHY_S) == [End(9, ONE, "", "")]


def test_the_queue_is_not_asked_at_once_for_the_first_job_in_it() -> None:
    pace = Pace()
    now = 100.0
    pace.rest(now)
    pace.hurry(now)
    assert pace.due_in(now) == 0.5


def test_the_queue_is_asked_less_and_less_until_something_happens() -> None:
    pace = Pace()
    pauses = []
    now = 0.0
    for _ in range(12):
        now += pace.due_in(now)
        pace.was_asked(now)
        pauses.append(pace.due_in(now))
    assert pauses[:2] == [0.5, 0.75]
    assert pauses[-1] == 15.0
    pace.hurry(now)
    assert pace.due_in(now) == 0.5
