"""Slaves whose time is limited: what they are given, when they are retired, and items for which none has the time."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

import pytest

from tests.core.test_scheduler import given_up
from tests.core.world import FakeSlave, World
from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.commands import Cause
from tracking.core.policy import Policy

HOUR_S = 3600.0


def world(items: int, **policy: object) -> World:
    return World(items, Policy(**{"chunk_size": 1, "redistribute": False, **policy}))  # type: ignore[arg-type]


def retired(made: World) -> list[tuple[int, str]]:
    return [(order.slave, order.reason) for order in made.orders if isinstance(order, c.RetireSlave)]


def works_for(made: World, slave: FakeSlave, seconds: float) -> None:
    """Its first job takes so long, and is done."""
    made.tick(seconds)
    made.done(slave, seconds=seconds)


def sizes(made: World, slave: FakeSlave) -> list[int]:
    return [len(made.positions[job]) for job in slave.jobs]


# ---- what fits


def test_with_nothing_measured_a_slave_of_limited_time_gets_one_item() -> None:
    made = world(100, chunk_size=10)
    assert sizes(made, made.add_slave(life_s=HOUR_S)) == [1]
    assert sizes(made, made.add_slave()) == [10]


def test_a_chunk_is_cut_so_that_it_fits() -> None:
    made = world(1000, chunk_size=100)
    slave = made.add_slave(life_s=1000.0)
    works_for(made, slave, 20.0)
    assert sizes(made, slave) == [int((1000.0 - 20.0 - 5.0) / (1.3 * 20.0))]


def test_a_slave_is_retired_as_soon_as_no_item_fits_and_another_gets_it() -> None:
    made = world(3)
    slave = made.add_slave(life_s=HOUR_S)
    works_for(made, slave, 3000.0)
    assert retired(made) == [(1, "no item fits into the time that it has left")]
    assert sizes(made, made.add_slave(life_s=HOUR_S)) == [1]
    made.finish()


def test_no_more_slaves_are_retired_than_there_are_items_that_wait() -> None:
    made = world(4)
    slaves = [made.add_slave(life_s=HOUR_S) for _ in range(4)]
    made.tick(3000.0)
    made.lose(slaves[3], is_innocent=True)  # its item waits again
    for slave in slaves[:3]:
        made.done(slave, seconds=3000.0)
    assert retired(made) == [(1, "no item fits into the time that it has left")]
    made.finish()


def test_idle_slaves_stay_while_nothing_waits() -> None:
    made = World(1, Policy(), open_ended=True)
    slave = made.add_slave(life_s=HOUR_S)
    works_for(made, slave, 3000.0)
    assert not made.orders
    made.handle(e.ItemsAdded(1))
    assert [number for number, _ in retired(made)] == [1]


def test_an_idle_slave_is_retired_shortly_before_its_end() -> None:
    made = World(0, Policy(), open_ended=True)
    made.add_slave(life_s=HOUR_S)
    assert made.scheduler.next_wakeup() == pytest.approx(HOUR_S - 5.0)
    made.tick(HOUR_S - 5.1)
    assert not made.orders
    made.tick(0.2)
    assert retired(made) == [(1, "its time is nearly up")]


def test_what_a_busy_slave_has_not_begun_is_asked_back_shortly_before_its_end() -> None:
    made = world(100)
    slave = made.add_slave(life_s=100.0)
    made.done(slave, seconds=0.01)
    assert len(slave.jobs) == 2
    made.tick(96.0)
    assert [type(order) for order in made.orders] == [c.RecallJob]
    made.deliver_order()
    made.done(slave, seconds=96.0)
    assert retired(made) == [(1, "its time is nearly up")]


def test_a_slave_that_works_past_its_end_is_heard_to_the_last() -> None:
    made = world(2)
    slave = made.add_slave(life_s=100.0)
    works_for(made, slave, 150.0)
    assert made.results == {0: 1}
    assert [number for number, _ in retired(made)] == [1]


def test_a_piece_that_was_given_back_is_cut_too() -> None:
    made = world(64, chunk_size=64)
    first = made.add_slave()
    made.answer(e.JobFailed(first.jobs[0], first.number, 64.0))  # comes back as pieces of four
    assert sizes(made, first) == [4]
    assert sizes(made, made.add_slave(life_s=20.0)) == [1]
    made.finish()


# ---- spare copies


def copies(made: World) -> Mapping[int, list[int]]:
    return {slave.number: sizes(made, slave) for slave in made.slaves.values()}


@pytest.mark.parametrize("life_s", [None, 1000.0, 40.0])
def test_a_spare_copy_goes_only_to_who_has_the_time(life_s: float | None) -> None:
    made = world(2, redistribute=True)
    made.add_slave()
    helper = made.add_slave(life_s=life_s)
    works_for(made, helper, 10.0)
    made.tick(90.0)
    has_time = life_s != 40.0
    assert bool(helper.jobs) == has_time
    assert sum(map(len, copies(made).values())) == 1 + has_time
    made.finish()


def test_redistribute_always_passes_over_those_whose_time_is_up() -> None:
    made = world(1, redistribute="always")
    made.add_slave()
    late = made.add_slave(life_s=100.0, used_s=96.0)
    assert not late.jobs
    assert made.add_slave(life_s=100.0).jobs
    made.finish()


# ---- items that outlast a slave


def test_an_item_whose_slave_was_out_of_time_is_not_to_blame_whatever_is_said_of_its_end() -> None:
    made = world(2, max_deaths=1)
    slave = made.add_slave(life_s=100.0)
    works_for(made, slave, 50.0)
    assert made.slaves[1].is_retiring is True
    made.deliver_order()
    used = made.add_slave(life_s=100.0, used_s=60.0)
    assert not used.jobs, "50 s do not fit into 40"


def test_an_item_that_outlasted_a_slave_goes_to_one_with_clearly_more_time() -> None:
    made = world(40, max_deaths=1)
    slave = made.add_slave(life_s=HOUR_S)
    for _ in range(20):
        works_for(made, slave, 60.0)
    (job,) = slave.jobs
    position = made.positions[job][0]
    made.end_time(slave, is_told=False)
    assert not made.given_up
    used = made.add_slave(life_s=HOUR_S, used_s=1200.0)
    assert made.positions[used.jobs[0]][0] != position, "it has run for 2400 s, and this one has no more"
    fresh = made.add_slave(life_s=HOUR_S)
    assert list(made.positions[fresh.jobs[0]]) == [position]
    made.finish()
    assert made.results[position] == 1


def test_an_idle_slave_makes_room_for_one_that_can_do_the_long_item() -> None:
    made = world(3)
    slave, other = made.add_slave(life_s=HOUR_S), made.add_slave(life_s=HOUR_S)
    works_for(made, other, 60.0)
    made.tick(1000.0)
    made.done(other, seconds=60.0)
    assert not made.orders
    made.lose(slave, is_innocent=True)  # long before its end: nothing is known of its item
    assert len(other.jobs) == 1
    made.end_time(other)
    late = made.add_slave(life_s=HOUR_S, used_s=1800.0)
    assert not late.jobs
    assert [number for number, _ in retired(made)] == [late.number]
    made.finish()


@pytest.mark.parametrize(("max_deaths", "times"), [(1, 1), (2, 2), (None, 3)])
def test_an_item_that_outlasts_the_whole_time_of_slaves_is_given_up(max_deaths: int | None, times: int) -> None:
    made = world(1, max_deaths=max_deaths)
    for _ in range(times):
        assert not made.given_up
        made.end_time(made.add_slave(life_s=HOUR_S))
    assert given_up(made) == {0: Cause.OUT_OF_TIME}
    assert made.given_up[0].tries == times
    made.verify_end()


def test_slaves_that_come_late_are_used_when_all_come_so_late() -> None:
    made = world(2)
    first = made.add_slave(life_s=100.0)
    works_for(made, first, 90.0)  # so long an item takes
    made.deliver_order()
    for _ in range(3):  # another calculation may have had these
        late = made.add_slave(life_s=100.0, used_s=70.0)
        assert not late.jobs
        made.deliver_order()
    assert made.add_slave(life_s=100.0, used_s=70.0).jobs
    made.finish()


def test_slaves_that_may_stay_for_a_short_time_wait_while_others_may_stay_longer() -> None:
    made = world(3, max_deaths=1)
    measured = made.add_slave(life_s=HOUR_S)
    works_for(made, measured, 900.0)
    short = made.add_slave(life_s=600.0)
    assert not short.jobs
    assert not made.orders, "the next one would have no more time either"
    made.finish()


def test_in_a_chunk_that_took_longer_than_expected_the_long_item_is_found() -> None:
    made = world(200, chunk_size=50, max_deaths=2)
    first = made.add_slave()
    works_for(made, first, 50.0)
    made.lose(first, is_innocent=True)
    lives = 0
    while not made.given_up:
        slave = made.add_slave(life_s=HOUR_S)
        while slave.jobs and 60 not in made.positions[slave.jobs[0]]:
            works_for(made, slave, float(len(made.positions[slave.jobs[0]])))
        lives += 1
        made.end_time(slave)
    assert given_up(made) == {60: Cause.OUT_OF_TIME}
    assert lives <= 5
    made.finish()
    assert len(made.results) == 199


# ---- lost with its host


def test_items_of_a_lost_host_are_given_out_again_and_nothing_is_held_against_them() -> None:
    made = world(6, max_deaths=1)
    slaves = [made.add_slave("node") for _ in range(3)]
    made.done(slaves[0])
    for slave in slaves:
        made.lose(slave, is_innocent=True)
    assert not made.given_up
    other = made.add_slave()
    made.finish()
    assert len(made.results) == 6
    assert other.number in made.slaves


def test_an_item_over_its_time_limit_is_not_blamed_when_its_host_was_lost() -> None:
    made = world(1, item_timeout_s=1.0)
    slave = made.add_slave()
    made.tick(2.0)
    assert isinstance(made.orders[0], c.StopSlave)
    made.lose(slave, on_purpose=True, is_innocent=True)
    assert not made.given_up
    made.orders.clear()
    made.finish()
    assert made.results == {0: 1}


def test_an_item_that_brings_down_every_host_does_not_go_round_for_ever() -> None:
    made = world(40, chunk_size=20)
    losses = 0
    while not made.given_up:
        slave = made.add_slave()
        while slave.jobs and 7 not in made.positions[slave.jobs[0]]:
            made.done(slave)
        made.lose(slave, is_innocent=True)
        losses += 1
    assert given_up(made) == {7: Cause.KILLED_SLAVE}
    assert losses == 20
    made.finish()
    assert len(made.results) == 39


def test_where_deaths_do_not_count_lost_hosts_do_not_either() -> None:
    made = world(1, max_deaths=None)
    for _ in range(100):
        made.lose(made.add_slave(), is_innocent=True)
    assert not made.given_up
    made.finish()


# ---- whole calculations on slaves of limited time only


class Cluster:
    """Slaves that live for so long and are replaced by their like; items that take their time."""

    def __init__(self, chance: random.Random) -> None:
        self.life_s = chance.choice([30.0, 200.0, HOUR_S])
        self.used_s = self.life_s * chance.choice([0.0, 0.05, 0.3, 0.6])
        usual_s = self.life_s * chance.choice([0.001, 0.02, 0.3])
        self.times = [usual_s * chance.uniform(0.5, 1.5) for _ in range(chance.choice([3, 20, 60]))]
        for _ in range(chance.choice([0, 1, 3])):
            self.times[chance.randrange(len(self.times))] = self.life_s * chance.choice([0.2, 0.5, 0.8, 1.2, 3.0])
        self.size = chance.choice([1, 2, 5])
        self.tells = chance.random() < 0.7  # slaves report each item
        self.policy = Policy(
            chunk_size=chance.choice(["auto", 1, 7]),
            redistribute=chance.choice([True, False, "always"]),
            max_deaths=chance.choice([1, 2, None]),
        )
        self.made = World(len(self.times), self.policy)
        self.began: dict[int, tuple[int, int, float]] = {}  # slave -> job, items that it is through with, since when

    def run(self) -> int:
        """To the end; how many slaves that took."""
        made = self.made
        while not made.finishes:
            assert made.last_slave < 60 + 12 * len(self.times), "it goes round"
            while len(made.slaves) < self.size and not made.finishes:
                made.add_slave(life_s=self.life_s, used_s=self.used_s)
            if made.orders:
                made.deliver_order()
            elif not made.finishes:
                self._next()
        made.verify_end()
        return made.last_slave

    def _next(self) -> None:
        """The next thing that happens."""
        made = self.made
        times: list[tuple[float, int]] = [(slave.ends_at or 0.0, -slave.number) for slave in made.slaves.values()]
        times += [(self._done_at(slave), slave.number) for slave in made.slaves.values() if slave.jobs]
        if (wakeup := made.scheduler.next_wakeup()) is not None:
            times.append((wakeup, 0))
        at, who = min(times)
        made.now = max(made.now, at)
        if who == 0:
            made.tick_late()
        elif who < 0:
            made.lose(made.slaves[-who], is_innocent=self.tells)
        else:
            self._item_is_done(made.slaves[who])

    def _done_at(self, slave: FakeSlave) -> float:
        job = slave.jobs[0]
        if self.began.get(slave.number, (0,))[0] != job:
            self.began[slave.number] = job, 0, self.made.now
        _, through, since = self.began[slave.number]
        return since + self.times[self.made.positions[job][through]]

    def _item_is_done(self, slave: FakeSlave) -> None:
        job, through, _ = self.began[slave.number]
        seconds = self.times[self.made.positions[job][through]]
        self.began[slave.number] = job, through + 1, self.made.now
        if through + 1 == len(self.made.positions[job]):
            self.made.done(slave, seconds=sum(self.times[p] for p in self.made.positions[job]))
        elif self.tells:
            position = self.made.positions[job][through]
            self.made.through[job] += 1
            wanted = position in self.made.scheduler.wanted(job)
            if wanted:
                self.made.results[position] += 1
            finished = (position,) if wanted else ()
            self.made.handle(e.JobProgressed(job, slave.number, finished, seconds, self.made.through[job], 0.0))


def play(seed: int) -> None:
    cluster = Cluster(random.Random(seed))
    cluster.run()
    made, life_s = cluster.made, cluster.life_s
    surely_s = 0.8 * life_s - cluster.used_s
    for position, seconds in enumerate(cluster.times):
        if seconds > life_s:
            assert position in made.given_up, f"seed {seed}"
        elif seconds < surely_s:
            assert position in made.results, f"seed {seed}"
    assert {order.cause for order in made.given_up.values()} <= {Cause.OUT_OF_TIME}


def test_on_slaves_of_limited_time_all_that_can_be_done_is_done() -> None:
    for seed in range(200):
        play(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_very_many_clusters_of_limited_time_all_that_can_be_done_is_done() -> None:
    for seed in range(int(os.environ.get("HISTORIES", "10000"))):
        play(seed)
