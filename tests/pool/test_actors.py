"""Objects on slaves: every way in which one of them, its slave or the pool may end while it is asked something."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from multiprocessing import Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, Gates, Held
from tracking import (
    EncodeError,
    InputError,
    ItemKilledSlave,
    ItemRaised,
    ItemResultError,
    NoSlavesError,
    SlaveLost,
    SlavePool,
)
from tracking.errors import TrackingError
from tracking.pool.actors import Actor
from tracking.testing import Job, ScriptedFabric, ScriptedSlave
from tracking.wire import messages as m


class Sum:
    """Remembers."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, n: int) -> int:
        self.value += n
        return self.value


class Noted:
    """A watcher that notes what it is told."""

    def __init__(self) -> None:
        self.told: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def actor_is_up(self, actor: Actor) -> None:
        self.told.put(("up", actor))

    def actor_is_lost(self, actor: Actor) -> None:
        self.told.put(("lost", actor))

    def actor_has_failed(self, actor: Actor) -> None:
        self.told.put(("failed", actor))

    def host_is_given_up(self, host: str, why: str) -> None:
        self.told.put(("given up", host))

    def all_are_lost(self, error: TrackingError) -> None:
        self.told.put(("all lost", error))

    def next(self, kind: str) -> Any:
        while True:
            what, of = self.told.get(timeout=WAIT_S)
            if what == kind:
                return of


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def pool_of_one(held: Held) -> Iterator[SlavePool]:
    """A pool whose one slave holds its first call, and the one that is sent behind it."""
    with SlavePool(1, fabric=ScriptedFabric(held, held)) as pool:
        yield pool


# ---- outcomes


def test_an_object_remembers_and_each_slave_has_its_own() -> None:
    with SlavePool(2) as pool, pool.actors(Sum) as actors:
        one, other = actors.up()
        assert [one.call(Sum.add, n).result(WAIT_S) for n in (1, 2, 3)] == [1, 3, 6]
        assert other.call(Sum.add, 10).result(WAIT_S) == 10
        assert (one.host, one.nickname, one.tid in pool.slaves) == ("localhost", "localhost_0", True)


def test_calls_of_one_actor_are_made_in_the_order_of_asking() -> None:
    with SlavePool(1) as pool, pool.actors(list) as actors:
        (actor,) = actors.up()
        for n in range(200):
            actor.call(list.append, n)
        assert actor.call(list).result(WAIT_S) == list(range(200))


def test_what_a_call_raises_comes_with_its_traceback_and_harms_nothing() -> None:
    with SlavePool(1) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        error = actor.call(Sum.add, "x").exception(WAIT_S)
        assert isinstance(error, TypeError)
        assert isinstance(error.__cause__, ItemRaised)
        assert "in add" in error.__cause__.remote_traceback
        assert isinstance(actor.call(jobs_unsendable).exception(WAIT_S), ItemResultError)
        assert isinstance(actor.call(Sum.add, (n for n in range(3))).exception(WAIT_S), EncodeError)
        assert actor.call(Sum.add, 1).result(WAIT_S) == 1
        assert not actor.is_lost


def jobs_unsendable(made: object) -> object:
    return jobs.unsendable()


def test_keyword_arguments_and_functions_defined_on_the_spot_travel() -> None:
    with SlavePool(1) as pool, pool.actors(dict) as actors:
        (actor,) = actors.up()
        actor.call(dict.update, a=1).result(WAIT_S)
        assert actor.call(lambda made, key="b": (made["a"], key), key="c").result(WAIT_S) == (1, "c")


def test_arguments_are_those_at_the_time_of_asking(held: Held, pool_of_one: SlavePool) -> None:
    actors = pool_of_one.actors(list)
    (actor,) = actors.up()
    first, mutable = actor.call(len), [1]
    future = actor.call(list.append, mutable)
    mutable.append(2)
    for slave, job in (held.next(), held.next()):
        slave.finish(job)
    assert (first.result(WAIT_S), future.result(WAIT_S)) == (0, None)
    assert actor.call(list).result(WAIT_S) == [[1]]


def test_other_users_of_the_pool_and_other_objects_share_the_slaves() -> None:
    with SlavePool(1) as pool, pool.actors(list) as some, pool.actors(dict) as others:
        assert some.up()[0].call(list.append, 1).result(WAIT_S) is None
        assert others.up()[0].call(len).result(WAIT_S) == 0
        assert pool.submit(jobs.add, 1, 2).result(WAIT_S) == 3
        assert some.up()[0].call(len).result(WAIT_S) == 1


# ---- making


def fail_to_make() -> None:
    raise ValueError("cannot be made")


def test_what_cannot_be_sent_is_told_at_once() -> None:
    generator = (n for n in range(3))
    with SlavePool(1, fabric=ScriptedFabric()) as pool, pytest.raises(EncodeError):
        pool.actors(lambda: generator)


def test_an_object_that_cannot_be_made_fails_calls_with_the_reason_and_the_slave_lives_on() -> None:
    with SlavePool(2) as pool:
        pids, actors, noted = pool.submit(jobs.pid).result(WAIT_S), pool.actors(fail_to_make), Noted()
        actors.watch(noted)
        actor = noted.next("failed")
        assert isinstance(actor.error, ValueError)
        assert "fail_to_make" in actor.error.__cause__.remote_traceback
        error = noted.next("all lost")
        with pytest.raises(ValueError, match="cannot be made"):  # its own error, though there are no others either
            actor.call(len).result(WAIT_S)
        assert "cannot be made" in str(error)
        assert isinstance(error, NoSlavesError)
        with pytest.raises(NoSlavesError, match="cannot be made"):
            actors.prepare(len).future.result(WAIT_S)
        assert actors.up() == []
        assert pids in pool.pids.values()


def test_a_maker_that_kills_its_slaves_is_given_up_soon() -> None:
    with SlavePool(4, fabric=ScriptedFabric(slave=DiesOfSetup)) as pool:
        actors = pool.actors(Sum)
        call, noted = actors.prepare(Sum.add, 1), Noted()
        actors.watch(noted)
        assert "killed by SIGKILL" in str(noted.next("all lost"))
        with pytest.raises(NoSlavesError, match="3 slaves in a row"):
            call.future.result(WAIT_S)


class DiesOfSetup(ScriptedSlave):
    def on_setup(self, calculation: int) -> None:
        self.die()


def die_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_maker_that_kills_its_slaves_is_no_fault_of_what_waits_behind_it() -> None:
    with SlavePool(2) as pool:
        calls = [pool.submit(jobs.add, n, 1) for n in range(20)]
        actors = pool.actors(die_at_once)
        assert actors.up() == []
        calls += [pool.submit(jobs.add, n, 1) for n in range(20)]
        assert [call.result(WAIT_S) for call in calls] == [*range(1, 21), *range(1, 21)]
        with pytest.raises(NoSlavesError, match="slaves in a row ended while their object was made"):
            actors.prepare(len).future.result(WAIT_S)


def test_a_call_that_kills_its_slave_is_no_fault_of_the_call_behind_it_nor_the_other_way_round() -> None:
    with SlavePool(1, max_deaths=1) as pool, pool.actors(Sum) as actors:
        noted = Noted()
        actors.watch(noted)
        for _ in range(2):
            actor = noted.next("up")
            killing = actor.call(lambda _: die_at_once())
            behind = pool.submit(jobs.add, 1, 2)
            assert isinstance(killing.exception(WAIT_S), SlaveLost)
            assert behind.result(WAIT_S) == 3
        actor = noted.next("up")
        with pytest.raises(ItemKilledSlave):
            pool.submit(die_at_once).result(WAIT_S)
        with pytest.raises(SlaveLost, match="killed by SIGKILL"):
            actor.call(Sum.add, 1).result(WAIT_S)


# ---- losses


def test_lost_with_calls_out_and_waiting_all_fail_and_say_how(held: Held, pool_of_one: SlavePool) -> None:
    actors, noted = pool_of_one.actors(Sum), Noted()
    actors.watch(noted)
    actor = noted.next("up")
    futures = [actor.call(Sum.add, n) for n in range(5)]
    (slave, _), _ = held.next(), held.next()  # both are there: the next slave holds nothing
    slave.print("last words\n")
    slave.die()
    for future in futures:
        error = future.exception(WAIT_S)
        assert isinstance(error, SlaveLost)
        assert (error.host, error.nickname, error.how) == ("localhost", "localhost", "killed by SIGKILL")
        assert str(error).endswith("killed by SIGKILL\nits last lines:\nlast words")
    assert noted.next("lost") is actor
    assert actor.is_lost
    with pytest.raises(SlaveLost):
        actor.call(Sum.add, 1).result(WAIT_S)
    assert noted.next("up") is not actor
    (new,) = actors.up()
    assert (new.nickname, new.tid != actor.tid) == (actor.nickname, True)
    assert new.call(Sum.add, 1).result(WAIT_S) == 1  # a fresh object


def test_lost_before_it_is_ready_is_replaced_and_nobody_hears_of_it() -> None:
    lives = iter([DiesOfSetup])
    fabric = ScriptedFabric(slave=lambda spec, fabric: next(lives, ScriptedSlave)(spec, fabric))
    with SlavePool(1, fabric=fabric) as pool, pool.actors(Sum) as actors:
        noted = Noted()
        actors.watch(noted)
        assert noted.next("up").call(Sum.add, 2).result(WAIT_S) == 2
    assert len(fabric.slaves) == 2


def test_a_real_slave_that_is_killed_fails_its_calls_and_only_those() -> None:
    with SlavePool(2) as pool, pool.actors(Sum) as actors:
        one, other = actors.up()
        other.call(Sum.add, 5).result(WAIT_S)
        future = one.call(lambda made: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(SlaveLost, match="SIGKILL"):
            future.result(WAIT_S)
        assert other.call(Sum.add, 1).result(WAIT_S) == 6
        assert [actor.nickname for actor in actors.up()] == ["localhost_1", "localhost_0"]


def test_a_stopped_slave_is_waited_for_no_longer_than_silence_lasts() -> None:
    with SlavePool(1, heartbeat=0.1) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        os.kill(pool.pids[actor.nickname], signal.SIGSTOP)
        with pytest.raises(SlaveLost, match="has not answered"):
            actor.call(Sum.add, 1).result(WAIT_S)
        noted = Noted()
        actors.watch(noted)
        assert noted.next("up").call(Sum.add, 1).result(WAIT_S) == 1


def test_a_slave_that_has_done_its_jobs_is_retired_and_its_object_with_it() -> None:
    with SlavePool(1, max_jobs=2) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        futures = [actor.call(Sum.add, 1) for _ in range(3)]
        assert [future.result(WAIT_S) for future in futures[:2]] == [1, 2]
        with pytest.raises(SlaveLost, match="on purpose: its max_jobs jobs were done"):
            futures[2].result(WAIT_S)
        noted = Noted()
        actors.watch(noted)
        assert noted.next("up").call(Sum.add, 1).result(WAIT_S) == 1


def test_double_late_and_foreign_answers_change_nothing() -> None:
    def babbles(slave: ScriptedSlave, job: Job) -> None:
        slave.finish(Job(job.calculation, 77, job.items), ["foreign"])
        slave.finish(job, ["first"])
        slave.finish(job, ["second"])
        slave.fail(job, ValueError("third"))
        slave.hand_back(job)
        slave.say_ready(job.calculation)

    with SlavePool(1, fabric=ScriptedFabric(babbles)) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        assert actor.call(Sum.add, 1).result(WAIT_S) == "first"
        assert [actor.call(Sum.add, n).result(WAIT_S) for n in (1, 2)] == [1, 3]


# ---- hosts come and go


def test_hosts_that_are_added_get_objects_and_those_removed_lose_them() -> None:
    with SlavePool(["a"], fabric=ScriptedFabric()) as pool, pool.actors(Sum) as actors:
        noted = Noted()
        actors.watch(noted)
        first = noted.next("up")
        pool.add_hosts(["b"])
        second = noted.next("up")
        assert (first.host, second.host) == ("a", "b")
        pool.remove_hosts(["a"])
        assert {noted.told.get(timeout=WAIT_S) for _ in range(2)} == {("lost", first), ("given up", "a")}
        assert isinstance(first.call(Sum.add, 1).exception(WAIT_S), SlaveLost)
        assert second.call(Sum.add, 1).result(WAIT_S) == 1
        pool.remove_hosts(["b"])
        assert isinstance(noted.next("all lost"), NoSlavesError)
        pool.add_hosts(["a"])
        assert noted.next("up").call(Sum.add, 3).result(WAIT_S) == 3


def test_a_host_that_is_left_out_is_told_and_the_others_work_on(held: Held) -> None:
    class DiesAtA(ScriptedSlave):
        def on_start(self) -> None:
            super().on_start()
            if self.host == "a":
                self.die()

    fabric = ScriptedFabric(slave=DiesAtA)
    with SlavePool(["a", "b"], fabric=fabric, host_failures=1) as pool, pool.actors(Sum) as actors:
        noted = Noted()
        actors.watch(noted)
        assert noted.next("given up") == "a"
        later = Noted()
        actors.watch(later)
        assert later.next("given up") == "a"
        assert [actor.host for actor in actors.up()] == ["b"]


# ---- ends


def test_close_with_calls_out_fails_them_and_the_pool_lives_on(held: Held, pool_of_one: SlavePool) -> None:
    actors = pool_of_one.actors(Sum)
    (actor,) = actors.up()
    futures = [actor.call(Sum.add, n) for n in range(3)]
    held.next(), held.next()  # both are there: the next slave holds nothing
    actors.close("nobody wants them")
    for future in futures:
        with pytest.raises(NoSlavesError, match="nobody wants them"):
            future.result(WAIT_S)
    actors.close()
    assert isinstance(actor.call(Sum.add, 1).exception(WAIT_S), NoSlavesError)
    assert pool_of_one.submit(jobs.add, 1).result(WAIT_S) == 1


def test_objects_that_are_closed_are_forgotten_by_their_slaves() -> None:
    fabric = ScriptedFabric()
    with SlavePool(1, fabric=fabric) as pool:
        actors = pool.actors(Sum)
        actors.up()
        actors.close()
        pool.submit(jobs.add, 1).result(WAIT_S)
        assert (m.FORGET, actors.calculation) in fabric.slaves[0].heard


def test_a_slave_that_is_still_making_an_object_when_that_is_closed_is_there_for_others(tmp_path: Path) -> None:
    gate = Gates(tmp_path).new()
    with SlavePool(1) as pool:
        actors = pool.actors(lambda: Path(gate).read_bytes())
        call = pool.submit(jobs.add, 1, 2)
        actors.close()
        assert call.result(WAIT_S) == 3


def test_one_object_can_be_closed_alone(held: Held) -> None:
    with SlavePool(2, fabric=ScriptedFabric()) as pool, pool.actors(Sum) as actors:
        one, other = actors.up()
        one.close("it is not needed")
        with pytest.raises(SlaveLost, match="it is not needed"):
            one.call(Sum.add, 1).result(WAIT_S)
        assert other.call(Sum.add, 1).result(WAIT_S) == 1
        assert actors.up() == [other]


def test_a_pool_that_is_shut_down_does_what_was_asked_and_then_all_is_lost(held: Held) -> None:
    pool = SlavePool(1, fabric=ScriptedFabric(held, held))
    actors, noted = pool.actors(Sum), Noted()
    actors.watch(noted)
    actor = noted.next("up")
    futures = [actor.call(Sum.add, n) for n in (1, 2)]
    held_jobs = [held.next(), held.next()]
    pool.shutdown(wait=False)
    for slave, job in held_jobs:
        slave.finish(job)
    assert [future.result(WAIT_S) for future in futures] == [1, 3]
    assert isinstance(noted.next("all lost"), NoSlavesError)
    pool.shutdown()
    assert isinstance(actor.call(Sum.add, 1).exception(WAIT_S), NoSlavesError)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.actors(Sum)


def test_an_end_of_all_slaves_fails_what_nobody_has_taken(held: Held) -> None:
    with SlavePool(["a"], fabric=ScriptedFabric()) as pool, pool.actors(Sum) as actors:
        actors.up()
        call = actors.prepare(Sum.add, 1)
        pool.remove_hosts(["a"])
        with pytest.raises(NoSlavesError):
            call.future.result(WAIT_S)


def test_what_nobody_takes_can_be_given_up() -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool, pool.actors(Sum) as actors:
        call = actors.prepare(Sum.add, 1)
        actors.give_up(call, KeyError("why"))
        with pytest.raises(KeyError):
            call.future.result(WAIT_S)
        actors.up()[0].take(call)  # it is not made any more
        assert actors.up()[0].call(Sum.add, 1).result(WAIT_S) == 1


def test_calls_that_wait_can_be_cancelled_those_at_work_cannot(held: Held, pool_of_one: SlavePool) -> None:
    (actor,) = pool_of_one.actors(Sum).up()
    futures = [actor.call(Sum.add, 1) for _ in range(5)]
    slave, job = held.next()
    assert not futures[0].cancel()
    assert futures[3].cancel()
    slave.finish(job)
    slave.finish(held.next()[1])
    assert [futures[n].result(WAIT_S) for n in (0, 1, 2, 4)] == [1, 2, 3, 4]
    with pytest.raises(CancelledError):
        futures[3].result(WAIT_S)
    assert wait(futures, WAIT_S).not_done == set()


def test_a_cancelled_call_of_a_lost_actor_stays_cancelled(held: Held, pool_of_one: SlavePool) -> None:
    (actor,) = pool_of_one.actors(Sum).up()
    futures = [actor.call(Sum.add, 1) for _ in range(4)]
    slave, _ = held.next()
    assert futures[3].cancel()
    slave.die()
    assert wait(futures, WAIT_S).not_done == set()
    assert futures[3].cancelled()


def test_callbacks_may_ask_again(pool_of_one: SlavePool, held: Held) -> None:
    (actor,) = pool_of_one.actors(Sum).up()
    answers: SimpleQueue[int] = SimpleQueue()

    def ask_again(future: Future[Any]) -> None:
        answers.put(actor.call(Sum.add, 1).result(WAIT_S))

    actor.call(Sum.add, 1).add_done_callback(ask_again)
    for _ in range(2):
        slave, job = held.next()
        slave.finish(job)
    assert answers.get(timeout=WAIT_S) == 2


def test_callbacks_may_wait_for_the_object_that_takes_the_place_of_a_lost_one() -> None:
    with SlavePool(1) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        new: SimpleQueue[list[Actor]] = SimpleQueue()
        actor.call(lambda _: die_at_once()).add_done_callback(lambda _: new.put(actors.up(WAIT_S)))
        (other,) = new.get(timeout=WAIT_S)
        assert other is not actor
        assert other.call(Sum.add, 1).result(WAIT_S) == 1


def test_a_forked_child_is_refused() -> None:
    with SlavePool(1) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        near, far = Pipe()
        pid = os.fork()
        if pid == 0:
            try:
                actor.call(Sum.add, 1)
            except InputError as error:
                far.send(str(error))
            os._exit(0)
        assert near.poll(WAIT_S)
        assert "another process" in near.recv()
        os.waitpid(pid, 0)
        near.close()
        far.close()
        assert actor.call(Sum.add, 1).result(WAIT_S) == 1


def test_who_waits_for_objects_waits_no_longer_than_told() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            """It takes its time."""

    with SlavePool(1, fabric=ScriptedFabric(slave=Unborn)) as pool, pool.actors(Sum) as actors:
        assert actors.up(timeout=0) == []


def test_a_slave_that_never_comes_up_is_noticed_while_it_is_awaited(held: Held) -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            """It never says that it is there."""

    kinds = iter([Unborn])
    fabric = ScriptedFabric(slave=lambda spec, fabric: next(kinds, ScriptedSlave)(spec, fabric))
    fabric.start_timeout_s = 0.2
    with SlavePool(1, fabric=fabric, heartbeat=0.05) as pool, pool.actors(Sum) as actors:
        noted = Noted()
        actors.watch(noted)
        assert noted.next("up").call(Sum.add, 1).result(WAIT_S) == 1


def test_nothing_is_kept_of_calls_that_are_over() -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool, pool.actors(Sum) as actors:
        (actor,) = actors.up()
        actor.call(Sum.add, 1).result(WAIT_S)
        gc.collect()
        assert not actors.is_busy
        assert not actor._state.is_busy
        assert len(actors._calls) == 0


def test_while_one_call_is_made_others_wait_at_the_master(tmp_path: Path) -> None:
    gates = Gates(tmp_path)
    with SlavePool(1) as pool, pool.actors(list) as actors:
        (actor,) = actors.up()
        gate = gates.new()
        first = actor.call(lambda made, gate: Path(gate).read_bytes(), gate)
        others = [actor.call(len) for _ in range(5)]
        assert others[-1].cancel()
        gates.open_all()
        assert first.result(WAIT_S) == b""
        assert [other.result(WAIT_S) for other in others[:-1]] == [0] * 4


