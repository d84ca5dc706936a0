"""Grids over our slaves: each published object has a pool of its own, with a slave for each entry of the hosts.

What was written to and fro as files, through named pipes or by Pyro goes over the lines of these slaves: a call costs
a round trip. The signatures of those grids are taken; what has no meaning any more is said of each argument.

Source: ``FileBasedGrid``, ``FIFOBasedGrid``, ``PyroGrid`` of IMP.isd.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracking.errors import InputError
from tracking.fabrics.base import Fabric
from tracking.fabrics.commands import Command
from tracking.fabrics.settings import HostSettings
from tracking.grid import far
from tracking.grid.abstract import AbstractGrid
from tracking.grid.errors import GridClosed
from tracking.grid.hosts import Host, start_of
from tracking.grid.publication import Publication
from tracking.grid.server import Server
from tracking.pool import SlavePool
from tracking.wire import mainmodule

logger = logging.getLogger("tracking")

_COPY_TIMEOUT_S = 600.0


class Grid(AbstractGrid):
    """Servers on our slaves.

    Example:
        >>> from tracking.grid import Grid, create_host_list
        >>> with Grid(create_host_list(["localhost"] * 2, "/tmp")) as grid:
        ...     service_id = grid.publish([3, 1, 2])
        ...     proxy = grid.acquire_service(service_id)
        ...     proxy.sort().get()
        ...     result = proxy.index(3)
        ...     grid.release_service(proxy)
        ...     result.get()
        2

    Args:
        hosts: ``Host`` objects, or names; one entry a server. With a ``fabric`` that chooses hosts: how many servers.
        src_path, X11_delay, debug, verbose: as for ``AbstractGrid``.
        display: show what servers print, in a window each where there is a display.
        nfs_care: accepted; no file carries a message, so none can be seen too late.
        shared_temp_path: all hosts see the temporary folder of the first.
        fabric: how servers on other machines are started: a name, or what makes a fabric; None: over ssh.
        ssh_config: an ssh config file instead of your own.
        publish_wait: ``publish`` waits so many seconds for its servers; who comes later joins then.
        options: further ones of each ``SlavePool`` (silence_timeout, heartbeat, memory_limit, ...).

    Raises:
        InputError: wrong use; nothing was started.
        TypeError: there is no such argument; nothing was started.
    """

    def __init__(
        self,
        hosts: Sequence[Host | str] | int,
        src_path: str = "",
        display: bool = False,
        X11_delay: float = 1.0,
        debug: bool = False,
        verbose: bool = False,
        nfs_care: bool = False,
        *,
        shared_temp_path: bool = False,
        fabric: str | Callable[[], Fabric] | None = None,
        ssh_config: str | None = None,
        publish_wait: float = 30.0,
        **options: Any,
    ) -> None:
        _check_names(type(self), options)
        self.nfs_care = nfs_care
        self._fabric = fabric
        self._ssh_config = ssh_config
        self._publish_wait = publish_wait
        self._options = options
        self._published: dict[str, list[Publication]] = {}
        super().__init__(_checked(hosts), src_path, display, X11_delay, debug, verbose, shared_temp_path)

    def __enter__(self) -> Grid:
        return self

    def __exit__(self, *_: object) -> None:
        """Terminate it."""
        self.terminate()

    def ishalted(self) -> bool:
        return self._halted.is_set()

    # ---- publishing

    def publish(self, instance: Any) -> str:
        """Start a server for each host, with a copy of this object; the id of the service.

        The object is copied as it is now: so is it on a server that takes the place of a dead one. Its attribute
        ``service_id`` is set to the id, here and in the copies, where it can have one. Servers that do not come up
        within ``publish_wait`` seconds join later.

        Raises:
            EncodeError: the object cannot be sent.
            NoSlavesError: no server can be started on any host.
            GridClosed: the grid was terminated.
        """
        self._check_open()
        service_id = self.create_service_id(instance)
        with contextlib.suppress(AttributeError, TypeError):  # a list has no attributes
            instance.service_id = service_id
        encoded = mainmodule.encode_function(instance, "the published object")
        pool = self._new_pool()
        try:
            actors = pool.actors(far.Maker(encoded, self._root_here()))
            publication = Publication(self, service_id, instance, pool, actors)
            self._register(publication)
        except BaseException:
            pool.shutdown()
            raise
        try:
            publication.begin(self._publish_wait)
        except BaseException:  # Ctrl-C: nobody gets the id, so nobody could ever use or end these
            self._withdraw(publication)
            raise
        self._check_open()
        self.dp(f"published {service_id}")
        return service_id

    def _register(self, publication: Publication) -> None:
        with self._lock:
            self._check_open()  # from here on ``terminate`` ends what is registered
            self._published.setdefault(publication.service_id, []).append(publication)
            if publication.service_id in self.queues:
                self.queues[publication.service_id].reopen()
            publication.add_servers(self.hosts)

    def _withdraw(self, publication: Publication) -> None:
        with self._lock:
            published = self._published.get(publication.service_id, [])
            if publication in published:
                published.remove(publication)
        publication.all_are_lost(GridClosed(f"the publishing of {publication.service_id} was interrupted"))
        publication.close()

    def _check_open(self) -> None:
        self._check_own_process()
        if self.ishalted():
            raise GridClosed("nothing can be published: the grid was terminated")

    # ---- servers that have just been lost

    def find_server(self, service_id: str, timeout: float | None = None) -> Server:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._see_losses(service_id)
            left_s = None if end is None else max(0.0, end - time.monotonic())
            server = super().find_server(service_id, left_s)
            if not server.is_lost:
                return server

    def _servers_of(self, service_id: str) -> list[Server]:
        self._see_losses(service_id)
        return super()._servers_of(service_id)

    def _see_losses(self, service_id: str) -> None:
        self._check_own_process()
        for publication in list(self._published.get(service_id, ())):
            publication.see_losses()

    # ---- pools

    def _root_here(self) -> str:
        here = [self.temp_paths[host.name] for host in self.hosts if host.is_here]
        return here[0] if here else self.temp_paths[self.hosts[0].name]

    def _new_pool(self) -> SlavePool:
        fabric = self._new_fabric()
        is_counted = isinstance(self._fabric, str) and self._fabric != "ssh"
        niceness = {host.name: host.niceness for host in self.hosts}
        return SlavePool(
            len(self.hosts) if is_counted else [host.name for host in self.hosts],
            {"default": self.hosts[0].niceness} if is_counted else niceness,
            show_output=int(bool(self.display)),
            fabric=fabric,
            **self._options,
        )

    def _new_fabric(self) -> str | Fabric | None:
        if callable(self._fabric):
            return self._fabric()
        if self._fabric not in (None, "ssh"):
            return self._fabric
        others = {host.name: host for host in self.hosts if not host.is_here}
        return self._ssh_fabric(others) if others else None

    def _ssh_fabric(self, others: Mapping[str, Host]) -> Any:
        from tracking.fabrics.ssh.fabric import SshFabric

        return SshFabric(
            self._ssh_config, settings={name: _settings(host, self.temp_paths[name]) for name, host in others.items()}
        )

    def run_there(self, host: str, text: str, data: bytes) -> Command:
        """Begin to run a shell text on another host, over ssh."""
        fabric = self._ssh_fabric({})
        try:
            command: Command = fabric.command(host, text, stdin=data, timeout_s=_COPY_TIMEOUT_S)
        finally:
            fabric.close()
        return command

    def _service_has_ended(self, service_id: str) -> None:
        with self._lock:
            publications = self._published.pop(service_id, [])
        for publication in publications:
            publication.close()


FileBasedGrid = Grid


def remote_mkdirs(host: str, folder: str, debug: bool = False, *, ssh_config: str | None = None) -> None:
    """Make a folder on a host, with all above it that is not there.

    Args:
        host: its name.
        folder: from the root; '~' is the home of the user here.
        debug: print what is done.
        ssh_config: an ssh config file instead of your own.

    Raises:
        EngineError: it cannot be made; says why.
    """
    with Grid([Host(host, folder)], debug=debug, ssh_config=ssh_config) as grid:
        grid.dp(f"making {folder!r} on {host}")
        grid._make_temp_paths(reach_others=True)


class FIFOBasedGrid(Grid):
    """The same; named pipes are not used any more, so it is not bound to this machine."""


class PyroGrid(Grid):
    """The same, with the arguments of the grid over Pyro.

    Args:
        nshost: accepted; there is no name server that could be sought there.
        terminate_during_publish: accepted; who publishes never keeps others from terminating.
        method: 'ssh', or 'qsub': servers are jobs of Grid Engine, on hosts that it chooses.

    Raises:
        ValueError: there is no such method.
    """

    def __init__(
        self,
        hosts: Sequence[Host | str],
        src_path: str = "",
        display: bool = False,
        X11_delay: float = 1.0,
        debug: bool = False,
        verbose: bool = False,
        shared_temp_path: bool = True,
        nshost: str | None = None,
        terminate_during_publish: bool = False,
        method: str = "ssh",
        **options: Any,
    ) -> None:
        if method not in ("ssh", "qsub"):
            raise InputError(f"method must be 'ssh' or 'qsub', not {method!r}")
        self.nshost = nshost
        self.terminate_during_publish = terminate_during_publish
        self.method = method
        if method == "qsub":
            options.setdefault("fabric", "gridengine")
        super().__init__(
            hosts, src_path, display, X11_delay, debug, verbose, shared_temp_path=shared_temp_path, **options
        )

    def release_all(self) -> None:
        """Release all that is acquired."""
        for servers in list(self.servers.values()):
            for server in servers:
                self.release_service(server.proxy)


def _check_names(grid: type[Grid], options: Mapping[str, Any]) -> None:
    """Whether a ``SlavePool`` has these options: it would only say so when something is published.

    Raises:
        TypeError: names one that it has not.
    """
    of_pools = inspect.signature(SlavePool).parameters.values()
    known = {one.name for one in of_pools if one.kind is one.KEYWORD_ONLY} - {"show_output", "fabric"}  # the grid's
    for unknown in options.keys() - known:
        own = inspect.signature(grid).parameters.keys() | inspect.signature(Grid).parameters.keys()
        meant = difflib.get_close_matches(unknown, sorted((known | own) - {"options"}), 1)
        suggestion = f"; is {meant[0]!r} meant?" if meant else ""
        raise TypeError(f"{grid.__name__}() has no argument {unknown!r}{suggestion}")


def _checked(hosts: object) -> list[Host]:
    """The hosts, one entry a server.

    Raises:
        InputError: says what is wrong with them.
    """
    if isinstance(hosts, int) and not isinstance(hosts, bool):
        hosts = ["localhost"] * hosts
    if isinstance(hosts, str) or not isinstance(hosts, Sequence) or not hosts:
        raise InputError(f"hosts must be a list of hosts, with one at least; not {hosts!r}")
    checked = [Host(host, tempfile.gettempdir()) if isinstance(host, str) else host for host in hosts]
    by_name: dict[str, Host] = {}
    for host in checked:
        if not isinstance(host, Host):
            raise InputError(f"a host must be a Host, or a name; not {host!r}")
        other = by_name.setdefault(host.name, host)
        if _terms(host) != _terms(other):
            raise InputError(f"host {host.name!r} is named twice, with different settings: give it one")
    for host in by_name.values():
        if host.is_here and host.has_own_start:
            logger.warning(
                "servers on %s are copies of this program's own Python: its python and init_cmd are not used", host.name
            )
    return checked


def _terms(host: Host) -> tuple[object, ...]:
    return host.temp_path, host.niceness, host.python, host.init_cmd


def _settings(host: Host, root: str) -> HostSettings:
    start = start_of(host.init_cmd)
    return HostSettings(
        python=None if host.python == "python" else host.python,
        environment={far.ROOT_VARIABLE: root},
        prelude=start.prelude,
        wrapper=start.wrapper,
    )
