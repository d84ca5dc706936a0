"""The future of a call, and what sets its outcome: the user's code runs here, so never under the crew's lock."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from typing import Any

from tracking.errors import ItemResultError
from tracking.pool.client import SlaveInfo
from tracking.pool.crew import Crew
from tracking.wire import codec

_RUNNING = "RUNNING"
_DONE = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")  # states of concurrent.futures


class Call(Future[Any]):
    """The future of a call. Who waits for it turns the crew's loop meanwhile.

    Attributes:
        slave: who was given it last; None: nobody yet.
        seconds: for how long that slave has worked on it; None: it is not known (yet).
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self.slave: SlaveInfo | None = None
        self.seconds: float | None = None
        self._driving = crew.driving
        self._is_dropped = False  # under the crew's lock

    def done(self) -> bool:
        """As of any future; without its lock, since it is asked often."""
        return self._state in _DONE

    def result(self, timeout: float | None = None) -> Any:
        """As of any future."""
        if not self.done():
            timeout = self._driving.help_until(self.done, timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As of any future."""
        if not self.done():
            timeout = self._driving.help_until(self.done, timeout)
        return super().exception(timeout)

    def begins(self) -> bool:
        """Whether the call is to be made (again). If it was cancelled, those who wait for it are told; once."""
        if self._state != _RUNNING and not self._is_dropped:
            has_outcome = self.done() and not self.cancelled()  # from somebody else
            self._is_dropped = has_outcome or not self.set_running_or_notify_cancel()
        return not self._is_dropped


def set_result(future: Call, payload: codec.Payload) -> None:
    try:
        results: Any = codec.decode(payload)
    except BaseException as error:  # noqa: BLE001  (a result's own class may raise anything; Ctrl-C is held back)
        what = f"its result cannot be read here: {type(error).__name__}: {error}"
        set_exception(future, ItemResultError(what))
        return
    with contextlib.suppress(InvalidStateError):  # whoever gave it an outcome himself
        future.set_result(results[0])


def set_remote_exception(future: Call, error: BaseException, payload: codec.Payload | None) -> None:
    """The exception itself where it can be made here, caused by the one that tells of its remote traceback."""
    if payload is not None:
        try:
            original = codec.decode(payload)
        except BaseException:  # noqa: BLE001  (its class may raise anything; the other error says it all)
            original = None
        if isinstance(original, BaseException):
            original.__cause__ = error
            error = original
    set_exception(future, error)


def set_exception(future: Call, error: BaseException) -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled, or given an outcome by somebody else
        future.set_exception(error)
