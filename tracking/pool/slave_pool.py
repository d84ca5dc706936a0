"""SlavePool: slaves that outlive a calculation, for masters and for submitted calls.

::

    user's threads                          the pool's thread (daemon)
      submit, map --> Calls, Crew             crew.driving.serve(): the loop, futures and their callbacks
      shutdown, end of the program,
      pool forgotten --> end_when_idle -->    when nobody waits for anything, or at once: crew.close()

Stop order: ``end_when_idle`` (or ``end_now``) -> the thread leaves the loop -> it ends the slaves and itself.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any

from tracking import collector
from tracking.fabrics.hosts_file import expand
from tracking.fabrics.registry import FabricsOfPool
from tracking.pool import arguments
from tracking.pool.contexts import own_context
from tracking.pool.executor import CrewExecutor
from tracking.pool.naming import MASTER_NUMBERS, Nicknames
from tracking.pool.reach import known_hosts, more_hosts, without_failing
from tracking.pool.shares import Shares
from tracking.pool.thread import SHUT_DOWN, PoolThread
from tracking.slave.calling import CallsWithSetup, call
from tracking.wire import mainmodule

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tracking.fabrics.base import Fabric
    from tracking.pool.actors import Actors
    from tracking.pool.calls import Calls
    from tracking.pool.news import SlaveNews, Watch
    from tracking.pool.session import Session



class SlavePool(CrewExecutor):
    """Slaves that are started once and work for any number of masters, and for calls, at once or in turn.

    Example:
        >>> from tracking import SlavePool, TrackingJobMaster
        >>> with SlavePool(["localhost"]) as pool:
        ...     future = pool.submit(pow, 2, 10)
        ...     master = TrackingJobMaster({1: 1, 2: 2}, function=float, pool=pool, verbose=0)
        ...     future.result(), master.calculateResult()
        (1024, {1: 1.0, 2: 2.0})

    Args:
        hosts: host names, one entry a slave, or 'name*n' for n there; '@FILE': those in a hosts file; a number: so many
            slaves; none: one per usable core here, or as many as an engine has room for; None: no slave before
            ``add_hosts``.
        niceness: nice value of the slaves, or {host: nice value, 'default': n}.
        show_output: 0: what slaves print is not shown; 1: in a window per slave, or line by line.
        fabric: how slaves are started where the name of a host does not say it: a name, or a fabric; None: on this
            machine as its own processes, on others over ssh. An engine chooses the hosts where none is named.
        check_hosts: try all remote hosts first, in parallel; one that fails is left out and named with the reason.
        max_deaths: a call that was alone on a slave that died so often is given up; None: never.
        host_failures: so many deaths without a job done between them, and a host is left out; None: never.
        silence_timeout: seconds without a sign of life after which a slave is waited for no longer, and a stand-in
            takes its place; one that computes without a break is not silent.
        heartbeat: seconds without a word after which a slave is asked for a sign of life.
        memory_limit: bytes of data that each slave may hold ('2GB'); None: as many as there are.
        threads, affinity: as of a master.
        max_jobs: so many jobs a slave does, then a new one takes its place; None: any number.
        output: path of a file for what each slave prints, made when it is started; '{nickname}' and '{host}' in it
            stand for those of the slave. None: there is none.

    Raises:
        InputError: wrong use; nothing was started.
        EngineError: what is to start slaves is not there, or refuses.
        NoSlavesError: every host has failed the check.
    """

    def __init__(
        self,
        hosts: Any = (),
        niceness: int | Mapping[str, int] = 0,
        *,
        show_output: int = 0,
        fabric: str | Fabric | None = None,
        check_hosts: bool = True,
        max_deaths: int | None = 2,
        host_failures: int | None = 10,
        silence_timeout: float = 30,
        heartbeat: float = 1,
        memory_limit: int | str | None = None,
        threads: int | Mapping[str, int | None] | None = None,
        affinity: Any = None,
        max_jobs: int | None = None,
        output: str | None = None,
    ) -> None:
        arguments.check_not_loading()
        expanded = expand(() if hosts is None else hosts)
        self._fabrics = FabricsOfPool(fabric, expanded.settings)
        names = [] if hosts is None else arguments.checked_hosts(expanded.hosts, self._fabrics.first)
        self._output = arguments.checked_output(output)
        self._niceness = arguments.checked_niceness(niceness, expanded.niceness)
        shares = Shares(threads, affinity, self._fabrics.first.settings)
        self._checks_hosts = check_hosts
        self._nicknames = Nicknames()
        self._max_deaths = arguments.checked_number(
            "max_deaths", max_deaths, 1, is_optional=True, is_whole=True
        )
        host_failures = arguments.checked_number(
            "host_failures", host_failures, 1, is_optional=True, is_whole=True
        )
        crew_options: dict[str, Any] = {
            "host_failures": host_failures,
            "heartbeat_s": arguments.checked_number("heartbeat", heartbeat, 0.01),
            "silence_timeout_s": arguments.checked_number("silence_timeout", silence_timeout, 0),
            "memory_limit": arguments.checked_memory_limit(memory_limit),
            "max_jobs": arguments.checked_number("max_jobs", max_jobs, 1, is_optional=True, is_whole=True),
        }
        left, failed = without_failing(names, self._fabrics.first) if check_hosts else (names, {})
        try:
            self._begin(left, failed, shares, show_output, crew_options)
        except BaseException:
            self._fabrics.close()  # they may have prepared something
            raise

    def _begin(
        self,
        names: Sequence[str],
        failed: Mapping[str, str],
        shares: Shares,
        show_output: int,
        crew_options: Mapping[str, Any],
    ) -> None:
        """Start slaves on these hosts. What they need first boots while the engine is loaded here."""
        with collector.resting():
            self._fabrics.first.prepare(names)
            from tracking.pool.crew import Crew
            from tracking.pool.placing import Placing

        self._placing = Placing(self._niceness, shares, show_output)
        places = self._placing.places(self._nicknames.give(names), self._fabrics.first, self._output)
        self._crew = Crew(**crew_options, nicknames=self._nicknames)
        self._calls: Calls | None = None  # made with the first submit, under the crew's lock
        self._sessions: weakref.WeakSet[Calls] = weakref.WeakSet()  # under the crew's lock
        self._is_shut = False  # under the crew's lock
        self._crew.hosts.leave_out(failed)
        self._crew.hosts.add(places)
        self._thread = PoolThread(self._crew, self._fabrics)
        self._thread.start()
        # Who forgets a pool wants no more of it than the outcome of the calls that he has made.
        weakref.finalize(self, self._crew.end_when_idle, SHUT_DOWN).atexit = False

    def __repr__(self) -> str:
        if not self._crew.is_own:
            return "SlavePool of another process"
        state = ", shut down" if self._is_shut else ""
        return f"SlavePool: {len(self._crew.slaves())} slaves{state}"

    def add_hosts(
        self,
        hosts: Any,
        fabric: str | Fabric | None = None,
        *,
        output: str | Sequence[str] | None = None,
        nicknames: Sequence[str] | None = None,
    ) -> dict[str, str]:
        """Have more slaves, for all who use the pool, on hosts that are there already or not; from any thread.

        Remote hosts are tried first, in parallel; this waits for that.

        Args:
            hosts: as for the pool itself; an empty list means none.
            fabric: how these slaves are started, beside those that the pool has; None: as the others. The pool closes
                it at its end.
            output: as of the pool, or a path for each slave; None: as of the pool.
            nicknames: of these slaves, that no others have; None: they are chosen.

        Returns:
            {host: why no slave can be started there} of those that failed; they are left out.

        Raises:
            NoSlavesError: all of them failed.
            InputError, EngineError: nothing can be started on one of them; nothing was added.
            RuntimeError: the pool is shut down.
        """
        return self._add_hosts(hosts, fabric, output, nicknames)[1]

    def _add_hosts(
        self,
        hosts: Any,
        fabric: str | Fabric | None = None,
        output: str | Sequence[str] | None = None,
        nicknames: Sequence[str] | None = None,
    ) -> tuple[list[tuple[str, str]], dict[str, str]]:
        """(host, nickname) of those that were added, and {host: why} of those that were not."""
        self._crew.check_own_process()
        self.check_is_open("add hosts")
        output = self._output if output is None else arguments.checked_output(output)
        fabrics = self._fabrics.first if fabric is None else self._fabrics.more(fabric)
        names, failed = more_hosts(hosts, fabrics, self._niceness, check=self._checks_hosts)
        arguments.check_one_each("nicknames", nicknames, len(names))
        arguments.check_one_each("output", None if isinstance(output, str) else output, len(names))
        left = [number for number, name in enumerate(names) if name not in failed]
        with self._crew.lock:
            self.check_is_open("add hosts")
            given = self._nicknames.give([names[number] for number in left], nicknames and [nicknames[n] for n in left])
            paths = output if isinstance(output, str | None) else [output[number] for number in left]
            self._crew.hosts.add(self._placing.places(given, fabrics, paths))
        return given, failed

    def remove_hosts(self, hosts: Any, now: bool = False) -> None:
        """Have no slaves on these hosts any more; from any thread.

        Their slaves get no more jobs, and end when those that they have are done; with ``now`` they are ended, and
        what they work on goes to others. Whoever uses the pool when no slave is left gets a ``NoSlavesError``.

        Raises:
            InputError: there is no such host; names those that there are.
        """
        self._remove_hosts(hosts, now=now)

    def _remove_hosts(self, hosts: Any, *, now: bool) -> frozenset[str]:
        """The names of those that were removed."""
        self._crew.check_own_process()
        with self._crew.lock:
            names = known_hosts(hosts, self._crew.hosts.names())
            self._crew.hosts.remove(names, now=now)
        return names

    def watch(self, tell: Callable[[SlaveNews], object]) -> Watch:
        """Be told of slaves that come, go, fall silent and are heard again; of those that are up at once.

        Args:
            tell: called with each of the news in ``tracking.pool.news``, in any thread and under a lock: it only takes
                note, as the ``put`` of a ``SimpleQueue`` does.

        Raises:
            InputError: the pool was made in another process.
        """
        from tracking.pool.news import Watch

        watch = Watch(self._crew, tell)
        self._crew.attach(watch)
        return watch

    @property
    def slaves(self) -> dict[int, dict[str, str]]:
        """{tid: {'host', 'nickname'}} of the slaves there are now."""
        self._crew.check_own_process()
        return {slave.tid: {"host": slave.host, "nickname": slave.nickname} for slave in self._crew.slaves()}

    @property
    def pids(self) -> dict[str, int]:
        """{nickname: process id} of the slaves that are up."""
        self._crew.check_own_process()
        return self._crew.pids()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn(*args, **kwargs)`` on a slave; its future, at once.

        A call whose slave dies is made again, up to ``max_deaths`` times; otherwise it is made once. What it raises
        comes as it is, its ``__cause__`` an ``ItemRaised`` with the traceback on the slave. The future fails with
        an ``EncodeError`` if the call cannot be sent, with an ``ItemResultError`` if its result cannot, with an
        ``ItemKilledSlave`` if its slave has died too often, and with a ``NoSlavesError`` if no slave is left.
        Callbacks run in the pool's thread, or in one that waits for a call; they may submit others and wait for
        them, but not for a master that uses this pool.

        Raises:
            RuntimeError: the pool is shut down.
            NoSlavesError: no slave is left.
            InputError: the pool was made in another process, or the working directory was deleted.
        """
        self._crew.check_own_process()
        with self._crew.lock:
            self.check_is_open("submit a call")
            if self._calls is None:
                self._calls = self._new_calls(call, self._max_deaths)
            calls = self._calls
        return calls.submit(fn, args, kwargs)

    def _new_calls(self, code: Callable[..., Any], max_deaths: int | None) -> Calls:
        from tracking.pool.calls import Calls  # a pool that serves masters only does not need it

        calls = Calls(self._crew, own_context(), max_deaths, code)
        self._crew.attach(calls)
        return calls

    def check_is_open(self, action: str) -> None:
        """Raise a RuntimeError that says so if the pool is shut down."""
        if self._is_shut:
            raise RuntimeError(f"cannot {action}: the pool is shut down")

    def session(
        self, setup: Callable[[], Any] | None = None, *, max_deaths: int | EllipsisType | None = ...
    ) -> Session:
        """Calls that share what a setup function gives: it is made once on each slave that makes one of them.

        There may be many sessions at once. The code of the setup travels once to each slave.

        Example:
            >>> from tracking import SlavePool
            >>> def load():
            ...     return {"a": 1, "b": 2}
            >>> def look_up(table, key):
            ...     return table[key]
            >>> with SlavePool(["localhost"]) as pool, pool.session(load) as session:
            ...     list(session.map(look_up, "ab"))
            [1, 2]

        Args:
            setup: called without arguments before the first call on a slave; None: calls get no value.
            max_deaths: as of the pool; ``...``: what the pool has.

        Raises:
            EncodeError: the setup cannot be sent.
            RuntimeError: the pool is shut down.
            InputError: no function; the pool was made in another process, or the working directory was deleted.
        """
        from tracking.pool.session import Session

        self._crew.check_own_process()
        deaths = self._max_deaths
        if max_deaths is not ...:
            deaths = arguments.checked_number("max_deaths", max_deaths, 1, is_optional=True, is_whole=True)
        code: Callable[..., Any] = call
        if setup is not None:
            arguments.check_makes("setup", setup)
            code = CallsWithSetup(next(MASTER_NUMBERS), mainmodule.encode_function(setup, "the setup"))
        with self._crew.lock:
            self.check_is_open("begin a session")
            calls = self._new_calls(code, deaths)
            self._sessions.add(calls)
        return Session(self, self._crew, calls, has_setup=setup is not None)

    def actors(self, make: Callable[[], Any]) -> Actors:
        """Have an object on every slave, also on those that come later, that remembers what was done with it.

        Example:
            >>> from tracking import SlavePool
            >>> with SlavePool(["localhost"]) as pool, pool.actors(list) as actors:
            ...     (actor,) = actors.up()
            ...     calls = [actor.call(list.append, n) for n in (1, 2)]
            ...     actor.call(sum).result()
            3

        They share the slaves with all other work of the pool, and end with them: where ``max_jobs`` or a memory limit
        replaces a slave, or other work that it does is called off, the new one has a new object. Calls count as jobs.
        If making it kills slaves again and again, it is made on no other.

        Args:
            make: called without arguments on each slave, once; what it returns stays there.

        Raises:
            EncodeError: ``make`` cannot be sent.
            RuntimeError: the pool is shut down.
            InputError: no function; the pool was made in another process, or the working directory was deleted.
        """
        from tracking.pool.actors import Actors

        self._crew.check_own_process()
        arguments.check_makes("make", make)
        code = mainmodule.encode_function(make, "what makes the objects")
        with self._crew.lock:
            self.check_is_open("have objects on its slaves")
            return Actors(self._crew, own_context(), code)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, now: bool = False) -> None:
        """Take no more, and end the slaves when all is done: the calls submitted, and the masters at work.

        Args:
            wait: return after that. In a callback of a call, or in a hook of a master that uses this pool, it
                returns at once: it would wait for itself.
            cancel_futures: calls that no slave was given yet are cancelled.
            now: nothing is waited for: what is not done fails, and slaves that work are killed.
        """
        self._crew.check_own_process()
        with self._crew.lock:
            self._is_shut = True
            all_calls = [*filter(None, [self._calls]), *self._sessions]
        if cancel_futures:
            for calls in all_calls:
                calls.cancel_waiting()
        if now:
            self._thread.end_now()
        self._crew.end_when_idle(SHUT_DOWN)
        own = threading.current_thread()
        if wait and own is not self._thread and not self._crew.serves_thread(threading.get_ident()):
            self._thread.join()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Shut down; if the block was interrupted (Ctrl-C, SystemExit), at once. In a forked child: nothing."""
        if not self._crew.is_own:
            return
        if exc_type is not None and not issubclass(exc_type, Exception):
            self._thread.end_now()
        self.shutdown()
