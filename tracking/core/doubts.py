"""Which hosts are in doubt: on them slaves die, and it may be the fault of the host, or of the items.

::

    a slave dies at its work                              suspects, alone <---+
        |                                                   |     one dies    | a job was done: the host works
        v                                                   v                 |
    the host is in doubt <----------------------------------+                 |
        +--> in turn: one item untouched so far, from far away from those that were given out;
        |             one of those whose job died, but not one that was alone then
        |     it dies, too: the same again, until the crew has counted as many deaths as a host may have
        +-----------------------------------------------------> it is done ---+

So a host that is broken is left out before any item has died there twice, as long as there are enough others; and
several items in a row that kill their slaves do not make a host look broken. Of what was seen to kill a slave before,
the next death is no news of the host, and does not count against it.
"""

from __future__ import annotations

from tracking.core.jobs import Job
from tracking.core.policy import Policy
from tracking.core.slaves import Host, Slave, Slaves

_MANY_DEATHS = 3  # in a row: the host may well be broken ...
_MOST_DEATHS = 20  # ... and now it is, whatever its slaves were given
_MOST_TRIES = 20  # what has outlasted so many, though it is given up after fewer deaths, is no excuse any more


class Doubts:
    """Knows the hosts in doubt; costs nothing as long as there are none.

    Args:
        policy: what the user wants.
        slaves: all slaves.
        is_resumed: items were done in an earlier run: so the function works, wherever that was.

    Attributes:
        hosts: those in doubt.
    """

    def __init__(self, policy: Policy, slaves: Slaves, *, is_resumed: bool) -> None:
        self.hosts: set[Host] = set()
        self._is_resumed = is_resumed
        self._policy = policy
        self._slaves = slaves

    def one_died(self, host: Host) -> None:
        """A slave has died there at its work."""
        host.deaths += 1
        self.hosts.add(host)

    def clear(self, host: Host) -> None:
        """A job was done there, or a part of one: it works."""
        host.deaths = 0
        self.hosts.discard(host)

    def leaves_suspects(self, slave: Slave) -> bool:
        """Whether what may kill a slave had better be left to others, whose hosts are not in doubt.

        Not after one death or two: an item that has killed a slave is to be found without waiting for other hosts.
        """
        if slave.host.deaths < _MANY_DEATHS:
            return False
        return self._slaves.brisk > sum(host.usable for host in self.hosts if host.slowness <= 1.0)

    def excuses_host(self, job: Job) -> bool:
        """Whether the item is to blame should the slave die of this job, and not the host.

        It is when it is one item, alone, that a slave has died with before. Not where nothing was ever done, nor too
        many died in a row; nor where items are never given up: there the deaths that a host may have are the only end.
        """
        if not job.is_alone or len(job.positions) > 1 or job.tries >= _MOST_TRIES:
            return False
        host = job.slave.host
        has_worked = host.has_worked or self._is_resumed
        return self._policy.max_deaths is not None and has_worked and host.deaths < _MOST_DEATHS
