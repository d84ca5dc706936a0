"""How a job stands, in a word."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a job stands; each is the word itself: ``proxy.status == 'ACTIVE'``."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    CANCEL = "CANCEL"
    UNKNOWN = "UNKNOWN"

    @property
    def is_over(self) -> bool:
        """Whether it will not change any more."""
        return self in (Status.COMPLETE, Status.ERROR, Status.CANCEL)
