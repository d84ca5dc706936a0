"""Hosts that come and go while a crew is at work: who ends how, who comes instead, and who is told."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from tests.pool.helpers import Noting, Stage, stage
from tests.pool.test_crew import DiesUnborn, SaysNothing, finish_all, send_job
from tests.pool.test_filling import bring_to_probation
from tracking import InputError, SlavePool, UnknownHost
from tracking.fabrics.base import SlaveConnected, SlaveLines, SlaveSpec
from tracking.fabrics.registry import Fabrics
from tracking.pool.crew import Place
from tracking.testing import ScriptedFabric, ScriptedSlave, silent
from tracking.wire import messages as m


def add(it: Stage, *names: str) -> None:
    it.crew.hosts.add([Place(name, name.partition("_")[0], 0, 0, it.fabric) for name in names])


def up(it: Stage, client: Noting, count: int) -> None:
    it.turn_until(lambda: len(client.up) == count)


def living(it: Stage) -> list[str]:
    return sorted(slave.nickname for slave in it.living)


# ---- more


def test_hosts_that_are_added_get_slaves_and_clients_are_told() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        up(it, client, 1)
        add(it, "there_0", "here_1")
        up(it, client, 3)
        assert living(it) == ["here_0", "here_1", "there_0"]
        assert it.crew.hosts.names() == ["here", "there"]


def test_slaves_that_die_on_an_added_host_are_replaced() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        add(it, "there_0")
        up(it, client, 2)
        it.living[1].die()
        up(it, client, 3)
        assert living(it) == ["here_0", "there_0"]


def test_a_crew_without_slaves_may_get_some() -> None:
    with stage(ScriptedFabric(), ()) as it:
        client = it.client()
        assert client.end == "it has no slaves"
        assert it.crew.is_lost
        add(it, "here_0")
        assert client.end == ""
        assert not it.crew.is_lost
        up(it, client, 1)


def test_a_host_that_was_left_out_gets_another_chance_when_it_is_added_again() -> None:
    with stage(ScriptedFabric(slave=DiesUnborn), ("here",)) as it:
        client = it.client()
        for _ in range(6):
            it.pass_time(20.0)
        assert "ended before they were up" in client.end
        it.fabric._make_slave = ScriptedSlave
        add(it, "here_1")
        up(it, client, 1)
        it.pass_time(20.0)
        assert it.crew.trouble() == ()
        assert living(it) == ["here_1"]


def test_a_host_that_is_left_out_from_the_beginning_is_in_trouble_and_the_reason_of_the_end() -> None:
    with stage(ScriptedFabric(), ()) as it:
        it.crew.hosts.leave_out({"far": "it does not answer"})
        (trouble,) = it.crew.trouble()
        assert (trouble.host, trouble.state, trouble.reason) == ("far", "left out", "it does not answer")
        assert it.client().end == "far: it does not answer"


# ---- fewer


def test_an_idle_slave_of_a_removed_host_ends_by_itself_and_is_not_replaced() -> None:
    with stage(ScriptedFabric(), ("here", "there")) as it:
        client = it.client()
        up(it, client, 2)
        it.crew.hosts.remove(["there"])
        assert client.leaving == ["there_1"]
        it.turn_until(lambda: client.lost)
        assert client.lost[0] == ("there_1", "ended with exit status 0", (), True)
        it.pass_time(30.0)
        assert living(it) == ["here_0"]
        assert it.crew.hosts.names() == ["here"]
        assert not it.crew.is_replacing
        assert not client.end


def test_a_busy_one_gets_no_more_jobs_and_ends_when_it_has_done_those_that_it_has() -> None:
    with stage(ScriptedFabric(silent, silent), ("here", "there")) as it:
        client = it.client()
        up(it, client, 2)
        tid = client.up[1].tid
        send_job(it, client, 1, tid)
        it.crew.hosts.remove(["there"])
        assert not it.crew.send(tid, (m.JOB, client.calculation, 2, None))
        assert it.crew.jobs_left(tid) == 0
        it.pass_time(10.0)
        assert living(it) == ["here_0", "there_1"]
        finish_all(it.living[1])
        it.turn_until(lambda: client.lost)
        assert client.messages[-1][1][0] == m.DONE
        it.pass_time(30.0)
        assert living(it) == ["here_0"]


def test_now_means_that_it_is_killed_and_nobody_is_to_blame() -> None:
    with stage(ScriptedFabric(silent), ("here", "there")) as it:
        client = it.client()
        up(it, client, 2)
        send_job(it, client, 1, client.up[1].tid)
        it.crew.hosts.remove(["there"], now=True)
        it.turn_until(lambda: client.lost)
        assert client.lost == [("there_1", "ended by us: its host was removed", ((7, 1),), True)]
        it.pass_time(30.0)
        assert living(it) == ["here_0"]


def test_now_ends_one_that_was_let_work_before() -> None:
    with stage(ScriptedFabric(silent), ("here", "there")) as it:
        client = it.client()
        up(it, client, 2)
        send_job(it, client, 1, client.up[1].tid)
        it.crew.hosts.remove(["there"])
        it.settle()
        it.crew.hosts.remove(["there"], now=True)
        it.turn_until(lambda: client.lost)
        assert living(it) == ["here_0"]


def test_a_slave_that_is_being_started_on_a_removed_host_is_killed() -> None:
    with stage(ScriptedFabric(slave=SaysNothing), ("here", "there")) as it:
        client = it.client()
        it.crew.hosts.remove(["there"])
        it.turn_until(lambda: client.lost)
        assert living(it) == ["here_0"]
        assert client.leaving == []


def test_a_place_that_waits_for_another_try_is_not_filled_any_more() -> None:
    with stage(ScriptedFabric(slave=DiesUnborn), ("here", "there")) as it:
        it.settle()
        it.crew.hosts.remove(["there"])
        n_started = len(it.fabric.slaves)
        it.pass_time(20.0)
        assert {slave.host for slave in it.fabric.slaves[n_started:]} == {"here"}
        assert {trouble.host for trouble in it.crew.trouble()} == {"here"}


def test_the_last_host_removed_is_the_end_of_hope() -> None:
    with stage(ScriptedFabric(), ("here",)) as it:
        client = it.client()
        up(it, client, 1)
        it.crew.hosts.remove(["here"])
        it.turn_until(lambda: client.end)
        assert client.end == "here: it was removed"
        assert it.crew.is_lost


def test_the_last_host_removed_while_nobody_is_there_is_told_at_once() -> None:
    with stage(ScriptedFabric(slave=DiesUnborn), ("here",)) as it:
        client = it.client()
        it.settle()
        assert not client.end
        it.crew.hosts.remove(["here"])
        assert client.end == "here: it was removed"


def test_a_host_on_probation_that_is_removed_leaves_nothing_behind() -> None:
    with stage(ScriptedFabric(), ("bad",) * 6, host_failures=6) as it:
        client = it.client()
        bring_to_probation(it, client)
        add(it, "good_0")
        it.crew.hosts.remove(["bad"])
        it.pass_time(100.0)
        assert living(it) == ["good_0"]
        assert it.crew.trouble() == ()
        assert not it.crew.is_replacing


def test_a_host_removed_and_added_again_has_the_new_slaves_only() -> None:
    with stage(ScriptedFabric(slave=DiesUnborn), ("here", "here")) as it:
        client = it.client()
        it.settle()  # both wait for another try
        it.fabric._make_slave = ScriptedSlave
        it.crew.hosts.remove(["here"])
        add(it, "here_2")
        up(it, client, 1)
        it.pass_time(100.0)
        assert living(it) == ["here_2"]
        assert not it.crew.is_replacing
        assert it.crew.trouble() == ()


def test_one_that_still_works_when_its_host_comes_back_ends_all_the_same() -> None:
    with stage(ScriptedFabric(silent), ("here",)) as it:
        client = it.client()
        up(it, client, 1)
        send_job(it, client, 1, client.up[0].tid)
        it.crew.hosts.remove(["here"])
        add(it, "here_1")
        up(it, client, 2)
        assert living(it) == ["here_0", "here_1"]
        finish_all(it.living[0])
        it.turn_until(lambda: client.lost)
        it.pass_time(30.0)
        assert living(it) == ["here_1"]
        assert not client.end


def test_one_that_dies_on_a_removed_host_is_told_as_it_was_and_not_replaced() -> None:
    with stage(ScriptedFabric(silent), ("here", "there")) as it:
        client = it.client()
        up(it, client, 2)
        send_job(it, client, 1, client.up[1].tid)
        it.crew.hosts.remove(["there"])
        it.living[1].die("killed by SIGSEGV")
        it.turn_until(lambda: client.lost)
        assert client.lost == [("there_1", "killed by SIGSEGV", ((7, 1),), False)]
        it.pass_time(30.0)
        assert living(it) == ["here_0"]


class Frozen(ScriptedSlave):
    """It answers no beat."""

    def on_beat(self) -> None:
        pass


def test_one_that_freezes_on_a_removed_host_is_ended_so_that_nobody_waits_for_it() -> None:
    with stage(ScriptedFabric(silent, slave=Frozen), ("here",)) as it:
        client = it.client()
        up(it, client, 1)
        send_job(it, client, 1)
        it.crew.hosts.remove(["here"])
        for _ in range(80):
            it.pass_time(1.0)
        assert client.lost
        assert client.end == "here: it was removed"


def test_one_that_is_frozen_when_its_host_is_removed_is_ended_at_once() -> None:
    with stage(ScriptedFabric(silent, slave=Frozen), ("here",)) as it:
        client = it.client()
        up(it, client, 1)
        send_job(it, client, 1)
        for _ in range(40):
            it.pass_time(1.0)
        it.crew.hosts.remove(["here"])
        it.pass_time(10.0)
        assert not it.living
        assert client.end == "here: it was removed"


class OnNode(ScriptedFabric):
    """It chooses the hosts itself: slaves dial from there."""

    def start(self, spec: SlaveSpec) -> SlaveLines | None:  # type: ignore[override]
        self._lines[spec.tid] = super().start(spec)
        os.write(self._news, b"n")
        return None

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[int, SlaveLines] = {}

    def poll(self) -> list[Any]:  # type: ignore[override]
        lines, self._lines = self._lines, {}
        up = [SlaveConnected(tid, its_lines, f"node{tid % 2}") for tid, its_lines in lines.items()]
        return [*up, *super().poll()]


def test_a_host_that_the_fabric_has_chosen_can_be_removed_by_its_own_name() -> None:
    with stage(OnNode(), ("queue", "queue")) as it:
        client = it.client()
        up(it, client, 2)
        assert sorted(it.crew.hosts.names()) == ["node0", "node1", "queue"]
        gone, stays = client.up
        it.crew.hosts.remove([gone.host])
        it.turn_until(lambda: client.lost)
        it.pass_time(30.0)
        assert living(it) == [stays.nickname]
        assert it.crew.hosts.names() == ["queue", stays.host]


def test_unknown_hosts_are_none_to_remove_and_twice_is_once() -> None:
    with stage(ScriptedFabric(), ("here", "there")) as it:
        client = it.client()
        up(it, client, 2)
        for _ in range(2):
            it.crew.hosts.remove(["there", "nowhere"])
        it.turn_until(lambda: client.lost)
        assert len(client.lost) == 1


def test_all_clients_are_told_who_leaves() -> None:
    with stage(ScriptedFabric(), ("here", "there")) as it:
        clients = it.client(1), it.client(2)
        it.turn_until(lambda: all(len(client.up) == 2 for client in clients))
        it.crew.hosts.remove(["here"])
        assert [client.leaving for client in clients] == [["here_0"], ["here_0"]]


def test_hosts_may_come_and_go_from_many_threads() -> None:
    with stage(ScriptedFabric(), ("here",)) as it:
        client = it.client()

        def come_and_go(host: str) -> None:
            for number in range(20):
                add(it, f"{host}_{number}")
                it.crew.hosts.remove([host], now=bool(number % 2))

        threads = [threading.Thread(target=come_and_go, args=(f"h{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        it.turn_until(lambda: not any(thread.is_alive() for thread in threads))
        it.turn_until(lambda: len(it.living) == 1)
        assert living(it) == ["here_0"]
        assert it.crew.hosts.names() == ["here"]
        assert not client.end


def test_after_the_end_nothing_is_added() -> None:
    with stage(ScriptedFabric()) as it:
        it.crew.close(within_s=0.1)
        add(it, "there_0")
        it.crew.hosts.remove(["there"])
        assert not it.living


# ---- names that mean nothing, and this machine beside hosts over ssh


class Knowing(ScriptedFabric):
    """Knows all hosts but one; tries them when it is asked."""

    def check_host(self, host: str) -> None:
        if host == "nodd3":
            raise UnknownHost(f"host {host!r} neither resolves nor is known to ssh: check its spelling")


def test_one_misspelt_host_of_several_is_left_to_the_trial_which_names_it() -> None:
    fabric = Knowing()
    fabric.failing = {"nodd3": "unknown host"}
    with SlavePool(["node1", "nodd3"], fabric=fabric) as pool:
        assert {slave["host"] for slave in pool.slaves.values()} == {"node1"}


def test_where_no_name_means_anything_nothing_is_started() -> None:
    with pytest.raises(UnknownHost, match="'nodd3' neither resolves"):
        SlavePool(["nodd3*3"], fabric=Knowing())


def test_names_with_commas_between_are_no_name() -> None:
    with pytest.raises(InputError, match=r"'node1,node2' is no host name: give a list, \['node1', 'node2'\]"):
        SlavePool("node1,node2")


def test_this_machine_needs_no_ssh_whatever_other_hosts_are_reached_by() -> None:
    fabrics = Fabrics("ssh")
    assert fabrics.of("localhost").name == "local"
    assert fabrics.of("node1").name == "ssh"
    fabrics.close()
