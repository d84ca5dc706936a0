"""How managers and their slaves end, and what is told meanwhile."""

from __future__ import annotations

import functools
import gc
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.parallel import work
from tests.parallel.conftest import ManagerOf
from tests.pool.helpers import wait_for_end
from tracking.parallel import Error, LocalSlave, Manager, NoMoreSlavesError

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, sys, time
from tracking.parallel import LocalSlave, Manager

def pid():
    return os.getpid()

def work():
    while True:
        pass

manager = Manager(python={python!r})
manager.add_slave(LocalSlave())
manager.add_slave(LocalSlave())
context = manager.get_context()
context.add_task(pid)
print(next(context.get_results_unordered()), flush=True)
def go_on():
    for _ in range(2):
        context.add_task(work)
    task = context.add_task(pid)
    import threading
    results = context.get_results_unordered()
    threading.Thread(target=lambda: next(results, None), daemon=True).start()
    while context.progress.running < 2:
        time.sleep(0.01)
    print("BUSY", *manager._hub.pool.pids.values(), flush=True)
go_on()
{last}
"""


def run_program(folder: Path, last: str, python: str | None = None) -> tuple[subprocess.Popen[str], list[int]]:
    """Start the program; its process, and those of its slaves, which never end by themselves."""
    path = folder / "program.py"
    path.write_text(PROGRAM.format(last=last, python=python))
    process = subprocess.Popen(
        [sys.executable, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("BUSY"):
            return process, [int(word) for word in line.split()[1:]]
    raise AssertionError("the program has ended")


def end_of(process: subprocess.Popen[str]) -> int:
    status = process.wait(work.WAIT_S)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    return status


def test_a_program_that_ends_ends_its_slaves_though_they_work(own_folder: Path) -> None:
    process, pids = run_program(own_folder, "pass")
    assert end_of(process) == 0
    wait_for_end(*pids)


@pytest.mark.parametrize("python", [None, sys.executable])
def test_a_program_that_is_killed_takes_its_slaves_along_though_they_work(own_folder: Path, python: str | None) -> None:
    process, pids = run_program(own_folder, "sys.stdin.read()", python)
    process.kill()
    assert end_of(process) == -signal.SIGKILL
    wait_for_end(*pids)


def test_an_interrupted_program_ends_at_once_with_its_slaves(own_folder: Path) -> None:
    process, pids = run_program(own_folder, "for result in context.get_results_unordered(): pass")
    process.send_signal(signal.SIGINT)
    assert end_of(process) == -signal.SIGINT
    wait_for_end(*pids)


def test_a_manager_that_is_closed_ends_slaves_that_work_and_takes_no_more(manager_of: ManagerOf) -> None:
    manager = manager_of(2)
    context = manager.get_context()
    context.add_task(work.pid)
    context.add_task(functools.partial(work.compute, 1e6))
    pid = next(context.get_results_unordered())
    assert manager._hub.pool is not None
    pids = list(manager._hub.pool.pids.values())
    assert pid in pids
    manager.close()
    manager.close()
    wait_for_end(*pids)
    context.add_task(work.pid)
    with pytest.raises(Error, match="closed"):
        list(context.get_results_unordered())


def test_who_waits_for_a_result_is_told_that_the_manager_was_closed(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context()
    context.add_task(work.pid)
    context.add_task(functools.partial(work.compute, 1e6))
    results = context.get_results_unordered()
    next(results)
    closer = threading.Thread(target=manager.close)
    closer.start()
    with pytest.raises((Error, NoMoreSlavesError)):
        next(results)
    closer.join()


def test_a_fault_in_the_thread_is_an_error_and_no_hang(
    manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(hub: object) -> None:
        raise ZeroDivisionError("a bug")

    context = manager_of(1).get_context()
    context.add_task(work.pid)
    assert len(list(context.get_results_unordered())) == 1
    monkeypatch.setattr("tracking.parallel.hub.Hub._hand_out", fail)
    context.add_task(work.pid)
    with pytest.raises(Error, match="a bug"):
        list(context.get_results_unordered())
    assert "the thread of a manager has failed" in caplog.text


def test_a_manager_that_was_never_used_leaves_nothing() -> None:
    manager = Manager()
    manager.add_slave(LocalSlave())
    manager.get_context().add_task(work.pid)
    manager.close()
    with pytest.raises(Error, match="closed"):
        list(manager.get_context().get_results_unordered())


def test_slaves_end_when_nobody_has_the_manager_any_more() -> None:
    manager = Manager()
    manager.add_local(1)
    context = manager.get_context()
    context.add_task(work.pid)
    (pid,) = context.get_results_unordered()
    thread = manager._hub._thread
    del manager, context
    gc.collect()
    wait_for_end(pid)
    assert thread is not None
    thread.join(work.WAIT_S)
    assert not thread.is_alive()


def test_an_iteration_keeps_its_manager() -> None:
    manager = Manager()
    manager.add_local(1)
    context = manager.get_context()
    for n in range(5):
        context.add_task(work.Add(n))
    results = context.get_results_unordered()
    next(results)
    thread = manager._hub._thread
    del manager, context
    gc.collect()
    assert list(results) == [1, 2, 3, 4]
    del results
    gc.collect()
    assert thread is not None
    thread.join(work.WAIT_S)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_ends_without_touching_the_slaves_of_its_parent(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context(run_file="x.run")
    context.add_task(work.pid)
    (pid,) = context.get_results_unordered()
    child = os.fork()
    if not child:
        status = 1
        try:
            context.close()
            manager.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    context.add_task(work.pid)
    assert list(context.get_results_unordered()) == [pid]


def test_a_forked_child_that_asks_for_results_is_told_that_it_cannot_have_them(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context()
    context.add_task(work.pid)
    assert len(list(context.get_results_unordered())) == 1
    child = os.fork()
    if not child:
        status = 1
        try:
            context.add_task(work.pid)
            list(context.get_results_unordered())
        except Error as error:
            status = 0 if "made in another process" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_what_happens_is_logged_and_printed_only_if_so_wanted(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for is_verbose in (False, True):
        with caplog.at_level("INFO", logger="tracking"), Manager(verbose=is_verbose, python=sys.executable) as manager:
            manager.add_local(1)
            list(manager.get_context(None).map(len, ["ab"]))
        said = capsys.readouterr().out
        assert bool(said) is is_verbose
        assert ("Identified slave <LocalSlave> " in said) is is_verbose
        assert bool(re.search(r"slave_handler\.py \S+ 0:\d+", said)) is is_verbose
    assert "Identified slave <LocalSlave>" in caplog.text


# ---- the example


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def test_the_example_finds_the_same_when_a_slave_is_killed_on_the_way() -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "imp_parallel_scoring.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("50 of"):  # early: the other one shall not be through before there is another
            (starter,) = children_of(process.pid)
            os.kill(children_of(starter)[0], signal.SIGKILL)
    process.stdout.close()
    assert process.wait(work.WAIT_S) == 0
    assert "restraints were loaded 3 times for 500 models\n" in said
    assert any(line.startswith("500 of") for line in said)
