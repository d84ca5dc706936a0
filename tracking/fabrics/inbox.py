"""News for a launcher from other threads: kept until it polls, and it is woken."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from tracking.fabrics.launcher import RelayNews, RelayUp


class Bell:
    """Wakes a thread that watches its descriptor. Rung by any thread."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        return self._reading

    def ring(self) -> None:
        with suppress(OSError):  # full: it rings already; closed: nobody listens any more
            os.write(self._writing, b"!")

    def hush(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)

    def close(self) -> None:
        reading, self._reading, self._writing = (self._reading, self._writing), -1, -1
        for end in reading:
            os.close(end)


class Inbox:
    """News for one launcher, put there by another thread."""

    def __init__(self) -> None:
        self.bell = Bell()
        self._lock = threading.Lock()
        self._news: list[RelayNews] = []
        self._is_closed = False

    def put(self, news: RelayNews) -> None:
        with self._lock:
            if not self._is_closed:
                self._news.append(news)
                self.bell.ring()
            elif isinstance(news, RelayUp):
                news.carrier.close()

    def wake(self) -> None:
        """There is something to look at elsewhere."""
        with self._lock:
            self.bell.ring()

    def take(self) -> list[RelayNews]:
        with self._lock:
            self.bell.hush()
            news, self._news = self._news, []
        return news

    def close(self) -> None:
        """What is in it, and what still comes, is dropped."""
        with self._lock:
            self._is_closed = True
            self.bell.close()
            for news in self._news:
                if isinstance(news, RelayUp):
                    news.carrier.close()
            self._news.clear()
