"""Client: where a program submits its jobs, on slaves that they share."""

from __future__ import annotations

import functools
import logging
import os
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tracking.errors import InputError
from tracking.service.staying import StaysHere
from tracking.service.streams import Listener, MessageStream
from tracking.service.workers import Workers

if TYPE_CHECKING:
    from tracking.service.proxies import Proxy
    from tracking.service.requests import Request

logger = logging.getLogger("tracking")

_lock = threading.Lock()
_current: list[tuple[int, Client]] = []  # thread -> a client that is open there, the innermost last


class Client(StaysHere):
    """Jobs on the same slaves. As a context manager it is the current client, and waits for its jobs at the end.

    Example:
        >>> from tracking.service import Client, Service, proxy
        >>> class Sum(Service):
        ...     version = "1"
        ...     def prepare(self, request): self.values = request.values
        ...     def run(self, handler): return sum(handler.map(abs, self.values))
        >>> with Client(workers=2):
        ...     proxy(Sum, values=[1, -2, 3]).wait()
        6

    Args:
        workers: where their ``map`` works: a ``SlavePool``; hosts, or how many slaves; None: here, without slaves.
        options: of the ``SlavePool`` that it starts, such as ``fabric``, ``memory_limit``, ``max_jobs``.

    Attributes:
        stream: the messages of all its jobs.
    """

    def __init__(self, workers: Any = None, **options: Any) -> None:
        self.stream = MessageStream()
        self.workers = Workers(workers, **options)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._jobs: dict[str, Proxy] = {}

    def submit(
        self,
        request: Request,
        service: Any = None,
        *,
        run_file: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        trust: bool = False,
    ) -> Proxy:
        """Begin a job; its proxy, at once.

        Args:
            service: the service, or its class; None: the exported one that the request names.
            run_file: where request, states and result are kept.
            folder: of the job: its run file, and what it prints.
            trust: accept a run file of others.

        Raises what ``ServiceHandler.start`` does, and what ``request.queue()`` raises.
        """
        from tracking.service.proxies import Proxy

        return Proxy(request, self, service=service, run_file=run_file, folder=folder, trust=trust)

    def resume(self, run_file: str | os.PathLike[str], service: Any = None, *, trust: bool = False) -> Proxy:
        """Go on with the job that a run file holds, from nothing but that file.

        Raises:
            StoreError: it holds none.
        """
        from tracking.service.keeping import kept_request

        return self.submit(kept_request(run_file, trust=trust), service, run_file=run_file, trust=trust)

    def attach(self, job: str) -> Proxy:
        """The proxy of a job, for who has let it go; the job has gone on.

        Raises:
            InputError: there is no such job; names those that there are.
        """
        with self._lock:
            if job not in self._jobs:
                known = ", ".join(self._jobs) or "there are none"
                raise InputError(f"there is no job {job!r}; those of this client: {known}")
            return self._jobs[job]

    @property
    def jobs(self) -> list[str]:
        """The names of all jobs, the oldest first."""
        with self._lock:
            return list(self._jobs)

    def listen(self, job: str, listener: Listener) -> None:
        """Hear a job: what it said so far, after a ``Joined``, and all that follows."""
        self.stream.listen(job, listener)

    def hangup(self, job: str | None, listener: Listener) -> None:
        """Hear it no more; None: none of them."""
        self.stream.hangup(job, listener)

    def forget(self, job: str) -> None:
        """Keep nothing of a job that has ended: neither its result nor what it said. Its proxy still works.

        Raises:
            InputError: there is no such job, or it has not ended.
        """
        proxy = self.attach(job)
        if not proxy.status.is_over:
            raise InputError(f"{job} is {proxy.status}: it can be forgotten when it has ended")
        with self._lock:
            self._jobs.pop(job, None)
        self.stream.forget(job)

    def add_hosts(self, hosts: Any) -> dict[str, str]:
        """More slaves, for all jobs; {host: why} of those that cannot be had."""
        return self.workers.add_hosts(hosts)

    def close(self) -> None:
        """Wait for all jobs, and end the slaves that it has started. In a forked child there is nothing to do.

        A job that has failed, and nobody asked for it or heard of it: that is said as a warning.
        """
        if os.getpid() != self._pid:
            return
        with self._lock:
            jobs = list(dict.fromkeys(self._jobs.values()))  # one that was restarted has several names
        for job in jobs:
            job._wait_unasked()
            if (failure := job._unasked_failure()) is not None:
                logger.warning("job %s failed and nobody asked for it: %s", job.job, failure)
        self.workers.close()

    def _add(self, name: str, proxy: Proxy) -> None:
        with self._lock:
            self._jobs[name] = proxy

    def __enter__(self) -> Client:
        with _lock:
            _current.append((threading.get_ident(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; if the block was left by an error, the jobs are told to end first."""
        with _lock:
            _current.remove(next(entry for entry in reversed(_current) if entry[1] is self))
        if kind is not None:
            for name in self.jobs:
                self.attach(name).abort()
        self.close()


def current_client() -> Client:
    """The client of this thread's innermost ``with Client(...)``, else of any thread's; else one without slaves."""
    with _lock:
        of_any = [client for _, client in _current]
        mine = [client for thread, client in _current if thread == threading.get_ident()]
        return (mine or of_any or [_without_slaves()])[-1]


@functools.cache
def _without_slaves() -> Client:
    return Client()
