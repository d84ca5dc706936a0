"""What must always be true between two events; told in words where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from tracking.core.dealer import Dealer
from tracking.core.items import Items
from tracking.core.jobs import Job, JobState
from tracking.core.policy import Policy
from tracking.core.slaves import Slave


def broken_invariants(items: Items, policy: Policy, dealer: Dealer, given_up: Collection[int]) -> list[str]:
    """All that does not fit together, as sentences; nothing if all is well."""
    return [*_of_items(items, policy, dealer, given_up), *_of_jobs(items, policy, dealer), *_of_slaves(items, dealer)]


def _of_items(items: Items, policy: Policy, dealer: Dealer, given_up: Collection[int]) -> Iterator[str]:
    states = Counter(_kind(items.count(position)) for position in range(len(items)))
    counted = {
        "not started": items.count_not_started,
        "active": items.count_active,
        "finished": items.count_finished,
    }
    for kind, count in counted.items():
        if states[kind] != count:
            yield f"{states[kind]} items are {kind}, but {count} are counted"
    for position in given_up:
        if items.count(position) != 0:
            yield f"item {position} is given up, but not finished"
    # What silent slaves hold is set aside for others, or they are ended first.
    counting = [job for job in _wanted_jobs(dealer) if not (job.slave.is_silent and policy.redistribute)]
    held = {position for job in counting for position in job.positions}
    for position in items.active():
        if position not in held:
            yield f"item {position} is active, but no job holds it"
    waiting = Counter(position for piece in dealer.waiting for position in piece.positions)
    queued = set(items.queued())
    for position in items.not_started():
        if position in held:
            yield f"item {position} is not started, but a job holds it"
        if (position in queued) + waiting[position] != 1:
            yield f"item {position} is not started and waits {(position in queued) + waiting[position]} times"


def _of_jobs(items: Items, policy: Policy, dealer: Dealer) -> Iterator[str]:
    holders = Counter(position for job in _wanted_jobs(dealer) for position in items.unfinished(job.positions))
    for position, count in holders.items():
        if count > 1 and not policy.redistribute:
            yield f"item {position} is on {count} slaves"
    for job in dealer.jobs.values():
        if job not in job.slave.jobs:
            yield f"job {job.number} is not among those of its slave"
        if job.race is not None and job not in job.race:
            yield f"job {job.number} is not in its own race"
        if job.race is not None and len(job.race) < 2 and not job.slave.is_silent:
            yield f"job {job.number} is alone in its race"
    recalled = sum(job.state is JobState.RECALLED for job in dealer.jobs.values())
    if recalled != dealer.recalled:
        yield f"{recalled} jobs are recalled, but {dealer.recalled} are counted"


def _of_slaves(items: Items, dealer: Dealer) -> Iterator[str]:
    slaves = dealer.slaves
    if sum(slave.is_usable for slave in slaves) != slaves.usable:
        yield "the usable slaves are counted wrongly"
    if sum(slave.is_usable and slave.host.slowness <= 1.0 for slave in slaves) != slaves.brisk:
        yield "the usable slaves on hosts of normal speed are counted wrongly"
    usable = Counter(slave.host.name for slave in slaves if slave.is_usable)
    for slave in slaves:
        if usable[slave.host.name] != slave.host.usable:
            yield f"the usable slaves of {slave.host.name} are counted wrongly"
        yield from _of_slave(slave, dealer)
    has_idle = any(slave.life is None for slave in slaves.idle.values())  # others may lack the time for it
    if has_idle and (items.has_queued and any(True for _ in items.queued())):
        yield "items are queued while a slave is idle"


def _of_slave(slave: Slave, dealer: Dealer) -> Iterator[str]:
    is_idle = slave.number in dealer.slaves.idle or slave.number in dealer.slaves.resting
    if is_idle != (slave.is_usable and not slave.jobs):
        yield f"slave {slave.number} holds {len(slave.jobs)} jobs and is {'' if is_idle else 'not '}idle"
    if slave.load != sum(job.left for job in slave.jobs):
        yield f"the load of slave {slave.number} is counted wrongly"
    if any(dealer.jobs.get(job.number) is not job for job in slave.jobs):
        yield f"slave {slave.number} holds a job that is gone"
    if len(slave.jobs) > 1 and any(job.is_alone for job in slave.jobs):
        yield f"a suspect on slave {slave.number} is not alone"
    if slave.jobs and slave.jobs[0].began_at is None:
        yield f"the first job of slave {slave.number} has not begun"
    if slave.is_usable and (slave.is_silent or slave.is_over or (slave.jobs_left == 0 and not slave.jobs)):
        yield f"slave {slave.number} is usable, but does not answer or may get nothing more"
    if slave.jobs_left is not None and slave.jobs_left < 0:
        yield f"slave {slave.number} was given more jobs than it may have"
    wanted = [job for job in slave.jobs if job.state is not JobState.CANCELLED]
    if len({position for job in wanted for position in job.positions}) < sum(len(job.positions) for job in wanted):
        yield f"slave {slave.number} holds an item twice"


def _wanted_jobs(dealer: Dealer) -> Iterator[Job]:
    return (job for job in dealer.jobs.values() if job.state is not JobState.CANCELLED)


def _kind(state: int | None) -> str:
    return "not started" if state is None else "active" if state else "finished"
