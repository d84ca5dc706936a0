"""How much a slave is given at once, and when a spare copy is worth it. Pure functions of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

_TARGET_JOB_S = 0.2  # an automatic job is to take so long ...
_NO_TIME_S = 1e-9  # a mean of so little, as of many zeros, says nothing of how many fit into a job
_SMALLEST_JOB_S = 0.004  # ... and is not cut smaller than this for the sake of an even end
_FEWEST_CUTS = 1.3  # a share is cut into so many jobs where jobs took what was expected of them ...
_CUTS_OF_SURPRISE = 6.0  # ... and into 0.6 more with each tenth that they took more or less than that
_MOST_GROWTH = 16  # an automatic job is at most so many times larger than any measured before
_LONG_JOB_S = 0.25  # jobs as long as this gain nothing from a second one waiting behind them
_SHORT_JOB_S = 0.001
_QUEUED_S = 0.002  # of jobs shorter than that, so much work is queued
_MOST_JOBS = 64
FEW_JOBS = 2  # as many as a slave holds of such jobs as are not tiny
_LARGE_JOB_BYTES = 1_000_000
_REST_SHARE = 0.04  # answers may lie for this share of the time of a job before they are read ...
_SHORTEST_REST_S, _LONGEST_REST_S = 0.001, 0.005
_ANSWERS_WORTH_A_REST = 2.0  # ... where so many come meanwhile
_PIECES = 16
_LONGEST_PART_S = 0.25
_PARTS_IN_LIMIT = 4
_ANSWER_S = 0.05  # the answer of an item that is the only one left is here within this time
_TOLD_S = 0.01  # the same of one that the slave told of: since when it runs is known, rather late than early
_COPY_COST_S = 0.002  # sending and receiving a spare copy takes about so long
_COPY_GAIN = 1.3  # a copy is made where the job would take so many times longer than it
_FIRST_BLIND_COPY_S = 1.0  # with nothing measured, copies are made of jobs that have run so long
RETRY_PATIENCE_S = 1.0  # a failed item waits so long for another slave than the one that it failed on
RECALL_PATIENCE_S = 0.25  # a recalled job is waited for so long before it is copied


ChunkSize = int | Literal["auto"]
Redistribute = bool | Literal["always"]


class Policy(NamedTuple):
    """What the user wants.

    Args:
        chunk_size: items per job, or 'auto': sized from measured item times.
        redistribute: whether running jobs may also be given to idle slaves at the end: where that is expected to
            finish them sooner, or 'always': each idle slave gets the items that were given out least often.
        retries: how often an item that raised is tried again.
        max_deaths: an item that was alone on a slave that died so often is given up; None: never.
        item_timeout_s: seconds that an item may take. None: no limit.
        items_report: slaves tell of each item when it is done, or runs for long. If not (a job goes through ``go``
            as a whole), a job of k items has k times the limit.
    """

    chunk_size: ChunkSize = "auto"
    redistribute: Redistribute = True
    retries: int = 0
    max_deaths: int | None = 2
    item_timeout_s: float | None = None
    items_report: bool = True

    @property
    def part_interval_s(self) -> float:
        """So often, at least, slaves tell how far they are (they compute it alike).

        >>> Policy().part_interval_s, Policy(item_timeout_s=0.1).part_interval_s
        (0.25, 0.025)
        """
        limit_s = math.inf if self.item_timeout_s is None else self.item_timeout_s
        return min(_LONGEST_PART_S, limit_s / _PARTS_IN_LIMIT)

    def time_limit_s(self, left: int, *, is_known: bool = False) -> float:
        """Seconds until a job has to say something, or its slave is ended.

        Args:
            left: items of the job that are not reported.
            is_known: which of them is running, and since when (else: since one report of the slave or after it).

        >>> policy = Policy(item_timeout_s=2.0)
        >>> policy.time_limit_s(10), policy.time_limit_s(10, is_known=True)
        (2.25, 2.01)
        >>> Policy(item_timeout_s=2.0, items_report=False).time_limit_s(10)
        20.0
        """
        limit_s = math.inf if self.item_timeout_s is None else self.item_timeout_s
        if not self.items_report:
            return max(1, left) * limit_s
        slack_s = _TOLD_S if is_known else _ANSWER_S if left <= 1 else self.part_interval_s
        return limit_s + min(slack_s, self.part_interval_s)

    def size(
        self,
        item_s: float | None,
        largest_job: int,
        remaining: int,
        slaves: int,
        slowness: float = 1.0,
        cuts: float = 2,
    ) -> int:
        """How many items the next job of a slave is to have.

        Args:
            item_s: measured seconds per item there, None if nothing was measured.
            largest_job: items of the largest job measured there.
            remaining: items not started.
            slaves: how many share them.
            slowness: items take so many times longer there.
            cuts: towards the end a slave's share of what is left is cut into so many jobs, the first of which it gets.

        >>> Policy(chunk_size=10).size(None, 0, 1000, 4, slowness=2.0)
        5
        >>> Policy().size(None, 0, 1000, 4), Policy().size(1e-6, 1, 1000, 4), Policy().size(0.01, 16, 1000, 4)
        (1, 16, 20)
        >>> Policy().size(0.01, 16, 32, 4), Policy().size(0.01, 16, 32, 4, cuts=4)
        (4, 2)
        """
        if self.chunk_size != "auto":
            return self.chunk_size if slowness <= 1.0 else max(1, int(self.chunk_size / slowness))
        if item_s is None:
            return 1
        fitting = _MOST_GROWTH * largest_job
        even = remaining / (cuts * max(1, slaves) * max(1.0, slowness))
        if item_s > _NO_TIME_S:
            fitting = min(fitting, int(_TARGET_JOB_S / item_s))
            even = max(even, _SMALLEST_JOB_S / item_s)
        return max(1, min(fitting, int(even)))

    def cuts(self, surprise: float, most: int) -> float:
        """Into how many jobs a slave's share of what is left is cut, see ``size``: the fewer, the surer their time is.

        Args:
            surprise: by what share of it the time of jobs was other than expected.
            most: into how many where nothing can be expected.

        >>> [round(Policy().cuts(surprise, most=3), 1) for surprise in (0.0, 0.02, 0.1, 1.0)]
        [1.3, 1.4, 1.9, 3]
        """
        return min(most, _FEWEST_CUTS + _CUTS_OF_SURPRISE * surprise)

    def depth(self, item_s: float | None, job_s: float, job_bytes: float) -> int:
        """How many jobs a slave holds at once: so many that it never waits for the next one.

        Args:
            item_s: measured seconds per item, None if nothing was measured.
            job_s: measured seconds per job.
            job_bytes: measured bytes per job, both ways.

        >>> policy = Policy(chunk_size=1)
        >>> [policy.depth(s, s, 100) for s in (None, 1.0, 0.01, 0.0001, 0.000001)]
        [1, 1, 2, 20, 64]
        """
        if item_s is None or job_s > _LONG_JOB_S or job_bytes > _LARGE_JOB_BYTES:
            return 1
        if job_s >= _SHORT_JOB_S or self.chunk_size == "auto":
            return FEW_JOBS
        return min(_MOST_JOBS, math.ceil(_QUEUED_S / max(job_s, 1e-6)))

    def rest_s(self, item_s: float | None, job_s: float, job_bytes: float, slaves: int) -> float:
        """For how long answers may lie, so that several are read at once; 0: not worth it, or somebody waits for them.

        What is read alone costs the master much more: all that it needs for that was driven out of the processor's
        caches, by as many slaves as make this worth it. They wait for nothing, each has its next job already.

        >>> policy = Policy(chunk_size=1)
        >>> [policy.rest_s(s, s, 100, 128) for s in (0.01, 0.05, 0.2, 1.0)]
        [0.0, 0.002, 0.005, 0.0]
        >>> policy.rest_s(0.05, 0.05, 100, 8)
        0.0
        """
        rest_s = min(_REST_SHARE * job_s, _LONGEST_REST_S)
        if rest_s < _SHORTEST_REST_S or slaves * rest_s < _ANSWERS_WORTH_A_REST * job_s:
            return 0.0
        return rest_s if self.depth(item_s, job_s, job_bytes) > 1 else 0.0

    def is_scarce(self, size: int, remaining: int, slaves: int) -> bool:
        """True when there is too little left to queue jobs of this size behind others."""
        return remaining < 2 * size * slaves

    def row(self, size: int, remaining: int, slaves: int, most: int) -> int:
        """How many jobs of this size, at most so many, a slave may be given at once: until there is too little left.

        >>> Policy(chunk_size=1).row(1, 1000, 2, 64), Policy(chunk_size=1).row(1, 10, 2, 64)
        (64, 7)
        """
        return max(0, min(most, remaining // size - 2 * slaves + 1))

    def leaves_last_jobs(self, size: int, slowness: float, remaining: int, others: int) -> bool:
        """True when a slow slave had better leave what remains to the ``others``, who are faster."""
        return others > 0 and slowness > 1.0 and size * slowness > remaining / others

    def is_worth_copying(self, remaining_s: float, copy_s: float, generation: int = 0) -> bool:
        """True when a spare copy is expected to be back clearly before the job itself.

        Args:
            remaining_s: expected time until the job is done.
            copy_s: expected time of the copy.
            generation: 0 for a first copy, 1 for a copy of that, ...
        """
        return remaining_s > self._worth_s(copy_s, generation)

    def late_after_s(self, expected_s: float, copy_s: float, generation: int = 0) -> float:
        """Seconds after its begin at which a job is so late that a spare copy is worth it.

        A job that is late by some time is expected to take as long again.
        """
        return expected_s + self._worth_s(copy_s, generation)

    def blind_copy_after_s(self, generation: int) -> float:
        """The same as ``late_after_s`` while nothing was measured."""
        return _FIRST_BLIND_COPY_S * math.pow(2.0, generation)

    def pieces(self, positions: Sequence[int], most: int = _PIECES) -> list[Sequence[int]]:
        """Cut the items of a job that failed or died, so that the guilty one is soon alone.

        >>> Policy().pieces(range(3))
        [range(0, 1), range(1, 2), range(2, 3)]
        >>> [len(piece) for piece in Policy().pieces(range(100), most=3)]
        [34, 34, 32]
        """
        size = max(1, math.ceil(len(positions) / max(1, most)))
        return [positions[first : first + size] for first in range(0, len(positions), size)]

    def _worth_s(self, copy_s: float, generation: int) -> float:
        return _COPY_GAIN * (copy_s + _COPY_COST_S) * math.pow(2.0, generation)
