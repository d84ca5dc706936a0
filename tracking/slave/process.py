"""The slave's side of its two lines: takes jobs, does them, sends results; hears while it works.

::

    main thread                                control thread (daemon): never waits but for news
      job line    --> _inbox --> work            control line --> recall, ping, beat, users' messages
      results --+                                  answers --+                 (their methods: JobSlave's own thread)
                +--------> Outbox: job line <----------------+

Who touches what:
    _inbox, _kept   messages not yet acted on, in order; what may be asked for AGAIN; main thread only
    job line, read  main thread only
    job line, write the Outbox, from any thread
    _calculations   written by the main thread, read by both
    Calculation.begun, .recalled, _early_recalls    whoever holds _begin_lock
Stop order: STOP on the job line ends the main thread, which ends the process; the end of either line does
so at once, also in the middle of an item or of a long write: nobody is left who would want its result.

All this needs the interpreter lock now and then. While an item keeps it (C code that never lets go), or the process is
stopped, the end of a slave is up to others: its starter, which sees the master's end by itself, kills it and
its process group; should the starter be killed, too, the kernel kills the slave on Linux, at once; on other systems
such a slave ends when its item does, or when it is let go on. What an item has put into a session of its own is found
by nobody.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from time import perf_counter

from tracking.errors import ProtocolError
from tracking.slave import copies, leftovers, loading, memory, reports, sharing, surroundings
from tracking.slave.heard import Calculation, Kept, Listener, tell
from tracking.slave.identity import Identity
from tracking.slave.outbox import SEND_DELAY_S, Outbox
from tracking.slave.work import Failures, Work, WrongReturn
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Channel, Message

_HEAR_S = 1.0  # a job waits at most so long for the methods of messages that came before it
_MOST_EARLY_RECALLS = 1000
_CUT = getattr(select, "POLLRDHUP", 0)  # hang-ups and errors are told unasked; for half of one TCP must be asked


class SlaveProcess:
    """One slave, whatever calculations it works for.

    Args:
        identity: who it is.
        line: the job line, blocking.
        control: the control line, not blocking.
    """

    def __init__(self, identity: Identity, line: Channel, control: Channel) -> None:
        self.identity = identity
        self._line = line
        self._control = control
        self._inbox: deque[Message] = deque()
        self._begin_lock = threading.Lock()
        self._outbox = Outbox(line)
        self._calculations: dict[int, Calculation] = {}
        self._hearing = threading.Condition(threading.Lock())  # held by the control thread while it reads and passes on
        self._kept: Kept | None = None
        self._early_recalls: deque[tuple[int, int]] = deque(maxlen=_MOST_EARLY_RECALLS)
        self._leftovers = leftovers.Leftovers()
        self._is_stopping = False
        copies.this_is_none()
        if identity.is_far:
            surroundings.OWN.be_far(identity)

    # ---- main thread

    def serve(self) -> None:
        """Work until told to stop; returns then. A lost line ends the process."""
        if self.identity.memory_limit is not None:
            memory.limit_own(self.identity.memory_limit)
        try:
            self.say((m.HELLO, 0, m.PROTOCOL_VERSION, os.getpid()))
            _thread.start_new_thread(self._listen, ())  # a Thread waits for its own beginning, in each of many slaves
            while self._handle(self._next_message()):
                pass
            self.say((m.ENDING, 0))
        except (EOFError, OSError) as error:
            _end_at_once(error)
        except (TypeError, ValueError, LookupError, AttributeError) as error:  # what the work raises is a result
            _end_at_once(_senseless(error))

    def _next_message(self) -> Message:
        if not self._inbox:
            self._outbox.flush()
            self._inbox += self._line.receive()
        return self._inbox.popleft()

    def _handle(self, message: Message) -> bool:
        kind = message[0]
        if kind == m.ROW:
            self._unfold(*message[1:])
        elif kind == m.JOB:
            self._do_job(*message[1:])
            if type(message[3]) is not bytes:  # those are small
                self._leftovers.of_job(message[3])
            if held := memory.OWN.full_bytes():
                self.say((m.FULL, 0, held))
        elif kind == m.SETUP:
            self._set_up(*message[1:])
        elif kind == m.AGAIN:
            self._set_up_again(*message[1:])
        elif kind == m.CODE:
            self._install(*message[1:])
        elif kind == m.HELD:
            sharing.hold(*message[1:])
        elif kind == m.FORGET:
            self._leftovers.of_size(self._forget(message[1]))
        elif kind == m.STOP:
            self._is_stopping = True
            return False
        return True

    def _set_up(
        self,
        number: int,
        kind: str,
        code: loading.Code | loading.Script,
        params: loading.Params | None,
        context: surroundings.Context,
        keep: bool = False,
    ) -> None:
        try:
            loading.load(self, number, kind, code, params, context)
        except BaseException as error:  # noqa: BLE001  (whatever a user's script does, the master is told)
            self._forget(number)
            reports.print_last_words(error)
            self.say((m.SETUP_FAILED, number, reports.raised(error)))
            return
        calculation = self._calculations[number]
        calculation.is_limited = context.item_timeout_s is not None
        calculation.size = leftovers.size_of(code) + leftovers.size_of(params and params.value)
        if keep:
            assert not isinstance(code, loading.Script)
            self._kept = Kept(number, code, context)
        memory.OWN.is_set_up()
        self.say((m.READY, number))

    def _set_up_again(self, number: int, kept_number: int) -> None:
        if self._kept is None or self._kept.number != kept_number:
            raise LookupError(f"what was sent for calculation {kept_number} was not kept")
        try:
            calculation = loading.load_again(self, number, self._kept)
        except BaseException as error:  # noqa: BLE001  (nobody waits for READY: another slave will say what is wrong)
            reports.print_last_words(error)
            self.say((m.QUITS, 0, f"could not be made ready again: {error}"))
            os._exit(1)
        calculation.is_limited = self._kept.context.item_timeout_s is not None
        with self._begin_lock:
            early = [job for calculation_number, job in self._early_recalls if calculation_number == number]
        for job in early:
            self._recall(number, job)

    def register(self, number: int, work: Work) -> Calculation:
        """Make a calculation known, already before it is ready: its messages are heard during ``initialize``."""
        calculation = Calculation(number, work, sys.modules["__main__"])
        self._calculations[number] = calculation
        return calculation

    def _forget(self, number: int) -> int:
        """Let go of a calculation, or of what was shared; how many bytes came for it."""
        size = sharing.forget(number)
        calculation = self._calculations.pop(number, None)
        if calculation is None:
            return size
        if calculation.listener is not None:
            calculation.listener._tr_disconnect()
        return size + calculation.size

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

    def _unfold(self, number: int, jobs: list[int], pickles: list[bytes]) -> None:
        """Jobs that came together are done one by one, before all that came behind them."""
        self._calculations[number].in_rows = True
        row = [(m.JOB, number, job, data) for job, data in zip(jobs, pickles, strict=True)]
        self._inbox.extendleft(reversed(row))

    def _do_job(self, number: int, job: int, payload: codec.Payload | bytes) -> None:
        calculation = self._calculations[number]
        if not self._begin(calculation, job):
            return
        if calculation.trouble is not None:
            self._send_results(calculation, (m.FAILED, number, job, 0.0, calculation.trouble))
            return
        since = perf_counter()

        def send(
            first: int,
            results: codec.Payload,
            failures: Failures,
            seconds: float,
            is_last: bool,
            running_s: float | None,
        ) -> None:
            payload = codec.light(results)
            if is_last:
                self._send_results(calculation, (m.DONE, number, job, seconds, first, payload, failures))
            else:
                self._send_results(calculation, (m.PART, number, job, seconds, first, payload, failures, running_s))

        try:
            self._enter_main(calculation)
            if calculation.listener is not None:
                self._let_hear(calculation.listener)
            calculation.work.do(codec.decode(payload), send)
        except BaseException as error:  # SystemExit in go must not end the slave
            copies.end_if_copy(error)
            if isinstance(error, memory.Spent):
                self.say((m.QUITS, 0, str(error)))
                os._exit(1)
            if isinstance(error, EOFError | OSError) and self._line_is_gone():
                raise
            report = reports.no_result(str(error)) if isinstance(error, WrongReturn) else reports.raised(error)
            self._send_results(calculation, (m.FAILED, number, job, perf_counter() - since, report))

    def _begin(self, calculation: Calculation, job: int) -> bool:
        """Begin a job, unless it was handed back before it came."""
        with self._begin_lock:
            if job in calculation.recalled:
                calculation.recalled.discard(job)
                return False
            calculation.begun = max(calculation.begun, job)
            return True

    def _let_hear(self, listener: Listener) -> None:
        """What the master has told its slave before this job shall be known to the job."""
        end = time.monotonic() + _HEAR_S
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        with self._hearing:  # what was read is passed on; what lies in the line wakes the control thread
            self._hearing.wait_for(lambda: not poller.poll(0), _HEAR_S)
        listener._tr_await_handled(end - time.monotonic())

    def _line_is_gone(self) -> bool:
        poller = select.poll()
        poller.register(self._line, _CUT)
        return bool(poller.poll(0))

    def _send_results(self, calculation: Calculation, message: Message) -> None:
        """Send now, or with the results that come within a millisecond if more jobs are waiting.

        Jobs of the same calculation, that is: should the next one kill the slave, no other is blamed for it.
        """
        may_wait = (
            bool(self._inbox)
            and self._inbox[0][0] in (m.JOB, m.ROW)
            and self._inbox[0][1] == message[1]
            and message[0] != m.PART
            and not calculation.is_limited  # the next may hold the interpreter's lock until its end
            and message[3] <= SEND_DELAY_S  # who worked so long on a job may do so on the next
        )
        self._outbox.send_results(message, in_row=calculation.in_rows, may_wait=may_wait)

    # ---- any thread

    def say(self, message: Message) -> None:
        """Send a message up at once, behind everything sent before."""
        self._outbox.say(message)

    # ---- control thread

    def _listen(self) -> None:
        cut: Exception = EOFError()
        try:
            while not self._is_job_line_cut_before_news():
                with self._hearing:
                    for message in self._control.receive():
                        self._hear(message)
                    self._hearing.notify_all()
        except (EOFError, OSError) as error:
            cut = error
        except Exception as error:  # noqa: BLE001  (what makes no sense)
            cut = _senseless(error)
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
        if kind == m.BEAT:
            if not self._outbox.has_late:  # those say as much
                self._outbox.answer((m.ALIVE, 0))
        elif kind == m.PING:
            self._outbox.answer((m.PONG, number, message[3]))
        elif kind == m.RECALL:
            self._recall(number, message[2])
        elif calculation is not None and calculation.listener is not None:
            try:
                tell(calculation.listener, message)
            except Exception as error:  # noqa: BLE001  (values that cannot be made here: told, and the slave lives on)
                reports.print_last_words(error)

    def _recall(self, number: int, job: int) -> None:
        """Hand a job back unless it has begun. It may still be in the line, or even behind it on the master.

        A calculation that is not known is over, or is asked for AGAIN by what is still in the line.
        """
        with self._begin_lock:
            calculation = self._calculations.get(number)
            if calculation is None:
                self._early_recalls.append((number, job))
                return
            if job <= calculation.begun or job in calculation.recalled:
                return
            calculation.recalled.add(job)
        self._outbox.answer((m.RETURNED, number, job))


def _senseless(error: Exception) -> ProtocolError:
    problem = ProtocolError("the master said what makes no sense")
    problem.__cause__ = error
    return problem


def _end_at_once(why: Exception) -> None:
    """The master is gone, or cannot be understood: end, with all processes that the work may have started."""
    if isinstance(why, ProtocolError):
        reports.print_last_words(why)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
