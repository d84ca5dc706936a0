"""What a job prints: kept in files of its own, beside being shown as ever.

``sys.stdout`` and ``sys.stderr`` are one for all threads; so, while any job keeps what it prints, a ``Fork`` stands in
their place and looks which thread is writing. What a job's other threads print is not known to be the job's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

NAMES = ("stdout", "stderr")

logger = logging.getLogger("tracking")

_lock = threading.Lock()


class Fork:
    """Writes where was written before, and also to the file of the thread that writes.

    Args:
        before: what stood in its place.
    """

    def __init__(self, before: TextIO) -> None:
        self.before = before
        self.files: dict[int, TextIO] = {}  # thread -> its file

    def write(self, text: str) -> int:
        """As of any text file."""
        file = self.files.get(threading.get_ident())
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk ends no job
                file.write(text)
        return self.before.write(text)

    def flush(self) -> None:
        """As of any text file."""
        self.before.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)


@contextmanager
def kept_in(folder: str | os.PathLike[str]) -> Iterator[None]:
    """What this thread prints meanwhile is added to the files ``stdout`` and ``stderr`` there, line by line."""
    thread = threading.get_ident()
    with ExitStack() as files:
        opened = {}
        for name in NAMES:
            try:
                opened[name] = files.enter_context(open(Path(folder, name), "a", buffering=1))
            except OSError as error:
                logger.error("what the job prints is not kept: %s", error)
        for name, file in opened.items():
            _begin(name, thread, file)
        try:
            yield
        finally:
            for name in opened:
                _end(name, thread)


def _begin(name: str, thread: int, file: TextIO) -> None:
    with _lock:
        now: Any = getattr(sys, name)
        fork = now if isinstance(now, Fork) else Fork(now)
        fork.files[thread] = file
        setattr(sys, name, fork)


def _end(name: str, thread: int) -> None:
    with _lock:
        now: Any = getattr(sys, name)
        if isinstance(now, Fork):  # else somebody has put something else there, and we leave it alone
            now.files.pop(thread, None)
            if not now.files:
                setattr(sys, name, now.before)
