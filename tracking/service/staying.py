"""What stays with the service when the service travels to slaves, or into a file."""

from __future__ import annotations

from typing import Any, NoReturn


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
