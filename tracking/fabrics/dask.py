"""Slaves as tasks on the workers of a Dask cluster that is there already, whatever has started it.

::

    DaskLauncher (pool's thread)          our own client (its thread)             worker
      submit, cancel  ----------------->    a task for each relay  ---------->      ``slave.tasks.attend``
      Inbox  <--- finished, lost ------     a coroutine waits for it                   relay, in a Python of its own
      Reception  <---------------------- dials back ---------------------------------+

A relay takes one thread of its worker for as long as it lives. What does not fit waits in Dask's queue, and begins when
workers come. Our client is one of our own: that of the user may belong to his event loop, and stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future as LocalFuture
from contextlib import suppress
from importlib import import_module
from typing import Any

from tracking.errors import EngineError, InputError
from tracking.fabrics.inbox import Inbox
from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.local import exit_in_words
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.slave.tasks import Errand, Report, attend
from tracking.wire.keys import Key

logger = logging.getLogger("tracking")

START_TIMEOUT_S = 86400.0
_CONNECT_S = 20.0
_ASK_S = 10.0
_END_S = 5.0


class DaskFabric(RelayedFabric):
    """Starts slaves as tasks of a Dask cluster.

    The slaves run in fresh processes of the Python of the workers, which must have this package. Dask's own lines
    carry the key of the pool to them: on a network that others can read, use Dask's own TLS, too.

    Example::

        from dask.distributed import Client
        client = Client("tcp://scheduler:8786")           # or of a SLURMCluster, PBSCluster, ...
        TrackingJobMaster(data, function=f, fabric=DaskFabric(client)).calculate()

    Args:
        client_or_address: a client, a cluster, or the address of a scheduler; None: the client that is the current
            one of this program, or what Dask's configuration says.
        n: so many slaves are wanted where the user says no other number; None: one for each thread that the workers
            have when the pool is made.
        resources: what each slave needs of Dask's abstract resources ({'GPU': 1}).
        address, port, reachable_as, is_encrypted: where relays dial, see ``Reception``.
        start_timeout: seconds that a slave may take to come up, queues included; None: as long as it likes.
        connect_timeout: seconds that the scheduler may take to answer.

    Raises:
        ImportError: Dask is not installed.
        InputError: wrong use, or there is no client.
    """

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
        connect_timeout: float = _CONNECT_S,
    ) -> None:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise InputError(f"the number of slaves must be a whole number, at least 1; not {n!r}")

        def open_reception() -> Reception:
            return Reception(
                Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted
            )

        cluster = Cluster(*scheduler_of(client_or_address), connect_timeout)
        super().__init__(DaskLauncher(cluster, n, dict(resources or {}), open_reception, start_timeout))


def scheduler_of(client_or_address: Any) -> tuple[str, Any]:
    """Address of the scheduler that is meant, and what its security needs.

    Raises:
        InputError: it cannot be found out.
    """
    distributed = import_module("distributed")
    if client_or_address is None:
        try:
            client_or_address = distributed.default_client()
        except ValueError:
            client_or_address = import_module("dask").config.get("scheduler-address", None)
    if isinstance(client_or_address, str):
        return client_or_address, None
    scheduler = getattr(client_or_address, "scheduler", None)
    address = getattr(client_or_address, "scheduler_address", None) or getattr(scheduler, "address", None)
    if not isinstance(address, str) or not address:
        raise InputError(
            "which Dask cluster? Give DaskFabric a client that is connected, a cluster that has started, "
            f"or the address of a scheduler ('tcp://host:8786'), not {client_or_address!r}"
        )
    return address, getattr(client_or_address, "security", None)


class Cluster:
    """A client of our own, connected when it is first needed.

    Args:
        address: of the scheduler.
        security: what Dask needs for lines with TLS; None: nothing.
        connect_s: so long the scheduler may take to answer.
    """

    def __init__(self, address: str, security: Any = None, connect_s: float = _CONNECT_S) -> None:
        self.address = address
        self._connect_s = connect_s
        self._security = security
        self._client: Any = None

    def client(self) -> Any:
        """The client; waits for the scheduler, bounded.

        Raises:
            EngineError: the scheduler does not answer.
        """
        if self._client is None:
            options = {} if self._security is None else {"security": self._security}
            try:
                asyncio.run(self._knock())
                self._client = import_module("distributed").Client(
                    self.address, timeout=self._connect_s, set_as_default=False, **options
                )
            except Exception as error:
                raise EngineError(f"the Dask scheduler at {self.address} does not answer: {error}") from error
        return self._client

    async def _knock(self) -> None:
        """See whether the scheduler is there: a client that finds none leaves a thread behind."""
        if not self.address.startswith("inproc://"):
            arguments = {} if self._security is None else self._security.get_connection_args("client")
            comms = import_module("distributed.comm")
            comm = await comms.connect(self.address, timeout=self._connect_s, **arguments)
            await comm.close()

    def threads(self) -> dict[str, int]:
        """{address of a worker: how many threads it has} now.

        Raises:
            EngineError: the scheduler does not answer.
        """
        client = self.client()
        try:
            return dict(client.nthreads())
        except Exception as error:
            raise EngineError(f"the Dask scheduler at {self.address} does not answer: {error}") from error

    def do(self, work: Coroutine[Any, Any, Any]) -> LocalFuture[Any]:
        """Have this done in the client's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.client().loop.asyncio_loop)

    def close(self) -> None:
        """Leave the cluster. May be called twice."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # a scheduler that is gone needs no farewell
                client.close(timeout=_END_S)


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

    def check_host(self, host: str) -> None:
        """Dask chooses the hosts."""
        if host not in ("", self.name):
            raise InputError(f"Dask chooses the hosts: leave out {host!r}, or ask for it by resources=")

    def hosts_for(self, count: int | None) -> list[str]:
        """As many as are wanted, or as there are threads of workers; at least one. Asks the scheduler."""
        threads = sum(self._cluster.threads().values())
        return [self.name] * (count or self._count or threads or 1)

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
        ticket = self._reception.ticket().text()
        for number in numbers:
            self._reception.expect(number)
            self._tasks[number] = client.submit(
                attend, Errand(ticket, number), key=f"tracking-relay-{number}-{secrets.token_hex(4)}",
                pure=False, retries=0, resources=dict(self._resources) or None,
            )  # fmt: skip
            self._awaited.add(number)
            self._cluster.do(_wait_for(number, self._tasks[number], self._told_to()))

    def _told_to(self) -> Callable[[RelayNews], None]:
        assert self._inbox is not None
        return self._inbox.put

    def line_is_cut(self, number: int) -> None:
        """Has its worker left? Dask would start the task again; that it must not."""
        future = self._tasks.get(number)
        if future is not None:
            worker = self._workers.get(number, "")
            self._cluster.do(_explain(number, worker, future, self._told_to()))

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
                self._cluster.do(_find_worker(up.number, self._tasks[up.number], self._workers))
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
            self._cluster.do(_cancel([future]))

    def close(self) -> None:
        """Have all tasks end, cancel those that do not, and leave the cluster."""
        tasks, self._tasks = self._tasks, {}
        if self._reception is not None:
            self._reception.close()
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
            self._cluster.do(_end(awaited, ending)).result(2 * _END_S)
        except Exception:
            logger.debug("tasks of Dask were not cancelled", exc_info=True)


# ---- in the client's thread


async def _wait_for(number: int, future: Any, tell: Callable[[RelayNews], None]) -> None:
    """Tell how the task has ended."""
    outcome = await future._result(raiseit=False)
    if isinstance(outcome, Report):
        how = exit_in_words(outcome.how) if isinstance(outcome.how, int) else outcome.how
        tell(RelayEnded(number, f"relay on Dask worker {outcome.worker}: {how}", outcome.printed))
    elif future.status == "error":
        outcome = outcome[1]
        hint = ": install this package for the workers, too" if isinstance(outcome, ImportError) else ""
        tell(RelayEnded(number, f"task of Dask: {type(outcome).__name__}: {outcome}{hint}"))
    else:
        tell(RelayEnded(number, f"its task was {future.status} by Dask"))


async def _find_worker(number: int, future: Any, workers: dict[int, str]) -> None:
    """Note on which worker the task is."""
    with suppress(Exception):  # it is for words only
        processing = await asyncio.wait_for(future.client.scheduler.processing(workers=None), _ASK_S)
        for worker, keys in processing.items():
            if future.key in keys:
                workers[number] = worker


async def _explain(number: int, worker: str, future: Any, tell: Callable[[RelayNews], None]) -> None:
    """Tell why the line of a relay is cut, as far as the scheduler knows."""
    name = f"Dask worker {worker}" if worker else "its Dask worker"
    words = f"{name}: the line of its relay was cut"
    with suppress(Exception):
        there = await asyncio.wait_for(future.client.scheduler.ncores(), _ASK_S)
        if worker and worker not in there:
            words = f"{name} has left the cluster"
    tell(RelayEnded(number, words))


async def _cancel(futures: list[Any]) -> None:
    if futures:
        with suppress(Exception):  # the scheduler is gone: with it the tasks
            await futures[0].client._cancel(futures, force=True)


async def _end(awaited: list[Any], ending: list[Any]) -> None:
    await _cancel(awaited)
    waits = [asyncio.ensure_future(future._state.wait()) for future in ending]
    if waits:
        await asyncio.wait(waits, timeout=_END_S)
    for wait in waits:
        wait.cancel()
    await _cancel(ending)
