"""The crew: slaves, the lines to them, and the one loop over all lines.

::

    masters, callers of submit              whoever drives the loop: the master that owns the crew,
      send, tell, end  --+                  or the pool's own thread where several share it
                         v                               |
                    _lock (RLock) <---- turn(): select without the lock, then read, route and repair with it
                         |                               |
                    lines of slaves          client.deliver(what came)      one call a message, under the lock

Every attribute is read and written under ``_lock``. Nothing here calls user code. ``turn`` never waits but in
select; whoever changes what select should watch wakes it through ``_waker``.
Stop order: ``close`` tells idle slaves to end and kills busy ones, waits for them (bounded), then closes lines,
fabrics and the waker.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import selectors
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event, Lock, RLock
from typing import Protocol

from tracking.core.places import HostRecord, LeaveOut, Replace
from tracking.errors import ProtocolError
from tracking.fabrics.base import Fabric, SlaveEnded, SlaveLines, SlaveSpec
from tracking.output import SlaveOutput, choose_show
from tracking.wire import messages as m
from tracking.wire.channel import Channel, Message

_OUTPUT_BYTES = 64 * 1024
_REASON_TIMEOUT_S = 1.0  # a cut line is explained by its fabric within this time, or not at all
_HELP_S = 0.002
_GRACE_S = 2.0  # idle slaves get this long to end by themselves

_slave_numbers = itertools.count(2)  # for the whole program: a tid is never given out twice
MASTER_NUMBERS = itertools.count(1_000_000_001)


JobKey = tuple[int, int]
"""(calculation, job)"""


class Client(Protocol):
    """A calculation that uses the crew. Its methods are called under the crew's lock: they only take note."""

    calculation: int
    can_drive: bool  # its thread turns the loop itself when it is the only one who wants something

    @property
    def is_busy(self) -> bool:
        """Whether it waits for anything at all."""

    def deliver(self, tid: int, message: Message) -> None:
        """A message of this calculation came."""

    def slave_is_up(self, slave: SlaveInfo) -> None:
        """A slave can be spoken to."""

    def slave_is_lost(
        self, slave: SlaveInfo, how: str, jobs: tuple[JobKey, ...], on_purpose: bool, last_lines: str
    ) -> None:
        """A slave has ended, ``how`` in words; ``jobs``, of all calculations, had no answer yet, in their order."""

    def crew_is_lost(self, why: str) -> None:
        """No slave is left, and none can be started."""

    def must_drive(self) -> None:
        """From now on its thread has to turn the loop."""


@dataclass(frozen=True, slots=True)
class SlaveInfo:
    """Who a slave is."""

    tid: int
    nickname: str
    host: str


@dataclass(slots=True)
class Place:
    """A slave's place in the crew: it outlives the slaves that fill it."""

    nickname: str
    host: str
    niceness: int
    show_output: int
    fabric: Fabric


@dataclass(slots=True)
class Slave:
    """A slave that lives or is being started."""

    info: SlaveInfo
    place: Place
    lines: SlaveLines
    output: SlaveOutput
    jobs: OrderedDict[JobKey, None] = field(default_factory=OrderedDict)  # not answered, in the order given
    is_up: bool = False
    did_jobs: bool = False
    is_ending: bool = False  # told to end, or killed on purpose
    line_is_cut: bool = False
    waits_to_write: bool = False
    pid: int = 0


class Crew:
    """Starts, keeps, replaces and addresses slaves.

    Args:
        host_failures: see ``HostRecord``.
        clock: seconds, monotonic.
    """

    def __init__(
        self, *, host_failures: int | None = 10, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lock = RLock()
        self._turning = Lock()  # one thread at a time waits in select, so that ``wake`` reaches the one that does
        self._is_helped = False
        self._helped_until = 0.0
        self._clock = clock
        self._host_failures = host_failures
        _allow_many_descriptors()
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakes = os.pipe()
        for end in (self._waker, self._wakes):
            os.set_blocking(end, False)
        self._selector.register(self._waker, selectors.EVENT_READ, self._drain_waker)
        self._slaves: dict[int, Slave] = {}
        self._clients: dict[int, Client] = {}
        self._hosts: dict[str, HostRecord] = {}
        self._fabrics: list[Fabric] = []
        self._watched: dict[int, Fabric] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._unflushed: dict[int, Slave] = {}
        self._failures: dict[str, str] = {}  # host -> why it was left out
        self._pending_places = 0  # places that wait for their next slave
        self._later: deque[Callable[[], None]] = deque()
        self._driver: Client | None = None
        self.needs_driver = Event()  # set while no client drives
        self.needs_driver.set()
        self.is_closing = False
        self._is_closed = False

    # ---- slaves

    def start_slave(self, place: Place) -> int:
        """Begin to start a slave at this place; its tid, at once."""
        with self.lock:
            if place.fabric not in self._fabrics:
                self._fabrics.append(place.fabric)
            tid = next(_slave_numbers)
            info = SlaveInfo(tid, place.nickname, place.host)
            lines = place.fabric.start(SlaveSpec(tid, place.nickname, place.host, place.niceness))
            output = SlaveOutput(place.nickname, choose_show(place.show_output, os.environ))
            slave = self._slaves[tid] = Slave(info, place, lines, output)
            self._selector.register(
                lines.line, selectors.EVENT_READ, lambda mask: self._line_ready(slave, mask)
            )
            if lines.output is not None:
                self._selector.register(
                    lines.output, selectors.EVENT_READ, lambda mask: self._output_ready(slave)
                )
            self._watch_fabrics()
            return tid

    def _watch_fabrics(self) -> None:
        """Watch the descriptors that the fabrics have now; a fabric may get a new one with a new starter."""
        wanted = {descriptor: fabric for fabric in self._fabrics for descriptor in fabric.descriptors()}
        for descriptor in [d for d in self._watched if d not in wanted]:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(descriptor)
            del self._watched[descriptor]
        for descriptor, fabric in wanted.items():
            if descriptor not in self._watched:
                self._watched[descriptor] = fabric
                self._selector.register(
                    descriptor, selectors.EVENT_READ, lambda mask, fabric=fabric: self._poll(fabric)
                )

    def slaves(self) -> list[SlaveInfo]:
        """Those that live or are being started."""
        with self.lock:
            return [slave.info for slave in self._slaves.values() if not slave.is_ending]

    @property
    def is_replacing(self) -> bool:
        """Whether a slave that is lost, or about to end, is to be replaced."""
        with self.lock:
            slaves = self._slaves.values()
            return bool(self._pending_places) or any(slave.is_ending or slave.line_is_cut for slave in slaves)

    def info(self, tid: int) -> SlaveInfo | None:
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.info if slave else None

    def pids(self) -> dict[str, int]:
        """{nickname: process id} of the slaves that are up."""
        with self.lock:
            return {slave.info.nickname: slave.pid for slave in self._slaves.values() if slave.pid}

    def last_lines(self, tid: int) -> str:
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.output.tail() if slave else ""

    def end_slave(self, tid: int) -> None:
        """Kill a slave on purpose; its place is filled again."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is not None and not slave.is_ending:
                slave.is_ending = True
                slave.place.fabric.stop(tid)

    def cancel(self, tid: int, job: JobKey) -> None:
        """The answer of this job is not wanted any more: take it back, or end the slave that works on it."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is None or job not in slave.jobs:
                return
            if next(iter(slave.jobs)) == job:
                self.end_slave(tid)
            else:
                self.tell(tid, (m.RECALL, *job))

    # ---- clients

    def attach(self, client: Client) -> None:
        """Let a calculation use the slaves: it is told of those that are up, and of all changes from now on."""
        with self.lock:
            self._clients[client.calculation] = client
            self.choose_driver()
            for slave in self._slaves.values():
                if slave.is_up and not slave.is_ending:
                    client.slave_is_up(slave.info)
            self._tell_if_lost(client)

    def detach(self, client: Client) -> None:
        """The calculation is over: its answers no longer interest, slaves that still work for it are replaced."""
        with self.lock:
            if self._clients.pop(client.calculation, None) is None:
                return
            for slave in list(self._slaves.values()):
                self._leave_calculation(slave, client.calculation)
            self.flush()
            self.choose_driver()

    def _leave_calculation(self, slave: Slave, calculation: int) -> None:
        if slave.is_ending or not slave.is_up:
            return
        jobs = [key for key in slave.jobs if key[0] == calculation]
        if jobs and next(iter(slave.jobs)) == jobs[0]:
            self.end_slave(slave.info.tid)  # nobody can interrupt what it does
            return
        for key in jobs:
            self.tell(slave.info.tid, (m.RECALL, *key))
        self._put(slave, (m.FORGET, calculation))

    # ---- who drives

    def choose_driver(self) -> None:
        """Let the only client that wants something drive, if it can: no hand-over to another thread is needed then."""
        with self.lock:
            busy = [client for client in self._clients.values() if client.is_busy]
            driver = busy[0] if len(busy) == 1 and busy[0].can_drive else None
            if driver is self._driver:
                return
            self._driver = driver
            if driver is None:
                self.needs_driver.set()
            else:
                self.needs_driver.clear()
                driver.must_drive()
            self.wake()

    def is_driver(self, client: Client) -> bool:
        """Whether this client has to turn the loop."""
        return self._driver is client

    def stop_driving(self) -> None:
        """Make the thread that drives this crew end."""
        self.is_closing = True
        self.needs_driver.set()
        self.wake()

    def later(self, action: Callable[[], None]) -> None:
        """Have something done that must not be done under the lock."""
        self._later.append(action)

    def run_later(self) -> None:
        """Do what ``later`` was told; not under the lock."""
        while self._later:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._later.popleft()()

    # ---- sending

    def send(self, tid: int, message: Message) -> bool:
        """Put a message on the job line; it goes with the next ``flush``. False: there is no such slave."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is None or slave.is_ending or slave.line_is_cut:
                return False
            if message[0] == m.JOB:
                slave.jobs[message[1], message[2]] = None
            self._put(slave, message)
            return True

    def _put(self, slave: Slave, message: Message) -> None:
        slave.lines.line.put(message)
        self._unflushed[slave.info.tid] = slave

    def flush(self) -> None:
        """Send what was put."""
        with self.lock:
            unflushed, self._unflushed = self._unflushed, {}
            for slave in unflushed.values():
                self._flush(slave)

    def _flush(self, slave: Slave) -> None:
        line = slave.lines.line
        try:
            is_all_written = line.flush()
        except OSError:
            self._cut(slave)
            return
        if slave.waits_to_write is is_all_written and not slave.line_is_cut:
            slave.waits_to_write = not is_all_written
            wanted = selectors.EVENT_READ if is_all_written else selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(line, wanted, self._selector.get_key(line).data)

    def unwritten_bytes(self, tid: int) -> int:
        """Bytes on the job line that the slave has not taken yet."""
        with self.lock:
            slave = self._slaves.get(tid)
            return slave.lines.line.unwritten_bytes if slave else 0

    def tell(self, tid: int, message: Message) -> bool:
        """Send a message on the control line at once. False: there is no such slave."""
        with self.lock:
            slave = self._slaves.get(tid)
            if slave is None or slave.is_ending:
                return False
            try:
                if not slave.lines.control.send(message):
                    self._flush_later(slave)
            except OSError:
                return False
            return True

    def _flush_later(self, slave: Slave) -> None:
        """The slave has not heard for a while and its control line is full: go on when it listens again."""
        control = slave.lines.control
        if control.fileno() not in self._selector.get_map():
            self._selector.register(control, selectors.EVENT_WRITE, lambda mask: self._control_ready(slave))

    def _control_ready(self, slave: Slave) -> None:
        with contextlib.suppress(OSError):
            if not slave.lines.control.flush():
                return
        self._selector.unregister(slave.lines.control)

    # ---- the loop

    def wake(self) -> None:
        """Make a ``turn`` that waits return; from any thread."""
        with self.lock:
            if not self._is_closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wakes, b"w")

    def _drain_waker(self, mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._waker, 4096)

    def turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, at most so long, and act on it."""
        with self._turning:
            self._turn(timeout_s)
        if self._later:
            self.run_later()

    def turn_unless(self, is_done: Callable[[], bool], timeout_s: float | None) -> None:
        """As ``turn``, without waiting if by the time that it is our turn there is nothing left to wait for."""
        with self._turning:
            self._turn(0.0 if is_done() else timeout_s)
        if self._later:
            self.run_later()

    def help_until(self, is_done: Callable[[], bool], timeout_s: float | None) -> None:
        """Turn the loop while one waits for something: what comes needs no hand-over to the thread that waits.

        The pool's thread stands back meanwhile, and for a moment afterwards: who waits once often waits again.
        """
        end = None if timeout_s is None else self._clock() + timeout_s
        while not is_done() and not self.is_closing and (end is None or self._clock() < end):
            self._helped_until = self._clock() + _HELP_S
            if not self._turning.acquire(blocking=False):
                if self._is_helped:
                    return  # somebody else helps; what comes for us is brought
                self.wake()
                self._turning.acquire()
            self._is_helped = True
            try:
                left_s = None if end is None else max(0.0, end - self._clock())
                self._turn(0.0 if is_done() else left_s)
            finally:
                self._is_helped = False
                self._helped_until = self._clock() + _HELP_S
                self._turning.release()
            self.run_later()

    @property
    def helped_s(self) -> float:
        """Seconds for which the pool's thread need not turn the loop, since somebody helps."""
        return _HELP_S if self._is_helped else self._helped_until - self._clock()

    def _turn(self, timeout_s: float | None) -> None:
        if self._is_closed:
            return
        for key, mask in self._selector.select(self._until_timer(timeout_s)):
            with self.lock:
                if self._is_current(key):
                    key.data(mask)
        if self._timers:
            with self.lock:
                self._run_timers()
        if self._unflushed:
            self.flush()

    def _is_current(self, key: selectors.SelectorKey) -> bool:
        """An earlier handler of this turn may have closed what a later one was called for."""
        now = self._selector.get_map()
        current = now.get(key.fd) if now else None
        return current is not None and current.data is key.data

    def _until_timer(self, timeout_s: float | None) -> float | None:
        with self.lock:
            if not self._timers:
                return timeout_s
            left_s = max(0.0, min(when for when, _ in self._timers) - self._clock())
            return left_s if timeout_s is None else min(left_s, timeout_s)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have something done under the lock, so many seconds from now."""
        with self.lock:
            self._timers.append((self._clock() + delay_s, action))
            self.wake()  # whoever waits must not wait longer than that

    def _run_timers(self) -> None:
        now = self._clock()
        due = [action for when, action in self._timers if when <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for action in due:
            action()

    # ---- what comes in

    def _line_ready(self, slave: Slave, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush(slave)
        if mask & selectors.EVENT_READ and not slave.line_is_cut:
            self._receive(slave)

    def _receive(self, slave: Slave) -> None:
        try:
            messages = slave.lines.line.receive()
        except (EOFError, OSError):
            self._cut(slave)
            return
        for message in messages:
            self._take(slave, message)

    def _take(self, slave: Slave, message: Message) -> None:
        kind, calculation = message[0], message[1]
        if kind == m.DONE or kind in m.ENDS_JOB:
            slave.jobs.pop((calculation, message[2]), None)
            if not slave.did_jobs and kind == m.DONE:
                slave.did_jobs = True
                self._host(slave.info.host).job_was_done()
        elif kind == m.HELLO:
            self._is_up(slave, message)
            return
        client = self._clients.get(calculation)
        if client is not None:
            client.deliver(slave.info.tid, message)

    def _is_up(self, slave: Slave, message: Message) -> None:
        _, _, version, slave.pid = message
        if version != m.PROTOCOL_VERSION:
            raise ProtocolError(
                f"slave {slave.info.nickname} speaks version {version}, we speak {m.PROTOCOL_VERSION}"
            )
        slave.is_up = True
        self._host(slave.info.host).slave_is_up()
        for client in self._clients.values():
            client.slave_is_up(slave.info)

    def _host(self, host: str) -> HostRecord:
        if host not in self._hosts:
            self._hosts[host] = HostRecord(host, self._host_failures)
        return self._hosts[host]

    def _output_ready(self, slave: Slave) -> None:
        descriptor = slave.lines.output
        assert descriptor is not None
        try:
            data = os.read(descriptor, _OUTPUT_BYTES)
        except BlockingIOError:
            return
        if data:
            slave.output.feed(data)
        else:
            self._selector.unregister(descriptor)

    # ---- losing slaves

    def _cut(self, slave: Slave) -> None:
        """The line is gone: the fabric will say why; until then the slave gets nothing more."""
        if not slave.line_is_cut:
            slave.line_is_cut = True
            self._selector.unregister(slave.lines.line)
            slave.place.fabric.stop(slave.info.tid)
            self.after(_REASON_TIMEOUT_S, lambda: self._lose(slave.info.tid, "gone: its line was cut"))

    def _poll(self, fabric: Fabric) -> None:
        for ended in fabric.poll():
            self._has_ended(ended)
        self._watch_fabrics()

    def _has_ended(self, ended: SlaveEnded) -> None:
        slave = self._slaves.get(ended.tid)
        if slave is None:
            return
        while not slave.line_is_cut:  # what it had sent before is still there
            self._receive(slave)
            if not _is_readable(slave.lines.line):
                break
        self._lose(ended.tid, ended.how)

    def _lose(self, tid: int, how: str) -> None:
        slave = self._slaves.pop(tid, None)
        if slave is None:
            return
        self._unflushed.pop(tid, None)
        self._read_rest_of_output(slave)
        last_lines = slave.output.tail()
        jobs = tuple(slave.jobs)
        self._forget_lines(slave)
        if self._is_closed:
            return
        for client in list(self._clients.values()):
            client.slave_is_lost(slave.info, how, jobs, slave.is_ending, last_lines)
        self._replace(slave, how, last_lines)

    def _read_rest_of_output(self, slave: Slave) -> None:
        descriptor = slave.lines.output
        if descriptor is not None and descriptor in self._selector.get_map():
            with contextlib.suppress(OSError):
                while data := os.read(descriptor, _OUTPUT_BYTES):
                    slave.output.feed(data)

    def _forget_lines(self, slave: Slave) -> None:
        lines = slave.lines
        for watched in (lines.line, lines.control, lines.output):
            if watched is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(watched)
        lines.line.close()
        lines.control.close()
        if lines.output is not None:
            os.close(lines.output)
        slave.output.close()

    def _replace(self, slave: Slave, how: str, last_lines: str) -> None:
        place = slave.place
        if slave.is_ending:
            self._fill_after(place, 0.0)
            return
        decision = self._host(place.host).slave_died(
            self._clock(), how, was_up=slave.is_up, did_jobs=slave.did_jobs
        )
        if isinstance(decision, Replace):
            if place.host not in self._failures:
                self._fill_after(place, decision.delay_s)
        else:
            self._leave_out(decision, last_lines)
        self._tell_all_if_lost()

    def _leave_out(self, decision: LeaveOut, last_lines: str) -> None:
        words = f" Its last lines: {last_lines.strip()}" if last_lines.strip() else ""
        self._failures[decision.host] = f"{decision.host}: {decision.reason}.{words}"

    def _fill_after(self, place: Place, delay_s: float) -> None:
        self._pending_places += 1

        def fill() -> None:
            self._pending_places -= 1
            if self._is_closed:
                return
            try:
                self.start_slave(place)
            except OSError as error:
                decision = self._host(place.host).slave_died(
                    self._clock(), f"could not be started: {error}", was_up=False, did_jobs=False
                )
                if isinstance(decision, Replace):
                    self._fill_after(place, decision.delay_s)
                else:
                    self._leave_out(decision, "")
                self._tell_all_if_lost()

        if delay_s:
            self.after(delay_s, fill)
        else:
            fill()

    def _tell_all_if_lost(self) -> None:
        for client in list(self._clients.values()):
            self._tell_if_lost(client)

    def _tell_if_lost(self, client: Client) -> None:
        if not self._slaves and not self._pending_places:
            client.crew_is_lost("; ".join(self._failures.values()) or "it has no slaves")

    # ---- the end

    def close(self) -> None:
        """End all slaves and leave nothing behind. Idle slaves end by themselves; busy ones are killed."""
        with self.lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._timers.clear()
            self._clients.clear()
            for slave in list(self._slaves.values()):
                self._let_end(slave)
            self.flush()
            end = self._clock() + _GRACE_S
            while self._slaves and self._clock() < end:
                self._wait_for_ends(end)
            for slave in list(self._slaves.values()):
                self._lose(slave.info.tid, "killed")
            for fabric in self._fabrics:
                fabric.close()
            self._selector.close()
            os.close(self._waker)
            os.close(self._wakes)

    def _let_end(self, slave: Slave) -> None:
        is_busy = bool(slave.jobs) or not slave.is_up
        slave.is_ending = True
        if is_busy:
            slave.place.fabric.stop(slave.info.tid)
        else:
            self._put(slave, (m.STOP, 0))

    def _wait_for_ends(self, end: float) -> None:
        for key, mask in self._selector.select(max(0.0, end - self._clock())):
            if self._is_current(key):
                key.data(mask)


def _allow_many_descriptors() -> None:
    """Each slave needs three: go from the soft limit, often 1024, to what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _is_readable(line: Channel) -> bool:
    with selectors.PollSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        return bool(selector.select(0))


def names_for(hosts: Iterable[str]) -> list[tuple[str, str]]:
    """(host, nickname) of each: a host that is named once keeps its name, others are numbered from 0.

    >>> names_for(['a', 'b', 'a'])
    [('a', 'a_0'), ('b', 'b'), ('a', 'a_1')]
    """
    hosts = list(hosts)
    totals = Counter(hosts)
    numbers: Counter[str] = Counter()
    named = []
    for host in hosts:
        named.append((host, host if totals[host] == 1 else f"{host}_{numbers[host]}"))
        numbers[host] += 1
    return named
