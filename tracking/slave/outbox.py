"""What a slave sends: at once; or, results of jobs that take microseconds, a row of them together.

::

    main thread      results, say --+
    control thread   answer --------+--> _lock: job line <--+
                        | if the line does not take it      |
                        +--> _late --> flush thread (daemon)+ also for results that wait for company

Who touches what:
    job line, write, _row     whoever holds _lock
    _late                     answers that the line did not take at once: control thread adds, flush thread takes
Stop order: the process ends; nobody waits for the flush thread.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from time import perf_counter

from tracking.wire import codec
from tracking.wire import messages as m
from tracking.wire.channel import Channel, Message

SEND_DELAY_S = 0.001  # results of jobs that take microseconds wait this long for company
_SEND_BYTES = 64 * 1024
_LATE_S = 0.004


class Outbox:
    """Writes the job line.

    Args:
        line: the job line, blocking.
    """

    def __init__(self, line: Channel) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._row = Row()
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._is_waiting = threading.Event()
        self._late: deque[Message] = deque()
        self._has_flush_thread = False
        self._flush_thread_lock = threading.Lock()

    # ---- main thread

    def send_results(self, message: Message, *, in_row: bool, may_wait: bool) -> None:
        """Send a DONE, FAILED or PART now, or within a millisecond or so if it may wait for company.

        ``in_row``: the master takes results of many jobs in one message (ROW_DONE).
        """
        now = perf_counter()
        with self._lock:
            if not self._waiting_bytes:
                self._waiting_since = now
            if not (in_row and self._row.takes(message)):
                self._end_row()
                self._line.put(message)
            self._waiting_bytes += 64 + (codec.size_of(message[5]) if message[0] != m.FAILED else 0)
            if not may_wait or self._waiting_bytes > _SEND_BYTES or now - self._waiting_since > SEND_DELAY_S:
                self._flush()
            elif not self._is_waiting.is_set():
                self._is_waiting.set()
                if not self._ensure_flush_thread():
                    self._flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting_bytes:
            with self._lock:
                self._flush()

    # ---- any thread

    def say(self, message: Message) -> None:
        """Send a message at once, behind everything sent before."""
        with self._lock:
            self._end_row()
            self._line.put(message)
            self._flush()

    # ---- control thread

    @property
    def has_late(self) -> bool:
        """Whether answers wait that the line did not take at once."""
        return bool(self._late)

    def answer(self, message: Message) -> None:
        """Send a message without waiting: where it cannot go at once, the flush thread sees to it."""
        if self._late or not self._try_to_say(message):
            self._late.append(message)
            self._is_waiting.set()
            if not self._ensure_flush_thread():
                self.say(self._late.popleft())

    def _try_to_say(self, message: Message) -> bool:
        """Send a small message, or do nothing: somebody else is sending, or the line is full."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            poller = select.poll()
            poller.register(self._line, select.POLLOUT)
            if self._waiting_bytes or not poller.poll(0):
                return False
            self._line.send(message)
            return True
        finally:
            self._lock.release()

    # ---- flush thread

    def _ensure_flush_thread(self) -> bool:
        """False: there is no memory for another thread."""
        with self._flush_thread_lock:
            if not self._has_flush_thread:
                thread = threading.Thread(target=self._flush_late, name="tracking-flush", daemon=True)
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._has_flush_thread = True
            return self._has_flush_thread

    def _flush_late(self) -> None:
        """Send what waits when the job behind it turns out to be a long one, and late answers."""
        try:
            while self._is_waiting.wait():
                if not self._late:
                    time.sleep(_LATE_S)  # for company; whoever waits longer than that is sent now
                with self._lock:
                    self._flush_if_late()
                    if not self._waiting_bytes:
                        self._is_waiting.clear()
                        if self._late:
                            self._is_waiting.set()  # they came just now
        except OSError:
            return  # the control thread sees the end of the line too, and acts

    def _flush_if_late(self) -> None:
        if self._late or (self._waiting_bytes and perf_counter() - self._waiting_since > _LATE_S):
            self._end_row()
            while self._late:
                self._line.put(self._late.popleft())
            self._flush()

    # ---- under _lock

    def _flush(self) -> None:
        self._end_row()
        self._line.flush()
        self._waiting_bytes = 0

    def _end_row(self) -> None:
        if self._row.numbers:
            self._line.put(self._row.message())
            self._row = Row()


class Row:
    """Results of jobs of one calculation that went well, on their way into one message.

    >>> row = Row()
    >>> row.takes((m.DONE, 7, 1, 0.1, 0, b"x", {})), row.takes((m.FAILED, 7, 2, 0.1, ()))
    (True, False)
    >>> row.message() == (m.ROW_DONE, 7, [1], [0.1], [b"x"])
    True
    """

    __slots__ = ("_calculation", "_pickles", "_seconds", "numbers")

    def __init__(self) -> None:
        self._calculation = 0
        self.numbers: list[int] = []
        self._seconds: list[float] = []
        self._pickles: list[bytes] = []

    def takes(self, message: Message) -> bool:
        """Add this if it is the whole answer of a job all of whose items went well, and small; else do nothing."""
        if message[0] != m.DONE or (self.numbers and message[1] != self._calculation):
            return False
        _, calculation, number, seconds, first, payload, failures = message
        if first or failures or type(payload) is not bytes:
            return False
        self._calculation = calculation
        self.numbers.append(number)
        self._seconds.append(seconds)
        self._pickles.append(payload)
        return True

    def message(self) -> Message:
        """All of it."""
        return m.ROW_DONE, self._calculation, self.numbers, self._seconds, self._pickles
