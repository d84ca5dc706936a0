"""Slaves that end through no fault of theirs: hosts that crash, networks that are cut, queues that are full."""

from __future__ import annotations

from tests.pool.helpers import Noting, Stage, stage
from tests.pool.test_crew import send_job
from tracking.testing import ScriptedFabric, ScriptedSlave, silent


class Reachable(ScriptedSlave):
    """Comes up where and as long as the test says."""

    is_reachable = True

    def on_start(self) -> None:
        if type(self).is_reachable:
            self.say_hello()
        else:
            self.die("could not be reached", is_innocent=True)


def new_kind() -> type[Reachable]:
    return type("OneTestsSlave", (Reachable,), {})


def lose_host(it: Stage, client: Noting) -> None:
    before = len(client.lost)
    slaves = it.living
    for slave in slaves:
        slave.die("lost with its host", is_innocent=True)
    it.turn_until(lambda: len(client.lost) == before + len(slaves))


def pass_minutes(it: Stage, minutes: float) -> None:
    for _ in range(int(minutes * 60)):
        it.pass_time(1.0)


def test_slaves_that_are_lost_with_their_host_are_told_of_as_innocent_and_come_again_together() -> None:
    with stage(ScriptedFabric(silent), ("node",) * 4) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 4)
        send_job(it, client, 1, it.living[0].tid)
        it.turn_until(lambda: it.fabric.slaves[0].jobs)
        lose_host(it, client)
        assert client.innocent == [True] * 4
        assert client.lost[0] == ("node_0", "lost with its host", ((7, 1),), False)
        assert not it.living, "the host gets a moment"
        (trouble,) = it.crew.trouble()
        assert trouble.state == "waiting"
        assert trouble.reason == "the last slave was lost with its host (left out when none has come up for 10 min)"
        it.pass_time(0.5)
        assert len(it.living) == 4
        it.turn_until(lambda: len(client.up) == 8)
        assert it.crew.trouble() == ()


def test_a_host_that_comes_back_within_ten_minutes_is_used_again() -> None:
    kind = new_kind()
    with stage(ScriptedFabric(slave=kind), ("node",) * 3) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 3)
        kind.is_reachable = False
        lose_host(it, client)
        pass_minutes(it, 8)
        assert not client.end
        assert len(it.fabric.slaves) < 3 + 3 * 18, "it is not tried all the time"
        kind.is_reachable = True
        pass_minutes(it, 1.1)
        assert len(it.living) == 3


def test_when_all_hosts_are_gone_for_ten_minutes_the_clients_are_told_so() -> None:
    kind = new_kind()
    with stage(ScriptedFabric(slave=kind), ("node", "other")) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        kind.is_reachable = False
        lose_host(it, client)
        pass_minutes(it, 9.8)
        assert not client.end
        pass_minutes(it, 0.4)
        assert "node: in 10 min no slave has come up there" in client.end
        assert "the last could not be reached" in client.end


def test_a_first_slave_that_cannot_be_brought_to_a_host_is_tried_three_times() -> None:
    kind = new_kind()
    kind.is_reachable = False
    with stage(ScriptedFabric(slave=kind)) as it:
        client = it.client()
        pass_minutes(it, 0.1)
        assert len(it.fabric.slaves) == 3
        assert "3 slaves in a row ended before they were up" in client.end


def test_who_is_ended_for_what_it_said_is_not_innocent() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        it.living[0].say(99, 0)
        it.living[0].say_hello(version=-1)
        it.turn_until(lambda: client.lost)
        assert client.innocent == [False]


def test_a_slave_is_where_its_fabric_says_and_as_long_as_that_says() -> None:
    kind = type("Placed", (ScriptedSlave,), {"real_host": "node17", "left_s": 60.0})
    with stage(ScriptedFabric(slave=kind), ("queue",)) as it:
        it.clock.step(100.0)
        client = it.client()
        it.turn_until(lambda: client.up)
        (slave,) = client.up
        assert (slave.host, slave.nickname, slave.ends_at, slave.life_s) == ("node17", "queue_0", 160.0, 60.0)
        assert slave.shares_memory
        it.living[0].die("lost with its host", is_innocent=True)
        it.turn_until(lambda: client.lost)
        assert it.crew.trouble()[0].host == "queue", "there it is to be replaced"


class Unborn(ScriptedSlave):
    """Is still in the queue."""

    def on_start(self) -> None:
        pass


def test_what_a_fabric_waits_for_is_told_and_is_part_of_the_error_in_the_end() -> None:
    fabric = ScriptedFabric(slave=Unborn)
    fabric.words = "1 job pending: Resources"
    with stage(fabric) as it:
        client = it.client()
        assert it.crew.waiting_for() == "1 job pending: Resources"
        for _ in range(500):
            it.pass_time(1.0)
        assert "the last did not come up within 60 s: 1 job pending: Resources" in client.end
        assert it.crew.waiting_for() == ""
