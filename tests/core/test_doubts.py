"""Hosts in doubt: what their slaves are given, whose fault a death is, and what a broken host costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.world import FakeSlave, World
from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.places import HostRecord, LeaveOut
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler


def world(items: int, slaves: int = 1, **policy: object) -> World:
    """A world with slaves 1, 2, ... on one host, without redistribution unless asked for."""
    made = World(items, Policy(**{"chunk_size": 1, "redistribute": False, **policy}))  # type: ignore[arg-type]
    for _ in range(slaves):
        made.add_slave()
    return made


def held(made: World, slave: FakeSlave) -> list[list[int]]:
    """The items of each job of the slave."""
    return [list(made.positions[job]) for job in slave.jobs]


def dies_and_is_replaced(made: World, slave: FakeSlave) -> FakeSlave:
    made.lose(slave)
    return made.add_slave(slave.host)


def given_as_each_dies(made: World, deaths: int) -> list[list[int]]:
    """The items of the jobs that the only slave's replacements get, one after the other."""
    given, slave = [], made.slaves[1]
    for _ in range(deaths):
        slave = dies_and_is_replaced(made, slave)
        given += held(made, slave)
    return given


def is_excused(made: World, slave: FakeSlave) -> bool:
    return slave.jobs[0] in made.excused


# ---- what comes next


def test_after_a_death_one_untouched_item_far_from_what_died_comes_first() -> None:
    made = world(40, chunk_size=5)
    new = dies_and_is_replaced(made, made.slaves[1])
    assert held(made, new) == [[22]]


def test_as_long_as_slaves_die_each_new_one_gets_an_untouched_item_far_from_the_others() -> None:
    made = world(41)
    slave = made.slaves[1]
    given = [0]
    for _ in range(8):
        slave = dies_and_is_replaced(made, slave)
        ((position,),) = held(made, slave)
        assert min(abs(position - other) for other in given) >= 20 // len(given)
        given.append(position)
    assert not made.given_up


def test_when_a_job_was_done_again_the_suspects_come_one_at_a_time() -> None:
    made = world(40, chunk_size=5)
    slave = dies_and_is_replaced(made, made.slaves[1])
    given = []
    for _ in range(6):
        made.done(slave)
        given += held(made, slave)[:1]
    assert given == [[0], [1], [2], [3], [4], [5, 6, 7, 8, 9]]


def test_part_of_a_job_is_enough_to_show_that_a_host_works() -> None:
    made = world(40, slaves=2, chunk_size=5)
    made.lose(made.slaves[1])
    made.report(made.slaves[2], 2)
    assert held(made, made.add_slave()) == [[0]]


def test_a_suspect_that_kills_is_followed_by_an_untouched_item_before_the_next_suspect_comes() -> None:
    made = world(40, chunk_size=5, max_deaths=1)
    slave = dies_and_is_replaced(made, made.slaves[1])
    given = []
    for _ in range(3):
        made.done(slave)
        given += held(made, slave)
        slave = dies_and_is_replaced(made, slave)
        given += held(made, slave)
    assert given == [[0], [31], [1], [13], [2], [36]]
    assert list(made.given_up) == [0, 1, 2]


def test_every_second_death_in_a_row_is_followed_by_a_suspect_that_may_not_be_what_killed() -> None:
    made = world(40, chunk_size=3)
    given = given_as_each_dies(made, 9)
    assert given[1::2] == [[2], [1], [0], [7]], "each once, then untouched ones only"
    assert all(position > 2 for (position,) in given[::2])
    assert not made.given_up


def test_suspects_come_at_once_where_nothing_is_untouched() -> None:
    made = world(3, chunk_size=3)
    given = given_as_each_dies(made, 6)
    assert given == [[2], [1], [0], [0], [1], [2]], "each once, before any comes again"


def test_a_slave_on_a_host_in_doubt_gets_nothing_behind_what_it_has() -> None:
    made = world(100)
    made.done(made.slaves[1], seconds=0.001)
    assert len(made.slaves[1].jobs) == 2
    new = dies_and_is_replaced(made, made.slaves[1])
    made.tick(1.0)
    assert len(new.jobs) == 1
    made.done(new, seconds=0.001)
    assert held(made, new) == [[1]], "the suspect"
    made.done(new, seconds=0.001)
    assert held(made, new) == [[2], [3]]


@pytest.mark.parametrize("end", [{"on_purpose": True}, {"is_innocent": True}])
def test_a_slave_that_did_not_die_of_itself_brings_its_host_in_no_doubt(end: dict[str, bool]) -> None:
    made = world(40, chunk_size=5)
    made.lose(made.slaves[1], **end)
    assert held(made, made.add_slave()) == [[0, 1, 2, 3, 4]]


def test_what_can_be_had_in_order_only_is_given_out_in_order() -> None:
    items = Items(40)
    items.are_in_order = True
    made = World(40, Policy(chunk_size=1, redistribute=False))
    made.scheduler = type(made.scheduler)(items, made.scheduler.policy)
    slave = made.add_slave()
    given = []
    for _ in range(3):
        slave = dies_and_is_replaced(made, slave)
        given += held(made, slave)
    assert given == [[1], [2], [3]]


def test_items_that_are_added_while_a_host_is_in_doubt_are_untouched_ones() -> None:
    made = World(1, Policy(chunk_size=1, redistribute=False), open_ended=True)
    slave = dies_and_is_replaced(made, made.add_slave())
    assert held(made, slave) == [[0]]
    made.handle(e.ItemsAdded(2))
    slave = dies_and_is_replaced(made, slave)
    assert held(made, slave) == [[2]]


# ---- whose fault it is


def test_one_suspect_alone_excuses_a_host_that_has_worked() -> None:
    made = world(40, chunk_size=5)
    slave = dies_and_is_replaced(made, made.slaves[1])
    assert not is_excused(made, slave), "an untouched item"
    made.done(slave)
    assert is_excused(made, slave)


def test_several_suspects_together_excuse_nothing() -> None:
    made = world(200, chunk_size=32)
    slave = dies_and_is_replaced(made, made.slaves[1])
    made.done(slave)
    assert held(made, slave) == [[0, 1]]
    assert not is_excused(made, slave)


def test_a_host_where_nothing_was_ever_done_is_not_excused() -> None:
    made = world(1)
    slave = dies_and_is_replaced(made, made.slaves[1])
    assert held(made, slave) == [[0]]
    assert not is_excused(made, slave)


def test_it_is_excused_where_it_works_for_other_calculations() -> None:
    scheduler = Scheduler(Items(2), Policy(chunk_size=1, redistribute=False))
    for slave in (1, 2, 3, 4):
        commands = scheduler.handle(e.SlaveReady(slave, "here", f"here_{slave}", host_works=slave > 1), 0.0)
        scheduler.handle(e.SlaveLost(slave, "killed"), 0.0)
    assert [type(command) for command in commands] == [c.ExcuseHost, c.SendJob]


def test_it_is_excused_where_items_were_done_in_an_earlier_run() -> None:
    items = Items(4)
    items.finish((0, 1))
    policy = Policy(chunk_size=1, redistribute=False)
    scheduler = Scheduler(items, policy)
    for slave in (1, 2, 3):
        commands = scheduler.handle(e.SlaveReady(slave, "here", f"here_{slave}"), 0.0)
        scheduler.handle(e.SlaveLost(slave, "killed"), 0.0)
    assert [type(command) for command in commands] == [c.ExcuseHost, c.SendJob]


def test_items_that_are_never_given_up_excuse_nothing() -> None:
    made = world(3, max_deaths=None)
    made.done(made.slaves[1])
    slave = dies_and_is_replaced(made, made.slaves[1])
    made.done(slave)
    assert held(made, slave) == [[1]]
    assert not is_excused(made, slave)


def test_a_host_on_which_very_many_died_in_a_row_is_not_excused_any_more() -> None:
    made = world(13, max_deaths=12)
    made.done(made.slaves[1])
    slave, excuses = made.slaves[1], []
    while not made.given_up:
        excuses.append(is_excused(made, slave))
        slave = dies_and_is_replaced(made, slave)
    assert any(excuses[:20])
    assert len(excuses) > 20
    assert not any(excuses[20:])


def test_an_item_excuses_only_so_many_deaths() -> None:
    made = world(2, max_deaths=1000)
    made.done(made.slaves[1])
    slave, excuses = made.slaves[1], 0
    for _ in range(100):
        slave = dies_and_is_replaced(made, slave)
        excuses += is_excused(made, slave)
    assert 0 < excuses < 20


# ---- several hosts


def two_hosts(items: int) -> tuple[World, FakeSlave, FakeSlave]:
    """A world whose slaves 'bad' and 'good' are on two hosts; the good one is busy."""
    made = World(items, Policy(chunk_size=1, redistribute=False))
    good = made.add_slave("good")
    return made, made.add_slave("bad"), good


def test_a_host_on_which_many_died_leaves_suspects_to_others() -> None:
    made, bad, good = two_hosts(4)
    for _ in range(3):
        bad = dies_and_is_replaced(made, bad)
    assert not bad.jobs, "nothing is untouched"
    for _ in range(3):
        made.done(good)
    made.done(good)
    assert made.finishes
    assert not made.given_up


def test_a_host_on_which_few_died_waits_for_no_other() -> None:
    made, bad, _ = two_hosts(3)
    for _ in range(2):
        bad = dies_and_is_replaced(made, bad)
    assert held(made, bad) in ([[1]], [[2]])


@pytest.mark.parametrize("end", ["lost", "disabled", "silent", "slow"])
def test_suspects_are_left_to_nobody_who_cannot_take_them(end: str) -> None:
    made, bad, good = two_hosts(4)
    for _ in range(3):
        bad = dies_and_is_replaced(made, bad)
    assert not bad.jobs
    if end == "lost":
        made.lose(good, on_purpose=True)
    elif end == "disabled":
        made.handle(e.HostDisabled("good"))
    elif end == "silent":
        made.fall_silent(good)
    else:
        made.handle(e.HostSlowed("good", 10.0))
    made.tick()
    assert bad.jobs


def test_an_idle_slave_is_found_behind_many_that_leave_suspects_to_it() -> None:
    made = World(7, Policy(chunk_size=1, redistribute=False))
    bad = [made.add_slave("bad") for _ in range(6)]
    good = made.add_slave("good")
    for slave in bad[:2]:
        dies_and_is_replaced(made, slave)
    for slave in bad[2:]:
        made.lose(slave)
    new = [made.add_slave("bad") for _ in range(4)]
    assert not any(slave.jobs for slave in new)
    made.done(good)
    assert held(made, good)
    made.finish()


# ---- all together: items that kill, hosts that are broken


class Machines:
    """Hosts with slaves that work through a world, until all is done or each host was left out.

    Args:
        made: the world.
        slaves: {host: how many}.
        kills: whether an item kills a slave on this host.
    """

    def __init__(self, made: World, slaves: dict[str, int], kills: Callable[[str, int], bool]) -> None:
        self.made = made
        self.records = {host: HostRecord(host) for host in slaves}
        self.left_out: set[str] = set()
        self.have_worked: set[int] = set()  # slaves
        self.waited_s = 0.0
        self._kills = kills
        for host, count in slaves.items():
            for _ in range(count):
                made.add_slave(host)

    def run(self) -> Machines:
        while not self.made.finishes and self.made.slaves:
            busy = [slave for slave in self.made.slaves.values() if slave.jobs]
            for slave in busy:
                if slave.number in self.made.slaves and slave.jobs and not self.made.finishes:
                    self._work(slave)
        return self

    def _work(self, slave: FakeSlave) -> None:
        job, host = slave.jobs[0], slave.host
        if not any(self._kills(host, position) for position in self.made.positions[job]):
            self.made.done(slave)
            self.records[host].job_was_done()
            self.have_worked.add(slave.number)
            return
        self.made.lose(slave)
        if job not in self.made.excused:
            did_jobs = slave.number in self.have_worked
            verdict = self.records[host].slave_died(self.made.now, "killed", was_up=True, did_jobs=did_jobs)
            if isinstance(verdict, LeaveOut):
                self.left_out.add(host)
            else:
                self.waited_s += verdict.delay_s
        if host not in self.left_out:
            self.made.add_slave(host)


KILLERS: dict[str, Callable[[int], bool]] = {
    "the first 8": lambda n: n < 8,
    "the last 8": lambda n: n >= 32,
    "8 in the middle": lambda n: 16 <= n < 24,
    "every third": lambda n: n % 3 == 0,
    "the first half": lambda n: n < 20,
}


@pytest.mark.parametrize("which", KILLERS)
@pytest.mark.parametrize("chunk_size", [1, 5, "auto"])
@pytest.mark.parametrize("slaves", [1, 2, 4])
@pytest.mark.parametrize("redistribute", [False, True])
def test_items_that_kill_are_given_up_and_all_others_finish(
    which: str, chunk_size: int, slaves: int, redistribute: bool
) -> None:
    made = World(40, Policy(chunk_size=chunk_size, redistribute=redistribute))
    machines = Machines(made, {"here": slaves}, lambda host, n: KILLERS[which](n)).run()
    assert set(made.given_up) == {n for n in range(40) if KILLERS[which](n)}
    made.verify_end()
    assert not machines.left_out
    assert machines.waited_s < 6.0


def test_a_single_host_that_is_broken_is_left_out_and_no_item_is_blamed() -> None:
    for chunk_size in (1, 5, "auto"):
        made = World(40, Policy(chunk_size=chunk_size))
        machines = Machines(made, {"here": 2}, lambda host, n: True).run()
        assert machines.left_out == {"here"}
        assert not made.given_up


@pytest.mark.parametrize("chunk_size", [1, 5, "auto"])
@pytest.mark.parametrize("slaves", [1, 4])
def test_a_host_that_breaks_half_way_is_left_out_and_no_item_is_blamed(chunk_size: int, slaves: int) -> None:
    made = World(100, Policy(chunk_size=chunk_size))
    machines = Machines(made, {"here": slaves}, lambda host, n: len(made.results) >= 50).run()
    assert machines.left_out == {"here"}
    assert not made.given_up


@pytest.mark.parametrize("chunk_size", [1, 5, "auto"])
@pytest.mark.parametrize("n_items", [8, 40, 200])
def test_of_two_hosts_the_broken_one_costs_no_item(chunk_size: int, n_items: int) -> None:
    made = World(n_items, Policy(chunk_size=chunk_size, redistribute=False))
    Machines(made, {"bad": 2, "good": 2}, lambda host, n: host == "bad").run()
    assert not made.given_up
    made.verify_end()


def test_a_broken_host_and_items_that_kill_are_told_apart() -> None:
    made = World(60, Policy(chunk_size=1, redistribute=False))
    machines = Machines(made, {"bad": 1, "good": 2}, lambda host, n: host == "bad" or n < 8).run()
    assert set(made.given_up) == set(range(8))
    assert "good" not in machines.left_out


def test_where_everything_kills_the_host_is_left_out() -> None:
    made = World(40, Policy(chunk_size=1))
    assert Machines(made, {"here": 2}, lambda host, n: True).run().left_out == {"here"}


def test_a_host_that_may_fail_once_is_left_out_with_the_first_death_but_not_for_a_known_killer() -> None:
    made = world(40, chunk_size=5)
    slave = dies_and_is_replaced(made, made.slaves[1])
    record = HostRecord("here", most_failures=1)
    assert isinstance(record.slave_died(0.0, "killed", was_up=True, did_jobs=False), LeaveOut)
    made.done(slave)
    assert is_excused(made, slave), "its death would not be told to the record"


def test_an_item_that_is_alone_twice_is_named_with_its_tries() -> None:
    made = world(40, chunk_size=5)
    Machines(made, {"here": 1}, lambda host, n: n == 3).run()
    assert made.given_up == {3: c.GiveUp(3, c.Cause.KILLED_SLAVE, 3)}
