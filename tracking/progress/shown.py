"""What all displays have in common: when they draw, and that they disturb nobody."""

from __future__ import annotations

import math
from collections.abc import Callable

from tracking.progress.rate import Rate
from tracking.report import Snapshot

DRAW_SHARE = 100  # a draw that took t seconds is followed by at least DRAW_SHARE * t seconds without one


class Progress:
    """Shows nothing; base of the displays that do.

    Attributes:
        next_due: when it is time for an ``update``, on the clock that it was made with.
    """

    next_due = math.inf

    def start(self) -> None:
        """The calculation begins."""

    def due(self, now: float) -> bool:
        """Whether it is time for an ``update`` (a comparison: ask as often as you like)."""
        return False

    def update(self, snapshot: Snapshot) -> None:
        """Show this."""

    def close(self, snapshot: Snapshot) -> None:
        """Show the end, and give the terminal back. A second call does nothing."""


class Shown(Progress):
    """Keeps the time between two draws, and keeps errors of drawing from the calculation."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.next_due = math.inf
        self._is_open = False
        self._rate = Rate()

    def start(self) -> None:
        self._is_open = True
        self.next_due = self._now() + self._gap_s()

    def due(self, now: float) -> bool:
        return now >= self.next_due

    def update(self, snapshot: Snapshot) -> None:
        self._attempt(self._prepare)
        took_s = self._attempt(lambda: self._draw(snapshot))
        if self._is_open:
            self.next_due = self._now() + max(self._gap_s(), DRAW_SHARE * took_s)

    def close(self, snapshot: Snapshot) -> None:
        self._attempt(lambda: self._draw_end(snapshot))
        self._switch_off()

    def _attempt(self, draw: Callable[[], None]) -> float:
        """Do that, if the display still works; return the seconds it took."""
        if not self._is_open:
            return 0.0
        begun = self._now()
        try:
            draw()
        except Exception:  # noqa: BLE001  whatever is wrong with a display, the calculation goes on without it
            self._switch_off()
        if self._is_broken():
            self._switch_off()
        return self._now() - begun

    def _switch_off(self) -> None:
        self._is_open = False
        self.next_due = math.inf
        self._release()

    def _gap_s(self) -> float:
        """Seconds to wait before the next draw."""
        raise NotImplementedError

    def _draw(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def _draw_end(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def _prepare(self) -> None:
        """What has to be done once before the first draw and must not count as the time of one."""

    def _is_broken(self) -> bool:
        """Whether there is nobody to draw for any more."""
        return False

    def _release(self) -> None:
        """Give back what the display holds. May be called more than once and never raises."""
