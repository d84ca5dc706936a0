"""A display in the output of a notebook's cell."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from tracking.progress.drawn import Drawn
from tracking.progress.pictures import DISPLAY_WIDTH
from tracking.report import live_table

if TYPE_CHECKING:
    from rich.console import RenderableType


class InNotebook(Drawn):
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
    console.print(picture, crop=False)
    return console.export_html(code_format="<pre>{code}</pre>", inline_styles=True)


def is_notebook_cell(stream: TextIO) -> bool:
    """Whether that is where the prints of a notebook's cell go."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return stream in (sys.stdout, sys.stderr) and hasattr(shell, "kernel")


def open_notebook_output() -> Callable[[str], None]:
    """A function that shows HTML in one and the same output of the current cell."""
    display = importlib.import_module("IPython.display")
    handle = display.display(display.HTML(""), display_id=True)
    return lambda html: handle.update(display.HTML(html))
