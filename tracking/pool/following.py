"""A fabric that knows how many slaves it has room for is followed: places come and go with that. Pure.

::

    wanted > places: so many more
    wanted < places: those without a slave go, then those whose slave is not up; what works is left alone, since the
                     slaves that have no room any more end by themselves, and then their places go, too
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple


class Filled(IntEnum):
    """What a place has; the first go first."""

    NOT = 0
    STARTING = 1
    UP = 2


class Change(NamedTuple):
    """What is to become of places.

    Attributes:
        more: so many are to be added.
        gone: index of each that is to go.
    """

    more: int = 0
    gone: tuple[int, ...] = ()


def change(wanted: int, places: Sequence[Filled]) -> Change:
    """What leads to as many places as are wanted, without harm to who is up. One is always left, to come back to.

    >>> change(3, [Filled.UP])
    Change(more=2, gone=())
    >>> change(2, [Filled.UP, Filled.STARTING, Filled.NOT, Filled.UP])
    Change(more=0, gone=(2, 1))
    """
    missing = max(1, wanted) - len(places)
    if missing >= 0:
        return Change(more=missing)
    idle = [index for index in reversed(range(len(places))) if places[index] is not Filled.UP]
    return Change(gone=tuple(sorted(idle, key=lambda index: places[index])[:-missing]))
