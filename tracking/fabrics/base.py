"""What a fabric is: a way to bring slaves to life, to end them, and to learn how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from tracking.wire.channel import Channel


@dataclass(frozen=True, slots=True)
class SlaveSpec:
    """A slave to be started.

    Attributes:
        tid: its number.
        nickname, host: what people call it, and where it is to run.
        niceness: the nice value that it shall have when it works.
        memory_limit: bytes of data that it may hold, None: as many as there are.
    """

    tid: int
    nickname: str
    host: str
    niceness: int = 0
    memory_limit: int | None = None


@dataclass(frozen=True, slots=True)
class SlaveLines:
    """The master's ends of a slave's lines; what is sent before the slave is up waits for it.

    Attributes:
        line: the job line, both ways, not blocking.
        control: the control line, down only, not blocking.
        output: descriptor of what the slave prints, not blocking; None where it cannot be had. The pool closes it.
    """

    line: Channel
    control: Channel
    output: int | None


@dataclass(frozen=True, slots=True)
class SlaveConnected:
    """A slave that was started without lines has dialled, and has proved who it is: here they are."""

    tid: int
    lines: SlaveLines


@dataclass(frozen=True, slots=True)
class SlaveEnded:
    """A slave has ended.

    Attributes:
        tid: its number.
        how: in words ("killed by SIGKILL", "ended with exit status 3").
        printed: what it had printed, where it ended before it had lines.
    """

    tid: int
    how: str
    printed: bytes = b""


News = SlaveConnected | SlaveEnded


class Condition(Enum):
    """What a fabric can see of a slave that says nothing."""

    WORKING = "working"  # it uses the processor: it computes without a break, in C code
    STOPPED = "stopped"  # it does not run, and will not before somebody lets it
    UNKNOWN = "unknown"


@runtime_checkable
class Fabric(Protocol):
    """Starts and ends slaves. Used by one thread at a time; nothing here waits for long.

    ``tests/fabrics/contract.py`` says in tests what each must do.

    Attributes:
        name: what people call it.
        master_silence_s: its slaves end when they hear nothing of the master for so many seconds; None: they need
            not, since the kernel tells them of its end.
    """

    name: str
    master_silence_s: float | None

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        """Begin to start a slave. None: it will dial, and ``poll`` will bring its lines.

        Raises:
            OSError: it cannot be started now; trying again may help.
        """

    def descriptors(self) -> Iterable[int]:
        """What to watch for reading: when one is ready, ``poll`` has news."""

    def poll(self) -> Sequence[News]:
        """The slaves that have dialled or ended since the last call."""

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted though no descriptor is ready; None: it is not."""

    def look_at(self, tid: int) -> Condition:
        """What can be seen of this slave from outside; asked again and again while it says nothing."""

    def stop(self, tid: int) -> None:
        """End this slave and all that it has started, now; ``poll`` will tell. Unknown or ended: nothing."""

    def close(self) -> None:
        """End whatever still runs, and leave nothing behind. May be called twice."""
