"""Slaves as tasks on the workers of a Dask cluster that is there already, whatever has started it.

::

    DaskLauncher (pool's thread)          our own client (its thread)             worker
      submit, cancel  ----------------->    a task for each relay  ---------->      ``slave.tasks.attend``
      Inbox  <--- finished, lost ------     a coroutine waits for it                   relay, in a Python of its own
      Reception  <---------------------- dials back ---------------------------------+

A relay takes one thread of its worker for as long as it lives. What does not fit waits in Dask's queue, and begins when
workers come. Where no number of slaves is said, there is one for each thread, and we look every second how many those
are. Our client is one of our own: that of the user may belong to his event loop, and stays as it is.

Only what Dask documents is used, but for ``loop.asyncio_loop`` (of tornado). In the client's thread its methods return
what is to be awaited. Tried with Dask 2024.1 and 2026.8.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future as LocalFuture
from typing import Any

from tracking.errors import EngineError, InputError
from tracking.fabrics.dask_cluster import CONNECT_S, Cluster, is_readable, loop_of_cluster, scheduler_of
from tracking.fabrics.dask_tasks import END_S, cancel, end, explain, find_worker, tell_end, watch_threads
from tracking.fabrics.inbox import Inbox
from tracking.fabrics.launcher import RelayNews
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.slave.tasks import Errand, attend
from tracking.wire.keys import Key

logger = logging.getLogger("tracking")

START_TIMEOUT_S = 86400.0
_warned_of: set[str] = set()  # addresses of schedulers


class DaskFabric(RelayedFabric):
    """Starts slaves as tasks of a Dask cluster.

    The slaves run in fresh processes of the Python of the workers, which must have this package.

    Where no number of slaves is said, neither here nor as ``hosts=``, they follow the cluster: there is one for each
    thread of its workers, at least one, however many there are in the course of time. With a number, those that do not
    fit wait in Dask's queue: that makes a cluster grow which adapts to its work (``cluster.adapt()``).

    The lines of slaves are encrypted. But the key for that comes to them over Dask's own lines: on a network that
    others can read, have Dask encrypt these, too (``Security``, addresses with ``tls://``); if not, a warning says so.

    Example::

        from dask.distributed import Client
        client = Client("tcp://scheduler:8786")           # or of a SLURMCluster, PBSCluster, ...
        TrackingJobMaster(data, function=f, fabric=DaskFabric(client)).calculate()

    Args:
        client_or_address: a client, a cluster, or the address of a scheduler; None: the client that is the current
            one of this program, or what Dask's configuration says.
        n: so many slaves are wanted where the user says no other number; None: one for each thread of the workers.
        resources: what each slave needs of Dask's abstract resources ({'GPU': 1}); then say ``n``, too.
        address, port, reachable_as, is_encrypted: where relays dial, see ``Reception``.
        start_timeout: seconds that a slave may take to come up, queues included; None: as long as it likes.
        connect_timeout: seconds that the scheduler may take to answer.

    Raises:
        ImportError: Dask is not installed.
        InputError: wrong use, or there is no client.
    """

    recalls_spare = True

    def __init__(
        self,
        client_or_address: Any = None,
        n: int | None = None,
        *,
        resources: Mapping[str, float] | None = None,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        start_timeout: float | None = START_TIMEOUT_S,
        connect_timeout: float = CONNECT_S,
    ) -> None:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise InputError(f"the number of slaves must be a whole number, at least 1; not {n!r}")

        def open_reception() -> Reception:
            return Reception(
                Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted
            )

        scheduler, security = scheduler_of(client_or_address)
        cluster = Cluster(scheduler, security, connect_timeout, loop_of_cluster(client_or_address))
        if is_encrypted and is_readable(scheduler) and scheduler not in _warned_of:
            _warned_of.add(scheduler)
            logger.warning(
                "Dask's own lines at %s are not encrypted: who can read them can learn the key of the slaves' lines; "
                "on a network that others can read, give Dask a Security with TLS",
                scheduler,
            )
        self._dask = DaskLauncher(cluster, n, dict(resources or {}), open_reception, start_timeout)
        super().__init__(self._dask)

    def wanted(self) -> int | None:
        """One for each thread, where the user has said no number."""
        return self._dask.wanted()


class DaskLauncher:
    """Brings relays to life as tasks.

    Args:
        cluster: which.
        count: so many slaves, where no other number is said; None: as many as there are threads.
        resources: what each task needs.
        open_reception: makes the place where relays dial.
        start_timeout_s: a slave may take so long; None: as long as it likes.
    """

    name = "dask"
    is_by_host = False
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(
        self,
        cluster: Cluster,
        count: int | None,
        resources: Mapping[str, float],
        open_reception: Callable[[], Reception],
        start_timeout_s: float | None,
    ) -> None:
        self.start_timeout_s = start_timeout_s
        self._cluster = cluster
        self._count = count
        self._resources = resources
        self._open_reception = open_reception
        self._reception: Reception | None = None
        self._inbox: Inbox | None = None
        self._tasks: dict[int, Any] = {}  # number -> Dask's future, of relays whose end is not told
        self._workers: dict[int, str] = {}  # number -> address, of relays that are up
        self._awaited: set[int] = set()  # that are not
        self._is_following = count is None  # until the user says a number
        self._wanted: int | None = None  # one for each thread; None: not known yet
        self._looking: LocalFuture[None] | None = None

    def wanted(self) -> int | None:
        """One slave for each thread, at least one; None: the user has said how many."""
        return self._wanted if self._is_following else None

    def check_host(self, host: str) -> None:
        """Dask chooses the hosts."""
        if host not in ("", self.name):
            raise InputError(f"Dask chooses the hosts: leave out {host!r}, or ask for it by resources=")

    def hosts_for(self, count: int | None) -> list[str]:
        """As many as are wanted, or as there are threads of workers; at least one. Asks the scheduler."""
        self._wanted = slaves_for(self._cluster.threads())
        self._is_following = self._is_following and count is None
        return [self.name] * (count or self._count or self._wanted)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Whether the scheduler answers."""
        try:
            self._cluster.threads()
        except EngineError as error:
            return dict.fromkeys(hosts, str(error))
        return {}

    # ---- starting

    def launch(self, numbers: Sequence[int], host: str) -> None:
        """A task for each."""
        client = self._cluster.client()
        if self._reception is None:
            self._reception, self._inbox = self._open_reception(), Inbox()
            if self._is_following:
                self._looking = self._cluster.do(watch_threads(client, self._threads_are))
        ticket = self._reception.ticket().text()
        for number in numbers:
            self._reception.expect(number)
            key = f"tracking-relay-{number}-{secrets.token_hex(4)}"
            self._tasks[number] = client.submit(
                attend, Errand(ticket, number, key), key=key,
                pure=False, retries=0, resources=dict(self._resources) or None,
            )  # fmt: skip
            self._awaited.add(number)
            self._cluster.do(tell_end(number, self._tasks[number], self._told_to()))

    def _threads_are(self, threads: Mapping[str, int]) -> None:
        """So many there are now; in the client's thread."""
        wanted, inbox = slaves_for(threads), self._inbox
        if wanted != self._wanted and inbox is not None:
            self._wanted = wanted
            inbox.wake()

    def _told_to(self) -> Callable[[RelayNews], None]:
        assert self._inbox is not None
        return self._inbox.put

    def line_is_cut(self, number: int) -> None:
        """Has its worker left? Dask would start the task again; that it must not."""
        future = self._tasks.get(number)
        if future is not None:
            worker = self._workers.get(number, "")
            self._cluster.do(
                explain(self._cluster.client(), number, future, worker, self._threads_are, self._told_to())
            )

    # ---- news

    def descriptors(self) -> Iterable[int]:
        if self._reception is None or self._inbox is None:
            return []
        return [*self._reception.descriptors(), self._inbox.bell.fileno()]

    def poll_within_s(self) -> float | None:
        return None if self._reception is None else self._reception.poll_within_s()

    def poll(self) -> list[RelayNews]:
        if self._reception is None or self._inbox is None:
            return []
        news: list[RelayNews] = []
        for up in self._reception.poll():
            if up.number in self._tasks:
                self._awaited.discard(up.number)
                self._cluster.do(
                    find_worker(self._cluster.client(), up.number, self._tasks[up.number], self._workers)
                )
                news.append(up)
            else:
                up.carrier.close()
        for told in self._inbox.take():
            if told.number in self._tasks:
                self._let_go(told.number)
                news.append(told)
        return news

    def waiting_for(self) -> str:
        return f"{len(self._awaited)} tasks wait for a free thread of a Dask worker" if self._awaited else ""

    # ---- ending

    def stop(self, number: int) -> None:
        """Cancel the task; a relay whose line ends ends itself, and with it what of the task is left."""
        self._let_go(number)

    def _let_go(self, number: int) -> None:
        future = self._tasks.pop(number, None)
        self._awaited.discard(number)
        self._workers.pop(number, None)
        if self._reception is not None:
            self._reception.forget(number)
        if future is not None:
            self._cluster.do(cancel(self._cluster.client(), [future]))

    def close(self) -> None:
        """Have all tasks end, cancel those that do not, and leave the cluster."""
        tasks, self._tasks = self._tasks, {}
        if self._reception is not None:
            self._reception.close()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if tasks:
            self._end_all(tasks)
        self._cluster.close()
        if self._inbox is not None:
            self._inbox.close()
        self._reception = self._inbox = None
        self._awaited.clear()
        self._workers.clear()

    def _end_all(self, tasks: Mapping[int, Any]) -> None:
        """The relays that were up have been told to end, so their tasks finish; the others are cancelled at once."""
        awaited = [future for number, future in tasks.items() if number in self._awaited]
        ending = [future for number, future in tasks.items() if number not in self._awaited]
        try:
            self._cluster.do(end(self._cluster.client(), awaited, ending)).result(2 * END_S)
        except Exception:
            logger.debug("tasks of Dask were not cancelled", exc_info=True)


def slaves_for(threads: Mapping[str, int]) -> int:
    """One for each thread of the workers; one that waits where there is none."""
    return max(1, sum(threads.values()))
