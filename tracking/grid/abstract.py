"""AbstractGrid: what every grid has, however its servers come to life.

::

    publish(object) --> servers, a copy of the object in each --> queues[service id]: those that are free
    acquire_service --> a proxy --calls--> Result ...           release_service, and the last call done --> free again

Attributes ``servers`` and ``queues`` are written under ``_lock``; no code of the user runs under it.
Stop order: ``terminate`` -> each server ends, who waits is woken -> ``run`` returns.

Source: ``AbstractGrid`` of IMP.isd.
"""

from __future__ import annotations

import atexit
import os
import py_compile
import sys
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracking.errors import EngineError, InputError
from tracking.grid import copying
from tracking.grid.errors import GridClosed, UnknownService
from tracking.grid.hosts import Host
from tracking.grid.queues import FreeServers
from tracking.grid.result import Result
from tracking.grid.server import Server

EXCLUDED = ("cns/", ".svn/")


class AbstractGrid(threading.Thread):
    """Servers on hosts. A thread, as it always was; what comes from servers is brought without it, so ``start`` is
    not needed, and does no harm.

    Args:
        hosts: one entry a server.
        src_path: where ``initialise`` and ``set_loader`` find modules.
        display: show what servers print, in a window each where there is a display.
        X11_delay: kept for the program.
        debug, verbose: whether ``dp`` prints.
        shared_temp_path: all hosts see the temporary folder of the first: files are copied once.
    """

    window_size = "30x10"

    def __init__(
        self,
        hosts: Sequence[Host],
        src_path: str = "",
        display: bool = False,
        X11_delay: float = 1.0,
        debug: bool = False,
        verbose: bool = False,
        shared_temp_path: bool = False,
    ) -> None:
        super().__init__(name="tracking-grid", daemon=True)
        self.hosts = list(hosts)
        self.src_path = src_path
        self.display = display
        self.X11_delay = X11_delay
        self.shared_temp_path = shared_temp_path
        self.servers: dict[str, list[Server]] = {}
        self.queues: dict[str, FreeServers[Server]] = {}
        self.src_files: list[str] = []
        self.copied_files: dict[str, list[str]] = {}
        self.temp_paths: dict[str, str] = {}
        self.loader_filename = ""
        self.debug_out = sys.stderr
        self.set_debug(debug, verbose)
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._halted = threading.Event()
        self._at_exit = _AtExit(self)
        self.initialise(src_path, [])

    # ---- what a grid must say

    def publish(self, instance: Any) -> str:
        """Start servers with a copy of this object each; the id of the service."""
        raise NotImplementedError(f"{type(self).__name__} does not say how an object is published")

    def ishalted(self) -> bool:
        """Whether the grid was terminated."""
        raise NotImplementedError(f"{type(self).__name__} does not say whether it has ended")

    def run_there(self, host: str, text: str, data: bytes) -> Any:
        """Begin to run a shell text on another host: a ``Command``."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its hosts are reached")

    # ---- debugging

    def set_debug(self, debug: bool, verbose: bool | None = None) -> None:
        """Whether ``dp`` prints; ``verbose`` None: as before."""
        self.debug = debug
        if verbose is not None:
            self.verbose = verbose

    def dp(self, text: object) -> None:
        """Print this to ``debug_out``, if the grid is debugged, or verbose."""
        if self.debug or self.verbose:
            print(text, file=self.debug_out, flush=True)

    # ---- services

    def create_service_id(self, instance: Any) -> str:
        """'<class>.<number of the object>'."""
        return f"{type(instance).__name__}.{abs(id(instance))}"

    def add_server(self, server: Server) -> None:
        """Have one more server, free, for what it serves."""
        self._list_server(server)
        self.queues[server.service_id].put(server)

    def _list_server(self, server: Server, instead_of: Server | None = None) -> None:
        with self._lock:
            server.grid = self
            server.proxy.__dict__["_selfrelease"] = False
            servers = self.servers.setdefault(server.service_id, [])
            self.queues.setdefault(server.service_id, FreeServers(f"server of {server.service_id}"))
            if instead_of in servers:
                servers[servers.index(instead_of)] = server
            else:
                servers.append(server)

    def find_server(self, service_id: str, timeout: float | None = None) -> Server:
        """A free server, the one that is free for longest; waits for it.

        Args:
            timeout: seconds; None: until one is free, or none can become it.

        Raises:
            UnknownService: nothing was published under this id.
            TimeoutError: none was free in time.
            NoServers, GridClosed: none is left, and none will come.
            InputError: this is a forked child, in which none will ever be free.
        """
        self._check_own_process()
        queue = self.queues.get(service_id)
        if queue is None:
            raise UnknownService(f'Service type "{service_id}" not known.')
        return queue.get(timeout=timeout)

    def acquire_service(self, service_id: str, timeout: float | None = None) -> Any:
        """The proxy of a free server, which is nobody else's until it is released; waits for it as ``find_server``."""
        server = self.find_server(service_id, timeout)
        with self._lock:
            server.jobs += 1
            server.acquired = True
        self.dp(f"acquired {server}")
        return server.proxy

    def release_service(self, proxy: Any) -> None:
        """The proxy is not needed any more: its server is free when all that it was asked has its answer.

        Raises:
            InputError: this is no proxy of a server of this grid.
        """
        self._check_own_process()
        server = getattr(proxy, "__dict__", {}).get("_server")
        if not isinstance(server, Server) or server.grid is not self:
            raise InputError(f"{proxy!r} is no proxy of a server here: release what acquire_service() has returned")
        with self._lock:
            if server.acquired:
                proxy.__dict__["_selfrelease"] = True
                self._release_if_idle(server)

    def _release_if_idle(self, server: Server) -> None:
        with self._lock:
            if server.acquired and server.is_idle and server.proxy.__dict__["_selfrelease"]:
                self._release_service(server.proxy)

    def _release_service(self, proxy: Any) -> None:
        """Free at once; a server that is not there any more will serve nobody."""
        with self._lock:
            server: Server = proxy.__dict__["_server"]
            server.acquired = False
            proxy.__dict__["_selfrelease"] = False
            if server in self.servers.get(server.service_id, ()):
                self.queues[server.service_id].put(server)

    def add_time(self, proxy: Any, t: float) -> None:
        """A call on this proxy took so many seconds."""
        proxy.__dict__["_server"].time.put(t)

    # ---- all servers at once

    def _servers_of(self, service_id: str) -> list[Server]:
        self._check_own_process()
        with self._lock:
            if service_id not in self.queues:
                raise UnknownService(f'Service type "{service_id}" not known.')
            self.queues[service_id].check_open()  # else nobody would be asked, and all seem well
            return list(self.servers.get(service_id, ()))

    def broadcast(self, service_id: str, name: str, *args: Any, **kwargs: Any) -> list[Result]:
        """Call a method on every server, acquired or not; the results in the order of the servers.

        Raises:
            UnknownService: nothing was published under this id.
            NoServers, GridClosed: none is left, and none will come.
        """
        return [getattr(server.proxy, name)(*args, **kwargs) for server in self._servers_of(service_id)]

    def scatter(
        self, service_id: str, name: str, arglist: Iterable[Any], kwlist: Iterable[Mapping[str, Any]] | None = None
    ) -> list[Result]:
        """Call a method on one server after the other, each with arguments of its own; fewer use the first servers.

        Args:
            service_id: which service.
            name: of the method.
            arglist: a tuple or a list gives the arguments of its server, anything else is its only argument.
            kwlist: keyword arguments of each.

        Raises:
            InputError: there are more of them than servers.
            UnknownService, NoServers, GridClosed: as of ``broadcast``.
        """
        arguments = [tuple(item) if isinstance(item, tuple | list) else (item,) for item in arglist]
        keywords = [{} for _ in arguments] if kwlist is None else [dict(item) for item in kwlist]
        servers = self._servers_of(service_id)
        if len(keywords) != len(arguments):
            raise InputError(f"scatter got arguments for {len(arguments)} servers, and keywords for {len(keywords)}")
        if len(arguments) > len(servers):
            raise InputError(f"scatter got arguments for {len(arguments)} servers; {service_id} has {len(servers)}")
        pairs = zip(servers, arguments, keywords, strict=False)
        return [getattr(server.proxy, name)(*args, **kwargs) for server, args, kwargs in pairs]

    def gather(self, results: Iterable[Result], timeout: float | None = None) -> list[Any]:
        """The values of these results; waits for all, for each no longer than so many seconds."""
        return [result.get(timeout) for result in results]

    # ---- files

    def initialise(self, src_path: str, src_files: Iterable[str]) -> None:
        """Make the temporary folders, and have these modules there, compiled.

        Args:
            src_path: where they are.
            src_files: their names, without an ending.
        """
        self.src_files = list(src_files)
        self._make_temp_paths(reach_others=bool(self.src_files))
        for name in self.src_files:
            source = os.path.join(src_path, name)
            py_compile.compile(f"{source}.py", cfile=f"{source}.pyc", doraise=True)
        if self.src_files:
            self.copy_files(src_path, [f"{name}.pyc" for name in self.src_files])

    def _make_temp_paths(self, *, reach_others: bool) -> None:
        if self.shared_temp_path and self.hosts:
            os.makedirs(self.hosts[0].temp_path, exist_ok=True)
            self.temp_paths = {host.name: self.hosts[0].temp_path for host in self.hosts}
            return
        self.temp_paths = {host.name: host.temp_path for host in self.hosts}
        for host in self.hosts:
            if host.is_here:
                os.makedirs(host.temp_path, exist_ok=True)
        if reach_others:
            self._run_on({host.name for host in self.hosts if not host.is_here}, copying.making, b"", "made")

    def set_loader(self, src_path: str, name: str) -> None:
        """Remember the compiled file of this module: '.pyo' if that is there, else '.pyc'."""
        optimised = os.path.join(src_path, f"{name}.pyo")
        self.loader_filename = f"{name}.pyo" if os.path.exists(optimised) else f"{name}.pyc"

    def copy_files(
        self,
        rootdir: str,
        filelist: Iterable[str],
        hosts: Host | Iterable[Host] | None = None,
        exclude: Sequence[str] = EXCLUDED,
    ) -> dict[str, list[str]]:
        """Copy files into the temporary folders of hosts, whatever they are called; ``copied_files`` keeps what.

        An entry 'folder/pattern' means those files in that folder of rootdir, and in all below it, whose own names fit
        the pattern. They lie below the temporary folder as they lie below rootdir.

        Args:
            rootdir: where they are.
            filelist: entries.
            hosts: one, or some; None: all. With a shared folder it does not matter.
            exclude: what has one of these texts in its whole path stays here.

        Returns:
            {folder: paths}, below rootdir, of what was copied.

        Raises:
            OSError: there is no rootdir, or a file cannot be read or written here.
            EngineError: a host has not taken them; names it, with its words.
        """
        root = os.path.abspath(os.path.expanduser(rootdir))
        files = copying.select(root, filelist, exclude)
        chosen = self.hosts if hosts is None else [hosts] if isinstance(hosts, Host) else list(hosts)
        if self.shared_temp_path:
            chosen = self.hosts[:1]
        here = {host.temp_path for host in chosen if host.is_here or self.shared_temp_path}
        for target in sorted(here):
            copying.copy_here(root, files, target)
        others = {host.name for host in chosen if not host.is_here} if not self.shared_temp_path else set()
        if others and files:
            self._run_on(others, copying.unpacking, copying.packed(root, files), "copied")
        self.copied_files = files
        return files

    def _run_on(self, names: set[str], text: Any, data: bytes, what: str) -> None:
        texts = {name: text(self.temp_paths[name]) for name in sorted(names)}
        problems = copying.run_everywhere(self.run_there, texts, data)
        if problems:
            words = "; ".join(f"{host}: {problem}" for host, problem in problems.items())
            raise EngineError(f"files or folders could not be {what} there: {words}")

    # ---- the end

    def run(self) -> None:
        """Wait for the end of the grid."""
        self._halted.wait()

    def terminate(self, service_id: str | None = None) -> None:
        """End the servers of a service, or of all: whoever waits for one of them, or for a result, is told.

        Args:
            service_id: which; None: all, and the grid with them.
        """
        if self.ishalted() or os.getpid() != self._pid:  # a forked child has only a useless copy
            return
        if service_id is None:
            self._halted.set()
            self._at_exit.drop()
        with self._lock:
            ending = {
                name: self.servers.pop(name, [])
                for name in list(self.queues)
                if service_id is None or name == service_id
            }
        for name, servers in ending.items():
            self.queues[name].close(GridClosed(f"the servers of {name} were terminated"))
            for server in servers:
                server.terminate()
        for name in ending:  # who waits for a server or a result has been told; this may take a while
            self._service_has_ended(name)

    def _check_own_process(self) -> None:
        if os.getpid() != self._pid:
            raise InputError(
                f"this grid was made in another process ({self._pid}), from which this one ({os.getpid()}) was forked: "
                "make a new one after the fork"
            )

    def _service_has_ended(self, service_id: str) -> None:
        """All its servers were told to end."""


class _AtExit:
    """Ends a grid at the end of the program, if it is still there."""

    def __init__(self, grid: AbstractGrid) -> None:
        self._grid = weakref.ref(grid)
        atexit.register(self)

    def __call__(self) -> None:
        grid = self._grid()
        if grid is not None:
            grid.terminate()

    def drop(self) -> None:
        """It has ended."""
        atexit.unregister(self)
