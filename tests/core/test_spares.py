"""The end of a calculation: idle slaves help the busy ones, and the first answer counts."""

from __future__ import annotations

import pytest

from benchmarks.simulation import uneven
from tests.core.test_scheduler import sent, world
from tests.core.world import World
from tracking.core import commands as c
from tracking.core import events as e


def late_copy(items: int = 4, **policy: object) -> World:
    """Slave 1 has been stuck with its first job for long, and slave 2 has done all others."""
    made = world(items, slaves=2, redistribute=True, **policy)
    while made.slaves[2].jobs and not made.scheduler.jobs_of_slave(1)[0] > 2:
        if 0 in made.positions[made.slaves[2].jobs[0]]:
            break
        made.done(made.slaves[2], seconds=0.01)
        if not made.slaves[2].jobs:
            made.tick(1.0)
    return made


def test_a_late_job_is_copied_to_an_idle_slave() -> None:
    made = late_copy()
    assert list(made.positions[made.slaves[2].jobs[0]]) == [0]
    assert made.scheduler.items.count(0) == 2


def test_the_first_answer_counts_and_the_loser_is_cancelled() -> None:
    made = late_copy()
    made.done(made.slaves[2])
    assert made.orders[0] == c.CancelJob(1, 1)
    assert made.finishes == 1
    assert not made.scheduler.wanted(1)
    made.verify_end()


def test_the_original_may_be_first() -> None:
    made = late_copy()
    copy = made.slaves[2].jobs[0]
    made.done(made.slaves[1])
    assert made.orders[0] == c.CancelJob(2, copy)
    made.verify_end()


def test_a_copy_covers_what_is_not_finished_and_is_cut_over_idle_slaves() -> None:
    made = world(8, slaves=3, redistribute=True, chunk_size=4)
    made.progress(made.slaves[1], (0,))
    made.done(made.slaves[2], seconds=0.04)
    assert not made.finishes
    made.tick(1.0)
    copies = sorted(tuple(made.positions[made.slaves[n].jobs[0]]) for n in (2, 3))
    assert copies == [(1,), (3, 2)]
    made.done(made.slaves[2])
    assert not made.finishes
    made.done(made.slaves[3])
    assert made.orders[0] == c.CancelJob(1, 1)
    made.verify_end()


def test_a_job_that_will_soon_be_done_is_not_copied() -> None:
    made = world(2, slaves=2, redistribute=True)
    made.done(made.slaves[1], seconds=0.02)
    assert not made.slaves[1].jobs
    made.done(made.slaves[2])
    made.verify_end()


def test_a_slave_known_to_be_slow_is_helped_at_once() -> None:
    made = world(6, slaves=2, redistribute=True)
    made.done(made.slaves[1], seconds=5.0)
    for _ in range(4):
        if 0 in made.positions[made.slaves[2].jobs[0]]:
            break
        made.done(made.slaves[2], seconds=0.01)
    held = made.positions[made.slaves[1].jobs[0]]
    assert list(made.positions[made.slaves[2].jobs[0]]) == list(held)


def test_with_nothing_measured_a_copy_is_made_after_a_growing_delay() -> None:
    made = world(1, slaves=3, redistribute=True)
    delays = []
    for slave in (2, 3):
        began = made.now
        while not made.slaves[slave].jobs:
            wakeup = made.scheduler.next_wakeup()
            assert wakeup is not None
            made.tick(wakeup - made.now)
        delays.append(made.now - began)
    assert 0.5 < delays[0] < 1.5
    assert delays[1] > 1.5 * delays[0]


def test_without_redistribution_nobody_is_given_a_copy() -> None:
    made = world(2, slaves=2)
    made.done(made.slaves[2], seconds=0.01)
    for _ in range(50):
        made.tick(10.0)
    assert not made.slaves[2].jobs
    made.finish()


def queued_behind(redistribute: bool) -> World:
    """Slave 1 has two jobs, and slave 2 has just done the last other one."""
    made = world(4, slaves=1, redistribute=redistribute)
    made.done(made.slaves[1], seconds=0.04)
    assert len(made.slaves[1].jobs) == 2
    made.add_slave()
    made.done(made.slaves[2], seconds=0.04)
    return made


@pytest.mark.parametrize("redistribute", [True, False])
def test_a_recalled_job_goes_to_the_idle_slave(redistribute: bool) -> None:
    made = queued_behind(redistribute)
    assert made.orders[0] == c.RecallJob(1, 3)
    made.deliver_order()
    assert list(made.positions[made.slaves[2].jobs[0]]) == [2]
    made.finish()


def test_an_idle_slave_gets_what_nobody_works_on_before_a_copy_of_what_is_stuck() -> None:
    made = world(4, slaves=1, redistribute=True)
    made.done(made.slaves[1], seconds=0.04)
    made.add_slave()
    made.tick(2.0)  # slave 1 is stuck
    made.done(made.slaves[2], seconds=0.04)
    assert made.orders[0] == c.RecallJob(1, 3)
    assert not made.slaves[2].jobs
    made.deliver_order()
    assert list(made.positions[made.slaves[2].jobs[0]]) == [2]
    made.done(made.slaves[2], seconds=0.04)
    assert list(made.positions[made.slaves[2].jobs[0]]) == [1], "now it may have the copy"
    made.finish()


def test_a_recalled_job_that_had_begun_meanwhile_is_simply_done() -> None:
    made = queued_behind(redistribute=False)
    made.done(made.slaves[1], seconds=0.02)
    made.deliver_order()
    assert not made.slaves[2].jobs
    made.done(made.slaves[1], seconds=0.02)
    made.verify_end()


def test_a_recalled_job_that_does_not_come_back_is_copied_if_that_is_allowed() -> None:
    frozen, patient = queued_behind(redistribute=True), queued_behind(redistribute=False)
    for made in (frozen, patient):
        for _ in range(6):
            made.tick(0.1)
    assert frozen.slaves[2].jobs
    assert not patient.slaves[2].jobs


def test_everything_on_a_frozen_slave_is_done_by_another() -> None:
    made = queued_behind(redistribute=True)
    for _ in range(100):
        if made.finishes:
            break
        if made.slaves[2].jobs:
            made.done(made.slaves[2], seconds=0.02)
        else:
            made.tick(0.1)
    assert made.now < 3.0
    made.verify_end()


def test_when_the_slave_of_a_copy_dies_the_original_goes_on() -> None:
    made = late_copy()
    made.lose(made.slaves[2])
    assert not made.given_up
    made.done(made.slaves[1])
    made.verify_end()


def test_when_the_slave_of_the_original_dies_the_copy_goes_on() -> None:
    made = late_copy()
    made.lose(made.slaves[1])
    made.add_slave()
    assert not made.slaves[3].jobs
    made.done(made.slaves[2])
    made.verify_end()


def test_deaths_of_copies_count_and_the_original_is_cancelled_when_its_item_is_given_up() -> None:
    made = late_copy()
    made.lose(made.slaves[2])
    made.add_slave()
    for _ in range(50):
        if made.slaves[3].jobs:
            break
        made.tick(0.5)
    made.lose(made.slaves[3])
    assert made.given_up[0].cause is c.Cause.KILLED_SLAVE
    assert made.orders[-1] == c.CancelJob(1, 1)
    made.verify_end()


def test_an_item_that_raises_on_its_copy_is_given_up_for_the_original_too() -> None:
    made = late_copy()
    made.done(made.slaves[2], failed=(0,))
    assert made.orders[0] == c.CancelJob(1, 1)
    made.verify_end()


def test_a_cancelled_slave_gets_nothing_before_its_answer_has_come() -> None:
    made = World(2, late_copy().scheduler.policy, open_ended=True)
    made.add_slave()
    made.add_slave()
    made.done(made.slaves[2], seconds=0.01)
    made.tick(1.0)
    made.done(made.slaves[2], seconds=0.01)
    assert made.orders[0] == c.CancelJob(1, 1)
    assert sent(made.handle(e.ItemsAdded(5)))[0][0] == 2
    assert list(made.slaves[1].jobs) == [1]
    made.answer(e.JobDone(1, 1, 3.0))
    assert made.slaves[1].jobs
    made.handle(e.ItemsClosed())
    made.finish()


@pytest.mark.parametrize("chunk_size", [1, "auto"])
def test_one_slave_fifty_times_slower_costs_the_time_of_one_item(chunk_size: int | str) -> None:
    assert uneven(chunk_size).simulated_s < 0.4  # type: ignore[arg-type]


def test_copies_of_one_item_become_rarer_and_rarer() -> None:
    made = world(1, slaves=100, redistribute=True)
    made.tick(1000.0)
    copies = sum(len(slave.jobs) for slave in made.slaves.values())
    assert 2 <= copies <= 12
    made.done(made.slaves[1])
    assert len(made.orders) == copies - 1
    assert all(isinstance(order, c.CancelJob) for order in made.orders), "losers are stopped at once"


def test_a_job_of_many_items_is_copied_to_a_bounded_number_of_slaves_at_once() -> None:
    made = world(100, slaves=100, redistribute=True, chunk_size=100)
    made.tick(1.2)
    assert sum(len(slave.jobs) for slave in made.slaves.values()) == 1 + 15
    assert made.scheduler.items.count(57) == 2
    made.finish()


def test_a_loser_is_stopped_as_soon_as_its_items_are_reported_by_others() -> None:
    made = world(2, slaves=2, redistribute=True, chunk_size=2)
    made.tick(1.2)
    copy = made.slaves[2].jobs[0]
    made.report(made.slaves[1], 2)
    assert made.orders[0] == c.CancelJob(2, copy)
    made.done(made.slaves[1])
    made.verify_end()


def test_copies_begin_at_the_end_of_a_job_so_that_what_it_is_stuck_in_comes_last() -> None:
    made = world(8, slaves=2, redistribute=True, chunk_size=4)
    made.report(made.slaves[1], 1, running_s=0.3)
    made.done(made.slaves[2], seconds=0.04)
    made.tick(1.0)
    assert tuple(made.positions[made.slaves[2].jobs[0]]) == (3, 2, 1)


def test_where_nothing_may_be_copied_a_slave_with_one_job_is_not_watched() -> None:
    made = world(3, slaves=2)
    made.done(made.slaves[1], seconds=0.1)
    assert made.slaves[2].jobs
    made.done(made.slaves[1], seconds=0.1)
    assert made.scheduler.next_wakeup() is None, "no timer for a call that has the pool to itself"
    made.finish()
