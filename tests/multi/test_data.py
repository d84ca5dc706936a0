"""Data that is sent once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.multi.commands import Call, Kept, Many, Square, has_stored, kill_own_process_once, stored
from tracking import EncodeError, NoSlavesError
from tracking.multi import (
    Data_store,
    Processor_box,
    Slave_storage_command,
    fetch_data,
    fetch_data_store,
    send_data_to_slaves,
)


def values_on_slaves(processor: Any, memo: Kept, function: Any, *arguments: Any, count: int = 12) -> set[Any]:
    memo.values.clear()
    for _ in range(count):
        processor.add_to_queue(Call(function, *arguments), memo)
    processor.run_queue()
    assert len(memo.values) == count
    return set(memo.values)


def test_every_command_finds_what_was_sent(either: Any, memo: Kept) -> None:
    send_data_to_slaves("spectrum", (1, 2, 3))
    assert values_on_slaves(either, memo, stored, "spectrum") == {(1, 2, 3)}
    send_data_to_slaves(name="spectrum", value=4)
    assert values_on_slaves(either, memo, stored, "spectrum") == {4}


def test_data_is_sent_as_it_was_and_the_masters_store_does_not_get_it(processor: Any, memo: Kept) -> None:
    value = [1]
    processor.send_data_to_slaves("value", value)
    value.append(2)
    assert values_on_slaves(processor, memo, stored_text, "value") == {"[1]"}
    assert fetch_data_store() is processor.data_store
    with pytest.raises(AttributeError, match="the data store has no 'value'; there is: nothing"):
        fetch_data("value")
    fetch_data_store().total = 5
    assert fetch_data("total") == processor.fetch_data("total") == 5
    assert fetch_data() is processor.data_store


def stored_text(processor: Any, name: str) -> str:
    return repr(processor.fetch_data(name))


def test_the_uni_processor_has_one_store_for_all(load: Callable[..., Any]) -> None:
    processor = load("uni", 1)
    value = [1]
    processor.send_data_to_slaves("value", value)
    assert fetch_data("value") is value
    processor.remove_data_from_slaves("value")
    assert not hasattr(fetch_data_store(), "value")


def test_data_is_sent_without_running_the_queue(processor: Any, memo: Kept) -> None:
    processor.add_to_queue(Square(3), memo)
    processor.send_data_to_slaves("value", 1)
    assert processor.is_queued()
    assert memo.values == []
    processor.run_queue()
    assert memo.values == [9]


def test_a_slave_that_comes_later_has_the_data_too(processor: Any, memo: Kept, tmp_path: Path) -> None:
    processor.send_data_to_slaves("value", 7)
    assert values_on_slaves(processor, memo, stored, "value") == {7}
    assert values_on_slaves(processor, memo, stored_after_death, "value", str(tmp_path / "killed")) == {7}
    assert (tmp_path / "killed").exists()
    for _ in range(3):
        assert values_on_slaves(processor, memo, stored, "value") == {7}


def stored_after_death(processor: Any, name: str, flag: str) -> Any:
    kill_own_process_once(flag)
    return stored(processor, name)


def test_a_value_is_sent_once_to_each_slave(processor: Any, memo: Kept) -> None:
    processor.send_data_to_slaves("value", Counted())
    for _ in range(3):
        processor.run_command_globally(Many(0))  # every slave is up and has it
        assert values_on_slaves(processor, memo, object_number, "value") == {1}
    assert [processor._shelf.lacking(tid) for tid in processor._slaves().slaves] == [{}, {}]


class Counted:
    """Counts how often it was made anew in a process."""

    made = 0

    def __setstate__(self, state: object) -> None:
        Counted.made += 1

    def __getstate__(self) -> int:
        return 1


def object_number(processor: Any, name: str) -> int:
    assert isinstance(processor.fetch_data(name), Counted)
    return Counted.made


def test_what_a_command_stores_stays_on_its_slave_from_queue_to_queue(load: Callable[..., Any], memo: Kept) -> None:
    processor = load(size=1)
    for expected in (1, 2, 3):
        assert values_on_slaves(processor, memo, count_calls, count=1) == {expected}


def count_calls(processor: Any) -> int:
    processor.data_store.calls = getattr(processor.data_store, "calls", 0) + 1
    return int(processor.data_store.calls)


def test_data_of_a_class_of_the_program_itself_is_of_that_class_in_every_queue(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
from tests.multi.commands import Keep, Kept
from tracking.multi import Application_callback, Slave_command, load_multiprocessor

class Model:
    def __init__(self, n):
        self.n = n
    def __eq__(self, other):
        return isinstance(other, Model) and other.n == self.n

class Compare(Slave_command):
    def __init__(self, model):
        self.model = model
    def run(self, processor, completed):
        there = processor.fetch_data("model")
        same = there == self.model and type(there) is type(self.model) is Model
        processor.return_object(Keep(processor, (same, Model(2)), completed, self.memo_id))

class Program:
    def run(self):
        processor.send_data_to_slaves("model", Model(1))
        for _ in range(3):
            memo = Kept()
            for _ in range(4):
                processor.add_to_queue(Compare(Model(1)), memo)
            processor.run_queue()
            print(memo.values == [(True, Model(2))] * 4)

processor = load_multiprocessor("local", Application_callback(Program()), 2, 0)
processor.run()
""")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": root},
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.stdout == "True\n" * 3, done.stderr


def test_data_can_be_removed(processor: Any, memo: Kept) -> None:
    processor.send_data_to_slaves("value", 7)
    assert values_on_slaves(processor, memo, has_stored, "value") == {True}
    processor.remove_data_from_slaves("value")
    assert values_on_slaves(processor, memo, has_stored, "value") == {False}


def test_data_that_cannot_be_sent_is_named(processor: Any) -> None:
    with pytest.raises(EncodeError, match=r"the data 'numbers' cannot be sent: .*generator"):
        processor.send_data_to_slaves("numbers", (n for n in ()))


def test_data_needs_a_name(either: Any) -> None:
    with pytest.raises(ValueError, match="needs the name"):
        either.send_data_to_slaves(value=1)


def test_a_storage_command_does_the_same_for_the_slave_that_runs_it(load: Callable[..., Any], memo: Kept) -> None:
    processor = load(size=1)
    command = Slave_storage_command()
    assert command.memo_id is None
    command.add("value", 3)
    command.add("other", 4)
    command.clear()
    command.add("value", 5)
    processor.add_to_queue(command)
    processor.add_to_queue(Call(stored, "value"), memo)
    processor.add_to_queue(Call(has_stored, "other"), memo)
    processor.run_queue()
    assert memo.values == [5, False]


def test_a_global_command_runs_once_on_every_slave(load: Callable[..., Any], memo: Kept) -> None:
    processor = load(size=3)
    command = Slave_storage_command()
    command.add("value", 8)
    processor.run_command_globally(command)
    assert values_on_slaves(processor, memo, stored, "value", count=30) == {8}


def test_a_global_command_has_a_memo_and_leaves_the_queue_alone(either: Any, memo: Kept) -> None:
    either.add_to_queue(Square(3), memo)
    everywhere = Kept()
    either.send_data_to_slaves("value", 8)
    either.run_command_globally(Call(stored, "value"), everywhere)
    assert everywhere.values == [8]
    assert memo.values == []
    either.run_queue()
    assert memo.values == [9]
    assert not either.memo_map


def test_data_that_cannot_be_made_on_slaves_stops_the_queue_and_can_be_replaced(processor: Any, memo: Kept) -> None:
    processor.send_data_to_slaves("value", OnlyHere())
    for _ in range(2):
        processor.add_to_queue(Call(has_stored, "value"), memo)
        with pytest.raises(NoSlavesError, match="cannot be made there"):
            processor.run_queue()
    processor.send_data_to_slaves("value", 1)
    assert values_on_slaves(processor, memo, stored, "value") == {1}


class OnlyHere:
    def __reduce__(self) -> tuple[Any, ...]:
        return refuse_to_be_made, ()


def refuse_to_be_made() -> None:
    raise LookupError("cannot be made there")


def test_a_command_that_uses_the_programs_processor_finds_that_of_its_slave(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
from tests.multi.commands import Keep, Kept
from tracking.multi import Application_callback, Slave_command, load_multiprocessor

def helper():
    return processor.rank(), processor.fetch_data("value")

class Helped(Slave_command):
    def run(self, given, completed):
        given.return_object(Keep(given, (*helper(), given is processor), completed, self.memo_id))

class Program:
    def run(self):
        processor.send_data_to_slaves("value", 5)
        memo = Kept()
        processor.add_to_queue(Helped(), memo)
        processor.run_queue()
        print(memo.values)

processor = load_multiprocessor("local", Application_callback(Program()), 1, 0)
processor.run()
""")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": root},
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.stdout == "[(1, 5, True)]\n", done.stderr


def test_a_data_store_holds_anything() -> None:
    store = Data_store()
    store.a = 1
    assert store.a == 1
    with pytest.raises(AttributeError, match="has no 'b'; there is: a"):
        _ = store.b


def test_without_a_processor_it_is_said_what_is_missing() -> None:
    assert Processor_box().processor is None
    with pytest.raises(RuntimeError, match="call load_multiprocessor"):
        fetch_data("x")
