"""What people see while a calculation runs; what a quiet one does not need is not even loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracking.progress import Progress
    from tracking.report import Snapshot

_INTERVAL_S = 0.25


class Display:
    """Shows how far a calculation is. Used by the master's thread.

    Args:
        verbose: 0: shows nothing.
        take_snapshot: how things stand now.
    """

    def __init__(self, verbose: int, take_snapshot: Callable[[], Snapshot]) -> None:
        self._take_snapshot = take_snapshot
        self._progress: Progress | None = None
        if verbose:
            from tracking.progress import make_progress

            self._progress = make_progress(verbose)
            self._progress.start()

    def update(self, now: float) -> None:
        """Show it anew, if it is time to."""
        if self._progress is not None and self._progress.due(now):
            self._progress.update(self._take_snapshot())

    @property
    def interval_s(self) -> float:
        """At least so often it wants to be updated."""
        return float("inf") if self._progress is None else _INTERVAL_S

    def close(self) -> None:
        """Show the end."""
        if self._progress is not None:
            self._progress.close(self._take_snapshot())
