"""Calls on objects that have no outcome yet: how they are made ready, and what ends them.

Used under the crew's lock, but for ``prepare``; futures are told without it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracking.errors import EncodeError, ItemRaised, ItemResultError, TrackingError
from tracking.pool.client import SlaveInfo
from tracking.pool.crew import Crew
from tracking.pool.futures import Call, set_exception, set_remote_exception, set_result
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m


@dataclass(slots=True)
class PreparedCall:
    """A call that can be sent: its future is there before it is known who makes it.

    Attributes:
        number: of the call.
        future: gets the answer.
        payload: what is to be sent; None: it was sent, or has failed already.
    """

    number: int
    future: Call
    payload: codec.Payload | None


class OpenCalls:
    """Calls by their numbers.

    Args:
        crew: runs what may not run under its lock.
        when_busy: called when the first call comes, and when the last one has its outcome.
    """

    def __init__(self, crew: Crew, when_busy: Callable[[], None]) -> None:
        self._crew = crew
        self._when_busy = when_busy
        self._numbers = itertools.count(1)
        self._calls: dict[int, PreparedCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def numbers(self) -> list[int]:
        """Of all, in their order."""
        return list(self._calls)

    def get(self, number: int) -> PreparedCall | None:
        return self._calls.get(number)

    def prepare(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        why_not: Callable[[], BaseException | None],
    ) -> PreparedCall:
        """A call, encoded; not under the lock.

        One that cannot be sent has failed already, and so has one that is not to be made.

        Args:
            fn, args, kwargs: what is called; the object comes before ``args``.
            why_not: why no call is made any more; None: it is. Asked under the lock.
        """
        call = PreparedCall(next(self._numbers), Call(self._crew), None)
        try:
            payload = mainmodule.encode_function([(fn, args, kwargs)], "the call")
        except EncodeError as error:
            call.future.set_exception(error)
            return call
        with self._crew.lock:
            problem = why_not()
            if problem is None:
                call.payload = payload
                self._calls[call.number] = call
                if len(self._calls) == 1:
                    self._when_busy()
        if problem is not None:
            call.future.set_exception(own_error(problem))
        return call

    # ---- outcomes

    def drop(self, number: int) -> Call | None:
        """This call has an outcome, or nobody wants one: its future, once."""
        call = self._calls.pop(number, None)
        if call is not None and not self._calls:
            self._when_busy()
        return None if call is None else call.future

    def succeed(self, number: int, payload: codec.Payload) -> None:
        """Here is its result."""
        future = self.drop(number)
        if future is not None:
            self._crew.driving.later(partial(set_result, future, payload))

    def fail(self, number: int, error: BaseException) -> None:
        """It will have none."""
        future = self.drop(number)
        if future is None:
            return
        if future.cancelled():
            future.begins()  # those who wait for it are told
        else:
            self._crew.driving.later(partial(set_exception, future, own_error(error)))

    def fail_there(self, number: int, report: m.Report, slave: SlaveInfo) -> None:
        """It raised on its slave, or its result could not be sent."""
        future = self.drop(number)
        if future is not None:
            payload = report[3]
            error = error_of(report, slave, number)
            self._crew.driving.later(partial(set_remote_exception, future, error, payload))


def error_of(report: m.Report, slave: SlaveInfo, what: Hashable) -> ItemRaised | ItemResultError:
    """The error that tells of what was raised on a slave."""
    kind, text, traceback, _ = report
    make = ItemResultError if kind == m.REPORT_RESULT else ItemRaised
    return make(text, id=what, host=slave.host, nickname=slave.nickname, remote_traceback=traceback)


def own_error(error: BaseException) -> BaseException:
    """Who waits gets an error of his own, since each raising of it adds to its traceback; foreign ones are shared."""
    return copy.copy(error) if isinstance(error, TrackingError) else error
