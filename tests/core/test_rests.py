"""When the master may let answers lie for a moment, to read several at once: while no slave waits for what follows."""

from __future__ import annotations

from tests.core.test_scheduler import world
from tests.core.world import World

SLAVES = 64


def busy(items: int = 1000, slaves: int = SLAVES, seconds: float = 0.05) -> World:
    """Each slave has done one item and holds the next ones."""
    made = world(items, slaves)
    for slave in made.slaves.values():
        made.done(slave, seconds=seconds)
    return made


def test_answers_may_lie_while_each_of_many_slaves_has_its_next_job() -> None:
    assert world(1000, SLAVES).scheduler.rest_s() == 0.0, "nothing is known yet"
    assert busy().scheduler.rest_s() == 0.002


def test_they_are_read_at_once_where_few_would_come_or_a_slave_waits_for_each() -> None:
    assert busy(slaves=8).scheduler.rest_s() == 0.0
    assert busy(seconds=0.5).scheduler.rest_s() == 0.0, "no second job is queued behind such long ones"
    assert busy(seconds=0.01).scheduler.rest_s() == 0.0, "a rest would be too short"


def test_they_are_read_at_once_when_little_is_left_or_a_slave_is_idle() -> None:
    assert busy(items=4 * SLAVES - 1).scheduler.rest_s() == 0.0
    made = busy()
    made.lose(made.slaves[1])
    assert made.scheduler.rest_s() == 0.0, "what died waits to be given out alone"
