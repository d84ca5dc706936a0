"""How a job, or a map of it, ends that does not complete."""

from __future__ import annotations

from tracking.errors import Interrupted, TrackingError


class AbortService(BaseException):
    """The job was told to end. Raised by ``handler.ready()`` and ``handler.map()``, from then on each time.

    No ``Exception``: an ``except Exception`` in ``run()`` does not hold it up. ``run()`` need do nothing about it,
    except perhaps ``handler.improved(value)`` in a ``finally``.
    """


class MapCancelled(Interrupted):
    """The map was given up by ``handler.cancel_map()``; the job goes on.

    Attributes:
        result: {place: result} of the values that were done.
    """


class ServiceError(TrackingError, RuntimeError):
    """A job has failed.

    Attributes:
        trace: the traceback as text, from the user's own frames on.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace

    def __str__(self) -> str:
        return "\n".join(part for part in (str(self.args[0]), self.trace.rstrip()) if part)
