"""What is drawn by rich: counts, a bar, and a table of the slaves. rich is loaded with the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracking.report import HostLine, Snapshot, counts_text, end_text, live_table, speed_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

DISPLAY_WIDTH = 100


def running_picture(snapshot: Snapshot, rate: float, lines: Sequence[HostLine]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    note = [Text(snapshot.remark, "yellow", no_wrap=True, overflow="ellipsis")] if snapshot.remark else []
    bar = _bar(snapshot, speed_text(snapshot, rate))
    return Group(_line(counts_text(snapshot)), bar, *note, live_table(lines))


def end_picture(snapshot: Snapshot) -> RenderableType:
    return _line(end_text(snapshot), "bold green" if snapshot.is_over else "bold yellow")


def _line(text: str, done_style: str = "bold") -> Text:
    from rich.text import Text

    line = Text(text, no_wrap=True, overflow="crop")
    line.highlight_regex(r"^(stopped|\d+ of \d+ items done)", done_style)
    line.highlight_regex(r"\b\d+ failed\b", "bold red")
    return line


def _bar(snapshot: Snapshot, text: str) -> RenderableType:
    from rich.constrain import Constrain
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    row = Table.grid(expand=True, padding=(0, 2, 0, 0))
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True)
    total, completed = (snapshot.n_items, snapshot.n_over) if snapshot.n_items else (1, 1)
    bar = ProgressBar(total=total, completed=completed, complete_style="green", finished_style="green")
    row.add_row(bar, f"{snapshot.percent}%", text)
    return Constrain(row, DISPLAY_WIDTH)
