"""What people see while a calculation runs; what a quiet one does not need is not even loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracking.core.commands import Command
    from tracking.core.events import Event
    from tracking.progress import Progress
    from tracking.report import Snapshot

_LONGEST_TEXT = 160

logger = logging.getLogger("tracking")


class Display:
    """Shows how far a calculation is. Used by the master's thread.

    Args:
        verbose: 0: shows nothing; 2: also what happens in detail.
        take_snapshot: how things stand now.
    """

    def __init__(self, verbose: int, take_snapshot: Callable[[], Snapshot]) -> None:
        self._take_snapshot = take_snapshot
        self._progress: Progress | None = None
        self.is_detailed = verbose >= 2
        if verbose:
            from tracking.progress import make_progress

            self._progress = make_progress(verbose)
            self._progress.start()

    def update(self, now: float) -> None:
        """Show it anew, if it is time to."""
        if self._progress is not None and self._progress.due(now):
            self._progress.update(self._take_snapshot())

    def pause_s(self, now: float) -> float:
        """So long nothing needs to be shown anew."""
        return float("inf") if self._progress is None else max(0.0, self._progress.next_due - now)

    def tell(self, event: Event, commands: tuple[Command, ...]) -> None:
        """Say what happened and what was decided; ask ``is_detailed`` before."""
        logger.debug("%s", _short(repr(event)))
        for command in commands:
            logger.debug("-> %s", _short(repr(command)))

    def close(self) -> None:
        """Show the end."""
        if self._progress is not None:
            self._progress.close(self._take_snapshot())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 4]} ..."
