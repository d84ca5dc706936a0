"""The hosts of a crew while it is at work: more of them, or fewer.

::

    add(places) -----> what was said against their hosts is forgotten --> filled, as any place
    remove(hosts) ---> their places are struck out: no slave is started there any more
                         a slave that is not up, or silent, is killed
                         others get no more jobs, and end when they have done theirs; now=True: killed, nobody is blamed
                         no slave left and none to come: clients are told, so that nobody waits for ever
    follow(fabric) --> has it room for more, or for fewer? see ``following``; not if the user has removed hosts of it

Everything may be called from any thread; all of it is done under the crew's lock, at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from threading import RLock

from tracking.fabrics.base import Fabric
from tracking.pool.client import Client, JobKey
from tracking.pool.endings import Endings
from tracking.pool.filling import Vacancies
from tracking.pool.following import Filled, change
from tracking.pool.naming import Nicknames
from tracking.pool.post import Post
from tracking.pool.slaves import Place, Slave

_REMOVED = "ended by us: its host was removed"
_NO_ROOM = "ended by us: there is no room for it any more"


class Hosts:
    """Knows the places of a crew, adds to them, and strikes them out.

    Args:
        lock: the crew's.
        post: lines of slaves.
        vacancies: fills places.
        endings: ends slaves.
        slaves: those that live or are being started, by number.
        clients: who is told, by calculation.
        nicknames: for slaves that come because a fabric has room for more.
    """

    def __init__(
        self,
        lock: RLock,
        post: Post,
        vacancies: Vacancies,
        endings: Endings,
        slaves: dict[int, Slave],
        clients: dict[int, Client],
        nicknames: Nicknames,
    ) -> None:
        self._lock = lock
        self._post = post
        self._vacancies = vacancies
        self._endings = endings
        self._slaves = slaves
        self._clients = clients
        self._nicknames = nicknames
        self._places: dict[int, dict[int, Place]] = {}  # by id, for the id of each fabric: those not struck out
        self._left_alone: list[Fabric] = []  # that are not followed: the user has removed hosts

    def note(self, place: Place) -> None:
        """A slave is to be started at this place."""
        self._places.setdefault(id(place.fabric), {})[id(place)] = place
        self._nicknames.note(place.host, place.nickname)

    def _all_places(self) -> list[Place]:
        return [place for places in self._places.values() for place in places.values()]

    def _forget(self, place: Place) -> None:
        self._places.get(id(place.fabric), {}).pop(id(place), None)

    def excuse(self, tid: int, job: JobKey) -> None:
        """Should this slave die of this job, which it is about to be sent, that is not to speak against its host."""
        with self._lock:
            slave = self._slaves.get(tid)
            if slave is not None:
                slave.excuse = job

    def has_worked(self, tid: int) -> bool:
        """Whether slaves have died on the host of this one, and a job was done there before or since."""
        with self._lock:
            slave = self._slaves.get(tid)
            return slave is not None and self._vacancies.record(slave.place.host).has_worked

    def names(self) -> list[str]:
        """The hosts that there are, once each; where a fabric chooses them, those that have slaves, too."""
        with self._lock:
            wanted = [place.host for place in self._all_places()]
            chosen = [slave.info.host for slave in self._slaves.values() if not slave.place.is_removed]
            return list(dict.fromkeys([*wanted, *chosen]))

    def add(self, places: Sequence[Place]) -> None:
        """More places, on hosts that are there or not; one that was left out or removed gets another chance."""
        with self._lock:
            for host in dict.fromkeys(place.host for place in places):
                self._vacancies.trust(host)
            for client in list(self._clients.values()):
                client.hosts_were_added()
            for place in places:
                self.note(place)
                self._vacancies.fill(place)

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """No slave can be started on these hosts: {host: why}."""
        with self._lock:
            for host, reason in reasons.items():
                self._vacancies.leave_out(host, reason)

    def remove(self, hosts: Iterable[str], *, now: bool = False) -> None:
        """Strike out these hosts; those that are not there are none to strike out.

        Args:
            hosts: names.
            now: their slaves end at once, and what they work on goes to others; else they end their jobs.
        """
        with self._lock:
            hosts = frozenset(hosts)
            for host in hosts:
                self._vacancies.remove(host)
            leaving = [slave for slave in self._slaves.values() if {slave.place.host, slave.info.host} & hosts]
            self._strike_out(hosts, leaving)
            for slave in leaving:
                if not slave.is_ending:
                    self._send_away(slave, now=now)
            self._post.flush_all()
            for host in hosts:
                self._endings.host_is_given_up(host, "it was removed")
            self._endings.tell_all_if_lost()

    def _strike_out(self, hosts: Collection[str], leaving: Iterable[Slave]) -> None:
        """First of all: whoever ends from now on is not replaced."""
        places = [slave.place for slave in leaving]
        for place in [*places, *(place for place in self._all_places() if place.host in hosts)]:
            place.is_removed = True
            self._forget(place)
            if not any(fabric is place.fabric for fabric in self._left_alone):
                self._left_alone.append(place.fabric)

    def _send_away(self, slave: Slave, *, now: bool, why: str = _REMOVED) -> None:
        if now or not slave.is_up or slave.pulse.is_silent:
            slave.fault = slave.fault or why
            self._endings.kill(slave)
            return
        for client in list(self._clients.values()):
            client.slave_is_leaving(slave.info)
        self._endings.leave(slave)

    # ---- fabrics that have room for more, or for fewer

    def follow(self, fabric: Fabric) -> None:
        """Have as many places of this fabric as it wants; where it does not say, as they are."""
        wanted, there = fabric.wanted(), self._places.get(id(fabric))
        if wanted is None or not there or wanted == len(there) or any(fabric is other for other in self._left_alone):
            return
        places = list(there.values())
        slaves = {id(slave.place): slave for slave in self._slaves.values() if not slave.is_ending}
        more, gone = change(wanted, [_filled(slaves.get(id(place))) for place in places])
        for _, nickname in self._nicknames.give([places[0].host] * more):
            place = copy(places[0])
            place.nickname = nickname
            self.note(place)
            self._vacancies.fill(place)
        for place in (places[index] for index in gone):
            if self._vacancies.strike_out(place):
                self._forget(place)
                if id(place) in slaves and not slaves[id(place)].is_up:
                    self._send_away(slaves[id(place)], now=True, why=_NO_ROOM)


def _filled(slave: Slave | None) -> Filled:
    if slave is None or slave.line_is_cut:
        return Filled.NOT
    return Filled.UP if slave.is_up else Filled.STARTING
