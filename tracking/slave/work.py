"""What a slave does with the items of a job: a plain function item by item, or a JobSlave's ``go`` at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any, Protocol

from tracking.errors import EncodeError
from tracking.slave import reports
from tracking.wire import codec
from tracking.wire.messages import Report

PART_INTERVAL_S = 0.25
"""Finished items of a longer job are sent ahead this often: recorded, shown, and not computed again."""

Failures = dict[int, Report]
SendResults = Callable[[int, codec.Payload, Failures, float, bool], None]
"""Called with the index of the first item, the encoded list of results (None at failed ones), {index: report},
the seconds since the last call, and whether the job is over."""


class Work(Protocol):
    """One calculation's way of doing jobs."""

    def do(self, items: Any, send: SendResults) -> None: ...


class FunctionWork:
    """Items are values; each is done, timed and fails by itself."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def do(self, items: list[Any], send: SendResults) -> None:
        function = self._function
        results: list[Any] = []
        failures: Failures = {}
        first = 0
        since = perf_counter()
        send_at = since + PART_INTERVAL_S
        for value in items:
            try:
                results.append(function(value))
            except BaseException as error:  # noqa: BLE001  (SystemExit in an item must not end the slave)
                failures[first + len(results)] = reports.raised(error)
                results.append(None)
            if perf_counter() >= send_at:
                _send(first, results, failures, since, send, is_last=False)
                first += len(results)
                results, failures = [], {}
                since = perf_counter()
                send_at = since + PART_INTERVAL_S
        _send(first, results, failures, since, send, is_last=True)


def _send(
    first: int, results: list[Any], failures: Failures, since: float, send: SendResults, *, is_last: bool
) -> None:
    seconds = perf_counter() - since
    send(first, encode_results(first, results, failures), failures, seconds, is_last)


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


class GoWork:
    """Items are a dict {id: value} that goes to ``go`` as a whole; {id: result} comes back."""

    def __init__(self, go: Callable[[dict[Hashable, Any]], Any]) -> None:
        self._go = go

    def do(self, items: dict[Hashable, Any], send: SendResults) -> None:
        ids = list(items)
        since = perf_counter()
        returned = self._go(items)
        problem = _problem(ids, returned)
        if problem:
            raise WrongReturn(problem)
        failures: Failures = {
            index: reports.no_result(f"go returned no result for id {id!r}")
            for index, id in enumerate(ids)
            if id not in returned
        }
        _send(0, [returned.get(id) for id in ids], failures, since, send, is_last=True)


class WrongReturn(Exception):
    """What ``go`` returned cannot be used."""


def _problem(ids: list[Hashable], returned: object) -> str:
    if not isinstance(returned, dict):
        return f"go must return a dict {{id: result}}; it returned a {type(returned).__name__}"
    given = set(ids)
    unknown = [id for id in returned if id not in given]
    if unknown:
        shown = ", ".join(repr(id) for id in unknown[:5])
        return f"go returned results for ids that it was not given: {shown}"
    return ""
