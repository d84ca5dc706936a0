"""Which hooks of a master the user has put something of his own in the place of."""

from __future__ import annotations

_MODULE_OF_HOOKS = "tracking.master.job_master"


def is_overridden(master: object, hook: str) -> bool:
    """Whether this hook is not the one that does nothing: in a class that was derived, or on the object itself."""
    return getattr(getattr(master, hook), "__module__", "") != _MODULE_OF_HOOKS
