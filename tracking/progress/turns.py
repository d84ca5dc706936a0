"""A console that threads take turns with; only imported when rich is wanted."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from rich.console import Console


class ConsoleInTurns(Console):
    """Has one thread print, or draw, at a time, from the first piece to the writing of it.

    rich collects what a thread prints, with the display that is to be drawn below it, and writes that in the end. If
    the display is taken away meanwhile, by another thread, it is drawn once more, below its own end.
    Whoever draws takes his turn (``with console:``) before any lock of rich's, as those who print do.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turn = threading.RLock()

    def __enter__(self) -> Console:
        self._turn.acquire()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._turn.release()
