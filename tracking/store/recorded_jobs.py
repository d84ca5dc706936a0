"""The recorded jobs one after the other, with what is needed to compare them; those of one item many at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any, NamedTuple

from tracking.store.changes import DIGEST_BYTES
from tracking.store.items import JobItems
from tracking.store.positions import unpacked

_AT_ONCE = 10_000

_QUERY = (
    "SELECT job, first_item, positions, items, run, digests FROM jobs WHERE job >= ? AND job <= ? ORDER BY job"
)


class RecordedJobs(NamedTuple):
    """A job, or several of one item each that come one after the other.

    Attributes:
        last: the number of the last of them.
        items: of all of them, as if they were one.
        run: that recorded them.
        digests: of their values, None if unknown.
    """

    last: int
    items: JobItems
    run: int
    digests: bytes | None


def recorded_jobs(connection: sqlite3.Connection, begin: int = 0, end: int = 2**63 - 1) -> Iterator[RecordedJobs]:
    """Give the jobs of these numbers, inclusive."""
    for (is_single, _, _), rows in groupby(connection.execute(_QUERY, (begin, end)), _kind):
        while part := list(islice(rows, _AT_ONCE if is_single else 1)):
            yield _together(part) if len(part) > 1 else _alone(*part[0])


def _kind(row: tuple[Any, ...]) -> tuple[bool, int, int]:
    """Rows of one kind that follow each other may be taken together."""
    job, first, positions, items, run, digests = row
    is_one = items == 1 and type(positions) is int and positions >= 0
    if is_one and digests is not None and len(digests) == DIGEST_BYTES:
        return True, run, first - job
    return False, run, job


def _together(rows: list[tuple[Any, ...]]) -> RecordedJobs:
    jobs, firsts, positions, _, runs, digests = zip(*rows, strict=True)
    return RecordedJobs(jobs[-1], JobItems(jobs[0], firsts[0], positions), runs[0], b"".join(digests))


def _alone(
    job: int, first: int, positions: int | str, items: int, run: int, digests: bytes | None
) -> RecordedJobs:
    return RecordedJobs(job, JobItems(job, first, unpacked(positions, items)), run, digests)
