"""What goes wrong in commands, results and slaves: it is told, nothing is lost with it, and the next queue is clean."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.multi.commands import (
    Call,
    Keep,
    Kept,
    KillOnce,
    Many,
    ReturnLock,
    Square,
    Trouble,
    fail,
    kill_own_process,
    meet,
    who,
)
from tracking import ItemKilledSlave
from tracking.multi import Capturing_exception, Result_exception, Slave_command

DASHES = "-" * 120


def test_an_exception_of_a_slave_is_raised_with_its_traceback(processor: Any, memo: Kept) -> None:
    processor.add_to_queue(Trouble(fail, "it is wrong"), memo)
    with pytest.raises(Capturing_exception) as caught:
        processor.run_queue()
    error = caught.value
    assert (error.exception_name, error.exception_string) == ("ValueError", "it is wrong")
    assert error.rank in (1, 2)
    assert error.name.rpartition("-pid")[2].isdigit()
    assert "in fail\n" in error.traceback[-1]
    assert isinstance(error.traceback, list)


@pytest.mark.parametrize(
    ("what", "argument", "name", "text"),
    [("leave", 3, "SystemExit", "3"), ("interrupt", "now", "KeyboardInterrupt", "now")],
)
def test_what_would_end_a_program_does_not_end_a_slave(
    processor: Any, memo: Kept, what: str, argument: Any, name: str, text: str
) -> None:
    processor.run_command_globally(Many(0))  # all are up
    before = processor._slaves().pids
    processor.add_to_queue(Trouble({"leave": sys.exit, "interrupt": interrupt}[what], argument))
    with pytest.raises(Capturing_exception) as caught:
        processor.run_queue()
    assert (caught.value.exception_name, caught.value.exception_string) == (name, text)
    processor.add_to_queue(Square(2), memo)
    processor.run_queue()
    assert memo.values == [4]
    assert processor._slaves().pids == before


def interrupt(text: str) -> None:
    raise KeyboardInterrupt(text)


def test_results_and_output_of_a_failed_command_and_of_those_before_it_are_kept(
    load: Callable[..., Any], memo: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    processor = load(size=1)
    for number in range(3):
        processor.add_to_queue(Square(number), memo)
    processor.add_to_queue(Trouble(fail, "now"), memo)
    with pytest.raises(Capturing_exception, match="Message: now"):
        processor.run_queue()
    assert memo.values == [0, 1, 4, "before"]
    assert capsys.readouterr().out == "before the trouble\n"


def test_after_an_error_the_slave_prints_as_before(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    processor = load(size=1)
    for _ in range(2):
        processor.add_to_queue(Trouble(fail, "now"))
        with pytest.raises(Capturing_exception):
            processor.run_queue()
    assert capsys.readouterr().out == "before the trouble\n" * 2


def test_after_an_error_queue_and_memos_are_empty_and_nothing_of_it_comes_later(
    processor: Any, memo: Kept, tmp_path: Path
) -> None:
    """The old package took the late answer of the first queue for one of the second, and lost that."""
    late = Kept()
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    processor.add_to_queue(Call(meet, pipe, "late"), late)
    processor.add_to_queue(Trouble(fail, "now"), late)
    with pytest.raises(Capturing_exception):
        processor.run_queue()
    assert not processor.is_queued()
    assert not processor.memo_map
    for number in range(5):
        processor.add_to_queue(Square(number), memo)
    processor.run_queue()
    assert sorted(memo.values) == [0, 1, 4, 9, 16]
    assert "late" not in str(late.values)


def test_one_result_that_cannot_be_sent_costs_only_itself(processor: Any, memo: Kept) -> None:
    processor.add_to_queue(ReturnLock(), memo)
    with pytest.raises(Capturing_exception, match=r"the result Keep cannot be sent: .*lock"):
        processor.run_queue()
    assert memo.values == [1, 3]


class WithLock(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


class ReturnException(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(Result_exception(processor, WithLock(), completed))


def test_an_exception_that_cannot_be_sent_comes_as_text_and_says_from_where(processor: Any) -> None:
    processor.add_to_queue(ReturnException())
    with pytest.raises(Capturing_exception, match=r"Rank: [12] Name: \S+-pid\d+\nException type: WithLock\n.*a lock"):
        processor.run_queue()


def test_an_exception_that_is_returned_is_raised(either: Any) -> None:
    either.add_to_queue(ReturnsException())
    with pytest.raises(ZeroDivisionError, match="as a result"):
        either.run_queue()
    assert not either.is_queued()


class Duck:
    """A command that is no Slave_command."""

    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(Keep(processor, "quack", completed, getattr(self, "memo_id", None)))


def test_what_is_no_command_is_refused_when_it_is_queued_and_what_works_as_one_is_not(either: Any, memo: Kept) -> None:
    for add in (either.add_to_queue, either.run_command_globally):
        with pytest.raises(TypeError, match=r"a Slave_command is needed, an object with run\(.*\), not 'x'"):
            add("x", memo)
    assert not either.is_queued()
    assert not either.memo_map
    either.add_to_queue(Duck(), memo)
    either.run_queue()
    assert memo.values == ["quack"]


class ReturnsException(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(Result_exception(processor, ZeroDivisionError("as a result"), completed))


def test_what_is_no_result_is_named(either: Any) -> None:
    either.add_to_queue(ReturnsNumber())
    with pytest.raises(TypeError, match=r"Unexpected result type \n<class 'int'> \nvalue17\n.*return a Result_command"):
        either.run_queue()


class ReturnsNumber(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(17)


@pytest.mark.parametrize("is_threaded", [True, False])
def test_an_error_in_a_result_command_reaches_the_program(
    load: Callable[..., Any], memo: Kept, is_threaded: bool
) -> None:
    processor = load()
    processor.threaded_result_processing = is_threaded
    for number in range(20):
        processor.add_to_queue(Refused(number), memo)
    with pytest.raises(LookupError, match="no place for 0"):
        processor.run_queue()
    memo.values.clear()
    processor.add_to_queue(Square(3), memo)
    processor.run_queue()
    assert memo.values == [9]


class RefuseIt(Keep):
    def run(self, processor: Any, memo: Any = None) -> None:
        raise LookupError("no place for 0")


class Refused(Square):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(RefuseIt(processor, self.value, completed, self.memo_id))


@pytest.mark.parametrize("is_threaded", [True, False])
def test_an_error_in_a_result_command_ends_a_queue_that_still_runs(
    load: Callable[..., Any], memo: Kept, is_threaded: bool, tmp_path: Path
) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    processor = load()
    processor.threaded_result_processing = is_threaded
    processor.add_to_queue(Call(meet, pipe), memo)
    processor.add_to_queue(Refused(0), memo)
    with pytest.raises(LookupError):
        processor.run_queue()


def test_a_killed_slave_is_replaced_with_its_rank_and_its_command_is_run_again(
    processor: Any, memo: Kept, tmp_path: Path
) -> None:
    for number in range(6):
        processor.add_to_queue(KillOnce(number, str(tmp_path / "killed")), memo)
    processor.run_queue()
    assert sorted(memo.values) == [0, 1, 4, 9, 16, 25]
    memo.values.clear()
    for _ in range(2):
        assert not memo.values
        processor.run_command_globally(Call(who), memo)
        assert sorted(rank for rank, _ in memo.values) == [1, 2]
        memo.values.clear()


def test_a_command_that_always_kills_its_slave_is_named_and_all_others_are_done(processor: Any, memo: Kept) -> None:
    for number in range(4):
        processor.add_to_queue(Square(number), memo)
    processor.add_to_queue(Trouble(kill_own_process))
    with pytest.raises(ItemKilledSlave, match=r"item '4 \(Trouble\)' on localhost_\d, 2 tries: .*SIGKILL"):
        processor.run_queue()
    assert sorted(memo.values) == [0, 1, 4, 9]


def test_ctrl_c_ends_a_queue_and_its_slaves(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    program = tmp_path / "program.py"
    program.write_text(f"""
import os
from tests.multi.commands import Call, meet, who
from tracking.multi import Application_callback, load_multiprocessor, Slave_command

def say_pid(processor, pipe):
    with open(pipe, "w") as end:
        end.write(f"{{os.getpid()}} ")
    return meet(processor, pipe)

class Master:
    def run(self):
        processor.add_to_queue(Call(say_pid, {pipe!r}))
        processor.run_queue()

processor = load_multiprocessor("local", Application_callback(Master()), 1, 0)
processor.run()
""")
    running = subprocess.Popen(
        [sys.executable, str(program)], stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    slave = int(Path(pipe).read_text())
    descriptor = os.pidfd_open(slave)
    try:
        running.send_signal(signal.SIGINT)
        _, complaint = running.communicate(timeout=30)
        assert "KeyboardInterrupt" in complaint
        assert running.returncode in (-signal.SIGINT, 130)
        ended = threading.Event()
        threading.Thread(target=lambda: (wait_for(descriptor), ended.set()), daemon=True).start()
        assert ended.wait(20)
    finally:
        os.close(descriptor)


def wait_for(pidfd: int) -> None:
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(20_000)


def test_queues_whose_slaves_die_lose_nothing_and_never_hang(load: Callable[..., Any], tmp_path: Path) -> None:
    processor = load(size=3)
    processor.send_data_to_slaves("value", 11)
    for number in range(20):
        memos = [Kept() for _ in range(12)]
        for value, memo in enumerate(memos):
            is_deadly = value % 4 == number % 4 and number % 2
            flag = str(tmp_path / f"{number}.{value % 8}")
            processor.add_to_queue(KillOnce(value, flag) if is_deadly else Square(value), memo)
        if number % 5 == 4:
            processor.add_to_queue(Trouble(fail, "now"))
            with pytest.raises(Capturing_exception):
                processor.run_queue()
        else:
            processor.run_queue()
            assert [memo.values for memo in memos] == [[value * value] for value in range(12)]
    assert len(list(tmp_path.iterdir())) > 10
