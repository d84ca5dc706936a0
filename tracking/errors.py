"""Every error that this package raises, in one tree.

::

    TrackingError
    ├── InputError (ValueError)             wrong use, found before any slave starts
    │   └── UnknownHost                     a host name that means nothing here
    ├── EncodeError (TypeError)             a function, value or result that cannot be sent; names the part
    ├── ProtocolError (ConnectionError)     the other end does not speak our language
    ├── NoSlavesError (RuntimeError)        no slave could be started, or none is left and none can be
    ├── SlaveLost (RuntimeError)            the slave that held an object has ended, and the object with it
    ├── EngineError (RuntimeError)          ssh, a queueing system or MPI is not there or refuses; has its words
    ├── StoreError (OSError)                a run file or restart file that cannot be used
    ├── InvalidTransition (RuntimeError)    a bug of ours: an event that fits no state; carries the story
    ├── CalculationError (RuntimeError)     some items failed; carries .result and .errors
    ├── Interrupted (RuntimeError)          the calculation was ended from outside; carries .result
    └── ItemError                           what ``master.errors[id]`` holds: one item that failed
        ├── ItemRaised                      its function or ``go`` raised; carries the remote traceback
        ├── ItemKilledSlave                 its slave died each time it was alone on one
        ├── ItemTimeout (TimeoutError)      it took longer than ``item_timeout``, or than its slaves may stay
        └── ItemResultError                 its result could not be sent, or was none at all

Every error survives pickle.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

_SHOWN_LINES = 5  # of what a slave wrote last


class TrackingError(Exception):
    """Base of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with own __init__ arguments do not pickle by themselves: rebuild from the fields.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[TrackingError], args: tuple[Any, ...], fields: dict[str, Any]) -> TrackingError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class InputError(TrackingError, ValueError):
    """Wrong use: an argument, a script, a host name. Raised before any slave starts."""


class UnknownHost(InputError):
    """A host name that neither resolves nor is known to ssh: misspelt, or the name service is down."""


class EncodeError(TrackingError, TypeError):
    """Something cannot be sent to another process; the message names what, and which part of it."""


class ProtocolError(TrackingError, ConnectionError):
    """The other end of a line sent what is no message of this protocol version."""


class NoSlavesError(TrackingError, RuntimeError):
    """No slave could be started, or all are gone and none can be started again."""


class SlaveLost(TrackingError, RuntimeError):
    """The slave on which an object lived has ended, and what the object was asked has no answer.

    Attributes:
        host, nickname: the slave.
        how: its end in words, such as "killed by SIGKILL".
        output: the last lines that it wrote, '' if none.
    """

    def __init__(self, how: str, *, host: str = "", nickname: str = "", output: str = "") -> None:
        super().__init__(how)
        self.how = how
        self.host = host
        self.nickname = nickname
        self.output = output

    def __str__(self) -> str:
        name = self.nickname or self.host
        where = f"{name} on {self.host}" if self.host not in ("", name) else name
        lines = [line for line in self.output.rstrip().splitlines()[-_SHOWN_LINES:] if line.strip()]
        text = f"slave {where} is lost, and with it the object there and what it was asked: {self.how}"
        return "\n".join([text, "its last lines:", *lines]) if lines else text


class EngineError(TrackingError, RuntimeError):
    """What is to bring slaves to life (ssh, Slurm, Grid Engine, MPI, Dask) is not there, or refuses.

    The message names it, keeps its own words, and says what to do.
    """


class StoreError(TrackingError, OSError):
    """A run file or restart file that cannot be read, written or trusted; says which and why."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidTransition(TrackingError, RuntimeError):
    """An event that does not fit the state it meets: a bug of this package. Nothing was changed.

    Args:
        subject: what it happened to, as text ("job 7").
        state: its state, as text.
        event: the event.
        story: what had happened to it before, oldest first.
    """

    def __init__(self, subject: str, state: str, event: object, story: tuple[str, ...] = ()) -> None:
        super().__init__(
            f"{subject} is {state}: {event!r} cannot happen to it. Before: {'; '.join(story) or 'nothing'}"
        )
        self.subject = subject
        self.state = state
        self.event = event
        self.story = story


class ItemError(TrackingError):
    """Why one item has no result.

    Attributes:
        id: the item's id.
        host: the host of its last try.
        nickname: the slave of its last try.
        tries: how often it was begun.
        remote_traceback: the traceback on the slave as text, '' where there was none.
        output: the last lines that the slave wrote, '' if none.
    """

    def __init__(
        self,
        message: str,
        *,
        id: Hashable = None,
        host: str = "",
        nickname: str = "",
        tries: int = 1,
        remote_traceback: str = "",
        output: str = "",
    ) -> None:
        super().__init__(message)
        self.id = id
        self.host = host
        self.nickname = nickname
        self.tries = tries
        self.remote_traceback = remote_traceback
        self.output = output

    def __str__(self) -> str:
        where = f" on {self.nickname or self.host}" if self.nickname or self.host else ""
        tries = f", {self.tries} tries" if self.tries > 1 else ""
        parts = [f"item {self.id!r}{where}{tries}: {self.args[0]}"]
        if self.remote_traceback.strip() not in str(self.args[0]):  # else it has no frame of the user's code
            parts.append(self.remote_traceback)
        if isinstance(self, ItemKilledSlave | ItemTimeout) and self.output.strip():
            parts += ["its last lines:", *self.output.rstrip().splitlines()[-_SHOWN_LINES:]]
        return "\n".join(part for part in parts if part)


class ItemRaised(ItemError):
    """The item's function, or the slave's ``go``, raised. ``__cause__`` is the exception where it could travel."""


class ItemKilledSlave(ItemError):
    """The item was alone on a slave that died, as often as ``max_deaths`` allows."""


class ItemTimeout(ItemError, TimeoutError):
    """The item took longer than ``item_timeout``, or than its slaves may stay."""


class ItemResultError(ItemError):
    """The result could not be sent, or ``go`` returned something else than a result for each of its items."""


class CalculationError(TrackingError, RuntimeError):
    """Some items failed; everything else was finished.

    Attributes:
        result: {id: result} of all items that succeeded (or what ``getResult`` made of them).
        errors: {id: ItemError} of those that did not.
    """

    def __init__(self, result: Any, errors: Mapping[Hashable, ItemError], hint: str = "") -> None:
        super().__init__(_summary(errors) + (f"\n{hint}" if hint else ""))
        self.result = result
        self.errors = dict(errors)


class Interrupted(TrackingError, RuntimeError):
    """The calculation was ended from outside before all items were done.

    Attributes:
        result: {id: result} of the items that were finished.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


def _summary(errors: Mapping[Hashable, ItemError], shown: int = 5) -> str:
    lines = [f"{len(errors)} item{'s' if len(errors) != 1 else ''} failed:"]
    lines += [str(error) for error in list(errors.values())[:shown]]
    if len(errors) > shown:
        lines.append(f"... and {len(errors) - shown} more; all are in .errors")
    return "\n".join(lines)
