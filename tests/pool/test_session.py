"""Sessions: a setup once per slave, many at once, their ends, and what can go wrong in a setup."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, Gates, Held, wait_for_end
from tracking import EncodeError, InputError, Interrupted, ItemKilledSlave, ItemRaised, SlavePool
from tracking.testing import ScriptedFabric
from tracking.wire import messages as m


@pytest.fixture
def pool() -> Iterator[SlavePool]:
    with SlavePool(2) as pool:
        yield pool


@pytest.fixture
def one() -> Iterator[SlavePool]:
    with SlavePool(1) as pool:
        yield pool


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


def forgotten(fabric: ScriptedFabric) -> list[int]:
    """The calculations that the slaves of this fabric were told to forget, in that order."""
    return [message[1] for slave in fabric.slaves for message in slave.heard if message[0] == m.FORGET]


# ---- the value of the setup


def test_a_value_in_place_of_what_makes_it_is_refused(one: SlavePool) -> None:
    for make_wrongly in (one.session, one.actors):
        with pytest.raises(InputError, match=r"must be a function without arguments, .* of type dict"):
            make_wrongly({"a": 1})  # type: ignore[arg-type]


def test_the_setup_runs_once_on_each_slave_that_makes_a_call(pool: SlavePool, tmp_path: Path, gates: Gates) -> None:
    with pool.session(jobs.Setup(tmp_path / "setups")) as session:
        both = [session.submit(jobs.wait_with, gates.new()) for _ in range(2)]
        gates.open_all()
        pids = {future.result(WAIT_S) for future in both}
        for n in range(20):
            session.submit(jobs.put, n).result(WAIT_S)
    assert Counter((tmp_path / "setups").read_text().split()) == Counter(map(str, pids))


def test_no_call_no_setup(pool: SlavePool, tmp_path: Path) -> None:
    with pool.session(jobs.Setup(tmp_path / "setups")):
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
    assert not (tmp_path / "setups").exists()


def test_a_session_without_a_setup_makes_plain_calls(pool: SlavePool) -> None:
    with pool.session() as session:
        assert session.submit(jobs.add, 1, b=2).result(WAIT_S) == 3
        assert list(session.map(jobs.add, range(10), chunksize=3)) == list(range(10))


@pytest.mark.parametrize("chunksize", [1, 7])
def test_map_gives_each_call_the_value_and_keeps_the_order(pool: SlavePool, chunksize: int) -> None:
    with pool.session(lambda: 100) as session:
        assert list(session.map(lambda value, n: value + n, range(30), chunksize=chunksize)) == list(range(100, 130))


def test_a_value_that_is_none_is_a_value(one: SlavePool) -> None:
    with one.session(lambda: None) as session:
        assert session.submit(jobs.first, 1).result(WAIT_S) is None


def test_what_main_defines_is_the_same_in_setup_and_calls(one: SlavePool) -> None:
    class Restraint:
        pass

    with one.session(Restraint) as session:
        assert session.submit(lambda value: isinstance(value, Restraint)).result(WAIT_S)


def test_sessions_interleave_on_one_slave_and_keep_their_values(one: SlavePool) -> None:
    sessions = [one.session(lambda k=k: [k]) for k in range(5)]
    for n in range(3):
        for session in sessions:
            session.submit(jobs.put, n)
    assert [session.submit(jobs.first).result(WAIT_S) for session in sessions] == [[k, 0, 1, 2] for k in range(5)]


def test_the_value_survives_that_the_calls_begin_anew(
    one: SlavePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.pool.calls._MOST_CALLS", 10)
    with one.session(jobs.Setup(tmp_path / "setups")) as session:
        for n in range(35):
            kept = session.submit(jobs.put, n).result(WAIT_S)
    assert kept == list(range(35))
    assert len((tmp_path / "setups").read_text().split()) == 1


def test_the_code_of_the_setup_is_sent_once_to_a_slave() -> None:
    fabric = ScriptedFabric()
    with SlavePool(1, fabric=fabric) as pool, pool.session(lambda: 5) as session:
        assert [session.submit(jobs.first).result(WAIT_S) for _ in range(20)] == [5] * 20
        assert [message[0] for message in fabric.slaves[0].heard].count(m.SETUP) == 1


def test_a_slave_that_takes_the_place_of_another_runs_the_setup(one: SlavePool, tmp_path: Path) -> None:
    with one.session(jobs.Setup(tmp_path / "setups")) as session:
        session.submit(jobs.put, 1).result(WAIT_S)
        (pid,) = one.pids.values()
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        assert session.submit(jobs.put, 2).result(WAIT_S) == [2]
    assert len(set((tmp_path / "setups").read_text().split())) == 2


# ---- what can go wrong in it


def test_a_setup_that_raises_fails_the_call_and_the_slave_lives_on_and_tries_again(
    one: SlavePool, tmp_path: Path
) -> None:
    with one.session(jobs.FailingSetup(str(tmp_path / "mark"))) as session:
        pid = one.submit(jobs.pid).result(WAIT_S)
        error = session.submit(jobs.first).exception(WAIT_S)
        assert isinstance(error, KeyError)
        assert isinstance(error.__cause__, ItemRaised)
        assert "FailingSetup" in error.__cause__.remote_traceback or "__call__" in error.__cause__.remote_traceback
        assert session.submit(jobs.first).result(WAIT_S) == "restraints"
        assert one.submit(jobs.pid).result(WAIT_S) == pid


def test_a_setup_that_exits_fails_the_call_and_costs_no_slave(one: SlavePool) -> None:
    pid = one.submit(jobs.pid).result(WAIT_S)
    with one.session(lambda: jobs.leave(3)) as session:
        assert isinstance(session.submit(jobs.first).exception(WAIT_S), SystemExit)
    assert one.submit(jobs.pid).result(WAIT_S) == pid


def test_a_setup_that_kills_its_slave_is_the_end_of_its_call_alone(one: SlavePool) -> None:
    with one.session(jobs.die_of_setup, max_deaths=1) as session:
        assert isinstance(session.submit(jobs.first).exception(WAIT_S), ItemKilledSlave)
        assert one.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_setup_that_cannot_be_sent_is_refused_at_once(one: SlavePool) -> None:
    numbers = (n for n in range(3))
    with pytest.raises(EncodeError, match="the setup cannot be sent"):
        one.session(lambda: numbers)
    assert one.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_setup_that_slaves_cannot_load_fails_each_call_and_says_why(one: SlavePool) -> None:
    unreadable: Any = jobs.unreadable(ModuleNotFoundError)
    with one.session(unreadable) as session:
        for _ in range(3):
            assert isinstance(session.submit(jobs.first).exception(WAIT_S), ModuleNotFoundError)


def test_a_copy_of_the_slave_that_comes_out_of_the_setup_makes_no_call(one: SlavePool) -> None:
    with one.session(jobs.fork_in_setup) as session:
        assert session.submit(jobs.first).result(WAIT_S) > 0
        assert session.submit(jobs.first).result(WAIT_S) > 0


@pytest.mark.parametrize("max_deaths", [0, -1, "2", 1.5])
def test_wrong_limits_are_refused(one: SlavePool, max_deaths: Any) -> None:
    with pytest.raises(InputError, match="max_deaths"):
        one.session(max_deaths=max_deaths)


# ---- the end


def test_slaves_forget_a_session_that_is_shut_down_and_the_pool_lives_on() -> None:
    fabric = ScriptedFabric()
    with SlavePool(2, fabric=fabric) as pool:
        with pool.session(lambda: 5) as session:
            assert session.submit(jobs.first).result(WAIT_S) == 5
        with pytest.raises(RuntimeError, match="shutdown"):
            session.submit(jobs.first)
        session.shutdown()
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
    assert len(forgotten(fabric)) == 2


def test_a_session_waits_for_its_calls_before_it_is_forgotten() -> None:
    held, fabric = Held(), ScriptedFabric()
    fabric._script.extend([held, held])
    with SlavePool(1, fabric=fabric) as pool:
        session = pool.session()
        futures = [session.submit(jobs.add, n) for n in range(2)]
        session.shutdown(wait=False)
        for _ in futures:
            slave, job = held.next()
            assert not forgotten(fabric)
            slave.finish(job)
        assert [future.result(WAIT_S) for future in futures] == [0, 1]
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        assert len(forgotten(fabric)) == 1


def test_shutdown_waits_for_calls_and_cancels_those_that_wait_if_so_wanted() -> None:
    held = Held()
    with SlavePool(1, fabric=ScriptedFabric(held)) as pool:
        session = pool.session()
        running, *waiting = [session.submit(jobs.add, n) for n in range(4)]
        slave, job = held.next()
        session.shutdown(wait=False, cancel_futures=True)
        assert not concurrent.futures.wait(waiting, WAIT_S).not_done
        assert all(future.cancelled() for future in waiting)
        slave.finish(job)
        session.shutdown()
        assert running.result(0) == 0


def test_an_interrupted_block_does_not_wait() -> None:
    held = Held()
    with SlavePool(1, fabric=ScriptedFabric(held)) as pool:
        session = pool.session()
        futures = [session.submit(jobs.add, n) for n in range(2)]
        slave, job = held.next()
        with pytest.raises(KeyboardInterrupt), session:
            raise KeyboardInterrupt
        assert futures[1].cancelled()
        slave.finish(job)
        assert futures[0].result(WAIT_S) == 0


def test_a_callback_may_shut_its_session_down() -> None:
    held, shut = Held(), threading.Event()
    with SlavePool(1, fabric=ScriptedFabric(held)) as pool:
        session = pool.session()

        def shut_down(future: object) -> None:
            session.shutdown()
            shut.set()

        session.submit(jobs.add, 1).add_done_callback(shut_down)
        later = session.submit(jobs.add, 2)
        slave, job = held.next()
        slave.finish(job)
        assert shut.wait(WAIT_S)
        assert later.result(0) == 2


def test_slaves_forget_a_session_that_nobody_has_any_more() -> None:
    fabric = ScriptedFabric()
    with SlavePool(1, fabric=fabric) as pool:
        session = pool.session()
        assert session.submit(jobs.add, 1).result(WAIT_S) == 1
        del session
        gc.collect()
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
        assert len(forgotten(fabric)) == 1


def test_a_forgotten_session_finishes_its_calls() -> None:
    held = Held()
    with SlavePool(1, fabric=ScriptedFabric(held)) as pool:
        future = pool.session().submit(jobs.add, 1)
        gc.collect()
        slave, job = held.next()
        slave.finish(job)
        assert future.result(WAIT_S) == 1


def test_a_session_keeps_its_pool_and_the_pool_ends_with_it() -> None:
    session = SlavePool(1, fabric=ScriptedFabric()).session()
    gc.collect()
    assert session.submit(jobs.add, 1).result(WAIT_S) == 1
    thread = session._pool._thread
    del session
    gc.collect()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_a_pool_that_is_shut_down_finishes_the_calls_of_its_sessions_and_takes_no_more() -> None:
    held = Held()
    pool = SlavePool(1, fabric=ScriptedFabric(held))
    session = pool.session()
    futures = [session.submit(jobs.add, n) for n in range(3)]
    pool.shutdown(wait=False)
    slave, job = held.next()
    slave.finish(job)
    pool.shutdown()
    assert [future.result(0) for future in futures] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="shut down"):
        session.submit(jobs.add, 1)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.session()
    session.shutdown()


def test_waiting_calls_of_sessions_are_cancelled_with_the_pool_if_so_wanted() -> None:
    held = Held()
    pool = SlavePool(1, fabric=ScriptedFabric(held))
    session = pool.session()
    running, waiting = [session.submit(jobs.add, n) for n in range(2)]
    slave, job = held.next()
    pool.shutdown(wait=False, cancel_futures=True)
    assert not concurrent.futures.wait([waiting], WAIT_S).not_done
    assert waiting.cancelled()
    slave.finish(job)
    pool.shutdown()
    assert running.result(0) == 0


def test_a_forked_child_is_told_that_the_session_is_not_its_own(one: SlavePool) -> None:
    session = one.session()
    read_end, write_end = os.pipe()
    copy = os.fork()
    if not copy:
        try:
            session.submit(jobs.add, 1)
        except InputError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(copy, 0)
    with open(read_end, "rb") as pipe:
        assert b"another process" in pipe.read()
    session.shutdown()


# ---- an end at once


def test_calls_are_taken_back_at_once_and_their_slaves_work_on_for_others(pool: SlavePool, gates: Gates) -> None:
    session, paths = pool.session(), [gates.new(), gates.new()]
    running = [session.submit(jobs.wait_at, path) for path in paths]
    ends = [os.open(path, os.O_WRONLY) for path in paths]  # when both calls have come to their gates, which stay shut
    waiting = session.submit(pow, 2, 3)
    session.end_now("nobody wants it any more")
    for future in (*running, waiting):
        with pytest.raises(Interrupted, match="nobody wants it any more"):
            future.result(WAIT_S)
    with pytest.raises(RuntimeError, match="shut"):
        session.submit(pow, 2, 3)
    assert pool.submit(pow, 2, 4).result(WAIT_S) == 16
    session.shutdown()
    for end in ends:
        os.close(end)
