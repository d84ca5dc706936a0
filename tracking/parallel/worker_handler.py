"""``slave_handler`` in the other vocabulary."""

from tracking.parallel.slave_handler import main

__all__ = ["main"]
