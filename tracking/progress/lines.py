"""Lines of text, for files and logs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TextIO, cast

from tracking.progress.shown import Shown
from tracking.report import QuietStream, Snapshot, end_text, progress_text

FIRST_LINE_S = 10.0
LONGEST_LINE_GAP_S = 60.0
LINE_GAP_GROWTH = 1.5


class PlainLines(Shown):
    """A line of text now and then, for files and logs."""

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        super().__init__(now)
        self._stream = QuietStream(stream)
        self._next_gap_s = FIRST_LINE_S

    def _gap_s(self) -> float:
        return self._next_gap_s

    def _draw(self, snapshot: Snapshot) -> None:
        self._write(f"tracking: {progress_text(snapshot, self._rate.measure(snapshot))}")
        self._next_gap_s = min(self._next_gap_s * LINE_GAP_GROWTH, LONGEST_LINE_GAP_S)

    def _draw_end(self, snapshot: Snapshot) -> None:
        self._write(f"tracking: {end_text(snapshot)}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _is_broken(self) -> bool:
        return self._stream.is_broken


class DetailedLines(PlainLines):
    """Plain lines among the records of the logger ``tracking``, debugging ones too.

    Where the user has told logging what to do with records, that holds; only the level is ours.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        super().__init__(stream, now)
        self._logger = logging.getLogger("tracking")
        self._level = self._logger.level
        self._handler: logging.Handler | None = None

    def start(self) -> None:
        super().start()
        self._level = self._logger.level
        if not self._logger.hasHandlers():
            self._handler = logging.StreamHandler(cast(TextIO, self._stream))
            self._handler.setFormatter(logging.Formatter("tracking: %(asctime)s %(message)s"))
            self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.DEBUG)

    def _release(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            self._logger.removeHandler(handler)
        self._logger.setLevel(self._level)
