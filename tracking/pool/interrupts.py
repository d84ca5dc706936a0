"""Ctrl-C must not tear a half-done step apart: it is held back until the step is over."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # behind ``signal``, whose enums would cost 10 us a step
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGINT: int = _signal.SIGINT


class held_back:  # noqa: N801  (a word of a ``with`` statement)
    """In the main thread, a SIGINT comes at the end of the block, not within. Gives a function: has one come?

    Its handler, the standard library's as any other, usually raises; and an exception between reading a message
    and acting on it loses the message.

    Args:
        hurry: called when one has come, to make the block end soon.
    """

    __slots__ = ("_frame", "_handler", "_has_come", "_hurry", "_note")

    def __init__(self, hurry: Callable[[], None]) -> None:
        self._hurry = hurry
        self._handler: Any = None  # whose turn it is at the end
        self._frame: FrameType | None = None
        self._has_come = False

    def __enter__(self) -> Callable[[], bool]:
        if threading.get_ident() == threading.main_thread().ident:
            handler = _signal.getsignal(_SIGINT)
            if callable(handler):
                self._note = self._take_note  # one object, to be known again
                self._handler = handler
                _signal.signal(_SIGINT, self._note)
        return self._was_interrupted

    def _was_interrupted(self) -> bool:
        return self._has_come

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        self._has_come = True
        self._frame = frame
        self._hurry()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handler is None:
            return
        if _signal.getsignal(_SIGINT) is self._note:  # nobody has put another one in its place
            _signal.signal(_SIGINT, self._handler)
        del self._note  # a cycle would be left to the garbage collector
        if self._has_come:
            self._handler(_SIGINT, self._frame)
