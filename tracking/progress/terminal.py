"""A display at the bottom of a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, cast

from tracking.progress.drawn import Drawn
from tracking.report import MAX_SLAVE_ROWS, QuietStream, Snapshot, end_text, is_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


class OnTerminal(Drawn):
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
        from rich.live import Live

        from tracking.progress.turns import ConsoleInTurns

        live = Live(
            console=ConsoleInTurns(file=cast(TextIO, self._stream), force_jupyter=False),
            auto_refresh=False,
            vertical_overflow="crop",
            # Only prints to a terminal are moved above the display; what goes to a file must still go there.
            redirect_stdout=is_terminal(sys.stdout),
            redirect_stderr=is_terminal(sys.stderr),
        )
        self._std_streams = sys.stdout, sys.stderr
        with live.console:
            live.start()
        live.console.show_cursor(True)  # or a killed master would leave the terminal without one
        return live

    def _n_rows(self) -> int:
        height = self._live.console.height if self._live else MAX_SLAVE_ROWS
        return max(1, height - 5)  # the counts, the bar, the note, the table's head, the line of the cursor

    def _show(self, picture: RenderableType) -> None:
        if self._live is not None:
            with self._live.console:
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
            with live.console:
                _flush_begun_lines()
                live.stop()
        except Exception:  # noqa: BLE001, S110  the streams are given back in any case
            pass
        finally:
            sys.stdout, sys.stderr = map(_without_proxy, found, self._std_streams)


def _flush_begun_lines() -> None:
    """Show what the user printed without an end of line yet; rich would drop it with its proxies."""
    from rich.file_proxy import FileProxy

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, FileProxy):
            stream.flush()


def _without_proxy(found: TextIO, original: TextIO) -> TextIO:
    from rich.file_proxy import FileProxy

    return original if isinstance(found, FileProxy) else found
