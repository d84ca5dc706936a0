"""The thread in which a pool's slaves are served as long as anybody wants something of them.

Stop order: ``end_when_idle`` of the crew, or ``end_now`` -> the loop is left -> slaves end -> the thread ends.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import TYPE_CHECKING

from tracking.fabrics.registry import FabricsOfPool

if TYPE_CHECKING:
    from tracking.pool.crew import Crew

SHUT_DOWN = "the pool was shut down"
_END_TIMEOUT_S = 10.0  # at the end of the program


class PoolThread(threading.Thread):
    """The pool's thread: serves its crew, and closes it at the end. It knows nothing of the pool itself."""

    def __init__(self, crew: Crew, fabrics: FabricsOfPool) -> None:
        super().__init__(name="tracking-pool", daemon=True)
        self._crew = crew
        self._fabrics = fabrics
        _running.add(self)

    def run(self) -> None:
        """Serve until nobody wants anything any more, or ``end_now``."""
        driving = self._crew.driving
        driving.serve()
        self._crew.close(f"the loop has failed: {driving.fault!r}" if driving.fault else SHUT_DOWN)
        self._fabrics.close()
        driving.run_later()

    def end_now(self) -> None:
        """Whatever is not done yet fails."""
        self._crew.driving.stop()


_running: weakref.WeakSet[PoolThread] = weakref.WeakSet()


def _end_all() -> None:
    """At the end of the program: what it has not waited for, it does not want."""
    threads = [thread for thread in _running if thread.is_alive()]  # none in a forked child, that only has copies
    for thread in threads:
        thread.end_now()
    for thread in threads:
        thread.join(_END_TIMEOUT_S)


atexit.register(_end_all)
