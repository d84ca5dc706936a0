"""What arrived at a message thread, and the methods that wait for it."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

ANYONE = -1  # the tid of a binding that takes a message from whoever sends it

Values = tuple[object, ...]
Method = Callable[..., object]
Key = tuple[int, Hashable]  # (tid of the sender, tag)


class Message(NamedTuple):
    """A message that arrived; ``number`` counts them as they come."""

    number: int
    sender: int
    tag: Hashable
    values: Values | None


class Inbox:
    """What arrived and who waits for it; each method may be called from any thread.

    A message is in one of two places: ``_waiting`` (arrived, not yet looked at) or ``_unbound`` (looked at,
    but nobody had bound its tag). A new binding moves what fits it back to its place in ``_waiting``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # over all below; never held while others' code runs
        self._bindings: dict[Key, Method] = {}
        self._waiting: deque[Message] = deque()
        self._unbound: list[Message] = []
        self._warned: set[Hashable] = set()
        self._numbers = itertools.count()

    @property
    def has_waiting(self) -> bool:
        """Whether a message has not been looked at since it came, or since its tag was bound."""
        return bool(self._waiting)

    def put(self, sender: int, tag: Hashable, values: Values | None) -> None:
        """Add a message behind all others."""
        with self._lock:
            self._waiting.append(Message(next(self._numbers), sender, tag, values))

    def take(self) -> tuple[Message, Method] | None:
        """Take out the next message that is bound, with its method; put aside those that are not."""
        while (found := self._look_at_next()) is not None:
            message, method = found
            if method is not None:
                return message, method
            self._warn_once(message)
        return None

    def _look_at_next(self) -> tuple[Message, Method | None] | None:
        with self._lock:
            if not self._waiting:
                return None
            message = self._waiting.popleft()
            method = self._method_for(message)
            if method is None:
                self._unbound.append(message)
            return message, method

    def _method_for(self, message: Message) -> Method | None:
        from_anyone = self._bindings.get((ANYONE, message.tag))
        return self._bindings.get((message.sender, message.tag), from_anyone)

    def _warn_once(self, message: Message) -> None:
        if message.tag not in self._warned:
            import logging  # 3 ms to load, which no slave needs to start

            self._warned.add(message.tag)
            logging.getLogger("tracking").warning(
                "message %r from %s: nobody has bound this tag; it is kept until somebody does",
                message.tag,
                message.sender,
            )

    def bind(self, key: Key, method: Method) -> None:
        """Have messages of this sender and tag, also those put aside, taken with this method."""
        with self._lock:
            self._bindings[key] = method
            fitting = [message for message in self._unbound if self._method_for(message) is not None]
            if fitting:
                self._unbound = [message for message in self._unbound if self._method_for(message) is None]
                in_order = sorted([*fitting, *self._waiting], key=lambda message: message.number)
                self._waiting = deque(in_order)

    def unbind(self, key: Key) -> None:
        """Undo ``bind``; KeyError if there is nothing to undo."""
        with self._lock:
            if key not in self._bindings:
                raise KeyError(f"nothing is bound to {key!r} (tid, message tag)")
            del self._bindings[key]

    def bindings(self) -> dict[Key, Method]:
        """Return a copy of all bindings."""
        with self._lock:
            return dict(self._bindings)
