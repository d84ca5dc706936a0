"""Results of a job that still runs: sent ahead, so that they are recorded, shown, and not computed again.

::

    main thread                                watch thread (daemon, while jobs of several items run)
      function(item) --> _results                four times a second, when an item takes long
      now and then, after an item --send()--+--send_ahead()
                                            v
                               _lock: the items that were not sent yet

Whatever the running item does then, be it to hang or to kill the slave, its neighbours are safe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any

from tracking.errors import EncodeError
from tracking.slave import reports
from tracking.wire import codec
from tracking.wire.messages import Report

PART_INTERVAL_S = 0.25
"""Finished items of a longer job are sent ahead this often."""

Failures = dict[int, Report]
SendResults = Callable[[int, codec.Payload, Failures, float, bool], None]
"""Called with the index of the first item, the encoded list of results (None at failed ones), {index: report},
the seconds since the last call, and whether the job is over."""


class FinishedItems:
    """The items of a running job that are finished, in order, and how many of them were sent.

    ``results`` and ``failures`` are written by the main thread only, without a lock: it notes a failure before
    it appends the result, so that what is known of the first n results is whole in any other thread.

    Args:
        count: items of the job.
        send: takes a part of the results, in any thread.
        now: the clock, in seconds.
    """

    __slots__ = (
        "_cannot_go_ahead",
        "_count",
        "_lock",
        "_n_sent",
        "_now",
        "_send",
        "_since",
        "failures",
        "results",
        "send_at",
    )

    def __init__(self, count: int, send: SendResults, now: Callable[[], float] = perf_counter) -> None:
        self.results: list[Any] = []
        self.failures: Failures = {}
        self._count = count
        self._send = send
        self._now = now
        self._since = now()
        self.send_at = self._since + PART_INTERVAL_S
        self._n_sent = 0
        self._cannot_go_ahead = False
        self._lock = threading.Lock()

    def send(self, *, is_last: bool = False) -> float:
        """From the main thread, between two items: send what was not sent yet; return when to do so again."""
        if len(self.results) == self._count and not is_last:
            return self.send_at  # the last part, which ends the job, comes at once
        with self._lock:
            # As long as we are here nothing is appended, so the list itself will do.
            results = self.results[self._n_sent :] if self._n_sent else self.results
            failures = self._unsent_failures(len(results))
            payload = encode_results(self._n_sent, results, failures)
            self._pass_on(len(results), payload, failures, self._now(), is_last=is_last)
            return self.send_at

    def send_ahead(self) -> None:
        """From another thread, during an item: send what was not sent yet, if it is time and can be done."""
        if self._now() < self.send_at or self._cannot_go_ahead:
            return
        with self._lock:
            results = self.results[self._n_sent :]
            if not results or self._now() < self.send_at or self._n_sent + len(results) == self._count:
                return
            failures = self._unsent_failures(len(results))
            try:
                payload = codec.encode(results, "results")
            except EncodeError:
                self._cannot_go_ahead = True  # until the main thread has found out which of them is at fault
                return
            # They were finished before it was time: later ones the main thread sends at once.
            self._pass_on(len(results), payload, failures, self.send_at, is_last=False)

    def _unsent_failures(self, count: int) -> Failures:
        end = self._n_sent + count
        return {index: report for index, report in self.failures.copy().items() if self._n_sent <= index < end}

    def _pass_on(
        self, count: int, payload: codec.Payload, failures: Failures, until: float, *, is_last: bool
    ) -> None:
        first, since = self._n_sent, self._since
        self._n_sent += count
        if not is_last:
            self.results[first : self._n_sent] = [None] * count  # large ones are not kept
        self._since, self.send_at = until, self._now() + PART_INTERVAL_S
        self._cannot_go_ahead = False
        self._send(first, payload, failures, until - since, is_last)


def encode_results(first: int, results: list[Any], failures: Failures) -> codec.Payload:
    """All results in one payload; those that cannot be sent are replaced by None and reported."""
    try:
        return codec.encode(results, "results")
    except EncodeError:
        pass
    for offset, result in enumerate(results):
        try:
            codec.encode(result, "the result")
        except EncodeError as error:
            failures[first + offset] = reports.no_result(str(error))
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
                self._has_thread = True
                threading.Thread(target=self._run, name="tracking-watch", daemon=True).start()

    def end(self) -> None:
        """The job is over."""
        self._running = None

    def _run(self) -> None:
        while True:
            time.sleep(PART_INTERVAL_S)
            with self._lock:
                running = self._running
                if running is None:
                    self._has_thread = False
                    return
            try:
                running.send_ahead()
            except OSError:
                return  # the line is gone: the control thread sees that too, and ends the process


WATCH = Watch()
"""Of this process, which does one job at a time, whatever calculation it belongs to."""
