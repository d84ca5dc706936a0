"""The slave's side: commands in, outcomes out. A slave keeps its processor, and what is stored there, between queues.

::

    master: QueueMaster --Welcome--> initialize: rank, definitions, new data        Slave_processor (one per master,
                        --commands-> go: run one after the other ---------------->  as long as the process lives)
                        <--MSG_LIVE, lines as they are printed--- (live mode)
                        <--Outcome of each---
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from tracking.errors import EncodeError
from tracking.multi.box import Processor_box
from tracking.multi.misc import Capturing_exception, Verbosity
from tracking.multi.multi_processor_base import Multi_processor
from tracking.multi.processor_io import Redirect_text, WholeLines
from tracking.multi.result_commands import Result_exception
from tracking.multi.travel import Outcome, Snapshot, Stored, Welcome, restored_command, result_snapshot
from tracking.slave.job_slave import JobSlave
from tracking.wire import mainmodule

MSG_LIVE: Final = "tracking.multi: lines"


class Slave_processor(Multi_processor):  # noqa: N801  (it is what commands know as their processor)
    """What commands see of the slave that runs them.

    Args:
        rank, size: its own, and how many slaves there are.
    """

    def __init__(self, rank: int, size: int) -> None:
        self._rank = rank
        super().__init__(processor_size=size, callback=None)
        self._versions: dict[str, int] = {}
        self._of_main: dict[str, Snapshot] = {}
        self._tell_live: Callable[[list[list[Any]]], object] | None = None
        self._n_told = 0
        self._lines = WholeLines()

    def rank(self) -> int:
        return self._rank

    def abort(self) -> NoReturn:
        """End the command that calls this, and with it the queue."""
        raise SystemExit(1)

    def exit(self, status: Any = 0) -> NoReturn:
        """The same, with this status."""
        raise SystemExit(status)

    # ---- what the master tells

    def welcome(self, welcome: Welcome, tell_live: Callable[[list[list[Any]]], object]) -> None:
        """Be ready for a queue."""
        self._rank, self._processor_size = welcome.rank, welcome.size
        self._tell_live = tell_live if welcome.is_live else None
        Verbosity().set(welcome.verbosity)
        for name, value in self._of_main.items():  # its classes were defined anew
            setattr(self.data_store, name, value.restore())
        self.store(welcome.stored)

    def store(self, stored: dict[str, Stored]) -> None:
        """Have this, as far as it is new."""
        for name, one in stored.items():
            self._store(name, one)

    def _store(self, name: str, stored: Stored) -> None:
        if self._versions.get(name, 0) >= stored.version:
            return
        self._of_main.pop(name, None)
        self.data_store.__dict__.pop(name, None)
        if stored.value is not None:
            setattr(self.data_store, name, stored.value.restore())
            if stored.value.names():
                self._of_main[name] = stored.value
        self._versions[name] = stored.version

    # ---- commands

    def _redirected(self, token: str, stream: int) -> Any:
        return Redirect_text(self.io_data, token, stream, None if self._tell_live is None else self._tell_lines)

    def _tell_lines(self, is_end: bool = False) -> None:
        """Tell of what was printed since, as soon as its line is at its end."""
        if self._tell_live is None:
            return
        whole = self._lines.passed(self.io_data[self._n_told :])
        self._n_told = len(self.io_data)
        if is_end:
            whole += self._lines.rest()
        if whole:
            self._tell_live(whole)

    def outcome(self, command: Snapshot) -> Outcome:
        """Run a command."""
        self._n_told = 0
        try:
            restored = restored_command(command)
        except BaseException:  # noqa: BLE001  (its own class may raise anything)
            error: Exception = Capturing_exception(sys.exc_info(), self.rank(), self.get_name())
            return Outcome((), [], self._error_snapshot(error))
        results, io_data, captured = self.run_command(restored)
        self.io_data = io_data
        self._tell_lines(is_end=True)
        sendable, problem = self._sendable(results)
        failure = captured or problem
        error_sent = None if failure is None else self._error_snapshot(failure)
        return Outcome(sendable, io_data, error_sent, self._tell_live is not None, command.memo_id)

    def _sendable(self, results: list[Any]) -> tuple[tuple[Snapshot, ...], BaseException | None]:
        """The results as bytes; of one that cannot be sent, why."""
        sendable: list[Snapshot] = []
        problem: BaseException | None = None
        for result in results:
            if isinstance(result, Result_exception):
                problem = problem or result.exception
                continue
            try:
                sendable.append(result_snapshot(result, f"the result {type(result).__name__}"))
            except EncodeError:
                problem = problem or Capturing_exception(sys.exc_info(), self.rank(), self.get_name())
        return tuple(sendable), problem

    def _error_snapshot(self, error: BaseException) -> Snapshot:
        """The exception as bytes; of one that cannot be sent, its text."""
        try:
            return result_snapshot(error, "the exception")
        except EncodeError:
            about = type(error), error, error.__traceback__
            return result_snapshot(Capturing_exception(about, self.rank(), self.get_name()), "the exception")


_processors: dict[str, Slave_processor] = {}  # by master; they live as long as this process


class QueueSlave(JobSlave):
    """Runs the commands of one queue."""

    def initialize(self, params: Welcome) -> None:
        """Get to know the rank, the definitions and the data."""
        if params.master not in _processors:
            _processors[params.master] = Slave_processor(params.rank, params.size)
        self._processor = Processor_box().processor = _processors[params.master]
        if params.definitions is not None:  # they may refer to the processor
            mainmodule.install(params.definitions)
        self._processor.welcome(params, self._tell_live)

    def _tell_live(self, io_data: list[list[Any]]) -> None:
        parent = self.getParent()
        if parent is not None:
            self.send(parent, MSG_LIVE, (io_data,))

    def go(self, jobs: dict[Any, Snapshot]) -> dict[Any, Outcome]:
        """{number: command} in, {number: outcome} out."""
        return {number: self._processor.outcome(command) for number, command in jobs.items()}


class Here:
    """Runs commands in the master's process, as copies, with a data store as slaves have it.

    For small queues: what takes less time than a message need not travel.

    Args:
        size: how many slaves there are.
    """

    def __init__(self, size: int) -> None:
        self._processor = Slave_processor(0, size)

    def run(self, command: Snapshot, stored: dict[str, Stored]) -> Outcome:
        """Run a command; ``stored`` is all that slaves have."""
        self._processor.store(stored)
        own, box = os.getpid(), Processor_box()
        before, box.processor = box.processor, self._processor
        try:
            return self._processor.outcome(command)
        finally:
            if os.getpid() != own:  # a copy that the command has forked: it ends here, as it would on a slave
                os._exit(0)
            box.processor = before
