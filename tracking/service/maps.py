"""Maps over the slaves, which an abort ends at once.

::

    computation thread                         service thread
      map --> a master on the pool  <--stop---   end_all(): abort, for good
      mapper --> a session          <--end----   cancel(): those that run now
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NoReturn

from tracking.errors import InputError, Interrupted, ItemError, ItemRaised
from tracking.master import TrackingJobMaster
from tracking.pool.arguments import checked_choice, checked_number
from tracking.pool.session import Session
from tracking.service import tasks
from tracking.service.aborting import AbortService, MapCancelled
from tracking.service.messages import trace_of, words_of
from tracking.service.staying import StaysHere
from tracking.service.workers import Workers

_MEANT_FOR_SLAVES = frozenset({"chunk_size", "redistribute", "max_deaths", "verbose"})
_LONG_ENOUGH_S = 0.01  # a job of a mapper should take so long, if there are enough values


class Maps:
    """The maps of one job.

    Args:
        workers: where.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._lock = threading.Lock()
        self._running: dict[int, Callable[[], object]] = {}  # number -> what ends it
        self._cancelled: set[int] = set()
        self._count = 0
        self._is_aborted = False
        self.is_left = False  # the computation was told to end; written by its threads

    # ---- from the service thread

    def end_all(self) -> None:
        """The job was told to end: running maps are left at once, later ones do not begin."""
        with self._lock:
            self._is_aborted = True
            ends = list(self._running.values())
        for end in ends:
            end()

    def cancel(self) -> int:
        """Give up the maps that run now; so many."""
        with self._lock:
            self._cancelled.update(self._running)
            ends = list(self._running.values())
        for end in ends:
            end()
        return len(ends)

    # ---- from the computation

    def map(self, function: Callable[[Any], Any], values: Iterable[Any], **options: Any) -> list[Any]:
        """The results in the order of the values; see ``ServiceHandler.map``."""
        data = dict(enumerate(values))
        collects = checked_choice("on_error", options.pop("on_error", "raise"), ("raise", "collect")) == "collect"
        if not self.workers.are_there:
            return self._serial(function, data, collects, **options)
        if not data:
            return []
        all_options: dict[str, Any] = {"chunk_size": "auto", "verbose": 0} | options
        self.check()
        master = TrackingJobMaster(data, function=function, pool=self.workers.pool, on_error="collect", **all_options)
        master.start()
        with self._ended_by(master.stop) as is_cancelled:
            try:
                found = master.calculateResult()
            except Interrupted as error:
                self._left(is_cancelled(), error.result)
        return _in_order(len(data), found, master.errors, collects=collects)

    def _serial(
        self, function: Callable[[Any], Any], data: dict[int, Any], collects: bool, *, retries: int = 0, **options: Any
    ) -> list[Any]:
        checked_number("retries", retries, 0, is_whole=True)
        for name in options.keys() - _MEANT_FOR_SLAVES:
            raise InputError(f"map() has no option {name!r} without slaves: give workers= at the start")
        results: list[Any] = []
        with self._ended_by(lambda: None) as is_cancelled:
            for place, value in data.items():
                self.check()
                if is_cancelled():
                    self._left(True, dict(enumerate(results)))
                results.append(_here(function, place, value, retries, collects=collects))
        self.check()
        return results

    def check(self) -> None:
        """
        Raises:
            AbortService: the job was told to end.
        """
        if self._is_aborted:
            self.leave()

    def leave(self) -> NoReturn:
        """Tell the computation to end.

        Raises:
            AbortService: always; from now on it knows, whatever it makes of that.
        """
        self.is_left = True
        raise AbortService

    @contextmanager
    def _ended_by(self, end: Callable[[], object]) -> Iterator[Callable[[], bool]]:
        with self._lock:
            self._count += 1
            number = self._count
            self._running[number] = end
            is_late = self._is_aborted
        if is_late:
            end()
        try:
            yield lambda: number in self._cancelled
        finally:
            with self._lock:
                del self._running[number]
                self._cancelled.discard(number)

    def _left(self, is_cancelled: bool, found: Any) -> None:
        """Raise what is to be raised where a map was ended."""
        self.check()
        if is_cancelled:
            raise MapCancelled(f"the map was cancelled; {len(found or {})} of its values were done", found) from None
        raise Interrupted("the map was ended: its slaves' pool was shut down", found)


class Mapper(StaysHere):
    """A function that slaves keep: called with values, it gives the list of results. Made by ``handler.mapper``.

    Args:
        maps: of the job.
        function: of a value; with a setup, of what that gave and a value.
        setup: called once per slave, before its first value.
    """

    def __init__(self, maps: Maps, function: Callable[..., Any], setup: Callable[[], Any] | None = None) -> None:
        self._maps = maps
        self._prepared = tasks.Prepared(function, setup)
        self._session: Session | None = None
        self._task: tasks.Task | None = None  # without slaves
        self._seconds_each: float | None = None

    def __call__(self, values: Iterable[Any]) -> list[Any]:
        """The results in the order of the values; what the function raises is raised, with its remote traceback.

        Raises:
            AbortService: the job was told to end.
            MapCancelled: by ``handler.cancel_map()``.
        """
        values = list(values)
        if not self._maps.workers.are_there:
            self._task = self._task or self._prepared()
            return self._maps.map(self._task, values)
        self._maps.check()
        if self._session is None:
            self._session = self._maps.workers.pool.session(self._prepared)
        size = chunk_size(len(values), self._maps.workers.poolsize, self._seconds_each)
        with self._maps._ended_by(self._session.end_now) as is_cancelled:
            return self._collect([values[at : at + size] for at in range(0, len(values), size)], is_cancelled)

    def _collect(self, chunks: list[list[Any]], is_cancelled: Callable[[], bool]) -> list[Any]:
        session = self._session
        assert session is not None
        futures: list[Future[Any]] = []
        results: list[Any] = []
        seconds = 0.0
        try:
            futures += [session.submit(tasks.apply, chunk) for chunk in chunks]
            for future in futures:
                took, found = future.result()
                seconds += took
                results += found
        except (Interrupted, RuntimeError):
            if is_cancelled():
                self._session = None  # another one next time
            self._maps.check()
            if is_cancelled():
                self._maps._left(True, done_of(futures, chunks))
            raise
        finally:
            for future in futures:
                future.cancel()
        self._seconds_each = seconds / max(1, len(results))
        return results

    def close(self) -> None:
        """Slaves forget the function."""
        if self._session is not None:
            self._session.shutdown(wait=False)
            self._session = None

    def __enter__(self) -> Mapper:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def done_of(futures: list[Future[Any]], chunks: list[list[Any]]) -> dict[int, Any]:
    """{place: result} of the chunks that are done, also of those behind one that is not."""
    found: dict[int, Any] = {}
    place = 0
    for future, chunk in zip(futures, chunks, strict=False):  # some may not have been submitted
        if future.done() and not future.cancelled() and future.exception() is None:
            found.update(enumerate(future.result()[1], place))
        place += len(chunk)
    return found


def chunk_size(n_values: int, poolsize: int, seconds_each: float | None) -> int:
    """How many values travel together.

    Args:
        seconds_each: of the last call; None: not known yet.

    >>> chunk_size(100, 2, None), chunk_size(100, 2, 1.0), chunk_size(100, 2, 1e-5), chunk_size(1, 8, None)
    (12, 1, 25, 1)
    """
    if seconds_each is None:
        return max(1, n_values // (4 * poolsize))
    wanted = round(_LONG_ENOUGH_S / max(seconds_each, 1e-9))
    return max(1, min(wanted, n_values // (2 * poolsize)))


def _here(function: Callable[[Any], Any], place: int, value: Any, retries: int, *, collects: bool) -> Any:
    for tries in range(1, retries + 2):
        try:
            return function(value)
        except Exception as error:
            if tries <= retries:
                continue
            if not collects:
                raise
            failed = ItemRaised(words_of(error), id=place, tries=tries, remote_traceback=trace_of(error))
            failed.__cause__ = error
            return failed
    return None


def _in_order(n: int, found: dict[int, Any], errors: dict[Any, ItemError], *, collects: bool) -> list[Any]:
    if errors and not collects:
        raise _to_raise(errors, n)
    return [errors[place] if place in errors else found[place] for place in range(n)]


def _to_raise(errors: dict[Any, ItemError], n: int) -> BaseException:
    """The first error: the exception itself where it could travel, caused by what tells of its remote traceback."""
    first = errors[min(errors)]
    error: BaseException = first
    if first.__cause__ is not None:
        error, first.__cause__ = first.__cause__, None
        error.__cause__ = first
    failed = ", ".join(map(str, sorted(errors)[:10])) + (", ..." if len(errors) > 10 else "")
    others = "on_error='collect' gives the others"
    error.add_note(f"{len(errors)} of {n} values of the map failed (places {failed}); {others}")
    return error
