"""What an actor, an object that lives on a slave, was asked and has not answered yet.

::

    Asked --> waiting --- Send, when it is made and fewer than MOST_OUT are out ---> out --- Answered --> settled
                 ^------------------------------- Refused <--------------------------'
    Lost: all that is waiting or out gets Fail, in the order in which it was asked; what is asked later, at once
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

MOST_OUT = 2
"""One call that is being made and one behind it, so that a slave need not wait for us; later ones can be cancelled."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call is to be made. Numbers of calls rise."""

    call: int


@dataclass(frozen=True, slots=True)
class Made:
    """The object is there."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that was out has its answer, or nobody wants it."""

    call: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that was to be sent was not taken: the slave gets nothing more, and will be lost soon."""

    call: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The object is no more."""


ActorEvent = Asked | Made | Answered | Refused | Lost


@dataclass(frozen=True, slots=True)
class Send:
    """Have the slave make this call."""

    call: int


@dataclass(frozen=True, slots=True)
class Fail:
    """This call will have no answer."""

    call: int


ActorCommand = Send | Fail


class ActorPhase(Enum):
    """What is known of the object."""

    COMING = "coming"
    THERE = "there"
    LEAVING = "leaving"
    LOST = "lost"


class ActorState:
    """Who is asked, in order, and answers, in order.

    Example:
        >>> actor = ActorState()
        >>> actor.handle(Asked(1))
        ()
        >>> actor.handle(Made())
        (Send(call=1),)
        >>> actor.handle(Lost())
        (Fail(call=1),)
    """

    def __init__(self) -> None:
        self.phase = ActorPhase.COMING
        self._waiting: deque[int] = deque()
        self._out: dict[int, None] = {}  # in the order in which they were sent

    @property
    def is_busy(self) -> bool:
        """Whether a call has no answer yet."""
        return bool(self._waiting or self._out)

    def is_out(self, call: int) -> bool:
        """Whether this call was sent and has no answer yet."""
        return call in self._out

    @property
    def out(self) -> tuple[int, ...]:
        """The calls that were sent and have no answer yet, in their order."""
        return tuple(self._out)

    def handle(self, event: ActorEvent) -> tuple[ActorCommand, ...]:
        """Take note of what happened; what is to be done about it, in this order."""
        if isinstance(event, Asked):
            return self._is_asked(event.call)
        if isinstance(event, Answered):
            self._out.pop(event.call, None)
        elif isinstance(event, Made):
            if self.phase is ActorPhase.COMING:
                self.phase = ActorPhase.THERE
        elif isinstance(event, Refused):
            self._is_refused(event.call)
        else:
            return self._is_lost()
        return self._sendable()

    def _is_asked(self, call: int) -> tuple[ActorCommand, ...]:
        if self.phase is ActorPhase.LOST:
            return (Fail(call),)
        self._waiting.append(call)
        return self._sendable()

    def _is_refused(self, call: int) -> None:
        if call in self._out:
            del self._out[call]
            self._waiting.append(call)
            self._waiting = deque(sorted(self._waiting))
        if self.phase is ActorPhase.THERE:
            self.phase = ActorPhase.LEAVING

    def _is_lost(self) -> tuple[ActorCommand, ...]:
        self.phase = ActorPhase.LOST
        failing = [*self._out, *self._waiting]
        self._out.clear()
        self._waiting.clear()
        return tuple(Fail(call) for call in failing)

    def _sendable(self) -> tuple[ActorCommand, ...]:
        commands = []
        while self.phase is ActorPhase.THERE and self._waiting and len(self._out) < MOST_OUT:
            call = self._waiting.popleft()
            self._out[call] = None
            commands.append(Send(call))
        return tuple(commands)

    def check(self) -> None:
        """Raise an AssertionError if this cannot be."""
        calls = [*self._out, *self._waiting]
        assert calls == sorted(set(calls)), "calls go out in the order in which they were asked, once each"
        assert len(self._out) <= MOST_OUT
        assert self.phase is not ActorPhase.LOST or not calls, "what is lost has nothing to answer"
        assert self.phase is not ActorPhase.COMING or not self._out, "what is not there was sent nothing"
        may_send = self.phase is ActorPhase.THERE and len(self._out) < MOST_OUT
        assert not (may_send and self._waiting), "nothing waits without need"
