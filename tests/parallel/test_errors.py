"""What goes wrong in tasks and setups, on slaves, and when there are none."""

from __future__ import annotations

import functools
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.parallel import work
from tests.parallel.conftest import Gates, ManagerOf
from tests.pool.helpers import wait_for_slaves
from tracking import EncodeError
from tracking.parallel import Context, LocalSlave, Manager, NetworkError, NoMoreSlavesError, RemoteError
from tracking.parallel.far_side import SetUp
from tracking.parallel.tasks import Work


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def all_of(context: Context) -> tuple[list[Any], list[BaseException]]:
    """All results and errors, iterating again after each error."""
    results: list[Any] = []
    errors: list[BaseException] = []
    while True:
        try:
            take_into(results, context)
            return results, errors
        except Exception as error:
            errors.append(error)


def take_into(results: list[Any], context: Context) -> None:
    """Those before an error count, too."""
    for result in context.get_results_unordered():
        results.append(result)


def pids_of(manager: Manager) -> set[int]:
    assert manager._hub.pool is not None
    return set(manager._hub.pool.pids.values())


# ---- of tasks


def test_an_exception_comes_as_a_remote_error_that_ends_in_the_plain_traceback(manager_of: ManagerOf) -> None:
    manager = manager_of(0)
    slave = LocalSlave()
    manager.add_slave(slave)
    context = manager.get_context()
    context.add_task(work.raise_value_error)
    with pytest.raises(RemoteError) as caught:
        list(context.get_results_unordered())
    error = caught.value
    assert isinstance(error.exc, ValueError)
    assert error.exc.args == ("boom",)
    assert error.slave is error.worker is slave
    assert isinstance(error.traceback, list)
    assert error.traceback[0] == "Traceback (most recent call last):\n"
    assert error.traceback[-1] == "ValueError: boom\n"
    head, _, rest = str(error).partition("\nRemote traceback:\n")
    assert head == "<class 'ValueError'>: boom from <LocalSlave>"
    assert rest == "".join(error.traceback).rstrip()


def test_a_slave_survives_a_task_that_raises_and_the_task_is_not_run_again(
    manager_of: ManagerOf, tmp_path: Path
) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    context.add_task(functools.partial(work.note_and_raise, tmp_path / "notes"))
    context.add_task(work.pid)
    with pytest.raises(RemoteError):
        list(context.get_results_unordered())
    pids = pids_of(manager)
    assert list(context.get_results_unordered()) == list(pids)
    assert list(context.get_results_unordered()) == []
    assert len(lines_of(tmp_path / "notes")) == 1


def test_results_are_given_as_they_come_also_where_an_error_follows(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    context.add_task(work.Add(1))
    context.add_task(work.raise_value_error)
    context.add_task(work.Add(2))
    results = context.get_results_unordered()
    assert next(results) == 1
    with pytest.raises(RemoteError):
        next(results)
    assert list(context.get_results_unordered()) == [2]


def test_in_order_the_error_comes_where_its_task_stands(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context()
    for task in (work.Add(1), work.raise_value_error, work.Add(2), work.Add(3)):
        context.add_task(task)
    results = context.get_results()
    assert next(results) == 1
    with pytest.raises(RemoteError):
        next(results)
    assert list(context.get_results()) == [2, 3]


@pytest.mark.parametrize("kind", ["unpicklable", "unreadable", "reads badly"])
def test_exceptions_that_cannot_travel_are_told_in_words_and_cost_no_slave(
    kind: str, manager_of: ManagerOf
) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    context.add_task(functools.partial(work.raise_one_of, kind))
    context.add_task(work.pid)
    _, (error,) = results, errors = all_of(context)
    assert isinstance(error, RemoteError)
    assert isinstance(error.exc, Exception)
    assert ("1 and 2" if kind == "unreadable" else "text of it") in str(error)
    assert "raise_one_of" in "".join(error.traceback)
    assert results == list(pids_of(manager))
    assert len(errors) == 1


def test_a_task_that_slaves_cannot_import_says_so_and_costs_no_slave(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    for _ in range(3):
        context.add_task(work.NotHere())
    context.add_task(work.pid)
    results, errors = all_of(context)
    assert [type(getattr(error, "exc", None)) for error in errors] == 3 * [ModuleNotFoundError]
    assert "my_model" in str(errors[0])
    assert results == list(pids_of(manager))


def test_a_task_that_cannot_be_pickled_is_an_error_and_the_others_are_run(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    numbers = (n for n in range(3))
    context.add_task(lambda: numbers)
    context.add_task(work.Add(1))
    results, errors = all_of(context)
    assert results == [1]
    assert [type(error) for error in errors] == [EncodeError]


def test_a_result_that_cannot_be_pickled_is_a_remote_error(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    context.add_task(work.not_to_be_pickled)
    context.add_task(work.Add(1))
    results, (error,) = all_of(context)
    assert results == [1]
    assert isinstance(error, RemoteError)
    assert "lock" in str(error)


@pytest.mark.parametrize("how", ["KeyboardInterrupt", "SystemExit"])
def test_interrupts_in_tasks_are_errors_and_cost_no_slave(how: str, manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    context.add_task(functools.partial(work.leave, how))
    context.add_task(work.pid)
    results, (error,) = all_of(context)
    assert type(getattr(error, "exc", None)).__name__ == how
    assert results == list(pids_of(manager))


# ---- of the setup


def test_a_setup_that_raises_is_a_remote_error_and_costs_no_slave(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    failing, other = manager.get_context(work.fails), manager.get_context()
    failing.add_task(work.pid)
    with pytest.raises(RemoteError, match="no data") as caught:
        list(failing.get_results_unordered())
    assert isinstance(caught.value.exc, KeyError)
    assert "fails" in "".join(caught.value.traceback)
    other.add_task(work.pid)
    assert list(other.get_results_unordered()) == list(pids_of(manager))


def test_a_setup_that_cannot_be_sent_is_an_error_and_the_tasks_stay(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    numbers = (n for n in range(3))
    context = manager.get_context(lambda: numbers)
    context.add_task(work.pid)
    for _ in range(2):
        with pytest.raises(EncodeError, match="setup"):
            list(context.get_results_unordered())
    assert context.progress.waiting == 1


# ---- slaves that die


def test_a_task_whose_slave_dies_is_run_by_another_and_the_dead_one_is_replaced(
    manager_of: ManagerOf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = manager_of(2)
    context = manager.get_context()
    with caplog.at_level("INFO", logger="tracking"):
        task = context.add_task(functools.partial(work.die_first, tmp_path / "mark"), name="the bad one")
        assert list(context.get_results_unordered()) == ["done by another"]
    assert "Slave <LocalSlave> failed (its slave was killed by SIGKILL): rescheduling task the bad one" in caplog.text
    assert task.deaths == 1
    gates = Gates(tmp_path)
    paths = [gates.new(), gates.new()]
    for path in paths:
        context.add_task(functools.partial(work.wait_at, path))
    opener = threading.Thread(target=gates.open_all, args=(paths,))
    opener.start()
    assert len(set(context.get_results_unordered())) == 2
    opener.join()


def test_a_task_that_is_moved_goes_behind_the_others() -> None:
    tasks = Work(SetUp(None))
    tasks.n_iterating = 1
    first, second = (tasks.add(work.Add(n), None, None) for n in range(2))
    assert tasks.next_to_send() is first
    tasks.has_ended_slave(first, 2)
    assert [tasks.next_to_send(), tasks.next_to_send(), tasks.next_to_send()] == [second, first, None]
    tasks.has_ended_slave(first, 2)
    assert first.state == "lost"


@pytest.mark.parametrize(("n", "task"), [(1, work.note_and_die), (3, work.note_and_die)])
def test_a_task_that_ends_as_many_slaves_as_there_are_is_named_when_the_others_are_done(
    n: int, task: Any, manager_of: ManagerOf, tmp_path: Path
) -> None:
    context = manager_of(n).get_context()
    poison = context.add_task(functools.partial(task, tmp_path / "notes"), name="poison")
    for k in range(10):
        context.add_task(work.Add(k))
    results: list[Any] = []
    with pytest.raises(NoMoreSlavesError, match=r"Ran out of slaves to run tasks.*poison") as caught:
        take_into(results, context)
    assert sorted(results) == list(range(10))
    assert caught.value.tasks == [poison]
    assert poison.state == "lost"
    assert len(lines_of(tmp_path / "notes")) == n
    context.add_task(work.Add(77))
    assert list(context.get_results_unordered()) == [77]


def test_a_task_that_leaves_with_its_slave_is_the_same(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context()
    context.add_task(work.exit_at_once)
    context.add_task(work.Add(1))
    results = context.get_results_unordered()
    assert next(results) == 1
    with pytest.raises(NoMoreSlavesError, match="exit_at_once"):
        next(results)


def test_a_slave_that_is_killed_from_outside_costs_no_result(manager_of: ManagerOf, gates: Gates) -> None:
    manager = manager_of(2)
    context = manager.get_context()
    context.add_task(work.Add(-1))
    results = context.get_results_unordered()
    next(results)
    victim = min(pids_of(manager))
    os.kill(victim, signal.SIGKILL)
    for n in range(20):
        context.add_task(work.Add(n))
    assert sorted(results) == list(range(20))


# ---- no slaves


def test_without_any_slave_tasks_are_an_error_at_once(manager_of: ManagerOf) -> None:
    manager = manager_of(0)
    context = manager.get_context()
    assert list(context.get_results_unordered()) == []
    context.add_task(work.Add(1))
    with pytest.raises(NoMoreSlavesError, match=r"^Ran out of slaves to run tasks: none was added") as caught:
        list(context.get_results_unordered())
    assert str(caught.value).endswith(": add_slave(...) or add_local()")
    manager.add_slave(LocalSlave())
    assert list(context.get_results_unordered()) == [1]


def test_nothing_that_starts_within_heartbeat_timeout_is_a_network_error_whatever_the_task(
    manager_of: ManagerOf, own_folder: Path
) -> None:
    manager = manager_of(1, python="/no/such/python")
    manager.heartbeat_timeout = 0.1
    context = manager.get_context()
    numbers = (n for n in range(3))
    context.add_task(lambda: numbers)
    with pytest.raises(NetworkError):
        list(context.get_results_unordered())
    assert (own_folder / "slave0.output").exists()
    assert context.progress.waiting == 1


def test_a_python_that_is_missing_is_named_soon_though_the_limit_is_long(
    manager_of: ManagerOf, own_folder: Path
) -> None:
    manager = manager_of(2, python="/no/such/python")
    context = manager.get_context()
    context.add_task(work.Add(1))
    with pytest.raises(NetworkError, match=r"No slave could be started.*exit status 127") as caught:
        list(context.get_results_unordered())
    command, output = str(caught.value).splitlines()[-2:]
    assert re.match(r"The command of slave[01]: /no/such/python -P \S+slave_handler\.py \S+ [01]:\d+$", command)
    assert output in [f"Its output: {own_folder / name}" for name in ("slave0.output", "slave1.output")]
    assert "/no/such/python" in (own_folder / "slave0.output").read_text()


def test_a_slave_that_cannot_start_is_no_obstacle_while_another_works(manager_of: ManagerOf) -> None:
    class Broken(LocalSlave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            super()._start("exit 3;", unique_id, output)

    manager = manager_of(1)
    manager.add_slave(Broken())
    context = manager.get_context()
    for n in range(10):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(10))


def test_the_limit_is_read_when_it_is_used_on_class_or_object(manager_of: ManagerOf) -> None:
    class Hasty(Manager):
        heartbeat_timeout = 0.05

    class Never(LocalSlave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            """It starts nothing."""

    with Hasty() as manager:
        manager.add_slave(Never())
        context = manager.get_context()
        context.add_task(work.Add(1))
        for _ in range(2):
            with pytest.raises(NetworkError, match=r"Did not hear from any running slave in 0\.05 seconds"):
                list(context.get_results_unordered())
        manager.heartbeat_timeout = 0.01
        with pytest.raises(NetworkError, match=r"in 0\.01 seconds"):
            list(context.get_results_unordered())
        manager.add_local(1)
        manager.heartbeat_timeout = 30
        assert list(context.get_results_unordered()) == [1]


# ---- signs of life


def test_a_healthy_slave_may_compute_longer_than_the_limit(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    manager.heartbeat_timeout = 1.0
    context = manager.get_context()
    context.add_task(work.pid)
    while True:
        try:
            list(context.get_results_unordered())
            break
        except NetworkError:
            pass  # that one is of the start
    context.add_task(functools.partial(work.compute, 2.5))
    assert list(context.get_results_unordered()) == ["computed"]


def test_a_pause_of_the_program_condemns_nobody(manager_of: ManagerOf) -> None:
    manager = manager_of(2)
    context = manager.get_context()
    for n in range(6):
        context.add_task(work.Add(n))
    results = context.get_results_unordered()
    seen = [next(results)]
    assert manager._hub.pool is not None
    pids = set(wait_for_slaves(manager._hub.pool, 2))
    manager.heartbeat_timeout = 0.5
    work.compute(0.8)
    assert sorted([*seen, *results]) == list(range(6))
    assert pids_of(manager) == pids
    assert all(task.deaths == 0 for task in context._work._to_take.values())


def test_a_frozen_slave_among_live_ones_costs_no_result(manager_of: ManagerOf, tmp_path: Path) -> None:
    manager = manager_of(2)
    manager.heartbeat_timeout = 2
    context = manager.get_context()
    context.add_task(functools.partial(work.stop_first, tmp_path / "mark"))
    for n in range(5):
        context.add_task(work.Add(n))
    results, errors = all_of(context)
    assert "done by another" in results
    assert len(results) == 6
    assert not errors


def test_when_all_slaves_are_frozen_their_tasks_are_run_by_others(manager_of: ManagerOf, gates: Gates) -> None:
    manager = manager_of(2)
    manager.heartbeat_timeout = 0.3
    context = manager.get_context()
    context.add_task(functools.partial(work.compute, 0.0))
    manager.heartbeat_timeout = 30
    list(context.get_results_unordered())
    manager.heartbeat_timeout = 0.3
    for pid in pids_of(manager):
        os.kill(pid, signal.SIGSTOP)
    context.add_task(work.Add(5))
    results, errors = all_of(context)
    assert results == [5]
    assert {type(error) for error in errors} <= {NetworkError}
