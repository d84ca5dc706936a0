"""Shows a running calculation: on a terminal, in a notebook, as plain lines now and then, or not at all.

::

    master's loop:  start()  (due(now)? -> update(snapshot)) ...  close(snapshot)
                                 │
                 Progress        │   says nothing (verbose=0)
                 ├── PlainLines  ├── a line after 10 s, then ever more rarely, and one at the end
                 │   └── DetailedLines   and all that the logger "tracking" is told (verbose=2)
                 └── Drawn       │
                     ├── OnTerminal   rich's Live, redrawn in place; prints of the user appear above it
                     └── InNotebook   one HTML output, replaced

No thread of its own: everything happens inside the calls of the master's thread. Drawing takes at most 1 %
of the time (a slow draw puts off the next one), and whatever goes wrong with it switches the display off
and is never raised into the calculation. rich is imported with the first draw, not before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from tracking.progress.lines import DetailedLines, PlainLines
from tracking.progress.notebook import InNotebook, is_notebook_cell, open_notebook_output
from tracking.progress.shown import Progress
from tracking.progress.terminal import OnTerminal
from tracking.report import is_terminal

__all__ = ["DetailedLines", "InNotebook", "OnTerminal", "PlainLines", "Progress", "make_progress"]


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
    if verbose == 1 and is_notebook_cell(stream):
        return InNotebook(open_notebook_output, now)
    return DetailedLines(stream, now) if verbose > 1 else PlainLines(stream, now)
