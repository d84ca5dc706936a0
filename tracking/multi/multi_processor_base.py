"""Multi_processor: a master with slaves; with methods to send and to receive, it is a fabric of one's own.

Our own processors leave the slaves to the engine (``fabric_processor``). Who has written one for the old package, or
has slaves that nobody else can start, defines ``rank``, ``master_queue_command``, ``master_receive_result``,
``return_result_command`` and ``slave_receive_commands``; which slave gets which command is decided here::

    master: run_command_queue --one command to each idle slave--> slave: run_slave: receive, run, return a batch
                              <--Batched_result_command, or Result_exception--
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from tracking.multi import forgotten
from tracking.multi.memo import number_of
from tracking.multi.misc import Capturing_exception, raise_unimplemented
from tracking.multi.processor import Processor
from tracking.multi.processor_io import ended_lines
from tracking.multi.result_commands import Batched_result_command, Null_result_command, Result_command, Result_exception
from tracking.multi.result_queue import Immediate_result_queue, Threaded_result_queue
from tracking.multi.slave_commands import Exit_command, Slave_removal_command, checked_command, storing


class Too_few_slaves_exception(Exception):  # noqa: N801  (a name of old)
    """There is no slave to do the work."""

    def __init__(self, msg: str = "the master needs at least one slave") -> None:
        super().__init__(msg)


class Multi_processor(Processor):  # noqa: N801
    """Base of processors with slaves.

    Attributes:
        do_quit: this slave leaves its loop.
        batched_returns: results of a command are sent together, with what it printed; always so.
        result_list: of the command that runs; None: none does.
    """

    def __init__(self, processor_size: int, callback: Any) -> None:
        super().__init__(processor_size=processor_size, callback=callback)
        self.do_quit = False
        self.batched_returns = True
        self.result_list: list[Any] | None = None
        self._running_memo_id: Any = None
        self._has_ended = False

    # ---- the master

    def add_to_queue(self, command: Any, memo: Any = None) -> None:
        self.assert_on_master()
        self.command_queue.append(self._with_memo(checked_command(command), memo))
        forgotten.remember(self)

    def _with_memo(self, command: Any, memo: Any) -> Any:
        """What is kept of a command, whose results will find the memo."""
        if memo is None:
            return self._queued(command)
        command.memo_id = number = number_of(memo)
        queued = self._queued(command)
        self.memo_map[number] = memo
        return queued

    def _queued(self, command: Any) -> Any:
        """What is kept of a command until it is sent."""
        return command

    def chunk_queue(self, queue: list[Any]) -> list[Any]:
        """The queue as the old package would have cut it: for those who ask; slaves get single commands."""
        return chunked(queue, self.processor_size(), self.grainyness)

    def run_command_queue(self, queue: list[Any]) -> None:
        """Give each idle slave the next command, first come first served, and process what comes back."""
        waiting, idle = deque(queue), deque(range(1, self.processor_size() + 1))
        n_running = 0
        with self._make_result_queue() as results:
            try:
                while waiting or n_running:
                    while waiting and idle:
                        self.master_queue_command(waiting.popleft(), idle.popleft())
                        n_running += 1
                    result = self.master_receive_result()
                    n_running -= 1
                    idle.append(result.rank)
                    results.put(result)
                    results.raise_failure()
            except BaseException:
                self._receive_the_rest(n_running)
                raise
            results.run_all()

    def _receive_the_rest(self, n_running: int) -> None:
        """What comes of an ended queue must not be taken for a result of the next one."""
        for _ in range(n_running):
            self.master_receive_result()

    def run_command_globally(self, command: Any, memo: Any = None) -> None:
        """Run a command once on every slave; returns when its results are done. The queue waits on."""
        self.assert_on_master()
        queue = [self._with_memo(checked_command(command), memo)] * self.processor_size()
        try:
            self._run_everywhere(queue)
        finally:
            self._forget_memos(queue)

    def _run_everywhere(self, queue: list[Any]) -> None:
        """Run as many commands as there are slaves, each on another one: all are idle."""
        self.run_command_queue(queue)

    def send_data_to_slaves(self, name: str | None = None, value: Any = None) -> None:
        """Have every slave find this value in its data store; returns when all have it. The queue waits on."""
        self.assert_on_master()
        self._run_everywhere([storing(name, value) for _ in range(self.processor_size())])

    def remove_data_from_slaves(self, name: str) -> None:
        self.assert_on_master()
        self._run_everywhere([Slave_removal_command(name) for _ in range(self.processor_size())])

    def _end_slaves(self) -> None:
        """Have each slave leave its loop; a second time nothing is sent."""
        if self.on_master() and not self._has_ended:
            self._has_ended = True
            for rank in range(1, self.processor_size() + 1):
                self.master_queue_command(Exit_command(), rank)

    def _make_result_queue(self, on_failure: Any = None) -> Any:
        if self.threaded_result_processing:
            return Threaded_result_queue(self, on_failure)
        return Immediate_result_queue(self)

    # ---- a slave

    def slave_receive_commands(self) -> Any:
        """Wait for a command, or a list of them."""
        raise_unimplemented(self.slave_receive_commands)

    def return_result_command(self, result_object: Any) -> None:
        """Send a batch to the master."""
        raise_unimplemented(self.return_result_command)

    def return_object(self, result: Any) -> None:
        """Have this sent when the command is done, behind what it has printed.

        Raises:
            RuntimeError: no command runs on this processor.
            the result: where it is an exception.
        """
        if isinstance(result, Exception):
            raise result
        if self.result_list is None:
            raise RuntimeError("return_object is for commands that run on a slave; none does here")
        if isinstance(result, Result_command) and not isinstance(result, Null_result_command):
            result.memo_id = self._running_memo_id if result.memo_id is None else result.memo_id
        self.result_list.append(result)

    def run_slave(self) -> None:
        """Do what the master sends, until it says that it is over."""
        while not self.do_quit:
            commands = self.slave_receive_commands()
            for command in commands if isinstance(commands, list) else [commands]:
                results, io_data, error = self.run_command(command)
                if error is not None:
                    results = [*results, Result_exception(self, error)]
                self.return_result_command(Batched_result_command(self, results, io_data))

    def run_command(self, command: Any) -> tuple[list[Any], list[list[Any]], Capturing_exception | None]:
        """Run a command with its output captured: its results, what it printed, and the exception that ended it."""
        self.result_list, self._running_memo_id = [], getattr(command, "memo_id", None)
        error = None
        self.stdio_capture()
        try:
            command.run(self, True)
        except BaseException:  # noqa: BLE001  (SystemExit and KeyboardInterrupt are told, too: the slave lives on)
            error = Capturing_exception(sys.exc_info(), self.rank(), self.get_name())
        finally:
            self.stdio_restore()
            results, self.result_list = self.result_list, None
        text = ended_lines(self.io_data) if self._has_prefix() else self.io_data
        return results, text, error

    def run(self) -> None:
        """Be the master, or a slave."""
        if self.on_master():
            super().run()
        else:
            self.run_slave()


def chunked(queue: Sequence[Any], n_slaves: int, grainyness: int) -> list[Any]:
    """How the old package cut a queue: in ``n_slaves * grainyness`` chunks; single, where there are fewer commands.

    >>> chunked(range(5), 2, 1)
    [[0, 1, 4], [2, 3]]
    >>> chunked(range(10), 3, 2)
    [[0, 6], [1, 7], [2, 8], [3, 9], [4], [5]]
    >>> chunked("ab", 3, 1)
    ['a', 'b']
    """
    n_chunks = max(1, n_slaves * max(1, grainyness))
    size = len(queue) // n_chunks
    if size < 1:
        return list(queue)
    chunks = [list(queue[first : first + size]) for first in range(0, n_chunks * size, size)]
    for chunk, command in zip(chunks, queue[n_chunks * size :], strict=False):
        chunk.append(command)
    return chunks
