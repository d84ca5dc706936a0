"""What is drawn by rich: counts, a bar, and a table of the slaves. rich is loaded with the first of them.

Made of its simplest things: a picture is drawn while all processors are busy with the user's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tracking.report import HostLine, Snapshot, counts_text, end_text, live_table, speed_text
from tracking.styled import StyledLines

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

DISPLAY_WIDTH = 100


def running_picture(snapshot: Snapshot, rate: float, lines: Sequence[HostLine]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    note = [Text(snapshot.remark, "yellow", no_wrap=True, overflow="ellipsis")] if snapshot.remark else []
    bar = _Bar(snapshot, speed_text(snapshot, rate))
    return Group(_counts(counts_text(snapshot)), bar, *note, live_table(lines))


def end_picture(snapshot: Snapshot) -> RenderableType:
    return _counts(end_text(snapshot), "bold green" if snapshot.is_over else "bold yellow")


_TELLING = re.compile(r"(^stopped|^\d+ of \d+ items done|\b\d+ failed\b)")


def _counts(text: str, done_style: str = "bold") -> StyledLines:
    """A line in which it is seen at once how many items are done, and how many failed."""
    pieces = _TELLING.split(text)
    styles = ("" if not n % 2 else "bold red" if n > 1 else done_style for n in range(len(pieces)))
    return StyledLines([[piece for piece in zip(pieces, styles, strict=True) if piece[0]]])


class _Bar:
    """How much is over, as a bar and in words."""

    def __init__(self, snapshot: Snapshot, text: str) -> None:
        self._snapshot = snapshot
        self._text = f"  {snapshot.percent}%  {text}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """As long as there is room for."""
        from rich.progress_bar import ProgressBar
        from rich.segment import Segment

        total, completed = (self._snapshot.n_items, self._snapshot.n_over) if self._snapshot.n_items else (1, 1)
        width = max(1, min(options.max_width, DISPLAY_WIDTH) - len(self._text))
        style = "green"
        bar = ProgressBar(total, completed, width=width, complete_style=style, finished_style=style)
        for segment in bar.__rich_console__(console, options):
            if isinstance(segment, Segment):
                yield segment
        yield Segment(self._text)
        yield Segment.line()
