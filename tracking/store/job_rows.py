"""Finished jobs as rows for the next commit; and so which items are finished."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence, Set
from itertools import repeat

from tracking.store.id_blocks import rows_of
from tracking.store.opening import Opened
from tracking.store.pending import Pending
from tracking.store.positions import Positions, packed
from tracking.store.records import JobRecord, SingleJobs


class JobRows:
    """Gives each job and each item its number.

    Args:
        opened: the file.
        pending: gets the rows.
        clock: gives seconds since 1970.

    Attributes:
        places: of ids in the file's list of them.
        order: in which they were given, against that of the file.
        finished: the positions of the recorded items, committed or not.
    """

    def __init__(self, opened: Opened, pending: Pending, clock: Callable[[], float]) -> None:
        self.places = opened.places
        self.order = opened.order
        self.finished = opened.finished
        self._run = opened.run
        self._next_job = opened.last_job + 1
        self._next_item = opened.last_item + 1
        self._pending = pending
        self._clock = clock

    def finished_ids(self) -> Set[Hashable]:
        """The ids of the recorded items, in a new set."""
        return {id for run in self.finished.runs() for id in self.places.at(run)}

    def finished_positions(self) -> Iterator[range]:
        """The positions of the recorded items among the ids as they were given, ascending."""
        return self.order.runs(self.finished)

    def finished_position(self, id: Hashable) -> int | None:
        """The position in the file of this item if it is finished, else None."""
        position = self.places.position(id)
        return position if position is not None and position in self.finished else None

    def add(self, job: JobRecord) -> None:
        """One job. Of an item recorded before nothing changes.

        Raises:
            EncodeError: an id cannot be pickled.
        """
        found = self._positions(job)
        positions: Positions = self.finished.left_of(found) if self.finished.has_any(found) else found
        n = len(found) if positions is found else len(found) - positions.count(None)
        if n == 0:
            return
        self.finished.add(found)
        self._pending.jobs.append((
            self._next_job, self._run, job.host, job.nickname, job.given_at, job.seconds, self._clock(),
            self._next_item, n, packed(positions), job.digests, job.payload,
        ))  # fmt: skip
        self._next_job += 1
        self._next_item += len(positions)

    def add_singles(self, jobs: SingleJobs) -> bool:
        """Many jobs of one item each, nothing of which is done in Python for each; False if that cannot be."""
        positions, n = jobs.positions, len(jobs.positions)
        if not self.order.is_same or self.places.at(positions) != jobs.ids or not self.finished.add_new(positions):
            return False
        numbers = range(self._next_job, self._next_job + n)
        items = range(self._next_item, self._next_item + n)
        self._pending.jobs += zip(
            numbers, repeat(self._run), jobs.hosts, jobs.nicknames, jobs.given_at, jobs.seconds, repeat(self._clock()),
            items, repeat(1), positions, jobs.digests, jobs.payloads,
        )  # fmt: skip
        self._next_job += n
        self._next_item += n
        return True

    def _positions(self, job: JobRecord) -> Sequence[int]:
        n_known = len(self.places)
        positions = self.places.positions(job.ids, job.positions if self.order.is_same else None)
        if len(self.places) > n_known:
            self._pending.ids += rows_of(self.places.at(range(n_known, len(self.places))), n_known)
        return positions
