"""Every name of the old package, where it was, and with its signature; the small classes."""

from __future__ import annotations

import importlib
import inspect
import io
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest

import tracking.multi as multi
from tests.multi.commands import Kept
from tracking.multi import (
    Application_callback,
    Batched_result_command,
    Capturing_exception,
    Exit_command,
    Memo,
    Null_result_command,
    Processor,
    Processor_box,
    Result,
    Result_command,
    Result_exception,
    Result_string,
    Slave_command,
    Slave_storage_command,
    Uni_processor,
    raise_unimplemented,
)

PLACES = {
    "processor": """Processor Data_store Capturing_exception raise_unimplemented Verbosity verbosity
        Threaded_result_queue Redirect_text Batched_result_command Null_result_command Result_exception
        Slave_storage_command time datetime math sys""",
    "misc": "import_module raise_unimplemented Capturing_exception Result Result_string Verbosity",
    "result_queue": """Result_queue Immediate_result_queue Threaded_result_queue Exit_queue_result_command
        RESULT_QUEUE_EXIT_COMMAND""",
    "slave_commands": "Slave_command Exit_command Slave_storage_command",
    "result_commands": "Result_command Batched_result_command Null_result_command Result_exception",
    "memo": "Memo",
    "processor_io": "Redirect_text",
    "multi_processor_base": "Multi_processor Too_few_slaves_exception",
    "uni_processor": "Uni_processor",
    "mpi4py_processor": "Mpi4py_processor",
}
PUBLIC = """load_multiprocessor fetch_data fetch_data_store send_data_to_slaves Application_callback Processor_box Memo
    Result_command Slave_command"""


@pytest.mark.parametrize("module", PLACES)
def test_every_name_is_where_it_was_and_in_the_package(module: str) -> None:
    found = importlib.import_module(f"tracking.multi.{module}")
    assert getattr(multi, module) is found
    for name in PLACES[module].split():
        value = getattr(found, name)
        if name not in ("time", "datetime", "math", "sys"):
            assert getattr(multi, name) is value


def test_every_public_name_is_in_the_package() -> None:
    for name in PUBLIC.split():
        assert name in multi.__all__
        assert name in dir(multi)
        assert callable(getattr(multi, name))
    assert all(hasattr(multi, name) for name in multi.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        multi.nothing  # noqa: B018


METHODS = """abort add_to_queue assert_on_master exit fetch_data get_intro_string get_name get_stdio_pre_strings
    get_time_delta is_queued master_queue_command master_receive_result on_master on_slave post_run pre_run
    processor_size rank rank_format_string rank_format_string_width return_object run run_command_globally
    run_command_queue run_queue send_data_to_slaves stdio_capture stdio_restore"""


def test_every_method_of_a_processor_is_there() -> None:
    for name in METHODS.split():
        assert callable(getattr(Processor, name)), name
    for name in ("chunk_queue", "process_result", "return_result_command", "slave_receive_commands"):
        assert callable(getattr(multi.Multi_processor, name)), name


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (multi.load_multiprocessor, ["processor_name", "callback", "processor_size", "verbosity"]),
        (Application_callback, ["master"]),
        (Slave_command.run, ["self", "processor", "completed"]),
        (Slave_command.set_memo_id, ["self", "memo"]),
        (Result_command, ["processor", "completed", "memo_id"]),
        (Result_string, ["processor", "string", "completed"]),
        (Batched_result_command, ["processor", "result_commands", "io_data", "completed"]),
        (Null_result_command, ["processor", "completed"]),
        (Result_exception, ["processor", "exception", "completed"]),
        (Capturing_exception, ["exc_info", "rank", "name"]),
        (multi.Verbosity().set, ["value"]),
        (multi.Redirect_text, ["data", "token", "stream"]),
        (multi.Threaded_result_queue, ["processor"]),
        (Processor, ["processor_size", "callback"]),
        (Processor.add_to_queue, ["self", "command", "memo"]),
        (Processor.exit, ["self", "status"]),
        (Processor.fetch_data, ["self", "name"]),
        (Processor.send_data_to_slaves, ["self", "name", "value"]),
        (Processor.run_command_globally, ["self", "command"]),
        (Processor.get_time_delta, ["self", "start_time", "end_time"]),
        (Processor.master_queue_command, ["self", "command", "dest"]),
    ],
)
def test_arguments_have_their_names_and_order(function: Any, names: list[str]) -> None:
    assert list(inspect.signature(function).parameters)[: len(names)] == names


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        (multi.load_multiprocessor, {"verbosity": 1}),
        (multi.fetch_data, {"name": None}),
        (multi.fetch_data_store, {}),
        (multi.send_data_to_slaves, {"name": None, "value": None}),
        (Processor.fetch_data, {"name": None}),
        (Processor.send_data_to_slaves, {"name": None, "value": None}),
        (Processor.add_to_queue, {"memo": None}),
        (Processor.exit, {"status": 0}),
        (Result_command, {"memo_id": None}),
        (Batched_result_command, {"io_data": None, "completed": True}),
        (Null_result_command, {"completed": True}),
        (Result_exception, {"completed": True}),
        (Capturing_exception, {"exc_info": None, "rank": "unknown", "name": "unknown"}),
        (multi.Verbosity().set, {"value": 0}),
        (multi.Redirect_text, {"token": "", "stream": 0}),
    ],
)
def test_arguments_may_be_left_out_as_they_could(function: Any, defaults: dict[str, Any]) -> None:
    given = inspect.signature(function).parameters
    assert {name: given[name].default for name in defaults} == defaults


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (Processor.run_command_queue, ["queue"]),
        (Processor.return_object, ["result"]),
        (Processor.process_result, ["result"]),
        (multi.Multi_processor, ["processor_size", "callback"]),
        (multi.Multi_processor.chunk_queue, ["queue"]),
        (multi.Multi_processor.return_result_command, ["result_object"]),
        (Result, ["processor", "completed"]),
        (Result_command.run, ["processor", "memo"]),
        (Exit_command.run, ["processor", "completed"]),
        (Slave_storage_command.add, ["name", "value"]),
        (multi.Immediate_result_queue, ["processor"]),
        (multi.Threaded_result_queue.put, ["job"]),
        (multi.Redirect_text.write, ["string"]),
        (Application_callback(None).init_master, ["processor"]),
        (Application_callback(None).handle_exception, ["processor", "exception"]),
        (multi.import_module, ["module_path"]),
    ],
)
def test_methods_that_programs_override_have_their_arguments(method: Any, names: list[str]) -> None:
    found = [name for name in inspect.signature(method).parameters if name != "self"]
    assert found[: len(names)] == names


def test_attributes_of_a_processor_are_there(processor: Any) -> None:
    expected = {"grainyness": 1, "threaded_result_processing": True, "do_quit": False, "command_queue": [],
                "memo_map": {}, "batched_returns": True, "result_list": None}  # fmt: skip
    assert {name: getattr(processor, name) for name in expected} == expected
    assert isinstance(processor.NULL_RESULT, Null_result_command)
    assert processor.callback is None
    assert processor.rank() == 0
    assert processor.on_master()
    assert not processor.on_slave()
    assert processor.processor_size() == processor._processor_size == 2
    assert "2 slaves" in processor.get_intro_string()
    assert f"-pid{__import__('os').getpid()}" in processor.get_name()


def test_a_memo_needs_no_constructor_and_a_command_none_either() -> None:
    class Own(Memo):
        def __init__(self) -> None:
            self.anything = 1

    class Command(Slave_command):
        def __init__(self) -> None:
            self.anything = 1

    memo, command = Own(), Command()
    assert command.memo_id is None
    command.set_memo_id(memo)
    assert command.memo_id == memo.memo_id()
    command.set_memo_id(None)
    assert command.memo_id is None
    assert Slave_storage_command().memo_id is None


def test_what_must_be_overridden_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Attempt to invoke unimplemented abstract method .*run"):
        Slave_command().run(None, True)
    with pytest.raises(NotImplementedError, match="raise_unimplemented"):
        raise_unimplemented(raise_unimplemented)

    class Rankless(Processor):
        def rank(self) -> int:
            return 1

    with pytest.raises(NotImplementedError, match="run_command_globally"):
        Rankless(1, None).run_command_globally(None)
    with pytest.raises(RuntimeError, match="master only, and was called on the slave of rank 1"):
        Rankless(1, None).assert_on_master()


def test_results_keep_no_processor_and_completed_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    processor = Uni_processor(1, None)
    for result in (Result(processor), Result_command(processor), Result_string(processor, "text")):
        assert (result.completed, result.memo_id, result.rank) == (True, None, 0)
        assert processor not in vars(result).values()
    Result_string(processor, "text\n", False).run(processor, None)
    assert capsys.readouterr().out == "text\n"
    assert processor.NULL_RESULT.run(processor, None) is None


def test_an_exit_command_says_that_it_is_done_and_ends_the_loop() -> None:
    processor, returned = Uni_processor(1, None), []
    processor.return_object = returned.append  # type: ignore[method-assign]
    Exit_command().run(processor, True)
    assert returned == [processor.NULL_RESULT]
    assert processor.do_quit  # type: ignore[attr-defined]


def test_a_batch_shows_its_text_then_processes_its_results(capsys: pytest.CaptureFixture[str]) -> None:
    processor = Uni_processor(1, None)
    results = [Result_string(processor, f"{n}\n") for n in range(3)]
    Batched_result_command(processor, results, [["to out\n", 0], ["to err\n", 1]]).run(processor, None)
    assert capsys.readouterr() == ("to out\n0\n1\n2\n", "to err\n")
    Batched_result_command(processor, [], None).run(processor, None)  # a TypeError of old
    with pytest.raises(ValueError, match="a batch has no memo"):
        Batched_result_command(processor, []).run(processor, Kept())


def test_a_result_exception_raises_it() -> None:
    processor = Uni_processor(1, None)
    with pytest.raises(KeyError, match="this"):
        processor.process_result(Result_exception(processor, KeyError("this")))


def test_the_text_of_a_captured_exception_and_its_journey() -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        error = Capturing_exception(rank=3, name="node-pid7")
    dashes = "-" * 120
    assert isinstance(error.traceback, list)
    trace = "".join(error.traceback)
    assert "1 / 0" in trace
    assert str(error) == (
        f"\n\n{dashes}\n\n{trace}\n\nNested Exception from sub processor\nRank: 3 Name: node-pid7\n"
        f"Exception type: ZeroDivisionError\nMessage: division by zero\n\n{dashes}\n\n"
    )
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.rank, again.name, again.exception_name) == (3, "node-pid7", "ZeroDivisionError")


def test_a_captured_exception_without_an_exception_has_a_text_too() -> None:
    error = Capturing_exception()
    assert (error.rank, error.name, error.exception_name, error.traceback) == ("unknown", "unknown", "", [])
    assert "No exception was captured" in str(error)


def test_an_exception_whose_own_text_fails_can_be_captured() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise LookupError("no text")

    try:
        raise Odd
    except Odd:
        assert "its text cannot be made: LookupError: no text" in str(Capturing_exception())


class Processes:
    """A processor that notes what it is to process, and in which thread."""

    def __init__(self) -> None:
        self.processed: list[tuple[Any, bool]] = []

    def rank(self) -> int:
        return 0

    def process_result(self, result: Any) -> None:
        self.processed.append((result, threading.current_thread() is threading.main_thread()))
        if isinstance(result, Result_exception):
            raise result.exception
        if result == "bad":
            raise LookupError("bad")


def test_a_threaded_queue_processes_in_order_in_its_own_thread_and_raises_what_failed_there() -> None:
    processor = Processes()
    results = multi.Threaded_result_queue(processor)
    assert results.thread1.daemon
    for number in range(5):
        results.put(number)
    results.run_all()
    assert processor.processed == [(number, False) for number in range(5)]
    told = []
    results = multi.Threaded_result_queue(processor, lambda: told.append("failed"))
    for each in ("good", "bad", "after"):
        results.put(each)
    with pytest.raises(LookupError, match="bad"):
        results.run_all()
    assert [each for each, _ in processor.processed[5:]] == ["good", "bad"]
    assert told == ["failed"]


@pytest.mark.parametrize(("ending", "processed"), [(KeyboardInterrupt, [1]), (ValueError, [1, 2])])
def test_what_waits_when_a_queue_ends_is_processed_but_not_after_ctrl_c(
    ending: type[BaseException], processed: list[int]
) -> None:
    begun, is_over = threading.Event(), threading.Event()

    class Waits(Processes):
        def process_result(self, result: Any) -> None:
            super().process_result(result)
            begun.set()
            assert is_over.wait(20)

    class Told(multi.Threaded_result_queue):
        def close(self) -> None:
            is_over.set()
            super().close()

    def use(results: Any) -> None:
        with results:
            results.put(1)
            results.put(2)
            begun.wait(20)
            raise ending

    processor = Waits()
    with pytest.raises(ending):
        use(Told(processor))
    assert [result for result, _ in processor.processed] == processed


@pytest.mark.parametrize("kind", ["Threaded_result_queue", "Immediate_result_queue"])
def test_an_exception_from_a_slave_is_raised_where_it_is_put(kind: str) -> None:
    processor = Processes()
    results = getattr(multi, kind)(processor)
    with pytest.raises(KeyError):
        results.put(Result_exception(processor, KeyError("from a slave")))
    results.run_all()
    assert [is_main for _, is_main in processor.processed] == [True]


def test_the_exit_command_of_queues_is_one() -> None:
    assert isinstance(multi.RESULT_QUEUE_EXIT_COMMAND, multi.Exit_queue_result_command)
    with pytest.raises(NotImplementedError):
        multi.Result_queue(Processes()).run_all()


def test_there_is_one_box() -> None:
    assert Processor_box("anything", at="all") is Processor_box()


def test_a_callback_runs_the_program_and_ends_all_when_it_fails() -> None:
    class Program:
        has_run = False

        def run(self) -> None:
            self.has_run = True

    class Silent:
        was_aborted = False

        def abort(self) -> None:
            self.was_aborted = True

    program, processor = Program(), Silent()
    callback = Application_callback(master=program)
    callback.init_master(processor)
    assert program.has_run
    assert callback.master is program
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        callback.handle_exception(processor, ValueError("it failed"))
        assert "ValueError: it failed" in sys.stderr.getvalue()
    finally:
        sys.stderr = stderr
    assert processor.was_aborted


def test_a_slave_loads_neither_pools_nor_masters() -> None:
    code = "from tracking.multi import Slave_command, Result_command, Memo, fetch_data\n"
    code += "import tracking.multi.slave_side, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("tracking.")}
    assert rooms == {"errors", "messaging", "multi", "slave", "wire"}
