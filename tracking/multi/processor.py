"""Processor: what the program and its commands see of where they run; the base of all kinds.

The master has rank 0, slaves have 1 to n.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import socket
import sys
import time
from typing import Any

from tracking.errors import InputError
from tracking.multi import forgotten
from tracking.multi.box import own_processor
from tracking.multi.misc import Capturing_exception, Verbosity, raise_unimplemented
from tracking.multi.processor_io import STDERR, STDOUT, Redirect_text
from tracking.multi.result_commands import Batched_result_command, Null_result_command, Result_exception
from tracking.multi.result_queue import Immediate_result_queue, Threaded_result_queue
from tracking.multi.slave_commands import Slave_storage_command

__all__ = [
    "Batched_result_command",
    "Capturing_exception",
    "Data_store",
    "Immediate_result_queue",
    "Null_result_command",
    "Processor",
    "Redirect_text",
    "Result_exception",
    "Slave_storage_command",
    "Threaded_result_queue",
    "Verbosity",
    "datetime",
    "load_multiprocessor",
    "math",
    "raise_unimplemented",
    "sys",
    "time",
    "verbosity",
]

verbosity = Verbosity()


def load_multiprocessor(processor_name: Any, callback: Any = None, processor_size: int = -1, **options: Any) -> Any:
    """As ``tracking.multi.load_multiprocessor``, where the oldest programs look for it."""
    from tracking.multi.loading import load_multiprocessor

    return load_multiprocessor(processor_name, callback, processor_size, **options)


class Data_store:  # noqa: N801  (a name of old)
    """An object to which anything may be attached; what ``send_data_to_slaves`` sends is attached to those of slaves.

    >>> store = Data_store()
    >>> store.spectra = [1, 2]
    >>> store.spectra
    [1, 2]
    """

    def __getattr__(self, name: str) -> Any:
        there = ", ".join(sorted(self.__dict__)) or "nothing"
        raise AttributeError(f"the data store has no {name!r}; there is: {there}")


class Processor:
    """Base of all processors. ``rank`` must work before this constructor is called.

    Args:
        processor_size: so many slaves, without the master; -1: as many as make sense.
        callback: an ``Application_callback``, or what has its two attributes.

    Attributes:
        grainyness: of old chunks; accepted, but idle slaves are fed at once.
        data_store: of this processor.
        threaded_result_processing: result commands run in a thread of their own on the master; else in the program's.
        command_queue: what is queued.
        memo_map: {number: memo} of what is queued, until the end of ``run_queue``.
        pre_queue_callback, post_queue_callback: called with the processor before and after a queue is run.
        NULL_RESULT: to be returned by commands that have nothing to say.
        exit_status: with which the program shall end.
    """

    def __init__(self, processor_size: int, callback: Any) -> None:
        self.callback = callback
        self.grainyness = 1
        self.data_store: Any = Data_store()
        self.threaded_result_processing = True
        self.command_queue: list[Any] = []
        self.memo_map: dict[Any, Any] = {}
        self.pre_queue_callback: Any = None
        self.post_queue_callback: Any = None
        self.NULL_RESULT = Null_result_command(processor=self)
        self.io_data: list[list[Any]] = []
        self.exit_status: Any = 0
        self.start_time = time.time()
        self._processor_size = processor_size
        self._streams: list[tuple[Any, Any]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Commands that refer to the program's processor find that of their slave."""
        return own_processor, ()

    load_multiprocessor = staticmethod(load_multiprocessor)

    # ---- who and where

    def rank(self) -> int:
        """0: the master; 1 to n: a slave."""
        raise_unimplemented(self.rank)

    def processor_size(self) -> int:
        """How many slaves there are."""
        return self._processor_size

    def on_master(self) -> bool:
        """Whether this is the master."""
        return self.rank() == 0

    def on_slave(self) -> bool:
        """Whether this is a slave."""
        return not self.on_master()

    def assert_on_master(self) -> None:
        """Raise an error on a slave."""
        if not self.on_master():
            raise RuntimeError(f"this is for the master only, and was called on the slave of rank {self.rank()}")

    def get_name(self) -> str:
        """Host and process."""
        return f"{socket.gethostname()}-pid{os.getpid()}"

    def get_intro_string(self) -> str:
        """What kind this is, for people."""
        return f"{type(self).__name__.replace('_', ' ')} with {self.processor_size()} slaves."

    def rank_format_string_width(self) -> int:
        """Digits of the highest rank."""
        return len(str(max(0, self.processor_size())))

    def rank_format_string(self) -> str:
        """To format a rank with ``%``, all of them equally wide."""
        return f"%{self.rank_format_string_width()}i"

    def get_stdio_pre_strings(self) -> tuple[str, str]:
        """What stands before each line of stdout, and of stderr, of this processor where there are several."""
        width = self.rank_format_string_width()
        name = "M" * width if self.on_master() else self.rank_format_string() % self.rank()
        return f"{name}  | ", f"{name} E| "

    def get_time_delta(self, start_time: float, end_time: float) -> str:
        """The time between them in whole seconds, as '1:02:03'.

        Args:
            start_time, end_time: seconds.
        """
        return str(datetime.timedelta(seconds=math.floor(end_time - start_time)))

    # ---- the streams of a slave

    def stdio_capture(self) -> None:
        """Keep in ``io_data`` what is printed from now on."""
        self._streams.append((sys.stdout, sys.stderr))
        self.io_data = []
        out, err = self.get_stdio_pre_strings() if self._has_prefix() else ("", "")
        sys.stdout = self._redirected(out, STDOUT)
        sys.stderr = self._redirected(err, STDERR)

    def _has_prefix(self) -> bool:
        return verbosity.level() >= 1 and self.processor_size() > 1

    def _redirected(self, token: str, stream: int) -> Any:
        return Redirect_text(self.io_data, token, stream)

    def stdio_restore(self) -> None:
        """Print as before ``stdio_capture``."""
        if self._streams:
            sys.stdout, sys.stderr = self._streams.pop()

    # ---- the queue

    def add_to_queue(self, command: Any, memo: Any = None) -> None:
        """Have a command run by the next ``run_queue``.

        Args:
            command: a ``Slave_command``.
            memo: to which its result commands come; None: they need none.

        Raises:
            TypeError: it is no command.
        """
        raise_unimplemented(self.add_to_queue)

    def is_queued(self) -> bool:
        """Whether commands wait for ``run_queue``."""
        return bool(self.command_queue)

    def run_queue(self) -> None:
        """Run all queued commands, and their results; return when all is done."""
        self.assert_on_master()
        if not self.command_queue:
            return
        self._tell(self.pre_queue_callback)
        queue, self.command_queue = self.command_queue, []
        try:
            self.run_command_queue(queue)
        finally:
            self._forget_memos(queue)
        self._tell(self.post_queue_callback)

    def _forget_memos(self, queue: list[Any]) -> None:
        """Those of this queue; but not where commands wait for them that result commands have queued meanwhile."""
        own, waiting = ({getattr(command, "memo_id", None) for command in each} for each in (queue, self.command_queue))
        for number in own - waiting:
            self.memo_map.pop(number, None)

    def _tell(self, callback: Any) -> None:
        if callback is not None:
            callback(self)

    def chunk_queue(self, queue: list[Any]) -> list[Any]:
        """The queue in pieces as the old package would have sent them."""
        return queue

    def run_command_queue(self, queue: list[Any]) -> None:
        """Run these commands, and their results."""
        raise_unimplemented(self.run_command_queue)

    def run_command_globally(self, command: Any, memo: Any = None) -> None:
        """Run a command once on every slave, and its results."""
        raise_unimplemented(self.run_command_globally)

    def return_object(self, result: Any) -> None:
        """Send a result to the master; called by commands."""
        raise_unimplemented(self.return_object)

    def process_result(self, result: Any) -> None:
        """Run a result on the master, with the memo that it is for.

        Raises:
            TypeError: it is none.
        """
        run = getattr(result, "run", None)
        if not callable(run) or not hasattr(result, "memo_id"):
            raise TypeError(
                f"Unexpected result type \n{type(result)} \nvalue{result!r}\n"
                "A command's return_object needs a Result_command, which holds the value: return a Result_command."
            )
        run(self, self._memo_of(result))

    def _memo_of(self, result: Any) -> Any:
        if result.memo_id is None:
            return None
        try:
            return self.memo_map[result.memo_id]
        except KeyError:
            raise KeyError(
                f"no memo {result.memo_id!r} belongs to this queue, but a {type(result).__name__} is for it"
            ) from None

    # ---- of those who write a fabric of their own

    def master_queue_command(self, command: Any, dest: int) -> None:
        """Send a command to the slave of this rank."""
        raise_unimplemented(self.master_queue_command)

    def master_receive_result(self) -> Any:
        """Wait for a result of any slave."""
        raise_unimplemented(self.master_receive_result)

    # ---- data

    def fetch_data(self, name: str | None = None) -> Any:
        """What the data store of this processor has under a name; None: the store."""
        return self.data_store if name is None else getattr(self.data_store, name)

    def send_data_to_slaves(self, name: str | None = None, value: Any = None) -> None:
        """Have every slave, also those that come later, find this value in its data store; queued commands wait on."""
        raise_unimplemented(self.send_data_to_slaves)

    def remove_data_from_slaves(self, name: str) -> None:
        """Have no slave keep this any more."""
        raise_unimplemented(self.remove_data_from_slaves)

    # ---- life

    def run(self) -> None:
        """Run the program: the master does, slaves do what it says.

        Raises:
            SystemExit: the program has ended it with this status, or has failed (1).
            InputError: there is no callback.
        """
        if self.callback is None:
            raise InputError(
                "there is no program to run: load_multiprocessor(name, Application_callback(program)) says which, "
                "program being an object with run()"
            )
        self.pre_run()
        try:
            self._run_program()
        except BaseException as error:
            self.exit_status = error.code if isinstance(error, SystemExit) else 1
            with contextlib.suppress(SystemExit):  # what has ended the program is told, not what its end says
                self.exit(self.exit_status)
            raise
        self.post_run()
        self.exit(self.exit_status)

    def _run_program(self) -> None:
        try:
            self.callback.init_master(self)
        except Exception as error:  # noqa: BLE001  (whatever the program raises is for its callback)
            self.exit_status = 1
            self.callback.handle_exception(self, error)

    def pre_run(self) -> None:
        """Called before the program: on the master, its time begins."""
        if self.on_master():
            self.start_time = time.time()

    def post_run(self) -> None:
        """Called after the program: on the master, its time is told, and what it has forgotten."""
        forgotten.tell(self)
        self._tell_time()

    def _tell_time(self) -> None:
        if self.on_master() and verbosity.level() >= 1:
            took = self.get_time_delta(self.start_time, time.time())
            print(f"\nOverall runtime: {took}\n")

    def _end_slaves(self) -> None:
        """No slave is needed any more."""

    def exit(self, status: Any = 0) -> None:
        """End the slaves and the program.

        Raises:
            SystemExit: with this status.
        """
        self._end_slaves()
        sys.exit(status)

    def abort(self) -> None:
        """End the slaves and the program, which has failed.

        Raises:
            SystemExit: with status 1.
        """
        with contextlib.suppress(Exception):
            self._end_slaves()
        sys.exit(1)
