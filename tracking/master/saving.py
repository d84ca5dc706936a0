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
_FEW = 10_000  # items that may as well be pickled


def saveable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of these fields that can be pickled; dicts are copied, since they may change while they are written."""
    return {
        name: value.copy() if type(value) is dict else value
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


def takes_more_than(data: Mapping[Any, Any], limit: int) -> bool:
    """Whether these many items are certainly more than so many bytes when they are pickled; they need not fit twice."""
    if type(data) is not dict or len(data) < _FEW:
        return False
    try:
        pickle.Pickler(_Sink(limit), 5).dump(data)
    except _SinkIsFullError:
        return True
    except Exception:  # noqa: BLE001  (other picklers may take what this one does not)
        return False
    return False


class _SinkIsFullError(Exception):
    pass


class _Sink:
    """The file of a pickler, which counts and keeps nothing."""

    def __init__(self, room: int) -> None:
        self._room = room

    def write(self, data: Any) -> None:
        self._room -= memoryview(data).nbytes
        if self._room < 0:
            raise _SinkIsFullError
