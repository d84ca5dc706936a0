"""What each slave has of the cores of its host: how many threads its libraries start, and which CPUs it may use."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tracking.errors import InputError
from tracking.fabrics.settings import HostSettings, checked_affinity
from tracking.slave.cores import Share

_DEFAULT = "default"
_MOST_THREADS = 1_000_000

T = TypeVar("T")


class Shares:
    """Shares of the slaves of a pool or master, host by host.

    >>> shares = Shares(None, {"node": "each", "default": ["0-3", "4-7"]}, {"node": HostSettings(threads=2)})
    >>> shares.next("node"), shares.next("node"), shares.next("other")  # doctest: +NORMALIZE_WHITESPACE
    (Share(number=0, threads=2, affinity='each'), Share(number=1, threads=2, affinity='each'),
     Share(number=0, threads=None, affinity='0-3 4-7'))

    Args:
        threads, affinity: as given to a pool; {host: such, 'default': such} where hosts differ.
        settings: {host: what a hosts file says}, which goes before what holds for all; more may come into it later.

    Raises:
        InputError: one of them cannot be; names it.
    """

    def __init__(self, threads: Any, affinity: Any, settings: Mapping[str, HostSettings]) -> None:
        self._threads = _by_host("threads", threads, _checked_threads)
        self._affinity = _by_host("affinity", affinity, checked_affinity)
        self._settings = settings
        self._counts: Counter[str] = Counter()  # under _lock
        self._lock = threading.Lock()

    def next(self, host: str) -> Share:
        """That of the next slave on this host; from any thread."""
        its = self._settings.get(host, HostSettings())
        with self._lock:
            number = self._counts[host]
            self._counts[host] += 1
        threads = _of(host, self._threads, its.threads, None)
        return Share(number, threads, _of(host, self._affinity, its.affinity, ""))


def _of(host: str, given: Mapping[str, T], of_file: T | None, otherwise: T) -> T:
    if host in given:
        return given[host]
    return given.get(_DEFAULT, otherwise) if of_file is None else of_file


def _by_host(name: str, value: Any, checked: Callable[[str, Any], T]) -> dict[str, T]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return {_DEFAULT: checked(name, value)}
    return {host: checked(f"{name} of {host!r}", one) for host, one in value.items()}


def _checked_threads(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_THREADS):
        return value
    raise InputError(
        f"{name} must be a whole number, 0 for as many as libraries choose themselves, or None; not {value!r}"
    )
