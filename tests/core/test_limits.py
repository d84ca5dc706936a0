"""Time limits of items in jobs of several: the one that runs is known, and only it is guilty."""

from __future__ import annotations

import pytest

from tests.core.test_scheduler import given_up, sent, world
from tests.core.world import World
from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.commands import Cause


def chunk_of_five(**policy: object) -> World:
    return world(5, chunk_size=5, **{"item_timeout_s": 2.0, **policy})


def test_the_announced_item_is_guilty_and_the_rest_goes_back_unharmed_and_first() -> None:
    made = world(10, chunk_size=5, item_timeout_s=2.0)
    made.report(made.slaves[1], 2, running_s=0.3)
    made.tick(2.5)
    made.deliver_order()
    assert given_up(made) == {2: Cause.TIMEOUT}
    assert len(made.results) == 2
    slave = made.add_slave()
    assert list(made.positions[slave.jobs[0]]) == [3, 4, 5, 6, 7], "no suspects"
    made.finish()


def test_the_limit_counts_from_the_begin_of_the_item() -> None:
    made = chunk_of_five()
    made.tick(1.5)
    made.report(made.slaves[1], 2, running_s=1.2)
    assert made.scheduler.next_wakeup() == pytest.approx(made.now - 1.2 + 2.01)
    made.report(made.slaves[1], 1)
    assert made.scheduler.next_wakeup() == pytest.approx(made.now + 2.25), "what runs since when is not known"


def test_the_last_item_of_a_job_is_known_without_a_word() -> None:
    made = chunk_of_five()
    made.report(made.slaves[1], 4)
    assert made.scheduler.next_wakeup() == pytest.approx(made.now + 2.05)
    made.tick(2.1)
    made.deliver_order()
    assert given_up(made) == {4: Cause.TIMEOUT}
    made.verify_end()


def test_an_item_cannot_have_begun_before_its_job() -> None:
    made = chunk_of_five()
    made.tick(1.0)
    made.report(made.slaves[1], 0, running_s=1e9)
    assert not made.orders
    assert made.scheduler.next_wakeup() == pytest.approx(0.01 + 2.01)


def test_when_nothing_was_announced_the_rest_is_split() -> None:
    made = chunk_of_five()
    made.report(made.slaves[1], 2)
    made.tick(2.3)
    made.deliver_order()
    assert not made.given_up
    slave = made.add_slave()
    assert list(made.positions[slave.jobs[0]]) == [2]
    made.finish()
    assert len(made.results) == 5


def test_an_announcement_does_not_make_a_job_look_young() -> None:
    made = world(6, slaves=2, chunk_size=3, redistribute=True, item_timeout_s=60.0)
    made.done(made.slaves[2], seconds=0.03)
    for seconds in (0.25, 0.5, 0.75, 1.0):
        made.tick(0.25)
        made.report(made.slaves[1], 0, running_s=seconds)
    assert made.slaves[2].jobs, "it is late, and copied"


def test_a_part_with_failures_only_counts() -> None:
    made = chunk_of_five()
    made.tick(1.5)
    made.report(made.slaves[1], 2, failed=(0, 1))
    made.tick(1.5)
    assert not made.orders
    assert not made.given_up, "that comes with the end of the job"
    made.done(made.slaves[1])
    assert given_up(made) == {0: Cause.RAISED, 1: Cause.RAISED}
    made.verify_end()


def test_items_that_others_were_first_with_count_as_reported() -> None:
    made = world(6, slaves=3, chunk_size=6, redistribute=True)
    made.tick(1.5)
    assert list(made.positions[made.slaves[3].jobs[0]]) == [2, 1, 0]
    made.report(made.slaves[3], 1)
    made.report(made.slaves[1], 3)
    assert made.scheduler._jobs[1].left == 3
    made.report(made.slaves[1], 1)
    assert made.scheduler._jobs[1].left == 2
    made.done(made.slaves[1])
    made.verify_end()


def test_a_part_without_a_count_counts_what_was_finished() -> None:
    made = chunk_of_five()
    made.progress(made.slaves[1], (0, 1))
    made.handle(e.JobProgressed(1, 1, (), 0.1))
    assert made.scheduler._jobs[1].left == 3


@pytest.mark.parametrize("reported", [1, 6])
def test_a_job_cannot_be_through_with_fewer_items_than_before_or_more_than_it_has(reported: int) -> None:
    made = chunk_of_five()
    made.report(made.slaves[1], 2)
    with pytest.raises(Exception, match="through with 2 of 5 items"):
        made.handle(e.JobProgressed(1, 1, (), 0.1, reported, 0.1))
    made.scheduler.check()


def test_an_announced_item_that_another_has_finished_costs_nobody() -> None:
    made = world(4, slaves=3, chunk_size=4, redistribute=True, item_timeout_s=2.0)
    made.report(made.slaves[1], 1)
    made.tick(1.5)
    assert list(made.positions[made.slaves[3].jobs[0]]) == [1]
    made.report(made.slaves[1], 0, running_s=1.5)
    made.done(made.slaves[3])
    made.tick(0.6)
    while made.orders:
        made.deliver_order()
    assert not made.given_up
    made.finish()
    assert len(made.results) == 4


@pytest.mark.parametrize("running_s", [0.3, None])
def test_an_item_that_was_given_up_meanwhile_leaves_no_blame_to_its_neighbour(running_s: float | None) -> None:
    """Two slaves hang in item 0; the second, on which item 1 has failed before, is ended when 0 is given up already."""
    made = world(2, slaves=2, chunk_size=2, redistribute=True, item_timeout_s=2.0)
    made.tick(1.0)
    assert list(made.positions[made.slaves[2].jobs[0]]) == [1, 0]
    made.report(made.slaves[1], 0, running_s=1.0)
    made.report(made.slaves[2], 1, failed=[1], running_s=running_s)
    made.tick(1.1)
    made.deliver_order()
    assert given_up(made) == {0: Cause.TIMEOUT}
    made.tick(5.0)
    while made.orders:
        made.deliver_order()
    assert given_up(made) == {0: Cause.TIMEOUT}
    if not made.slaves:
        made.add_slave()
    made.finish()
    assert sorted(made.results) == [1]


def test_a_time_out_is_tried_again_as_often_as_an_item_that_raises() -> None:
    made = chunk_of_five(retries=1)
    for item_runs in range(2):
        slave = made.slaves[made.last_slave]
        while 2 not in made.positions[slave.jobs[0]]:
            made.done(slave)
        made.report(slave, (2, 0)[item_runs], running_s=0.3)
        made.tick(2.1)
        made.deliver_order()
        made.add_slave()
    assert made.given_up == {2: c.GiveUp(2, Cause.TIMEOUT, 2)}
    made.finish()


def test_raising_and_taking_too_long_count_together() -> None:
    made = world(1, retries=1, item_timeout_s=2.0)
    made.done(made.slaves[1], failed=(0,))
    made.tick(2.2)
    made.deliver_order()
    assert made.given_up == {0: c.GiveUp(0, Cause.TIMEOUT, 2)}


def test_the_order_to_stop_names_the_limit() -> None:
    one_by_one, at_once = chunk_of_five(), chunk_of_five(items_report=False)
    for made in (one_by_one, at_once):
        made.tick(10.1)
    assert one_by_one.orders[0] == c.StopSlave(1, "an item took longer than 2 s")
    assert at_once.orders[0] == c.StopSlave(1, "a job took longer than 10 s")


def test_in_go_mode_a_job_has_its_limit_times_its_items_and_is_split_then() -> None:
    made = chunk_of_five(items_report=False)
    made.tick(9.9)
    assert not made.orders
    made.tick(0.2)
    made.deliver_order()
    slave = made.add_slave()
    assert list(made.positions[slave.jobs[0]]) == [0]
    made.tick(1.9)
    assert not made.orders
    made.tick(0.2)
    made.deliver_order()
    assert given_up(made) == {0: Cause.TIMEOUT}
    made.add_slave()
    made.finish()


def test_a_master_that_was_held_up_looks_once_more_before_it_ends_anybody() -> None:
    made = world(6, slaves=2, chunk_size=3, item_timeout_s=2.0)
    made.tick_late(60.0)
    assert not made.orders
    made.tick(1.0)
    made.report(made.slaves[1], 1)
    made.tick(1.4)
    assert made.orders[0] == c.StopSlave(2, "an item took longer than 2 s")
    assert len(made.orders) == 1


def test_slaves_that_were_held_up_with_the_master_get_the_time_back_that_it_cost_them() -> None:
    made = chunk_of_five()
    made.report(made.slaves[1], 4)
    made.tick(1.0)
    made.tick_late(60.0)
    made.tick(1.5)
    assert not made.orders, "of two seconds, the item has had one before all were stopped"
    made.tick(1.5)
    made.deliver_order()
    assert given_up(made) == {4: Cause.TIMEOUT}


def test_a_master_that_is_a_little_late_gives_no_more_time_than_that() -> None:
    made = chunk_of_five()
    made.tick_late(2.3)
    made.tick(0.06)
    assert made.orders


def test_one_that_is_always_held_up_ends_the_slave_at_the_second_look() -> None:
    made = chunk_of_five()
    made.tick_late(60.0)
    made.tick_late(60.0)
    assert made.orders


def test_other_events_end_nobody() -> None:
    made = world(10, slaves=2, chunk_size=5, item_timeout_s=2.0)
    made.now += 60.0
    assert not any(isinstance(one, c.StopSlave) for one in made.handle(e.JobDone(1, 1, 60.0)))
    made.results.update(range(5))
    made.slaves[1].jobs.clear()
    made.finish()


def test_a_stopped_slave_gets_nothing_more_and_its_queued_jobs_go_to_others() -> None:
    made = world(20, item_timeout_s=1.0)
    made.done(made.slaves[1], seconds=0.01)
    assert len(made.slaves[1].jobs) == 2
    made.tick(1.1)
    assert sent(made.handle(e.HostEnabled("here"))) == []
    made.deliver_order()
    slave = made.add_slave()
    assert list(made.positions[slave.jobs[0]]) == [2]
    made.finish()


def test_copies_of_a_job_in_which_nobody_knows_what_hangs_end_with_it_and_its_items_go_one_by_one() -> None:
    """Else each new slave copies the copy on another, and is stuck as that one is."""
    made = world(4, slaves=2, chunk_size=4, redistribute=True, item_timeout_s=2.0)
    made.tick(1.5)
    assert list(made.positions[made.slaves[2].jobs[0]]) == [3, 2, 1, 0]
    made.tick(0.8)
    assert [order.slave for order in made.orders if isinstance(order, c.StopSlave)] == [1, 2]
    while made.orders:
        made.deliver_order()
    slave = made.add_slave()
    assert len(made.positions[slave.jobs[0]]) == 1
    made.finish()
    assert not made.given_up
    assert len(made.results) == 4


def test_a_job_behind_the_work_of_others_has_its_whole_limit_from_when_it_may_begin() -> None:
    made = chunk_of_five()
    made.now += 2.26
    assert not made.handle(e.Ticked({1: None})), "it cannot have begun"
    made.now += 2.26
    began_at = made.now - 1.0
    assert not made.handle(e.Ticked({1: began_at})), "it may have run for a second"
    assert made.scheduler.next_wakeup() == pytest.approx(began_at + 2.25)
    made.now = began_at + 2.25
    assert [type(one) for one in made.handle(e.Ticked({1: began_at}))] == [c.StopSlave]


def test_the_limit_counts_from_the_begin_of_an_item_though_its_forerunners_were_reported_later() -> None:
    """What is finished is reported now and then: that report may come long after the next item has begun."""
    made = world(5, slaves=1, chunk_size=5, item_timeout_s=2.0)
    made.now += 0.4
    made.report(made.slaves[1], 3)
    made.now += 0.05
    made.report(made.slaves[1], 0, running_s=0.3)
    assert made.scheduler.next_wakeup() == pytest.approx(made.now - 0.3 + 2.01)
