"""Hosts in doubt: one slave at a time on probation, what is told of them, and when they are trusted again."""

from __future__ import annotations

from tests.pool.helpers import Noting, Stage, stage
from tests.pool.test_crew import finish_all, send_job
from tracking.testing import ScriptedFabric, ScriptedSlave, silent


def kill_one(it: Stage, client: Noting) -> None:
    """The youngest slave dies without having done a job."""
    before = len(client.lost)
    it.living[-1].die()
    it.turn_until(lambda: len(client.lost) > before)
    it.settle()


def bring_to_probation(it: Stage, client: Noting) -> None:
    """Of six slaves on a host that may fail six times, three die one after the other."""
    it.turn_until(lambda: len(client.up) == 6)
    for _ in range(3):
        kill_one(it, client)
        if len(client.lost) < 3:
            it.pass_time(20.0)


def test_on_probation_one_slave_at_a_time_is_started_until_one_has_done_a_job() -> None:
    with stage(ScriptedFabric(silent), ("bad",) * 6, host_failures=6) as it:
        client = it.client()
        bring_to_probation(it, client)
        before = len(it.living)
        assert before == 5
        first, second = it.living[:2]
        for slave in (first, second):
            slave.die()
        it.turn_until(lambda: len(client.lost) == 5)
        it.pass_time(20.0)
        assert len(it.living) == 4  # three of the first, and the one on trial
        (trouble,) = it.crew.trouble()
        assert (trouble.host, trouble.state) == ("bad", "on probation")
        assert "died there without a job done" in trouble.reason
        send_job(it, client, 1, it.living[-1].tid)
        finish_all(it.living[-1])
        it.turn_until(lambda: len(it.living) == 6)
        assert it.crew.trouble() == ()


def test_when_the_one_on_trial_dies_the_next_place_is_tried_after_a_while() -> None:
    with stage(ScriptedFabric(), ("bad",) * 6, host_failures=8) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 6)
        for _ in range(4):
            kill_one(it, client)
            it.clock.step(0.001)
        (trouble,) = it.crew.trouble()
        assert trouble.state == "on probation"
        assert trouble.next_try is not None
        assert trouble.next_try > it.clock.now
        it.pass_time(20.0)
        started = len(it.fabric.slaves)
        kill_one(it, client)
        assert len(it.fabric.slaves) == started
        it.pass_time(20.0)
        assert len(it.fabric.slaves) == started + 1


def test_a_host_that_goes_on_killing_on_trial_is_left_out() -> None:
    with stage(ScriptedFabric(), ("bad", "good"), host_failures=4) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        for _ in range(4):
            bad = next(slave for slave in it.living if slave.host == "bad")
            before = len(client.lost)
            bad.print("no luck\n")
            bad.die()
            it.turn_until(lambda before=before: len(client.lost) > before)
            it.pass_time(20.0)
        (trouble,) = it.crew.trouble()
        assert (trouble.host, trouble.state, trouble.next_try) == ("bad", "left out", None)
        assert "4 slaves died there" in trouble.reason
        assert "no luck" in trouble.reason
        assert [slave.host for slave in it.living] == ["good"]
        assert not client.end


def test_a_slave_on_trial_that_is_ended_on_purpose_is_followed_by_another() -> None:
    with stage(ScriptedFabric(), ("bad",), host_failures=4) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        for _ in range(2):
            kill_one(it, client)
            it.pass_time(20.0)
        it.crew.end_slave(it.living[0].tid)
        it.turn_until(lambda: len(client.up) == 4)


# ---- items that are to blame


def die_of_job(it: Stage, client: Noting, job: int, *, is_excused: bool) -> None:
    """The youngest slave dies of a job."""
    slave, before = it.living[-1], len(client.lost)
    if is_excused:
        it.crew.hosts.excuse(slave.tid, (client.calculation, job))
    send_job(it, client, job, slave.tid)
    slave.die()
    it.turn_until(lambda: len(client.lost) > before)


def test_deaths_that_are_excused_speak_against_no_host_and_each_slave_is_replaced_at_once() -> None:
    with stage(ScriptedFabric(*[silent] * 20), host_failures=2) as it:
        client = it.client()
        for job in range(1, 20):
            it.turn_until(lambda job=job: len(client.up) == job)
            die_of_job(it, client, job, is_excused=True)
        assert it.crew.trouble() == ()
        assert not client.end


def test_an_excuse_holds_for_its_job_only() -> None:
    with stage(ScriptedFabric(*[silent] * 20), host_failures=1) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        slave = it.living[0]
        it.crew.hosts.excuse(slave.tid, (client.calculation, 1))
        send_job(it, client, 1, slave.tid)
        finish_all(slave)
        it.settle()
        die_of_job(it, client, 2, is_excused=False)
        assert [trouble.state for trouble in it.crew.trouble()] == ["left out"]


def test_an_excuse_does_not_hold_for_what_runs_before_its_job() -> None:
    with stage(ScriptedFabric(*[silent] * 20), host_failures=1) as it:
        client = it.client()
        send_job(it, client, 1)
        die_of_job(it, client, 2, is_excused=True)
        assert [trouble.state for trouble in it.crew.trouble()] == ["left out"]


def test_a_slave_on_trial_that_dies_excused_is_followed_by_another_at_once() -> None:
    with stage(ScriptedFabric(*[silent] * 20), ("bad",) * 2, host_failures=4) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        for _ in range(2):
            kill_one(it, client)
            it.pass_time(20.0)
        assert [trouble.state for trouble in it.crew.trouble()] == []
        before = len(client.up)
        die_of_job(it, client, 9, is_excused=True)
        it.turn_until(lambda: len(client.up) == before + 1)


def test_an_excuse_for_a_slave_that_is_gone_is_no_news() -> None:
    with stage(ScriptedFabric()) as it:
        it.crew.hosts.excuse(99, (7, 1))


def test_a_slave_that_does_not_come_up_is_told_of_while_its_place_waits() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            self.die("ended with exit status 1")

    with stage(ScriptedFabric(slave=Unborn)) as it:
        it.settle()
        (trouble,) = it.crew.trouble()
        assert (trouble.host, trouble.state) == ("here", "waiting")
        assert trouble.reason == "the last slave ended with exit status 1"
        assert trouble.next_try is not None
        assert trouble.next_try > it.clock.now
