"""What a slave is at."""

from __future__ import annotations

from typing import Final

init: Final = "init"  # not started
started: Final = "started"  # its start has begun
connected: Final = "connected"  # it is up, and idle
running_task: Final = "running_task"
dead: Final = "dead"  # it has ended; another may take its place, and then it is connected again
