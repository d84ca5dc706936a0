"""The facts that a run file holds."""

from __future__ import annotations

import pickle
from collections.abc import Hashable
from typing import Any

from tracking.store.history import History
from tracking.store.records import ErrorRecord, ResultRecord, RunSummary
from tracking.store.run_reader import RunFileReader
from tracking.why import facts as f


def item_facts(reader: RunFileReader, id: Hashable, at: float) -> f.ItemFacts:
    """What the file tells of one item.

    Args:
        id: of the item; it must be one of the file's.
        at: now.
    """
    ids, history, made = reader.ids(), reader.history(), reader.results_of(id)
    runs = {run.run: run for run in _runs(history, reader.summary())}
    error = reader.errors().get(id)
    code = {run.run: run.code for run in history.runs}
    is_finished = bool(made) and made[-1].outdated_by is None
    return f.ItemFacts(
        at=at,
        id=id,
        state="finished" if is_finished else "failed" if error else "waiting",
        place=ids.index(id) + 1,
        n_items=len(ids),
        runs=tuple(runs.values()),
        events=tuple(
            f.ItemEvent(event.at, event.kind, event.words, event.host, event.nickname, event.n_items)
            for event in history.events
            if id in event.ids
        ),
        results=tuple(_result(record, runs, code) for record in made),
        error=_error(error) if error else None,
        lacks_events=history.lacks_events,
        holders=() if is_finished or error else _holders(history, runs, id),
    )


def present_facts(reader: RunFileReader, at: float, go_on: str = "") -> f.Present:
    """How the calculation stands.

    Args:
        at: now.
        go_on: how to go on with it.
    """
    summary, history = reader.summary(), reader.history()
    return present_of(summary, history, at, go_on)


def present_of(summary: RunSummary, history: History, at: float, go_on: str = "") -> f.Present:
    """The same from what was read already."""
    runs = _runs(history, summary)
    return f.Present(
        at=at,
        n_items=summary.n_items,
        n_finished=summary.n_finished,
        n_failed=summary.n_failed,
        state=summary.state,
        run=runs[-1] if runs else None,
        now=_now(history) if summary.state == "running" else None,
        go_on=go_on,
        error=_last_error(history),
    )


def _last_error(history: History) -> str:
    """With which the last run ended."""
    began = history.runs[-1].started_at if history.runs else 0.0
    ended = [event for event in history.events if event.kind == f.ENDED and event.at >= began]
    return ended[-1].words if ended else ""


def _now(history: History) -> f.Now | None:
    if history.now is None or history.now[0] < history.runs[-1].started_at:
        return None
    try:
        return f.Now.from_json(history.now[1])
    except ValueError:
        return None


def _runs(history: History, summary: RunSummary) -> tuple[f.Run, ...]:
    """The runs; one that says to be running may be known better. What the last one has recorded is a sign of life."""
    last = history.runs[-1].run if history.runs else None
    return tuple(
        f.Run(
            run.run,
            run.host,
            run.pid,
            run.state if run.state != "running" or summary.state == "running" else "gone",
            run.started_at,
            run.ended_at,
            max(run.alive_at, summary.updated_at) if run.run == last else run.alive_at,
        )
        for run in history.runs
    )


def _result(record: ResultRecord, runs: dict[int, f.Run], code: dict[int, str]) -> f.ItemResult:
    outdating = runs.get(record.outdated_by or 0)
    return f.ItemResult(
        at=record.recorded_at,
        given_at=record.given_at,
        seconds=record.seconds,
        host=record.host,
        nickname=record.nickname,
        n_items=record.n_items,
        run=record.run,
        outdated=record.why or "",
        outdated_at=outdating.started_at if outdating else None,
        digest=(record.digest or b"").hex(),
        code=code.get(record.run, ""),
    )


def _error(record: ErrorRecord) -> f.ItemError:
    return f.ItemError(
        record.failed_at, record.message, record.host, record.nickname, record.tries, _traceback(record.error)
    )


def _traceback(pickled: bytes) -> str:
    """The remote traceback, if that is what the master has left there."""
    try:
        found: Any = pickle.loads(pickled)
    except Exception:  # noqa: BLE001  (a story without it is better than none)
        return ""
    return found if isinstance(found, str) else ""


def _holders(history: History, runs: dict[int, f.Run], id: Hashable) -> tuple[f.SlaveFact, ...]:
    now = _now(history) if runs and history.runs[-1].run in runs else None
    if now is None or runs[history.runs[-1].run].state != "running":
        return ()
    shown = f.shown_ids([id])
    return tuple(
        slave for slave in now.slaves if slave.items == shown or shown in slave.items.removesuffix(", ...").split(", ")
    )
