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
    states = {slave["nickname"]: _state(tid, scheduler) for tid, slave in list(slaves.items())}
    lines = []
    for nickname, host in names.items():
        state, account = states.get(nickname, "gone"), accounts.get(nickname)
        if account is None:
            lines.append(HostLine(nickname, host, 0, 0, 0, 0.0, state))
        else:
            did = account.given, account.done, account.items, account.seconds
            lines.append(HostLine(nickname, host, *did, state))
    return tuple(lines)


def _state(tid: int, scheduler: Scheduler) -> str:
    if not scheduler.has_slave(tid):
        return "starting"
    return "working" if scheduler.jobs_of_slave(tid) else "idle"
