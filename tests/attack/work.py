"""What is calculated meanwhile."""

from __future__ import annotations

import os
import time

NAP_S = 0.005


def nap(job: tuple[int, str]) -> int:
    """The square of a number, after a moment; without it when there is no hurry any more (a file says so)."""
    number, over = job
    if not os.path.exists(over):
        time.sleep(NAP_S)
    return number * number
