"""Signs of life: lists of events, with scripted slaves and a clock; and processes that are really stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, Gates, Noting, Stage, stage, wait_for_end, wait_for_slaves
from tests.pool.test_crew import VALUES, finish_all, send_job
from tracking import SlavePool, TrackingJobMaster
from tracking.fabrics.base import Condition, News, SlaveEnded
from tracking.testing import ScriptedFabric, ScriptedSlave, silent
from tracking.wire import codec
from tracking.wire import messages as m
from tracking.wire.channel import Channel


class Freezing(ScriptedSlave):
    """It does not answer beats, nor anything else, when it is frozen."""

    is_frozen = False

    def on_beat(self) -> None:
        if not self.is_frozen:
            super().on_beat()

    def on_stop(self) -> None:
        if not self.is_frozen:
            super().on_stop()

    @property
    def n_beats(self) -> int:
        return sum(message[0] == m.BEAT for message in self.heard)


class Seen(ScriptedFabric):
    """A fabric that sees what the test says."""

    condition = Condition.STOPPED
    n_looks = 0

    def look_at(self, tid: int) -> Condition:
        self.n_looks += 1
        return self.condition


def freeze(slave: ScriptedSlave) -> None:
    assert isinstance(slave, Freezing)
    slave.is_frozen = True


@contextmanager
def frozen_stage(hosts: tuple[str, ...] = ("here",), **options: object) -> Iterator[tuple[Stage, Noting, Seen]]:
    """A stage on which the first slave works on job 1 and is frozen."""
    fabric = Seen(silent, silent, silent, silent, slave=Freezing)
    with stage(fabric, hosts, **options) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == len(hosts))
        send_job(it, client, 1, fabric.slaves[0].tid)
        freeze(fabric.slaves[0])
        yield it, client, fabric


def pass_beats(it: Stage, how_many: int) -> None:
    for _ in range(how_many):
        it.pass_time(1.0)


# ---- who is asked


def test_only_slaves_that_have_said_nothing_are_asked() -> None:
    with stage(Seen(slave=Freezing), ("here", "here")) as it:
        client = it.client()
        it.turn_until(lambda: len(client.up) == 2)
        quiet, lively = it.fabric.slaves
        for _ in range(5):
            it.clock.step(0.9)
            lively.say(m.PONG, 7, 1)
            it.settle()
            it.pass_time(0.1)
        assert isinstance(quiet, Freezing)
        assert isinstance(lively, Freezing)
        assert quiet.n_beats >= 3
        assert lively.n_beats == 0
        assert not client.heard_of
        assert all(message[0] != m.ALIVE for _, message in client.messages)


def test_nobody_is_asked_while_nobody_waits_for_anything() -> None:
    with stage(Seen(slave=Freezing)) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        slave = it.fabric.slaves[0]
        assert isinstance(slave, Freezing)
        client.is_busy = False
        pass_beats(it, 10)
        before = slave.n_beats
        pass_beats(it, 10)
        assert slave.n_beats == before <= 1
        client.is_busy = True
        it.crew.look_who_is_busy()
        pass_beats(it, 2)
        assert slave.n_beats > before


def test_beats_are_not_heaped_up_before_a_slave_that_does_not_read() -> None:
    class Deaf(Freezing):
        def watched(self) -> Iterable[tuple[Channel, Callable[[], None]]]:
            return ()

    fabric = Seen(slave=Deaf)
    fabric.condition = Condition.UNKNOWN
    with stage(fabric, silence_timeout_s=1e6) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        tid = client.up[0].tid
        while not it.crew._slaves[tid].lines.control.unwritten_bytes:  # type: ignore[union-attr]
            assert it.crew.tell(tid, (m.TELL, 7, 0, "x" * 100_000, None))
        before = it.crew._slaves[tid].lines.control.unwritten_bytes  # type: ignore[union-attr]
        pass_beats(it, 100)
        assert it.crew._slaves[tid].lines.control.unwritten_bytes == before  # type: ignore[union-attr]


def test_a_slave_that_never_reads_its_messages_is_ended_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deaf(ScriptedSlave):
        def watched(self) -> Iterable[tuple[Channel, Callable[[], None]]]:
            return ()

    monkeypatch.setattr("tracking.pool.post._MOST_UNHEARD_BYTES", 10_000_000)
    with stage(ScriptedFabric(slave=Deaf)) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        for _ in range(1000):
            if not it.crew.tell(client.up[0].tid, (m.TELL, 7, 0, "x" * 100_000, None)):
                break
        else:
            raise AssertionError("it takes messages without end")
        it.turn_until(lambda: client.lost)
        assert "does not read its messages" in client.lost[0][1]


# ---- who is silent


def test_a_stopped_slave_is_waited_for_no_longer_and_has_a_stand_in_but_lives_on() -> None:
    with frozen_stage() as (it, client, fabric):
        pass_beats(it, 4)
        assert client.heard_of == [("here_0", True)]
        assert len(client.up) == 2
        assert client.up[1].nickname == "here_0"
        pass_beats(it, 100)
        assert len(fabric.slaves) == 2
        assert fabric.slaves[0].is_alive
        assert not client.lost


def test_a_slave_that_works_without_a_word_is_never_silent() -> None:
    with frozen_stage() as (it, client, fabric):
        fabric.condition = Condition.WORKING
        pass_beats(it, 200)
        assert not client.heard_of
        assert len(fabric.slaves) == 1


def test_one_of_whom_nothing_is_known_is_silent_after_the_timeout() -> None:
    with frozen_stage(silence_timeout_s=20.0) as (it, client, fabric):
        fabric.condition = Condition.UNKNOWN
        pass_beats(it, 18)
        assert not client.heard_of
        pass_beats(it, 5)
        assert client.heard_of == [("here_0", True)]


def test_who_answers_is_not_looked_at() -> None:
    with stage(Seen(slave=Freezing)) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        pass_beats(it, 50)
        assert isinstance(it.fabric, Seen)
        assert it.fabric.n_looks == 0


def test_whoever_has_a_stand_in_is_ended_when_its_jobs_are_answered() -> None:
    with frozen_stage() as (it, client, fabric):
        pass_beats(it, 4)
        first = fabric.slaves[0]
        assert isinstance(first, Freezing)
        first.is_frozen = False
        first.say(m.ALIVE, 0)
        it.settle()
        assert client.heard_of == [("here_0", True)]  # it gets nothing more, so nobody need know
        assert not it.crew.send(first.tid, (m.JOB, 7, 2, VALUES))
        finish_all(first)
        it.turn_until(lambda: client.lost)
        assert [message[:3] for _, message in client.messages] == [(m.DONE, 7, 1)]
        assert client.lost == [("here_0", "ended with exit status 0", (), True)]
        it.pass_time(100.0)
        assert len(it.living) == 1
        assert len(fabric.slaves) == 2


def test_a_silent_slave_that_is_the_loser_of_a_race_ends_and_its_place_is_not_filled_twice() -> None:
    with frozen_stage() as (it, client, fabric):
        pass_beats(it, 4)
        it.crew.cancel(fabric.slaves[0].tid, (7, 1))
        it.turn_until(lambda: client.lost)
        it.pass_time(100.0)
        assert len(fabric.slaves) == 2


def test_a_silent_slave_with_a_stand_in_that_dies_is_not_replaced_again() -> None:
    with frozen_stage() as (it, client, fabric):
        pass_beats(it, 4)
        fabric.slaves[0].die()
        it.turn_until(lambda: client.lost)
        it.pass_time(100.0)
        assert len(fabric.slaves) == 2


def test_an_idle_silent_slave_ends_at_once_since_it_has_nothing_to_lose() -> None:
    with stage(Seen(slave=Freezing)) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        freeze(it.fabric.slaves[0])
        pass_beats(it, 4)
        assert client.heard_of == [("here_0", True)]
        pass_beats(it, 3)
        it.turn_until(lambda: client.lost)
        assert client.lost == [("here_0", "killed by SIGKILL", (), True)]
        assert len(it.fabric.slaves) == 2


def test_where_no_stand_in_can_be_had_a_slave_that_is_heard_again_works_on() -> None:
    with frozen_stage(("here", "here"), host_failures=1) as (it, client, fabric):
        fabric.slaves[1].die()
        it.turn_until(lambda: client.lost)  # and its host is left out
        pass_beats(it, 5)
        assert client.heard_of == [("here_0", True)]
        first = fabric.slaves[0]
        first.say(m.ALIVE, 0)
        it.settle()
        assert client.heard_of == [("here_0", True), ("here_0", False)]
        assert it.crew.send(first.tid, (m.JOB, 7, 2, VALUES))


def test_a_place_has_two_slaves_at_most_and_a_stopped_one_makes_room() -> None:
    with frozen_stage() as (it, client, fabric):
        pass_beats(it, 4)
        first, second = fabric.slaves
        send_job(it, client, 2, second.tid)
        freeze(second)
        fabric.condition = Condition.UNKNOWN
        pass_beats(it, 40)
        assert client.heard_of == [("here_0", True), ("here_0", True)]
        assert [slave.is_alive for slave in fabric.slaves] == [True, True]
        fabric.condition = Condition.STOPPED
        pass_beats(it, 3)
        assert [slave.is_alive for slave in fabric.slaves] == [False, True, True]
        assert client.lost == [("here_0", "stopped, and did not answer: ended by us", ((7, 1),), True)]
        assert len(client.up) == 3
        assert first.tid != second.tid


def test_who_takes_what_is_sent_is_heard() -> None:
    """A large job on a slow line is news all the time, though the slave says nothing until it has it whole."""

    class SlowReader(Freezing):
        def watched(self) -> Iterable[tuple[Channel, Callable[[], None]]]:
            return ()

        def read_some(self) -> None:
            for _ in range(100):
                self._line.receive()

    fabric = Seen(slave=SlowReader)
    with stage(fabric) as it:
        client = it.client()
        it.turn_until(lambda: client.up)
        slave = fabric.slaves[0]
        assert isinstance(slave, SlowReader)
        large = codec.encode([bytes(200_000_000)], "values")
        it.crew.send(slave.tid, (m.JOB, 7, 1, large))
        it.crew.flush()
        for _ in range(8):
            slave.read_some()
            pass_beats(it, 1)
            assert it.crew.unwritten_bytes(slave.tid)
        assert not client.heard_of


# ---- who never comes up


class Unborn(ScriptedSlave):
    def on_start(self) -> None:
        pass


def test_a_slave_that_does_not_come_up_in_time_is_a_failed_start() -> None:
    with stage(ScriptedFabric(slave=Unborn)) as it:
        client = it.client()
        for _ in range(3 * 65):
            it.pass_time(1.0)
        assert len(it.fabric.slaves) == 3
        assert "3 slaves in a row ended before they were up; the last did not come up within 60 s" in client.end


def test_a_slave_that_does_not_come_up_in_time_is_a_failed_start_though_nobody_waits_for_anything() -> None:
    with stage(ScriptedFabric(slave=Unborn)) as it:
        client = it.client()
        client.is_busy = False
        it.crew.look_who_is_busy()
        for _ in range(3 * 65):
            it.pass_time(1.0)
        assert "3 slaves in a row ended before they were up; the last did not come up within 60 s" in client.end


def test_what_a_fabric_says_at_once_of_a_slave_that_it_stops_is_heard_at_once() -> None:
    class Pending(ScriptedFabric):
        shares_memory = False
        stopped: ClassVar[list[SlaveEnded]] = []

        def stop(self, tid: int) -> None:
            self.stopped.append(SlaveEnded(tid, "ended before it was started"))

        def poll_within_s(self) -> float | None:
            return 0.0 if self.stopped else None

        def poll(self) -> list[News]:
            news, self.stopped[:] = [*self.stopped], []
            return [*news]

    with stage(Pending(slave=Unborn)) as it:
        client = it.client()
        for _ in range(62):
            it.pass_time(1.0)
        assert len(client.lost) == 1, "not only when it might have ended without a word"


def test_a_fabric_says_how_long_its_slaves_may_take_to_come_up() -> None:
    class Slow(ScriptedFabric):
        start_timeout_s = None

    with stage(Slow(slave=Unborn)) as it:
        client = it.client()
        for _ in range(300):
            it.pass_time(2.0)
        assert len(it.fabric.slaves) == 1
        assert not client.lost


# ---- real processes


def test_a_stopped_slave_of_two_holds_up_nothing() -> None:
    items = dict.fromkeys(range(40), 0.02)
    with SlavePool(2, heartbeat=0.2) as pool:
        first, _ = wait_for_slaves(pool, 2)
        master = TrackingJobMaster(items, function=jobs.short, pool=pool, verbose=0, chunk_size=1)
        came = 0
        for _ in master:
            came += 1
            if came == 5:
                os.kill(first, signal.SIGSTOP)
        assert came == 40
    wait_for_end(first)


def test_a_slave_that_is_stopped_and_goes_on_loses_and_doubles_nothing() -> None:
    items = dict.fromkeys(range(60), 0.02)
    with SlavePool(2, heartbeat=0.1) as pool:
        pids = wait_for_slaves(pool, 2)
        done: list[int] = []

        class Counting(TrackingJobMaster):
            def job_done(self, tid: int, jobs: dict[int, int]) -> None:
                done.extend(jobs)

        def stop_and_go_on() -> None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # it may have been ended as the loser of a race
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(0.6)
                    os.kill(pid, signal.SIGCONT)

        master = Counting(items, function=jobs.short, pool=pool, verbose=0, chunk_size=1)
        stopper = threading.Thread(target=stop_and_go_on)
        stopper.start()
        result = master.calculateResult()
        stopper.join()
        assert sorted(result) == sorted(items)
        assert sorted(done) == sorted(items)


@pytest.mark.parametrize(
    ("function", "argument"), [(jobs.sleep_holding_the_interpreter, 1.0), (jobs.burn_holding_the_interpreter, 21)]
)
def test_a_slave_that_holds_the_interpreter_is_not_killed(function: Callable[[float], int], argument: float) -> None:
    with SlavePool(1, heartbeat=0.1) as pool:
        (first,) = wait_for_slaves(pool, 1)
        assert pool.submit(function, argument).result(WAIT_S) == first
        assert list(pool.pids.values()) == [first]


def starter_of(slave: int) -> int:
    return int(Path(f"/proc/{slave}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_pool_with_stopped_idle_slaves_and_a_stopped_starter_ends() -> None:
    pool = SlavePool(2)
    pids = wait_for_slaves(pool, 2)
    starter = starter_of(pids[0])
    for pid in [*pids, starter]:
        os.kill(pid, signal.SIGSTOP)
    pool.shutdown()  # it waits for none of them for ever
    wait_for_end(*pids, starter)

@contextmanager
def waiting_call(pool: SlavePool, folder: Path) -> Iterator[Future[int]]:
    """A call that the first slave which begins it does not end, and any other at once; it has begun."""
    gate = Gates(folder).new()
    future = pool.submit(jobs.wait_first, str(folder / "mark"), gate)
    end = os.open(gate, os.O_WRONLY)  # waits for who waits there
    try:
        yield future
    finally:
        os.close(end)


def test_the_only_slave_is_stopped_and_a_stand_in_finishes(tmp_path: Path) -> None:
    with SlavePool(1, heartbeat=0.1) as pool:
        (first,) = wait_for_slaves(pool, 1)
        with waiting_call(pool, tmp_path) as future:
            os.kill(first, signal.SIGSTOP)
            assert future.result(WAIT_S) != first


def test_kills_and_starts_are_obeyed_though_the_starter_was_stopped(tmp_path: Path) -> None:
    with SlavePool(1, heartbeat=0.1) as pool:
        (first,) = wait_for_slaves(pool, 1)
        with waiting_call(pool, tmp_path) as future:
            os.kill(starter_of(first), signal.SIGSTOP)
            os.kill(first, signal.SIGSTOP)
            assert future.result(WAIT_S) != first


