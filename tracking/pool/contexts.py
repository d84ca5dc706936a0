"""What of this program's surroundings holds on slaves that make its calls."""

from __future__ import annotations

import sys

from tracking.pool import arguments
from tracking.pool.naming import MASTER_NUMBERS
from tracking.slave import surroundings


def own_context() -> surroundings.Context:
    """As they are now.

    Raises:
        InputError: the working directory was deleted.
    """
    directory = arguments.working_directory()
    return surroundings.Context(next(MASTER_NUMBERS), list(sys.path), directory, installed=surroundings.installed())
