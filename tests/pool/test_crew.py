"""The crew: who is told what when slaves come, go, lie or die. Scripted slaves, a clock to step, no thread."""

from __future__ import annotations

import errno
import os
import selectors
from collections.abc import Callable, Iterable

import pytest

from tests.pool.helpers import Noting, Stage, stage
from tracking.fabrics.base import SlaveEnded, SlaveLines, SlaveSpec
from tracking.pool.client import SETUP, SlaveGone
from tracking.testing import Job, ScriptedFabric, ScriptedSlave, dies, silent
from tracking.wire import codec
from tracking.wire import messages as m
from tracking.wire.channel import Channel

VALUES = codec.encode([1], "values")


class SaysNothing(ScriptedSlave):
    """It never comes up."""

    def on_start(self) -> None:
        pass


class DiesUnborn(ScriptedSlave):
    """It ends before it is up."""

    def on_start(self) -> None:
        self.print("no such library\n")
        self.die("ended with exit status 1")


class Immortal(ScriptedSlave):
    """It cannot be killed."""

    def on_kill(self) -> None:
        pass


def has_no_descriptors(spec: SlaveSpec, fabric: ScriptedFabric) -> ScriptedSlave:
    raise OSError(errno.EMFILE, "Too many open files")


def cannot_start(spec: SlaveSpec, fabric: ScriptedFabric) -> ScriptedSlave:
    raise OSError("out of processes")


def send_job(it: Stage, client: Noting, job: int, tid: int | None = None) -> int:
    """Give a job to the first slave, or to this one; its tid."""
    if tid is None:
        it.turn_until(lambda: client.up)
        tid = client.up[0].tid
    assert it.crew.send(tid, (m.JOB, client.calculation, job, VALUES))
    it.crew.flush()
    it.settle()
    return tid


# ---- coming up


def test_clients_are_told_of_slaves_that_come_up_and_of_those_that_are() -> None:
    with stage(ScriptedFabric(), ("here", "there")) as it:
        early = it.client(1)
        it.turn_until(lambda: len(early.up) == 2)
        late = it.client(2)
        assert late.up == early.up
        assert [slave.nickname for slave in late.up] == ["here_0", "there_1"]


def test_a_slave_that_greets_twice_comes_up_once() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        it.fabric.slaves[0].say_hello()
        it.settle()
        assert len(client.up) == 1


def test_a_slave_of_another_version_is_cut() -> None:
    class Old(ScriptedSlave):
        def on_start(self) -> None:
            self.say_hello(m.PROTOCOL_VERSION - 1)

    with stage(ScriptedFabric(slave=Old)) as it:
        client = it.client()
        it.turn_until(lambda: client.lost)
        assert not client.up
        assert f"slave here_0 speaks version {m.PROTOCOL_VERSION - 1}" in client.lost[0][1]
        for _ in range(3):
            it.pass_time(0.5)
        assert f"slave here_0 speaks version {m.PROTOCOL_VERSION - 1}" in client.end
        assert "install the same release" in client.end


def test_a_slave_that_talks_nonsense_is_cut() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        it.fabric.slaves[0]._line.send(("no", ))
        it.turn_until(lambda: client.lost)
        it.turn_until(lambda: len(client.up) == 2)


def test_a_slave_that_was_killed_while_it_came_up_is_told_to_nobody() -> None:
    with stage(ScriptedFabric(slave=Immortal)) as it:
        client = it.client()
        it.crew.end_slave(it.fabric.slaves[0].tid)
        it.settle()
        assert not client.up


def test_a_slave_may_die_between_its_greeting_and_being_ready() -> None:
    class DiesOfSetup(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            self.die()

    with stage(ScriptedFabric(slave=DiesOfSetup)) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        it.crew.send(client.up[0].tid, (m.SETUP, client.calculation, m.FUNCTION, VALUES, None, None))
        it.crew.flush()
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "killed by SIGKILL", ((7, SETUP),), False)]
        it.turn_until(lambda: len(client.up) == 2)


# ---- routing


def test_messages_go_to_the_calculation_they_belong_to_and_late_ones_nowhere() -> None:
    with stage(ScriptedFabric()) as it:
        over, runs = it.client(1), it.client(2)
        it.turn_until(lambda: runs.up)
        it.crew.detach(over)
        slave = it.fabric.slaves[0]
        slave.say(m.PONG, 1, 5)
        slave.finish(Job(1, 9, [1]), [2])
        slave.say(m.PONG, 2, 6)
        it.turn_until(lambda: runs.messages)
        assert [message for _, message in runs.messages] == [(m.PONG, 2, 6)]
        assert not over.messages


def test_nothing_can_be_sent_to_who_is_not_there() -> None:
    with stage(ScriptedFabric()) as it:
        assert not it.crew.send(1, (m.FORGET, 7))
        assert not it.crew.tell(1, (m.RECALL, 7, 1))
        assert it.crew.info(1) is None
        assert not it.crew.last_lines(1)


def test_a_slave_that_reads_nothing_keeps_nobody_else_waiting() -> None:
    class Deaf(ScriptedSlave):
        def watched(self) -> Iterable[tuple[Channel, Callable[[], None]]]:
            return () if self.nickname == "here_0" else super().watched()

    large = codec.encode([bytes(32_000_000)], "values")
    text = "x" * 10_000
    with stage(ScriptedFabric(silent, slave=Deaf), ("here", "here")) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        deaf, other = client.up
        it.crew.send(deaf.tid, (m.JOB, 7, 1, large))
        it.crew.flush()
        assert it.crew.unwritten_bytes(deaf.tid) > 0
        for number in range(1000):
            it.crew.tell(deaf.tid, (m.TELL, 7, 0, (text, number), None))
        send_job(it, client, 2, other.tid)
        assert [job.number for job in it.fabric.slaves[1].jobs] == [2]
        assert it.crew.unwritten_bytes(deaf.tid) > 0


# ---- losing slaves


def test_what_a_slave_had_sent_before_its_end_comes_before_the_news_of_it() -> None:
    def answers_and_dies(slave: ScriptedSlave, job: Job) -> None:
        slave.print("last words\n")
        slave.finish(job, [2])
        slave.die()

    with stage(ScriptedFabric(answers_and_dies)) as it:
        client = it.client()
        send_job(it, client, 1)
        it.turn_until(lambda: client.lost)
        assert [message[0] for _, message in client.messages] == [m.DONE]
        assert client.lost == [("here_0", "killed by SIGKILL", (), False)]
        assert client.last_lines == ["last words\n"] or client.last_lines == ["last words"]


def test_a_lost_slave_leaves_its_jobs_of_all_calculations_in_their_order() -> None:
    with stage(ScriptedFabric(silent, silent, dies)) as it:
        one, two = it.client(1), it.client(2)
        tid = send_job(it, one, 11)
        send_job(it, two, 21, tid)
        send_job(it, one, 12, tid)
        it.turn_until(lambda: one.lost and two.lost)
        assert one.lost == two.lost == [("here_0", "killed by SIGKILL", ((1, 11), (2, 21), (1, 12)), False)]


def test_a_line_that_is_cut_without_a_reason_is_a_lost_slave_soon() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        it.fabric.slaves[0].cut_lines()
        it.settle()
        assert not client.lost
        assert not it.crew.send(client.up[0].tid, (m.FORGET, 7))
        it.pass_time(1.0)
        assert client.lost == [("here_0", "gone: its line was cut", (), False)]
        assert len(client.up) == 2


def test_a_slave_that_was_killed_and_will_not_go_is_given_up() -> None:
    with stage(ScriptedFabric(silent, slave=Immortal)) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        it.crew.end_slave(tid)
        it.crew.end_slave(tid)
        it.pass_time(4.9)
        assert not client.lost
        it.pass_time(0.1)
        assert client.lost == [("here_0", "killed", ((7, 1),), True)]
        assert len(client.up) == 2


def test_an_answer_that_comes_after_the_order_to_end_still_counts_as_given() -> None:
    with stage(ScriptedFabric(silent, slave=Immortal)) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        it.crew.end_slave(tid)
        slave = it.fabric.slaves[0]
        slave.finish(slave.jobs[0], [2])
        slave.die()
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "killed by SIGKILL", (), True)]
        assert [message[0] for _, message in client.messages] == [m.DONE]


def test_of_slaves_that_end_together_none_is_given_the_jobs_of_another() -> None:
    class Passing(Noting):
        sent: list[bool] = []  # noqa: RUF012  (one client)

        def slave_is_lost(self, gone: SlaveGone) -> None:
            super().slave_is_lost(gone)
            others = [other for other in self.up if other != gone.slave]
            self.sent += [it.crew.send(other.tid, (m.JOB, 7, 5, VALUES)) for other in others]

    with stage(ScriptedFabric(), ("here", "here")) as it:
        client = Passing(7)
        it.crew.attach(client)
        it.turn_until(lambda: len(client.up) == 2)
        with it.fabric.lock:
            for slave in it.living:
                slave.die()
        it.turn_until(lambda: len(client.lost) == 2)
        assert client.sent == [False, False]


def test_who_comes_later_is_told_first_of_slaves_that_have_loaded_nothing_yet() -> None:
    with stage(ScriptedFabric(silent), ("here", "there")) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        tid = send_job(it, client, 1, tid=min(slave.tid for slave in client.up))
        worker = next(slave for slave in it.fabric.slaves if slave.jobs)
        worker.finish(worker.jobs[0], [2])
        it.turn_until(lambda: client.messages)
        second = Noting(8)
        it.crew.attach(second)
        assert [slave.tid == tid for slave in second.up] == [False, True]


# ---- replacing


def test_a_slave_that_dies_is_replaced_at_the_same_place() -> None:
    with stage(ScriptedFabric(), ("here", "there")) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        it.fabric.slaves[1].die()
        it.turn_until(lambda: len(client.up) == 3)
        assert client.up[2].nickname == "there_1"
        assert client.up[2].tid not in {slave.tid for slave in client.up[:2]}


@pytest.mark.parametrize("slave", [DiesUnborn, cannot_start])
def test_slaves_that_never_come_up_are_tried_again_later_and_later_and_then_no_more(
    slave: type[ScriptedSlave],
) -> None:
    starts = 0

    def counted(spec: SlaveSpec, fabric: ScriptedFabric) -> ScriptedSlave:
        nonlocal starts
        starts += 1
        return slave(spec, fabric)

    with stage(ScriptedFabric(slave=counted)) as it:
        client = it.client()
        it.settle()
        seen = [starts]
        for step_s in (0.1, 0.1, 0.3, 0.2):
            it.pass_time(step_s)
            seen.append(starts)
        assert seen == [1, 1, 2, 2, 3]
        assert "3 slaves in a row ended before they were up" in client.end
        assert "no such library" in client.end or "out of processes" in client.end
        assert it.client(8).end == client.end


@pytest.mark.parametrize("failures", [1, 2])
def test_places_whose_slaves_do_not_come_up_at_once_are_filled_by_the_next_try(failures: int) -> None:
    tries = 0

    def fails_at_first(spec: SlaveSpec, fabric: ScriptedFabric) -> ScriptedSlave:
        nonlocal tries
        tries += 1
        if tries <= 10 * failures:
            return (cannot_start if tries % 2 else DiesUnborn)(spec, fabric)
        return ScriptedSlave(spec, fabric)

    with stage(ScriptedFabric(slave=fails_at_first), ("here",) * 10) as it:
        client = it.client()
        for _ in range(failures):
            it.settle()
            assert not client.up
            it.pass_time(0.5)
        it.turn_until(lambda: len(client.up) == 10)
        assert not client.end
        assert tries == 10 * failures + 10


def test_slaves_that_end_together_count_once_against_their_host() -> None:
    with stage(ScriptedFabric(), ("here",) * 20) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 20)
        with it.fabric.lock:
            for slave in it.living:
                slave.die("lost with its starter process")
        it.turn_until(lambda: len(client.up) == 40)
        assert not client.end


def test_a_host_that_is_left_out_keeps_its_living_slaves_and_gets_no_new_ones() -> None:
    with stage(ScriptedFabric(), ("bad", "bad", "good"), host_failures=2) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 3)
        first, second, good = it.fabric.slaves
        first.die()
        it.turn_until(lambda: len(client.up) == 4)
        it.living[-1].die()
        it.turn_until(lambda: len(client.lost) == 2)
        it.pass_time(100.0)
        assert [slave.nickname for slave in it.crew.slaves()] == ["bad_1", "good_2"]
        it.crew.end_slave(second.tid)
        it.turn_until(lambda: len(client.lost) == 3)
        it.pass_time(100.0)
        assert [slave.nickname for slave in it.crew.slaves()] == ["good_2"]
        assert not client.end
        good.die()
        it.turn_until(lambda: len(client.up) == 5)


def test_when_all_hosts_are_left_out_the_reasons_are_told() -> None:
    with stage(ScriptedFabric(), ("here", "there"), host_failures=1) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        for slave in it.living:
            slave.print(f"bad luck {slave.host}\n")
            slave.die()
        it.turn_until(lambda: client.end)
        assert "here: 1 slave died there" in client.end
        assert "bad luck there" in client.end


def test_a_crew_that_never_had_a_slave_is_lost_at_once() -> None:
    with stage(ScriptedFabric(), ()) as it:
        assert it.client().end == "it has no slaves"


def test_places_wait_for_a_slave_while_a_host_is_in_doubt() -> None:
    with stage(ScriptedFabric(slave=DiesUnborn)) as it:
        it.settle()
        assert it.crew.is_replacing
        it.pass_time(0.2)
        it.pass_time(0.4)
        assert not it.crew.is_replacing


# ---- slaves that end after some jobs, or because they are full


def finish_all(slave: ScriptedSlave) -> None:
    for job in list(slave.jobs):
        slave.finish(job, [2])


def test_a_slave_that_has_done_as_many_jobs_as_it_may_ends_by_itself_and_is_replaced() -> None:
    with stage(ScriptedFabric(silent, silent, slave=Recording), max_jobs=2) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        assert it.crew.jobs_left(tid) == 1
        send_job(it, client, 2, tid)
        assert it.crew.jobs_left(tid) == 0
        first = it.fabric.slaves[0]
        finish_all(first)
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "ended with exit status 0", (), True)]
        assert first.heard[-1] == (m.STOP, 0)
        it.turn_until(lambda: len(client.up) == 2)
        assert it.crew.jobs_left(client.up[1].tid) == 2


def test_who_sends_a_job_too_many_is_told_of_the_end_of_its_slave() -> None:
    with stage(ScriptedFabric(silent), max_jobs=1) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        assert not it.crew.send(tid, (m.JOB, 7, 2, VALUES))
        slave = it.fabric.slaves[0]
        slave.hand_back(slave.jobs[0])  # it has done none at all
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "ended with exit status 0", (), True)]


def test_the_place_of_a_slave_that_leaves_is_filled_at_once_and_not_twice() -> None:
    class Slow(ScriptedSlave):
        def on_stop(self) -> None:
            pass

    with stage(ScriptedFabric(slave=Slow)) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        it.crew.retire_slave(client.up[0].tid)
        it.turn_until(lambda: len(client.up) == 2)
        assert not client.lost
        it.pass_time(2.0)
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "killed by SIGKILL", (), True)]
        it.pass_time(100.0)
        assert len(it.fabric.slaves) == 2


def test_a_slave_that_leaves_does_the_jobs_that_it_has() -> None:
    with stage(ScriptedFabric(silent, silent)) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        send_job(it, client, 2, tid)
        slave = it.fabric.slaves[0]
        slave.say_full(5_000_000_000)
        it.settle()
        assert slave.is_alive
        assert not it.crew.send(tid, (m.JOB, 7, 3, VALUES))
        assert it.crew.jobs_left(tid) is None or not it.crew.jobs_left(tid)
        finish_all(slave)
        it.turn_until(lambda: client.lost)
        assert [message[0] for _, message in client.messages] == [m.DONE, m.DONE]
        assert client.lost == [("here_0", "ended with exit status 0", (), True)]
        it.turn_until(lambda: len(client.up) == 2)


def test_slaves_that_are_full_do_not_count_against_their_host() -> None:
    with stage(ScriptedFabric(), host_failures=1) as it:
        client = it.client()
        for number in range(1, 5):
            it.turn_until(lambda number=number: len(client.up) == number)
            it.living[-1].say_full(1)
        it.turn_until(lambda: len(client.up) == 5)
        assert not client.end


def test_a_slave_that_leaves_and_dies_of_its_job_is_blamed_for_it() -> None:
    with stage(ScriptedFabric(silent)) as it:
        client = it.client()
        send_job(it, client, 1)
        slave = it.fabric.slaves[0]
        slave.say_full(1)
        it.settle()
        slave.die()
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "killed by SIGKILL", ((7, 1),), False)]
        it.turn_until(lambda: len(client.up) == 2)


# ---- taking jobs back


def test_a_slave_that_works_for_a_calculation_that_is_over_is_replaced() -> None:
    with stage(ScriptedFabric(silent)) as it:
        over, other = it.client(1), it.client(2)
        tid = send_job(it, over, 11)
        it.crew.detach(over)
        it.turn_until(lambda: len(other.up) == 2)
        assert other.lost == [("here_0", "killed by SIGKILL", ((1, 11),), True)]
        assert not over.lost
        assert other.up[1].tid != tid


def test_idle_slaves_of_a_calculation_that_is_over_forget_it_and_live_on() -> None:
    with stage(ScriptedFabric()) as it:
        over = it.client(1)
        it.turn_until(lambda: over.up)
        it.crew.detach(over)
        it.crew.detach(over)
        it.settle()
        assert it.fabric.slaves[0].heard == [(m.FORGET, 1)]
        assert len(it.fabric.slaves) == 1


class NeverReady(ScriptedSlave):
    """What it loads, or initializes, does not end."""

    def on_setup(self, calculation: int) -> None:
        pass


class ReadyForThree(ScriptedSlave):
    """What it loads ends for calculation 3 only."""

    def on_setup(self, calculation: int) -> None:
        if calculation == 3:
            super().on_setup(calculation)


def ask_to_set_up(it: Stage, client: Noting, slave: int = 0) -> None:
    """Have the first slave, or another one, make itself ready."""
    it.turn_until(lambda: len(client.up) > slave)
    it.crew.send(client.up[slave].tid, (m.SETUP, client.calculation, m.FUNCTION, VALUES, None, None))
    it.crew.flush()
    it.settle()


def test_a_slave_that_is_made_ready_for_a_calculation_that_is_over_is_replaced_when_others_need_it() -> None:
    with stage(ScriptedFabric(slave=NeverReady)) as it:
        over, other = it.client(1), it.client(2)
        ask_to_set_up(it, over)
        it.crew.detach(over)
        it.pass_time(60.0)
        assert not other.lost  # what it loads may be of use to others, too
        ask_to_set_up(it, other)
        it.pass_time(5.0)
        it.turn_until(lambda: len(other.up) == 2)
        assert other.lost == [("here_0", "killed by SIGKILL", ((1, SETUP),), True)]


def test_no_slave_is_replaced_in_its_setup_while_others_become_ready() -> None:
    with stage(ScriptedFabric(slave=ReadyForThree), ("here", "there")) as it:
        over, other, ready = it.client(1), it.client(2), it.client(3)
        ask_to_set_up(it, over)
        it.crew.detach(over)
        ask_to_set_up(it, other)
        it.pass_time(4.0)
        ask_to_set_up(it, ready, slave=1)
        it.pass_time(4.0)
        assert not other.lost  # it may just be slow
        it.pass_time(5.0)
        it.turn_until(lambda: other.lost)


def test_a_slave_that_comes_to_be_made_ready_for_what_is_over_is_replaced_then() -> None:
    with stage(ScriptedFabric(silent, slave=NeverReady)) as it:
        stays, over = it.client(1), it.client(2)
        send_job(it, stays, 11)
        ask_to_set_up(it, over)
        it.crew.detach(over)
        it.pass_time(9.0)
        assert not stays.lost  # it works for another
        finish_all(it.fabric.slaves[0])
        it.turn_until(lambda: stays.messages)
        ask_to_set_up(it, stays)
        it.pass_time(5.0)
        it.turn_until(lambda: stays.lost)
        assert stays.lost[0][2:] == (((2, SETUP),), True)


def test_a_slave_that_is_ready_for_what_is_over_soon_enough_lives_on() -> None:
    with stage(ScriptedFabric()) as it:
        over, other = it.client(1), it.client(2)
        it.turn_until(lambda: over.up)
        it.crew.send(over.up[0].tid, (m.SETUP, 1, m.FUNCTION, VALUES, None, None))
        it.crew.detach(over)
        it.crew.flush()
        it.settle()
        it.pass_time(9.0)
        assert not other.lost


def test_a_job_behind_that_of_another_calculation_is_taken_back_without_a_kill() -> None:
    with stage(ScriptedFabric(silent, silent)) as it:
        stays, over = it.client(1), it.client(2)
        tid = send_job(it, stays, 11)
        send_job(it, over, 21, tid)
        it.crew.detach(over)
        it.settle()
        slave = it.fabric.slaves[0]
        assert [job.number for job in slave.jobs] == [11]
        slave.finish(slave.jobs[0], [2])
        it.turn_until(lambda: stays.messages)
        it.pass_time(10.0)
        assert slave.is_alive


def test_a_job_that_was_begun_before_it_could_be_taken_back_is_ended() -> None:
    class Busy(ScriptedSlave):
        def on_recall(self, job: Job) -> None:
            pass  # it has begun

    with stage(ScriptedFabric(silent, silent, slave=Busy)) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        send_job(it, client, 2, tid)
        it.crew.cancel(tid, (7, 2))
        slave = it.fabric.slaves[0]
        slave.finish(slave.jobs[0], [2])
        it.turn_until(lambda: client.messages)
        it.pass_time(0.2)
        assert slave.is_alive
        it.pass_time(0.1)
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "killed by SIGKILL", ((7, 2),), True)]


def test_a_job_that_is_answered_before_it_is_cancelled_costs_no_slave() -> None:
    with stage(ScriptedFabric(silent)) as it:
        client = it.client()
        tid = send_job(it, client, 1)
        slave = it.fabric.slaves[0]
        slave.finish(slave.jobs[0], [2])
        it.turn_until(lambda: client.messages)
        it.crew.cancel(tid, (7, 1))
        it.pass_time(10.0)
        assert slave.is_alive


# ---- the end


def test_at_the_end_idle_slaves_are_asked_and_busy_ones_killed() -> None:
    with stage(ScriptedFabric(silent, slave=Recording), ("here", "here")) as it:
        client = it.client()
        send_job(it, client, 1)
    busy, idle = it.fabric.slaves
    assert isinstance(busy, Recording)
    assert isinstance(idle, Recording)
    assert (busy.was_killed, idle.was_killed) == (True, False)
    assert idle.heard[-1] == (m.STOP, 0)
    assert client.end == "it has ended"


class Recording(ScriptedSlave):
    """It remembers whether it was killed."""

    was_killed = False

    def on_kill(self) -> None:
        self.was_killed = True
        super().on_kill()


def test_who_comes_after_the_end_is_told() -> None:
    with stage(ScriptedFabric()) as it:
        pass
    assert it.client().end == "it has ended"
    assert not it.crew.slaves()
    it.turn()
    it.crew.wake()
    it.crew.close()


def test_at_the_end_slaves_that_are_being_made_ready_are_not_waited_for() -> None:
    with stage(ScriptedFabric(slave=NeverReady)) as it:
        ask_to_set_up(it, it.client())
    assert (m.STOP, 0) not in it.fabric.slaves[0].heard
    assert not it.fabric.slaves[0].is_alive


def test_the_crew_may_end_when_idle() -> None:
    with stage(ScriptedFabric()) as it:
        client = it.client()
        it.crew.end_when_idle("enough")
        assert not it.crew.driving.is_stopping
        assert it.client(8).end == "enough"
        it.crew.detach(client)
        assert it.crew.driving.is_stopping


# ---- descriptors


def test_a_fabric_may_come_back_with_a_new_descriptor_of_the_same_number() -> None:
    """As a starter that was killed does: the old descriptor is closed, and the new one gets its number."""
    with stage(Reopening()) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        before = list(it.fabric.descriptors())
        it.fabric.slaves[0].die()
        it.turn_until(lambda: len(client.up) == 2)
        assert list(it.fabric.descriptors()) == before
        it.fabric.slaves[1].die()
        it.turn_until(lambda: len(client.lost) == 2)
        assert client.lost[1][1] == "killed by SIGKILL"


class Reopening(ScriptedFabric):
    """It begins anew when its last slave has ended, with a descriptor of the same number."""

    _number = -1

    def _open(self) -> None:
        was_open = self._is_open
        super()._open()
        if self._number < 0:
            self._number = os.dup(self._selector.fileno())
        elif not was_open:
            os.dup2(self._selector.fileno(), self._number)

    def descriptors(self) -> Iterable[int]:
        return [self._number] if self._is_open else []

    def poll(self) -> list[SlaveEnded]:
        ended = super().poll()
        if ended and not any(slave.is_alive for slave in self.slaves):
            self.close()
            self._open()
        return ended

    def close(self) -> None:
        if self._is_open:
            os.close(self._number)
        super().close()


def test_handlers_of_what_an_earlier_one_has_closed_are_not_called() -> None:
    with stage(ScriptedFabric(silent, silent), ("here", "here")) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        for slave in it.living:
            slave.say(m.PONG, 7, 1)
        calls = []

        def deliver(tid: int, message: object) -> None:
            calls.append(tid)
            it.crew._endings.lose(next(s for s in it.crew._slaves if s != tid), "gone", {})

        client.deliver = deliver  # type: ignore[method-assign, assignment]
        it.turn()
        assert len(calls) == 1


def test_the_lines_of_a_slave_are_its_own() -> None:
    with stage(ScriptedFabric(), ("here", "here")) as it:
        lines: list[SlaveLines] = [slave.lines for slave in it.fabric.slaves]
        descriptors = {lines[i].line.fileno() for i in (0, 1)} | {lines[i].control.fileno() for i in (0, 1)}
        assert len(descriptors) == 4
        with selectors.DefaultSelector() as selector:
            for descriptor in descriptors:
                selector.register(descriptor, selectors.EVENT_READ)


def test_places_that_wait_for_a_slave_are_not_filled_at_the_end() -> None:
    class Slow(DiesUnborn):
        def on_start(self) -> None:
            if self.nickname == "here_0":
                ScriptedSlave.on_start(self)
            else:
                super().on_start()

        def on_stop(self) -> None:
            it.clock.step(100.0)  # long enough for every timer

    with stage(ScriptedFabric(slave=Slow), ("here", "there")) as it:
        it.turn_until(lambda: len(it.fabric.slaves) == 2)
        it.settle()
    assert len(it.fabric.slaves) == 2


# ---- many slaves


def test_who_has_too_few_descriptors_for_all_slaves_is_told_how_to_get_more() -> None:
    with stage(ScriptedFabric(slave=has_no_descriptors)) as it:
        (trouble,) = it.crew.trouble()
        assert "a slave takes 3 of this program's" in trouble.reason
        assert "`ulimit -n`" in trouble.reason


def test_what_is_put_for_many_slaves_is_sent_before_all_is_put() -> None:
    with stage(ScriptedFabric(), ("here",) * 9) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 9)
        unsent = []
        for slave in client.up:
            it.crew.send(slave.tid, (m.JOB, client.calculation, 1, VALUES))
            it.crew.flush_early()
            unsent.append(it.crew._post.n_unflushed)
    assert unsent == [1, 2, 3, 4, 5, 6, 7, 0, 1]


def test_what_slaves_are_to_forget_is_sent_with_the_next_turn() -> None:
    with stage(ScriptedFabric(), ("here",) * 2) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        it.crew.detach(client)
        assert it.crew._post.n_unflushed == 2
        it.turn()
        assert it.crew._post.n_unflushed == 0
