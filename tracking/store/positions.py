"""The positions of a job's items, as they stand in the column ``jobs.positions``.

The items of a job that lie side by side are told by the position of the first. Else the column holds a JSON list, one
for each place in the job's list of results; null stands for a result that does not count, since another was first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from tracking.errors import StoreError

Positions: TypeAlias = "Sequence[int | None]"


def packed(positions: Positions) -> int | str:
    """As they stand in the column.

    >>> packed(range(5, 9)), packed((7,)), packed([5, None, 9])
    (5, 7, '[5,null,9]')
    """
    if isinstance(positions, range) and positions.step == 1:
        return positions.start
    if len(positions) == 1 and positions[0] is not None:
        return positions[0]
    return json.dumps(list(positions), separators=(",", ":"))


def unpacked(positions: int | str, items: int) -> Positions:
    """Give back what was packed: a range, or a list.

    Args:
        positions, items: the columns of the job.

    Raises:
        StoreError: they make no sense.
    """
    if type(positions) is type(items) is int and positions >= 0 < items:
        return range(positions, positions + items)
    found = _loaded(positions)
    if isinstance(found, list) and found and all(map(_is_position, found)):
        return found
    raise StoreError(f"it is damaged: {str(positions)[:60]!r} is said to be the positions of {items} items")


def _loaded(positions: Any) -> object:
    try:
        return json.loads(positions)
    except (ValueError, TypeError):
        return None


def _is_position(place: object) -> bool:
    return place is None or (type(place) is int and place >= 0)
