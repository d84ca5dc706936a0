"""WatchDog: ends a process of which nothing is heard.

Source: ``WatchDog`` of IMP.isd's grids. Our servers have none: a call may take as long as it likes, and a server whose
program has ended ends by itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


class WatchDog(threading.Thread):
    """Ends this process when ``set`` was not called for so long.

    Args:
        timeout: minutes.
        bite: what to do instead of ending the process.
    """

    def __init__(self, timeout: float, bite: Callable[[], object] | None = None) -> None:
        super().__init__(name="tracking-watchdog", daemon=True)
        self._timeout_s = timeout * 60
        self._bite = bite or (lambda: os._exit(0))
        self._news = threading.Event()
        self._is_stopped = False

    def set(self) -> None:
        """All is well: wait anew."""
        self._news.set()

    def stop(self) -> None:
        """Watch no more."""
        self._is_stopped = True
        self._news.set()

    def run(self) -> None:
        """Watch."""
        while self._news.wait(self._timeout_s):
            self._news.clear()
            if self._is_stopped:
                return
        self._bite()
