"""keep_results=False: results are in the run file and nowhere else, and are read from there when they are asked for."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import Program, master_of, run_program, squares
from tests.pool.helpers import wait_for_end_of_all_in
from tracking import CalculationError, InputError, LazyMapping, StoreError, TrackingJobMaster, restart, run
from tracking.master import resume
from tracking.store.run_reader import RunFileReader
from tracking.store.stored_results import StoredResults


def fails_at_5(n: int) -> int:
    if n == 5:
        raise ValueError("five")
    return n * n


def test_results_are_read_back_as_from_a_dict(tmp_path: Path) -> None:
    master = master_of(200, run_file=tmp_path / "x.run", keep_results=False, chunk_size=7)
    result = master.calculateResult()
    assert result is master.result
    assert isinstance(result, Mapping)
    assert not isinstance(result, dict)
    assert (len(result), result[7], result.get("a"), 200 in result, 9 in result) == (200, 49, None, False, True)
    assert result == squares(200)
    assert sorted(result) == list(range(200))
    assert sorted(result.values()) == sorted(squares(200).values())
    assert [result[n] for n in range(200)] == list(squares(200).values())
    assert [result[n] for n in (3, 100, 101, 102, 4)] == [9, 10000, 10201, 10404, 16]
    assert repr(result) == "<200 results, in the run file>"
    assert pickle.loads(pickle.dumps(result)) == squares(200)
    with pytest.raises(KeyError):
        result["a"]


def test_iteration_gives_each_result_once_also_who_comes_late(tmp_path: Path) -> None:
    master = master_of(100, run_file=tmp_path / "x.run", keep_results=False)
    assert dict(iter(master)) == squares(100)
    late = list(master)
    assert len(late) == 100
    assert dict(late) == squares(100)


def test_whoever_takes_results_slowly_reads_them_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.master.calculation._MOST_WAITING_BYTES", 1)
    master = master_of(100, run_file=tmp_path / "x.run", keep_results=False, chunk_size=2)
    pairs = iter(master)
    first = [next(pairs)]
    assert master.wait(30)
    asked: list[int] = []
    at = StoredResults.at
    monkeypatch.setattr(StoredResults, "at", lambda self, position: asked.append(position) or at(self, position))
    rest = list(pairs)
    assert len(asked) > 90
    assert len(rest) == 99
    assert dict(first + rest) == squares(100)


def test_without_a_run_file_they_would_be_nowhere() -> None:
    with pytest.raises(InputError, match="keep_results=False needs run_file"):
        master_of(3, keep_results=False)


def test_errors_stay_and_the_other_results_are_with_them(tmp_path: Path) -> None:
    with pytest.raises(CalculationError) as raised:
        run(fails_at_5, {n: n for n in range(10)}, hosts=1, verbose=0, run_file=tmp_path / "x.run", keep_results=False)
    assert list(raised.value.errors) == [5]
    assert raised.value.result == {n: n * n for n in range(10) if n != 5}
    assert 5 not in raised.value.result


def test_a_resumed_run_computes_nothing_again_and_reads_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"run_file": tmp_path / "x.run", "keep_results": False}
    data = {n: n for n in range(10)}
    with pytest.raises(CalculationError):
        master_of(data, fails_at_5, **options).calculateResult()
    monkeypatch.setattr("tracking.store.run_file.RunFile.results", None)
    master = master_of(data, lambda n: -n, **options)
    assert master.calculateResult() == squares(10) | {5: -5}
    assert resume(tmp_path / "x.run", verbose=0).calculateResult() == squares(10) | {5: -5}


def test_a_restart_file_has_no_results_and_needs_the_run_file(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    master = master_of(6, run_file=path, keep_results=False)
    master.calculateResult()
    master.saveRst(tmp_path / "x.rst")
    assert (master.getRst()["result"], master.getRst()["status_objects"]) == ({}, {})
    with pytest.raises(InputError, match="needs run_file"):
        restart(tmp_path / "x.rst")
    again = restart(tmp_path / "x.rst", run_file=path, function=lambda n: None)
    assert again.calculateResult() == squares(6)
    kept = restart(tmp_path / "x.rst", run_file=path, keep_results=True).calculateResult()
    assert type(kept) is dict
    assert kept == squares(6)


def test_results_that_were_there_already_stay_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    saved = master_of(6, run_file=path).getRst()
    saved["result"] = {1: "given", "elsewhere": 7}
    saved["status_objects"] = {}
    master = restart(saved, run_file=path, keep_results=False)
    assert master.calculateResult() == squares(6) | {1: "given", "elsewhere": 7}
    assert dict(master) == squares(6) | {1: "given", "elsewhere": 7}
    assert len(RunFileReader(path).ids()) == 6


def test_hooks_see_results_and_change_them(tmp_path: Path) -> None:
    class Master(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            for id in result:
                result[id] += 1

    master = master_of(10, cls=Master, run_file=tmp_path / "x.run", keep_results=False)
    assert master.calculateResult() == {n: n * n + 1 for n in range(10)}


def test_results_too_large_for_the_file_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tracking.store.run_file.MAX_PAYLOAD", 1000)
    master = master_of(10, lambda n: bytes(300 * n), run_file=tmp_path / "x.run", keep_results=False, chunk_size=1)
    assert master.calculateResult() == {n: bytes(300 * n) for n in range(10)}
    assert dict(master) == master.result
    assert "in memory only" in caplog.text


def test_results_that_could_not_be_recorded_are_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.run"
    master = master_of(10, run_file=path, keep_results=False)

    def full(self: object, now: float, end: object = None) -> bool:
        self.problem, self._retry_at = "the disk is full", now + 1000  # type: ignore[attr-defined]
        return False

    with monkeypatch.context() as patched:
        patched.setattr("tracking.store.run_file.RunFile._try_to_write", full)
        with pytest.raises(StoreError, match=r"the last 10 results could not be recorded.*the disk is full"):
            master.calculateResult()
    assert master_of(10, run_file=path, keep_results=False).calculateResult() == squares(10)


MASTER = """
import os, sys
from pathlib import Path
import tracking
from tracking import LazyMapping

def work(n):
    with open("begun", "a") as file:
        file.write(f"{n}\\n")
    if n == 150 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(int(Path("master").read_text()), 9)
    return n * n

Path("master").write_text(str(os.getpid()))
results = tracking.run(work, LazyMapping(range(300), int), chunk_size=3, hosts=2, verbose=0, run_file="it.run",
                       keep_results=False, redistribute=0)
print(type(results).__name__, len(results), sum(results.values()))
"""


def test_after_kill_minus_9_half_way_nothing_recorded_is_computed_again(tmp_path: Path) -> None:
    program = Program(tmp_path, MASTER)
    assert program.wait() == -signal.SIGKILL
    wait_for_end_of_all_in(tmp_path)
    recorded = {id for id, _ in RunFileReader(tmp_path / "it.run").results()}
    before = (tmp_path / "begun").read_text().split()
    assert run_program(tmp_path, MASTER) == f"RecordedResults 300 {sum(n * n for n in range(300))}\n"
    again = (tmp_path / "begun").read_text().split()[len(before) :]
    assert not recorded & set(map(int, again))
    assert sorted([*recorded, *map(int, again)]) == list(range(300))


HOLDS = """
import tracking
from tracking import LazyMapping

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

def nothing(n):
    return n

n_items = 200_000
data = LazyMapping(range(n_items), int) if FORM == "lazy" else {f"item {n}": n for n in range(n_items)}
tracking.run(nothing, {n: n for n in range(100)}, hosts=2, verbose=0, run_file="warm.run", keep_results=False)
before = peak()
results = tracking.run(nothing, data, hosts=2, verbose=0, chunk_size=100, run_file="it.run", keep_results=False)
assert len(results) == n_items
print((peak() - before) // n_items)
"""


@pytest.mark.parametrize(("form", "most"), [("lazy", 60), ("dict", 200)])
def test_an_item_costs_the_master_few_bytes_beside_its_data(tmp_path: Path, form: str, most: int) -> None:
    assert int(run_program(tmp_path, HOLDS.replace("FORM", repr(form)))) <= most


def test_lazy_data_and_results_in_the_file_go_on_from_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    with pytest.raises(CalculationError):
        run(
            fails_at_5, LazyMapping(range(10), int), hosts=1, verbose=0, niceness={"default": os.nice(0)},
            run_file=path, keep_results=False,
        )
    master = resume(path, function=abs, verbose=0)
    result: Any = master.calculateResult()
    assert result == squares(10) | {5: 5}
    assert not isinstance(result, dict)
