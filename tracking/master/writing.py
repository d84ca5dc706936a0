"""Hands results to the run file, those of a commit together; loaded when there is a run file.

::

    add, for each job --> a list --> write, before each commit --> one-item jobs: column by column
                                                               --> others: one by one
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from tracking.errors import EncodeError, StoreError
from tracking.pool.crew import SlaveInfo
from tracking.store.pickling import PROTOCOL, to_bytes
from tracking.store.records import JobRecord, SingleJobs
from tracking.store.run_file import RunFile

DIGEST_BYTES = 8

logger = logging.getLogger("tracking")


class _Done(NamedTuple):
    """A finished job, or a part of one; ``given_at``: seconds since 1970."""

    ids: Sequence[Hashable]
    results: Sequence[Any]
    slave: SlaveInfo
    given_at: float
    seconds: float
    positions: Sequence[int] | None

    @property
    def is_single(self) -> bool:
        """Whether it is one item, and where that stands is known."""
        return self.positions is not None and len(self.ids) == len(self.positions) == 1


class Writer:
    """Used by the master's thread.

    Args:
        run_file: gets the results.
        digests: gives those of the values of some ids; None if they are unknown.
    """

    def __init__(self, run_file: RunFile, digests: Callable[[Sequence[Hashable]], bytes | None]) -> None:
        self._run_file = run_file
        self._digests = digests
        self._done: list[_Done] = []

    def add(
        self,
        ids: Sequence[Hashable],
        results: Sequence[Any],
        slave: SlaveInfo,
        seconds: float,
        positions: Sequence[int] | None,
    ) -> None:
        """Note the results of one job; see ``Record.add``."""
        self._done.append(_Done(ids, results, slave, time.time() - seconds, seconds, positions))

    def write(self) -> bool:
        """Have all that was added recorded with the next commit; whether the file takes all of it."""
        done, self._done = self._done, []
        singles = [job for job in done if job.is_single]
        is_written = len(singles) > 1 and self._write_singles(singles)
        others = (job for job in done if not (is_written and job.is_single))
        refused = [job for job in others if not self._write(job)]
        return not refused

    def _write_singles(self, jobs: list[_Done]) -> bool:
        """Record jobs of one item all at once; False if one of them makes trouble, and none is recorded."""
        ids = [job.ids[0] for job in jobs]
        digests = self._digests(ids)
        try:
            payloads = [pickle.dumps(job.results, PROTOCOL) for job in jobs]
            self._run_file.record_singles(
                SingleJobs(
                    ids,
                    [job.positions[0] for job in jobs if job.positions],
                    payloads,
                    [job.slave.host for job in jobs],
                    [job.slave.nickname for job in jobs],
                    [job.given_at for job in jobs],
                    [job.seconds for job in jobs],
                    list(repeat(None, len(jobs)) if digests is None else _cut(digests)),
                )
            )
        except Exception:  # noqa: BLE001  (a user's own __reduce__ may raise anything; who is to blame is told then)
            return False
        return True

    def _write(self, job: _Done) -> bool:
        ids, slave = job.ids, job.slave
        try:
            payload = to_bytes(job.results, "the results of a job")
            digests = self._digests(ids)
            self._run_file.record(
                JobRecord(ids, payload, slave.host, slave.nickname, job.given_at, job.seconds, digests, job.positions)
            )
        except (EncodeError, StoreError) as error:
            # The file cannot take these, too large or no pickle; to lose them here as well would help nobody.
            shown = ", ".join(map(repr, ids[:5]))
            logger.error("the results of %d items (%s ...) are kept in memory only: %s", len(ids), shown, error)
            return False
        return True


def _cut(digests: bytes) -> list[bytes]:
    return [digests[place : place + DIGEST_BYTES] for place in range(0, len(digests), DIGEST_BYTES)]
