"""Application_callback: how a processor calls the program."""

from __future__ import annotations

import sys
import traceback
from typing import Any


class Application_callback:  # noqa: N801  (a name of old)
    """Says what the master runs, and what is done when that fails. Whatever has these two attributes will do.

    Args:
        master: the program: an object with ``run()``.

    Attributes:
        init_master: called with the processor, to run the program.
        handle_exception: called with the processor and the exception that has ended the program.
    """

    def __init__(self, master: Any) -> None:
        self.master = master
        self.init_master: Any = self.default_init_master
        self.handle_exception: Any = self.default_handle_exception

    def default_init_master(self, processor: Any) -> None:
        """Run the program."""
        self.master.run()

    def default_handle_exception(self, processor: Any, exception: BaseException) -> None:
        """Print the traceback, and end everything."""
        traceback.print_exception(exception, file=sys.stderr)
        processor.abort()
