"""Who turns the loop: one thread at a time, and if it can be the one that waits for what comes.

::

    pool's thread          a master's thread            a thread that waits for a call
      serve()                may_drive(): claims it       help_until(): meanwhile
           |                      |                            |
           +------- _turning (Lock): turn the loop once -------+
                                  |
                 later: what must not be done under the crew's lock (futures, and their callbacks);
                 done by the pool's thread and by those that help, never by a master or in ``submit``

A hand-over between threads costs more than all else that is done for a short call. So the only client that wants
anything drives in its own thread, if it can: from the moment that it comes for its messages; until then the
pool's thread does. While somebody helps, the pool's thread stands back, and for a moment afterwards, since who
waits once often waits again: the longer that goes on, the longer the moment. To be called back after each of many
short helps would cost these more than they do themselves.

Only the one in select has to be woken, and only one is: so no ``wake`` can be taken by somebody else.
Attributes: _candidate, _driver are written under the crew's lock; _helps, _is_helped, _helped_until by who holds
_turning.
Stop order: ``stop`` -> everybody leaves -> ``alone`` can be entered by who closes the loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event, Lock, RLock

from tracking.pool.arguments import check_own_process
from tracking.pool.client import Client
from tracking.pool.interrupts import held_back

logger = logging.getLogger("tracking")

_HELP_S = 0.002  # for so long after a help the next one is waited for ...
_HELP_SHARE = 0.1  # ... or for this share of the time that they have followed each other ...
_LONGEST_BACK_S = 0.02  # ... but no longer than that
_LONGEST_SLEEP_S = 60.0


class Driving:
    """Shares the turning of a loop among threads.

    Args:
        lock: the crew's.
        turn: waits and acts once; told how long it may wait.
        wake: makes a ``turn`` that waits return.
    """

    def __init__(self, lock: RLock, turn: Callable[[float | None], None], wake: Callable[[], None]) -> None:
        self._pid = os.getpid()
        self._lock = lock
        self._turn_loop = turn
        self._wake = wake
        self._turning = Lock()
        self._candidate: Client | None = None  # may drive, as soon as it comes
        self._driver: Client | None = None  # drives
        self._needs_server = Event()  # set while no client drives
        self._needs_server.set()
        self._helps = 0  # how often somebody has helped
        self._is_helped = False
        self._helped_until = 0.0  # seconds, time.monotonic
        self._stands_back = False  # written by the pool's thread
        self._help_is_over = Event()
        self._later: deque[Callable[[], None]] = deque()
        self.is_stopping = False
        self.fault: Exception | None = None  # why the loop cannot be turned any more

    def _turn(self, timeout_s: float | None) -> None:
        """Under _turning. A fault of our own, or of a fabric, is everybody's end: better than to wait for ever."""
        try:
            self._turn_loop(timeout_s)
        except Exception as error:
            self.fault = error
            self.stop()
            logger.exception("the loop over the slaves has failed")

    # ---- a client that drives

    def choose(self, busy: Sequence[Client]) -> None:
        """Let the only client that wants something drive, if it can. Under the crew's lock."""
        self._candidate = busy[0] if len(busy) == 1 and busy[0].can_drive else None
        if self._driver is not None and self._driver is not self._candidate:
            self._driver = None
            self._needs_server.set()
            self._wake()  # who drove so far leaves

    def may_drive(self, client: Client) -> bool:
        """Whether this client has to turn the loop; from its own thread."""
        if self._driver is client:
            return True
        if self._candidate is not client:
            return False
        with self._lock:
            if self._candidate is not client:
                return False
            self._driver = client
            self._needs_server.clear()
            self._wake()  # the pool's thread leaves
            return True

    def turn_unless(self, is_done: Callable[[], bool], timeout_s: float | None) -> None:
        """Turn once, without waiting if by the time that it is our turn there is nothing left to wait for."""
        if not self._turning.acquire(timeout=_HELP_S):
            return  # who drove before has not left yet: what comes for us is brought
        try:
            self._turn(0.0 if is_done() else timeout_s)
        finally:
            self._turning.release()
        if self.fault is not None:
            raise self.fault

    # ---- the pool's thread

    def serve(self) -> None:
        """Turn the loop whenever nobody else does, until ``stop``."""
        helped_since = None
        while not self.is_stopping:
            if not self._needs_server.wait(_LONGEST_SLEEP_S):
                continue
            now = time.monotonic()
            if self._is_helped or now < self._helped_until:
                helped_since = now if helped_since is None else helped_since
                self._stand_back(now - helped_since)
            else:
                helped_since = None
                with self._turning:
                    if not self.is_stopping:
                        self._turn(0.0 if self._later else _LONGEST_SLEEP_S)
                self.run_later()

    def _stand_back(self, helped_s: float) -> None:
        """For a moment; to the end of a help that lasts all that time."""
        helps = self._helps
        self._help_is_over.clear()
        if not self.is_stopping:
            self._help_is_over.wait(min(_LONGEST_BACK_S, max(_HELP_S, _HELP_SHARE * helped_s)))
        if self._is_helped and self._helps == helps:
            self._wait_for_helper()

    def _wait_for_helper(self) -> None:
        self._help_is_over.clear()
        self._stands_back = True
        if self._is_helped and not self.is_stopping:
            self._help_is_over.wait(_LONGEST_SLEEP_S)
        self._stands_back = False

    # ---- a thread that waits for a call

    def help_until(self, is_done: Callable[[], bool], timeout_s: float | None) -> float | None:
        """Turn the loop while one waits for something; what is left of the timeout.

        It may return early: then somebody else turns the loop, and what is waited for will be brought.

        Raises:
            InputError: in a forked child, to which nothing is brought.
        """
        check_own_process(self._pid)
        end = None if timeout_s is None else time.monotonic() + timeout_s
        left_s = timeout_s
        with held_back(self._wake) as was_interrupted:
            while not (is_done() or self.is_stopping or was_interrupted()):
                left_s = None if end is None else max(0.0, end - time.monotonic())
                if left_s == 0.0 or not self._help_once(is_done, left_s):
                    break
                self.run_later(is_done)
        return left_s

    def _help_once(self, is_done: Callable[[], bool], timeout_s: float | None) -> bool:
        self._helped_until = time.monotonic() + _HELP_S  # the pool's thread shall not come back now
        if not self._turning.acquire(blocking=False):
            if self._is_helped:
                return False
            self._wake()
            if not self._turning.acquire(timeout=_HELP_S):
                return False
        self._is_helped = True
        self._helps += 1
        try:
            self._turn(0.0 if self._later or is_done() or self.is_stopping else timeout_s)
        finally:
            self._is_helped = False
            self._helped_until = time.monotonic() + _HELP_S
            self._turning.release()
            if self._stands_back:
                self._help_is_over.set()
        return True

    # ---- what must not be done under the lock

    def later(self, action: Callable[[], None]) -> None:
        """Have something done without the lock, by a thread in which the user's code may run."""
        self._later.append(action)

    def hurry_later(self) -> None:
        """From a thread that turns nothing: see to it that what is to be done later is done soon."""
        if self._later:
            self._wake()
            self._help_is_over.set()

    def run_later(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Do what ``later`` was told, until it is enough; not under the lock."""
        while self._later and not is_enough():
            try:
                action = self._later.popleft()
            except IndexError:
                return  # another thread was faster
            self._do(action)

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException:
            # Of a callback; a SystemExit in it must not end the thread that brings everybody's results.
            logger.exception("a callback of a call raised")
        if self._is_helped:
            self._wake()  # what was done may be what the other thread waits for

    # ---- the end

    def stop(self) -> None:
        """Make everybody who turns the loop leave; from any thread."""
        self.is_stopping = True
        self._needs_server.set()
        self._help_is_over.set()
        self._wake()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody is turning the loop meanwhile. After ``stop``; never from within a turn."""
        with self._turning:
            yield
