"""The story of one item: when it was queued, who had it, what went wrong, who made its result and in what time."""

from __future__ import annotations

from collections.abc import Iterator

from tracking.report import duration, slave_named, whole_seconds
from tracking.why import facts as f
from tracking.why.layout import columns, counted, later, moment

_SHOWN_DIGITS = 16  # all of a value's, enough of the code's
_BY_ITSELF = frozenset({"finished", "interrupted", "failed"})  # states of a run that said goodbye


def tell_item(item: f.ItemFacts) -> str:
    """The story as text, several lines."""
    entries = sorted(_entries(item), key=lambda entry: entry[0])
    began = item.runs[0].started_at if item.runs else min((at for at, _ in entries), default=item.at)
    rows = [(moment(at), later(at - began), words) for at, words in entries]
    parts = [
        f"item {item.id!r} ({item.place} of {item.n_items}) {_outcome(item)}",
        *(["  (older events were dropped: only the latest are kept)"] if item.lacks_events else []),
        *(columns(rows) if rows else []),
        *_made_with(item),
        *_traceback(item),
    ]
    return "\n".join(parts)


def _outcome(item: f.ItemFacts) -> str:
    counting = _counting(item)
    if item.state == "finished" and counting:
        return f"is finished: its result came from {slave_named(counting.nickname, counting.host)} in {_time(counting)}"
    if item.state == "finished":
        return "is finished"
    if item.state == "failed" and item.error:
        return f"failed after {_tries(item.error.tries)}: {item.error.message}"
    if item.holders:
        holders = " and ".join(
            f"{slave_named(slave.nickname, slave.host)} has been at it for {whole_seconds(item.at - slave.since)}"
            + (" and is silent" if slave.state == "silent" else "")
            for slave in item.holders
        )
        return f"is being worked on: {holders}"
    if item.state == "active":
        return "is being worked on"
    if any(result.outdated for result in item.results):
        return "is to be computed anew and has not been finished yet"
    return f"is not done yet{_idle_reason(item)}"


def _idle_reason(item: f.ItemFacts) -> str:
    last = item.runs[-1] if item.runs else None
    if last is None:
        return ""
    if last.state == "running":
        return ": it waits for its turn" if not item.events else ": it waits to be tried again"
    return ", and nobody is working on the calculation"


def _entries(item: f.ItemFacts) -> Iterator[tuple[float, str]]:
    last_at = max((result.at for result in item.results), default=item.at)
    for number, run in enumerate(item.runs):
        if number and run.started_at > last_at and run.started_at not in _outdatings(item):
            break
        begun = "queued: begun" if number == 0 else "gone on with"
        yield run.started_at, f"{begun} by process {run.pid} on {run.host}{_run_name(item, run)}"
        if _ended_before_done(item, run):
            yield _end(run)
    for event in item.events:
        yield event.at, _event_words(event)
    for result in item.results:
        yield result.given_at, f"given to {slave_named(result.nickname, result.host)}{_company(result.n_items)}"
        yield result.at, f"result from {slave_named(result.nickname, result.host)} in {_time(result)}"
        if result.outdated_at is not None:
            yield result.outdated_at, f"that result does not count any more: it was made with {result.outdated}"
    if item.error:
        where = slave_named(item.error.nickname, item.error.host)
        yield item.error.at, f"failed for good on {where} after {_tries(item.error.tries)}: {item.error.message}"


def _outdatings(item: f.ItemFacts) -> set[float | None]:
    return {result.outdated_at for result in item.results}


def _run_name(item: f.ItemFacts, run: f.Run) -> str:
    return f" (run {run.run})" if len(item.runs) > 1 else ""


def _ended_before_done(item: f.ItemFacts, run: f.Run) -> bool:
    """Whether the run is over, and did not bring the result that counts."""
    counting = _counting(item)
    return run.state != "running" and (counting is None or counting.run > run.run) and item.error is None


def _end(run: f.Run) -> tuple[float, str]:
    if run.ended_at is not None and run.state in _BY_ITSELF:
        return run.ended_at, f"that calculation ended: {run.state}"
    return run.alive_at, "last sign of life of that master: it was killed, or its machine stopped"


def _event_words(event: f.ItemEvent) -> str:
    slave = slave_named(event.nickname, event.host)
    what = _PHRASES[event.kind].format(slave) if event.kind in _PHRASES else f"{event.kind}, {slave}"
    company = f" (with {counted(event.n_items - 1, 'other item')})" if event.n_items > 1 else ""
    return f"{what}: {event.words}{company}" if event.words else f"{what}{company}"


_PHRASES = {
    f.GIVEN: "given to {}",
    f.LOST: "{} was lost",
    f.FAILED: "failed on {}",
    f.TIMED_OUT: "took too long on {}",
    f.GIVEN_UP: "given up after {}",
    f.COPIED: "given to {} as well",
    f.RECALLED: "taken back from {}",
    f.SILENT: "{} fell silent",
    f.HEARD: "{} was heard again",
    f.SLAVE_UP: "{} came up",
    f.SLAVE_ENDED: "{} was ended",
}


def _counting(item: f.ItemFacts) -> f.ItemResult | None:
    return next((result for result in reversed(item.results) if not result.outdated), None)


def _made_with(item: f.ItemFacts) -> Iterator[str]:
    for result in item.results:
        known = {"value": result.digest, "code": result.code}
        shown = ", ".join(f"{name} {digits[:_SHOWN_DIGITS]}" for name, digits in known.items() if digits)
        if shown:
            recomputed = " (does not count)" if result.outdated else ""
            yield f"  fingerprints of what its result was made with{recomputed}: {shown}"


def _traceback(item: f.ItemFacts) -> Iterator[str]:
    if item.error and item.error.traceback:
        yield from ("", item.error.traceback.rstrip())


def _company(n_items: int) -> str:
    return f", with {counted(n_items - 1, 'other item')}" if n_items > 1 else ""


def _time(result: f.ItemResult) -> str:
    took = duration(result.seconds)
    return took if result.n_items == 1 else f"{took} for {result.n_items} items"


def _tries(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"
