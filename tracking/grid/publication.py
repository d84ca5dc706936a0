"""A published object: its pool, its actors, and the servers that these give.

::

    entry of hosts --> SlaveServer, coming --(actor is up)--> in the queue of free servers
                          ^                                        | its slave is lost
                          +--- another one at the same index <-----+   unless its host is given up, or the grid ends
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tracking.errors import SlaveLost, TrackingError
from tracking.grid.errors import NoServers
from tracking.grid.hosts import Host
from tracking.grid.proxy import Proxy
from tracking.grid.server import SlaveServer

if TYPE_CHECKING:
    from tracking.grid.grids import Grid
    from tracking.pool.actors import Actor, Actors
    from tracking.pool.slave_pool import SlavePool


class Publication:
    """One publishing of an object; is told of actors.

    Args:
        grid: whose.
        service_id: of the service.
        instance: the object, as it is here.
        pool: of its slaves, which end with it.
        actors: the objects there.
    """

    def __init__(self, grid: Grid, service_id: str, instance: Any, pool: SlavePool, actors: Actors) -> None:
        self.service_id = service_id
        self.instance = instance  # kept: else another object might get its number, and so its id
        self.pool = pool
        self._grid = grid
        self._actors = actors
        self._servers: list[SlaveServer] = []  # of this publishing, those that are there or coming
        self._by_tid: dict[int, SlaveServer] = {}
        self._given_up: dict[str, str] = {}  # host -> why
        self._is_open = False  # servers that are up are free
        self._is_closed = False
        self._changed = threading.Condition(grid._lock)

    def add_servers(self, hosts: Sequence[Host]) -> None:
        """Have a server for each entry; they are coming."""
        for host in hosts:
            self._add(host)

    def begin(self, wait_s: float) -> None:
        """Hear of actors; wait until all servers are up, or will not be, but no longer than so many seconds."""
        self._actors.watch(self)
        with self._changed:
            self._changed.wait_for(self._is_settled, wait_s)
            if self._is_closed:
                return
            self._is_open = True
            for server in self._servers:
                if server.actor is not None:
                    self._grid.queues[self.service_id].put(server)

    def _is_settled(self) -> bool:
        return self._is_closed or all(server.actor is not None for server in self._servers)

    def close(self) -> None:
        """End the slaves."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._actors.close(f"the servers of {self.service_id} were terminated")
        self.pool.shutdown()

    def _add(self, host: Host, instead_of: SlaveServer | None = None) -> None:
        server = SlaveServer(
            Proxy(self.instance), self.service_id, host, self._grid.debug,
            lock=self._grid._lock, actors=self._actors, nickname=instead_of.nickname if instead_of else "",
        )  # fmt: skip
        if instead_of in self._servers:
            self._servers[self._servers.index(instead_of)] = server
        else:
            self._servers.append(server)
        self._grid._list_server(server, instead_of)

    # ---- what is told of actors

    def actor_is_up(self, actor: Actor) -> None:
        with self._changed:
            if self._is_closed:
                return
            server = self._coming_for(actor)
            if server is None:
                return  # its server was terminated
            if server.host.name != actor.host:  # the fabric has chosen it
                server.host = Host(actor.host, server.host.temp_path, niceness=server.host.niceness)
            self._by_tid[actor.tid] = server
            server.is_up(actor)
            self._changed.notify_all()
            if self._is_open:
                self._grid.queues[self.service_id].put(server)
        self._grid.dp(f"{server} is up")

    def _coming_for(self, actor: Actor) -> SlaveServer | None:
        """The server whose place it has: of the same nickname, else of the same host, else any that has no slave."""
        coming = [server for server in self._servers if server.actor is None]
        for fits in (
            [server for server in coming if server.nickname == actor.nickname],
            [server for server in coming if not server.nickname and server.host.name == actor.host],
            [server for server in coming if not server.nickname],
        ):
            if fits:
                return fits[0]
        return None

    def actor_has_failed(self, actor: Actor) -> None:
        with self._changed:
            server = self._by_tid.get(actor.tid) or self._coming_for(actor)
            if server is not None:
                self._remove(server, actor.error or NoServers("its object could not be made"))

    def see_losses(self) -> None:
        """Who has just heard of a loss shall find the new server, even if that news is still on its way to here."""
        with self._changed:
            for server in list(self._servers):
                if server.actor is not None and server.actor.is_lost:
                    self.actor_is_lost(server.actor)

    def actor_is_lost(self, actor: Actor) -> None:
        with self._changed:
            server = self._by_tid.pop(actor.tid, None)
            if server is None or self._is_closed or server not in self._servers:
                return
            error = actor.error or NoServers("it is lost")
            self._grid.queues[self.service_id].remove(server)
            if server.error is None and not self._is_hopeless(server):
                self._add(server.host, instead_of=server)
                server.is_gone(error)
            else:
                self._remove(server, error)
        self._grid.dp(f"{server} is lost: {error}")

    def host_is_given_up(self, host: str, why: str) -> None:
        with self._changed:
            self._given_up[host] = why
            for server in [one for one in self._servers if one.actor is None and self._is_hopeless(one)]:
                self._remove(server, SlaveLost(f"no server can be started there: {why}", host=host))

    def _is_hopeless(self, server: SlaveServer) -> bool:
        """Whether no slave will come for it; where the fabric chooses hosts it is given up under another name."""
        named = {host.name for host in self._grid.hosts}
        return server.host.name in self._given_up or bool(self._given_up.keys() - named)

    def all_are_lost(self, error: TrackingError) -> None:
        with self._changed:
            for server in list(self._servers):
                self._remove(server, error)

    def _remove(self, server: SlaveServer, error: BaseException) -> None:
        """It is no more, and no other takes its place."""
        if server in self._servers:
            self._servers.remove(server)
        listed = self._grid.servers.get(self.service_id, [])
        if server in listed:
            listed.remove(server)
        queue = self._grid.queues[self.service_id]
        queue.remove(server)
        server.is_gone(error)
        if not listed and not self._is_closed:
            none_left = NoServers(f"no server of {self.service_id} is left, and none will come: {error}")
            none_left.__cause__ = error
            queue.close(none_left)
        self._changed.notify_all()
