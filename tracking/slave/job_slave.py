"""JobSlave: the class that users derive from, to do jobs in a way of their own."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from tracking.errors import InputError
from tracking.messaging import MessageThread
from tracking.slave import reports
from tracking.wire import codec
from tracking.wire import messages as m

if TYPE_CHECKING:
    from tracking.slave.heard import Calculation
    from tracking.slave.process import SlaveProcess

_TASKS_TIMEOUT_S = 10.0


class JobSlave(MessageThread):
    """Does jobs on the far side: override ``go``, and ``initialize`` if there is something to prepare.

    The short form of a slave script is just the subclass::

        from tracking import JobSlave

        class Squares(JobSlave):
            def go(self, jobs):
                return {id: value * value for id, value in jobs.items()}

    The old form, a program that makes its slave and calls ``start()`` at its end, works as well.
    ``initialize`` and ``go`` run in the main thread of the slave process; methods bound to messages run
    in another one, one at a time, as soon as the message comes, also while ``go`` works.

    Source: Biskit's ``JobSlave`` (2004).
    """

    def initialize(self, params: Any) -> None:
        """Prepare, once, before the first job; ``params`` is what the master's ``getInitParameters`` returned."""

    def go(self, jobs: dict[Any, Any]) -> dict[Any, Any]:
        """Do the items of one job: {id: value} in, {id: result} out, with a result for each id."""
        raise NotImplementedError(f"{type(self).__name__} does not define go(self, jobs)")

    def bindMessages(self) -> None:
        """Bind methods to messages here (``self.bind``); runs before ``initialize``."""

    # ---- the life of a slave is that of its process

    def start(self) -> None:
        """Say that this slave is the one to do the jobs; they come when the slave script has ended."""
        if _started is None:
            raise InputError(
                f"{type(self).__name__} can only be started on a slave: "
                "give this script to a TrackingJobMaster as slave_script"
            )
        _started.append(self)

    def run(self) -> None:
        """Nothing: the slave process calls ``go``."""

    def join(self, timeout: float | None = None) -> None:
        """Return at once: the jobs come after the script."""

    def is_alive(self) -> bool:
        return self._tr_process is not None

    # ---- what the slave process calls

    _tr_process: SlaveProcess | None = None
    _tr_calculation: Calculation | None = None
    _tr_known_tasks: Mapping[str, int] = {}
    _tr_rest: threading.Condition  # notified when the methods of all that came have run, or are not to

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        self._tr_rest = threading.Condition()
        return self

    def _tr_connect(self, process: SlaveProcess, calculation: Calculation, master: int) -> None:
        self._tr_process = process
        self._tr_calculation = calculation
        self._tr_tid = process.identity.tid
        self._tr_parent = master
        self._tr_tasks_came = threading.Event()
        self._tr_look = threading.Event()
        name = f"{process.identity.nickname}-messages"
        threading.Thread(target=self._tr_run_messages, name=name, daemon=True).start()
        calculation.listener = self

    def _tr_connected(self) -> tuple[SlaveProcess, Calculation]:
        if self._tr_process is None or self._tr_calculation is None:
            raise RuntimeError(f"{type(self).__name__} is not connected to a master yet: wait for initialize")
        return self._tr_process, self._tr_calculation

    def _tr_await_handled(self, timeout_s: float) -> None:
        """Wait until the methods of all messages that have come have run, but no longer than that."""
        with self._tr_rest:
            self._tr_rest.wait_for(self._tr_rests, timeout_s)

    def _tr_rests(self) -> bool:
        # In this order: who takes a message out holds the lock from before that until its method has run.
        return self._tr_paused or not (self._tr_inbox.has_waiting or self._tr_handling.locked())

    def stopMessageLoop(self) -> None:
        super().stopMessageLoop()
        with self._tr_rest:
            self._tr_rest.notify_all()

    def _tr_disconnect(self) -> None:
        """The calculation is over."""
        self._tr_process = None
        self._tr_look.set()

    def _tr_tasks_arrived(self, tasks: dict[str, int]) -> None:
        self._tr_known_tasks = tasks
        self._tr_tasks_came.set()

    # ---- the thread in which the methods of messages run

    def _tr_run_messages(self) -> None:
        while self._tr_process is not None:
            self._tr_look.wait()
            self._tr_look.clear()
            self._tr_handle_messages()
            with self._tr_rest:
                self._tr_rest.notify_all()

    def _tr_wake(self) -> None:
        if self._tr_process is not None:
            self._tr_look.set()

    def _tr_message_failed(self, error: Exception, tag: Hashable, sender: int) -> None:
        """A user's method raised: it is told, and the slave lives on."""
        reports.print_last_words(error)

    # ---- transport of MessageThread

    def _tr_transmit(self, tid: int, tag: Hashable, values: tuple[object, ...] | None) -> None:
        process, calculation = self._tr_connected()
        process.say((m.SAY, calculation.number, tid, codec.encode((tag, values), f"message {tag!r}")))

    def _tr_transmit_ping(self, tid: int, token: int) -> None:
        process, calculation = self._tr_connected()
        process.say((m.PING, calculation.number, tid, token))

    def _tr_tasks(self) -> dict[str, int]:
        """Ask the master; it alone knows which slaves live now."""
        process, calculation = self._tr_connected()
        self._tr_tasks_came.clear()
        process.say((m.ASK_TASKS, calculation.number))
        if not self._tr_tasks_came.wait(_TASKS_TIMEOUT_S):
            raise TimeoutError(f"the master did not say within {_TASKS_TIMEOUT_S:g} s who the slaves are")
        return dict(self._tr_known_tasks)


_started: list[JobSlave] | None = None


@contextmanager
def collecting_started() -> Iterator[list[JobSlave]]:
    """While a slave script runs: the slaves that it starts."""
    global _started
    _started = []
    try:
        yield _started
    finally:
        _started = None
