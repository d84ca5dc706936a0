"""Who was given and did what, slave by slave, for those who look on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracking.core.scheduler import Scheduler
from tracking.report import HostLine


def host_lines(
    hosts: Sequence[Mapping[str, str]], slaves: Mapping[int, Mapping[str, str]], scheduler: Scheduler
) -> tuple[HostLine, ...]:
    """A line for each slave: those of ``hosts`` in its order, then those that came otherwise.

    Args:
        hosts: [{'host', 'nickname'}], the slaves that there should be.
        slaves: {tid: {'host', 'nickname'}}, those that there are, be it that they are still starting.
        scheduler: knows what they did.
    """
    accounts = {line.nickname: line for line in scheduler.ledger.snapshot()}
    names = {entry["nickname"]: entry["host"] for entry in hosts}
    names |= {nickname: line.host for nickname, line in accounts.items()}
    doing = {slave.slave: slave.state for slave in scheduler.slaves_now()}
    states: dict[str, str] = {}
    for tid, slave in list(slaves.items()):
        state, name = doing.get(tid, "starting"), slave["nickname"]
        if name in names:
            names[name] = slave["host"]  # its fabric may have chosen where it is
        states[name] = state if state != "silent" else states.get(name, state)  # another may stand in for it
    lines = []
    for nickname, host in names.items():
        state, account = states.get(nickname, "gone"), accounts.get(nickname)
        if account is None:
            lines.append(HostLine(nickname, host, 0, 0, 0, 0.0, state))
        else:
            did = account.given, account.done, account.items, account.seconds
            lines.append(HostLine(nickname, host, *did, state))
    return tuple(lines)
