"""Tiny jobs go out and come back in rows; each stays a job of its own."""

from __future__ import annotations

import pytest

from tests.core.test_scheduler import sent, world
from tests.core.world import FakeSlave, World
from tracking.core import events as e
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler
from tracking.errors import InvalidTransition


def tiny(items: int = 1000, slaves: int = 1, **policy: object) -> tuple[World, FakeSlave]:
    """A world whose first slave holds a row of jobs that take no time, as far as is known."""
    made = world(items, slaves, **policy)
    slave = made.slaves[1]
    made.done(slave, seconds=1e-6)
    return made, slave


def test_a_slave_holds_a_row_of_tiny_jobs_each_with_a_number_of_its_own() -> None:
    made, slave = tiny()
    assert list(slave.jobs) == list(range(2, 66))
    assert [list(made.positions[job]) for job in slave.jobs] == [[position] for position in range(1, 65)]


def test_jobs_of_several_items_are_cut_from_what_is_next() -> None:
    made, slave = tiny(chunk_size=3)
    assert [list(made.positions[job]) for job in list(slave.jobs)[:2]] == [[3, 4, 5], [6, 7, 8]]


def test_what_came_back_in_a_row_is_made_up_for_in_a_row() -> None:
    made, slave = tiny()
    commands = made.done_row(slave, 40, seconds=40e-6)
    assert [positions for _, positions in sent(commands)] == [[position] for position in range(65, 105)]
    assert made.scheduler.items.count_finished == 41
    line = made.scheduler.ledger.snapshot()[0]
    assert (line.given, line.done, line.items) == (105, 41, 41)


def test_many_jobs_that_took_long_together_are_known_to_be_short() -> None:
    made, slave = tiny()
    made.done_row(slave, 64, seconds=64e-6)
    assert len(slave.jobs) == 64


def test_near_the_end_a_row_leaves_something_for_the_others() -> None:
    made, slave = tiny(20, slaves=2)
    assert len(slave.jobs) == 15, "20, less one done, one at the other slave, three left"
    assert made.scheduler.items.count_not_started == 3


def test_a_slave_that_has_few_jobs_left_gets_no_more_than_these() -> None:
    made = World(100, Policy(chunk_size=1))
    slave = made.add_slave(most_jobs=4)
    made.done(slave, seconds=1e-6)
    assert len(slave.jobs) == 3


def test_what_was_not_answered_of_a_row_when_the_slave_died_is_given_out_again_and_the_first_is_suspected() -> None:
    made, slave = tiny()
    made.done_row(slave, 10)
    left = [made.positions[job][0] for job in slave.jobs]
    made.lose(slave)
    other = made.add_slave()
    assert len(other.jobs) == 1, "something else first, to see whether the host works"
    made.done(other, seconds=1e-6)
    given = [made.positions[job][0] for job in other.jobs]
    assert given == left[:1], "alone"
    made.done(other, seconds=1e-6)
    assert [made.positions[job][0] for job in other.jobs][: len(left) - 1] == left[1:]


def test_an_answered_row_in_which_a_job_was_being_recalled_counts_all_the_same() -> None:
    made, slave = tiny()
    made.handle(e.SlaveRetired(slave.number))
    assert made.orders
    made.done_row(slave, 64)
    assert made.scheduler.items.count_finished == 65


def test_of_a_row_on_a_slave_that_was_silent_only_what_others_did_not_do_counts() -> None:
    made, slave = tiny(100, slaves=2, redistribute=True)
    made.fall_silent(slave)
    other = made.slaves[2]
    made.done(other, seconds=1e-6)
    made.done_row(other, 20)
    slave.is_silent = False
    made.done_row(slave, 64)
    made.finish()


def test_a_row_with_a_job_that_was_never_given_out_changes_nothing() -> None:
    made, slave = tiny()
    finished = made.scheduler.items.count_finished
    with pytest.raises(InvalidTransition):
        made.scheduler.handle(e.JobsDone([2, 3, 4711], slave.number, 0.001), made.now)
    with pytest.raises(InvalidTransition):
        made.scheduler.handle(e.JobsDone([2, 3], 99, 0.001), made.now)
    assert made.scheduler.items.count_finished == finished
    made.scheduler.check()


def test_a_row_that_comes_twice_counts_once() -> None:
    made, slave = tiny()
    row = e.JobsDone(list(slave.jobs)[:5], slave.number, 0.001)
    made.done_row(slave, 5)
    before = made.scheduler.items.count_finished
    made.handle(row)
    assert made.scheduler.items.count_finished == before


def test_the_story_of_an_item_in_a_row_is_as_of_any_other() -> None:
    made, slave = tiny()
    made.done_row(slave, 5)
    assert [fact.kind for fact in made.scheduler.story_of_item(3)] == ["given", "finished"]
    assert "JobsDone" in made.scheduler.story(4)[-1]


def test_the_story_does_not_grow_with_rows() -> None:
    made, slave = tiny(20_000)
    scheduler: Scheduler = made.scheduler
    for _ in range(200):
        numbers = list(scheduler.jobs_of_slave(slave.number))
        scheduler.handle(e.JobsDone(numbers, slave.number, 1e-5), made.now)
    assert sum(len(entry[2]) for entry in scheduler._story._entries) <= 4000


def test_a_job_of_a_row_that_was_not_sent_after_all_is_given_out_again() -> None:
    made, slave = tiny()
    job, position = slave.jobs[-1], made.positions[slave.jobs[-1]][0]
    made.handle(e.JobReturned(job, 1))
    assert made.scheduler.items.count(position) is None
    slave.jobs.remove(job)
    commands = made.done_row(slave, 40, seconds=40e-6)
    assert (position,) in [tuple(positions) for _, positions in sent(commands)]
