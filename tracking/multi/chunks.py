"""How the old package cut a queue; kept for programs that ask, our own slaves are fed as they become idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def chunked(queue: Sequence[Any], n_slaves: int, grainyness: int) -> list[Any]:
    """The commands in ``n_slaves * grainyness`` chunks; single, where there are fewer of them than chunks.

    >>> chunked(range(5), 2, 1)
    [[0, 1, 4], [2, 3]]
    >>> chunked(range(10), 3, 2)
    [[0, 6], [1, 7], [2, 8], [3, 9], [4], [5]]
    >>> chunked("ab", 3, 1)
    ['a', 'b']
    """
    n_chunks = max(1, n_slaves * max(1, grainyness))
    size = len(queue) // n_chunks
    if size < 1:
        return list(queue)
    chunks = [list(queue[first : first + size]) for first in range(0, n_chunks * size, size)]
    for chunk, command in zip(chunks, queue[n_chunks * size :], strict=False):
        chunk.append(command)
    return chunks
