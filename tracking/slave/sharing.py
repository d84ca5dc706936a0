"""Objects that a pool shares: one of each on a slave, made when a call first uses it.

::

    SlavePool.share(thing) --> HELD: number, payload (or where it lies in shared memory)
    a call with its handle  -> resolve(number): the object      FORGET: number
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from tracking.errors import ProtocolError
from tracking.wire import mainmodule, mapped
from tracking.wire.codec import Payload

_held: dict[int, Payload | mapped.SharedPayload] = {}
_objects: dict[int, tuple[ModuleType | None, Any]] = {}  # with the __main__ whose classes it knows, if it needs any


def hold(number: int, payload: Payload | mapped.SharedPayload) -> None:
    """This is what calls mean by the number from now on."""
    _held[number] = payload


def resolve(number: int) -> Any:
    """The object of this number: for one calculation the same every time (called by the unpickler).

    Raises:
        ProtocolError: it is not shared any more, or with the slaves of another pool.
    """
    main, made = _objects.get(number, (None, None))
    if number not in _objects or main not in (None, sys.modules["__main__"]):
        if number not in _held:
            raise ProtocolError("a shared object is not there: it was closed, or belongs to another pool")
        payload = opened(_held[number])
        made = mainmodule.decode_function(payload)
        _objects[number] = sys.modules["__main__"] if payload.mentions_main else None, made
    return made


def opened(payload: Payload | mapped.SharedPayload) -> Payload:
    """The payload, whose arrays cannot be written to.

    Raises:
        ProtocolError: it was closed before it was first used.
    """
    if isinstance(payload, mapped.SharedPayload):
        return mapped.open_shared(payload)
    return Payload(payload.data, tuple(memoryview(buffer).toreadonly() for buffer in payload.buffers))


def forget(number: int) -> int:
    """It is shared no more; memory goes with what still uses it. How many bytes there were of it."""
    held = _held.pop(number, None)
    _objects.pop(number, None)
    return 0 if held is None else held.size
