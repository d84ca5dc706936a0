"""What was sent to the data stores of slaves, and who has which of it; the master's book."""

from __future__ import annotations

import itertools
from typing import Any

from tracking.multi.travel import Snapshot, Stored, snapshot


class Shelf:
    """Holds each value as it was when it was put here.

    Slaves get what they lack with their next queue, so those that come late have it, too, and nothing is sent twice.
    """

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}
        self._versions = itertools.count(1)
        self._has: dict[int, int] = {}  # tid -> the highest version that this slave has
        self._offered: dict[int, int] = {}  # tid -> the highest version when it was told last

    def put(self, name: str, value: Any) -> None:
        """Have this from now on.

        Raises:
            EncodeError: it cannot be sent.
        """
        self._stored[name] = Stored(next(self._versions), snapshot(value, f"the data {name!r}"))

    def remove(self, name: str) -> None:
        """Have it no more."""
        self._stored[name] = Stored(next(self._versions), None)

    def lacking(self, tid: int) -> dict[str, Stored]:
        """What this slave does not have."""
        known = self._has.get(tid, 0)
        self._offered[tid] = max((stored.version for stored in self._stored.values()), default=0)
        return {name: stored for name, stored in self._stored.items() if stored.version > known}

    def is_told(self, tid: int) -> None:
        """The slave has what it was told to be lacking last."""
        self._has[tid] = self._offered.get(tid, 0)

    def forget_slaves(self) -> None:
        """They are gone; others will lack everything."""
        self._has.clear()
        self._offered.clear()

    def everything(self) -> dict[str, Stored]:
        """What a slave would have that has it all."""
        return dict(self._stored)

    def values(self) -> list[Snapshot]:
        """Of all that is there."""
        return [stored.value for stored in self._stored.values() if stored.value is not None]
