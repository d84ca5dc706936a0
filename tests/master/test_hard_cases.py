"""What an attack has found: each of these once hung, lost something, or ended more than itself."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import Program, master_of, run_program, squares
from tests.master.test_program_end import BEGIN, interrupted
from tracking import ItemResultError, SlavePool

WAYS_TO_WAIT = {
    "wait": "master.start()\nmaster.wait()\n",
    "iteration": "for id, result in master:\n    pass\n",
    "condition": "with master.lock:\n    master.start()\n    master.lockMsg.wait()\n",
}


@pytest.mark.parametrize("way", WAYS_TO_WAIT.values(), ids=WAYS_TO_WAIT)
def test_one_ctrl_c_ends_a_program_in_whatever_way_it_waits(tmp_path: Path, way: str) -> None:
    program = Program(tmp_path, BEGIN + way)
    assert interrupted(program, tmp_path) != 0
    assert "KeyboardInterrupt" in program.err
    assert program.out == "cleaned up\n"


def forks(value: int) -> int:
    child = os.fork()
    if not child:
        return -1  # comes back out of the item, in a process that is no slave
    os.waitpid(child, 0)
    return value * value


def forks_and_exits(value: int) -> int:
    child = os.fork()
    if not child:
        sys.exit(0)
    os.waitpid(child, 0)
    return value * value


@pytest.mark.parametrize("function", [forks, forks_and_exits])
def test_a_process_that_an_item_forks_is_no_second_slave(function: Any) -> None:
    assert master_of(3, function, chunk_size=1).calculateResult() == squares(3)


class EndsWhoReadsIt:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def ends_who_reads_two(value: int) -> Any:
    return EndsWhoReadsIt() if value == 2 else value * value


def test_a_result_that_exits_when_it_is_read_costs_only_its_item() -> None:
    master = master_of(4, ends_who_reads_two, on_error="collect")
    assert master.calculateResult() == {0: 0, 1: 1, 3: 9}
    assert isinstance(master.errors[2], ItemResultError)


def test_a_call_whose_result_exits_when_it_is_read_fails_alone() -> None:
    with SlavePool(1) as pool:
        with pytest.raises(ItemResultError, match="SystemExit"):
            pool.submit(ends_who_reads_two, 2).result()
        assert pool.submit(ends_who_reads_two, 3).result() == 9


def test_a_hook_cannot_iterate_over_its_own_master() -> None:
    def job_done(slave_tid: int, result: dict[Any, Any]) -> None:
        list(master)

    master = master_of(2)
    master.job_done = job_done
    with pytest.raises(RuntimeError, match="own thread"):
        master.calculateResult()


def test_a_program_without_a_stderr_is_served_as_well(tmp_path: Path) -> None:
    code = "import sys, tracking\nsys.stderr = None\nprint(tracking.run(abs, {1: -1}, hosts='localhost', verbose=1))\n"
    assert run_program(tmp_path, code) == "{1: 1}\n"


def test_a_hook_that_raises_ends_a_calculation_on_a_pool_without_waiting_for_the_job_it_is_about() -> None:
    def job_done(slave_tid: int, result: dict[Any, Any]) -> None:
        raise LookupError("not this one")

    with SlavePool(1) as pool:
        pids = dict(pool.pids) or {}
        master = master_of(1, pool=pool)
        master.job_done = job_done
        with pytest.raises(LookupError):
            master.calculateResult()
        assert not master._tr_calculation._answers.jobs, "a job is still waited for, though its answer has come"
        assert master_of(2, pool=pool).calculateResult() == squares(2)
        assert pids.items() <= pool.pids.items()


def test_a_result_that_the_run_file_cannot_take_is_kept_in_memory(tmp_path: Path, caplog: Any) -> None:
    def job_done(slave_tid: int, result: dict[Any, Any]) -> None:
        if 1 in result:
            result[1] = sys.stdout  # no pickle can take it

    master = master_of(3, chunk_size=1, run_file=tmp_path / "x.run")
    master.job_done = job_done
    assert master.calculateResult() == {0: 0, 1: sys.stdout, 2: 4}
    assert "kept in memory only" in caplog.text
    again = master_of(3, chunk_size=1, run_file=tmp_path / "x.run")
    assert again.calculateResult() == squares(3)


def holds_the_lock_for_ever_on_fifty(value: int) -> int:
    if value == 50:
        ctypes.PyDLL(None).sleep(3600)
    return value * value


def test_results_do_not_lie_on_the_slave_behind_an_item_that_holds_the_interpreter_and_runs_over_its_limit() -> None:
    master = master_of(60, holds_the_lock_for_ever_on_fifty, chunk_size=1, item_timeout=1, on_error="collect")
    master.calculateResult()
    assert set(master.errors) == {50}
