"""What of a master can be saved, for restart files and run files."""

from __future__ import annotations

import io
import pickle
import socket
import threading
from collections.abc import Mapping
from typing import Any

from tracking.errors import EncodeError

_OF_THIS_PROCESS = (
    io.IOBase,
    socket.socket,
    threading.Thread,
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
    type(threading.Lock()),
    type(threading.RLock()),
)


def saveable(fields: Mapping[str, Any], *, copies: bool = True) -> dict[str, Any]:
    """Those of these fields that can be pickled; dicts are copied, where they may change while they are written."""
    return {
        name: value.copy() if copies and type(value) is dict else value
        for name, value in fields.items()
        if _can_be_saved(name, value)
    }


def _can_be_saved(name: str, value: Any) -> bool:
    """Whether a field can be pickled: no threads, locks, open files."""
    if value is None or isinstance(value, str | int | float | bytes):
        return True
    if isinstance(value, _OF_THIS_PROCESS):
        return False  # some picklers would take an imitation of it
    if name in ("data", "result"):
        return True  # looked at when it is written; a second look would cost as much again
    from tracking.store.pickling import to_bytes

    try:
        to_bytes(value, name)
    except EncodeError:
        return False
    return True


def bytes_within(limit: int, obj: object, what: str) -> bytes | None:
    """Pickle an object, everything in one piece; None: it is larger than so many bytes, or cannot be pickled.

    What is much too large is left when the limit is reached, so that it need not fit into memory a second time.
    """
    buffer = _Buffer(limit)
    try:
        pickle.Pickler(buffer, 5).dump(obj)
        return buffer.getvalue()
    except _BufferIsFullError:
        return None
    except Exception:  # noqa: BLE001  (of the objects' own code; or it takes another pickler)
        from tracking.store.pickling import to_bytes

        try:
            data = to_bytes(obj, what)
        except EncodeError:
            return None
        return data if len(data) <= limit else None


class _BufferIsFullError(Exception):
    pass


class _Buffer(io.BytesIO):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > self._limit:
            raise _BufferIsFullError
        return super().write(data)
