"""The master's end of a slave's lines, moved by hand: that of the contracts, and slaves on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracking.fabrics.local import LocalFabric
from tracking.testing.contracts.puppet import (
    CALCULATION,
    MASTER,
    TIMEOUT_S,
    Puppet,
    attend,
    attend_until_readable,
    news_of,
    started,
    wait_for_end,
    wait_for_news,
    wait_readable,
)

__all__ = [
    "CALCULATION", "MASTER", "TIMEOUT_S", "Gate", "Puppet", "attend", "attend_until_readable", "news_of", "slave",
    "started", "wait_for_end", "wait_for_news", "wait_readable",
]  # fmt: skip


class Gate:
    """Where an item (``jobs.do_read``) waits until it is let go."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._writer: int | None = None

    def wait_until_reached(self) -> None:
        if self._writer is None:
            self._writer = os.open(self.path, os.O_WRONLY)

    def open(self) -> None:
        self.wait_until_reached()
        assert self._writer is not None
        os.write(self._writer, b"opened")
        self.close()

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            os.close(writer)


@contextmanager
def slave(*, niceness: int = 0, memory_limit: int | None = None) -> Iterator[Puppet]:
    """A slave of its own starter."""
    fabric = LocalFabric()
    try:
        puppet = Puppet(fabric, niceness=niceness, memory_limit=memory_limit)
        try:
            yield puppet
        finally:
            puppet.close()
    finally:
        fabric.close()
