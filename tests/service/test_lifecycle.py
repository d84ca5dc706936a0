"""Lives of jobs, as lists of what happened."""

from __future__ import annotations

import pytest

from tracking.errors import InvalidTransition
from tracking.service.lifecycle import Do, Done, Event, Failed, Life, Outcome, State, Stopped, Submitted

OOPS = ValueError("oops")


def lived(*events: Event) -> tuple[Life, list[Do]]:
    life = Life()
    return life, [life.handle(event) for event in events]


def test_a_job_that_completes() -> None:
    life, done = lived(Submitted(), Done(), Done(), Done(), Done(), Done(value=None), Done())
    assert done == [Do.CHECK_REQUEST, Do.FILL_IN, Do.TELL_STARTED, Do.PREPARE, Do.RUN, Do.CLEAN_UP, Do.END]
    assert (life.state, life.outcome, life.value) == (State.ENDED, Outcome.COMPLETED, None)


def test_one_that_goes_on_is_restored_and_neither_filled_in_nor_prepared() -> None:
    _, done = lived(Submitted(is_resumed=True), Done(), Done(), Done(), Done(value=1), Done())
    assert done == [Do.CHECK_STATE, Do.TELL_STARTED, Do.RESTORE, Do.RUN, Do.CLEAN_UP, Do.END]


@pytest.mark.parametrize("events", [[Submitted(), Failed(OOPS)], [Submitted(), Done(), Failed(OOPS)]])
def test_what_is_refused_is_not_started(events: list[Event]) -> None:
    life, done = lived(*events)
    assert (life.state, done[-1]) == (State.REFUSED, Do.NOTHING)
    with pytest.raises(InvalidTransition):
        life.handle(Done())


def test_aborted_before_the_start_it_is_neither_prepared_nor_cleaned_up() -> None:
    life, done = lived(Submitted(), Done(), Done(), Done(is_aborted=True))
    assert done[-2:] == [Do.TELL_STARTED, Do.END]
    assert life.outcome is Outcome.ABORTED


def test_aborted_while_it_was_prepared_it_does_not_run_but_is_cleaned_up() -> None:
    life, done = lived(Submitted(), Done(), Done(), Done(), Done(is_aborted=True), Done())
    assert done[-3:] == [Do.PREPARE, Do.CLEAN_UP, Do.END]
    assert life.outcome is Outcome.ABORTED


@pytest.mark.parametrize(("event", "outcome"), [(Stopped(), Outcome.ABORTED), (Failed(OOPS), Outcome.FAILED)])
@pytest.mark.parametrize("runs", [False, True])
def test_whatever_ends_it_once_it_was_prepared_it_is_cleaned_up(event: Event, outcome: Outcome, runs: bool) -> None:
    life, done = lived(Submitted(), Done(), Done(), Done(), *([Done()] if runs else []), event, Done())
    assert done[-2:] == [Do.CLEAN_UP, Do.END]
    assert life.outcome is outcome
    assert life.error is (OOPS if outcome is Outcome.FAILED else None)


@pytest.mark.parametrize("event", [Failed(OOPS), Stopped(), Done(is_aborted=True)])
def test_what_cleanup_does_changes_no_outcome(event: Event) -> None:
    life, done = lived(Submitted(), Done(), Done(), Done(), Done(), Done(value=5), event)
    assert (done[-1], life.outcome, life.value, life.error) == (Do.END, Outcome.COMPLETED, 5, None)


def test_an_abort_that_run_did_not_see_does_not_take_its_result_away() -> None:
    life, _ = lived(Submitted(), Done(), Done(), Done(), Done(), Done(is_aborted=True, value=5), Done())
    assert (life.outcome, life.value) == (Outcome.COMPLETED, 5)


def test_a_job_is_submitted_once() -> None:
    with pytest.raises(InvalidTransition):
        lived(Submitted(), Submitted())
