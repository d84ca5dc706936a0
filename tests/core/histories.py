"""Random histories: what may happen to a world, chosen by numbers, so that they can be made shorter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.core.world import FakeSlave, World
from tracking.core import events as e
from tracking.core.policy import Policy

HOSTS = ("here", "there")
Choice = tuple[int, int, int]  # what, to whom, how


def play(items: int, policy: Policy, history: Sequence[Choice], *, open_ended: bool = False) -> World:
    """Let all this happen, then let it end well."""
    world = World(items, policy, open_ended=open_ended)
    world.add_slave()
    for what, whom, how in history:
        if world.finishes:
            break
        STEPS[what % len(STEPS)](world, whom, how)
    if open_ended and not world.finishes:
        world.handle(e.ItemsClosed())
    if not world.finishes:
        world.finish()
    world.verify_end()
    return world


def _busy(world: World, whom: int) -> FakeSlave | None:
    busy = [slave for slave in world.slaves.values() if slave.jobs]
    return busy[whom % len(busy)] if busy else None


def _some(positions: Sequence[int], how: int) -> tuple[int, ...]:
    return tuple(p for index, p in enumerate(positions) if how >> (index % 5) & 1)


def _done(world: World, whom: int, how: int) -> None:
    if slave := _busy(world, whom):
        world.done(slave, seconds=0.0001 * (how % 7) ** 4)


def _done_in_row(world: World, whom: int, how: int) -> None:
    if slave := _busy(world, whom):
        world.done_row(slave, 1 + how // 7, seconds=0.0001 * (how % 7) ** 4)


def _done_badly(world: World, whom: int, how: int) -> None:
    if slave := _busy(world, whom):
        world.done(slave, _some(world.scheduler.wanted(slave.jobs[0]), how))


def _failed(world: World, whom: int, how: int) -> None:
    if slave := _busy(world, whom):
        job = slave.jobs[how % len(slave.jobs)]
        world.answer(e.JobFailed(job, slave.number, 0.01, how % 3 == 0))


def _progressed(world: World, whom: int, how: int) -> None:
    """Some more items are done, some of them badly; the next one is running, or nothing is known of that."""
    if slave := _busy(world, whom):
        job = slave.jobs[0]
        ahead = world.positions[job][world.through[job] :][: how % 3]
        failed = [p for p in ahead if p in world.scheduler.wanted(job)][: how % 5 // 3]
        world.report(slave, how % 3, failed, (None, 0.0, 0.01, 0.4)[whom % 4])


def _fell_silent(world: World, whom: int, how: int) -> None:
    if world.slaves and how % 2:
        world.fall_silent(list(world.slaves.values())[whom % len(world.slaves)])


def _was_heard(world: World, whom: int, how: int) -> None:
    """Sometimes it was not even silent."""
    if world.slaves:
        world.be_heard(list(world.slaves.values())[whom % len(world.slaves)])


def _lost(world: World, whom: int, how: int) -> None:
    if world.slaves:
        slave = list(world.slaves.values())[whom % len(world.slaves)]
        world.lose(slave, is_known=how % 3 > 0, on_purpose=how % 5 == 0, is_innocent=how % 7 == 0)


def _time_was_up(world: World, whom: int, how: int) -> None:
    """Of a slave, as engines see it: now and then a little early, and not always said."""
    soon = world.now + 0.1
    ending = [slave for slave in world.slaves.values() if slave.ends_at is not None and slave.ends_at <= soon]
    if ending:
        slave = ending[whom % len(ending)]
        world.lose(slave, is_known=how % 5 > 0, is_innocent=how % 2 == 0)


def _lived_to_the_end(world: World, whom: int, how: int) -> None:
    """A slave works on, saying nothing, until its time is up."""
    limited = [slave for slave in world.slaves.values() if slave.ends_at is not None]
    if limited:
        world.end_time(limited[whom % len(limited)], is_told=how % 2 == 0)


def _came(world: World, whom: int, how: int) -> None:
    if len(world.slaves) < 6:
        life_s = (None, None, 0.05, 0.5, 2.0, 2.0, 20.0, None)[whom]
        used_s = 0.0 if life_s is None else life_s * (0.0, 0.0, 0.3, 0.7)[how % 4]
        world.add_slave(HOSTS[how % 2], (None, None, None, 1, 2, 5)[how % 6], life_s, used_s)


def _ordered(world: World, whom: int, how: int) -> None:
    if world.orders:
        world.orders.rotate(-(whom % len(world.orders)))
        world.deliver_order()


def _answered_again(world: World, whom: int, how: int) -> None:
    if world.old_answers:
        event = world.old_answers[whom % len(world.old_answers)]
        assert not any(p for p in world.scheduler.wanted(event.job))  # type: ignore[union-attr]
        world.handle(event)


def _waited(world: World, whom: int, how: int) -> None:
    tick = (world.tick, world.tick_late)[whom % 2]
    tick((0.0, 0.01, 0.3, 3.0)[how % 4])


def _retired(world: World, whom: int, how: int) -> None:
    if world.slaves and how % 3 == 0:
        world.handle(e.SlaveRetired(list(world.slaves)[whom % len(world.slaves)]))


def _switched(world: World, whom: int, how: int) -> None:
    host = HOSTS[whom % 2]
    event = (e.HostDisabled(host), e.HostEnabled(host), e.HostSlowed(host, 3.0), e.HostSlowed(host, 1.0))[how % 4]
    world.handle(event)


def _added(world: World, whom: int, how: int) -> None:
    if world.scheduler._is_open_ended:
        world.handle(e.ItemsAdded(how % 4))


STEPS: tuple[Callable[[World, int, int], None], ...] = (
    _done,
    _done,
    _done,
    _done_in_row,
    _done_badly,
    _failed,
    _progressed,
    _progressed,
    _fell_silent,
    _was_heard,
    _lost,
    _came,
    _came,
    _ordered,
    _ordered,
    _answered_again,
    _waited,
    _retired,
    _switched,
    _added,
    _time_was_up,
    _lived_to_the_end,
)
