"""What newcomers get wrong is said where they do it, in words that tell what to do."""

from __future__ import annotations

import gc
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.parallel import work
from tests.parallel.conftest import ManagerOf
from tracking.parallel import Context, HostSlaveArray, LocalSlave, Manager, RemoteError

ROOT = Path(__file__).parents[2]
NEVER = "never run: iterate over get_results_unordered()"


# ---- arguments


def test_an_option_that_is_misspelt_is_refused_and_the_right_one_named(
    manager_of: ManagerOf, own_folder: Path
) -> None:
    manager = manager_of(1)
    with pytest.raises(TypeError, match=r"no option 'runfile'; is 'run_file' meant\?"):
        manager.get_context(runfile="a")
    with pytest.raises(TypeError, match=r"no option 'start_up'; is 'startup' meant\?"):
        Context(manager, start_up=work.three)
    with pytest.raises(TypeError, match="no option 'path': it would be an argument of the setup, and there is none"):
        manager.get_context(run_file="a", path="b")
    with pytest.raises(TypeError, match="7 would be an argument of the setup, and there is none"):
        manager.get_context(None, 7)
    assert list(own_folder.iterdir()) == []


def test_a_setup_may_have_any_keyword(manager_of: ManagerOf) -> None:
    context = manager_of(1).get_context(lambda runfile: (runfile,), runfile="a")
    context.add_task(lambda *what: what)
    assert list(context.get_results_unordered()) == [("a",)]


def test_what_cannot_be_called_is_refused_at_once(manager_of: ManagerOf) -> None:
    manager = manager_of(0)
    words = "is not: pass the function itself, not what it returns"
    with pytest.raises(TypeError, match=rf"the setup must be callable; \(1, 2\) {words}"):
        manager.get_context((1, 2))
    context = manager.get_context()
    not_callable: Any = 4
    with pytest.raises(TypeError, match=rf"a task must be callable; 4 {words}"):
        context.add_task(not_callable)
    with pytest.raises(TypeError, match=rf"what is mapped must be callable; 4 {words}"):
        context.map(not_callable, range(3))
    assert sum(context.progress) == 0


def test_a_class_in_place_of_a_slave_is_refused_at_once(manager_of: ManagerOf) -> None:
    manager = manager_of(0)
    with pytest.raises(TypeError, match=r"you passed the class: LocalSlave\(\)"):
        manager.add_slave(LocalSlave)
    with pytest.raises(TypeError, match=r"you passed the class: HostSlaveArray\(\)"):
        manager.add_worker(HostSlaveArray)


def test_a_host_that_is_not_known_is_named_and_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror, match=r"host='nosuchhost'.*not known; give a name.*leave host out") as caught:
        Manager(host="nosuchhost")
    assert caught.value.errno == socket.EAI_NONAME


# ---- tasks that nobody asks for


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def with_tasks(manager: Manager, n: int = 3) -> Context:
    context = manager.get_context()
    for k in range(n):
        context.add_task(work.Add(k))
    return context


def test_tasks_that_nobody_asked_for_are_warned_of_once_when_the_manager_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Manager() as manager:
        context = with_tasks(manager)
        context.get_results_unordered()  # not iterated
        one = with_tasks(manager, 1)
    manager.close()
    del context, one
    gc.collect()
    told = warnings_of(caplog)
    assert sorted(line[: line.index(" never")] for line in told) == ["1 task was", "3 tasks were"]
    assert all(NEVER in line for line in told)


def test_they_are_warned_of_when_their_context_ends_or_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    manager = Manager()
    with with_tasks(manager):
        pass
    context = with_tasks(manager, 2)
    context.add_task(context.cancel)  # it holds its context
    del context
    gc.collect()
    assert [line[:7] for line in warnings_of(caplog)] == ["3 tasks", "3 tasks"]
    manager.close()
    assert len(warnings_of(caplog)) == 2


def test_nothing_is_said_of_tasks_that_were_cancelled_or_left_or_when_an_exception_ends_all(
    manager_of: ManagerOf, caplog: pytest.LogCaptureFixture
) -> None:
    cancelled = with_tasks(manager_of(0))
    cancelled.cancel()
    cancelled.cancel(cancelled.add_task(work.pid))
    cancelled.close()
    with manager_of(1) as manager:
        left = with_tasks(manager)
        next(left.get_results_unordered())
        failed = manager.get_context()
        failed.add_task(work.raise_value_error)
        failed.add_task(work.pid)
        with pytest.raises(RemoteError):
            list(failed.get_results_unordered())
    one, other = manager_of(0), manager_of(0)
    of_one = with_tasks(one)
    with pytest.raises(ZeroDivisionError), one:
        1 / 0  # noqa: B018
    with pytest.raises(ZeroDivisionError), with_tasks(other):
        1 / 0  # noqa: B018
    del of_one
    gc.collect()
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(("last", "is_told"), [("", True), ("raise KeyError", False), ("m.close()", True)])
def test_the_end_of_the_program_tells_unless_it_is_an_exception(last: str, is_told: bool, own_folder: Path) -> None:
    program = f"from tracking.parallel import Manager; m = Manager(); c = m.get_context(); c.add_task(print); {last}"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.stderr.count(f"1 task was {NEVER}") == is_told, run.stderr
