"""What a fabric is: a way to bring slaves to life, to end them, and to learn how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from tracking.errors import InputError
from tracking.fabrics.host_report import HostReport
from tracking.fabrics.machine import is_local, usable_cores
from tracking.fabrics.settings import HostSettings
from tracking.slave.cores import USUAL, Share
from tracking.slave.looks import Condition
from tracking.wire.channel import Channel
from tracking.wire.mapped import SharedPayload

START_TIMEOUT_S = 60.0

__all__ = [
    "BaseFabric", "Condition", "Fabric", "News", "SlaveConnected", "SlaveEnded", "SlaveLines", "SlaveSpec"
]


class SlaveSpec(NamedTuple):
    """A slave to be started.

    Attributes:
        tid: its number.
        nickname, host: what people call it, and where it is to run.
        niceness: the nice value that it shall have when it works.
        memory_limit: bytes of data that it may hold, None: as many as there are.
        share: what it has of the cores of its host.
    """

    tid: int
    nickname: str
    host: str
    niceness: int = 0
    memory_limit: int | None = None
    share: Share = USUAL


class SlaveLines(NamedTuple):
    """The master's ends of a slave's lines; what is sent before the slave is up waits for it.

    Attributes:
        line: the job line, both ways, not blocking.
        control: the control line, down only, not blocking.
        output: descriptor of what the slave prints, not blocking; None where it cannot be had. The pool closes it.
    """

    line: Channel
    control: Channel
    output: int | None


class SlaveConnected(NamedTuple):
    """A slave that was started without lines has got them.

    Attributes:
        tid: its number.
        lines: here they are.
        host: where it is, where the fabric chose that; "": where it was to be.
        left_s: in so many seconds its time is up, as a queue has set it; None: it may stay as long as it likes.
    """

    tid: int
    lines: SlaveLines
    host: str = ""
    left_s: float | None = None


class SlaveEnded(NamedTuple):
    """A slave has ended.

    Attributes:
        tid: its number.
        how: in words ("killed by SIGKILL", "ended with exit status 3").
        printed: what it had printed, where it ended before it had lines.
        is_innocent: what ended is its host, its line or its time in a queue: nothing that it worked on is to blame.
            A slave that was told to ``stop`` and did is not innocent.
    """

    tid: int
    how: str
    printed: bytes = b""
    is_innocent: bool = False


News = SlaveConnected | SlaveEnded


@runtime_checkable
class Fabric(Protocol):
    """Starts and ends slaves. Used by one thread at a time; nothing here waits for long, but where it says so.
    ``check_host``, ``hosts_for`` and ``check`` may be called beside that by other threads, while slaves are at work.

    ``tracking.testing.contracts`` says in tests what each must do; derive from ``BaseFabric``, which has the defaults.

    Attributes:
        name: what people call it.
        start_timeout_s: a slave that has not come up by then is given up; None: it never is.
        shares_memory: its slaves run on this machine, and may map memory of this process.
    """

    name: str
    start_timeout_s: float | None
    shares_memory: bool

    def check_host(self, host: str) -> None:
        """Refuse a host name on which this fabric can start nothing; takes milliseconds.

        Raises:
            InputError: names the host and says why.
        """

    def hosts_for(self, count: int | None) -> list[str]:
        """The host of each slave where the user names none; the fabric's own name where that is not known yet.

        What it gives ``check_host`` takes, too: it stands in restart files.

        Args:
            count: how many slaves he wants; None: as many as make sense. This may ask the engine, which takes a while.

        Raises:
            EngineError: the engine is not there, or does not answer.
        """

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Try whether slaves can be started on these hosts: {host: why they cannot}. Waits for that; bounded."""

    def stop_checking(self) -> None:
        """What is being tried need not be known any more: ``check`` and ``examine`` come back soon. From any thread."""

    def use_settings(self, settings: Mapping[str, HostSettings]) -> None:
        """What a hosts file says of hosts: {host: what slaves to come need there}; more may come into it later.

        What the fabric was told itself, when it was made, goes before.
        """

    def examine(self, hosts: Sequence[str]) -> dict[str, HostReport]:
        """The same with all else that was found; for people."""

    def preload(self, modules: Iterable[str]) -> None:
        """Slaves to come will need these modules: they may be loaded once for all."""

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        """Begin to start a slave. None: ``poll`` will bring its lines.

        Raises:
            OSError: it cannot be started now; trying again may help.
        """

    def descriptors(self) -> Iterable[int]:
        """What to watch for reading: when one is ready, ``poll`` has news."""

    def poll(self) -> Sequence[News]:
        """The slaves that have got their lines or ended since the last call."""

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted though no descriptor is ready; None: it is not."""

    def wanted(self) -> int | None:
        """How many slaves there should be now; None: as many as were asked for. Looked at after each ``poll``.

        When it grows, more are started; when it shrinks, those that are not up are stopped, and those that end are not
        replaced. So a fabric follows an engine that grows and shrinks by itself.
        """

    def waiting_for(self) -> str:
        """What slaves that have not come up wait for, in words ("3 jobs pending: Resources"); "": nothing."""

    def look_at(self, tid: int) -> Condition:
        """What can be seen of this slave from outside; asked again and again while it says nothing."""

    def can_lend(self, tid: int) -> bool:
        """Whether this slave can map shared memory that is lent to it."""

    def lend(self, tid: int, shared: SharedPayload) -> bool:
        """Let this slave open the memory, in all that it is sent from now on; a host gets it once for all its slaves.

        False: it cannot, and must be sent the payload itself.
        """

    def take_back(self, shared: SharedPayload) -> None:
        """No slave opens this any more; unknown: nothing."""

    def stop(self, tid: int) -> None:
        """End this slave and all that it has started, now; ``poll`` will tell. Unknown or ended: nothing."""

    def close(self) -> None:
        """End whatever still runs, and leave nothing behind. May be called twice."""


class BaseFabric:
    """What most fabrics have in common; ``start``, ``poll``, ``descriptors``, ``stop`` and ``close`` are theirs."""

    start_timeout_s: float | None = START_TIMEOUT_S
    shares_memory = False

    def check_host(self, host: str) -> None:
        """Only this machine."""
        if not is_local(host):
            name = getattr(self, "name", type(self).__name__)
            raise InputError(f"fabric {name!r} starts slaves on this machine only, not on {host!r}: use 'localhost'")

    def hosts_for(self, count: int | None) -> list[str]:
        """This machine, once for each usable core."""
        return ["localhost"] * (usable_cores() if count is None else count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Nothing to find out."""
        return {}

    def stop_checking(self) -> None:
        """Nothing is tried that takes long."""

    def use_settings(self, settings: Mapping[str, HostSettings]) -> None:
        """All hosts are alike."""

    def examine(self, hosts: Sequence[str]) -> dict[str, HostReport]:
        """What ``check`` finds."""
        problems = self.check(hosts)
        return {host: HostReport(host, problems.get(host, "")) for host in hosts}

    def prepare(self) -> None:
        """Slaves will be asked for in a moment: what takes long until the first can be started may begin now."""

    def preload(self, modules: Iterable[str]) -> None:
        """Nothing is loaded ahead."""

    def poll_within_s(self) -> float | None:
        """No news come by themselves."""
        return None

    def wanted(self) -> int | None:
        """As many as were asked for."""
        return None

    def waiting_for(self) -> str:
        """Nothing that is known."""
        return ""

    def can_lend(self, tid: int) -> bool:
        """Those of this machine can."""
        return self.shares_memory

    def lend(self, tid: int, shared: SharedPayload) -> bool:
        """Those of this machine find it by themselves."""
        return self.shares_memory

    def take_back(self, shared: SharedPayload) -> None:
        """It was brought nowhere."""

    def look_at(self, tid: int) -> Condition:
        """Nothing can be seen."""
        return Condition.UNKNOWN
