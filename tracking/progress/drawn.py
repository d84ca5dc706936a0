"""What a terminal and a notebook have in common: a picture that is replaced by the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tracking.progress.pictures import end_picture, running_picture
from tracking.progress.shown import Shown
from tracking.report import MAX_SLAVE_ROWS, Snapshot, fit_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

FIRST_DRAW_S = 0.5
REDRAW_S = 0.5


class Drawn(Shown):
    """Bar and table, drawn by rich."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self._has_drawn = False

    def _gap_s(self) -> float:
        return REDRAW_S if self._has_drawn else FIRST_DRAW_S

    def _draw(self, snapshot: Snapshot) -> None:
        self._has_drawn = True
        lines = fit_lines(snapshot.lines, self._n_rows())
        self._show(running_picture(snapshot, self._rate.measure(snapshot), lines))

    def _draw_end(self, snapshot: Snapshot) -> None:
        # Only how it ended: the table of slaves is the report's, which follows.
        if self._has_drawn:
            self._show(end_picture(snapshot))

    def _n_rows(self) -> int:
        """How many slaves there is room for."""
        return MAX_SLAVE_ROWS

    def _show(self, picture: RenderableType) -> None:
        raise NotImplementedError
