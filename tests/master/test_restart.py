"""Going on after any end: restart data, restart files, by hand, run files."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import Program, master_of, run_program, squares, wait_until
from tests.master.work import Squares, fail_on_odd, square, tell_and_wait, wait_for_file
from tracking import CalculationError, InputError, Interrupted, SlavePool, StoreError, TrackingJobMaster, restart
from tracking.master import resume
from tracking.store.run_reader import RunFileReader


class Own(TrackingJobMaster):
    """A subclass with arguments and fields of its own."""

    def __init__(self, title: str, data: dict[Any, Any], **options: Any) -> None:
        super().__init__(data, function=add_seen, **options)
        self.title = title
        self.total = 0
        self.notes = {"deep": [1]}
        self.handle = open(__file__)  # noqa: SIM115  (something that cannot be pickled)
        self.guard = threading.Lock()
        self._private = "not saved"

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        self.total += len(result)

    def cleanup(self) -> None:
        self.handle.close()


def add_seen(value: Any) -> Any:
    """Leave a file for each time that an item is computed; a pair waits for its second file first."""
    path, gate = value
    with open(path, "a") as file:
        file.write("x")
    wait_for_file(gate)
    return path


def times_computed(directory: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in directory.glob("item*")}


def is_begun(path: Path) -> bool:
    """Whether an item has left its file, and has written into it."""
    return path.exists() and path.read_text() != ""


def gated(directory: Path, n: int, n_open: int) -> dict[int, tuple[str, str]]:
    """n items, the last of which wait at a gate."""
    gate = str(directory / "gate")
    return {i: (str(directory / f"item{i}"), __file__ if i < n_open else gate) for i in range(n)}


OPTIONS: dict[str, Any] = {"hosts": ["localhost"], "niceness": {"default": 0}, "verbose": 0, "chunk_size": 1}


def test_restart_data_hold_every_public_field_that_can_be_pickled() -> None:
    master = Own("thesis", {1: 1}, **OPTIONS)
    with master.handle:
        rst = master.getRst()
    assert rst["title"] == "thesis"
    assert rst["data"] == {1: 1}
    assert rst["hosts"] == [{"host": "localhost", "nickname": "localhost"}]
    assert rst["master_class"] is Own
    assert rst["status_objects"] == {1: None}
    assert rst["niceness"] == {"default": 0}
    for left_out in ("handle", "guard", "status", "lock", "lockMsg", "_private"):
        assert left_out not in rst
    assert not [name for name in rst if name.startswith("_")]


def test_restart_data_do_not_change_with_the_master() -> None:
    master = master_of(2)
    rst = master.getRst()
    master.calculateResult()
    assert rst["result"] == {}
    assert rst["status_objects"] == {0: None, 1: None}


@pytest.mark.parametrize("by_file", [False, True])
def test_an_interrupted_calculation_goes_on_in_its_own_class(tmp_path: Path, by_file: bool) -> None:
    data = gated(tmp_path, 5, 3)
    master = Own("thesis", data, **OPTIONS)
    master.start()
    wait_until(lambda: is_begun(tmp_path / "item3"))
    wait_until(lambda: len(master.result) == 3)
    master.exit()
    saved: Any = master.getRst()
    if by_file:
        master.saveRst(tmp_path / "it.rst")
        saved = str(tmp_path / "it.rst")
    (tmp_path / "gate").touch()
    again = restart(saved, chunk_size=2)
    assert type(again) is Own
    assert (again.title, again.notes, again.chunk_size) == ("thesis", {"deep": [1]}, 2)
    assert list(again.status.objects.values())[:3] == [0, 0, 0]
    again.handle = open(__file__)  # noqa: SIM115
    assert again.calculateResult() == {i: path for i, (path, _) in data.items()}
    assert again.total == 5
    assert times_computed(tmp_path) == {"item0": 1, "item1": 1, "item2": 1, "item3": 2, "item4": 1}


def test_restart_data_may_be_taken_while_it_runs_from_any_thread_and_in_hooks(tmp_path: Path) -> None:
    class Saving(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.saveRst(tmp_path / "in hook.rst")

    data = gated(tmp_path, 3, 2)
    master = master_of(data, add_seen, cls=Saving, chunk_size=1)
    master.start()
    wait_until(lambda: is_begun(tmp_path / "item2"))
    wait_until(lambda: len(master.result) == 2)
    rst = master.getRst()
    with master.lock:
        assert master.getRst()["status_objects"] == rst["status_objects"] == {0: 0, 1: 0, 2: 1}
        master.saveRst(tmp_path / "it.rst")
    (tmp_path / "gate").touch()
    assert len(master.calculateResult()) == 3
    for saved in (rst, tmp_path / "it.rst", tmp_path / "in hook.rst"):
        again = restart(saved)
        assert again.calculateResult() == master.result
    assert times_computed(tmp_path) == {"item0": 1, "item1": 1, "item2": 4}


def test_what_is_finished_in_restart_data_has_its_result_whenever_they_are_taken(pool: SlavePool) -> None:
    master = master_of(3000, pool=pool, chunk_size=1)
    master.start()
    n_taken = 0
    while not master.isFinished() or not n_taken:
        rst = master.getRst()
        n_taken += 1
        finished = {id for id, state in rst["status_objects"].items() if state == 0}
        assert finished == set(rst["result"])
    assert restart(rst, pool=pool).calculateResult() == squares(3000)


def test_restart_data_of_a_finished_master_need_no_slave() -> None:
    master = master_of(3)
    master.calculateResult()
    again = restart(master.getRst())
    again.spawnAll = None  # type: ignore[assignment,method-assign]
    assert again.calculateResult() == squares(3)


def test_items_that_failed_are_tried_again(pool: SlavePool) -> None:
    master = master_of(4, fail_on_odd, pool=pool)
    with pytest.raises(CalculationError):
        master.calculateResult()
    again = restart(master.getRst(), function=square, pool=pool)
    assert not again.errors
    assert again.calculateResult() == {0: 0, 1: 1, 2: 2, 3: 9}


def test_arguments_given_at_restart_win(pool: SlavePool) -> None:
    master = master_of(4, chunk_size=3, retries=2)
    again = restart(master.getRst(), hosts=["127.0.0.1"], verbose=0, retries=1, data={0: 3})
    assert again.hosts == [{"host": "127.0.0.1", "nickname": "127.0.0.1"}]
    assert again._tr_options.retries == 1
    assert restart(master.getRst())._tr_options.retries == 2
    assert again.calculateResult() == {0: 9}
    assert restart(master.getRst(), pool=pool).calculateResult() == squares(4)


def test_a_slave_class_and_a_script_are_restarted_too(tmp_path: Path) -> None:
    master = master_of(3, slave_script=Squares)
    assert restart(master.getRst()).calculateResult() == squares(3)


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(InputError, match="no argument 'colour'"):
        restart(master_of().getRst(), colour="red")


def test_restart_data_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no TrackingJobMaster class"):
        restart({"master_class": int})
    (tmp_path / "it.rst").write_text("chapter one")
    with pytest.raises(StoreError, match=r"it\.rst"):
        restart(tmp_path / "it.rst")


def test_a_restart_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.rst"
    master_of().saveRst(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match="cut short"):
        restart(path)


def test_a_restart_file_that_cannot_be_written_leaves_the_master_working(tmp_path: Path) -> None:
    master = master_of({0: str(tmp_path / "gate")}, wait_for_file)
    master.start()
    with pytest.raises(StoreError):
        master.saveRst(tmp_path / "nowhere" / "it.rst")
    (tmp_path / "gate").touch()
    assert len(master.calculateResult()) == 1


def test_a_calculation_goes_on_by_hand_as_of_old(pool: SlavePool) -> None:
    first = master_of(4, pool=pool)
    objects = {0: 0, 1: 3, 2: None, 3: 0}
    second = master_of({}, pool=pool)
    second.data = first.data
    second.result = {0: "known", 3: "known"}
    second.status.objects = objects
    assert second.calculateResult() == {0: "known", 3: "known", 1: 1, 2: 4}


# ---- run files


def test_a_run_file_is_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = gated(tmp_path, 4, 2)
    path = tmp_path / "it.run"
    master = master_of(data, add_seen, run_file=path, chunk_size=1)
    master.start()
    wait_until(lambda: is_begun(tmp_path / "item2"))
    wait_until(lambda: len(master.result) == 2)
    master.exit()
    with pytest.raises(Interrupted):
        master.calculateResult()
    (tmp_path / "gate").touch()
    again = master_of(data, add_seen, run_file=path, chunk_size=1, verbose=1)
    assert len(again.calculateResult()) == 4
    assert "2 of 4 items restored" in capsys.readouterr().err
    assert times_computed(tmp_path) == {"item0": 1, "item1": 1, "item2": 2, "item3": 1}
    assert master_of(data, None, slave_script=Squares, run_file=path).calculateResult() == again.result


def test_failed_items_of_a_run_file_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    with pytest.raises(CalculationError):
        master_of(4, fail_on_odd, run_file=path).calculateResult()
    assert master_of(4, square, run_file=path).calculateResult() == {0: 0, 1: 1, 2: 2, 3: 9}


def test_the_run_file_says_how_it_ended(tmp_path: Path) -> None:
    def state(path: Path) -> str:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            found: str = connection.execute("SELECT state FROM runs ORDER BY rowid DESC").fetchone()[0]
        connection.close()
        return found

    class Failing(TrackingJobMaster):
        def initializationDone(self, slave_tid: int) -> None:
            raise KeyError("hook")

    paths = [tmp_path / f"{name}.run" for name in ("finished", "failed", "interrupted")]
    master_of(2, run_file=paths[0]).calculateResult()
    with pytest.raises(KeyError):
        master_of(2, cls=Failing, run_file=paths[1]).calculateResult()
    master = master_of({0: (str(tmp_path / "a"), str(tmp_path / "b"))}, tell_and_wait, run_file=paths[2])
    master.start()
    master.exit()
    assert [state(path) for path in paths] == ["finished", "failed", "interrupted"]


def test_what_job_done_leaves_is_what_is_recorded(tmp_path: Path) -> None:
    class Changing(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            for id in result:
                result[id] = f"changed {id}"

    path = tmp_path / "it.run"
    master_of(2, cls=Changing, run_file=path).calculateResult()
    assert master_of(2, run_file=path).calculateResult() == {0: "changed 0", 1: "changed 1"}


def test_a_result_is_recorded_before_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    master = master_of(6, run_file=path, chunk_size=1)
    for n, _ in enumerate(master, 1):
        with RunFileReader(path) as reader:
            assert len(dict(reader.results())) >= n


def test_a_run_file_alone_is_enough_to_resume(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    master_of(4, run_file=path, retries=3).calculateResult()
    again = resume(path, verbose=0)
    assert again._tr_options.retries == 3
    assert again.calculateResult() == squares(4)


def test_restart_with_a_run_file_takes_from_both(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    master = master_of(4)
    master.calculateResult()
    rst = master.getRst() | {"result": {0: 0}, "status_objects": {0: 0, 1: None, 2: None, 3: 1}}
    assert restart(rst, run_file=path).calculateResult() == squares(4)
    assert restart(rst, run_file=path).calculateResult() == squares(4)


KILLED = """
import os, sys
from tracking import TrackingJobMaster

def work(value):
    with open(f"item{value}", "a") as file:
        file.write("x")
    return value * value

class Killed(TrackingJobMaster):
    def _tr_tell(self, batches):
        super()._tr_tell(batches)
        if KILL and len(self.result) >= 4:
            os.kill(os.getpid(), 9)

KILL = len(sys.argv) < 2 and not os.path.exists("again")
master = Killed({i: i for i in range(10)}, 1, ["localhost"] * 2, {}, verbose=0, function=work, run_file="it.run")
print(sum(master.calculateResult().values()))
"""


def test_a_master_that_is_killed_computes_nothing_twice_that_was_recorded(tmp_path: Path) -> None:
    program = Program(tmp_path, KILLED)
    assert program.wait() == -9
    with RunFileReader(tmp_path / "it.run") as reader:
        recorded = set(dict(reader.results()))
    assert len(recorded) >= 4
    before = times_computed(tmp_path)
    (tmp_path / "again").touch()
    assert run_program(tmp_path, KILLED) == "285\n"
    after = times_computed(tmp_path)
    assert all(after[f"item{i}"] == before[f"item{i}"] for i in recorded)
    assert set(after) == {f"item{i}" for i in range(10)}
