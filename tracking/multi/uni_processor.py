"""Uni_processor: the program's own process does everything; for tests, debugging, and machines with one core."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from tracking.multi import forgotten
from tracking.multi.memo import number_of
from tracking.multi.processor import Processor
from tracking.multi.slave_commands import checked_command, data_name


class Uni_processor(Processor):  # noqa: N801  (a name of old)
    """Runs commands in their order, here; a result command runs within ``return_object``.

    Args:
        processor_size: anything but 1 and -1 is told to have no effect.
        callback: see ``Processor``.
    """

    def __init__(self, processor_size: int = 1, callback: Any = None) -> None:
        super().__init__(processor_size=1, callback=callback)
        if processor_size > 1:
            print(f"warning: the uni processor is a single one: {processor_size} are not to be had", file=sys.stderr)

    def rank(self) -> int:
        return 0

    def get_name(self) -> str:
        return f"{os.environ.get('HOSTNAME') or socket.gethostname()}-{os.getpid()}"

    def get_intro_string(self) -> str:
        return "Uni-processor."

    def add_to_queue(self, command: Any, memo: Any = None) -> None:
        self.command_queue.append(checked_command(command))
        forgotten.remember(self)
        if memo is not None:
            command.memo_id = number_of(memo)
            self.memo_map[command.memo_id] = memo

    def run_command_queue(self, queue: list[Any]) -> None:
        last = len(queue) - 1
        for index, command in enumerate(queue):
            command.run(self, index == last)

    def run_command_globally(self, command: Any, memo: Any = None) -> None:
        """Run it, here."""
        waiting, self.command_queue = self.command_queue, []
        try:
            self.add_to_queue(command, memo)
            self.run_queue()
        finally:
            self.command_queue = waiting + self.command_queue

    def return_object(self, result: Any) -> None:
        """Process it at once; an exception is raised."""
        if isinstance(result, Exception):
            raise result
        self.process_result(result)

    def send_data_to_slaves(self, name: str | None = None, value: Any = None) -> None:
        """Put it into the data store, which is the master's as well."""
        setattr(self.data_store, data_name(name), value)

    def remove_data_from_slaves(self, name: str) -> None:
        self.data_store.__dict__.pop(name, None)

    def _tell_time(self) -> None:
        """It took as long as any program does."""

    def exit(self, status: Any = 0) -> None:
        """A program that was run well goes on behind ``run``.

        Raises:
            SystemExit: with this status, if it says of a failure.
        """
        if status:
            sys.exit(status)

    def abort(self) -> None:
        """Nothing is to be ended; but ``run`` will end with status 1."""
        self.exit_status = 1
