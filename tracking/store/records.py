"""What goes into a run file and what is read out of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A finished job, or a part of one that has finished by itself.

    Attributes:
        ids: the items.
        payload: the pickled list of their results, in the order of ``ids``.
        host, nickname: who worked on it.
        given_at: when it was given out, seconds since 1970.
        seconds: how long it was worked on.
    """

    ids: Sequence[Hashable]
    payload: bytes
    host: str
    nickname: str
    given_at: float
    seconds: float


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
