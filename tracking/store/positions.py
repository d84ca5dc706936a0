"""The positions of a job's items, as they stand in the column ``jobs.positions``.

The items of a job that lie side by side are told by the position of the first. Else the column holds a JSON list, one
for each place in the job's list of results; null stands for a result that does not count, since another was first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

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
    """
    if isinstance(positions, int):
        return range(positions, positions + items)
    found: list[int | None] = json.loads(positions)
    return found
