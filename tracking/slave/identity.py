"""Who a slave is: what it is told when it is started."""

from __future__ import annotations

from typing import NamedTuple

from tracking.slave.cores import USUAL, Share


class Identity(NamedTuple):
    """Who this slave is.

    Attributes:
        tid, nickname, host: its number, what people call it, and where it is.
        niceness: the nice value that it shall have when it works.
        memory_limit: bytes that it may hold; None: as many as there are.
        share: what it has of the cores of its host.
        is_far: it is on another host than its master, or may be: what the master has need not be there.
        directory: where it works, if it is far, '~' and what begins at no root being the user's home there; None: where
            the master does if that is there, else where it is.
    """

    tid: int
    nickname: str
    host: str
    niceness: int = 0
    memory_limit: int | None = None
    share: Share = USUAL
    is_far: bool = False
    directory: str | None = None
