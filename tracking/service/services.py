"""Service: the base of what does the work. Slaves load this too, so it is light."""

from __future__ import annotations

import itertools
from typing import Any

from tracking.service.names import name_of
from tracking.service.requests import Request
from tracking.service.requests import request as make_request
from tracking.service.versions import VersionError

PUT_BY_HANDLER = frozenset({"queue", "handler", "_tr_number"})  # on a service; no state brings others

_numbers = itertools.count(1)


class Service:
    """A computation that can be steered while it runs, and gone on with.

    Override ``run``, and of the others what you need. Hooks for messages are methods named after the message's class:
    ``onSignalQ(self, handler, message)`` is called at once, in the service thread, also while ``run`` computes;
    ``onReadyQ(self, handler, message)`` in the computation thread, in the next ready state.

    Attributes:
        service: its name, None: '<module>.<Class>'.
        version: of requests and states; whoever changes what these mean gives another one.
        queue, handler: set when it is started: the ready queue, and the handler. They never travel to slaves.

    Example:
        >>> from tracking.service import Service, ServiceHandler
        >>> class Sum(Service):
        ...     version = "1"
        ...     def prepare(self, request):
        ...         self.values = request.values
        ...     def run(self, handler):
        ...         return sum(handler.map(abs, self.values))
        >>> handler = ServiceHandler()
        >>> handler.start(Sum, Sum.request(values=[1, -2]))
        >>> handler.wait()
        3

    Source: PARK's ``park.core.service`` (2009).
    """

    service: str | None = None
    version: Any = None
    queue: Any = None
    handler: Any = None

    def __str__(self) -> str:
        if "_tr_number" not in self.__dict__:
            self._tr_number = next(_numbers)
        return f"{type(self).__name__}-{self._tr_number}"

    @classmethod
    def request(cls, **kw: Any) -> Request:
        """A request for this service."""
        return make_request(cls, **kw)

    @classmethod
    def accepts(cls, version: Any) -> bool:
        """Whether requests of this version can be done: those of its own, if it is not overridden."""
        return bool(version == cls.version)

    def upgrade(self, state: Any, version: Any) -> tuple[Any, Any]:
        """Bring a kept state one step up, to a newer version.

        Args:
            state: as a service of ``version`` has given it to ``checkpoint``.

        Returns:
            The state as one of a newer version would have given it, and that version.
        """
        name, own = name_of(type(self)), type(self).version
        raise VersionError(
            f"the state that was kept is of version {version} of service {name}, which is {own} here and has no "
            f"upgrade() for it; begin anew with another run file, or write one",
            version,
            own,
        )

    def prepare(self, request: Any) -> None:
        """Called once, when it is ready to run."""

    def run(self, handler: Any) -> Any:
        """Do the work; what it returns is the result. ``handler.ready()`` is to be called now and then."""
        raise NotImplementedError(f"{type(self).__qualname__} does not define run(handler)")

    def cleanup(self) -> None:
        """Called after completion, failure or abort, once ``prepare`` or ``restore`` was begun."""

    def progress(self) -> tuple[float, float, str] | tuple[float, float] | None:
        """(k, n, 'units'): so much is done of how much; None: nobody knows."""
        return None

    def checkpoint(self) -> Any:
        """A state that ``restore`` can go on from; None: not now. It is copied at once."""
        return None

    def restore(self, state: Any) -> None:
        """Take the place of ``prepare``: afterwards ``run`` goes on from this state."""
        raise NotImplementedError(
            f"{type(self).__qualname__} has kept a state, but does not define restore(state) to go on from it"
        )
