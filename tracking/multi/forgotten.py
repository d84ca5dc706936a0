"""Warns of commands that were queued and never run, at the latest when the program ends."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import weakref
from typing import Any

logger = logging.getLogger("tracking")

_with_queue: weakref.WeakSet[Any] = weakref.WeakSet()


def remember(processor: Any) -> None:
    """Have the program's end look whether this processor's queue was run."""
    _look_at_the_end(os.getpid())
    _with_queue.add(processor)


def tell(processor: Any) -> None:
    """Warn of what is queued; the program's end will not say it again."""
    _with_queue.discard(processor)
    if processor.command_queue:
        logger.warning("%d queued commands were never run: run_queue() is missing", len(processor.command_queue))


@functools.cache
def _look_at_the_end(process: int) -> None:
    atexit.register(_tell_all, process)


def _tell_all(process: int) -> None:
    """A program that has failed did not come to its ``run_queue``, and a forked copy has only a copy of the queue."""
    if os.getpid() != process or hasattr(sys, "last_type"):
        return
    for processor in list(_with_queue):
        if not processor.exit_status:
            tell(processor)
