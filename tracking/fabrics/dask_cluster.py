"""A Dask cluster that is there already: where it is, and a client of our own to it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from tracking.errors import EngineError, InputError

CONNECT_S = 20.0
_END_S = 5.0


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


def loop_of_cluster(client_or_address: Any) -> asyncio.AbstractEventLoop | None:
    """The event loop of the user in which the cluster lives; None: it lives elsewhere."""
    cluster = getattr(client_or_address, "cluster", client_or_address)  # of a client: what it was made for, or None
    if not getattr(cluster, "asynchronous", False):
        return None
    loop = getattr(getattr(cluster, "loop", None), "asyncio_loop", None)
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def is_readable(address: str) -> bool:
    """Whether others on the network could read what goes to this address of Dask.

    >>> [is_readable(a) for a in ("tcp://10.1.2.3:8786", "tls://10.1.2.3:8786", "tcp://127.0.0.1:8786", "inproc://1/2")]
    [True, False, False, False]
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in ("tls", "wss", "inproc"):
        return False
    host = parts.hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


class Cluster:
    """A client of our own, connected when it is first needed.

    Args:
        address: of the scheduler.
        security: what Dask needs for lines with TLS; None: nothing.
        connect_s: so long the scheduler may take to answer.
        loop: the event loop in which the cluster lives, so that it must not stand still; None: it lives elsewhere.
    """

    def __init__(
        self,
        address: str,
        security: Any = None,
        connect_s: float = CONNECT_S,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.address = address
        self._connect_s = connect_s
        self._security = security
        self._loop = loop
        self._client: Any = None

    def client(self) -> Any:
        """The client; waits for the scheduler, bounded.

        Raises:
            InputError: the scheduler cannot answer, since its event loop is that of this thread.
            EngineError: the scheduler does not answer.
        """
        if self._client is None:
            self._check_thread()
            options = {} if self._security is None else {"security": self._security}
            try:
                with ThreadPoolExecutor(1) as thread:  # in a notebook this one has an event loop already
                    thread.submit(asyncio.run, self._knock()).result()
                self._client = import_module("distributed").Client(
                    self.address, timeout=self._connect_s, set_as_default=False, asynchronous=False, **options
                )
            except Exception as error:
                raise EngineError(f"the Dask scheduler at {self.address} does not answer: {error}") from error
        return self._client

    def _check_thread(self) -> None:
        with suppress(RuntimeError):  # no loop runs here
            if asyncio.get_running_loop() is self._loop:
                raise InputError(
                    f"the Dask cluster at {self.address} lives in the event loop of this thread, which stands still "
                    "while slaves are waited for: use 'await asyncio.to_thread(...)' around the calculation, or make "
                    "the cluster without asynchronous=True"
                )

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

    def do(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Have this done in the client's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.client().loop.asyncio_loop)

    def close(self) -> None:
        """Leave the cluster. May be called twice."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # a scheduler that is gone needs no farewell
                client.close(timeout=_END_S)
