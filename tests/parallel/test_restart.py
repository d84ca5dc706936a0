"""A program that is started again has the results that were recorded, whatever has ended it."""

from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.parallel import work
from tests.parallel.conftest import ManagerOf
from tests.parallel.test_context import numbers
from tests.pool.helpers import wait_for_end_of_all_in
from tracking.cli.commands import tracking
from tracking.errors import StoreError
from tracking.parallel import Context, LocalSlave, Manager, RemoteError
from tracking.parallel.record import Record
from tracking.store.run_file import RunFile, RunFileReader

ROOT = Path(__file__).parents[2]
RUN = "x.run"


def noting(n: int) -> Callable[[], int]:
    """A task that leaves a note that it was run."""
    return functools.partial(work.note, Path("notes").absolute(), n)


def status() -> str:
    return CliRunner().invoke(tracking, ["status", RUN]).output


# ---- results


def test_results_are_there_again_and_only_what_is_missing_is_run(manager_of: ManagerOf) -> None:
    with manager_of(2).get_context(run_file=RUN) as context:
        for n in range(5):
            context.add_task(noting(n))
        assert sorted(context.get_results_unordered()) == list(range(5))
    with manager_of(2).get_context(run_file=RUN) as context:
        tasks = [context.add_task(noting(n)) for n in range(8)]
        assert list(context.get_results()) == list(range(8))
    assert sorted(numbers(Path("notes"))) == list(range(8)), "each was run once"
    assert [task.is_recorded for task in tasks] == [True] * 5 + [False] * 3
    assert context.progress.done == 8


def test_what_is_all_recorded_needs_no_slave_that_works(manager_of: ManagerOf) -> None:
    with manager_of(1).get_context(run_file=RUN) as context:
        context.add_task(noting(1))
        assert list(context.get_results()) == [1]
    with manager_of().get_context(run_file=RUN) as context:
        context.add_task(noting(1))
        assert list(context.get_results_unordered()) == [1]


def test_a_result_is_in_the_file_before_it_is_told(manager_of: ManagerOf) -> None:
    context = manager_of(2).get_context(run_file=RUN)
    for n in range(20):
        context.add_task(work.Add(n), name=f"task {n}")
    for result in context.get_results_unordered():
        assert dict(RunFileReader(RUN).results())[f"task {result}"] == result
    context.close()


def test_tasks_with_names_are_found_by_them_in_whatever_order_they_are_added(manager_of: ManagerOf) -> None:
    for order in ("abc", "xcbay"):
        with manager_of(1).get_context(run_file=RUN) as context:
            for name in order:
                context.add_task(noting(ord(name)), name=name)
            assert list(context.get_results()) == list(map(ord, order))
    assert sorted(numbers(Path("notes"))) == sorted(map(ord, "abcxy"))


def test_tasks_of_one_name_are_told_apart_by_their_order(manager_of: ManagerOf) -> None:
    for _ in range(2):
        with manager_of(1).get_context(run_file=RUN) as context:
            for n in range(3):
                context.add_task(noting(n), name="same")
            assert list(context.get_results()) == [0, 1, 2]
    assert numbers(Path("notes")) == [0, 1, 2]


def test_a_task_that_has_changed_is_run_again_and_that_is_said(
    manager_of: ManagerOf, caplog: pytest.LogCaptureFixture
) -> None:
    for add in (1, 1, 10, 10):
        with manager_of(1).get_context(run_file=RUN) as context:
            context.add_task(noting(7))
            context.add_task(noting(add), name="changing")
            assert list(context.get_results()) == [7, add]
    assert numbers(Path("notes")) == [7, 1, 10]
    (said,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 recorded task has changed since ('changing'): it is run again" in said


def test_an_object_that_is_changed_between_adding_and_sending_is_recorded_as_it_was_sent(manager_of: ManagerOf) -> None:
    results = []
    for _ in range(3):
        with manager_of(1).get_context(run_file=RUN) as context:
            task = work.Add(1)
            context.add_task(task)
            task.number = 2
            added = context.add_task(noting(0))
            results.append((*context.get_results(), added.is_recorded))
    assert results == [(2, 0, False), (2, 0, True), (2, 0, True)]


@pytest.mark.parametrize("setups", [(work.three, work.nothing), (functools.partial(int, 1), functools.partial(int, 2))])
def test_with_another_setup_all_is_run_again(
    manager_of: ManagerOf, caplog: pytest.LogCaptureFixture, setups: tuple[Any, Any]
) -> None:
    results = []
    for setup in (setups[0], setups[0], setups[1]):
        with manager_of(1).get_context(setup, run_file=RUN) as context:
            task = context.add_task(work.Add(0))
            results.append((*context.get_results(), task.is_recorded))
    assert [is_recorded for _, is_recorded in results] == [False, True, False]
    assert results[0][0] == results[1][0] != results[2][0]
    assert "made with other code (item 0); it is computed anew" in caplog.text


def test_map_and_its_chunks_are_recorded(manager_of: ManagerOf) -> None:
    note = functools.partial(work.note, Path("notes").absolute())
    for _ in range(2):
        with manager_of(2).get_context(run_file=RUN) as context:
            assert list(context.map(note, range(7), chunksize=3)) == list(range(7))
    assert sorted(numbers(Path("notes"))) == list(range(7))


def test_callbacks_are_called_for_recorded_tasks_too_and_may_add_more(manager_of: ManagerOf) -> None:
    for is_recorded in (False, True):
        with manager_of(1).get_context(run_file=RUN) as context:
            heard = []

            def ended(task: Any, context: Context = context, heard: list[Any] = heard) -> None:
                heard.append((task.result, task.is_recorded))
                if task.result < 3:
                    context.add_task(noting(task.result + 1), f"step {task.result + 1}", ended)

            context.add_task(noting(0), "step 0", ended)
            assert list(context.get_results_unordered()) == [0, 1, 2, 3]
            assert heard == [(n, is_recorded) for n in range(4)]
    assert numbers(Path("notes")) == [0, 1, 2, 3]


def test_a_task_that_fails_is_tried_again_by_the_next_program(manager_of: ManagerOf) -> None:
    gate = Path("data")
    for is_there in (False, True):
        with manager_of(1).get_context(run_file=RUN) as context:
            context.add_task(noting(1))
            failing = context.add_task(functools.partial(work.read, gate.absolute()), name="reads")
            assert [task.state for task in context.get_tasks_unordered()] == ["done", "done" if is_there else "failed"]
        if not is_there:
            assert isinstance(failing.error, RemoteError)
            said = status()
            assert "x.run: finished" in said
            assert "1 of 2 items done, 50%, 1 failed" in said
            assert "only failed items are left; to try them again: the program that began it, started again" in said
            assert "FileNotFoundError" in said
            gate.write_text("there")
    assert numbers(Path("notes")) == [1]
    assert "2 of 2 items done, 100%" in status()


def test_a_task_that_is_cancelled_is_not_looked_for(manager_of: ManagerOf) -> None:
    for n in range(2):
        with manager_of(1).get_context(run_file=RUN) as context:
            wanted, unwanted = context.add_task(noting(1)), context.add_task(noting(2))
            context.cancel(unwanted)
            assert list(context.get_results()) == [1]
            assert (wanted.is_recorded, context.progress.cancelled) == (n == 1, 1)
    assert numbers(Path("notes")) == [1]


def test_recorded_and_unrecorded_contexts_share_slaves(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    one, other, plain = (manager.get_context(run_file=path) for path in (RUN, "y.run", None))
    for context in (one, other, plain):
        context.add_task(noting(1))
    results = [context.get_results_unordered() for context in (one, other, plain)]
    assert [next(result) for result in results] == [1, 1, 1]
    manager.close()
    assert dict(RunFileReader(RUN).results()) == dict(RunFileReader("y.run").results()) == {0: 1}


# ---- the file


def test_a_second_program_on_one_file_is_refused_until_the_first_lets_go(manager_of: ManagerOf) -> None:
    manager = manager_of(1)
    context = manager.get_context(run_file=RUN)
    program = f"from tracking.parallel import Manager; Manager().get_context(run_file={RUN!r})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert f"is being written by process {os.getpid()} on host" in done.stderr
    with pytest.raises(StoreError, match="is being written"):
        manager.get_context(run_file=RUN)
    context.close()
    manager.get_context(run_file=RUN).close()


def test_a_context_or_a_manager_that_is_forgotten_lets_go_of_the_file() -> None:
    manager = Manager()
    context = manager.get_context(run_file=RUN)
    del context
    context = manager.get_context(run_file=RUN)
    del context, manager
    RunFile.open(RUN, None).close("interrupted")


def test_a_master_s_file_is_refused(manager_of: ManagerOf) -> None:
    RunFile.open(RUN, [1, 2]).close("interrupted")
    with pytest.raises(StoreError, match="another kind of calculation"):
        manager_of().get_context(run_file=RUN)


def test_after_its_end_a_context_records_no_more(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context(run_file=RUN)
    context.add_task(noting(1))
    assert list(context.get_results()) == [1]
    context.close()
    context.add_task(noting(2))
    assert list(context.get_results()) == [2]
    assert dict(RunFileReader(RUN).results()) == {0: 1}


def test_what_cannot_be_recorded_is_not_told_but_kept(manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = ["the disk is full", "the disk is full"]
    keep = Record.keep

    def refuse(self: Record, tasks: Any, n_tasks: int) -> str | None:
        return problems.pop() if problems else keep(self, tasks, n_tasks)

    monkeypatch.setattr(Record, "keep", refuse)
    context = manager_of(1).get_context(run_file=RUN)
    context.add_task(noting(1))
    for _ in range(2):
        with pytest.raises(StoreError, match="the disk is full; what has ended is told when that is recorded"):
            next(context.get_results_unordered())
    assert list(context.get_results_unordered()) == [1]
    assert numbers(Path("notes")) == [1]
    context.close()


# ---- kills

PROGRAM = """
import os, signal, sys
from tracking.parallel import LocalSlave, Manager

def setup():
    return 10, 20

class Sum:
    def __init__(self, n):
        self.n = n

    def __call__(self, a, b):
        with open("ran", "a") as file:
            file.write(f"{self.n}\\n")
        if self.n == 6 and os.path.exists("kill-slave"):
            os.unlink("kill-slave")
            os.kill(os.getpid(), signal.SIGKILL)
        return a + b + self.n

manager = Manager()
for _ in range(2):
    manager.add_slave(LocalSlave())
context = manager.get_context(setup, run_file="x.run")
for n in range(12):
    context.add_task(Sum(n))
for n, result in enumerate(context.get_results_unordered(), 1):
    print(result, flush=True)
    if n == 5 and "half" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run_program(*arguments: str) -> tuple[int, list[int]]:
    Path("program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=work.WAIT_S,
    )
    return done.returncode, list(map(int, done.stdout.split()))


def test_a_program_that_is_killed_half_way_and_started_again_runs_what_is_missing() -> None:
    killed, told = run_program("half")
    assert (killed, len(told)) == (-signal.SIGKILL, 5)
    wait_for_end_of_all_in(Path.cwd())
    safe = dict(RunFileReader(RUN).results())
    assert set(told) <= set(safe.values()), "recorded, then told"
    said = status()
    assert "x.run: interrupted" in said
    assert "of 12 items done" in said
    assert "go on with: the program that began it, started again" in said
    before = len(numbers(Path("ran")))
    assert run_program()[0] == 0
    again = numbers(Path("ran"))[before:]
    assert sorted(again) == sorted(set(range(12)) - set(safe))
    assert dict(RunFileReader(RUN).results()) == {n: 30 + n for n in range(12)}
    code, told = run_program()
    assert (code, sorted(told)) == (0, [30 + n for n in range(12)])
    assert len(numbers(Path("ran"))) == before + len(again), "the third time nothing was run"


def test_a_slave_that_is_killed_costs_nothing_that_was_recorded() -> None:
    Path("kill-slave").touch()
    code, told = run_program()
    assert (code, sorted(told)) == (0, [30 + n for n in range(12)])
    assert dict(RunFileReader(RUN).results()) == {n: 30 + n for n in range(12)}
    assert "12 of 12 items done, 100%" in status()
    assert sorted(numbers(Path("ran"))) == sorted([*range(12), 6])


def test_a_local_slave_does_not_load_the_store(manager_of: ManagerOf) -> None:
    manager = manager_of()
    manager.add_slave(LocalSlave())
    with manager.get_context(run_file=RUN) as context:
        context.add_task(work.loaded)
        (loaded,) = context.get_results()
    assert "tracking.store.run_file" not in loaded
    assert "sqlite3" not in loaded
