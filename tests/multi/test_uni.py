"""The uni processor: all in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.multi.commands import Call, Keep, Kept, Say, Square, Trouble, fail
from tracking.multi import Application_callback, Slave_command


@pytest.fixture
def uni(load: Callable[..., Any]) -> Any:
    return load("uni", 1)


def test_it_is_single_and_says_so(load: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    uni = load("uni", 4)
    assert "warning: the uni processor is a single one: 4 are not to be had" in capsys.readouterr().err
    assert (uni.rank(), uni.processor_size(), uni.get_intro_string()) == (0, 1, "Uni-processor.")
    assert uni.get_name().endswith(f"-{os.getpid()}")
    load("uni", -1)
    assert capsys.readouterr().err == ""


def test_commands_run_in_their_order_and_each_result_at_once(uni: Any) -> None:
    told: list[Any] = []

    class Told(Keep):
        def run(self, processor: Any, memo: Any = None) -> None:
            told.append((self.value, self.completed, threading.get_ident() == threading.main_thread().ident))

    class Both(Slave_command):
        def __init__(self, number: int) -> None:
            self.number = number

        def run(self, processor: Any, completed: bool = True) -> None:
            processor.return_object(Told(processor, self.number, completed))
            told.append("behind")

    for number in range(3):
        uni.add_to_queue(Both(number))
    uni.run_queue()
    assert told == [(0, False, True), "behind", (1, False, True), "behind", (2, True, True), "behind"]


def test_an_error_is_the_programs_own_and_the_queue_is_clean_after_it(uni: Any, memo: Kept) -> None:
    uni.add_to_queue(Trouble(fail, "raw"), memo)
    uni.add_to_queue(Square(1), memo)
    with pytest.raises(ValueError, match=r"^raw$"):
        uni.run_queue()
    assert memo.values == ["before"]
    assert not uni.is_queued()
    assert not uni.memo_map


def test_a_returned_exception_is_raised(uni: Any) -> None:
    with pytest.raises(LookupError):
        uni.return_object(LookupError("now"))


def test_what_is_printed_is_printed(uni: Any, capsys: pytest.CaptureFixture[str]) -> None:
    uni.add_to_queue(Say(("out", 0), ("err", 1)))
    uni.run_queue()
    assert capsys.readouterr() == ("out", "err")


def test_nothing_is_pickled(uni: Any, memo: Kept) -> None:
    lock = threading.Lock()
    uni.add_to_queue(Call(lambda processor, given: given is lock, lock), memo)
    uni.run_queue()
    assert memo.values == [True]


class Program:
    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def run(self) -> None:
        self.action()


def test_a_program_that_runs_well_goes_on_behind_run(load: Callable[..., Any]) -> None:
    load("uni", 1, Application_callback(Program(lambda: None))).run()


def test_an_uncaught_error_is_shown_and_is_status_1(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        load("uni", 1, Application_callback(Program(lambda: fail("uncaught")))).run()
    assert end.value.code == 1
    assert "ValueError: uncaught" in capsys.readouterr().err
