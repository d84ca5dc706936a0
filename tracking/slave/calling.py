"""What slaves do with calls submitted to a pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from tracking.slave import copies
from tracking.wire import mainmodule

if TYPE_CHECKING:
    from tracking.wire import codec

WhatToCall = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""(function, arguments, keyword arguments)"""


def call(what: WhatToCall) -> Any:
    """Make one call."""
    function, args, kwargs = what
    return function(*args, **kwargs)


def call_chunk(function: Callable[..., Any], rows: list[tuple[Any, ...]]) -> list[Any]:
    """Make a call for each row of arguments."""
    return [function(*row) for row in rows]


def call_chunk_with(value: Any, function: Callable[..., Any], rows: list[tuple[Any, ...]]) -> list[Any]:
    """The same, with the value of a session's setup before the arguments of each row."""
    return [function(value, *row) for row in rows]


class CallsWithSetup:
    """Makes the calls of a session whose setup gives a value, which comes before the arguments of each.

    The value is made with the first call. A setup that raises has failed that call; the next one tries it again.

    Args:
        session: its number. Who is sent the same session once more, while it is not forgotten, has its value.
        setup: a function without arguments, encoded: so its loading, too, may fail a call and nothing else.
    """

    def __init__(self, session: int, setup: codec.Payload) -> None:
        self._session = session
        self._setup = setup
        self._is_set_up = False
        self._value: Any = None

    def __reduce__(self) -> tuple[Callable[..., CallsWithSetup], tuple[int, codec.Payload]]:
        return _of_session, (self._session, self._setup)

    def __call__(self, what: WhatToCall) -> Any:
        """Make one call."""
        if not self._is_set_up:
            self._value = mainmodule.decode_function(self._setup)()
            copies.end_if_copy()
            self._is_set_up = True
        function, args, kwargs = what
        return function(self._value, *args, **kwargs)


class CallsOn:
    """Makes calls with this object before the arguments of each."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __call__(self, what: WhatToCall) -> Any:
        """Make one call."""
        function, args, kwargs = what
        return function(self._made, *args, **kwargs)


_sessions: WeakValueDictionary[int, CallsWithSetup] = WeakValueDictionary()  # those of this slave


def _of_session(number: int, setup: codec.Payload) -> CallsWithSetup:
    known = _sessions.get(number)
    if known is None:
        known = _sessions[number] = CallsWithSetup(number, setup)
    return known
