"""Commands, results and memos: the life of a queue."""

from __future__ import annotations

import copy
import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tracking.multi as multi
from tests.multi.commands import Call, Keep, Kept, Many, Say, Square, Trouble, fail, meet, who
from tracking import EncodeError
from tracking.multi import (
    Capturing_exception,
    Memo,
    Result_command,
    Result_string,
    Slave_command,
    fabric_processor,
    queue_master,
)


def test_results_of_a_queue_reach_their_memos(either: Any) -> None:
    memos = [Kept() for _ in range(7)]
    for number, memo in enumerate(memos):
        either.add_to_queue(Square(number), memo)
    assert either.is_queued()
    either.run_queue()
    assert [memo.values for memo in memos] == [[n * n] for n in range(7)]
    assert not either.is_queued()
    assert not either.memo_map


def test_an_empty_queue_starts_nothing(load: Callable[..., Any]) -> None:
    processor = load()
    processor.run_queue()
    assert processor._pool is None


def test_a_memo_may_be_shared_and_a_command_may_return_many_completed_results_or_none(either: Any, memo: Kept) -> None:
    for count in (3, 0, 2):
        either.add_to_queue(Many(count), memo)
    either.run_queue()
    assert sorted(memo.values) == [0, 0, 1, 1, 2]


def test_a_command_without_memo_has_none(either: Any, capsys: pytest.CaptureFixture[str]) -> None:
    either.add_to_queue(Say(returned="done\n"))
    either.run_queue()
    assert capsys.readouterr().out == "done\n"


def test_a_result_that_was_not_told_the_memo_finds_it(processor: Any, memo: Kept) -> None:
    processor.add_to_queue(Forgetful(), memo)
    processor.run_queue()
    assert memo.values == [5]


class Forgetful(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(processor.NULL_RESULT)
        processor.return_object(Keep(processor, 5))


def test_a_null_result_can_be_returned_by_any_number_of_commands(processor: Any, memo: Kept) -> None:
    for _ in range(2):
        processor.add_to_queue(Forgetful(), memo)
        processor.run_queue()
    assert memo.values == [5, 5]


def test_memos_have_numbers_that_no_other_gets() -> None:
    numbers = set()
    for _ in range(100):
        numbers.add(Memo().memo_id())  # each at the address of the one before, as like as not
    assert len(numbers) == 100
    memo = Kept()
    assert memo.memo_id() == memo.memo_id()


def test_a_copy_of_a_memo_is_another_one(either: Any) -> None:
    first = PlainMemo()
    either.add_to_queue(Square(2), first)
    second = copy.copy(first)
    second.values = []
    either.add_to_queue(Square(3), second)
    either.run_queue()
    assert (first.values, second.values) == ([4], [9])


class PlainMemo(Memo):
    def __init__(self) -> None:
        self.values: list[int] = []


def test_any_object_can_be_a_memo(either: Any) -> None:
    memo = SimpleNamespace(values=[])
    for number in range(3):
        either.add_to_queue(Square(number), memo)
    either.run_queue()
    assert sorted(memo.values) == [0, 1, 4]
    assert not either.memo_map


def test_a_result_is_processed_while_other_commands_still_run(processor: Any, memo: Kept, tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    processor.add_to_queue(Call(meet, pipe, "last"), memo)
    processor.add_to_queue(LetGo(pipe), memo)
    processor.run_queue()
    assert memo.values == ["let go", ("last",)]


class OpenPipe(Keep):
    def run(self, processor: Any, memo: Any = None) -> None:
        memo.values.append("let go")
        open_pipe(processor, self.value)


class LetGo(Slave_command):
    def __init__(self, pipe: str) -> None:
        self.value = pipe

    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(OpenPipe(processor, self.value, completed, self.memo_id))


def test_a_command_is_sent_as_it_was_when_it_was_queued(processor: Any, memo: Kept) -> None:
    shared = [1]
    large = bytearray(100_000)
    processor.add_to_queue(Call(returns, shared, large), memo)
    shared.append(2)
    large[0] = 7
    processor.run_queue()
    assert memo.values == [([1], 0)]


def returns(processor: Any, shared: list[int], large: bytearray) -> tuple[list[int], int]:
    return shared, large[0]


@dataclasses.dataclass(frozen=True)
class Frozen(Slave_command):
    text: str

    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(Result_string(processor, self.text))


def test_a_command_without_a_memo_is_not_changed_so_it_may_be_frozen(
    either: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    either.add_to_queue(Frozen("it ran\n"))
    either.run_queue()
    assert capsys.readouterr().out == "it ran\n"


def test_a_command_that_cannot_be_sent_is_refused_when_it_is_queued(processor: Any, memo: Kept) -> None:
    with pytest.raises(EncodeError, match=r"the command Call cannot be sent: .*generator"):
        processor.add_to_queue(Call(who, (n for n in ())), memo)
    assert not processor.is_queued()
    assert not processor.memo_map


def test_an_idle_slave_gets_the_next_command_at_once(processor: Any, memo: Kept, tmp_path: Path) -> None:
    """In the old package the second slave would have waited for the first one, for ever here."""
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    processor.add_to_queue(Call(meet, pipe, "long"), memo)
    for number in range(9):
        processor.add_to_queue(Square(number), memo)
    processor.add_to_queue(Call(open_pipe, pipe), memo)
    processor.run_queue()
    assert len(memo.values) == 11
    assert ("long",) in memo.values


def open_pipe(processor: Any, pipe: str) -> str:
    """The last command of the queue lets the first one end."""
    with open(pipe, "wb"):
        return "opened"


def test_long_commands_behind_quick_ones_are_shared_among_all_slaves(
    processor: Any, memo: Kept, tmp_path: Path
) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    for number in range(20):
        processor.add_to_queue(Square(number), memo)
    for mode in ("rb", "wb"):  # one waits for the other, for ever if both are on one slave
        processor.add_to_queue(Call(open_end, pipe, mode), memo)
    processor.run_queue()
    assert sorted(memo.values[20:]) == ["rb", "wb"]


def open_end(processor: Any, pipe: str, mode: str) -> str:
    with open(pipe, mode):
        return mode


def test_neither_commands_nor_results_are_kept_when_they_are_processed(
    processor: Any, memo: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    masters = []

    class Noted(queue_master.QueueMaster):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            masters.append(self)

    monkeypatch.setattr(fabric_processor, "QueueMaster", Noted)
    for number in range(5):
        processor.add_to_queue(Square(number), memo)
    processor.run_queue()
    assert sorted(memo.values) == [0, 1, 4, 9, 16]
    (master,) = masters
    assert set(master.data.values()) == set(master.result.values()) == {None}


def test_every_slave_has_a_rank_from_1_to_n_and_keeps_it(load: Callable[..., Any], memo: Kept) -> None:
    processor = load(size=3)
    seen: dict[int, set[int]] = {}
    for _ in range(3):
        processor.run_command_globally(Call(who), memo)
    for rank, pid in memo.values:
        seen.setdefault(rank, set()).add(pid)
    assert sorted(seen) == [1, 2, 3]
    assert all(len(pids) == 1 for pids in seen.values())
    assert len(set.union(*seen.values())) == 3


def test_results_are_processed_one_at_a_time_and_in_the_thread_of_the_programs_choice(
    load: Callable[..., Any], memo: Kept
) -> None:
    own = threading.get_ident()
    for is_threaded in (True, False):
        processor = load()
        processor.threaded_result_processing = is_threaded
        memo.values.clear()
        for _ in range(5):
            processor.add_to_queue(WhereAmI(), memo)
        processor.run_queue()
        assert len(set(memo.values)) == 1
        assert (memo.values[0] == own) is not is_threaded


class NoteThread(Result_command):
    def run(self, processor: Any, memo: Any = None) -> None:
        with memo.lock:
            memo.values.append(threading.get_ident())


class WhereAmI(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(NoteThread(processor, completed, self.memo_id))


def test_what_result_commands_queue_is_run_by_the_next_queue(processor: Any, memo: Kept) -> None:
    processor.add_to_queue(Again(), memo)
    processor.run_queue()
    assert memo.values == ["first"]
    assert processor.is_queued()
    processor.run_queue()
    assert memo.values == ["first", 16]


class QueueAnother(Keep):
    def run(self, processor: Any, memo: Any = None) -> None:
        super().run(processor, memo)
        processor.add_to_queue(Square(4), memo)


class Again(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(QueueAnother(processor, "first", completed, self.memo_id))


@pytest.mark.parametrize("name", ["uni", "local"])
def test_a_result_command_may_run_a_queue_of_its_own(load: Callable[..., Any], memo: Kept, name: str) -> None:
    processor = load(name, 1)
    processor.add_to_queue(Nested(), memo)
    processor.add_to_queue(Square(5), memo)
    processor.run_queue()
    assert sorted(memo.values, key=str) == [25, 49, "outer"]
    assert not processor.memo_map


class RunAnother(Keep):
    def run(self, processor: Any, memo: Any = None) -> None:
        inner = Kept()
        processor.add_to_queue(Square(7), inner)
        processor.run_queue()
        memo.values += [*inner.values, self.value]


class Nested(Slave_command):
    def run(self, processor: Any, completed: bool = True) -> None:
        processor.return_object(RunAnother(processor, "outer", completed, self.memo_id))


def test_small_queues_can_be_left_to_the_master(
    processor: Any, memo: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    processor.small_queue = 2
    processor.send_data_to_slaves("value", 8)
    shared = [1]
    processor.add_to_queue(Call(where, shared), memo)
    shared.append(2)
    processor.add_to_queue(Say(("text\n", 0), returned="result\n"))
    processor.run_queue()
    assert memo.values == [(os.getpid(), 0, 8, [1])]
    assert capsys.readouterr().out == "text\nresult\n"
    assert processor._pool is None
    assert multi.Processor_box().processor is processor
    processor.add_to_queue(Trouble(fail, "here"), memo)
    with pytest.raises(Capturing_exception, match=r"Rank: 0 Name: .*\n.*\nMessage: here"):
        processor.run_queue()
    assert memo.values[1:] == ["before"]
    for _ in range(3):
        processor.add_to_queue(Call(where, shared), memo)
    processor.run_queue()
    assert all(pid != os.getpid() and rank > 0 for pid, rank, _, _ in memo.values[2:])


def where(processor: Any, shared: list[int]) -> tuple[int, int, int, list[int]]:
    return os.getpid(), processor.rank(), multi.fetch_data("value"), shared


FORKING = """
import os
from tests.multi.commands import Call, Kept
from tracking.multi import load_multiprocessor

def fork(processor):
    copy = os.fork()
    return os.waitpid(copy, 0)[1] if copy else "copy"

processor, memo = load_multiprocessor("local", None, 1, 0), Kept()
processor.small_queue = SMALL
processor.add_to_queue(Call(fork), memo)
processor.run_queue()
os.write(1, f"{memo.values} ".encode())
processor._end_slaves()
"""


@pytest.mark.parametrize("small", [0, 1])
def test_a_copy_that_a_command_forks_ends_with_the_command(small: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING.replace("SMALL", str(small))],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.stdout == "[0] ", done.stderr


def test_callbacks_come_before_and_after_a_queue_that_is_not_empty(either: Any) -> None:
    told: list[tuple[str, bool]] = []
    either.pre_queue_callback = lambda processor: told.append(("before", processor.is_queued()))
    either.post_queue_callback = lambda processor: told.append(("after", processor.is_queued()))
    either.run_queue()
    assert told == []
    either.add_to_queue(Many(0))
    either.run_queue()
    assert told == [("before", True), ("after", False)]


@pytest.mark.parametrize("grainyness", [1, 2, 5])
def test_a_queue_can_be_asked_how_the_old_package_would_have_cut_it(processor: Any, grainyness: int) -> None:
    processor.grainyness = grainyness
    expected = {1: [[0, 1, 4], [2, 3]], 2: [[0, 4], [1], [2], [3]], 5: [0, 1, 2, 3, 4]}
    assert processor.chunk_queue(list(range(5))) == expected[grainyness]
    for n_slaves, n_commands, chunks in ((3, 10, [[0, 1, 2, 9], [3, 4, 5], [6, 7, 8]]),):
        processor.grainyness, processor._processor_size = 1, n_slaves
        assert processor.chunk_queue(list(range(n_commands))) == chunks


def test_large_arrays_travel_and_can_be_written_on_the_other_side(processor: Any, memo: Kept) -> None:
    numpy = pytest.importorskip("numpy")
    processor.add_to_queue(Call(doubled, numpy.arange(50_000.0)), memo)
    processor.run_queue()
    memo.values[0] += 1
    assert memo.values[0][-1] == 2 * 49_999.0 + 1


def doubled(processor: Any, array: Any) -> Any:
    array *= 2
    return array
