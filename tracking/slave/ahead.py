"""Results of a job that still runs: sent ahead, so that they are recorded, shown, and not computed again.

::

    main thread                                watch thread (daemon, while jobs that need it run)
      function(item) --> results                 every 50 ms: tick() --> is_asked
      is_asked? --> look() --+--> _lock: what was not sent yet <--+-- during an item that takes long

Whatever the running item does then, be it to hang or to kill the slave, its neighbours are safe. And the master is
told which item that is, and for how long it runs at least: it was *announced*. The end of an announced item is
reported at once, so the master always knows which one it is waiting for. (An item that never lets go of the
interpreter lock is not announced, nor is one behind a result that cannot be sent.)

The main thread looks at the clock only when it is asked: items may be shorter than that takes.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any

from tracking.errors import EncodeError
from tracking.slave import copies, memory, reports
from tracking.wire import codec
from tracking.wire.messages import Report

PART_INTERVAL_S = 0.25
"""Finished items of a longer job are sent ahead this often, or more often where a time limit is short."""

_PARTS_A_LIMIT = 4
_TICKS_A_PART = 5
_SHORTEST_TICK_S = 0.001

Failures = dict[int, Report]
SendResults = Callable[[int, codec.Payload, Failures, float, bool, float | None], None]
"""Called with the index of the first item, the encoded list of results (None at failed ones), {index: report},
the seconds since the last call, whether the job is over, and, for an announcement, the seconds that the item behind
these has been running."""


def part_interval_s(item_timeout_s: float | None) -> float:
    """After how many seconds what is finished is sent ahead, and what runs is announced."""
    return PART_INTERVAL_S if item_timeout_s is None else min(PART_INTERVAL_S, item_timeout_s / _PARTS_A_LIMIT)


class FinishedItems:
    """The items of a running job that are finished, in order, and how many of them were sent.

    Args:
        count: items of the job.
        send: takes a part of the results, in any thread.
        interval_s: see ``part_interval_s``.
        now: the clock, in seconds.

    Attributes:
        results: one for each finished item, None for a failed one; only the main thread appends.
        is_asked: the main thread is to ``look`` after the running item; set by any thread, also in a copy of this
            process that the item forks.
    """

    __slots__ = (
        "_announced",
        "_began",
        "_cannot_go_ahead",
        "_count",
        "_failures",
        "_interval_s",
        "_is_between",
        "_lock",
        "_n_sent",
        "_now",
        "_running",
        "_send",
        "_send_at",
        "_since",
        "is_asked",
        "results",
    )

    def __init__(
        self,
        count: int,
        send: SendResults,
        interval_s: float = PART_INTERVAL_S,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self.results: list[Any] = []
        self.is_asked = False
        self._count = count
        self._send = send
        self._interval_s = interval_s
        self._now = now
        self._failures: Failures = {}  # those not sent yet; main thread, before it appends the None
        self._is_between = False  # the main thread waits for _lock, and nothing runs; main thread
        self._lock = threading.Lock()
        # under _lock:
        self._n_sent = 0
        self._since = self._began = now()
        self._send_at = self._since + interval_s  # -inf: the end of the running item is to be told at once
        self._running = 0  # an item that was seen running, since _began at the latest
        self._announced = -1  # the last item that was
        self._cannot_go_ahead = False  # until the main thread has found the result at fault

    @property
    def tick_s(self) -> float:
        """Seconds from one ``tick`` to the next."""
        return max(self._interval_s / _TICKS_A_PART, _SHORTEST_TICK_S)

    # ---- main thread

    def fail(self, error: BaseException) -> None:
        """The running item has raised."""
        copies.end_if_copy(error)
        if isinstance(error, MemoryError):
            self._leave_if_others_spent_it(error)
        self._failures[len(self.results)] = reports.raised(error)
        self.results.append(None)

    def _leave_if_others_spent_it(self, error: MemoryError) -> None:
        reports.let_go_of_values(error)
        if memory.OWN.was_spent_before(is_first=not self.results):
            self._is_between = True
            with self._lock:
                self._send_rest(is_last=False)
            memory.OWN.leave()

    def look(self) -> None:
        """Between two items: send what is finished, if it is time; it is noted that the next one begins."""
        copies.end_if_copy()  # before anything is locked: the thread that held it was not forked
        if len(self.results) == self._count:
            return  # the last part, which ends the job, comes at once
        self._is_between = True
        with self._lock:
            self.is_asked = False
            if self._now() >= self._send_at:
                self._send_rest(is_last=False)
            self._running, self._began = len(self.results), self._now()
            self._is_between = False

    def finish(self) -> None:
        """The job is over: send the rest."""
        copies.end_if_copy()
        with self._lock:
            self._send_rest(is_last=True)

    def _send_rest(self, *, is_last: bool) -> None:
        # As long as we are here nothing is appended, so the list itself will do.
        results = self.results[self._n_sent :] if self._n_sent else self.results
        failures, self._failures = self._failures, {}
        payload = encode_results(self._n_sent, results, failures)
        self._pass_on(len(results), payload, failures, self._now(), is_last=is_last)

    # ---- another thread, during an item

    def tick(self) -> None:
        """Send what was not sent yet, and what runs, if it is time."""
        with self._lock:
            self.is_asked = True  # first: an item that ends from now on is looked at
            now, running = self._now(), len(self.results)
            if running == self._count or self._is_between:
                return
            if running != self._running:
                self._running, self._began = running, now
            if now - self._began >= self._interval_s:
                if running != self._announced:
                    self._send_ahead(running, now - self._began)
            elif now >= self._send_at and running > self._n_sent:
                self._send_ahead(running, None)

    def _send_ahead(self, running: int, running_s: float | None) -> None:
        if self._cannot_go_ahead:
            return
        results = self.results[self._n_sent : running]
        failures = {index: report for index, report in self._failures.copy().items() if index < running}
        try:
            payload = codec.encode(results, "results")
        except (EncodeError, MemoryError):
            self._cannot_go_ahead = True
            return
        if running_s is not None:
            self._announced = running
        self._pass_on(len(results), payload, failures, self._began, running_s=running_s)
        for index in failures:
            del self._failures[index]

    # ---- both

    def _pass_on(
        self,
        count: int,
        payload: codec.Payload,
        failures: Failures,
        until: float,
        *,
        is_last: bool = False,
        running_s: float | None = None,
    ) -> None:
        first, since = self._n_sent, self._since
        self._n_sent += count
        if not is_last:
            self.results[first : self._n_sent] = [None] * count  # large ones are not kept
        self._since = until
        self._send_at = -math.inf if running_s is not None else self._now() + self._interval_s
        self._cannot_go_ahead = False
        self._send(first, payload, failures, until - since, is_last, running_s)


def encode_results(first: int, results: list[Any], failures: Failures) -> codec.Payload:
    """All results in one payload; those that cannot be sent are replaced by None and reported."""
    try:
        return codec.encode(results, "results")
    except (EncodeError, MemoryError):
        pass
    for offset, result in enumerate(results):
        try:
            codec.encode(result, "the result")
        except EncodeError as error:
            failures[first + offset] = reports.no_result(str(error))
            results[offset] = None
        except MemoryError as error:
            failures[first + offset] = reports.raised(error)
            results[offset] = None
    return codec.encode(results, "results")


class Watch:
    """Looks after the running job: its thread is there only while jobs that need it follow one another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: FinishedItems | None = None  # main thread
        self._has_thread = False  # under _lock

    def begin(self, items: FinishedItems) -> None:
        """From now on this job runs."""
        with self._lock:
            self._running = items
            if not self._has_thread:
                thread = threading.Thread(target=self._run, args=(items.tick_s,), name="tracking-watch", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # there is no memory for it: this job is done unwatched
                    return
                self._has_thread = True

    def end(self) -> None:
        """The job is over."""
        self._running = None

    def be_copied(self) -> None:
        """In a process that the running item has forked: have it look at what it is as soon as it leaves the item."""
        if self._running is not None:
            self._running.is_asked = True

    def _run(self, pause_s: float) -> None:
        while True:
            time.sleep(pause_s)
            with self._lock:
                running = self._running
                if running is None:
                    self._has_thread = False
                    return
            try:
                running.tick()
            except OSError:
                return  # the line is gone: the control thread sees that too, and ends the process
            pause_s = running.tick_s
            del running  # and its results


WATCH = Watch()
"""Of this process, which does one job at a time, whatever calculation it belongs to."""

os.register_at_fork(after_in_child=WATCH.be_copied)
