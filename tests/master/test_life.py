"""From start() to the callback: which hook is called when, and what happens when one raises."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from tests.master.helpers import is_alive, master_of, squares, wait_until
from tests.master.work import Squares, WithParams, pid, square, tell_and_wait, wait_for_file
from tracking import CalculationError, Interrupted, JobMaster, NoSlavesError, TrackingJobMaster


class Noting(TrackingJobMaster):
    """Writes down which hooks are called, in which thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.calls: list[str] = []
        self.threads: set[threading.Thread] = set()
        super().__init__(*args, **options)

    def note(self, name: str) -> None:
        self.calls.append(name)
        self.threads.add(threading.current_thread())

    def initialize(self) -> None:
        self.note("initialize")

    def bindMessages(self, slave_tid: int) -> None:
        self.note("bindMessages")

    def getInitParameters(self, slave_tid: int) -> Any:
        self.note("getInitParameters")
        return "parameters"

    def initializationDone(self, slave_tid: int) -> None:
        self.note("initializationDone")

    def start_job(self, slave_tid: int) -> None:
        self.note("start_job")
        super().start_job(slave_tid)

    def get_slave_chunk(self, ids: Any) -> Any:
        self.note("get_slave_chunk")
        return super().get_slave_chunk(ids)

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        self.note("job_done")

    def is_valid_slave(self, slave_tid: int) -> bool:
        self.note("is_valid_slave")
        return True

    def finish(self) -> None:
        self.note("finish")
        super().finish()

    def exit(self) -> None:
        self.note("exit")
        super().exit()

    def cleanup(self) -> None:
        self.note("cleanup")

    def reportProgress(self) -> None:
        self.note("reportProgress")

    def done(self) -> None:
        self.note("done")

    def notifyAll(self) -> None:
        self.note("notifyAll")
        super().notifyAll()

    def getResult(self, **arg: Any) -> Any:
        return self.result, arg


FIRST = ["initialize", "bindMessages", "getInitParameters", "initializationDone", "start_job", "get_slave_chunk"]
LAST = ["finish", "exit", "cleanup", "reportProgress", "done", "notifyAll", "callback"]


def test_hooks_are_called_in_their_order_in_the_thread_of_the_master() -> None:
    master = master_of({0: 0}, cls=Noting, verbose=1)
    master.setCallback(lambda master: master.note("callback"))
    assert master.calculateResult(a=1) == ({0: 0}, {"a": 1})
    assert master.calls == [*FIRST, "job_done", "is_valid_slave", *LAST]
    assert master.threads == {master}


def test_each_slave_gets_parameters_once_and_every_job_its_hooks() -> None:
    master = master_of(7, None, cls=Noting, slave_script=Squares, chunk_size=2, hosts=["localhost"] * 2, redistribute=0)
    master.calculateResult()
    counts = Counter(master.calls)
    assert counts["getInitParameters"] == counts["bindMessages"] <= 2
    assert counts["start_job"] == counts["get_slave_chunk"] == counts["job_done"] == counts["is_valid_slave"] == 4


def test_initialize_of_the_slave_gets_what_was_returned_for_its_tid() -> None:
    class Telling(TrackingJobMaster):
        def getInitParameters(self, slave_tid: int) -> Any:
            return {"for": slave_tid}

    result = master_of(4, None, cls=Telling, slave_script=WithParams, chunk_size=1, hosts=2).calculateResult()
    assert all(params == {"for": tid} for tid, params in result.values())


def test_job_done_may_change_what_is_recorded() -> None:
    class Changing(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            for id in result:
                result[id] = -result[id]

    assert master_of(3, cls=Changing).calculateResult() == {0: 0, 1: -1, 2: -4}


def test_values_may_be_made_when_they_are_needed() -> None:
    class Making(TrackingJobMaster):
        def get_slave_chunk(self, ids: Any) -> Any:
            return {id: id + 1 for id in ids}

    assert master_of(dict.fromkeys(range(4)), cls=Making).calculateResult() == {0: 1, 1: 4, 2: 9, 3: 16}


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ([1], "must return a dict"),
        ({0: 0}, "no value for id 1"),
        ({0: 0, 1: 1, 2: 2}, "id 2, which was not asked for"),
    ],
)
def test_a_chunk_of_other_ids_ends_the_calculation_with_words(chunk: Any, words: str) -> None:
    class Wrong(TrackingJobMaster):
        def get_slave_chunk(self, ids: Any) -> Any:
            return chunk

    with pytest.raises(ValueError, match=words):
        master_of(2, cls=Wrong, chunk_size=2).calculateResult()


def test_a_start_job_that_does_not_start_one_is_told_instead_of_waiting_for_ever() -> None:
    class Forgetful(TrackingJobMaster):
        def start_job(self, slave_tid: int) -> None:
            pass

    with pytest.raises(TypeError, match="start_job"):
        master_of(cls=Forgetful).calculateResult()


def test_a_slave_that_is_not_valid_any_more_gets_no_more() -> None:
    class Choosy(TrackingJobMaster):
        refused: frozenset[int] = frozenset()

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            assert slave_tid not in self.refused

        def is_valid_slave(self, slave_tid: int) -> bool:
            if not self.refused:
                self.refused = frozenset({slave_tid})
            return slave_tid not in self.refused

    master = master_of(30, cls=Choosy, chunk_size=1, hosts=2, redistribute=0)
    assert master.calculateResult() == squares(30)
    assert sorted(line["done"] for line in master.progress.values())[0] == 1


def test_when_no_slave_is_valid_any_more_it_says_so() -> None:
    class Demanding(TrackingJobMaster):
        def is_valid_slave(self, slave_tid: int) -> bool:
            return False

    master = master_of(30, cls=Demanding, chunk_size=1, hosts=2)
    with pytest.raises(NoSlavesError, match="is_valid_slave has refused them all"):
        master.calculateResult()
    assert len(master.result) >= 2


HOOKS = [*FIRST, "job_done", "is_valid_slave", "finish", "exit", "cleanup", "reportProgress", "done", "notifyAll"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises_ends_it_with_that_error(hook: str) -> None:
    class Raising(Noting):
        def note(self, name: str) -> None:
            super().note(name)
            if name == hook:
                raise LookupError(f"in {name}")

    master = master_of(2, cls=Raising, verbose=1)
    called: list[object] = []
    master.setCallback(called.append)
    with master.lock:
        master.start()
        assert master.lockMsg.wait(30)
    with pytest.raises(LookupError, match=f"in {hook}"):
        master.calculateResult()
    assert master.wait(30)
    assert not called
    if hook != "initialize":
        assert master.calls.count("cleanup") == 1


def test_system_exit_in_a_hook_does_not_leave_anybody_waiting() -> None:
    class Leaving(TrackingJobMaster):
        def done(self) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        master_of(cls=Leaving).calculateResult()


def test_slaves_are_gone_before_cleanup() -> None:
    class Looking(TrackingJobMaster):
        living: tuple[int, ...] = ()

        def cleanup(self) -> None:
            self.living = tuple(filter(is_alive, self.result.values()))

    master = master_of(4, pid, cls=Looking, chunk_size=1, hosts=2)
    assert master.calculateResult()
    assert master.living == ()


def test_busy_slaves_are_gone_before_cleanup_after_an_interruption(tmp_path: Any) -> None:
    class Looking(TrackingJobMaster):
        is_still_there = True

        def cleanup(self) -> None:
            self.is_still_there = is_alive(int(began.read_text()))

    began = tmp_path / "began"
    master = master_of({0: (str(began), str(tmp_path / "never"))}, tell_and_wait, cls=Looking)
    master.start()
    wait_until(began.exists)
    master.exit()
    assert not master.is_still_there


# ---- exit and stop


def running(tmp_path: Any, **options: Any) -> Any:
    """A master whose first item is done, and whose last has begun and will not end."""
    began = str(tmp_path / "began")
    data = {0: (str(tmp_path / "first"), __file__), 1: (began, str(tmp_path / "never"))}
    master = master_of(data, tell_and_wait, chunk_size=1, **options)
    master.start()
    wait_until((tmp_path / "began").exists)
    wait_until(lambda: 0 in master.result)
    return master


def test_exit_from_outside_interrupts_and_keeps_what_was_done(tmp_path: Any) -> None:
    master = running(tmp_path, cls=Noting)
    master.exit()
    assert master.isFinished()
    assert not master.is_alive() or master.join() is None
    with pytest.raises(Interrupted) as caught:
        master.calculateResult()
    assert list(caught.value.result) == [0]
    assert "finish" not in master.calls
    assert "done" not in master.calls
    assert master.calls.count("cleanup") == 1


def test_exit_while_the_lock_is_held_does_not_wait_for_ever(tmp_path: Any) -> None:
    master = running(tmp_path)
    with master.lock:
        master.exit()
        assert master.isFinished()


def test_exit_twice_and_after_the_end_does_nothing(tmp_path: Any) -> None:
    master = running(tmp_path)
    master.exit()
    master.exit()
    done = master_of(2)
    done.calculateResult()
    done.exit()
    assert done.calculateResult() == squares(2)


def test_exit_from_two_threads_at_once_returns_in_both(tmp_path: Any) -> None:
    master = running(tmp_path)
    threads = [threading.Thread(target=master.exit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_exit_before_the_start_does_nothing() -> None:
    master = master_of(2)
    master.exit()
    master.stop()
    assert master.calculateResult() == squares(2)


def test_exit_right_after_the_start_is_never_lost() -> None:
    for _ in range(20):
        master = master_of({0: "/nonexistent/never"}, wait_for_file)
        master.start()
        master.exit()
        with pytest.raises(Interrupted):
            master.calculateResult()


@pytest.mark.parametrize("hook", ["initialize", "getInitParameters", "job_done", "get_slave_chunk", "is_valid_slave"])
def test_exit_in_a_hook_ends_the_calculation_after_it(hook: str) -> None:
    class Leaving(Noting):
        def note(self, name: str) -> None:
            super().note(name)
            if name == hook:
                self.exit()

    master = master_of(20, cls=Leaving, chunk_size=1)
    with pytest.raises(Interrupted):
        master.calculateResult()
    assert "finish" not in master.calls


def test_exit_in_the_last_hooks_changes_nothing() -> None:
    class Leaving(TrackingJobMaster):
        def cleanup(self) -> None:
            self.exit()

        def done(self) -> None:
            self.exit()

    master = master_of(2, cls=Leaving)
    master.setCallback(lambda master: master.exit())
    assert master.calculateResult() == squares(2)
    assert master.callback_error is None


def test_stop_ends_it_without_waiting(tmp_path: Any) -> None:
    master = running(tmp_path)
    master.stop()
    assert master.isStopped()
    assert master.wait(30)
    with pytest.raises(Interrupted, match="stop"):
        master.calculateResult()


def test_a_master_starts_once() -> None:
    master = master_of(2)
    master.start()
    with pytest.raises(RuntimeError, match="only once"):
        master.start()
    assert master.calculateResult() == squares(2)
    with pytest.raises(RuntimeError, match="only once"):
        master.start()


def test_a_master_is_no_daemon_even_if_a_daemon_made_it() -> None:
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(master_of()), daemon=True)
    thread.start()
    thread.join()
    assert not made[0].isDaemon()


# ---- what there is to do


def test_no_items_are_done_at_once_without_a_slave() -> None:
    master = master_of({}, cls=Noting)
    assert master.calculateResult()[0] == {}
    assert master.calls == ["initialize", *[name for name in LAST[:-1] if name != "reportProgress"]]


def test_items_that_have_a_result_are_not_computed_again() -> None:
    known = dict.fromkeys(range(3), "known")
    master = JobMaster({i: i for i in range(4)}, 1, ["localhost"], {}, "", result=known, function=square, verbose=0)
    assert master.calculateResult() == known | {3: 9}


def test_when_all_have_a_result_no_slave_is_started() -> None:
    class NoSlaves(JobMaster):
        def spawnAll(self, *args: Any, **options: Any) -> None:
            raise AssertionError("slaves are started for nothing")

    master = NoSlaves({0: 0}, 1, ["localhost"], {}, "", result={0: "known"}, function=square, verbose=0)
    assert master.calculateResult() == {0: "known"}


def test_a_result_of_other_ids_stays_and_counts_for_nothing() -> None:
    master = JobMaster({0: 2}, 1, ["localhost"], {}, "", result={"else": 1}, function=square, verbose=0)
    assert master.calculateResult() == {"else": 1, 0: 4}


IDS = [None, True, 3.5, "a", b"a", (1, 2), (None, ("x",)), frozenset({1, 2}), 10**30, ""]


def test_ids_are_anything_hashable() -> None:
    assert master_of(dict.fromkeys(IDS, 2), chunk_size=3).calculateResult() == dict.fromkeys(IDS, 4)
    assert master_of(dict.fromkeys(IDS, 2), None, slave_script=Squares).calculateResult() == dict.fromkeys(IDS, 4)


def test_values_and_results_may_be_none() -> None:
    data = dict.fromkeys(range(5))
    assert master_of(data, lambda value: value).calculateResult() == data


def test_data_changed_before_the_start_count() -> None:
    master = master_of({"a": 1})
    master.data["b"] = 2
    del master.data["a"]
    assert master.calculateResult() == {"b": 4}


def test_errors_are_told_after_everything_else_was_finished() -> None:
    class Finishing(Noting):
        pass

    master = master_of({0: 0, 1: "x"}, cls=Finishing)
    with pytest.raises(CalculationError):
        master.calculateResult()
    assert "done" in master.calls
