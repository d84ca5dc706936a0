"""Shows a running calculation: on a terminal, in a notebook, as plain lines now and then, or not at all.

::

    master's loop:  start()  (due(now)? -> update(snapshot)) ...  close(snapshot)
                                 │
                 Progress        │   says nothing (verbose=0)
                 ├── PlainLines  ├── a line after 10 s, then ever more rarely, and one at the end
                 │   └── DetailedLines   and all that the logger "tracking" is told (verbose=2)
                 └── _Drawn      │
                     ├── OnTerminal   rich's Live, redrawn in place; prints of the user appear above it
                     └── InNotebook   one HTML output, replaced

No thread of its own: everything happens inside the calls of the master's thread. Drawing takes at most 1 %
of the time (a slow draw puts off the next one), and whatever goes wrong with it switches the display off
and is never raised into the calculation. rich is imported with the first draw, not before.
"""

from __future__ import annotations

import importlib
import io
import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO, cast

from tracking.report import (
    MAX_SLAVE_ROWS,
    HostLine,
    QuietStream,
    Snapshot,
    counts_text,
    end_text,
    fit_lines,
    is_terminal,
    live_table,
    progress_text,
    speed_text,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

__all__ = ["HostLine", "Progress", "Snapshot", "make_progress"]

FIRST_DRAW_S = 0.5
REDRAW_S = 0.25
DRAW_SHARE = 100  # a draw that took t seconds is followed by at least DRAW_SHARE * t seconds without one
FIRST_LINE_S = 10.0
LONGEST_LINE_GAP_S = 60.0
LINE_GAP_GROWTH = 1.5
RATE_WINDOW_S = 30.0
RATE_WINDOW_ITEMS = 10
DISPLAY_WIDTH = 100


def make_progress(
    verbose: int, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic
) -> Progress:
    """The display that fits: none, terminal, notebook or plain lines.

    Args:
        verbose: 0 none; 1 the best that ``stream`` can show; 2 plain lines among all that happens.
        stream: where to show it; None is what ``sys.stderr`` is now.
        now: the clock, in seconds, that ``due`` is asked with.
    """
    if stream is None:
        stream = sys.stderr
    if verbose <= 0 or stream is None:
        return Progress()
    if verbose == 1 and is_terminal(stream):
        return OnTerminal(stream, now)
    if verbose == 1 and _is_notebook_cell(stream):
        return InNotebook(_notebook_output, now)
    return DetailedLines(stream, now) if verbose > 1 else PlainLines(stream, now)


class Progress:
    """Shows nothing; base of the displays that do."""

    def start(self) -> None:
        """The calculation begins."""

    def due(self, now: float) -> bool:
        """Whether it is time for an ``update`` (a comparison: ask as often as you like)."""
        return False

    def update(self, snapshot: Snapshot) -> None:
        """Show this."""

    def close(self, snapshot: Snapshot) -> None:
        """Show the end, and give the terminal back. A second call does nothing."""


class _Shown(Progress):
    """Keeps the time between two draws, and keeps errors of drawing from the calculation."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._next_due = math.inf
        self._is_open = False
        self._rate = Rate()

    def start(self) -> None:
        self._is_open = True
        self._next_due = self._now() + self._gap_s()

    def due(self, now: float) -> bool:
        return now >= self._next_due

    def update(self, snapshot: Snapshot) -> None:
        self._attempt(self._prepare)
        took_s = self._attempt(lambda: self._draw(snapshot))
        if self._is_open:
            self._next_due = self._now() + max(self._gap_s(), DRAW_SHARE * took_s)

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
        self._next_due = math.inf
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


class PlainLines(_Shown):
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


class _Drawn(_Shown):
    """Bar and table, drawn by rich."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self._has_drawn = False

    def _gap_s(self) -> float:
        return REDRAW_S if self._has_drawn else FIRST_DRAW_S

    def _draw(self, snapshot: Snapshot) -> None:
        self._has_drawn = True
        lines = fit_lines(snapshot.lines, self._n_rows())
        self._show(_picture(snapshot, self._rate.measure(snapshot), lines))

    def _draw_end(self, snapshot: Snapshot) -> None:
        # Only how it ended: the table of slaves is the report's, which follows.
        if self._has_drawn:
            self._show(_end_picture(snapshot))

    def _n_rows(self) -> int:
        """How many slaves there is room for."""
        return MAX_SLAVE_ROWS

    def _show(self, picture: RenderableType) -> None:
        raise NotImplementedError


class OnTerminal(_Drawn):
    """Redrawn in place at the bottom of a terminal."""

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        super().__init__(now)
        self._stream = QuietStream(stream)
        self._live: Live | None = None
        self._std_streams = sys.stdout, sys.stderr  # as they were before the Live took them

    def _prepare(self) -> None:
        if self._live is None:
            self._live = self._start_live()

    def _start_live(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        live = Live(
            console=Console(file=cast(TextIO, self._stream), force_jupyter=False),
            auto_refresh=False,
            vertical_overflow="crop",
            # Only prints to a terminal are moved above the display; what goes to a file must still go there.
            redirect_stdout=is_terminal(sys.stdout),
            redirect_stderr=is_terminal(sys.stderr),
        )
        self._std_streams = sys.stdout, sys.stderr
        live.start()
        live.console.show_cursor(True)  # or a killed master would leave the terminal without one
        return live

    def _n_rows(self) -> int:
        height = self._live.console.height if self._live else MAX_SLAVE_ROWS
        return max(1, height - 5)  # the counts, the bar, the note, the table's head, the line of the cursor

    def _show(self, picture: RenderableType) -> None:
        if self._live is not None:
            self._live.update(picture, refresh=True)

    def _draw_end(self, snapshot: Snapshot) -> None:
        super()._draw_end(snapshot)
        if not self._has_drawn:  # it was over sooner than rich is loaded
            self._stream.write(f"{end_text(snapshot)}\n")
            self._stream.flush()

    def _is_broken(self) -> bool:
        return self._stream.is_broken

    def _release(self) -> None:
        live, self._live = self._live, None
        if live is None:
            return
        found = sys.stdout, sys.stderr  # the user may have put others there meanwhile
        try:
            _flush_begun_lines()
            live.stop()
        except Exception:  # noqa: BLE001, S110  the streams are given back in any case
            pass
        finally:
            sys.stdout, sys.stderr = map(_without_proxy, found, self._std_streams)


class InNotebook(_Drawn):
    """One output of a notebook's cell, replaced with each draw.

    Args:
        open_output: makes an empty output, and gives what shows HTML in it in the place of the last one.
        now: the clock.
    """

    def __init__(self, open_output: Callable[[], Callable[[str], None]], now: Callable[[], float]) -> None:
        super().__init__(now)
        self._open_output = open_output
        self._show_html: Callable[[str], None] | None = None

    def _prepare(self) -> None:
        if self._show_html is None:
            _html(live_table([]))  # loads rich
            self._show_html = self._open_output()

    def _show(self, picture: RenderableType) -> None:
        if self._show_html is not None:
            self._show_html(_html(picture))


def _html(picture: RenderableType) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), record=True, width=DISPLAY_WIDTH, force_jupyter=False)
    console.print(picture)
    return console.export_html(code_format="<pre>{code}</pre>", inline_styles=True)


class Rate:
    """Items per second over the last half minute, or over the last ten items if they took longer.

    Restored items do not count: they cost no time.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)])

    def measure(self, snapshot: Snapshot) -> float:
        """Take this moment into account; return the rate, 0.0 as long as it is unknown."""
        now_s, n_computed = snapshot.elapsed_s, snapshot.n_over - snapshot.n_restored
        if n_computed > self._samples[-1][1]:
            self._samples.append((now_s, n_computed))
        while len(self._samples) > 1 and self._is_enough(self._samples[1], now_s, n_computed):
            self._samples.popleft()
        begun_s, n_before = self._samples[0]
        return max(0.0, (n_computed - n_before) / (now_s - begun_s)) if now_s > begun_s else 0.0

    @staticmethod
    def _is_enough(sample: tuple[float, int], now_s: float, n_computed: int) -> bool:
        return now_s - sample[0] >= RATE_WINDOW_S and n_computed - sample[1] >= RATE_WINDOW_ITEMS


def _picture(snapshot: Snapshot, rate: float, lines: Sequence[HostLine]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    note = [Text(snapshot.note, "yellow")] if snapshot.note else []
    bar = _bar(snapshot, speed_text(snapshot, rate))
    return Group(_line(counts_text(snapshot)), bar, *note, live_table(lines))


def _end_picture(snapshot: Snapshot) -> RenderableType:
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


def _flush_begun_lines() -> None:
    """Show what the user printed without an end of line yet; rich would drop it with its proxies."""
    from rich.file_proxy import FileProxy

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, FileProxy):
            stream.flush()


def _without_proxy(found: TextIO, original: TextIO) -> TextIO:
    from rich.file_proxy import FileProxy

    return original if isinstance(found, FileProxy) else found


def _is_notebook_cell(stream: TextIO) -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return stream in (sys.stdout, sys.stderr) and hasattr(shell, "kernel")


def _notebook_output() -> Callable[[str], None]:
    """A function that shows HTML in one and the same output of the current cell."""
    display = importlib.import_module("IPython.display")
    handle = display.display(display.HTML(""), display_id=True)
    return lambda html: handle.update(display.HTML(html))
