"""What can be seen of a process from outside, and what that says of it when it is looked at again and again."""

from __future__ import annotations

from enum import Enum

_STOPPED_STATES = frozenset("Tt")  # by a signal, by a debugger


class Condition(Enum):
    """What can be seen of a slave that says nothing."""

    WORKING = "working"  # it uses the processor: it computes without a break, in C code
    STOPPED = "stopped"  # it does not run, and will not before somebody lets it
    UNKNOWN = "unknown"


class Looks:
    """Which slaves work, and which are stopped, by looking at their processes on this machine again and again."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}  # tid -> what it had used when it was last looked at

    def look(self, tid: int, pid: int) -> Condition:
        """What can be seen of this slave, a process of this machine."""
        seen = look_at_process(pid)
        return Condition.UNKNOWN if seen is None else self.judge(tid, *seen)

    def judge(self, tid: int, state: str, ticks: int) -> Condition:
        """What it means that this was seen of a slave, after what was seen before."""
        before = self._ticks.get(tid, ticks)
        self._ticks[tid] = ticks
        if state in _STOPPED_STATES:
            return Condition.STOPPED
        return Condition.WORKING if ticks > before else Condition.UNKNOWN

    def forget(self, tid: int) -> None:
        """It has ended."""
        self._ticks.pop(tid, None)


def look_at_process(pid: int) -> tuple[str, int] | None:
    """State of a process (one letter, as in ps) and processor time of it and of children that it has waited for.

    The time is in ticks of the system. None: it is gone, or this system does not tell.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()  # the program's name may have blanks and brackets
        return words[0].decode(), sum(map(int, words[11:15]))
    except (OSError, ValueError, IndexError):
        return None
