"""Slaves that were added are started, all together, when the first result is asked for.

::

    add_slave: LocalSlave, Kind, Array, ...     numbered: slaves alone first, then those of each array
      LocalSlave                --> the pool's own fabric: forked here
      of an engine's array      --> its fabric
      any other                 --> ``commands``: its own ``_start``
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tracking.errors import TrackingError
from tracking.parallel import slavestate
from tracking.parallel.commands import Commands, Entry, runs_a_command
from tracking.parallel.errors import NetworkError
from tracking.parallel.hub import Hub
from tracking.parallel.slaves import EngineSlaveArray, is_array, members
from tracking.pool import SlavePool

logger = logging.getLogger("tracking")

Added = tuple[Any, str]
"""(slave or array, format of the path of its output)"""


def path_of(output: str, number: int) -> str:
    """The file of a slave; a format without a place for the number is one file for all.

    >>> path_of("slave%d.output", 3), path_of("log", 3)
    ('slave3.output', 'log')
    """
    return output % number if "%" in output else output


def numbered(added: Sequence[Added], first: int) -> list[Entry]:
    """All slaves of these, numbered: those that were added alone first, in their order, then those of each array."""
    single = [(slave, None, output) for slave, output in added if not is_array(slave)]
    of_arrays = [
        (slave, array, output) for array, output in added if is_array(array) for slave in members(array)
    ]
    return [
        Entry(slave, array, number, f"slave{number}", path_of(output, number))
        for number, (slave, array, output) in enumerate([*single, *of_arrays], first)
    ]


class Starting:
    """Starts the slaves of a manager.

    Args:
        hub: of the manager.
        python, host: of the manager.
        says: told what happens, in words.
    """

    def __init__(self, hub: Hub, python: str | None, host: str | None, says: Callable[[str], object]) -> None:
        self._hub = hub
        self._python = python
        self._commands = Commands(python, host, says)
        self._count = 0
        hub.at_end.append(self._commands.close)
        hub.hint = self._commands.hint

    def start(self, pool: SlavePool, added: Sequence[Added], connect_timeout: float) -> None:
        """Start these slaves. Those that cannot be are named; that is no error as long as others can.

        Raises:
            NetworkError: none can be started; says why.
            Exception: of the ``_start`` of a slave or array.
        """
        entries = numbered(added, self._count)
        self._count += len(entries)
        self._hub.slaves_are_started({entry.nickname: entry.slave for entry in entries})
        problems = [problem for group in _groups(entries, self._python) if (problem := self._add(pool, group))]
        commands = [entry for entry in entries if self._is_command(entry)]
        if commands:
            self._commands.start(pool, commands, connect_timeout)
        if problems and all(entry.slave._state == slavestate.dead for entry in entries):
            raise NetworkError(f"No slave could be started: {problems[0]}") from problems[0]

    def _is_command(self, entry: Entry) -> bool:
        return not isinstance(entry.array, EngineSlaveArray) and runs_a_command(entry.slave, self._python)

    def _add(self, pool: SlavePool, group: list[Entry]) -> TrackingError | None:
        """Have an engine start these; what is wrong if it cannot."""
        array = group[0].array
        is_of_engine = isinstance(array, EngineSlaveArray)
        hosts = [entry.slave._host if is_of_engine else "localhost" for entry in group]
        for entry in group:
            entry.slave._state = slavestate.started
            entry.slave.update_contact_time()
        try:
            failed = pool.add_hosts(
                hosts,
                array._make_fabric() if is_of_engine else None,
                output=[entry.output for entry in group],
                nicknames=[entry.nickname for entry in group],
            )
        except TrackingError as error:
            _are_dead(group, str(error))
            return error
        for host, why in failed.items():
            _are_dead([entry for entry, its in zip(group, hosts, strict=True) if its == host], why)
        return None


def _groups(entries: Sequence[Entry], python: str | None) -> list[list[Entry]]:
    """Those that engines start: together what belongs together."""
    groups: dict[int, list[Entry]] = {}
    for entry in entries:
        if isinstance(entry.array, EngineSlaveArray):
            groups.setdefault(id(entry.array), []).append(entry)
        elif not runs_a_command(entry.slave, python):
            groups.setdefault(0, []).append(entry)
    return list(groups.values())


def _are_dead(entries: Sequence[Entry], why: str) -> None:
    for entry in entries:
        entry.slave._state = slavestate.dead
        logger.warning("slave %s cannot be started: %s", entry.slave, why)
