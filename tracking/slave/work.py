"""What a slave does with the items of a job: a plain function item by item, or a JobSlave's ``go`` at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any, Protocol

from tracking.slave import copies, memory, reports
from tracking.slave.ahead import WATCH, Failures, FinishedItems, SendResults, encode_results, part_interval_s

__all__ = ["Failures", "FunctionWork", "GoWork", "Work", "WrongReturn"]


class Work(Protocol):
    """One calculation's way of doing jobs."""

    def do(self, items: Any, send: SendResults) -> None: ...


class FunctionWork:
    """Items are values; each is done, timed and fails by itself.

    Those that are finished are sent ahead when the job takes longer, and what runs is announced.

    Args:
        function: of one value.
        item_timeout_s: for how long the master lets an item run; None: for ever.
    """

    def __init__(self, function: Callable[[Any], Any], item_timeout_s: float | None = None) -> None:
        self._function = function
        self._interval_s = part_interval_s(item_timeout_s)
        self._is_limited = item_timeout_s is not None

    def do(self, items: list[Any], send: SendResults) -> None:
        if len(items) == 1 and not self._is_limited:
            self._do_one(items[0], send)  # has no neighbours that could be sent ahead
            return
        finished = FinishedItems(len(items), send, self._interval_s)
        WATCH.begin(finished)
        try:
            self._do_each(items, finished)
        finally:
            WATCH.end()
        finished.finish()

    def _do_one(self, value: Any, send: SendResults) -> None:
        failures: Failures = {}
        since = perf_counter()
        try:
            results = [self._function(value)]
        except BaseException as error:  # noqa: BLE001  (SystemExit in an item must not end the slave)
            copies.end_if_copy(error)
            failures[0] = reports.raised(error)
            if isinstance(error, MemoryError) and memory.OWN.was_spent_before(is_first=True):
                memory.OWN.leave()
            results = [None]
        copies.end_if_copy()
        seconds = perf_counter() - since
        send(0, encode_results(0, results, failures), failures, seconds, True, None)

    def _do_each(self, items: list[Any], finished: FinishedItems) -> None:
        function, results = self._function, finished.results
        for value in items:
            try:
                results.append(function(value))
            except BaseException as error:  # noqa: BLE001  (as above)
                finished.fail(error)
            if finished.is_asked:
                finished.look()


class GoWork:
    """Items are a dict {id: value} that goes to ``go`` as a whole; {id: result} comes back."""

    def __init__(self, go: Callable[[dict[Hashable, Any]], Any]) -> None:
        self._go = go

    def do(self, items: dict[Hashable, Any], send: SendResults) -> None:
        ids = list(items)
        since = perf_counter()
        returned = self._go(items)
        copies.end_if_copy()
        results, failures = in_order_of(ids, returned)
        payload = encode_results(0, results, failures)
        send(0, payload, failures, perf_counter() - since, True, None)


class WrongReturn(Exception):
    """What ``go`` returned cannot be used."""


def in_order_of(ids: list[Hashable], returned: object) -> tuple[list[Any], Failures]:
    """The results of these ids in what ``go`` returned, None where one is missing, and reports of those.

    Raises:
        WrongReturn: it is no dict, or one of other ids.

    >>> in_order_of(["a", "b"], {"b": 2, "a": 1})
    ([1, 2], {})
    """
    if isinstance(returned, dict) and list(returned) == ids:  # as most do it, and seen without looking up each
        return list(returned.values()), {}
    problem = _problem(ids, returned)
    if problem or not isinstance(returned, dict):
        raise WrongReturn(problem)
    failures: Failures = {
        index: reports.no_result(f"go returned no result for id {id!r}")
        for index, id in enumerate(ids)
        if id not in returned
    }
    return [returned.get(id) for id in ids], failures


def _problem(ids: list[Hashable], returned: object) -> str:
    if not isinstance(returned, dict):
        return f"go must return a dict {{id: result}}; it returned a {type(returned).__name__}"
    given = set(ids)
    unknown = [id for id in returned if id not in given]
    if unknown:
        shown = ", ".join(repr(id) for id in unknown[:5])
        return f"go returned results for ids that it was not given: {shown}"
    return ""
