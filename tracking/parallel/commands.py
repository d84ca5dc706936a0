"""Slaves that are started by a command: a kind's ``_start`` runs it, anywhere, and it comes back to us.

::

    user's thread                       this thread                          the pool's thread
      start(entries): add_hosts  ---------------------------------------->     a relay is wanted
                                        invitations.get()  <----------------   invite
      waits for the first starts <---   slave._start(command, id, output)
                                        array._start(command)                  the relay comes, or is told to be no more

A slave that is lost is started anew in the same way.
"""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, cast

from tracking.errors import EngineError
from tracking.fabrics.base import Fabric
from tracking.fabrics.invited import Invitation, InvitedFabric
from tracking.fabrics.machine import is_local
from tracking.fabrics.shared_folder import SharedFolder
from tracking.parallel.errors import Error
from tracking.parallel.slaves import LocalSlave, SlaveArray
from tracking.parallel.util import slave_command
from tracking.pool import SlavePool

logger = logging.getLogger("tracking")

_INVITED_WITHIN_S = 60.0  # at least: far longer than a pool's thread takes to look at its places


@dataclass(slots=True)
class Entry:
    """A slave that is to be started.

    Attributes:
        slave, array: it, and what it belongs to, if it does.
        number: of the manager's slaves, from 0.
        nickname: by which the pool knows it.
        output: path of its file.
    """

    slave: Any
    array: Any
    number: int
    nickname: str
    output: str


@dataclass(slots=True)
class _Batch:
    """Entries that are started for the first time, together."""

    awaited: set[str]
    errors: list[BaseException] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


class Commands:
    """Starts slaves by commands.

    Args:
        python: of the manager.
        host: of the manager.
        says: told what happens, in words.
    """

    def __init__(self, python: str | None, host: str | None, says: Callable[[str], object]) -> None:
        self._python = python
        self._host = host
        self._says = says
        self._invitations: SimpleQueue[Invitation | None] = SimpleQueue()
        self._fabrics: dict[bool, InvitedFabric] = {}  # by whether it is for this machine only
        self._entries: dict[str, tuple[Entry, InvitedFabric]] = {}  # by nickname
        self._batch: _Batch | None = None
        self._to_call: dict[int, tuple[Any, list[Invitation]]] = {}  # arrays whose slaves were started, by id
        self._arrays: dict[int, Any] = {}
        self._folder: SharedFolder | None = None
        self._pool: SlavePool | None = None
        self._thread: threading.Thread | None = None
        self._last_command = ""  # and where its output is, in words

    # ---- user's thread

    def start(self, pool: SlavePool, entries: Sequence[Entry], connect_timeout: float) -> None:
        """Start these, and wait until their commands were; what they raise.

        Raises:
            EngineError: one cannot listen, or not encrypt; says what to do.
            Exception: of the ``_start`` of a slave or array.
        """
        self._begin(pool)
        by_fabric: dict[bool, list[Entry]] = {}
        for entry in entries:
            by_fabric.setdefault(self._is_here(entry.slave), []).append(entry)
        fabrics = {is_here: self._fabric(is_here) for is_here in by_fabric}
        batch = self._batch = _Batch({entry.nickname for entry in entries})
        for is_here, its in by_fabric.items():
            fabric = fabrics[is_here]
            fabric.launcher.start_timeout_s = connect_timeout
            names = [entry.nickname for entry in its]
            self._entries.update({entry.nickname: (entry, fabric) for entry in its})
            pool.add_hosts(names, cast(Fabric, fabric), output=[entry.output for entry in its], nicknames=names)
        within_s = max(_INVITED_WITHIN_S, connect_timeout)
        if not batch.is_over.wait(min(within_s, threading.TIMEOUT_MAX)):
            raise Error(f"the commands that start slaves did not return within {within_s:g} s")
        if batch.errors:
            raise batch.errors[0]

    def hint(self) -> str:
        """The command that was run last, and the file of its output, as lines behind an error; none: nothing."""
        return self._last_command

    def _begin(self, pool: SlavePool) -> None:
        if self._thread is None:
            self._pool = pool
            self._thread = threading.Thread(target=self._run, name="tracking-parallel-starts", daemon=True)
            self._thread.start()

    def _is_here(self, slave: Any) -> bool:
        """Whether its command surely runs on this machine, if the user has not said where to listen."""
        of_type = getattr(type(slave)._start, "__func__", type(slave)._start)
        return self._host is None and of_type is LocalSlave._start

    def _fabric(self, is_here: bool) -> InvitedFabric:
        if is_here not in self._fabrics:
            address = "127.0.0.1" if is_here else self._host or ""
            try:
                self._fabrics[is_here] = InvitedFabric(
                    self._invitations.put, address=address, is_encrypted=not (address and is_local(address))
                )
            except EngineError as error:
                hint = "if all slaves are on this machine, Manager(host='localhost') needs none of that"
                raise EngineError(f"{error}; {hint}") from error
        return self._fabrics[is_here]

    # ---- this thread

    def _run(self) -> None:
        while (invitation := self._invitations.get()) is not None:
            self._follow(invitation)
            if self._invitations.empty():
                self._call_arrays()
                self._tell_batch()
        if self._batch is not None:
            self._batch.is_over.set()

    def _follow(self, invitation: Invitation) -> None:
        entry, _ = self._entries[invitation.host]
        try:
            self._start_one(entry, invitation)
        except Exception as error:  # noqa: BLE001  (of the user's code)
            self._has_failed(entry, invitation, error)
        if self._batch is not None:
            self._batch.awaited.discard(entry.nickname)

    def _start_one(self, entry: Entry, invitation: Invitation) -> None:
        slave, command = entry.slave, self._command(entry.nickname, invitation)
        unique_id = f"{entry.number}:{invitation.number}"
        self._says(f"{command} {unique_id}")
        output = os.path.abspath(entry.output)
        self._last_command = f"\nThe command of {entry.nickname}: {command} {unique_id}\nIts output: {output}"
        slave._process = None
        returned = slave._start(command, unique_id, entry.output)
        if isinstance(returned, subprocess.Popen):
            slave._process = returned
        self._hand_over_process(entry, invitation)
        if entry.array is not None:
            self._arrays[id(entry.array)] = entry.array
            self._to_call.setdefault(id(entry.array), (entry.array, []))[1].append(invitation)

    def _hand_over_process(self, entry: Entry, invitation: Invitation) -> None:
        """If it is known, its end is told, and it is ended with the manager."""
        process, entry.slave._process = getattr(entry.slave, "_process", None), None
        if isinstance(process, subprocess.Popen):
            self._entries[entry.nickname][1].has_begun(invitation.number, process)

    def _command(self, nickname: str, invitation: Invitation) -> str:
        is_here = self._entries[nickname][1] is self._fabrics.get(True)
        path = self._ticket_folder().file("ticket-here" if is_here else "ticket")
        if not os.path.exists(path):
            invitation.ticket.into_file(path)
        return slave_command(self._python, path)

    def _ticket_folder(self) -> SharedFolder:
        """Where slaves on other hosts find it, too, if home is shared; else where those of this machine do."""
        if self._folder is None:
            try:
                folder = SharedFolder("parallel")
                folder.make()
            except OSError as error:
                logger.warning("slaves on other hosts will not find this manager: %s", error)
                folder = SharedFolder("parallel", os.path.join(tempfile.gettempdir(), f"tracking-{os.getuid()}"))
                folder.make()
            self._folder = folder
        return self._folder

    def _call_arrays(self) -> None:
        """Those of whose slaves none is still to be started for the first time."""
        awaited = set() if self._batch is None else self._batch.awaited
        waited_for = {id(self._entries[nickname][0].array) for nickname in awaited}
        for key, (array, invitations) in list(self._to_call.items()):
            if key in waited_for:
                continue
            del self._to_call[key]
            if isinstance(array, SlaveArray):
                array._says = self._says
            try:
                array._start(self._command(invitations[0].host, invitations[0]))
                for invitation in invitations:
                    self._hand_over_process(self._entries[invitation.host][0], invitation)
            except Exception as error:  # noqa: BLE001  (of the user's code)
                for invitation in invitations:
                    self._has_failed(self._entries[invitation.host][0], invitation, error)

    def _has_failed(self, entry: Entry, invitation: Invitation, error: Exception) -> None:
        """It is not tried again: what fails here was not the slave's fault."""
        words = f"{type(error).__name__}: {error}"
        logger.warning("slave %s could not be started: %s", entry.slave, words)
        self._entries[entry.nickname][1].will_not_come(invitation.number, f"could not be started: {words}")
        if self._pool is not None:
            self._pool.remove_hosts([entry.nickname])
        if self._batch is not None:
            self._batch.errors.append(error)

    def _tell_batch(self) -> None:
        if self._batch is not None and not self._batch.awaited:
            self._batch.is_over.set()
            self._batch = None

    # ---- the end

    def close(self) -> None:
        """After the pool: end the thread, and have arrays end what may still be of theirs."""
        self._invitations.put(None)
        if self._thread is not None:
            self._thread.join()
        for array in self._arrays.values():
            if hasattr(array, "_end"):
                array._end()
        for fabric in self._fabrics.values():
            fabric.close()
        if self._folder is not None:
            self._folder.remove()


def runs_a_command(slave: Any, python: str | None) -> bool:
    """Whether a slave is started by a command; else it is forked here."""
    return not (type(slave) is LocalSlave and python is None)
