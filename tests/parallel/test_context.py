"""Contexts: when tasks run, and how their results are given."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.parallel import work
from tests.parallel.conftest import Gates, ManagerOf
from tests.parallel.work import WAIT_S
from tracking import InputError
from tracking.parallel import Context, LocalSlave, Manager, RemoteError, Task, slavestate


def numbers(path: Path) -> list[int]:
    """What ``work.note`` has noted."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


# ---- results


def test_results_come_as_a_generator(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context()
    for n in range(20):
        context.add_task(work.Add(n))
    results = context.get_results_unordered()
    assert sorted([next(results), *results]) == list(range(20))


def test_a_context_may_be_made_without_the_manager_s_help(manager_of: ManagerOf) -> None:
    context = Context(manager_of(1), work.three)
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [7]


def test_nothing_is_started_before_the_first_result_is_asked_for(manager_of: ManagerOf, own_folder: Path) -> None:
    threads = threading.active_count()
    manager = manager_of(2)
    context = manager.get_context()
    context.add_task(work.pid)
    results = context.get_results_unordered()
    assert threading.active_count() == threads
    assert list(own_folder.iterdir()) == []
    next(results)
    assert len(list(own_folder.iterdir())) == 2


def test_without_tasks_slaves_are_started_and_there_is_no_result_and_no_error(
    manager_of: ManagerOf, own_folder: Path
) -> None:
    assert list(manager_of(1).get_context().get_results_unordered()) == []
    assert (own_folder / "slave0.output").exists()


def test_tasks_are_sent_in_the_order_in_which_they_were_added(manager_of: ManagerOf, tmp_path: Path) -> None:
    context = manager_of(1).get_context()
    for n in range(30):
        context.add_task(functools.partial(work.note, tmp_path / "notes", n))
    assert list(context.get_results_unordered()) == list(range(30))
    assert numbers(tmp_path / "notes") == list(range(30))


def test_results_come_in_the_order_in_which_tasks_end(manager_of: ManagerOf, gates: Gates) -> None:
    context = manager_of(2).get_context()
    gate = gates.new()
    slow = context.add_task(functools.partial(work.wait_at, gate))
    for n in range(5):
        context.add_task(work.Add(n))
    results = context.get_results_unordered()
    assert [next(results) for _ in range(5)] == list(range(5))
    assert slow.state == "running"
    gates.open(gate)
    assert len(list(results)) == 1


def test_ordered_results_come_in_the_order_in_which_tasks_were_added(manager_of: ManagerOf, gates: Gates) -> None:
    context = manager_of(2).get_context()
    gate = gates.new()
    context.add_task(functools.partial(work.wait_at, gate))
    for n in range(5):
        context.add_task(functools.partial(work.Add(n)))
    opener = threading.Thread(target=gates.open, args=(gate,))
    opener.start()
    pid, *others = context.get_results()
    opener.join()
    assert pid != os.getpid()
    assert others == list(range(5))


def test_one_task_runs_on_a_slave_at_a_time_and_all_slaves_work(manager_of: ManagerOf, gates: Gates) -> None:
    manager = manager_of(3)
    context = manager.get_context()
    paths = [gates.new() for _ in range(3)]
    for path in paths:
        context.add_task(functools.partial(work.wait_at, path))
    opener = threading.Thread(target=gates.open_all, args=(paths,))
    opener.start()
    assert len(set(context.get_results_unordered())) == 3
    opener.join()


def test_tasks_added_while_results_are_taken_are_run(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context()
    context.add_task(work.Add(0))
    seen = []
    for result in context.get_results_unordered():
        seen.append(result)
        if result < 10:
            context.add_task(work.Add(result + 1))
    assert seen == list(range(11))


def test_slaves_added_while_results_are_taken_work_at_once(manager_of: ManagerOf, gates: Gates) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    gate = gates.new()
    context.add_task(work.Add(1))
    context.add_task(functools.partial(work.wait_at, gate))
    context.add_task(work.Add(2))
    results = context.get_results_unordered()
    assert next(results) == 1
    manager.add_slave(LocalSlave())
    assert next(results) == 2
    gates.open(gate)
    assert len(list(results)) == 1


def test_slaves_added_by_another_thread_while_one_waits_work_at_once(manager_of: ManagerOf, gates: Gates) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    gate = gates.new()
    context.add_task(functools.partial(work.wait_at, gate))
    context.add_task(functools.partial(work.Add(2)))

    def help_it() -> None:
        end = os.open(gate, os.O_WRONLY)  # the only slave is busy from now on
        manager.add_local(1)
        taken.wait(WAIT_S)
        os.close(end)

    taken = threading.Event()
    helper = threading.Thread(target=help_it)
    helper.start()
    results = context.get_results_unordered()
    assert next(results) == 2
    taken.set()
    assert len(list(results)) == 1
    helper.join()


def test_a_context_may_be_used_again_with_its_slaves_and_their_setup(manager_of: ManagerOf, tmp_path: Path) -> None:
    context = manager_of(1).get_context(work.Noted(tmp_path / "setups"))
    pids = set()
    for _ in range(3):
        context.add_task(work.give_all)
        pids |= {pid for pid, _ in context.get_results_unordered()}
    assert len(pids) == 1
    assert len(numbers(tmp_path / "setups")) == 1


def test_an_iteration_that_was_left_is_resumed_by_another(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context()
    for n in range(10):
        context.add_task(work.Add(n))
    seen = []
    for result in context.get_results_unordered():
        seen.append(result)
        if len(seen) == 3:
            break
    assert sorted([*seen, *context.get_results_unordered()]) == list(range(10))


def test_a_result_under_way_when_an_iteration_is_left_is_given_by_the_next(
    manager_of: ManagerOf, gates: Gates
) -> None:
    context = manager_of(2).get_context()
    gate = gates.new()
    context.add_task(functools.partial(work.wait_at, gate))
    context.add_task(work.Add(1))
    results = context.get_results_unordered()
    assert next(results) == 1
    del results
    gates.open(gate)
    assert len(list(context.get_results_unordered())) == 1


def test_no_task_is_sent_when_nobody_asks_for_results_any_more(manager_of: ManagerOf, tmp_path: Path) -> None:
    context = manager_of(1).get_context()
    context.add_task(work.Add(0))
    assert list(context.get_results_unordered()) == [0]
    task = context.add_task(functools.partial(work.note, tmp_path / "notes", 1))
    assert context.progress.waiting == 1
    assert task.state == "waiting"
    assert not (tmp_path / "notes").exists()


def test_a_slow_consumer_keeps_no_slave_waiting(manager_of: ManagerOf, gates: Gates) -> None:
    context = manager_of(2).get_context()
    tasks = [context.add_task(work.Add(n)) for n in range(50)]
    gate = gates.new()
    context.add_task(functools.partial(work.wait_at, gate))
    results = context.get_results_unordered()
    next(results)
    gates.open(gate)  # the last of all has been sent, though only one result was taken
    assert all(task.state != "waiting" for task in tasks)
    assert len(list(results)) == 50


# ---- tasks


def test_a_task_is_made_bytes_when_it_is_sent_so_later_changes_are_seen(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    task = work.Add(1)
    context.add_task(task)
    results = context.get_results_unordered()
    task.number = 5
    assert list(results) == [5]
    context.add_task(task)
    task.number = 6
    assert list(context.get_results_unordered()) == [6]


def test_a_task_that_is_sent_again_is_made_bytes_again(manager_of: ManagerOf, tmp_path: Path) -> None:
    class Counted:
        """Counts how often it is made bytes."""

        n = 0

        def __reduce__(self) -> tuple[Any, ...]:
            self.n += 1
            return functools.partial, (work.die_first, tmp_path / "mark")

        def __call__(self) -> None:
            raise AssertionError

    counted = Counted()
    context = manager_of(2).get_context()
    context.add_task(counted)
    assert list(context.get_results_unordered()) == ["done by another"]
    assert counted.n == 2


@pytest.mark.parametrize(
    "task",
    [work.Add(3).method, work.Slotted(3), work.Falsy(3), functools.partial(work.Add(1), 2), lambda: 3],
    ids=["bound method", "slots", "false", "partial", "lambda"],
)
def test_anything_that_can_be_called_is_a_task_and_is_left_as_it_was(task: Any, manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    context.add_task(task)
    before = dict(getattr(task, "__dict__", {}))
    assert list(context.get_results_unordered()) == [3]
    assert dict(getattr(task, "__dict__", {})) == before


def test_results_that_are_false_nan_or_exceptions_are_results(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    for value in (None, 0, [], math.nan, math.inf, ValueError("a value")):
        context.add_task(functools.partial(work.give_all, value))
    values = [value for (value,) in context.get_results_unordered()]
    assert values[:3] == [None, 0, []]
    assert math.isnan(values[3])
    assert values[4] == math.inf
    assert isinstance(values[5], ValueError)


def test_slaves_find_modules_as_the_program_does_and_work_in_its_directory(
    manager_of: ManagerOf, tmp_path: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "my_restraints.py").write_text("def score(x):\n    return x * x\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    import my_restraints  # type: ignore[import-not-found]

    monkeypatch.setenv("MY_SETTING", "on")
    context = manager_of(1).get_context()
    context.add_task(functools.partial(my_restraints.score, 3))
    context.add_task(work.directory_and_path)
    context.add_task(functools.partial(work.environment, "MY_SETTING"))
    nine, (directory, path), setting = context.get_results()
    assert (nine, directory, setting) == (9, str(own_folder), "on")
    assert path[0] == str(tmp_path / "lib")


# ---- setup


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), (1, 2)), ([1, 2], (1, 2)), ("ab", ("a", "b")), (None, ()), (7, (7,)), ((), ()), ([None], (None,)),
        ({"a": 1}, ("a",)),
    ],
)  # fmt: skip
def test_what_a_setup_gives_are_the_arguments_of_each_task(value: Any, expected: Any, manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context(lambda: value)
    for _ in range(2):
        context.add_task(work.give_all)
    assert list(context.get_results_unordered()) == [expected, expected]


def test_a_generator_from_a_setup_serves_all_tasks(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context(lambda: (n for n in range(3)))
    for _ in range(2):
        context.add_task(work.give_all)
    assert list(context.get_results_unordered()) == [(0, 1, 2), (0, 1, 2)]


def test_a_setup_runs_once_on_each_slave(manager_of: ManagerOf, tmp_path: Path, gates: Gates) -> None:
    context = manager_of(2).get_context(work.Noted(tmp_path / "setups"))
    paths = [gates.new(), gates.new()]
    for path in paths:
        context.add_task(functools.partial(work.wait_at, path))
    for _ in range(10):
        context.add_task(work.give_all)
    opener = threading.Thread(target=gates.open_all, args=(paths,))
    opener.start()
    list(context.get_results_unordered())
    opener.join()
    setups = numbers(tmp_path / "setups")
    assert len(setups) == len(set(setups)) == 2


def test_a_setup_may_have_arguments(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context(work.give_all, 1, 2)
    context.add_task(work.Add(4))
    assert list(context.get_results_unordered()) == [7]


def test_slaves_that_are_in_a_context_already_are_chosen_before_others(manager_of: ManagerOf, tmp_path: Path) -> None:
    context = manager_of(3).get_context(work.Noted(tmp_path / "setups"))
    for _ in range(8):
        context.add_task(work.give_all)
        assert len(list(context.get_results_unordered())) == 1
    assert len(numbers(tmp_path / "setups")) == 1


# ---- several contexts


def test_two_contexts_share_one_slave(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    one, other = manager.get_context(work.three), manager.get_context(work.nothing)
    one.add_task(work.Add(0))
    assert list(one.get_results_unordered()) == [6]
    other.add_task(work.Add(0))
    assert list(other.get_results_unordered()) == [0]
    one.add_task(work.Add(1))
    assert list(one.get_results_unordered()) == [7]


def test_generators_of_two_contexts_interleave_on_one_slave(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    contexts = [manager.get_context(lambda k=k: (k,)) for k in (100, 200)]
    for n in range(5):
        for context in contexts:
            context.add_task(work.Add(n))
    pairs = list(zip(*(context.get_results_unordered() for context in contexts), strict=True))
    assert pairs == [(100 + n, 200 + n) for n in range(5)]


# ---- what is known of a task


def test_tasks_have_names_and_tell_how_they_fare(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    task = context.add_task(work.Add(3), name="add three")
    other = context.add_task(work.raise_value_error)
    assert (task.name, task.state, task.number) == ("add three", "waiting", 0)
    assert (other.name, other.number) == ("raise_value_error", 1)
    first, second = context.get_tasks_unordered()
    assert (first, second) == (task, other)
    assert (task.state, task.result, task.host, task.deaths) == ("done", 3, "localhost", 0)
    assert (task.slave, task.worker) == (manager._hub.slaves["slave0"], task.slave)
    assert task.seconds is not None
    assert (other.state, type(other.error)) == ("failed", RemoteError)
    assert "add three" in repr(task)


def test_a_callback_is_called_in_the_thread_that_takes_results(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context()
    seen: list[tuple[Task, threading.Thread]] = []
    tasks = [
        context.add_task(work.Add(n), callback=lambda task: seen.append((task, threading.current_thread())))
        for n in range(5)
    ]
    assert sorted(context.get_results_unordered()) == list(range(5))
    assert {task for task, _ in seen} == set(tasks)
    assert {thread for _, thread in seen} == {threading.current_thread()}


def test_progress_is_told(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    for n in range(4):
        context.add_task(work.Add(n))
    context.add_task(work.raise_value_error)
    context.cancel(context.add_task(work.pid))
    assert context.progress == (5, 0, 0, 0, 1)
    list(context.get_tasks_unordered())
    assert context.progress == (0, 0, 4, 1, 1)
    assert str(context.progress) == "4 of 6 done, 0 running, 1 failed"
    assert manager.hosts["localhost"].tasks == 5


def test_tasks_can_be_cancelled_waiting_or_running(manager_of: ManagerOf, gates: Gates) -> None:
    context = manager_of(1).get_context()
    gate = gates.new()
    running = context.add_task(functools.partial(work.wait_at, gate))
    context.add_task(work.Add(1))
    waiting = context.add_task(work.Add(2))

    def cancel() -> None:
        end = os.open(gate, os.O_WRONLY)
        context.cancel(running)
        context.cancel(waiting)
        os.close(end)

    thread = threading.Thread(target=cancel)
    thread.start()
    assert list(context.get_results_unordered()) == [1]
    thread.join()
    assert running.state == waiting.state == "cancelled"


def test_a_context_that_is_closed_gives_nothing_more_and_others_go_on(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    other = manager.get_context()
    with manager.get_context(work.three) as context:
        context.add_task(work.Add(0))
        assert next(context.get_results_unordered()) == 6
        context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == []
    other.add_task(work.Add(1))
    assert list(other.get_results_unordered()) == [1]


@pytest.mark.parametrize("chunksize", [1, 4])
def test_map_cuts_values_into_chunks_and_keeps_their_order(manager_of: ManagerOf, chunksize: int) -> None:
    context = manager_of(2).get_context(lambda: (100,))
    assert list(context.map(lambda base, value: base + value, range(10), chunksize)) == list(range(100, 110))
    assert context.progress.done == math.ceil(10 / chunksize)


def test_a_wrong_chunksize_is_refused(manager_of: ManagerOf) -> None:
    with pytest.raises(InputError, match="chunksize"):
        manager_of(1).get_context().map(work.pid, [1], 0)


# ---- slaves


def test_a_slave_s_state_follows_it(manager_of: ManagerOf, gates: Gates) -> None:
    manager = manager_of(0)
    slave = LocalSlave()
    manager.add_slave(slave)
    context = manager.get_context()
    gate = gates.new()
    context.add_task(work.pid)
    context.add_task(functools.partial(work.wait_at, gate))
    results = context.get_results_unordered()
    assert slave._state == slavestate.init
    next(results)
    assert not slave.get_contact_timed_out(WAIT_S)
    with manager._hub.changed:
        assert manager._hub.changed.wait_for(lambda: slave._state == slavestate.running_task, WAIT_S)
    gates.open(gate)
    list(results)
    assert slave._state == slavestate.connected
    assert not slave.get_data_pending()
    manager.close()
    assert slave._state == slavestate.dead


def test_as_many_local_slaves_as_cores_can_be_had_in_one_line() -> None:
    with Manager() as manager:
        manager.add_local(3)
        manager.add_local()
        assert len(manager._added) == 3 + len(os.sched_getaffinity(0))


def test_all_that_a_slave_prints_is_in_its_file(manager_of: ManagerOf, own_folder: Path) -> None:
    manager = manager_of(1, output="log-%03d.txt")
    (own_folder / "log-000.txt").write_text("of yesterday\n")
    context = manager.get_context()
    context.add_task(functools.partial(work.say, "hello"))
    list(context.get_results_unordered())
    manager.close()
    assert (own_folder / "log-000.txt").read_text() == "hello\nhello\n"


def test_outputs_are_called_by_the_vocabulary(manager_of: ManagerOf, own_folder: Path) -> None:
    manager = manager_of(1)
    manager.add_worker(LocalSlave())
    list(manager.get_context().get_results_unordered())
    assert Counter(path.name for path in own_folder.iterdir()) == Counter(["slave0.output", "worker1.output"])


def test_an_output_that_was_given_counts_in_both_vocabularies(manager_of: ManagerOf, own_folder: Path) -> None:
    manager = manager_of(1, output="slave%d.output"[:5] + "%d.output")
    manager.add_worker(LocalSlave())
    list(manager.get_context().get_results_unordered())
    assert Counter(path.name for path in own_folder.iterdir()) == Counter(["slave0.output", "slave1.output"])
