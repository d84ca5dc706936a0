"""How a job is steered: what its handler makes of the messages that come to it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from tracking.pool.arguments import checked_number
from tracking.service.joblog import JobLog
from tracking.service.jobs import Job
from tracking.service.messages import Abort, Error, Invoke, Message, Pause, Resume, Set
from tracking.service.staying import StaysHere

logger = logging.getLogger("tracking")


class ReadyQueue(StaysHere):
    """The messages that wait for the next ready state: ``queue.put(message)``, from any thread."""

    def __init__(self, put: Callable[[Message], object], size: Callable[[], int]) -> None:
        self.put = put
        self._size = size

    def __len__(self) -> int:
        return self._size()


class Steered(Job):
    """The part of ``ServiceHandler`` that handles messages which the service does not.

    Args:
        run_file, folder, trust: as for ``Job``.
    """

    progress_delta = 5.0
    improved_delta = 0.0
    checkpoint_delta = 60.0
    log_level: int | str | None = None
    settable = ("progress_delta", "improved_delta", "checkpoint_delta", "log_level")

    def __init__(
        self, run_file: str | os.PathLike[str] | None, folder: str | os.PathLike[str] | None, *, trust: bool
    ) -> None:
        super().__init__(run_file, folder, trust=trust)
        self._is_paused = False
        self._is_aborted = False
        self._log: JobLog | None = None

    def delay(self, message: Message) -> None:
        """Keep a message until the next ready state."""
        raise NotImplementedError

    def _tell_failed(self, message: Message, error: BaseException) -> None:
        """A message has come to nothing; the job goes on."""
        logger.error("%s: a handler has failed on %r", self.job, message, exc_info=error)
        self.send(Error(error))

    def onSignalMessage(self, message: Message) -> None:
        """Nobody wants it now: keep it until the ready state."""
        self.delay(message)

    def onReadyMessage(self, message: Message) -> None:
        """Nobody wants it at all: say so."""
        logger.warning("%s has no handler for %s: the message is dropped", self.job, type(message).__name__)

    def onSignalAbort(self, message: Abort) -> None:
        """End: running maps at once, the computation in its next ready state."""
        self.end_soon()

    def end_soon(self) -> None:
        """What an ``Abort`` does; from any thread, any number of times."""
        with self._changed:
            self._is_aborted = True
            self._changed.notify_all()
        self._maps.end_all()

    def onSignalPause(self, message: Pause) -> None:
        """Wait in the next ready state."""
        with self._changed:
            self._is_paused = True

    def onSignalResume(self, message: Resume) -> None:
        """Go on."""
        with self._changed:
            self._is_paused = False
            self._changed.notify_all()

    def onSignalSet(self, message: Set) -> None:
        """Set attributes of the handler now; those of the service when it is ready.

        Raises:
            ValueError: a time that is none, or a level of the log that there is not.
        """
        own = {name: value for name, value in message.values.items() if name in self.settable}
        rest = {name: value for name, value in message.values.items() if name not in own}
        for name in own:
            if name.endswith("_delta"):
                checked_number(name, own[name], 0)
        if "log_level" in own and self._log is not None:
            self._log.set_level(own["log_level"])
        for name, value in own.items():
            setattr(self, name, value)
        with self._changed:
            self._changed.notify_all()
        if rest:
            self.delay(Set(**rest))

    def onReadySet(self, message: Set) -> None:
        """Set attributes of the service; none of them if it lacks one: that is told, and the job goes on."""
        try:
            for name in message.values:
                _check_public(self.service, name, is_method=False)
            for name, value in message.values.items():
                setattr(self.service, name, value)
        except Exception as error:  # noqa: BLE001  told, whatever it is
            self._tell_failed(message, error)

    def onReadyInvoke(self, message: Invoke) -> None:
        """Call a method of the service; if there is none, that is told, and the job goes on."""
        try:
            _check_public(self.service, message.method, is_method=True)
        except AttributeError as error:
            self._tell_failed(message, error)
            return
        getattr(self.service, message.method)(*message.args, **message.kw)


_OF_THE_HANDLER = frozenset(
    {"queue", "handler", "service", "version", "run", "prepare", "restore", "cleanup", "request", "accepts", "upgrade"}
)


def _check_public(service: Any, name: str, *, is_method: bool) -> None:
    """Refuse to set or call what there is not, what is private, or what is for the handler alone to use."""
    is_there = not name.startswith("_") and name not in _OF_THE_HANDLER and hasattr(service, name)
    if not is_there or callable(getattr(service, name)) is not is_method:
        what = "method" if is_method else "attribute"
        raise AttributeError(f"{type(service).__qualname__} has no public {what} {name!r}")
