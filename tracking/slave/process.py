"""The slave's side of its two lines: takes jobs, does them, sends results; hears while it works.

::

    main thread                                control thread (daemon)
      job line    --> _inbox --> work            control line --> recall, ping, users' messages
      results --+                                  answers --+         (their methods: JobSlave's own thread)
                +--------> _send_lock: job line <------------+
                              ^
                              flush thread (daemon, while results wait for company)

Who touches what:
    _inbox          messages not yet acted on, in order; main thread only
    job line, read  main thread only
    job line, write whoever holds _send_lock
    _calculations   written by the main thread, read by both
    Calculation.begun, .recalled    whoever holds _begin_lock
Stop order: STOP on the job line ends the main thread, which ends the process; the end of either line does
so at once, also in the middle of an item: nobody is left who would want its result.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Hashable
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from tracking.errors import ProtocolError
from tracking.slave import loading, reports
from tracking.slave.work import Failures, Work, WrongReturn
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Channel, Message

_SEND_DELAY_S = 0.001  # results of jobs that take microseconds wait this long for company
_SEND_BYTES = 64 * 1024
_LATE_S = 0.004
_CUT = getattr(select, "POLLRDHUP", 0)  # hang-ups and errors are told unasked; for half of one TCP must be asked


class Identity(NamedTuple):
    """Who this slave is. ``niceness``: the nice value that it shall have when it works."""

    tid: int
    nickname: str
    host: str
    niceness: int = 0


class Calculation:
    """What the slave keeps of a calculation.

    Args:
        number: the calculation.
        work: what it does with jobs.
        main: the ``__main__`` that its code believes in.
    """

    def __init__(self, number: int, work: Work, main: ModuleType) -> None:
        self.number = number
        self.work = work
        self.main = main
        self.listener: Listener | None = None
        self.begun = -1  # the highest number of a job that was begun
        self.recalled: set[int] = set()  # jobs that were handed back but may still come out of the line
        self.trouble: m.Report | None = None  # why definitions that its jobs need could not be installed


class Listener(Protocol):
    """Who hears the messages of a calculation, told by the control thread: its JobSlave."""

    def _tr_message_arrived(self, sender_tid: int, tag: Hashable, values: tuple[object, ...] | None, /) -> None: ...

    def _tr_pong_arrived(self, token: int, /) -> None: ...

    def _tr_tasks_arrived(self, tasks: dict[str, int], /) -> None: ...

    def _tr_disconnect(self) -> None: ...


class SlaveProcess:
    """One slave, whatever calculations it works for.

    Args:
        identity: who it is.
        line: the job line, blocking.
        control: the control line, blocking.
    """

    def __init__(self, identity: Identity, line: Channel, control: Channel) -> None:
        self.identity = identity
        self._line = line
        self._control = control
        self._inbox: deque[Message] = deque()
        self._begin_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._is_waiting = threading.Event()
        self._flush_thread: threading.Thread | None = None
        self._calculations: dict[int, Calculation] = {}
        self._is_stopping = False
        self._pid = os.getpid()

    # ---- main thread

    def serve(self) -> None:
        """Work until told to stop; returns then. A lost line ends the process."""
        try:
            self._line.send((m.HELLO, 0, m.PROTOCOL_VERSION, os.getpid()))
            threading.Thread(target=self._listen, name="tracking-control", daemon=True).start()
            while self._handle(self._next_message()):
                pass
            self.say((m.ENDING, 0))
        except (EOFError, OSError) as error:
            _end_at_once(error)

    def _next_message(self) -> Message:
        if not self._inbox:
            self._flush()
            self._inbox += self._line.receive()
        return self._inbox.popleft()

    def _handle(self, message: Message) -> bool:
        kind = message[0]
        if kind == m.JOB:
            self._do_job(*message[1:])
        elif kind == m.SETUP:
            self._set_up(*message[1:])
        elif kind == m.CODE:
            self._install(*message[1:])
        elif kind == m.FORGET:
            self._forget(message[1])
        elif kind == m.STOP:
            self._is_stopping = True
            return False
        return True

    def _set_up(
        self,
        number: int,
        kind: str,
        code: loading.Code | str,
        params: loading.Params | None,
        context: loading.Context,
    ) -> None:
        try:
            loading.load(self, number, kind, code, params, context)
        except BaseException as error:  # noqa: BLE001  (whatever a user's script does, the master is told)
            self._forget(number)
            reports.print_last_words(error)
            self.say((m.SETUP_FAILED, number, reports.raised(error)))
            return
        self.say((m.READY, number))

    def register(self, number: int, work: Work) -> Calculation:
        """Make a calculation known, already before it is ready: its messages are heard during ``initialize``."""
        calculation = Calculation(number, work, sys.modules["__main__"])
        self._calculations[number] = calculation
        return calculation

    def _forget(self, number: int) -> None:
        calculation = self._calculations.pop(number, None)
        if calculation is not None and calculation.listener is not None:
            calculation.listener._tr_disconnect()

    def _install(self, number: int, definitions: codec.Payload) -> None:
        calculation = self._calculations[number]
        self._enter_main(calculation)
        try:
            mainmodule.install(definitions)
        except BaseException as error:  # noqa: BLE001  (imports what the user's code imports)
            calculation.trouble = reports.raised(error)

    @staticmethod
    def _enter_main(calculation: Calculation) -> None:
        if sys.modules.get("__main__") is not calculation.main:
            sys.modules["__main__"] = calculation.main

    def _do_job(self, number: int, job: int, payload: codec.Payload) -> None:
        calculation = self._calculations[number]
        if not self._begin(calculation, job):
            return
        if calculation.trouble is not None:
            self._send_results((m.FAILED, number, job, 0.0, calculation.trouble))
            return
        since = perf_counter()

        def send(first: int, results: codec.Payload, failures: Failures, seconds: float, is_last: bool) -> None:
            self._send_results((m.DONE if is_last else m.PART, number, job, seconds, first, results, failures))

        try:
            self._enter_main(calculation)
            calculation.work.do(codec.decode(payload), send)
        except BaseException as error:  # SystemExit in go must not end the slave
            if os.getpid() != self._pid:
                _end_copy(error)
            if isinstance(error, EOFError | OSError) and self._line_is_gone():
                raise
            report = reports.no_result(str(error)) if isinstance(error, WrongReturn) else reports.raised(error)
            self._send_results((m.FAILED, number, job, perf_counter() - since, report))

    def _begin(self, calculation: Calculation, job: int) -> bool:
        """Begin a job, unless it was handed back before it came."""
        with self._begin_lock:
            if job in calculation.recalled:
                calculation.recalled.discard(job)
                return False
            calculation.begun = max(calculation.begun, job)
            return True

    def _line_is_gone(self) -> bool:
        poller = select.poll()
        poller.register(self._line, _CUT)
        return bool(poller.poll(0))

    def _send_results(self, message: Message) -> None:
        """Send now, or with the results that come within a millisecond if more jobs are waiting.

        Jobs of the same calculation, that is: should the next one kill the slave, no other is blamed for it.
        """
        if os.getpid() != self._pid:
            _end_copy(None)
        now = perf_counter()
        with self._send_lock:
            if not self._waiting_bytes:
                self._waiting_since = now
            self._line.put(message)
            self._waiting_bytes += 64 + (message[5].size if message[0] != m.FAILED else 0)
            if (
                not self._inbox
                or self._inbox[0][:2] != (m.JOB, message[1])
                or message[0] == m.PART
                or self._waiting_bytes > _SEND_BYTES
                or now - self._waiting_since > _SEND_DELAY_S
            ):
                self._line.flush()
                self._waiting_bytes = 0
            elif not self._is_waiting.is_set():
                self._is_waiting.set()
                self._ensure_flush_thread()

    def _ensure_flush_thread(self) -> None:
        if self._flush_thread is None:
            self._flush_thread = threading.Thread(target=self._flush_late, name="tracking-flush", daemon=True)
            self._flush_thread.start()

    def _flush(self) -> None:
        with self._send_lock:
            self._line.flush()
            self._waiting_bytes = 0

    # ---- flush thread

    def _flush_late(self) -> None:
        """Send what waits when the job behind it turns out to be a long one."""
        try:
            while self._is_waiting.wait():
                time.sleep(_LATE_S)
                with self._send_lock:
                    if not self._waiting_bytes:
                        self._is_waiting.clear()
                    elif perf_counter() - self._waiting_since > _LATE_S:
                        self._line.flush()
                        self._waiting_bytes = 0
        except OSError:
            return  # the control thread sees the end of the line too, and acts

    # ---- any thread

    def say(self, message: Message) -> None:
        """Send a message up at once, behind everything sent before."""
        with self._send_lock:
            self._line.send(message)
            self._waiting_bytes = 0

    # ---- control thread

    def _listen(self) -> None:
        cut: Exception = EOFError()
        try:
            while not self._is_job_line_cut_before_news():
                for message in self._control.receive():
                    self._hear(message)
        except (EOFError, OSError) as error:
            cut = error
        if not self._is_stopping:
            _end_at_once(cut)

    def _is_job_line_cut_before_news(self) -> bool:
        """Wait for news on the control line, or for the end of the job line, which a busy main thread would not see."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._line, _CUT)
        return any(descriptor == self._line.fileno() for descriptor, _ in poller.poll())

    def _hear(self, message: Message) -> None:
        kind, number = message[0], message[1]
        calculation = self._calculations.get(number)
        if kind == m.PING:
            self.say((m.PONG, number, message[3]))
        elif calculation is None:
            return  # it is over, or never began
        elif kind == m.RECALL:
            self._recall(calculation, message[2])
        elif calculation.listener is not None:
            try:
                _tell(calculation.listener, message)
            except Exception as error:  # noqa: BLE001  (values that cannot be made here: told, and the slave lives on)
                reports.print_last_words(error)

    def _recall(self, calculation: Calculation, job: int) -> None:
        """Hand a job back unless it has begun. It may still be in the line, or even behind it on the master."""
        with self._begin_lock:
            if job <= calculation.begun or job in calculation.recalled:
                return
            calculation.recalled.add(job)
        self.say((m.RETURNED, calculation.number, job))


def _tell(listener: Listener, message: Message) -> None:
    kind = message[0]
    if kind == m.TELL:
        _, _, sender, payload, definitions = message
        if definitions is not None:
            mainmodule.install(definitions)
        decoded: Any = codec.decode(payload)
        tag, values = decoded
        listener._tr_message_arrived(sender, tag, values)
    elif kind == m.PONG:
        listener._tr_pong_arrived(message[2])
    elif kind == m.TASKS:
        listener._tr_tasks_arrived(message[2])


def _end_copy(error: BaseException | None) -> None:
    """A process that the work has forked came back out of it: it ends, as it would have in a program of its own."""
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        reports.print_last_words(error)
        status = 1
    sys.stdout.flush()
    os._exit(status)


def _end_at_once(why: Exception) -> None:
    """The master is gone, or cannot be understood: end, with all processes that the work may have started."""
    if isinstance(why, ProtocolError):
        reports.print_last_words(why)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
