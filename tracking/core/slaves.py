"""The slaves, their hosts, and who of them has nothing to do."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from tracking.core.events import SlaveReady
from tracking.core.jobs import Job
from tracking.core.ledger import Account, Ledger, Pace
from tracking.core.lifetimes import Life


class Host:
    """A machine and the slaves on it."""

    __slots__ = (
        "deaths",  # of slaves at work, since a job was last done there: as long as there are any, it is in doubt
        "is_disabled",
        "is_here",  # the machine of the master
        "name",
        "pace",
        "slaves",
        "slowness",
        "usable",  # how many of its slaves may get jobs
        "works_for_others",  # a job of another calculation was done there
    )

    def __init__(self, name: str, pace: Pace) -> None:
        self.name = name
        self.pace = pace
        self.deaths = 0
        self.is_disabled = False
        self.is_here = False
        self.slowness = 1.0  # what the user said
        self.slaves: dict[int, Slave] = {}
        self.usable = 0
        self.works_for_others = False

    @property
    def has_worked(self) -> bool:
        """Whether a job was ever done there, of this calculation or of another one."""
        return self.works_for_others or self.pace.largest_job > 0


class Slave:
    """A process that works, and the jobs it holds, in the order in which it does them."""

    __slots__ = (
        "account",
        "busy_until",  # when it is expected to be through with all its jobs
        "host",
        "is_closed",  # gets no further job before all it has are gone
        "is_ending",  # was told to end
        "is_over",  # its time is nearly up
        "is_retired",
        "is_silent",  # does not answer: what it holds is given to others, too
        "is_usable",  # may get jobs: neither ending, over, retired nor silent, its host not disabled
        "jobs",
        "jobs_left",  # so many more it may be given; None: any number
        "life",  # its time; None: that has no end
        "load",  # items in its jobs that it has not reported yet
        "number",
        "pace",
    )

    def __init__(
        self, number: int, host: Host, account: Account, jobs_left: int | None = None, life: Life | None = None
    ) -> None:
        self.number = number
        self.host = host
        self.account = account
        self.pace = Pace()
        self.jobs: deque[Job] = deque()
        self.jobs_left = jobs_left
        self.life = life
        self.load = 0
        self.busy_until = 0.0
        self.is_closed = False
        self.is_ending = False
        self.is_over = False
        self.is_retired = False
        self.is_silent = False
        self.is_usable = False


class Slaves:
    """All slaves that are up.

    Attributes:
        ledger: where their accounts are.
        idle: usable slaves without a job; those that proved fast are in front.
        resting: the same on hosts that the user called slow: they come second.
        usable: how many may get jobs.
        brisk: how many of these are on hosts that nobody called slow.
        nicknames: of all that were ever up, by number.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.idle: OrderedDict[int, Slave] = OrderedDict()
        self.resting: OrderedDict[int, Slave] = OrderedDict()
        self.usable = 0
        self.brisk = 0
        self.nicknames: dict[int, str] = {}
        self._slaves: dict[int, Slave] = {}
        self._hosts: dict[str, Host] = {}

    def __iter__(self) -> Iterator[Slave]:
        return iter(self._slaves.values())

    def get(self, number: int) -> Slave | None:
        """The slave of this number, None if it is not up."""
        return self._slaves.get(number)

    def host(self, name: str) -> Host:
        """The host of this name, known or not."""
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, self.ledger.host_pace(name))
        return host

    @property
    def n_hosts(self) -> int:
        """How many hosts are known."""
        return len(self._hosts)

    def item_s(self, slave: Slave) -> float | None:
        """Expected seconds per item on this slave: its own if measured, else its host's, else anybody's."""
        own = slave.pace.item_s
        if own is not None:
            return own
        of_host = slave.host.pace.item_s
        return self.ledger.pace.item_s if of_host is None else of_host

    def disabled_hosts(self) -> tuple[str, ...]:
        """The names of those that get no jobs."""
        return tuple(host.name for host in self._hosts.values() if host.is_disabled)

    def enter(self, event: SlaveReady, life: Life | None = None) -> Slave:
        """A slave is up."""
        host = self.host(event.host)
        host.is_here = host.is_here or event.is_here
        host.works_for_others = host.works_for_others or event.host_works
        account = self.ledger.account(event.nickname, event.host)
        slave = Slave(event.slave, host, account, event.jobs_left, life)
        self._slaves[slave.number] = host.slaves[slave.number] = slave
        self.nicknames[slave.number] = event.nickname
        self.update(slave)
        return slave

    def leave(self, slave: Slave) -> None:
        """A slave is gone."""
        slave.is_ending = True
        self.update(slave)
        del self._slaves[slave.number], slave.host.slaves[slave.number]

    def update(self, slave: Slave) -> None:
        """Find out whether the slave may get jobs, after something about it has changed."""
        is_out = slave.is_ending or slave.is_over or slave.is_retired or slave.is_silent
        is_usable = not (is_out or slave.host.is_disabled)
        change = is_usable - slave.is_usable
        slave.is_usable = is_usable
        self.usable += change
        slave.host.usable += change
        if slave.host.slowness <= 1.0:
            self.brisk += change
        self.sort(slave)

    def slow_down(self, host: Host, factor: float) -> None:
        """The user says that items take ``factor`` times as long on this host."""
        self.brisk += host.usable * ((factor <= 1.0) - (host.slowness <= 1.0))
        host.slowness = factor
        for slave in host.slaves.values():
            self.sort(slave)

    def sort(self, slave: Slave) -> None:
        """Put the slave among the idle ones, or take it out, as its jobs say."""
        number = slave.number
        self.idle.pop(number, None)
        self.resting.pop(number, None)
        if slave.jobs or not slave.is_usable:
            return
        if slave.host.slowness > 1.0:
            self.resting[number] = slave
            return
        self.idle[number] = slave
        own, mean = slave.pace.item_s, self.ledger.pace.item_s
        if own is not None and mean is not None and own <= mean:
            self.idle.move_to_end(number, last=False)
