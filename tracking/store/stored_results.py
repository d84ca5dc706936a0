"""The results in a run file as they are asked for: none of them is kept in memory.

::

    master's thread:   RunFile.record, commit ----> the file
                                                       ^  a connection of its own, open for the moment of each look
    any thread:        StoredResults.at, among --------+
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tracking.store.run_reader import RunFileReader


class StoredResults:
    """Reads results by the positions of their items, beside the writer and after it; from any thread.

    Only what is committed is seen. Results that do not count any more (``on_change='recompute'``) are none.
    The memory that it takes does not depend on how large the results are: those of a few jobs at a time.

    Args:
        path: of the run file.
        ids: of all items, as they were given to ``RunFile.open``.
        trust: as it was given there.
    """

    def __init__(self, path: Path, ids: Sequence[Any], *, trust: bool) -> None:
        self._reader = RunFileReader(path, trust=trust)
        self._positions = {id: position for position, id in enumerate(ids)}
        self._lock = threading.Lock()

    def at(self, position: int) -> Any:
        """The result of the item at this position.

        Raises:
            KeyError: there is none yet.
            StoreError: it cannot be read back.
        """
        for _, result in self.among(range(position, position + 1)):
            return result
        raise KeyError(position)

    def among(self, positions: range | None = None) -> Iterator[tuple[int, Any]]:
        """Give (position, result) of those in this range (step 1) that are finished, None: of all.

        In the order in which they were finished.

        Raises:
            StoreError: a result cannot be read back.
        """
        for id, result in self._reader.results():
            position = self._positions.get(id)
            if position is not None and (positions is None or position in positions):
                yield position, result
