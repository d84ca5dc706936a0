"""The life of a job: what comes after what. Pure; the handler performs it.

::

    NEW -- check the version -- fill in (queue) -- Started -- prepare | restore -- run -- cleanup -- ENDED
             |                    |                   |            |                |
             +---- refused: not started               |            +--- failed, aborted: cleanup, too
                                                      +--- aborted before: no prepare, no cleanup

At its end exactly one of Completed, Aborted and Error is sent, as the last message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, TypeAlias

from tracking.errors import InvalidTransition


class State(Enum):
    """Where a job is."""

    NEW = "new"
    CHECKING = "checking versions"
    QUEUEING = "filling in the request"
    REFUSED = "refused"
    STARTING = "starting"
    SETTING_UP = "being prepared or restored"
    RUNNING = "running"
    CLEANING = "cleaning up"
    ENDED = "ended"


class Do(Enum):
    """What is to be done next."""

    CHECK_REQUEST = "check the version of the request"
    CHECK_STATE = "check the version of the state, and upgrade it"
    FILL_IN = "let the request fill in what can be derived"
    TELL_STARTED = "send Started"
    PREPARE = "prepare"
    RESTORE = "restore"
    RUN = "run"
    CLEAN_UP = "clean up"
    END = "send the final message"
    NOTHING = "nothing"


class Outcome(Enum):
    """How a job ended."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"


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


STATUS = {
    Outcome.COMPLETED: Status.COMPLETE,
    Outcome.ABORTED: Status.CANCEL,
    Outcome.FAILED: Status.ERROR,
}

# ---- what happened


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job is to be done; ``is_resumed``: from a state that was kept."""

    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What was to be done is done; ``value``: what ``run`` returned; ``is_aborted``: the job was told to end."""

    is_aborted: bool = False
    value: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was left with ``AbortService``."""


Event: TypeAlias = Submitted | Done | Failed | Stopped

_ON = {
    (State.CHECKING, Done): (State.QUEUEING, Do.FILL_IN),
    (State.CHECKING, Failed): (State.REFUSED, Do.NOTHING),
    (State.QUEUEING, Done): (State.STARTING, Do.TELL_STARTED),
    (State.QUEUEING, Failed): (State.REFUSED, Do.NOTHING),
    (State.STARTING, Done): (State.SETTING_UP, Do.PREPARE),
    (State.STARTING, Stopped): (State.ENDED, Do.END),
    (State.STARTING, Failed): (State.ENDED, Do.END),
    (State.SETTING_UP, Done): (State.RUNNING, Do.RUN),
    (State.SETTING_UP, Stopped): (State.CLEANING, Do.CLEAN_UP),
    (State.SETTING_UP, Failed): (State.CLEANING, Do.CLEAN_UP),
    (State.RUNNING, Done): (State.CLEANING, Do.CLEAN_UP),
    (State.RUNNING, Stopped): (State.CLEANING, Do.CLEAN_UP),
    (State.RUNNING, Failed): (State.CLEANING, Do.CLEAN_UP),
    (State.CLEANING, Done): (State.ENDED, Do.END),
    (State.CLEANING, Stopped): (State.ENDED, Do.END),
    (State.CLEANING, Failed): (State.ENDED, Do.END),
}


class Life:
    """One job's life.

    Attributes:
        state: where it is.
        outcome: how it ended, None as long as that is not known.
        value: what ``run`` returned.
        error: with which it failed.
    """

    def __init__(self) -> None:
        self.state = State.NEW
        self.outcome: Outcome | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self._is_resumed = False

    def handle(self, event: Event) -> Do:
        """Take note of what happened; what is to be done next.

        Raises:
            InvalidTransition: it cannot happen now.
        """
        if isinstance(event, Submitted):
            return self._begin(event)
        if isinstance(event, Done) and event.is_aborted and self.state in (State.STARTING, State.SETTING_UP):
            event = Stopped()  # told to end before it ran: it need not run at all
        found = _ON.get((self.state, type(event)))
        if found is None:
            raise InvalidTransition("job", self.state.value, event)
        self._note(event)
        self.state, do = found
        return self._resumed(do) if self._is_resumed else do

    def _begin(self, event: Submitted) -> Do:
        if self.state is not State.NEW:
            raise InvalidTransition("job", self.state.value, event)
        self._is_resumed, self.state = event.is_resumed, State.CHECKING
        return Do.CHECK_STATE if event.is_resumed else Do.CHECK_REQUEST

    def _resumed(self, do: Do) -> Do:
        """What is different when a job goes on: the request was filled in before, and nothing is prepared anew."""
        if do is Do.FILL_IN:
            self.state = State.STARTING
            return Do.TELL_STARTED
        return Do.RESTORE if do is Do.PREPARE else do

    def _note(self, event: Event) -> None:
        if self.state is State.CLEANING:
            return  # the outcome is known, whatever cleanup() does
        if isinstance(event, Failed):
            self.outcome, self.error = Outcome.FAILED, event.error
        elif isinstance(event, Stopped):
            self.outcome = Outcome.ABORTED
        elif isinstance(event, Done) and self.state is State.RUNNING:
            self.outcome, self.value = Outcome.COMPLETED, event.value
