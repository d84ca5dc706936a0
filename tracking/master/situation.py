"""Why: what goes on in a calculation now, and what happened to one of its items, for ``tracking.why`` to tell.

Loaded when somebody asks, or a run file is told what goes on. Facts are in the scheduler (its clock is
``time.monotonic``), in the crew and, where there is one, in the run file, which remembers longer.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from tracking.core.facts import ItemFact, SlaveNow, WaitingFor
from tracking.errors import Interrupted, ItemError, StoreError
from tracking.styled import without_controls
from tracking.why import facts as f
from tracking.why.finding import find_id
from tracking.why.present import tell_present, trouble_lines
from tracking.why.stories import tell_item

if TYPE_CHECKING:
    from tracking.master.calculation import Calculation
    from tracking.master.job_master import JobMaster


class Told(str):
    """An answer; shown in an interactive session as it is meant to be read."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def tell(master: JobMaster, id: Hashable | None) -> Told:
    """What goes on, or the story of an item.

    Raises:
        InputError: there is no such item; names some that look like it.
    """
    ids = master.status._tr_ids
    if id is None:
        return Told(tell_present(_present(master)))
    if id not in master.data:
        id = find_id(ids, str(id))
    return Told(tell_item(_item(master, id)))


# ---- what goes on


def now_of(master: JobMaster, calculation: Calculation) -> f.Now:
    """What goes on now."""
    at, clock = time.time(), time.monotonic()
    status, scheduler = master.status, calculation.scheduler
    with status.lock:
        doing = {slave.slave: slave for slave in scheduler.slaves_now()}
        waiting = scheduler.waiting_for(clock)
        item_s = scheduler.ledger.pace.item_s
    epoch = at - clock
    disabled = (f.HostFact(host, "disabled", "by the user") for host in waiting.disabled_hosts)
    return f.Now(
        at=at,
        n_items=len(status._tr_ids),
        n_finished=waiting.finished - waiting.given_up,
        n_failed=waiting.given_up,
        slaves=tuple(_slaves(master, calculation, doing, epoch)),
        hosts=(*_hosts(calculation, epoch), *disabled),
        item_s=item_s,
        item_timeout_s=scheduler.policy.item_timeout_s,
        problem=calculation.record.problem,
        n_waiting=waiting.not_started,
        waiting=(*_not_up_yet(calculation), *_waits(waiting, clock)),
    )


def troubles_of(calculation: Calculation) -> tuple[str, ...]:
    """What is wrong with hosts and with the run file, a sentence each; less at the end, when no slave is waited for."""
    at = time.time()
    hosts = tuple(_hosts(calculation, at - time.monotonic()))
    losses: tuple[str, ...] = ()
    if calculation.scheduler.is_finished:
        hosts = tuple(host for host in hosts if host.state == "left out")
        losses = tuple(filter(None, [calculation.chronicle.losses()]))
    else:
        losses = tuple(_not_up_yet(calculation))
    return (*trouble_lines(f.Now(at, 0, 0, 0, hosts=hosts, problem=calculation.record.problem)), *losses)


def _not_up_yet(calculation: Calculation) -> Iterator[str]:
    """What slaves that are being started wait for, if their fabric knows."""
    words = calculation.crew.waiting_for()
    if words:
        yield f"slaves that are not up yet: {words}"


def _hosts(calculation: Calculation, epoch: float) -> Iterator[f.HostFact]:
    for host, state, reason, next_try in calculation.crew.trouble():
        yield f.HostFact(host, state, reason, None if next_try is None else epoch + next_try)


def _slaves(
    master: JobMaster, calculation: Calculation, doing: dict[int, SlaveNow], epoch: float
) -> Iterator[f.SlaveFact]:
    ids = master.status._tr_ids
    for slave in calculation.crew.slaves():
        does = doing.get(slave.tid)
        if does is None:
            yield f.SlaveFact(slave.nickname, slave.host, "starting", epoch + slave.started_at)
            continue
        since_s = slave.started_at if does.since_s is None else does.since_s
        shown = f.shown_ids([ids[position] for position in does.positions[:4]])
        yield f.SlaveFact(slave.nickname, slave.host, does.state, epoch + since_s, shown, len(does.positions))


def _waits(waiting: WaitingFor, clock: float) -> Iterator[str]:
    if waiting.retries and waiting.retry_at is not None:
        yield (
            f"{waiting.retries} items that failed wait for another slave than the one they failed on, for at most "
            f"{max(0.0, waiting.retry_at - clock):.1f} s more"
        )
    if waiting.suspects:
        yield f"{waiting.suspects} items that may have killed a slave wait for slaves of their own"
    if waiting.long:
        yield f"{waiting.long} items that outlasted the time of their slave wait for slaves that have more"
    if waiting.retired and waiting.retired == waiting.slaves:
        yield "is_valid_slave has refused all slaves"


def _present(master: JobMaster) -> f.Present:
    calculation = master._tr_calculation
    items = master.status._tr_items
    n_failed = len(master._tr_errors)
    return f.Present(
        at=time.time(),
        n_items=len(items),
        n_finished=items.count_finished - n_failed,
        n_failed=n_failed,
        state=_state(master),
        run=_run(master) if calculation is not None else None,
        now=now_of(master, calculation) if calculation is not None and not master._tr_is_over else None,
        go_on=_way_to_go_on(master),
        error=error_words(master._tr_failure),
    )


def note_failure(calculation: Calculation, error: BaseException | None) -> None:
    """Have the run file tell what ended a calculation."""
    calculation.record.note(f.ENDED, error_words(error))


def error_words(error: BaseException | None) -> str:
    """What ended a calculation, in a line; '' if that was no error."""
    if error is None or isinstance(error, Interrupted):
        return ""
    return without_controls(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _state(master: JobMaster) -> str:
    return master._tr_state() if master._tr_is_over else "running" if master._tr_was_started else "interrupted"


def _run(master: JobMaster) -> f.Run:
    epoch = time.time() - time.monotonic()
    ended_at = epoch + master._tr_ended if master._tr_is_over else None
    began = epoch + master._tr_began
    return f.Run(1, socket.gethostname(), os.getpid(), _state(master), began, ended_at, time.time())


def _way_to_go_on(master: JobMaster) -> str:
    path = master._tr_options.run_file
    return "" if path is None else f"the same program, with run_file={os.fspath(path)!r}"


# ---- one item


def _item(master: JobMaster, id: Hashable) -> f.ItemFacts:
    position = master.status._tr_position(id)
    recorded = _recorded(master, id)
    live = _live(master, id, position)
    if recorded is None:
        return live
    copied_to = {event.nickname for event in recorded.events if event.kind == f.COPIED}
    held_by = {slave.nickname for slave in live.holders} - copied_to
    given = [event for event in live.events if event.kind == f.GIVEN and event.nickname in held_by]
    return recorded._replace(
        state=live.state if recorded.state == "waiting" else recorded.state,
        events=(*recorded.events, *given),
        holders=live.holders,
    )


def _recorded(master: JobMaster, id: Hashable) -> f.ItemFacts | None:
    """What the run file remembers: more than the scheduler, and of earlier masters."""
    path = master._tr_options.run_file
    if path is None or not master._tr_was_started:
        return None
    from tracking.store.run_reader import RunFileReader
    from tracking.why.recorded import item_facts

    try:
        with RunFileReader(path, trust=master._tr_options.trust) as reader:
            return item_facts(reader, id, time.time())
    except StoreError:
        return None


def _live(master: JobMaster, id: Hashable, position: int) -> f.ItemFacts:
    calculation, at, epoch = master._tr_calculation, time.time(), time.time() - time.monotonic()
    facts: tuple[ItemFact, ...] = ()
    holders: tuple[f.SlaveFact, ...] = ()
    with master.status.lock:
        count = master.status._tr_items.count(position)
        if calculation is not None:
            facts = calculation.scheduler.story_of_item(position)
            doing = {slave.slave: slave for slave in calculation.scheduler.slaves_now() if position in slave.positions}
    if calculation is not None:
        slaves = {slave.tid: slave for slave in calculation.crew.slaves()}
        holders = tuple(
            f.SlaveFact(slaves[tid].nickname, slaves[tid].host, does.state, epoch + (does.since_s or 0.0))
            for tid, does in doing.items()
            if tid in slaves
        )
    error = master._tr_errors.get(id)
    state = "failed" if error else "waiting" if count is None else "active" if count else "finished"
    return f.ItemFacts(
        at=at,
        id=id,
        state=state,
        place=position + 1,
        n_items=len(master.status._tr_ids),
        runs=(_run(master),) if calculation is not None else (),
        events=tuple(_events(facts, epoch)),
        results=tuple(_results(facts, epoch)),
        error=None if error is None else _error(error, facts, epoch, at),
        holders=holders,
    )


_TOLD = {
    "raised": f.FAILED,
    "failed": f.FAILED,
    "lost": f.LOST,
    "stopped": f.TIMED_OUT,
    "recalled": f.RECALLED,
    "silent": f.SILENT,
    "heard": f.HEARD,
}


def _events(facts: tuple[ItemFact, ...], epoch: float) -> Iterator[f.ItemEvent]:
    finished = {fact.job for fact in facts if fact.kind == "finished"}
    for fact in facts:
        if fact.kind == "given" and fact.job not in finished:
            yield f.ItemEvent(epoch + fact.time_s, f.GIVEN, fact.words, "", fact.nickname, fact.items)
        elif fact.kind in _TOLD:
            yield f.ItemEvent(epoch + fact.time_s, _TOLD[fact.kind], fact.words, "", fact.nickname, fact.items)


def _results(facts: tuple[ItemFact, ...], epoch: float) -> Iterator[f.ItemResult]:
    given = {fact.job: fact.time_s for fact in facts if fact.kind == "given"}
    for fact in facts:
        if fact.kind == "finished":
            given_at = given.get(fact.job, fact.time_s)
            yield f.ItemResult(
                epoch + fact.time_s, epoch + given_at, fact.time_s - given_at, "", fact.nickname, fact.items
            )


def _error(error: ItemError, facts: tuple[ItemFact, ...], epoch: float, at: float) -> f.ItemError:
    failed_at = next((epoch + fact.time_s for fact in facts if fact.kind == "given up"), at)
    return f.ItemError(
        failed_at, str(error.args[0]), error.host, error.nickname, error.tries, error.remote_traceback
    )
