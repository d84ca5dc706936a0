"""What a slave keeps of a calculation, and who in it hears the master."""

from __future__ import annotations

from collections.abc import Hashable
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tracking.slave.surroundings import Context
from tracking.slave.work import Work
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Message

if TYPE_CHECKING:
    from tracking.slave.loading import Code


class Calculation:
    """What the slave keeps of a calculation.

    Args:
        number: the calculation.
        work: what it does with jobs.
        main: the ``__main__`` that its code believes in.
    """

    def __init__(self, number: int, work: Work, main: ModuleType) -> None:
        self.number = number
        self.work = work
        self.main = main
        self.size = 0  # bytes of its code and parameters
        self.listener: Listener | None = None
        self.is_limited = False  # its items have a time limit: the master must know at once who is through
        self.in_rows = False  # its jobs come in rows: so may their results
        self.begun = -1  # the highest number of a job that was begun
        self.recalled: set[int] = set()  # jobs that were handed back but may still come out of the line
        self.trouble: m.Report | None = None  # why definitions that its jobs need could not be installed


class Kept(NamedTuple):
    """A function that was loaded for a calculation, and may be asked for again.

    Not the function itself: its name may mean another one by then, since items may reload or change modules.
    """

    number: int
    code: Code
    context: Context


class Listener(Protocol):
    """Who hears the messages of a calculation, told by the control thread: its JobSlave."""

    def _tr_message_arrived(self, sender_tid: int, tag: Hashable, values: tuple[object, ...] | None, /) -> None: ...

    def _tr_pong_arrived(self, token: int, /) -> None: ...

    def _tr_tasks_arrived(self, tasks: dict[str, int], /) -> None: ...

    def _tr_await_handled(self, timeout_s: float, /) -> None: ...

    def _tr_disconnect(self) -> None: ...


def tell(listener: Listener, message: Message) -> None:
    """Pass a message on. Raises whatever the making of its values raises."""
    kind = message[0]
    if kind == m.TELL:
        _, _, sender, payload, definitions = message
        if definitions is not None:
            mainmodule.install(definitions)
        decoded: Any = codec.decode(payload)
        tag, values = decoded
        listener._tr_message_arrived(sender, tag, values)
    elif kind == m.PONG:
        listener._tr_pong_arrived(message[2])
    elif kind == m.TASKS:
        listener._tr_tasks_arrived(message[2])
