"""Tasks that were added while nobody ever asked for results: the end of their context or manager says so.

::

    add_task --> count       an iteration begins --> there is nothing to say any more
                             Context.close, Manager.close, context forgotten, program's end --> a warning, once

It holds no task: a task may hold its context, which is to be forgotten nevertheless.
"""

from __future__ import annotations

import logging
import os
import sys

logger = logging.getLogger("tracking")


class NeverRun:
    """Those of a context.

    Attributes:
        count: so many were added, and not cancelled.
        is_over: results were asked for, it was told, or nobody is to be told.
    """

    def __init__(self) -> None:
        self.count = 0
        self.is_over = False
        self._pid = os.getpid()

    def tell(self) -> None:
        """This is the end: warn, unless an exception has brought it, or this is a child that was forked."""
        is_wanted = not self.is_over and self.count > 0 and os.getpid() == self._pid
        self.is_over = True
        if is_wanted and sys.exc_info()[0] is None:
            were = "1 task was" if self.count == 1 else f"{self.count} tasks were"
            logger.warning("%s never run: iterate over get_results_unordered(), or over what map() gives", were)

    def tell_forgotten(self) -> None:
        """The context was forgotten, perhaps at the end of the program; that may end by an exception."""
        if getattr(sys, "last_value", None) is None:
            self.tell()
