"""Slaves that do not answer: others do what they hold, too, and whoever is first counts."""

from __future__ import annotations

import pytest

from tests.core.test_scheduler import given_up, sent, world
from tests.core.world import World
from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.commands import Cause


def held(made: World, number: int) -> list[list[int]]:
    return [list(made.positions[job]) for job in made.slaves[number].jobs]


def silent(items: int = 20, slaves: int = 2, **policy: object) -> World:
    """Slave 1 does not answer; it has a running job, and one or more queued."""
    made = world(items, slaves, **{"redistribute": True, "chunk_size": 2, **policy})
    made.done(made.slaves[1], seconds=0.02)
    made.fall_silent(made.slaves[1])
    return made


def test_what_a_silent_slave_holds_is_given_to_others_before_anything_else() -> None:
    made = silent()
    assert held(made, 1) == [[4, 5], [6, 7]]
    assert held(made, 2) == [[2, 3]]
    made.done(made.slaves[2], seconds=1.0)
    assert held(made, 2) == [[4, 5]]
    made.done(made.slaves[2], seconds=1.0)
    assert held(made, 2) == [[6, 7]]
    made.finish()


def test_it_goes_to_an_idle_slave_at_once() -> None:
    made = world(1, slaves=2, redistribute=True)
    assert sent(made.handle(e.SlaveSilent(1))) == [(2, [0])]


def test_a_silent_slave_whose_answer_comes_all_the_same_gets_nothing_before_it_is_heard() -> None:
    made = world(2, slaves=1, redistribute=True)
    made.fall_silent(made.slaves[1])
    made.done(made.slaves[1])
    assert not made.slaves[1].jobs
    made.be_heard(made.slaves[1])
    made.done(made.slaves[1])
    made.verify_end()


def test_an_idle_slave_that_is_silent_gets_nothing_before_it_is_heard() -> None:
    made = World(0, world(0).scheduler.policy, open_ended=True)
    slave = made.add_slave()
    made.fall_silent(slave)
    assert made.handle(e.ItemsAdded(1)) == ()
    assert made.scheduler.usable_slaves == 0
    made.be_heard(slave)
    assert slave.jobs
    made.handle(e.ItemsClosed())
    made.finish()


def test_a_late_answer_counts_and_those_who_work_on_it_are_stopped() -> None:
    made = world(1, slaves=2, redistribute=True)
    made.fall_silent(made.slaves[1])
    copy = made.slaves[2].jobs[0]
    made.be_heard(made.slaves[1])
    made.done(made.slaves[1])
    assert made.orders[0] == c.CancelJob(2, copy)
    made.verify_end()


def test_a_late_answer_counts_also_for_what_still_waits() -> None:
    made = silent()
    made.done(made.slaves[1])
    assert {4, 5} <= set(made.results)
    made.finish()


def test_the_silent_slave_is_the_loser_when_another_is_first() -> None:
    made = world(1, slaves=2, redistribute=True)
    made.fall_silent(made.slaves[1])
    made.done(made.slaves[2])
    assert made.orders[0] == c.CancelJob(1, 1)
    made.verify_end()


def test_one_that_is_heard_keeps_what_nobody_else_has_begun() -> None:
    made = silent()
    assert made.scheduler.items.count_not_started == 16
    made.be_heard(made.slaves[1])
    assert made.scheduler.items.count_not_started == 12
    for _ in range(2):
        made.done(made.slaves[1])
    assert set(made.results) == {0, 1, 4, 5, 6, 7}
    assert held(made, 2) == [[2, 3]]
    made.finish()


@pytest.mark.parametrize("on_purpose", [True, False])
def test_what_waits_when_the_silent_slave_is_lost_is_not_queued_twice(on_purpose: bool) -> None:
    made = silent()
    made.lose(made.slaves[1], on_purpose=on_purpose)
    made.finish()


def test_a_silent_slave_that_dies_makes_its_items_suspects_though_they_wait() -> None:
    made = silent(chunk_size=1)
    made.lose(made.slaves[1])
    assert made.scheduler.waiting_for(made.now).suspects == 1
    made.finish()


def test_an_item_that_silences_and_kills_its_slaves_is_given_up() -> None:
    made = world(1, slaves=1, redistribute=True)
    for _ in range(2):
        slave = made.slaves[made.last_slave]
        made.fall_silent(slave)
        made.lose(slave)
        made.add_slave()
    assert given_up(made) == {0: c.Cause.KILLED_SLAVE}


def test_when_the_stand_in_dies_its_items_go_to_a_third() -> None:
    made = world(2, slaves=2, redistribute=True, chunk_size=2)
    made.fall_silent(made.slaves[1])
    assert held(made, 2) == [[0, 1]]
    made.lose(made.slaves[2], on_purpose=True)
    made.add_slave()
    assert held(made, 3) == [[0, 1]]
    made.be_heard(made.slaves[1])
    made.done(made.slaves[1])
    assert made.orders[0].slave == 3  # type: ignore[union-attr]
    made.verify_end()


def test_what_silences_a_second_slave_is_cut_so_that_it_is_found_alone() -> None:
    made = world(4, slaves=1, redistribute=True, chunk_size=4)
    made.fall_silent(made.slaves[1])
    made.add_slave()
    assert held(made, 2) == [[0, 1, 2, 3]]
    made.fall_silent(made.slaves[2])
    made.add_slave()
    assert held(made, 3)[0] == [0]
    made.finish()


def test_an_item_that_silences_every_slave_does_not_take_them_from_the_others() -> None:
    made = world(30, slaves=2, redistribute=True)
    for _ in range(200):
        busy = [slave for slave in made.slaves.values() if slave.jobs and not slave.is_silent]
        if len(made.results) == 29 or not busy:
            break
        if 7 in made.positions[busy[0].jobs[0]]:
            made.fall_silent(busy[0])
        else:
            made.done(busy[0])
        if sum(slave.is_silent for slave in made.slaves.values()) == 1 and len(made.slaves) == 2:
            made.add_slave()
    assert len(made.results) == 29
    made.finish()


def test_with_all_slaves_silent_there_is_nothing_to_do_but_wait() -> None:
    made = world(4, slaves=2, redistribute=True, chunk_size=1)
    for slave in list(made.slaves.values()):
        made.fall_silent(slave)
    assert made.scheduler.next_wakeup() is None
    assert made.scheduler.usable_slaves == 0
    made.be_heard(made.slaves[2])
    made.finish()


def test_a_silent_slave_is_not_blamed_for_the_time_it_was_stopped() -> None:
    made = world(2, slaves=2, redistribute=True, item_timeout_s=5.0)
    made.fall_silent(made.slaves[1])
    made.done(made.slaves[2], seconds=0.1)
    assert held(made, 2) == [[0]]
    made.tick(2.0)
    made.be_heard(made.slaves[1])
    made.tick(2.5)
    assert not made.orders
    made.done(made.slaves[2])
    made.verify_end()


def test_one_that_stays_silent_beyond_the_limit_is_ended_and_its_item_is_a_suspect() -> None:
    made = world(1, slaves=1, redistribute=True, item_timeout_s=5.0)
    for _ in range(2):
        slave = made.slaves[made.last_slave]
        made.fall_silent(slave)
        made.tick(5.1)
        assert isinstance(made.orders[0], c.StopSlave)
        made.deliver_order()
        if not made.finishes:
            made.add_slave()
    assert given_up(made) == {0: c.Cause.KILLED_SLAVE}


def test_without_redistribution_it_is_ended_first_so_that_no_item_is_on_two_slaves() -> None:
    made = world(4, slaves=2, chunk_size=1)
    made.fall_silent(made.slaves[1])
    assert isinstance(made.orders[0], c.StopSlave)
    assert held(made, 2) == [[1]]
    made.deliver_order()
    made.done(made.slaves[2])
    assert held(made, 2)[0] == [0], "unharmed, and first"
    made.finish()


def test_without_redistribution_one_that_is_being_ended_is_not_told_again() -> None:
    made = world(1, slaves=1, item_timeout_s=1.0)
    made.tick(1.1)
    made.fall_silent(made.slaves[1])
    assert len(made.orders) == 1
    made.deliver_order()
    made.add_slave()
    made.finish()


def test_without_redistribution_an_idle_silent_slave_is_left_alone() -> None:
    made = world(0, slaves=1)
    assert made.handle(e.SlaveSilent(1)) == ()


def test_news_of_unknown_slaves_and_old_news_are_none() -> None:
    made = world(1, slaves=2, redistribute=True)
    assert made.handle(e.SlaveSilent(99)) == ()
    assert made.handle(e.SlaveHeard(99)) == ()
    assert made.handle(e.SlaveHeard(1)) == ()
    made.fall_silent(made.slaves[1])
    assert made.handle(e.SlaveSilent(1)) == ()
    made.finish()


def test_nobody_is_asked_for_what_a_silent_slave_has_queued() -> None:
    made = silent(items=6)
    made.add_slave()
    made.tick(10.0)
    assert not any(isinstance(order, c.RecallJob) for order in made.orders)
    made.finish()


def test_an_item_that_freezes_whoever_has_it_is_given_up_when_two_were_ended_for_that() -> None:
    made = world(1, slaves=1, redistribute=True, item_timeout_s=60.0)
    for number in range(1, 5):
        if made.finishes:
            break
        made.add_slave()
        made.fall_silent(made.slaves[number])
        made.lose(made.slaves[number], on_purpose=True)
    assert given_up(made) == {0: Cause.KILLED_SLAVE}


def test_a_silent_slave_that_is_ended_for_the_work_of_others_costs_our_item_nothing() -> None:
    made = world(1, slaves=1, redistribute=True, max_deaths=1)
    made.fall_silent(made.slaves[1])
    made.lose(made.slaves[1], on_purpose=True, is_known=False)
    made.add_slave()
    assert not given_up(made)
    made.finish()


@pytest.mark.parametrize("on_purpose", [False, True])
def test_an_item_whose_silent_slave_is_lost_with_its_host_is_not_to_blame(on_purpose: bool) -> None:
    made = world(1, slaves=1, max_deaths=1, redistribute=False)
    made.fall_silent(made.slaves[1])
    made.lose(made.slaves[1], on_purpose=on_purpose, is_innocent=True)
    assert not made.given_up
    made.finish()
    assert made.results[0] == 1
