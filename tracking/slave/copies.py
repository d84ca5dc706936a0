"""Copies of the slave that the work makes with ``os.fork``: each may finish the item that it was made in, and ends.

A copy that comes out of its item ends right there, as it would have at the end of a program of its own: it does
no other item, and says nothing to the master, whose line it shares.
"""

from __future__ import annotations

import os
import sys

from tracking.slave import reports

is_copy = False
"""Whether this process is one; ``SlaveProcess`` says of itself that it is not."""


def _note() -> None:
    global is_copy
    is_copy = True


def this_is_none() -> None:
    """This process is a slave, though it was forked itself."""
    global is_copy
    is_copy = False


os.register_at_fork(after_in_child=_note)


def end_if_copy(error: BaseException | None = None) -> None:
    """To be called when the work comes back: ``error`` is what it raised."""
    if not is_copy:
        return
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        reports.print_last_words(error)
        status = 1
    sys.stdout.flush()
    os._exit(status)
