"""The crew: slaves, the lines to them, and what comes from them.

::

    masters, callers of submit        whoever turns the loop (see ``driving``)
      send, tell, end  --+              _turn() ---+--- _line_ready --> ``hearing`` --> client.deliver(what came)
                         v                         +--- fabric tells who ended --> ``endings`` --> client.slave_is_lost
             lock (RLock) around everything        +--- timers: ``vitals`` --+         v
                         v                         |                         +--> ``filling``: another at its place
             ``post``: lines of slaves <-- beats --+

Every attribute is read and written under ``lock``; the loop and the driving see to themselves. No user's code is
called here; what calls it goes through ``driving.later``, and what slaves print through ``console``.
Stop order: ``close`` makes everybody leave the loop, tells clients, tells idle slaves to end and kills busy ones,
waits for them (bounded), then closes lines, fabrics and the loop.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from threading import RLock

from tracking.fabrics.base import Fabric, SlaveConnected, SlaveEnded
from tracking.pool.arguments import check_own_process
from tracking.pool.client import Client, JobKey, SlaveInfo
from tracking.pool.console import ConsoleWriter
from tracking.pool.driving import Driving
from tracking.pool.endings import GRACE_S, Endings
from tracking.pool.filling import HostTrouble, Vacancies
from tracking.pool.hearing import Hearing
from tracking.pool.hosts import Hosts
from tracking.pool.lending import Lending
from tracking.pool.loop import READ, WRITE, Loop
from tracking.pool.naming import Nicknames
from tracking.pool.post import Post
from tracking.pool.recalls import Recalls
from tracking.pool.slaves import Place, Slave, since_when
from tracking.pool.starting import Starting
from tracking.pool.vitals import Vitals
from tracking.pool.watching import Watched
from tracking.wire import messages as m
from tracking.wire.channel import Message

_MANY_SLAVES = 8  # what was put for so many is worth a write before all is put

__all__ = ["Client", "Crew", "HostTrouble", "JobKey", "Place", "SlaveInfo"]


class Crew:
    """Starts, keeps, replaces and addresses slaves.

    Args:
        host_failures: so many deaths without a job done between them, and a host is left out; None: never.
        heartbeat_s: a slave that has said nothing for so long is asked for a sign of life.
        silence_timeout_s: a slave that does not answer, nor is seen to work, for so long is waited for no longer.
        memory_limit: bytes of data that a slave may hold; None: as many as there are.
        max_jobs: so many jobs a slave is given, then another takes its place; None: any number.
        clock: seconds, monotonic.
        nicknames: for slaves that come because a fabric has room for more; None: nobody else gives any.
    """

    def __init__(
        self,
        *,
        host_failures: int | None = 10,
        heartbeat_s: float = 1.0,
        silence_timeout_s: float = 30.0,
        memory_limit: int | None = None,
        max_jobs: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        nicknames: Nicknames | None = None,
    ) -> None:
        self.lock = RLock()
        self._max_jobs = max_jobs
        self._loop = Loop(self.lock, clock)
        self.driving = Driving(self.lock, self._turn, self._loop.wake)
        self._slaves: dict[int, Slave] = {}
        self._clients: dict[int, Client] = {}
        self._post = Post(self._loop, self._line_ready, lambda slave, why: self._endings.cut(slave, why))
        self._vacancies = Vacancies(
            self._loop, self.start_slave, lambda: self._endings.tell_all_if_lost(), host_failures
        )
        self._fabrics = Watched(self._loop, self._poll)
        self._endings = Endings(
            self._loop, self._post, self._vacancies, self._fabrics, self._slaves, self._clients,
            receive=lambda slave: self._hearing.receive(slave),
        )
        self._vacancies.when_given_up = self._endings.host_is_given_up
        heartbeat_s = min(heartbeat_s, silence_timeout_s / 2) or heartbeat_s  # who is not asked cannot be silent
        self._vitals = Vitals(
            self._loop, self._post, self._endings, self._slaves, self._clients, heartbeat_s, silence_timeout_s
        )
        self._recalls = Recalls(self._loop, self._post, self._endings)
        self.hosts = Hosts(
            self.lock, self._post, self._vacancies, self._endings, self._slaves, self._clients,
            Nicknames() if nicknames is None else nicknames,
        )  # fmt: skip
        self._hearing = Hearing(self._clients, self._vacancies, self._endings, self._recalls, self._vitals, max_jobs)
        self.lending = Lending(self.lock, self._slaves, self._fabrics)
        self._client_threads: dict[int, int] = {}  # calculation -> the thread that could drive
        self._console = ConsoleWriter()
        self._starting = Starting(
            self._loop, self._post, self._vitals, self._fabrics, self._slaves, self._console, memory_limit
        )
        self._pid = os.getpid()
        self._refusal = ""  # why nobody is let in any more
        self._is_closed = False

    # ---- slaves

    def fill(self, place: Place) -> None:
        """Have a slave at this place; where it cannot be started now, later, as long as there is hope."""
        with self.lock:
            self.hosts.note(place)
            self._vacancies.fill(place)

    def start_slave(self, place: Place) -> int:
        """Begin to start a slave at this place; its tid, at once.

        Raises:
            OSError: it cannot be started now.
        """
        with self.lock:
            if self._is_closed:
                raise RuntimeError("the slaves were told to end: no other can be started")
            self.hosts.note(place)
            return self._starting.start(place)

    def slaves(self) -> list[SlaveInfo]:
        """Those that live or are being started."""
        with self.lock:
            return [slave.info for slave in self._slaves.values() if not slave.is_ending]

    @property
    def is_replacing(self) -> bool:
        """Whether a slave that is lost, or about to end, is to be replaced."""
        with self.lock:
            slaves = self._slaves.values()
            return not self._vacancies.are_none or any(slave.is_to_be_replaced for slave in slaves)

    @property
    def is_lost(self) -> bool:
        """Whether no slave is left and none will come, or nobody is let in any more."""
        with self.lock:
            return bool(self._refusal) or (not self._slaves and self._vacancies.are_none)

    def trouble(self) -> tuple[HostTrouble, ...]:
        """The hosts that have fewer slaves than they should, and why."""
        with self.lock:
            return self._vacancies.trouble()

    def waiting_for(self) -> str:
        """What slaves that have not come up wait for, as their fabrics say; "": nothing that is known."""
        with self.lock:
            fabrics = {id(slave.place.fabric): slave.place.fabric for slave in self._slaves.values() if not slave.is_up}
            return "; ".join(dict.fromkeys(filter(None, (fabric.waiting_for() for fabric in fabrics.values()))))

    def info(self, tid: int) -> SlaveInfo | None:
        """Who this is; None if there is no such slave (any more)."""
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.info if slave else None

    def pids(self) -> dict[str, int]:
        """{nickname: process id} of the slaves that are up."""
        with self.lock:
            up = [slave for slave in self._slaves.values() if slave.is_up and not slave.is_ending]
            return {slave.info.nickname: slave.pid for slave in up}

    def last_lines(self, tid: int) -> str:
        """What the slave has printed lately."""
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.output.tail() if slave else ""

    def end_slave(self, tid: int) -> None:
        """Kill a slave on purpose; its place is filled again."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is not None:
                self._endings.kill(slave)

    def retire_slave(self, tid: int) -> None:
        """Give a slave no more jobs, and let it end when it has none; then its place is filled at once."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is not None:
                self._endings.leave(slave)
                self.flush()

    def jobs_left(self, tid: int) -> int | None:
        """How many jobs this slave may still be given; None: any number."""
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.jobs_left(self._max_jobs) if slave else None

    def begun(self, calculation: int) -> dict[int, float | None]:
        """Since when busy slaves may work on a job of this calculation; None: they cannot have begun one."""
        with self.lock:
            return {tid: since_when(slave, calculation) for tid, slave in self._slaves.items() if slave.jobs}

    def cancel(self, tid: int, job: JobKey) -> None:
        """The answer of this job is not wanted any more: take it back, or end the slave that works on it."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is not None:
                self._recalls.cancel(slave, job)

    # ---- clients

    @property
    def is_own(self) -> bool:
        """Whether this process has made it; else it is the useless copy of a forked child."""
        return os.getpid() == self._pid

    def check_own_process(self) -> None:
        """Refuse to be used in a forked child, where no other thread lives and the lock may be held for ever.

        Raises:
            InputError: says so.
        """
        check_own_process(self._pid)

    def attach(self, client: Client) -> None:
        """Let a calculation use the slaves: it is told of those that are up, and of all changes from now on.

        Raises:
            InputError: they are those of another process, of which this one is a forked child.
        """
        self.check_own_process()
        with self.lock:
            if self._refusal:
                client.crew_is_lost(self._refusal)
                return
            self._clients[client.calculation] = client
            if client.can_drive:
                self._client_threads[client.calculation] = threading.get_ident()
            self.look_who_is_busy()
            # Those come first that have loaded nothing yet: it takes them longest to be ready.
            for slave in sorted(self._slaves.values(), key=lambda slave: slave.did_jobs):
                if slave.is_up and not slave.is_ending:
                    client.slave_is_up(slave.info)
            self._endings.tell_if_lost(client)

    def detach(self, client: Client) -> None:
        """The calculation is over: its answers no longer interest, slaves that still work for it are replaced."""
        self.end_calculation(client.calculation)

    def end_calculation(self, calculation: int) -> None:
        """As ``detach``, of a calculation whose client may go on with another one."""
        with self.lock:
            if self._clients.pop(calculation, None) is None:
                return
            self._client_threads.pop(calculation, None)
            for slave in list(self._slaves.values()):
                self._recalls.leave_calculation(slave, calculation)
            self.look_who_is_busy()
            self._loop.wake()  # whoever turns it next sends what was put: nobody waits for that

    def look_who_is_busy(self) -> None:
        """To be called when a client has begun, or ceased, to wait for something."""
        with self.lock:
            busy = [client for client in self._clients.values() if client.is_busy]
            self.driving.choose(busy)
            if busy:
                self._vitals.tick()
            if self._refusal and not busy:
                self.driving.stop()

    def end_when_idle(self, why: str) -> None:
        """Let nobody in any more, and stop the driving as soon as nobody waits for anything."""
        if not self.is_own:
            return  # a forked child has forgotten its copy
        with self.lock:
            self._refusal = self._refusal or why
            self.look_who_is_busy()

    def serves_thread(self, thread: int) -> bool:
        """Whether this is the thread of a client, which must not wait for the end."""
        with self.lock:
            return thread in self._client_threads.values()

    # ---- who drives: see ``driving``

    def is_driver(self, client: Client) -> bool:
        """Whether this client has to turn the loop."""
        return self.driving.may_drive(client)

    def turn_unless(self, is_done: Callable[[], bool], timeout_s: float | None) -> None:
        """Turn the loop once, without waiting if there is nothing left to wait for."""
        self.driving.turn_unless(is_done, timeout_s)

    def rest(self, rest_s: float) -> None:
        """Let what slaves say lie for so long, unless woken: whoever turns the loop next hears it all at once."""
        self._loop.rest(rest_s)

    def wake(self) -> None:
        """Make a turn that waits return; from any thread."""
        self._loop.wake()

    def _turn(self, timeout_s: float | None) -> None:
        self._loop.turn(timeout_s)
        if self._post.has_unflushed:
            self.flush()

    # ---- sending

    def set_up(self, tid: int, message: Message, key: Hashable | None) -> bool:
        """Make a slave ready for a calculation; True: it is, and may be given jobs at once. See ``Post.set_up``."""
        with self.lock:
            slave = self._reached(tid)
            return slave is not None and self._post.set_up(slave, message, key)

    def send(self, tid: int, message: Message) -> bool:
        """Put a message on the job line; it goes with the next ``flush``.

        False: there is no such slave, or none that would take this job; then it is lost soon.
        """
        with self.lock:
            slave = self._reached(tid)
            if slave is None:
                return False
            if message[0] in (m.JOB, m.ROW) and not self._may_have_another_job(slave):
                return False
            self._post.put(slave, message)
            return True

    def _reached(self, tid: int) -> Slave | None:
        """This slave, if it takes what is put on its line."""
        slave = self._slaves.get(tid)
        is_there = slave is not None and slave.lines is not None and not slave.is_ending and not slave.line_is_cut
        return slave if is_there else None

    def _may_have_another_job(self, slave: Slave) -> bool:
        """If not, it leaves: so who counts on it is told of its end, whatever becomes of the jobs that it has."""
        if slave.jobs_left(self._max_jobs) != 0:
            return True
        if not slave.is_leaving:
            self._endings.leave(slave)
        return False

    def flush(self) -> None:
        """Send what was put."""
        with self.lock:
            self._post.flush_all()

    def flush_early(self) -> None:
        """Send what was put if it is for many slaves: the first shall not wait for what is yet to be put for others."""
        if self._post.n_unflushed >= _MANY_SLAVES:
            self.flush()

    def unwritten_bytes(self, tid: int) -> int:
        """Bytes on the job line that the slave has not taken yet."""
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.lines.line.unwritten_bytes if slave and slave.lines else 0

    def tell(self, tid: int, message: Message) -> bool:
        """Send a message on the control line at once. False: there is no such slave."""
        with self.lock:
            slave = self._slaves.get(tid)
            return slave is not None and not slave.is_ending and self._post.tell(slave, message)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have something done under the lock, so many seconds from now."""
        self._loop.after(delay_s, action)

    def now(self) -> float:
        """The time of the clock, in seconds."""
        return self._loop.clock()

    # ---- what comes in

    def _line_ready(self, slave: Slave, mask: int) -> None:
        if mask & WRITE:
            self._vitals.heard(slave)  # it has made room for more
            self._post.flush(slave)
        if mask & READ and not slave.line_is_cut:
            self._hearing.receive(slave)

    # ---- what fabrics tell

    def _poll(self, fabric: Fabric) -> None:
        news = fabric.poll()
        self._fabrics.begin_anew(fabric)
        for one in news:
            if isinstance(one, SlaveConnected):
                self._starting.has_dialled(one)
        self._endings.have_ended([one for one in news if isinstance(one, SlaveEnded)])
        self.hosts.follow(fabric)

    # ---- the end

    def close(self, why: str = "it has ended", within_s: float = GRACE_S) -> None:
        """End all slaves and leave nothing behind. Idle ones end by themselves, in that time; busy ones are killed."""
        self.driving.stop()
        with self.driving.alone(), self.lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._refusal = self._refusal or why
            clients = list(self._clients.values())
            self._clients.clear()
            self._client_threads.clear()
            for client in clients:
                client.crew_is_lost(self._refusal)
            self._vacancies.close()
            self.lending.close()  # what is on its way to a host holds up no slave's end
            self._endings.end_all(within_s)
            self._fabrics.close_all()
            self._loop.close()
        self._console.close()
