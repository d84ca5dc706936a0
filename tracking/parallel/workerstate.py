"""``slavestate`` in the other vocabulary."""

from tracking.parallel.slavestate import connected, dead, init, running_task, started

__all__ = ["connected", "dead", "init", "running_task", "started"]
