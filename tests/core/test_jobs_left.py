"""Slaves that may have so many jobs: they get no more, and are let go when the last is back."""

from __future__ import annotations

from tests.core.test_scheduler import world
from tests.core.world import World
from tracking.core import commands as c
from tracking.core import events as e


def limited(jobs_left: int, items: int = 100, **policy: object) -> World:
    made = world(items, slaves=0, **policy)
    made.add_slave(most_jobs=jobs_left)
    return made


def test_a_slave_gets_as_many_jobs_as_it_may_have_and_is_let_go_when_the_last_is_back() -> None:
    made = limited(3)
    for _ in range(3):
        assert not made.orders
        made.done(made.slaves[1], seconds=0.01)
    assert [type(order) for order in made.orders] == [c.RetireSlave]
    assert made.scheduler.usable_slaves == 0
    assert not made.slaves[1].jobs
    made.deliver_order()
    made.finish()


def test_the_last_jobs_are_queued_ahead_like_all_others() -> None:
    made = limited(21)
    made.done(made.slaves[1], seconds=0.0001)
    assert len(made.slaves[1].jobs) == 20


def test_a_slave_that_may_have_no_job_is_let_go_at_once() -> None:
    assert isinstance(limited(0).orders[0], c.RetireSlave)


def test_a_job_that_comes_back_unbegun_may_be_given_again() -> None:
    made = limited(3, items=10, redistribute=True)
    made.done(made.slaves[1], seconds=0.01)
    assert len(made.slaves[1].jobs) == 2
    made.handle(e.HostDisabled("here"))
    made.deliver_order()
    made.handle(e.HostEnabled("here"))
    assert len(made.slaves[1].jobs) == 2
    made.finish()


def test_a_spare_copy_counts_as_a_job_too() -> None:
    made = world(1, slaves=1, redistribute=True)
    made.add_slave(most_jobs=1)
    made.tick(1.5)
    assert made.slaves[2].jobs
    made.done(made.slaves[2])
    assert {type(order) for order in made.orders} == {c.CancelJob, c.RetireSlave}


def test_a_slave_is_let_go_once_only() -> None:
    made = limited(1)
    made.done(made.slaves[1], seconds=0.01)
    made.handle(e.HostDisabled("here"))
    made.handle(e.HostEnabled("here"))
    made.tick(10.0)
    assert len(made.orders) == 1
    made.finish()
