"""A thread that comes to an end once, tells everybody who waits for it, and has a result.

::

    master's thread                           others
      _tr_tell(results)      --batches-->       for id, result in master
      _tr_announce_end()     --lockMsg-->       lockMsg.wait(), iterators
      callback
      _tr_say_all_is_over()  --_tr_all_over-->  wait(), calculateResult(), exit()

Whoever waits does so on a condition of ``lock``: it is given free meanwhile, so nobody who holds it keeps the
master from its end. Shared attributes, all but the last under ``lock``:
    _tr_is_over, _tr_is_all_over   bool; set once, by the master's thread
    _tr_subscribers                queues of iterators; they enter and leave, the master's thread fills them
    _tr_n_told                     so many results, in the order of ``result``, may be known to iterators
    _tr_callback                   by setCallback
    _tr_failure                    why there is no result; by the master's thread, before the end is told
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from tracking.errors import CalculationError, Interrupted, ItemError
from tracking.master.ending import EndCondition, do_not_wait_for
from tracking.master.recorded_results import RecordedResults
from tracking.messaging import MessageThread

if TYPE_CHECKING:
    from tracking.master.record import Batch

logger = logging.getLogger("tracking")

T = TypeVar("T")
Told = tuple[Sequence[Hashable], Sequence[Any] | None]  # ids and results; None: these are in the run file


def in_order(found: Mapping[Any, T], ids: Iterable[Any]) -> dict[Any, T]:
    """The same in the order of these ids; others last."""
    return {id: found[id] for id in ids if id in found} | dict(found)


class WaitableThread(MessageThread):
    """The part of ``JobMaster`` that others wait for.

    Attributes:
        lock, lockMsg: ``with master.lock: master.start(); master.lockMsg.wait()``; a wait after the end returns
            at once.
        result: {id: result} so far; with ``keep_results=False`` as a mapping that reads them from the run file. While
            the master works, the latest may be here a fifth of a second before they are recorded; iterate over the
            master to be told only of what is.
        errors: {id: why it has none} of items that were given up.
        callback_error: what the callback raised.
    """

    lock: threading.RLock
    data: Mapping[Any, Any]  # of the master
    lockMsg: EndCondition  # noqa: N815  (its name of old)
    result: dict[Any, Any]
    errors: dict[Any, ItemError]
    callback_error: BaseException | None = None

    _tr_was_started = False  # by start()
    _tr_raises_errors = True
    _tr_n_told = 0
    _tr_most_waiting = 1000  # jobs whose results wait for an iterator, if they are in the run file anyway
    _tr_is_over = False
    _tr_ended = 0.0  # seconds, time.monotonic
    _tr_is_all_over = False
    _tr_is_abandoned = False  # by whoever waited, with a second Ctrl-C
    _tr_failure: BaseException | None = None
    _tr_callback: Callable[[Any], object] | None = None
    _tr_callback_time_came = False

    def __init__(self) -> None:
        super().__init__()
        if threading.current_thread().daemon:
            self.daemon = False  # the program waits for a master, whichever thread has made it
        self.lock = self._tr_lock = threading.RLock()
        self.lockMsg = self._tr_end = EndCondition(
            self._tr_lock,
            lambda: self._tr_is_over,
            give_up=lambda: self._tr_give_up(),
            has_begun=lambda: self._tr_was_started,
        )
        self._tr_all_over = EndCondition(
            self._tr_lock, lambda: self._tr_is_all_over, has_begun=lambda: self._tr_was_started
        )
        self._tr_errors: dict[Any, ItemError] = {}
        self.errors = self._tr_errors  # the same under a name that a subclass may take
        self._tr_subscribers: list[SimpleQueue[Told | None]] = []

    def exit(self) -> None:
        """End it now."""
        raise NotImplementedError

    def getResult(self, **arg: Any) -> Any:
        """What ``calculateResult`` returns: {id: result}; override to make something else of it."""
        return self.result

    # ---- for those who wait

    def isFinished(self) -> bool:
        """Whether the calculation is over."""
        return self._tr_is_over

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until ``finish()`` and the callback are over; False if they are not within the timeout (seconds)."""
        with self._tr_ended_by_ctrl_c():
            return self._tr_await_end(timeout)

    def _tr_await_end(self, timeout_s: float | None = None) -> bool:
        self._tr_refuse_own_thread()
        if threading.current_thread() is self:
            return True
        with self._tr_lock:
            return self._tr_all_over.wait_for(lambda: self._tr_is_all_over, timeout_s)

    def _tr_next_batch(self, batches: SimpleQueue[Told | None]) -> Told | None:
        with self._tr_ended_by_ctrl_c():
            return batches.get()

    @contextlib.contextmanager
    def _tr_ended_by_ctrl_c(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            try:
                self.exit()
            except KeyboardInterrupt:  # another one, since that takes too long: from now on nobody waits for us
                self._tr_is_abandoned = True
                do_not_wait_for(self)
                raise
            self._tr_say_what_is_kept()
            raise

    def _tr_give_up(self) -> None:
        """Ctrl-C has ended a wait on ``lockMsg``, with the lock held."""
        self.stop()
        self._tr_say_what_is_kept()

    def join(self, timeout: float | None = None) -> None:
        """As of any thread; Ctrl-C ends the calculation, too."""
        with self._tr_ended_by_ctrl_c():
            super().join(timeout)

    def _tr_end_with_program(self) -> bool:
        """The program is at its end: end it if it runs; whether the program would have waited for it."""
        if not self._tr_was_started or self._tr_is_all_over:
            return False
        if not self._tr_is_abandoned:
            self.exit()
            self._tr_say_what_is_kept()
        return not self.daemon

    def _tr_refuse_own_thread(self) -> None:
        if threading.current_thread() is self and not self._tr_is_over:
            raise RuntimeError("a master's own thread cannot wait for its end: do that outside of hooks")

    def setCallback(self, funct: Callable[[Any], object]) -> None:
        """Have ``funct(master)`` called after ``finish()``; set after the end, it is called now, in this thread.

        An error in it is reported and kept in ``callback_error``. It is not called when there is no result.
        """
        with self._tr_lock:
            self._tr_callback = funct
            is_late = self._tr_callback_time_came and self._tr_failure is None
        if is_late:
            self._tr_call(funct)

    def calculateResult(self, **arg: Any) -> Any:
        """Start, wait for the end, and return ``getResult(**arg)``.

        Raises:
            CalculationError: some items failed (unless ``on_error='collect'``); all others are in its ``.result``.
            Interrupted: ``exit()`` was called meanwhile.
            NoSlavesError: no slave could be started, or none is left.
        """
        with self._tr_ended_by_ctrl_c():
            if not self._tr_was_started:
                self.start()
            self._tr_await_end()
        self._tr_raise_failure()
        return self.getResult(**arg)

    def _tr_say_what_is_kept(self) -> None:
        """Called after Ctrl-C."""

    def _tr_raise_failure(self) -> None:
        failure = self._tr_failure
        if isinstance(failure, Interrupted):
            failure.result = self.result
        if failure is not None:
            raise failure
        if self._tr_errors and self._tr_raises_errors:
            raise CalculationError(self.result, in_order(self._tr_errors, self.data))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """(id, result) of every item, as they are recorded; starts the calculation if need be."""
        self._tr_refuse_own_thread()
        if not self._tr_was_started:
            self.start()
        batches: SimpleQueue[Told | None] = SimpleQueue()
        with self._tr_lock:
            known = self._tr_known()
            self._tr_subscribers.append(batches)
            if self._tr_is_over:
                batches.put(None)
        try:
            yield from known
            while (batch := self._tr_next_batch(batches)) is not None:
                ids, results = batch
                yield from zip(ids, map(self.result.__getitem__, ids) if results is None else results, strict=True)
        finally:
            with self._tr_lock:
                self._tr_subscribers.remove(batches)
        self._tr_await_end()
        self._tr_raise_failure()

    def _tr_known(self) -> Iterator[tuple[Any, Any]]:
        """What was told so far."""
        if isinstance(self.result, RecordedResults):
            return self.result._tr_first(self._tr_n_told)
        return iter(dict(islice(self.result.copy().items(), self._tr_n_told)).items())

    # ---- for the master's thread

    def _tr_has_listeners(self) -> bool:
        """Whether an iterator waits for results."""
        return bool(self._tr_subscribers)

    def _tr_tell(self, batches: list[Batch]) -> None:
        """These results, all that there are so far, are recorded: iterators may have them."""
        with self._tr_lock:
            self._tr_n_told = len(self.result)
            is_in_file = isinstance(self.result, RecordedResults)
            for subscriber in self._tr_subscribers:
                for ids, results in batches:
                    # Who takes them slowly reads them from there: they need not fit in memory.
                    is_late = is_in_file and subscriber.qsize() >= self._tr_most_waiting
                    subscriber.put((ids, None if is_late else results))

    def _tr_announce_end(self) -> None:
        with self._tr_lock:
            if not self._tr_is_over:
                self._tr_is_over = True
                self._tr_ended = time.monotonic()
                for subscriber in self._tr_subscribers:
                    subscriber.put(None)
                self._tr_end.notify_all()

    def _tr_conclude(self) -> None:
        """After the end was told: the callback, and those who wait for that."""
        with self._tr_lock:
            self._tr_callback_time_came = True
            callback = self._tr_callback if self._tr_failure is None else None
        try:
            if callback is not None:
                self._tr_call(callback)
        finally:
            with self._tr_lock:
                self._tr_is_all_over = True
                self._tr_all_over.notify_all()

    def _tr_call(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self)
        except (Exception, SystemExit) as error:
            self.callback_error = error
            logger.exception("the callback of %s raised", self._tr_thread_name())
