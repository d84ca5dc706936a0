"""redistribute='always': in the end every idle slave gets what was given out least often."""

from __future__ import annotations

from collections import Counter

from tests.core.test_scheduler import world
from tests.core.world import World
from tracking.core import commands as c


def holders(made: World) -> Counter[int]:
    return Counter(p for slave in made.slaves.values() for job in slave.jobs for p in made.scheduler.wanted(job))


def test_every_idle_slave_gets_something_at_once() -> None:
    made = world(2, slaves=6, redistribute="always")
    assert all(slave.jobs for slave in made.slaves.values())
    assert holders(made) == {0: 3, 1: 3}


def test_the_least_often_given_out_is_first() -> None:
    made = world(3, slaves=4, redistribute="always")
    assert holders(made) == {0: 1, 1: 1, 2: 2}
    made.done(made.slaves[2])
    assert holders(made) == {0: 2, 2: 2}
    made.finish()


def test_losers_are_stopped_at_once() -> None:
    made = world(1, slaves=4, redistribute="always")
    made.done(made.slaves[3])
    assert {order.slave for order in made.orders} == {1, 2, 4}  # type: ignore[union-attr]
    assert all(isinstance(order, c.CancelJob) for order in made.orders)
    assert made.finishes == 1
    made.verify_end()


def test_a_copy_is_of_usual_size_and_the_next_one_takes_the_rest() -> None:
    made = world(10, slaves=1, redistribute="always", chunk_size=5)
    made.done(made.slaves[1])
    made.report(made.slaves[1], 1)
    for _ in range(2):
        made.add_slave()
    assert [len(made.positions[made.slaves[n].jobs[0]]) for n in (2, 3)] == [4, 4]
    made.finish()


def test_an_item_is_on_each_slave_once_at_most_and_it_ends() -> None:
    made = world(5, slaves=8, redistribute="always", chunk_size=2)
    assert max(holders(made).values()) <= 8
    made.finish()
    assert made.last_slave < 40


def test_what_may_kill_its_slave_is_not_given_to_all() -> None:
    made = world(2, slaves=8, redistribute="always", chunk_size=2)
    for slave in list(made.slaves.values())[1:]:
        made.lose(slave, on_purpose=True)
    made.lose(made.slaves[1])
    for _ in range(8):
        made.add_slave()
    assert holders(made) == {0: 1, 1: 1}
    made.finish()


def test_when_the_first_is_lost_its_copies_go_on() -> None:
    made = world(1, slaves=3, redistribute="always")
    made.lose(made.slaves[1], on_purpose=True)
    assert holders(made) == {0: 2}
    made.add_slave()
    assert holders(made) == {0: 3}
    made.finish()


def test_nothing_is_copied_while_something_is_not_started() -> None:
    made = world(50, slaves=4, redistribute="always")
    for _ in range(40):
        made.done(made.slaves[1], seconds=1.0)
        assert max(holders(made).values()) == 1
    made.finish()
