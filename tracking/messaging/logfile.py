"""The log file of a message thread."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class LogFile:
    """A text file in the folder for temporary files, made when something is written to it."""

    def __init__(self) -> None:
        self.path: Path | None = None  # None: nothing was written
        self._lock = threading.Lock()

    def append(self, name: str, text: str) -> None:
        """Add a line with the time; the first one makes the file, named after ``name``."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {name}: {text}\n"
        with self._lock:
            if self.path is None:
                self.path = _new_log_file(name)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)

    def remove(self) -> None:
        """Remove the file, if there is one; a later line makes a new one."""
        with self._lock:
            if self.path is not None:
                self.path.unlink(missing_ok=True)
                self.path = None


def _new_log_file(name: str) -> Path:
    import re  # with those below 9 ms to load, for the few that log
    import tempfile
    from pathlib import Path

    descriptor, path = tempfile.mkstemp(prefix=re.sub(r"[^\w.-]", "_", name) + "-", suffix=".log")
    os.close(descriptor)
    return Path(path)
