"""A fabric that somebody has written for the old package: eight methods, over threads here, as its lost one."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from tests.multi.commands import Call, Kept, Square, Trouble, fail, has_stored
from tracking.multi import Application_callback, Capturing_exception, Multi_processor


class Thread_processor(Multi_processor):  # noqa: N801
    """Slaves are threads."""

    def __init__(self, processor_size: int, callback: Any = None) -> None:
        self.own = threading.local()
        self.own.rank = 0
        super().__init__(processor_size, callback)
        self.inboxes = [queue.SimpleQueue[Any]() for _ in range(processor_size + 1)]
        self.slaves = [OneSlave(self, rank) for rank in range(1, processor_size + 1)]
        self.threads = [threading.Thread(target=slave.run) for slave in self.slaves]
        for thread in self.threads:
            thread.start()

    def rank(self) -> int:
        return 0

    def master_queue_command(self, command: Any, dest: int) -> None:
        self.inboxes[dest].put(command)

    def master_receive_result(self) -> Any:
        return self.inboxes[0].get()

    def _end_slaves(self) -> None:
        super()._end_slaves()
        for thread in self.threads:
            thread.join()


class OneSlave(Multi_processor):
    """A slave in a thread; the streams of the process are not its own."""

    def __init__(self, master: Thread_processor, rank: int) -> None:
        self._rank = rank
        super().__init__(master.processor_size(), None)
        self.master = master

    def rank(self) -> int:
        return self._rank

    def stdio_capture(self) -> None:
        """Threads have one stdout for all."""

    def stdio_restore(self) -> None:
        """As above."""

    def slave_receive_commands(self) -> Any:
        return self.master.inboxes[self._rank].get()

    def return_result_command(self, result_object: Any) -> None:
        self.master.inboxes[0].put(result_object)


def test_its_slaves_are_fed_as_they_become_idle_and_errors_leave_it_clean(memo: Kept) -> None:
    meeting = threading.Event()
    processor = Thread_processor(2)
    try:
        processor.add_to_queue(Call(lambda processor: meeting.wait(20)), memo)
        for number in range(9):
            processor.add_to_queue(Square(number), memo)
        processor.add_to_queue(Call(lambda processor: meeting.set()), memo)
        processor.run_queue()
        assert len(memo.values) == 11
        assert True in memo.values
        processor.add_to_queue(Trouble(fail, "now"), memo)
        processor.add_to_queue(Square(1), memo)
        with pytest.raises(Capturing_exception, match="Message: now"):
            processor.run_queue()
        memo.values.clear()
        processor.add_to_queue(Square(7), memo)
        processor.run_queue()
        assert memo.values == [49]
    finally:
        processor._end_slaves()


def test_its_program_runs_as_any_other(memo: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    class Program:
        def run(self) -> None:
            processor.add_to_queue(Square(7), memo)
            processor.run_queue()

    processor = Thread_processor(1, Application_callback(Program()))
    with pytest.raises(SystemExit) as end:
        processor.run()
    assert end.value.code == 0
    assert memo.values == [49]


def test_its_slaves_get_data_and_global_commands_without_a_method_more_and_the_queue_waits_on(memo: Kept) -> None:
    processor = Thread_processor(2)
    try:
        processor.add_to_queue(Square(3), memo)
        processor.send_data_to_slaves("value", [5])
        processor.run_command_globally(Call(rank_and_data), memo)
        assert sorted(memo.values) == [(1, [5]), (2, [5])]
        assert not hasattr(processor.data_store, "value")
        memo.values.clear()
        processor.remove_data_from_slaves("value")
        processor.run_command_globally(Call(has_stored, "value"), memo)
        assert memo.values == [False, False]
        memo.values.clear()
        processor.run_queue()
        assert memo.values == [9]
        with pytest.raises(ValueError, match="needs the name"):
            processor.send_data_to_slaves(value=1)
        with pytest.raises(RuntimeError, match="master only"):
            processor.slaves[0].send_data_to_slaves("value", 1)
    finally:
        processor._end_slaves()


def rank_and_data(processor: Any) -> Any:
    return processor.rank(), processor.fetch_data("value")


class Old_processor(Thread_processor):  # noqa: N801
    """Has its own end, as those of the old package had."""

    ended_with: Any = None

    def exit(self, status: Any = 0) -> None:
        self.ended_with = status
        super().exit(0)


@pytest.mark.parametrize("ending", [SystemExit(5), KeyboardInterrupt()])
def test_its_own_exit_is_called_however_the_program_ends_and_does_not_change_how(ending: BaseException) -> None:
    class Program:
        def run(self) -> None:
            raise ending

    processor = Old_processor(2, Application_callback(Program()))
    with pytest.raises(type(ending)) as end:
        processor.run()
    assert end.value is ending
    assert processor.ended_with == (5 if isinstance(ending, SystemExit) else 1)
    assert not any(thread.is_alive() for thread in processor.threads)
