"""Tiny jobs go out and come back many at a time, in a row: each is a job as any other, but they are decided on at once.

::

    supply ── so many fit ──> jobs_in_row: Items.take once, then a Job and a SendJob each
    JobsDone ── all of them plain heads? ──> Items.finish once, one look at what comes next
                      └── no ──> as if each had come alone
"""

from __future__ import annotations

from collections.abc import Sequence

from tracking.core.jobs import Job, JobState
from tracking.core.slaves import Slave


def jobs_in_row(slave: Slave, positions: Sequence[int], size: int, number: int, now: float) -> list[Job]:
    """Jobs of these items, so many each, with numbers from this one on."""
    firsts = range(0, len(positions), size)
    return [Job(n, slave, positions[i : i + size], now) for n, i in enumerate(firsts, number)]


def plain_heads(slave: Slave, numbers: Sequence[int]) -> list[Job]:
    """The jobs that the slave does first, if they are these and nothing is special about any; else none.

    Special is a job that is to come back, that others have items of, or whose items had trouble before.
    """
    heads = []
    for number, job in zip(numbers, slave.jobs, strict=False):
        is_special = job.state > JobState.RUNNING or job.race is not None or job.tries or job.is_alone
        if job.number != number or is_special:
            return []
        heads.append(job)
    return heads if len(heads) == len(numbers) else []
