"""What slaves print, on its way to a console that may be stuck (Ctrl-S, a full pipe): nobody waits for it.

::

    whoever turns the crew's loop                 a thread, while there is something to write
      write: _waiting (bounded; else counted)  -->  sys.stdout, looked up each time, for displays that take its place

The thread ends when nothing waits, and is no daemon: a program waits at its end for what is to be seen yet, as any
does whose console is stuck. Everything is written and read under _lock.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter

_MOST_CHARACTERS = 1 << 20
_CLOSE_TIMEOUT_S = 1.0


class ConsoleWriter:
    """A text stream that never blocks; each text is whole lines of one slave, that begin with 'nickname | '."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._n_characters = 0  # of what waits or is being written
        self._not_shown: Counter[str] = Counter()  # nickname -> lines for which there was no room
        self._thread: threading.Thread | None = None

    @property
    def encoding(self) -> str:
        """Of the console."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Have it written soon; or have it said later that it was not."""
        with self._lock:
            if self._n_characters + len(text) > _MOST_CHARACTERS:
                self._not_shown[text.partition(" | ")[0]] += text.count("\n")
                return len(text)
            self._waiting.append(text)
            self._n_characters += len(text)
            if self._thread is None:
                self._start()
        return len(text)

    def flush(self) -> None:
        """As of any stream; everything is under way already."""

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._write_all, name="tracking-console")
        try:
            self._thread.start()
        except RuntimeError:  # at the end of the program, or no room for threads: a later text may have more luck
            self._thread = None

    def _write_all(self) -> None:
        while text := self._next():
            # OSError, ValueError: closed, or a pipe that nobody reads. What cannot be shown is not shown.
            with contextlib.suppress(OSError, ValueError):
                if sys.stdout is not None:
                    sys.stdout.write(text)
                    sys.stdout.flush()

    def _next(self) -> str:
        """What is to be written now; "": nothing any more, and this thread is no longer there."""
        with self._lock:
            texts, self._waiting = self._waiting, []
            texts += [f"... {count:,} lines of {name} not shown\n" for name, count in self._not_shown.items()]
            self._not_shown.clear()
            text = "".join(texts)
            self._n_characters = len(text)
            if not text:
                self._thread = None
            return text

    def close(self) -> None:
        """Wait for what is under way, but not for ever."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_TIMEOUT_S)
