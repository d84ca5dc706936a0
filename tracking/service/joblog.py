"""The log of a job: as any other, or, on demand, sent to those who listen."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tracking.service.messages import Log

_SENT = "tracking_job_sent"


class JobLog(logging.Filter):
    """Sits in the logger of a job. With a level, records from there on are sent as ``Log`` instead of being shown here.

    A monitor in this process that logs them shows them then.

    Args:
        job: its name.
        send: takes the message.
    """

    def __init__(self, job: str, send: Callable[[Log], object]) -> None:
        super().__init__()
        self.logger = logging.getLogger(f"tracking.service.{job}")
        self._send = send
        self._is_sending = False
        self.logger.addFilter(self)

    def set_level(self, level: int | str | None) -> None:
        """Send from this level on ('DEBUG'); None: send nothing.

        Raises:
            ValueError: there is no such level.
        """
        self.logger.setLevel(logging.NOTSET if level is None else level)
        self._is_sending = level is not None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is to be shown here."""
        if not self._is_sending or hasattr(record, _SENT):
            return True
        setattr(record, _SENT, True)
        self._send(Log(record))
        return False

    def close(self) -> None:
        """The job is over."""
        self.logger.removeFilter(self)
        self.logger.setLevel(logging.NOTSET)
