"""Large things that the user's code leaves behind are let go of soon.

A function that came by value, the globals that it uses and the other functions among them hold each other, and so hold
the arrays among them. Only the garbage collector ends that, but it counts objects, not bytes: it would let a slave of
many calls, or of many calculations, come to hold dozens of copies of an array. So bytes are counted here.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

from tracking.wire import codec, mainmodule, mapped

MOST_BYTES: Final = 64 << 20
"""That may be left before it is looked for: moving so much takes longer than to look."""

_BEGINNING_BYTES = 64 << 10  # of a pickle: a call begins with its function; looking through all values takes time


class Leftovers:
    """What may be left behind in a process. Main thread only.

    Args:
        collect: looks for what is held by nobody but itself, and lets go of it.
    """

    def __init__(self, collect: Callable[[], object] = gc.collect) -> None:
        self._collect = collect
        self._bytes = 0

    def of_job(self, payload: codec.Payload) -> None:
        """A job is done. Its values are no concern of ours, but functions among them are; others leave nothing."""
        beginning = codec.Payload(bytes(memoryview(payload.data)[:_BEGINNING_BYTES]))
        if mainmodule.modules_needed(beginning):
            self.of_size(payload.size)

    def of_size(self, n_bytes: int) -> None:
        """So much is used no more; now may be the time to look. A collector that the user has turned off stays off."""
        self._bytes += n_bytes
        if self._bytes >= MOST_BYTES and gc.isenabled():
            self._bytes = 0
            self._collect()


def size_of(thing: object) -> int:
    """Bytes of what a calculation was sent; 0 for what is small anyway."""
    return thing.size if isinstance(thing, codec.Payload | mapped.SharedPayload) else 0
