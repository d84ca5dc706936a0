"""What an engine must do for a ``RelayedFabric``: bring relays to life, tell when they are up or have ended, end them.

A *relay* (``tracking.slave.relay``) is a small process on a host: it forks slaves there, and carries their lines over
one line of its own to the master. A launcher knows nothing of slaves: it starts relays, each known by its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tracking.wire.carriers import Carrier


@dataclass(frozen=True, slots=True)
class RelayUp:
    """The line to a relay is there, and it has proved who it is; what it can do it says on this line."""

    number: int
    carrier: Carrier


@dataclass(frozen=True, slots=True)
class RelayEnded:
    """A relay has ended, or will never come.

    Attributes:
        number: which.
        how: in words, with those of the engine ("Slurm job 12_3 on node2: NODE_FAIL").
        printed: what it had printed, where that can be had.
    """

    number: int
    how: str
    printed: bytes = b""


RelayNews = RelayUp | RelayEnded


class Launcher(Protocol):
    """Starts relays. Used by one thread at a time; nothing here waits for long, but where it says so.

    Attributes:
        name: of the fabric.
        is_by_host: a relay is started on a host that is named, and has room for any number of slaves there; otherwise
            the engine chooses the hosts, and each relay says how many slaves it has room for.
        start_timeout_s: so long a slave may take to come up, time in a queue included; None: as long as it likes.
        silence_s: a relay that is not heard for so long is lost, with all slaves on it.
        master_silence_s: a relay that hears nothing of us for so long ends.
    """

    name: str
    is_by_host: bool
    start_timeout_s: float | None
    silence_s: float
    master_silence_s: float

    def check_host(self, host: str) -> None:
        """As for a fabric."""

    def hosts_for(self, count: int | None) -> list[str]:
        """As for a fabric."""

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """As for a fabric."""

    def launch(self, numbers: Sequence[int], host: str) -> None:
        """Begin to start relays of these numbers, with room for one slave for each number in all.

        There may be fewer relays than numbers, if they have room for more slaves. The numbers that are left are told
        of when all of this launch has ended; or when such a relay ends before it is up, as many as make up its room.

        Raises:
            OSError, EngineError: it cannot be done now; none was started.
        """

    def line_is_cut(self, number: int) -> None:
        """The line to this relay is gone: ``poll`` shall bring RelayEnded with the reason, within a second or so."""

    def descriptors(self) -> Iterable[int]:
        """What to watch for reading."""

    def poll(self) -> Sequence[RelayNews]:
        """What has happened since the last call."""

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted though no descriptor is ready; None: it is not."""

    def waiting_for(self) -> str:
        """What relays that are not up wait for, in words; "": nothing."""

    def stop(self, number: int) -> None:
        """End this relay, now: it is not wanted any more, or its line is cut. Unknown or ended: nothing."""

    def close(self) -> None:
        """End all relays, and leave nothing behind; bounded. May be called twice."""
