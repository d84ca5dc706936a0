"""Rows of arguments that travel together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any


def chunked(rows: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Lists of ``size`` rows; the last one may be shorter.

    >>> list(chunked([(1,), (2,), (3,)], 2))
    [[(1,), (2,)], [(3,)]]
    """
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk
