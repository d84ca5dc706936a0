"""Nobody waits for an end that has been: conditions, callbacks, iterators, wait()."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from tests.master.helpers import master_of, squares, wait_until
from tests.master.work import fail_on_odd, wait_for_file
from tracking import CalculationError, Interrupted, SlavePool, TrackingJobMaster
from tracking.master.ending import EndCondition


def test_waiting_with_the_lock_held_from_the_start_returns(pool: SlavePool) -> None:
    master = master_of(pool=pool)
    with master.lock:
        master.start()
        master.lockMsg.wait()
    assert master.result == squares(6)


def test_waiting_after_the_end_returns_at_once(pool: SlavePool) -> None:
    master = master_of(pool=pool)
    master.calculateResult()
    with master.lock:
        assert master.lockMsg.wait()
        assert master.lockMsg.wait_for(lambda: True)
        assert not master.lockMsg.wait_for(lambda: False)


def test_old_names_of_the_condition_work(pool: SlavePool) -> None:
    master = master_of(pool=pool)
    master.lockMsg.acquire()
    master.start()
    master.lockMsg.wait()
    master.lockMsg.notifyAll()
    master.lockMsg.release()
    assert master.isFinished()


def test_waiting_for_something_else_ends_with_the_calculation(tmp_path: Any) -> None:
    master = master_of({0: str(tmp_path / "go on")}, wait_for_file)
    with master.lock:
        master.start()
        (tmp_path / "go on").touch()
        assert master.lockMsg.wait_for(lambda: master.result or None)
        assert not master.lockMsg.wait_for(lambda: False)


def test_wait_for_gives_up_in_time() -> None:
    lock = threading.RLock()
    condition = EndCondition(lock, lambda: False)
    with lock:
        assert not condition.wait_for(lambda: 0, timeout=0.01)
        assert not condition.wait(0.01)


def test_a_thousand_tiny_calculations_in_a_row_never_miss_a_wake_up(pool: SlavePool) -> None:
    for n in range(1000):
        master = master_of({n: n}, pool=pool)
        with master.lock:
            master.start()
            assert master.lockMsg.wait(30), f"calculation {n}"
        assert master.result == {n: n * n}


def test_calculations_with_their_own_slaves_in_a_row_never_miss_a_wake_up() -> None:
    for _ in range(15):
        master = master_of(2)
        with master.lock:
            master.start()
            assert master.lockMsg.wait(30)


def test_many_threads_wait_in_many_ways(pool: SlavePool, tmp_path: Any) -> None:
    master = master_of({0: str(tmp_path / "go on")}, wait_for_file, pool=pool)
    ended: list[str] = []

    def on_condition() -> None:
        with master.lock:
            master.lockMsg.wait()
        ended.append("lockMsg")

    ways = [on_condition, lambda: ended.append("wait" * master.wait()), lambda: ended.append(str(list(master)))]
    threads = [threading.Thread(target=way) for way in ways * 2]
    master.start()
    for thread in threads:
        thread.start()
    (tmp_path / "go on").touch()
    for thread in threads:
        thread.join(30)
    assert len(ended) == 6


def test_the_result_may_be_asked_for_twice(pool: SlavePool) -> None:
    master = master_of(pool=pool)
    assert master.calculateResult() is master.calculateResult()


def test_the_result_may_be_asked_for_with_the_lock_held(pool: SlavePool) -> None:
    master = master_of(pool=pool)
    with master.lock:
        assert master.calculateResult() == squares(6)


def test_wait_says_whether_it_is_over(pool: SlavePool, tmp_path: Any) -> None:
    master = master_of({0: str(tmp_path / "go on")}, wait_for_file, pool=pool)
    master.start()
    assert not master.wait(0.01)
    assert not master.isFinished()
    (tmp_path / "go on").touch()
    assert master.wait()
    assert master.isFinished()


def test_a_master_cannot_wait_for_itself() -> None:
    class Waiting(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.wait()

    with pytest.raises(RuntimeError, match="own thread"):
        master_of(cls=Waiting).calculateResult()


# ---- the callback


def test_the_callback_comes_after_finish_with_the_master_as_its_only_argument(pool: SlavePool) -> None:
    came: list[Any] = []
    master = master_of(pool=pool)
    master.setCallback(lambda *args: came.append((args, master.isFinished())))
    master.calculateResult()
    assert came == [((master,), True)]


def test_a_callback_set_during_the_run_is_called(pool: SlavePool, tmp_path: Any) -> None:
    came: list[threading.Thread] = []
    master = master_of({0: str(tmp_path / "go on")}, wait_for_file, pool=pool)
    master.start()
    master.setCallback(lambda master: came.append(threading.current_thread()))
    (tmp_path / "go on").touch()
    assert master.wait()
    assert came == [master]


def test_a_callback_set_after_the_end_is_called_once_in_the_thread_of_the_caller(pool: SlavePool) -> None:
    came: list[threading.Thread] = []
    master = master_of(pool=pool)
    master.calculateResult()
    master.setCallback(lambda master: came.append(threading.current_thread()))
    assert came == [threading.current_thread()]


def test_a_callback_may_set_another_and_ask_for_the_result(pool: SlavePool) -> None:
    came: list[Any] = []

    def first(master: Any) -> None:
        came.append(master.calculateResult())
        came.append(dict(master))
        came.append(master.wait())
        master.setCallback(lambda master: came.append("second"))

    master = master_of(pool=pool)
    master.setCallback(first)
    master.calculateResult()
    assert came == [squares(6), squares(6), True, "second"]


@pytest.mark.parametrize("error", [ValueError("in the callback"), SystemExit(1)])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_callback_that_raises_disturbs_nobody(
    pool: SlavePool, caplog: pytest.LogCaptureFixture, error: BaseException, is_late: bool
) -> None:
    def callback(_: object) -> None:
        raise error

    master = master_of(pool=pool)
    assert master.callback_error is None
    if is_late:
        master.calculateResult()
    with caplog.at_level(logging.ERROR):
        master.setCallback(callback)
        assert master.calculateResult() == squares(6)
    assert master.callback_error is error
    assert "callback" in caplog.text


def test_there_is_no_callback_without_a_result(tmp_path: Any) -> None:
    came: list[Any] = []
    master = master_of({0: str(tmp_path / "never")}, wait_for_file)
    master.setCallback(came.append)
    master.start()
    master.exit()
    master.setCallback(came.append)
    assert not came


# ---- iteration


def test_results_come_while_it_runs_each_once(pool: SlavePool, tmp_path: Any) -> None:
    paths = [str(tmp_path / str(i)) for i in range(4)]
    (tmp_path / "0").touch()
    seen = []
    for id, path in master_of(dict(enumerate(paths)), wait_for_file, pool=pool, chunk_size=1, redistribute=0):
        seen.append(id)
        assert path == paths[id]
        (tmp_path / str(len(seen))).touch()
    assert sorted(seen) == [0, 1, 2, 3]


def test_two_iterators_at_once_see_everything_whenever_they_begin(pool: SlavePool, tmp_path: Any) -> None:
    data = {0: __file__, 1: str(tmp_path / "go on")}
    master = master_of(data, wait_for_file, pool=pool, chunk_size=1)
    first = iter(master)
    assert next(first)[0] == 0
    second = iter(master)
    assert next(second)[0] == 0
    (tmp_path / "go on").touch()
    assert [id for id, _ in first] == [id for id, _ in second] == [1]
    assert dict(master) == data


def test_iteration_in_many_threads_gives_each_every_id_once(pool: SlavePool) -> None:
    master = master_of(2000, pool=pool, chunk_size=3)
    seen: list[list[int]] = []
    threads = [threading.Thread(target=lambda: seen.append([id for id, _ in master])) for _ in range(6)]
    master.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [sorted(ids) for ids in seen] == [list(range(2000))] * 6


def test_iteration_starts_with_what_was_known_before(pool: SlavePool) -> None:
    master = master_of(4, pool=pool)
    master.result.update({0: "known"})
    master.status.objects = {0: 0, 1: None, 2: None, 3: None}
    assert next(iter(master)) == (0, "known")
    assert dict(master) == {0: "known", 1: 1, 2: 4, 3: 9}


def test_an_iterator_that_is_left_early_leaves_the_calculation_running(pool: SlavePool) -> None:
    master = master_of(20, pool=pool, chunk_size=1)
    for _ in master:
        break
    assert master.calculateResult() == squares(20)
    assert master._tr_subscribers == []


def test_iteration_raises_at_its_end_what_went_wrong(pool: SlavePool) -> None:
    seen: dict[int, int] = {}
    with pytest.raises(CalculationError) as caught:
        seen.update(master_of(6, fail_on_odd, pool=pool))
    assert seen == {0: 0, 2: 2, 4: 4} == caught.value.result
    assert dict(master_of(6, fail_on_odd, pool=pool, on_error="collect")) == seen


def test_iteration_over_what_was_interrupted_gives_what_there_is(tmp_path: Any) -> None:
    master = master_of({0: __file__, 1: str(tmp_path / "never")}, wait_for_file, chunk_size=1)
    master.start()
    wait_until(lambda: master.result)
    master.exit()
    results = iter(master)
    assert next(results) == (0, __file__)
    with pytest.raises(Interrupted):
        next(results)


@pytest.mark.parametrize("wait", ["lockMsg", "wait"])
def test_who_waits_for_a_master_that_was_never_started_is_told_so(wait: str, caplog: pytest.LogCaptureFixture) -> None:
    master = TrackingJobMaster({1: 1}, function=abs, hosts=1, verbose=0)
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    handler = Told()
    logging.getLogger("tracking").addHandler(handler)
    try:
        begin = threading.Thread(target=lambda: (told.wait(30), master.start()))  # as forgetful people do: late
        begin.start()
        if wait == "lockMsg":
            with master.lock:
                master.lockMsg.wait()
        assert master.wait()
        begin.join()
    finally:
        logging.getLogger("tracking").removeHandler(handler)
    assert "has not begun: start() begins it" in caplog.text
    assert master.result == {1: 1}
