"""Ids of items as rows of the table ``ids``: a run of whole numbers as one row, others in blocks.

============================  ===========================  ================
what a row holds              its column ``ids``           its ``keys``
============================  ===========================  ================
n, n + 1, n + 2, ...          n                            NULL
other int and str             JSON list                    NULL
any others                    JSON list of their ``repr``  the pickled list
============================  ===========================  ================

``first`` is the position of the first one, ``items`` how many they are.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, TypeAlias

from tracking.errors import StoreError
from tracking.store.pickling import from_bytes, to_bytes
from tracking.store.schema import columns

BLOCK = 1000
_PIECE = 1 << 16

Row: TypeAlias = tuple[int, int, "int | str", "bytes | None"]
"""(first, items, ids, keys)"""


def rows_of(ids: Sequence[Hashable], first: int = 0) -> Iterator[Row]:
    """Give the rows for these ids, the first of which has the position ``first``.

    Raises:
        EncodeError: an id cannot be pickled.

    >>> list(rows_of([7, 8, 9]))
    [(0, 3, 7, None)]
    >>> list(rows_of(["a", 2], first=5))
    [(5, 2, '["a",2]', None)]
    """
    if isinstance(ids, range) and ids.step == 1 and ids and _fit(ids[0], ids[-1]):
        yield first, len(ids), ids.start, None
        return
    held: Row | None = None  # a run of numbers that may go on in the next block
    for place in range(0, len(ids), BLOCK):
        row = _row(list(ids[place : place + BLOCK]), first + place)
        if held and isinstance(held[2], int) and row[2] == held[2] + held[1]:
            row = held[0], held[1] + row[1], held[2], None
        elif held:
            yield held
        held = row
    if held:
        yield held


def ids_of(items: int, ids: int | str, keys: bytes | None) -> Sequence[Any]:
    """Give back what a row holds; the arguments are its columns.

    Raises:
        StoreError: an id cannot be read back.
    """
    if isinstance(ids, int) and keys is None:
        return range(ids, ids + items)
    try:
        found = json.loads(ids) if keys is None else from_bytes(keys, f"the ids {str(ids)[:60]}")  # type: ignore[arg-type]
    except (ValueError, TypeError):
        found = None
    if isinstance(found, list) and len(found) == items:
        return found
    raise StoreError(f"it is damaged: {str(ids)[:60]!r} is said to be the ids of {items} items")


def are_same(given: Sequence[Any], begin: int, block: Sequence[Any]) -> bool:
    """Whether the ids that were given, from ``begin`` on, are those of the block; without a copy of them all."""
    if begin + len(block) > len(given):
        return False
    if isinstance(given, range) and isinstance(block, range):
        return given[begin : begin + len(block)] == block
    return all(
        list(given[begin + place : begin + min(place + _PIECE, len(block))]) == list(block[place : place + _PIECE])
        for place in range(0, len(block), _PIECE)
    )


def _row(block: list[Any], first: int) -> Row:
    kinds = set(map(type, block))
    if kinds == {int} and _fit(min(block), max(block)):
        is_run = block[-1] - block[0] == len(block) - 1 and block == list(range(block[0], block[-1] + 1))
        return first, len(block), block[0] if is_run else _json(block), None
    if (kinds == {str} and _can_be_text(block)) or (
        kinds <= {int, str} and all(columns(id)[1] is None for id in block)
    ):
        return first, len(block), _json(block), None
    keys = to_bytes(block, "the list of all ids")
    return first, len(block), _json([columns(id)[0] for id in block]), keys


def _fit(least: int, most: int) -> bool:
    """Whether they are such numbers as SQLite has."""
    return least >= -(2**63) and most < 2**63


def _can_be_text(block: list[str]) -> bool:
    try:
        "".join(block).encode()
    except UnicodeEncodeError:  # half characters, as in undecodable file names
        return False
    return True


def _json(block: list[Any]) -> str:
    return json.dumps(block, separators=(",", ":"))
