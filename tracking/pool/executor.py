"""What a pool and its sessions have in common: ``map``, and objects that its slaves share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import chain, repeat
from threading import Lock
from typing import TYPE_CHECKING, Any

from tracking.errors import EncodeError
from tracking.pool import arguments
from tracking.pool.chunks import chunked
from tracking.slave.calling import call_chunk
from tracking.wire import codec, mainmodule, mapped

if TYPE_CHECKING:
    from tracking.pool.crew import Crew
    from tracking.pool.sharing import Shared


class CrewExecutor(Executor):
    """An executor whose calls are made by a crew."""

    _crew: Crew
    _call_chunk: Callable[..., Any] = staticmethod(call_chunk)  # makes the calls of a chunk

    @abstractmethod
    def check_is_open(self, action: str) -> None:
        """Raise a RuntimeError that says so if no calls are taken any more."""

    def share(self, thing: Any) -> Shared:
        """Have an object on the slaves of the pool that many calls need, without sending it with each of them.

        What this returns stands for the object wherever it is sent to these slaves: among the arguments of calls, in a
        function of a master, in its data, in what ``getInitParameters`` returns. There it is the object itself, the
        same one for all calls of a calculation on a slave. It goes to each host once, and lies there in memory once:
        arrays in it (above 64 KiB) are not copied for each slave, and cannot be written to; what else there is in it
        each slave makes for itself. It is shared as it is now, until it is closed (it is a context manager, too), or
        the pool ends.

        Example:
            >>> from tracking import SlavePool
            >>> with SlavePool(["localhost"]) as pool, pool.share([2, 3, 5, 7]) as primes:
            ...     [pool.submit(list.index, primes, prime).result() for prime in (3, 7)]
            [1, 3]

        Args:
            thing: any object that can be sent.

        Raises:
            EncodeError: it cannot be sent.
            RuntimeError: the pool is shut down.
            InputError: the pool was made in another process.
        """
        self._crew.check_own_process()
        self.check_is_open("share an object")
        return self._shared(mainmodule.encode_function(thing, "the shared object"))

    def _shared(self, payload: codec.Payload) -> Shared:
        from tracking.pool.sharing import Shared  # most pools share nothing

        return Shared(self._crew, payload)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """``fn`` of the elements, in their order; ``chunksize`` of them travel together, and fail together.

        A function that brings a large object along, as ``partial(fn, array)``, goes to each host once: see ``share``.
        """
        arguments.checked_number("chunksize", chunksize, 1, is_whole=True)
        shared = self._shared_if_large(fn)
        if shared is None:
            return self._map(self, fn, iterables, timeout, chunksize)
        caller = _Sharing(self, shared)
        try:
            return self._map(caller, shared, iterables, timeout, chunksize)
        finally:
            caller.one_is_done()

    def _map(
        self, caller: Executor, fn: Any, iterables: tuple[Iterable[Any], ...], timeout: float | None, chunksize: int
    ) -> Iterator[Any]:
        if chunksize == 1:
            return Executor.map(caller, fn, *iterables, timeout=timeout)
        chunks = chunked(zip(*iterables, strict=False), chunksize)
        return chain.from_iterable(Executor.map(caller, self._call_chunk, repeat(fn), chunks, timeout=timeout))

    def _shared_if_large(self, fn: Callable[..., Any]) -> Any:
        try:
            payload = mainmodule.encode_function(fn, "the function")
        except EncodeError:  # each call will say so
            return None
        return self._shared(payload) if payload.size >= mapped.SHARE_FROM_BYTES else None


class _Sharing(Executor):
    """Submits calls that need a shared object, which is closed when the last of them has an outcome."""

    def __init__(self, executor: Executor, shared: Shared) -> None:
        self._executor = executor
        self._shared = shared
        self._lock = Lock()
        self._left = 1  # calls, and one as long as there may be more

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            self._left += 1
        try:
            future = self._executor.submit(fn, *args, **kwargs)
        except BaseException:
            self.one_is_done()
            raise
        future.add_done_callback(self.one_is_done)
        return future

    def one_is_done(self, _: object = None) -> None:
        """One call less."""
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            self._shared.close()
