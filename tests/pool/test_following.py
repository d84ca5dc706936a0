"""Fabrics that have room for more slaves, or for fewer, while a crew is at work: as many come and go."""

from __future__ import annotations

from tests.pool.helpers import Noting, Stage, stage
from tests.pool.test_crew import send_job
from tests.pool.test_lost_hosts import Unborn
from tracking.pool.crew import Place
from tracking.pool.following import Change, Filled, change
from tracking.testing import ScriptedFabric, ScriptedSlave, silent

NOT, STARTING, UP = Filled.NOT, Filled.STARTING, Filled.UP


# ---- what is decided


def test_as_many_as_are_wanted_are_there_already() -> None:
    assert change(2, [UP, NOT]) == Change()


def test_more_are_wanted() -> None:
    assert change(5, [UP, NOT]) == Change(more=3)


def test_places_without_a_slave_go_first_then_the_latest_that_are_not_up() -> None:
    assert change(3, [STARTING, UP, NOT, STARTING]) == Change(gone=(2,))
    assert change(2, [STARTING, UP, NOT, STARTING]) == Change(gone=(2, 3))


def test_who_is_up_is_left_alone() -> None:
    assert change(1, [UP, UP, STARTING]) == Change(gone=(2,))
    assert change(1, [UP, UP]) == Change()


def test_one_is_left_to_come_back_to() -> None:
    assert change(0, [NOT, NOT]) == Change(gone=(1,))
    assert change(0, [NOT]) == Change()


# ---- what happens


def up(it: Stage, client: Noting, count: int) -> None:
    it.turn_until(lambda: len(client.up) == count)


def lose(it: Stage, client: Noting, *nicknames: str) -> None:
    before = len(client.lost)
    for slave in it.living:
        if slave.nickname in nicknames:
            slave.die("gone with its worker", is_innocent=True)
    it.turn_until(lambda: len(client.lost) == before + len(nicknames))


def living(it: Stage) -> list[str]:
    return sorted(slave.nickname for slave in it.living)


def test_a_fabric_that_has_room_for_more_gets_more_slaves_whose_nicknames_count_on() -> None:
    with stage(ScriptedFabric(), ("here",) * 2) as it:
        client = it.client()
        up(it, client, 2)
        it.fabric.make_room(4)
        up(it, client, 4)
        assert living(it) == ["here_0", "here_1", "here_2", "here_3"]
        assert it.crew.hosts.names() == ["here"]


def test_slaves_that_end_where_there_is_no_room_any_more_are_not_replaced_and_their_host_is_in_no_trouble() -> None:
    with stage(ScriptedFabric(silent), ("here",) * 3) as it:
        client = it.client()
        up(it, client, 3)
        send_job(it, client, 1, it.living[1].tid)
        it.turn_until(lambda: it.fabric.slaves[1].jobs)
        it.fabric.make_room(1)
        it.settle()
        assert living(it) == ["here_0", "here_1", "here_2"], "who works is left alone"
        lose(it, client, "here_1", "here_2")
        assert client.innocent == [True, True]
        assert client.lost[0] == ("here_1", "gone with its worker", ((7, 1),), False)
        assert it.crew.trouble() == ()
        assert not it.crew.is_replacing
        it.pass_time(60.0)
        assert living(it) == ["here_0"]


def test_it_is_the_same_when_the_slaves_end_first() -> None:
    with stage(ScriptedFabric(), ("here",) * 3) as it:
        client = it.client()
        up(it, client, 3)
        lose(it, client, "here_0", "here_2")
        assert it.crew.trouble()
        it.fabric.make_room(1)
        it.turn_until(lambda: not it.crew.trouble())
        assert not it.crew.is_replacing
        it.pass_time(60.0)
        assert living(it) == ["here_1"]


def test_slaves_that_are_not_up_are_ended_when_there_is_no_room_for_them() -> None:
    with stage(ScriptedFabric(slave=Unborn), ("here",) * 3) as it:
        client = it.client()
        it.fabric.make_room(1)
        it.turn_until(lambda: len(client.lost) == 2)
        assert living(it) == ["here_0"]
        assert [(how, on_purpose) for _, how, _, on_purpose in client.lost] == [
            ("ended by us: there is no room for it any more", True)
        ] * 2
        it.pass_time(1.0)
        assert living(it) == ["here_0"]


def test_when_all_room_is_gone_one_slave_goes_on_trying_and_all_come_back_with_it() -> None:
    kind = type("OneTestsSlave", (ScriptedSlave,), {})
    with stage(ScriptedFabric(slave=kind), ("here",) * 3) as it:
        client = it.client()
        up(it, client, 3)
        it.fabric.make_room(0)
        it.settle()
        lose(it, client, "here_0", "here_1", "here_2")
        assert not client.end
        it.pass_time(0.5)
        assert len(it.living) == 1
        it.fabric.make_room(4)
        up(it, client, 3 + 4)
        assert not client.end


def test_hosts_that_the_user_removes_stay_removed_whatever_room_there_is() -> None:
    with stage(ScriptedFabric(), ("here",) * 2) as it:
        client = it.client()
        it.crew.hosts.add([Place("there_0", "there", 0, 0, it.fabric)])
        up(it, client, 3)
        it.crew.hosts.remove(["there"])
        it.fabric.make_room(3)
        it.turn_until(lambda: len(client.lost) == 1)
        it.settle()
        assert living(it) == ["here_0", "here_1"]


def test_without_a_word_of_the_fabric_there_are_as_many_as_were_asked_for() -> None:
    with stage(ScriptedFabric(), ("here",) * 2) as it:
        client = it.client()
        up(it, client, 2)
        it.fabric.make_room(3)
        up(it, client, 3)
        it.fabric.make_room(None)
        it.settle()
        lose(it, client, "here_2")
        it.pass_time(0.5)
        assert living(it) == ["here_0", "here_1", "here_2"]
