"""What a ready state does, by lists of how things are."""

from __future__ import annotations

from tests.service.services import Steer
from tracking.service.readiness import Backlog, Clocks, ReadyTurn, Seen, Step

ALL = frozenset({Step.IMPROVED, Step.PROGRESS, Step.CHECKPOINT})


def steps(*seen: Seen) -> list[Step]:
    turn = ReadyTurn()
    return [turn.next(one) for one in seen]


def test_the_steps_come_in_their_order_where_they_are_due() -> None:
    assert steps(Seen(has_message=True), Seen(due=ALL), Seen(due=ALL), Seen(due=ALL), Seen(due=ALL)) == [
        Step.HANDLE, Step.IMPROVED, Step.PROGRESS, Step.CHECKPOINT, Step.DONE,
    ]  # fmt: skip
    assert steps(Seen(due=frozenset({Step.CHECKPOINT})), Seen()) == [Step.CHECKPOINT, Step.DONE]
    assert steps(Seen()) == [Step.DONE]


def test_a_checkpoint_that_gave_none_is_due_but_not_asked_for_twice_in_one_ready_state() -> None:
    due = Seen(due=frozenset({Step.CHECKPOINT}))
    assert steps(due, due) == [Step.CHECKPOINT, Step.DONE]
    assert steps(due) == [Step.CHECKPOINT]


def test_a_pause_is_waited_for_after_the_queue_and_messages_are_handled_meanwhile() -> None:
    paused, message = Seen(is_paused=True, due=ALL), Seen(is_paused=True, has_message=True)
    found = steps(message, paused, message, paused, Seen())
    assert found == [Step.HANDLE, Step.WAIT, Step.HANDLE, Step.WAIT, Step.DONE]


def test_an_abort_ends_a_pause_and_comes_before_all_that_is_due_but_after_the_queue() -> None:
    assert steps(Seen(has_message=True, is_aborted=True), Seen(is_aborted=True, is_paused=True, due=ALL)) == [
        Step.HANDLE, Step.RAISE,
    ]  # fmt: skip


# ---- the queue


def test_a_ready_state_handles_those_that_are_there_when_it_begins_in_their_order() -> None:
    one, two, late = Steer(), Steer(), Steer()
    backlog = Backlog()
    backlog.put(one)
    backlog.put(two)
    backlog.begin_turn()
    backlog.put(late)
    assert [backlog.take(), backlog.take()] == [one, two]
    assert not backlog.has_admitted()
    backlog.begin_turn()
    assert backlog.take() is late


def test_a_message_that_the_computation_queues_again_waits_for_the_next_ready_state_in_a_pause_too() -> None:
    one, late = Steer(), Steer()
    backlog = Backlog()
    backlog.put(one)
    backlog.begin_turn()
    backlog.put(backlog.take(), is_own=True)
    backlog.put(late)
    backlog.admit_newcomers()
    assert backlog.take() is late
    backlog.admit_newcomers()
    assert not backlog.has_admitted()
    assert len(backlog) == 1
    backlog.begin_turn()
    assert backlog.take() is one


def test_what_was_queued_first_is_handled_first_whoever_has_queued_it() -> None:
    first, second = Steer(), Steer()
    backlog = Backlog()
    backlog.put(first, is_own=True)
    backlog.put(second)
    backlog.begin_turn()
    assert [backlog.take(), backlog.take()] == [first, second]


# ---- when

DELTAS = {Step.IMPROVED: 0.0, Step.PROGRESS: 5.0, Step.CHECKPOINT: 60.0}


def test_progress_and_states_are_due_so_long_after_the_start_improvements_at_once() -> None:
    clocks = Clocks(100.0)
    assert clocks.due(DELTAS, 100.0) == {Step.IMPROVED}
    assert clocks.due(DELTAS, 105.0) == {Step.IMPROVED, Step.PROGRESS}
    assert clocks.due(DELTAS, 160.0) == ALL


def test_what_was_done_is_due_so_long_after_that() -> None:
    clocks = Clocks(100.0)
    clocks.restart(Step.CHECKPOINT, 170.0)
    assert Step.CHECKPOINT not in clocks.due(DELTAS, 229.0)
    assert Step.CHECKPOINT in clocks.due(DELTAS, 230.0)


def test_improvements_too_may_be_held_apart() -> None:
    clocks = Clocks(0.0)
    assert Step.IMPROVED in clocks.due({Step.IMPROVED: 5.0}, 0.0)  # the first one never waits
    clocks.restart(Step.IMPROVED, 0.0)
    assert clocks.due({Step.IMPROVED: 5.0}, 4.9) == frozenset()
