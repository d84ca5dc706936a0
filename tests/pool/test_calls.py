"""Submitted calls, on scripted slaves: every outcome, race and cancellation, and where callbacks run."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, Held
from tracking import InputError, ItemKilledSlave, ItemRaised, NoSlavesError, SlavePool, TrackingJobMaster
from tracking.fabrics.base import SlaveEnded
from tracking.testing import Job, ScriptedFabric, ScriptedSlave, dies, raises
from tracking.wire import messages as m


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def pool_of_one(held: Held) -> Iterator[SlavePool]:
    """A pool whose one slave holds its first call."""
    with SlavePool(1, fabric=ScriptedFabric(held)) as pool:
        yield pool


# ---- outcomes


def test_a_call_gives_its_result() -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool:
        assert pool.submit(jobs.add, 1, b=2).result(WAIT_S) == 3


def test_an_exception_comes_as_it_is_and_tells_where_it_was_raised() -> None:
    with SlavePool(1, fabric=ScriptedFabric()) as pool:
        error = pool.submit(jobs.raise_key_error, "lost").exception(WAIT_S)
    assert isinstance(error, KeyError)
    assert isinstance(error.__cause__, ItemRaised)
    assert "raise_key_error" in error.__cause__.remote_traceback


def test_a_slave_that_fails_a_call_whole_fails_it_too() -> None:
    with SlavePool(1, fabric=ScriptedFabric(raises(ValueError("no")))) as pool:
        with pytest.raises(ValueError, match="no"):
            pool.submit(jobs.add, 1).result(WAIT_S)
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_call_whose_slave_dies_is_made_again() -> None:
    fabric = ScriptedFabric(dies)
    with SlavePool(1, fabric=fabric) as pool:
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
    assert len(fabric.slaves) == 2


def test_a_call_that_kills_its_slaves_is_given_up_and_the_pool_goes_on() -> None:
    with SlavePool(2, fabric=ScriptedFabric(dies, dies, dies), max_deaths=3) as pool:
        error = pool.submit(jobs.add, 1).exception(WAIT_S)
        assert isinstance(error, ItemKilledSlave)
        assert "killed by SIGKILL" in str(error)
        assert (error.tries, error.host) == (3, "localhost")
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_double_and_late_answers_change_nothing() -> None:
    def babbles(slave: ScriptedSlave, job: Job) -> None:
        slave.finish(job, ["first"])
        slave.finish(job, ["second"])
        slave.fail(job, ValueError("third"))
        slave.hand_back(job)
        slave.say_ready(job.calculation)

    with SlavePool(1, fabric=ScriptedFabric(babbles)) as pool:
        assert pool.submit(jobs.add, 1).result(WAIT_S) == "first"
        assert [pool.submit(jobs.add, n).result(WAIT_S) for n in range(3)] == [0, 1, 2]


def test_answers_of_calls_that_are_not_out_are_no_news(held: Held, pool_of_one: SlavePool) -> None:
    future = pool_of_one.submit(jobs.add, 1)
    slave, job = held.next()
    slave.finish(Job(job.calculation, 77, job.items), [5])
    slave.finish(job)
    assert future.result(WAIT_S) == 1


def test_slaves_that_cannot_be_set_up_are_said_to_be_none() -> None:
    class Refusing(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            self.fail_setup(calculation, FileNotFoundError("no such directory"))

    with SlavePool(2, fabric=ScriptedFabric(slave=Refusing)) as pool:
        error = pool.submit(jobs.add, 1).exception(WAIT_S)
        assert isinstance(error, NoSlavesError)
        assert "no such directory" in str(error)
        with pytest.raises(NoSlavesError, match="no such directory"):
            pool.submit(jobs.add, 1)


def test_waiting_and_new_calls_of_a_pool_whose_slaves_never_come_up_fail_soon() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            self.die("ended with exit status 1")

    with SlavePool(4, fabric=ScriptedFabric(slave=Unborn)) as pool:
        waiting = [pool.submit(jobs.add, n) for n in range(10)]
        for future in waiting:
            with pytest.raises(NoSlavesError, match="exit status 1"):
                future.result(WAIT_S)
        with pytest.raises(NoSlavesError, match="exit status 1"):
            pool.submit(jobs.add, 1)


def test_a_fabric_that_cannot_start_anything_fails_calls_soon() -> None:
    def cannot(spec: object, fabric: object) -> ScriptedSlave:
        raise OSError("out of processes")

    with SlavePool(8, fabric=ScriptedFabric(slave=cannot)) as pool:
        error = pool.submit(jobs.add, 1).exception(WAIT_S)
    assert isinstance(error, NoSlavesError)
    assert "out of processes" in str(error)


# ---- waiting


def test_result_waits_no_longer_than_told(pool_of_one: SlavePool, held: Held) -> None:
    future = pool_of_one.submit(jobs.add, 1)
    slave, job = held.next()
    with pytest.raises(TimeoutError):
        future.result(0.01)
    with pytest.raises(TimeoutError):
        future.exception(0)
    slave.finish(job)
    assert future.result() == 1


def test_many_threads_wait_for_each_other_s_calls() -> None:
    results: SimpleQueue[int] = SimpleQueue()
    with SlavePool(4, fabric=ScriptedFabric()) as pool:

        def work(first: int) -> None:
            for n in range(first, first + 50):
                results.put(pool.submit(jobs.add, n).result(WAIT_S))

        threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results.get() for _ in range(400)) == [100 * k + n for k in range(8) for n in range(50)]


def test_the_standard_library_s_waiting_works() -> None:
    with SlavePool(2, fabric=ScriptedFabric()) as pool:
        futures = [pool.submit(jobs.add, n) for n in range(20)]
        assert {future.result() for future in concurrent.futures.as_completed(futures, WAIT_S)} == set(range(20))
        done, not_done = concurrent.futures.wait(futures, WAIT_S)
        assert (len(done), len(not_done)) == (20, 0)


# ---- cancelling


def test_a_waiting_call_can_be_cancelled_and_a_running_one_cannot(pool_of_one: SlavePool, held: Held) -> None:
    running, waiting, last = (pool_of_one.submit(jobs.add, n) for n in range(3))
    slave, job = held.next()
    assert not running.cancel()
    assert waiting.cancel()
    slave.finish(job)
    assert [running.result(WAIT_S), last.result(WAIT_S)] == [0, 2]
    with pytest.raises(CancelledError):
        waiting.result()
    assert [job.values[0][1] for job in slave.jobs] == []


def test_a_long_row_of_cancelled_calls_is_passed_over(pool_of_one: SlavePool, held: Held) -> None:
    pool_of_one.submit(jobs.add, 1)
    slave, job = held.next()
    futures = [pool_of_one.submit(jobs.add, n) for n in range(3000)]
    assert all(future.cancel() for future in futures[:-1])
    slave.finish(job)
    assert futures[-1].result(WAIT_S) == 2999
    assert not concurrent.futures.wait(futures, WAIT_S).not_done


def test_an_outcome_that_somebody_else_has_set_stays(pool_of_one: SlavePool, held: Held) -> None:
    running, waiting, last = (pool_of_one.submit(jobs.add, n) for n in range(3))
    slave, job = held.next()
    running.set_result("mine")
    waiting.set_exception(ValueError("mine"))
    slave.finish(job)
    assert last.result(WAIT_S) == 2
    assert running.result() == "mine"
    assert isinstance(waiting.exception(), ValueError)


# ---- callbacks


def test_a_callback_may_submit_and_wait_for_another_call() -> None:
    answers: SimpleQueue[object] = SimpleQueue()
    with SlavePool(1, fabric=ScriptedFabric()) as pool:

        def go_on(future: Future[int]) -> None:
            answers.put(pool.submit(jobs.add, future.result(), 1).result(WAIT_S))

        pool.submit(jobs.add, 1).add_done_callback(go_on)
        assert answers.get(timeout=WAIT_S) == 2


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(1)])
def test_a_callback_that_raises_disturbs_nobody(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail(future: Future[int]) -> None:
        raise error

    with caplog.at_level(logging.ERROR), SlavePool(1, fabric=ScriptedFabric()) as pool:
        future = pool.submit(jobs.add, 1)
        future.add_done_callback(fail)
        assert pool.submit(jobs.add, 2).result(WAIT_S) == 2
    assert future.result() == 1


def test_a_callback_may_shut_the_pool_down(held: Held) -> None:
    shut = threading.Event()
    pool = SlavePool(1, fabric=ScriptedFabric(held))

    def shut_down(future: Future[int]) -> None:
        pool.shutdown()
        shut.set()

    pool.submit(jobs.add, 1).add_done_callback(shut_down)
    later = pool.submit(jobs.add, 2)
    slave, job = held.next()
    slave.finish(job)
    assert shut.wait(WAIT_S)
    assert later.result(WAIT_S) == 2
    pool.shutdown()


def test_callbacks_run_in_no_thread_that_submits(pool_of_one: SlavePool, held: Held) -> None:
    threads: SimpleQueue[str] = SimpleQueue()
    lock = threading.Lock()

    def note(future: Future[int]) -> None:
        with lock:  # whoever holds it while he submits would wait for himself
            threads.put(threading.current_thread().name)

    pool_of_one.submit(jobs.add, 1).add_done_callback(note)
    slave, job = held.next()
    with lock:
        slave.finish(job)
        for n in range(100):
            pool_of_one.submit(jobs.add, n)
    assert threads.get(timeout=WAIT_S) == "tracking-pool"


# ---- the end


def test_a_pool_that_is_shut_down_takes_no_more_and_finishes_what_it_has(held: Held) -> None:
    pool = SlavePool(1, fabric=ScriptedFabric(held))
    futures = [pool.submit(jobs.add, n) for n in range(3)]
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(jobs.add, 1)
    slave, job = held.next()
    slave.finish(job)
    pool.shutdown()
    assert [future.result(0) for future in futures] == [0, 1, 2]
    assert not pool.slaves
    pool.shutdown()


def test_waiting_calls_are_cancelled_with_the_pool_if_so_wanted(held: Held) -> None:
    pool = SlavePool(1, fabric=ScriptedFabric(held))
    running, *waiting = (pool.submit(jobs.add, n) for n in range(5))
    slave, job = held.next()
    pool.shutdown(wait=False, cancel_futures=True)
    assert not concurrent.futures.wait(waiting, WAIT_S).not_done
    assert all(future.cancelled() for future in waiting)
    slave.finish(job)
    assert running.result(WAIT_S) == 0
    pool.shutdown()


def test_an_interrupted_block_ends_at_once(held: Held) -> None:
    pool = SlavePool(1, fabric=ScriptedFabric(held))
    running, waiting = pool.submit(jobs.add, 1), pool.submit(jobs.add, 2)
    held.next()
    with pytest.raises(KeyboardInterrupt), pool:
        raise KeyboardInterrupt
    for future in (running, waiting):
        with pytest.raises(NoSlavesError, match="shut down"):
            future.result(0)


def test_a_pool_that_is_shut_down_now_waits_for_nothing(held: Held) -> None:
    fabric = ScriptedFabric(held)
    pool = SlavePool(1, fabric=fabric)
    futures = [pool.submit(jobs.add, n) for n in range(2)]
    held.next()
    pool.shutdown(now=True)
    for future in futures:
        with pytest.raises(NoSlavesError, match="shut down"):
            future.result(0)
    assert not fabric.slaves[0].is_alive


def test_a_block_that_raises_waits_for_its_calls() -> None:
    pool = SlavePool(1, fabric=ScriptedFabric())
    future = pool.submit(jobs.add, 1)
    with pytest.raises(ValueError, match="oops"), pool:
        raise ValueError("oops")
    assert future.result(0) == 1


def test_a_pool_that_is_forgotten_finishes_its_calls_and_ends(held: Held) -> None:
    pool = SlavePool(1, fabric=ScriptedFabric(held))
    future = pool.submit(jobs.add, 1)
    thread, crew = pool._thread, weakref.ref(pool._crew)
    slave, job = held.next()
    del pool
    gc.collect()
    assert thread.is_alive()
    slave.finish(job)
    assert future.result(WAIT_S) == 1
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert crew() is not None


class Breaking(ScriptedFabric):
    """It fails when its slave is given a job."""

    def poll(self) -> list[SlaveEnded]:
        ended = super().poll()
        if any(slave.jobs for slave in self.slaves):
            raise ZeroDivisionError("a fault")
        return ended


@pytest.mark.parametrize("helps", [True, False])
def test_a_fault_in_the_loop_is_everybody_s_error_and_nobody_s_hang(
    helps: bool, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL), SlavePool(1, fabric=Breaking(held)) as pool:
        future = pool.submit(jobs.add, 1)
        if not helps:
            concurrent.futures.wait([future], WAIT_S)
        with pytest.raises(NoSlavesError, match="a fault"):
            future.result(WAIT_S)


def test_a_master_hears_of_a_fault_in_the_loop(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    master = TrackingJobMaster({1: 1}, function=abs, hosts="localhost", fabric=Breaking(held), verbose=0)
    with pytest.raises(ZeroDivisionError, match="a fault"):
        master.calculateResult()


@pytest.mark.parametrize("senseless", ["fields are missing", "a result is missing"])
def test_a_slave_that_makes_no_sense_is_ended_and_its_call_made_again(
    held: Held, caplog: pytest.LogCaptureFixture, senseless: str
) -> None:
    with SlavePool(1, fabric=ScriptedFabric(held, held)) as pool:
        future = pool.submit(jobs.add, 1)
        slave, job = held.next()
        if senseless == "fields are missing":
            slave.say(m.DONE, job.calculation, job.number)
        else:
            slave.say(m.ROW_DONE, job.calculation, [job.number], [0.1], [])
        other, job = held.next()
        other.finish(job)
        assert future.result(WAIT_S) == 1
        assert other is not slave


# ---- with masters


def test_a_hook_may_submit_calls_to_the_pool_of_its_master() -> None:
    class Asking(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[object, int]) -> None:
            for id in result:
                result[id] += pool.submit(jobs.add, 100).result(WAIT_S)

    with SlavePool(2, fabric=ScriptedFabric()) as pool:
        master = Asking({n: n for n in range(10)}, function=abs, chunk_size=2, pool=pool, verbose=0)
        assert master.calculateResult() == {n: n + 100 for n in range(10)}


def test_a_hook_may_shut_the_pool_of_its_master_down_and_all_is_done_before() -> None:
    class Closing(TrackingJobMaster):
        def initializationDone(self, slave_tid: int) -> None:
            pool.shutdown()

    pool = SlavePool(2, fabric=ScriptedFabric())
    master = Closing({n: n for n in range(10)}, function=abs, chunk_size=2, pool=pool, verbose=0)
    assert master.calculateResult() == {n: n for n in range(10)}
    pool.shutdown()


def test_a_pool_waits_for_the_masters_at_work_before_it_ends(held: Held) -> None:
    with SlavePool(1, fabric=ScriptedFabric(held)) as pool:
        master = TrackingJobMaster({1: -1, 2: -2}, function=abs, chunk_size=1, pool=pool, verbose=0)
        master.start()
        slave, job = held.next()
        pool.shutdown(wait=False)
        slave.finish(job)
    assert master.wait(WAIT_S)
    assert master.result == {1: 1, 2: 2}


def test_a_master_that_comes_to_a_pool_that_is_shut_down_is_told() -> None:
    pool = SlavePool(1, fabric=ScriptedFabric())
    pool.shutdown()
    with pytest.raises(InputError, match="shut down"):
        TrackingJobMaster({1: 1}, function=abs, pool=pool, verbose=0)


def test_a_master_whose_pool_is_shut_down_before_it_begins_is_told() -> None:
    pool = SlavePool(1, fabric=ScriptedFabric())
    master = TrackingJobMaster({1: 1}, function=abs, pool=pool, verbose=0)
    pool.shutdown()
    with pytest.raises(NoSlavesError, match="shut down"):
        master.calculateResult()


def test_masters_and_calls_take_turns_by_job() -> None:
    """A master with much to do does not hold up a call until it is through, and the other way round."""
    held = Held()
    fabric = ScriptedFabric(*[held] * 40)
    with SlavePool(1, fabric=fabric) as pool:
        master = TrackingJobMaster({n: n for n in range(20)}, function=abs, chunk_size=1, pool=pool, verbose=0)
        master.start()
        slave, first = held.next()
        calls = [pool.submit(jobs.add, n) for n in range(20)]
        slave, second = held.next()
        assert first.calculation != second.calculation
        given = {first.calculation: deque([first]), second.calculation: deque([second])}
        for _ in range(4):
            for own in given.values():
                slave.finish(own.popleft())
                while not own:  # its next job comes, however much the other one has to do
                    slave, job = held.next()
                    given[job.calculation].append(job)
        for job in [*given[first.calculation], *given[second.calculation]]:
            slave.finish(job)
        for _ in range(40 - 8 - sum(map(len, given.values()))):
            slave, job = held.next()
            slave.finish(job)
        assert [call.result(WAIT_S) for call in calls] == list(range(20))
        assert master.wait(WAIT_S)


def test_a_slave_that_dies_of_a_call_is_no_fault_of_the_master_s_items_on_it() -> None:
    held = Held()
    with SlavePool(1, fabric=ScriptedFabric(held, held), max_deaths=1) as pool:
        call = pool.submit(jobs.add, 1)
        slave, _ = held.next()
        master = TrackingJobMaster({1: -1}, function=abs, pool=pool, max_deaths=1, verbose=0)
        master.start()
        held.next()
        slave.die()
        assert isinstance(call.exception(WAIT_S), ItemKilledSlave)
        assert master.calculateResult() == {1: 1}


def test_slaves_that_all_die_of_being_made_ready_are_one_clear_error_soon() -> None:
    class DiesOfSetup(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            self.print("no such library\n")
            self.die("ended with exit status 1")

    with SlavePool(2, fabric=ScriptedFabric(slave=DiesOfSetup)) as pool:
        error = pool.submit(jobs.add, 1).exception(WAIT_S)
        assert isinstance(error, NoSlavesError)
        assert "3 slaves in a row ended while they were made ready" in str(error)
        assert "ended with exit status 1" in str(error)
        assert "no such library" in str(error)


def test_deaths_before_a_slave_is_ready_count_only_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.core.places._FIRST_DELAY_S", 0.001)

    class Unlucky(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            if len(self._fabric.slaves) % 3:
                self.die()
            else:
                super().on_setup(calculation)

    with SlavePool(1, fabric=ScriptedFabric(dies, dies, slave=Unlucky), max_deaths=5) as pool:
        assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_pool_forgets_calls_that_are_over_when_it_has_made_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.pool.calls._MOST_CALLS", 10)
    fabric = ScriptedFabric()
    with SlavePool(2, fabric=fabric) as pool:
        for number in range(35):
            assert pool.submit(jobs.add, number).result(WAIT_S) == number
        assert len(list(pool.map(jobs.add, range(25)))) == 25
        assert pool._calls is not None
        assert len(pool._calls._items) <= 30
    assert len(fabric.slaves) == 2
