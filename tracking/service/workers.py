"""The slaves of a job, or of all jobs of a client."""

from __future__ import annotations

import difflib
import inspect
import threading
from typing import Any

from tracking.errors import InputError
from tracking.pool import SlavePool
from tracking.service.staying import StaysHere


class Workers(StaysHere):
    """Where values are mapped.

    Args:
        workers: None: here, one after the other; a ``SlavePool``, which is left running; or hosts for a pool of its
            own, or how many slaves, started when they are needed first.
        options: of that pool.
    """

    def __init__(self, workers: Any = None, **options: Any) -> None:
        _check_known(options)
        if options and (workers is None or isinstance(workers, SlavePool)):
            raise InputError(f"{next(iter(options))} is an option of slaves to be started: give hosts, or their number")
        self._lock = threading.Lock()
        self._hosts = workers
        self._options = options
        self._is_own = not isinstance(workers, SlavePool)
        self._pool: SlavePool | None = None if self._is_own else workers

    @property
    def are_there(self) -> bool:
        """Whether there are slaves at all."""
        return self._hosts is not None

    @property
    def pool(self) -> SlavePool:
        """The slaves; those of our own are started now."""
        with self._lock:
            if self._pool is None:
                self._pool = SlavePool(self._hosts, **self._options)
            return self._pool

    @property
    def poolsize(self) -> int:
        """So many values can be worked on at once; without slaves 1."""
        return max(1, len(self.pool.slaves)) if self.are_there else 1

    def add_hosts(self, hosts: Any) -> dict[str, str]:
        """More slaves, for all who use these; as ``SlavePool.add_hosts``.

        Raises:
            InputError: it works without slaves.
        """
        if not self.are_there:
            raise InputError("there are no slaves to which others could be added: give workers= at the start")
        return self.pool.add_hosts(hosts)

    def close(self) -> None:
        """End those of our own."""
        with self._lock:
            pool, self._pool = self._pool, (None if self._is_own else self._pool)
        if pool is not None and self._is_own:
            pool.shutdown()


def _check_known(options: dict[str, Any]) -> None:
    """Refuse at once what no pool takes: it would be started much later.

    Raises:
        InputError: there is no such option; says which one may be meant.
    """
    known = ["workers", *(name for name in inspect.signature(SlavePool).parameters if name != "hosts")]
    for name in options:
        if name not in known:
            meant = difflib.get_close_matches(name, known, 1)
            raise InputError(
                f"a client has no option {name!r}; "
                + (f"is {meant[0]!r} meant?" if meant else f"there are: {', '.join(known)}")
            )
