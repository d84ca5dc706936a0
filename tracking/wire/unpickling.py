"""Making many objects at once, without the garbage collector looking for garbage among them again and again.

It starts whenever some hundreds of objects have come into being. Where they all come out of one pickle none of them is
garbage, and to find that out takes as long as making them. So it waits until they are there; it then looks at all.
"""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterable

_LARGE_BYTES = 16 * 1024
_is_waiting = False  # the collector, for us; written by whichever thread unpickles


def loads(data: bytes | bytearray | memoryview | pickle.PickleBuffer, buffers: Iterable[object], size: int) -> object:
    """As ``pickle.loads``; ``size``: bytes of ``data``. A collector that is off stays off."""
    global _is_waiting
    if size <= _LARGE_BYTES or not gc.isenabled():
        return pickle.loads(data, buffers=buffers)
    _is_waiting = True
    gc.disable()
    try:
        return pickle.loads(data, buffers=buffers)
    finally:
        gc.enable()
        _is_waiting = False


def _go_on_in_child() -> None:
    """Another thread has forked this process meanwhile: here nobody ends what it did."""
    global _is_waiting
    if _is_waiting:
        gc.enable()
        _is_waiting = False


os.register_at_fork(after_in_child=_go_on_in_child)
