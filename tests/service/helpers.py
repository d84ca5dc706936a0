"""What the tests of services share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from tests.service.services import WAIT_S, Scripted
from tracking.service import Message, ServiceHandler
from tracking.service.messages import is_final

M = TypeVar("M", bound=Message)


class Heard:
    """A listener: notes what it hears, and is waited on."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait_for(self, kind: type[M], count: int = 1) -> M:
        """The count-th message of this kind."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(kind)) >= count, WAIT_S), self.messages
            return self.of(kind)[count - 1]

    def of(self, kind: type[M]) -> list[M]:
        """All of this kind."""
        return [message for message in self.messages if isinstance(message, kind)]

    def kinds(self) -> list[str]:
        """The names of their classes."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(is_final, self.messages)), WAIT_S), self.messages
            return [type(message).__name__ for message in self.messages]


class Clock:
    """Set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Where a computation waits until a test lets it go on; the test can wait until it has come."""

    def __init__(self) -> None:
        self._come = threading.Event()
        self._go = threading.Event()

    def wait(self) -> None:
        """Of the computation."""
        self._come.set()
        assert self._go.wait(WAIT_S)

    def wait_until_come(self) -> None:
        assert self._come.wait(WAIT_S)

    def open(self) -> None:
        self._go.set()

    def is_open(self) -> bool:
        return self._go.is_set()


def started(
    body: Callable[[Scripted, ServiceHandler], Any], **options: Any
) -> tuple[ServiceHandler, Scripted, Heard]:
    """A job whose run is this."""
    heard, service = Heard(), Scripted(body)
    handler = ServiceHandler(heard, **options)
    handler.start(service, Scripted.request())
    return handler, service, heard


class Mark(Message):
    """Comes after what was put before."""


def wait_until_signalled(handler: ServiceHandler) -> None:
    """What was put so far has reached the service thread."""
    reached = threading.Event()
    handler.onSignalMark = lambda message: reached.set()  # type: ignore[attr-defined]
    handler.put(Mark())
    assert reached.wait(WAIT_S)
