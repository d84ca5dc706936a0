"""A program that is killed and started again goes on from what was recorded."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.multi.commands import Kept, Say, Square, Trouble, fail
from tests.pool.helpers import wait_for_end_of_all_in
from tracking.errors import InputError
from tracking.multi import Capturing_exception, Slave_command

PROGRAM = """
import os, sys
from tests.multi.commands import Keep, Kept
from tracking.multi import Application_callback, Slave_command, load_multiprocessor

class Note(Slave_command):
    # defined in __main__, and writes down that it was run
    def __init__(self, queue, number):
        super().__init__()
        self.queue, self.number = queue, number
    def run(self, processor, completed):
        with open("run", "a") as file:
            file.write(f"{self.queue}.{self.number}\\n")
        if (self.queue, self.number) == (2, 7) and not os.path.exists("killed"):
            with open("block", "rb") as pipe:
                pipe.read()
        print("computing", self.queue, self.number)
        processor.return_object(Keep(processor, 10 * self.queue + self.number, completed, self.memo_id))

class Master:
    def run(self):
        told = []
        for queue in range(1, 4):
            memo = Kept()
            for number in range(10):
                processor.add_to_queue(Note(queue, number), memo)
            processor.run_queue()
            told.append(sorted(memo.values))
            print("queue", queue, sorted(memo.values), flush=True)

processor = load_multiprocessor("local", Application_callback(Master()), 2, 0OPTIONS)
processor.run()
"""


def start(folder: Path, options: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "program.py").write_text(PROGRAM.replace("OPTIONS", options))
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "program.py"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": root} | environment,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_killed_program_runs_again_only_what_was_not_recorded(tmp_path: Path, how: str) -> None:
    options = ', run_file="record"' if how == "argument" else ""
    environment = {} if how == "argument" else {"TRACKING_MULTI_RUN_FILE": "record"}
    os.mkfifo(tmp_path / "block")
    first = start(tmp_path, options, **environment)
    with open(tmp_path / "block", "wb"):  # a slave is in the middle of the second queue, and the first is recorded
        first.send_signal(signal.SIGKILL)
        assert first.wait(30) == -signal.SIGKILL
        wait_for_end_of_all_in(tmp_path)
    assert first.stdout is not None
    assert first.stderr is not None
    before = first.stdout.read()
    first.stdout.close()
    first.stderr.close()
    assert "queue 1" in before
    assert "queue 2" not in before
    ran = (tmp_path / "run").read_text().split()
    assert sorted(ran)[:10] == [f"1.{n}" for n in range(10)]
    (tmp_path / "killed").touch()
    (tmp_path / "run").write_text("")

    again = start(tmp_path, options, **environment)
    out, err = again.communicate(timeout=40)
    assert again.returncode == 0, err
    for queue in (1, 2, 3):
        assert f"queue {queue} {[10 * queue + n for n in range(10)]}\n" in out
    assert out.count("computing") == 30  # what they printed is shown again
    rerun = (tmp_path / "run").read_text().split()
    assert not [each for each in rerun if each.startswith("1.")]
    assert "2.7" in rerun
    assert sorted(each for each in rerun if each.startswith("3.")) == [f"3.{n}" for n in range(10)]
    recorded = {each for each in ran if each.startswith("2.")} - set(rerun)
    assert len(recorded) == 10 - len([each for each in rerun if each.startswith("2.")])


def squares(processor: Any, numbers: Any) -> list[int]:
    memo = Kept()
    for number in numbers:
        processor.add_to_queue(Counting(number), memo)
    processor.run_queue()
    return memo.values


class Counting(Square):
    """Notes that it was run."""

    folder = ""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.folder = Counting.folder

    def run(self, processor: Any, completed: bool = True) -> None:
        with open(os.path.join(self.folder, "run"), "a") as file:
            file.write(f"{self.value} ")
        super().run(processor, completed)


    def run_otherwise(self, processor: Any, completed: bool = True) -> None:
        """The same in other words."""
        with open(f"{self.folder}/run", "a") as file:
            print(self.value, file=file)
        super().run(processor, completed)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The commands that were run since it was called last."""
    monkeypatch.setattr(Counting, "folder", str(tmp_path))

    def counted() -> list[str]:
        file = tmp_path / "run"
        words = file.read_text().split() if file.exists() else []
        file.write_text("")
        return sorted(words)

    return counted


def test_recorded_results_are_replayed_in_the_order_in_which_they_came(
    load: Callable[..., Any], tmp_path: Path, counted: Callable[[], list[str]]
) -> None:
    folder = tmp_path / "record"
    first = squares(load(run_file=folder), range(8))
    assert sorted(first) == [n * n for n in range(8)]
    assert len(counted()) == 8
    assert squares(load(run_file=folder), range(8)) == first
    assert counted() == []
    assert sorted(path.name for path in folder.glob("*.run")) == ["queue-000001-8.run"]


def test_a_command_that_is_another_one_today_is_computed_anew(
    load: Callable[..., Any], tmp_path: Path, counted: Callable[[], list[str]]
) -> None:
    folder = tmp_path / "record"
    squares(load(run_file=folder), [1, 2, 3])
    counted()
    assert sorted(squares(load(run_file=folder), [1, 5, 3])) == [1, 9, 25]
    assert counted() == ["5"]


@pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5], [1]])
def test_a_queue_that_is_longer_or_shorter_today_is_computed_anew(
    load: Callable[..., Any], tmp_path: Path, counted: Callable[[], list[str]], numbers: list[int]
) -> None:
    folder = tmp_path / "record"
    squares(load(run_file=folder), [1, 2, 3])
    counted()
    assert sorted(squares(load(run_file=folder), numbers)) == sorted(n * n for n in numbers)
    assert counted() == [str(n) for n in numbers]


def test_a_command_of_other_code_is_computed_anew(
    load: Callable[..., Any], tmp_path: Path, counted: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "record"
    squares(load(run_file=folder), [1, 2, 3])
    counted()
    monkeypatch.setattr(Counting, "run", Counting.run_otherwise)
    squares(load(run_file=folder), [1, 2, 3])
    assert counted() == ["1", "2", "3"]


def test_a_command_that_has_failed_is_run_again(load: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "record"
    flag = tmp_path / "mended"
    for is_mended in (False, True):
        processor, memo = load(run_file=folder), Kept()
        processor.add_to_queue(Trouble(fail_unless, str(flag)), memo)
        if is_mended:
            flag.touch()
            processor.run_queue()
        else:
            with pytest.raises(Capturing_exception):
                processor.run_queue()
        assert memo.values == ["before"]


def fail_unless(flag: str) -> None:
    if not os.path.exists(flag):
        fail("not mended")


def test_what_was_shown_live_is_shown_again_when_it_is_replayed(
    load: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        processor = load(run_file=tmp_path / "record", live=True)
        processor.add_to_queue(Say(("line\n", 0), returned="result\n"))
        processor.run_queue()
        assert capsys.readouterr().out == "line\nresult\n"


def test_a_file_instead_of_a_folder_is_refused_at_once(load: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "results.run").touch()
    with pytest.raises(InputError, match="is a file: give a folder"):
        load(run_file=tmp_path / "results.run")


OTHER = """
import sys
from tests.multi.commands import Square
from tracking.multi import load_multiprocessor
processor = load_multiprocessor("local", None, 1, 0, run_file=sys.argv[1])
processor.add_to_queue(Square(3))
try:
    processor.run_queue()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
processor._end_slaves()
"""


@pytest.mark.usefixtures("counted")
def test_two_programs_do_not_record_in_one_folder_also_between_queues(load: Callable[..., Any], tmp_path: Path) -> None:
    processor = load(run_file=tmp_path / "record")
    squares(processor, [1, 2])
    other = [sys.executable, "-c", OTHER, str(tmp_path / "record")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def said() -> str:
        return subprocess.run(other, env=environment, capture_output=True, text=True, timeout=50).stdout

    assert re.fullmatch(
        rf"StoreError: the program {os.getpid()} on host .* records in {tmp_path}/record: let it end.*\n", said()
    )
    assert sorted(squares(load(run_file=tmp_path / "record"), [1, 2])) == [1, 4]  # of the same program
    processor._end_slaves()
    assert "StoreError" not in said()
    assert not list(tmp_path.glob("record/*.lock"))


def test_without_a_folder_nothing_is_written(
    load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    processor = load()
    processor.add_to_queue(Slave_command_without_result())
    processor.run_queue()
    assert list(tmp_path.iterdir()) == []


class Slave_command_without_result(Slave_command):  # noqa: N801
    def run(self, processor: Any, completed: bool = True) -> None:
        """Nothing."""
