"""How a job ends that does not complete, and what stays behind when a service travels."""

from __future__ import annotations

from typing import Any, NoReturn

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


class StaysHere:
    """Base of what never travels to slaves, nor into a file: there an ``Absent`` stands in its place.

    So ``handler.map(self.task, values)`` works whatever the service keeps: its handler, its queue, a proxy.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return Absent, (type(self).__name__,)


class Absent:
    """Stands on a slave for something that has stayed with the service; says so when it is used.

    Args:
        what: its class.
    """

    def __init__(self, what: str) -> None:
        self.__dict__["_what"] = what

    def __reduce__(self) -> tuple[Any, ...]:
        return Absent, (self._what,)

    def __repr__(self) -> str:
        return f"<the {self._what} stays with the service>"

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            f"{name!r} of the {self._what} was asked for where there is none: it stays with the service, and tasks on "
            f"slaves have their value only; return what the service needs to know"
        )
