"""Commands of small queues on the master itself: what takes less time than a message need not travel."""

from __future__ import annotations

from tracking.multi.box import Processor_box
from tracking.multi.slave_side import Slave_processor
from tracking.multi.travel import Outcome, Snapshot, Stored


class Here:
    """Runs commands in this process, as copies, with a data store as slaves have it.

    Args:
        size: how many slaves there are.
    """

    def __init__(self, size: int) -> None:
        self._processor = Slave_processor(0, size)

    def run(self, command: Snapshot, stored: dict[str, Stored]) -> Outcome:
        """Run a command; ``stored`` is all that slaves have."""
        self._processor.store(stored)
        box = Processor_box()
        before, box.processor = box.processor, self._processor
        try:
            return self._processor.outcome(command)
        finally:
            box.processor = before
