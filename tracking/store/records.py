"""What goes into a run file and what is read out of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class JobRecord(NamedTuple):
    """A finished job, or a part of one that has finished by itself. One is made for each job, so it is made fast.

    Attributes:
        ids: the items.
        payload: the pickled list of their results, in the order of ``ids``.
        host, nickname: who worked on it.
        given_at: when it was given out, seconds since 1970.
        seconds: how long it was worked on.
        digests: of the values that the results were made with, ``DIGEST_BYTES`` for each item; None: unknown.
        positions: where the ids probably stand in those that were given to ``RunFile.open``; None: nobody knows.
    """

    ids: Sequence[Hashable]
    payload: bytes
    host: str
    nickname: str
    given_at: float
    seconds: float
    digests: bytes | None = None
    positions: Sequence[int] | None = None


class SingleJobs(NamedTuple):
    """Many finished jobs of one item each, column by column; what the columns are see ``JobRecord``.

    Attributes:
        positions: all of them are known.
    """

    ids: list[Hashable]
    positions: list[int]
    payloads: Sequence[bytes]
    hosts: Sequence[str]
    nicknames: Sequence[str]
    given_at: Sequence[float]
    seconds: Sequence[float]
    digests: Sequence[bytes | None]

    def one_by_one(self) -> Iterator[JobRecord]:
        """The same jobs as such."""
        for id, position, payload, host, nickname, given_at, seconds, digest in zip(*self, strict=True):
            yield JobRecord((id,), payload, host, nickname, given_at, seconds, digest, (position,))


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something unusual that happened.

    Attributes:
        run: of which run.
        at: when, seconds since 1970.
        kind: in a word: 'lost', 'failed', 'timed out', 'given up', 'copied', 'silent', ...
        words: what, in a sentence.
        host, nickname: to whom; '' if to no slave.
        n_items: how many items it is about.
        ids: of these items, the first thousand at most.
    """

    run: int
    at: float
    kind: str
    words: str
    host: str
    nickname: str
    n_items: int
    ids: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One master that worked on the calculation; times are seconds since 1970.

    Attributes:
        state: 'running', 'interrupted', 'finished' or 'failed', as it stands in the file.
        ended_at: None if it did not end by itself.
        alive_at: its last sign of life in the file, at least every few seconds while it lives.
        code: fingerprint of the code, '' if unknown.
    """

    run: int
    host: str
    pid: int
    state: str
    started_at: float
    ended_at: float | None
    alive_at: float
    code: str


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """The recorded result of one item, without the result.

    Attributes:
        run: that recorded it.
        host, nickname: who made it.
        given_at, seconds, recorded_at: of its job; since 1970, seconds, since 1970.
        n_items: how many items its job had.
        outdated_by: the run that does not count it any more, None if it counts.
        why: it does not count: 'other code', 'another value' or both.
        digest: of the value that it was made with, None if unknown.
    """

    run: int
    host: str
    nickname: str
    given_at: float
    seconds: float
    recorded_at: float
    n_items: int
    outdated_by: int | None
    why: str | None
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An item that failed and has not been finished since.

    Attributes:
        id: the item.
        message: why, in words.
        host, nickname: who worked on it last.
        tries: how often it was begun.
        failed_at: when, seconds since 1970.
        error: the pickled error.
    """

    id: Hashable
    message: str
    host: str
    nickname: str
    tries: int
    failed_at: float
    error: bytes


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A state that is kept beside the results, without the state.

    Attributes:
        name: under which the newest one is kept.
        number: the first of this name is 1.
        at: when it was taken, seconds since 1970.
        run: that took it.
        size: bytes.
    """

    name: str
    number: int
    at: float
    run: int
    size: int


@dataclass(frozen=True, slots=True)
class HostSummary:
    """What one slave has done, all runs together; ``seconds`` worked in all."""

    nickname: str
    host: str
    jobs: int
    items: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a calculation stands.

    Attributes:
        state: 'running' (a live master holds the file), 'interrupted', 'finished' or 'failed'.
        started_at, updated_at: first begun, last written; seconds since 1970.
        owner: 'host:pid' of the last master.
        checkpoints: the states that are kept beside the results, by name.
    """

    path: Path
    state: str
    n_items: int
    n_finished: int
    n_failed: int
    started_at: float
    updated_at: float
    owner: str
    hosts: tuple[HostSummary, ...]
    checkpoints: tuple[CheckpointRecord, ...] = ()
