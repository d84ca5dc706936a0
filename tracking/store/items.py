"""Which items a run file holds results of, and where."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from tracking.errors import StoreError
from tracking.store.finished import Finished
from tracking.store.id_blocks import are_same, ids_of
from tracking.store.old_items import Numbered
from tracking.store.positions import Positions, unpacked
from tracking.store.schema import columns, number


class JobItems(NamedTuple):
    """The items of one recorded job.

    Attributes:
        job: its number.
        first: the number of the first item in its list of results, from which the numbers of the others go on.
        positions: for each place in that list; None for a result that does not count.
    """

    job: int
    first: int
    positions: Positions

    def counting(self) -> tuple[Sequence[int], Sequence[int]]:
        """The numbers and the positions of those that count."""
        if isinstance(self.positions, range) or None not in self.positions:
            return range(self.first, self.first + len(self.positions)), cast("Sequence[int]", self.positions)
        pairs = [(item, place) for item, place in enumerate(self.positions, self.first) if place is not None]
        return [item for item, _ in pairs], [place for _, place in pairs]

    def without(self, outdated: Sequence[int]) -> JobItems:
        """The same, but these, sorted numbers of items, do not count."""
        begin = bisect_left(outdated, self.first)
        end = bisect_left(outdated, self.first + len(self.positions))
        if begin == end:
            return self
        left = list(self.positions)
        for item in outdated[begin:end]:
            left[item - self.first] = None
        return self._replace(positions=left)


class Items:
    """The items in a file of the present version; ``OldItems`` is the same for those of older ones.

    Args:
        connection: to the open file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._block: tuple[int, Sequence[Any]] = (0, ())  # the last one that was read: (its first position, ids)

    def n_finished(self) -> int:
        """Count the finished items."""
        return number(self._connection, "SELECT (SELECT sum(items) FROM jobs) - (SELECT count(*) FROM outdated)")

    def ids(self, begin: int = 0) -> Sequence[Any]:
        """Give the ids of all items from a block that begins there, in their order; as a range if they are one."""
        blocks = [block for _, block in self._blocks(begin)]
        return blocks[0] if len(blocks) == 1 else [id for block in blocks for id in block]

    def begin_with(self, given: Sequence[Any]) -> bool:
        """Whether the ids begin with these, in their order; without a copy of them all."""
        n = 0
        for first, block in self._blocks():
            if first >= len(given):
                break
            if not are_same(given, first, block):
                return False
            n = first + len(block)
        return n == len(given)

    def as_range(self, n: int) -> range | None:
        """Give the first ``n`` ids if they are whole numbers one after the other, else None."""
        first = next(self._blocks(), (0, ()))[1]
        return first[:n] if isinstance(first, range) and len(first) >= n else None

    def _blocks(self, begin: int = 0) -> Iterator[tuple[int, Sequence[Any]]]:
        rows = self._connection.execute(
            "SELECT first, items, ids, keys FROM ids WHERE first >= ? ORDER BY first", (begin,)
        )
        return ((first, ids_of(*row)) for first, *row in rows)

    def ids_at(self, positions: Sequence[int]) -> Sequence[Any]:
        """Give the ids at these positions."""
        if isinstance(positions, range) and positions:
            first, block = self._block_of(positions[0])
            if positions[-1] < first + len(block):
                return block[positions[0] - first : positions[-1] + 1 - first]
        return [self._id_at(position) for position in positions]

    def finished_ids(self) -> Iterator[Any]:
        """Give the ids of the finished items."""
        return (id for run in self.finished().runs() for id in self.ids_at(run))

    def finished(self) -> Finished:
        """Tell which items are finished, by position."""
        finished = Finished()
        for job in self.jobs():
            finished.add(job.counting()[1])
        return finished

    def last(self) -> int:
        """Give the highest number of an item, 0 if there is none."""
        query = "SELECT first_item, positions, items FROM jobs ORDER BY job DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return int(row[0]) + len(unpacked(row[1], row[2])) - 1 if row else 0

    def outdated(self) -> list[int]:
        """Give the numbers of the items whose results do not count any more, sorted."""
        return [item for (item,) in self._connection.execute("SELECT item FROM outdated ORDER BY item")]

    def jobs(self, begin: int = 0, end: int | None = None) -> Iterator[JobItems]:
        """Give the jobs of these numbers, inclusive, with what counts of them."""
        outdated = self.outdated()
        query = "SELECT job, first_item, positions, items FROM jobs WHERE job >= ? AND job <= ? ORDER BY job"
        rows = self._connection.execute(query, (begin, 2**63 - 1 if end is None else end))
        for job, first, positions, items in rows:
            yield JobItems(job, first, unpacked(positions, items)).without(outdated)

    def of_jobs(self, begin: int, end: int) -> dict[int, Numbered]:
        """Give {job: its results that count} for the jobs from ``begin`` up to ``end``, inclusive."""
        found = {}
        for job in self.jobs(begin, end):
            items, positions = job.counting()
            if items:
                found[job.job] = items, self.ids_at(positions)
        return found

    def made(self, id: Hashable) -> list[tuple[int, int]]:
        """Give (item, job) of each recorded result of this item, the oldest first."""
        position = self.position(id)
        if position is None:
            return []
        query = (
            "SELECT first_item, job, positions, items FROM jobs WHERE typeof(positions) = 'text' AND "
            "instr(positions, ?) OR typeof(positions) = 'integer' AND positions <= ? AND positions + items > ? "
            "ORDER BY job"
        )
        rows = self._connection.execute(query, (str(position), position, position))
        found = ((first, job, unpacked(positions, items)) for first, job, positions, items in rows)
        return [(first + places.index(position), job) for first, job, places in found if position in places]

    def position(self, id: Hashable) -> int | None:
        """Where this id stands in the list of ids, None if nowhere; without an index, so not for many."""
        shown, _ = columns(id)
        whole = shown if isinstance(shown, int) else None
        query = (
            "SELECT first, items, ids, keys FROM ids WHERE typeof(ids) = 'integer' AND ids <= ? AND ids + items > ? "
            "OR typeof(ids) = 'text' AND (keys NOT NULL OR instr(ids, ?))"
        )
        for first, *row in self._connection.execute(query, (whole, whole, json.dumps(shown))):
            ids = ids_of(*row)
            if id in ids:
                return int(first) + ids.index(id)
        return None

    def _id_at(self, position: int) -> Any:
        first, block = self._block_of(position)
        return block[position - first]

    def _block_of(self, position: int) -> tuple[int, Sequence[Any]]:
        first, block = self._block
        if not first <= position < first + len(block):
            query = "SELECT first, items, ids, keys FROM ids WHERE first <= ? ORDER BY first DESC LIMIT 1"
            found = self._connection.execute(query, (position,)).fetchone()
            if found is None or position >= found[0] + found[1]:
                raise StoreError(f"it is damaged: the id of item {position} is missing")
            self._block = found[0], ids_of(*found[1:])
        return self._block
