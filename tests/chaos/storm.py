"""Storms: bad luck at random. The one here is over slaves: they are killed, stopped and continued.

The seed of every storm is printed; ``CHAOS_SEED=number`` plays one again (the choices, not the moments).
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self

STRIKES_PER_S = 20
_STRIKES = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)


def seed() -> int:
    """A fresh one, or the one that is to be played again."""
    number = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    print(f"CHAOS_SEED={number}", flush=True)
    return number


class BadLuck:
    """Strikes at random, again and again, in a thread of its own, until the block ends: what a strike is, others say.

    Args:
        seconds: how long it lasts.
        pause_s: from one strike to the next.
    """

    def __init__(self, seconds: float, pause_s: float) -> None:
        self._end_at = time.monotonic() + seconds
        self._pause_s = pause_s
        self._random = random.Random(seed())
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._rage)
        self.strikes: Counter[str] = Counter()

    def strike(self) -> None:
        """Do some harm, and count it."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end_at

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped.set()
        self._thread.join()
        print(f"strikes: {dict(self.strikes)}", flush=True)

    def _rage(self) -> None:
        while not self.is_over and not self._is_stopped.wait(self._pause_s):
            self.strike()


class Storm(BadLuck):
    """Strikes one of the processes at random, 20 times a second, until the block ends.

    Whom it has stopped and not continued stays so.

    Args:
        pids: who may be struck, asked anew for each strike.
        seconds: how long the storm lasts.
    """

    def __init__(self, pids: Callable[[], Iterable[int]], seconds: float) -> None:
        super().__init__(seconds, 1 / STRIKES_PER_S)
        self._pids = pids

    def strike(self) -> None:
        if pids := sorted(self._pids()):
            strike = self._random.choice(_STRIKES)
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(pids), strike)
            self.strikes[strike.name] += 1
