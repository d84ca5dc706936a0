"""What goes on in a calculation, or why nothing does."""

from __future__ import annotations

from collections.abc import Iterator

from tracking.report import duration, whole_seconds
from tracking.why import facts as f
from tracking.why.layout import ago, columns, counted, listed, moment

MOST_ROWS = 16
_A_MOMENT_S = 0.2
_STALE_S = 5.0  # a master says what goes on once a second
_SUSPICIOUS_S = 10.0
_SUSPICIOUS_TIMES = 20  # as long as an item takes elsewhere


def tell_present(present: f.Present) -> str:
    """The answer as text, several lines."""
    if present.state != "running":
        return "\n".join([*_over(present), _counts(present)])
    now = present.now
    if present.n_finished + present.n_failed >= present.n_items:
        return "\n".join(["all items are over: the master is ending its slaves", _counts(present)])
    if now is None:
        return "\n".join(["the master is running and has not said yet what goes on", _counts(present)])
    lines = [*_staleness(present, now), *_problem(now), *_reasons(now), *now.waiting, _counts(present)]
    return "\n".join([*lines, *_slave_table(now), *_host_lines(now)])


def trouble_lines(now: f.Now) -> list[str]:
    """What is wrong, one line each; for a report or a status."""
    return [*_problem(now), *(_host_words(host, now.at) for host in now.hosts)]


# ---- it does not run


def _over(present: f.Present) -> Iterator[str]:
    run = present.run
    if present.n_finished >= present.n_items:
        when = f" since {ago(run.ended_at, present.at)}" if run and run.ended_at else ""
        yield f"nothing is to be done: all items are done{when}"
        return
    if run is None:
        yield "nothing happens: it has not begun (start() begins it)"
        return
    if present.n_finished + present.n_failed >= present.n_items:
        yield f"nothing is left to do, but {counted(present.n_failed, 'item')} failed"
    elif run.ended_at is None:
        yield (
            f"nothing happens: the master, process {run.pid} on {run.host}, is gone; its last sign of life was at "
            f"{ago(run.alive_at, present.at)}"
        )
        yield "it was killed or its machine stopped; what it had recorded is safe"
    else:
        how = {"failed": "ended with an error"}.get(run.state, "was interrupted")
        yield f"nothing happens: the calculation {how} at {ago(run.ended_at, present.at)}"
        if present.error:
            yield present.error
    if present.go_on:
        yield f"go on with: {present.go_on}"


# ---- it runs


def _staleness(present: f.Present, now: f.Now) -> Iterator[str]:
    if present.at - now.at > _STALE_S:
        yield (
            f"the master lives but has written nothing for {whole_seconds(present.at - now.at)}: it is stopped, or one "
            f"of its hooks runs; before that it was so:"
        )


def _problem(now: f.Now) -> Iterator[str]:
    if now.problem:
        yield f"results are kept in memory only, the run file cannot be written: {now.problem}"


def _reasons(now: f.Now) -> Iterator[str]:
    by_state = {state: [s for s in now.slaves if s.state == state] for state in ("working", "silent", "starting")}
    if working := by_state["working"]:
        yield _busy_words(working, now)
        yield from _hang_words(working, now)
    if silent := by_state["silent"]:
        yield (
            f"{counted(len(silent), 'slave')} ({_names(silent)}) gave no sign of life for a while: stopped, swapping "
            f"or cut off; what they had is given to others, and they are heard again if they answer"
        )
    if not working:
        yield from _nobody_works(now, by_state["starting"])


def _busy_words(working: list[f.SlaveFact], now: f.Now) -> str:
    longest = min(working, key=lambda slave: slave.since)
    what = f" with {_items(longest)}" if longest.items else ""
    busy = f"{counted(len(working), 'slave')} {'is' if len(working) == 1 else 'are'} busy"
    since = f"{longest.nickname} has been at it for {whole_seconds(now.at - longest.since)}{what}"
    return f"{busy}: {since}" if len(working) == 1 else f"{busy}; the longest: {since}"


def _hang_words(working: list[f.SlaveFact], now: f.Now) -> Iterator[str]:
    longest = min(working, key=lambda slave: slave.since)
    busy_s = now.at - longest.since
    if now.item_s is None or busy_s < max(_SUSPICIOUS_S, _SUSPICIOUS_TIMES * now.item_s * max(1, longest.n_items)):
        return
    advice = (
        "no item_timeout is set; with one, such an item is ended and the others go on"
        if now.item_timeout_s is None
        else f"item_timeout is {duration(now.item_timeout_s)}"
    )
    yield f"items take {duration(now.item_s)} elsewhere, so this one probably hangs ({advice})"


def _nobody_works(now: f.Now, starting: list[f.SlaveFact]) -> Iterator[str]:
    usable = [host for host in now.hosts if host.next_try is not None or host.state == "on probation"]
    if starting:
        longest = min(starting, key=lambda slave: slave.since)
        yield (
            f"nobody works yet: {counted(len(starting), 'slave')} {'is' if len(starting) == 1 else 'are'} starting, "
            f"{longest.nickname} for {whole_seconds(now.at - longest.since)}"
        )
    elif now.hosts and not now.slaves and not usable:
        yield f"nothing happens: no host is left that may work ({listed([h.host for h in now.hosts])}; see below)"
    elif not now.slaves:
        tries = [host.next_try for host in usable if host.next_try is not None]
        when = f"; the next try in {whole_seconds(min(tries) - now.at)}" if tries else ""
        yield f"nobody works: there is no slave{when}"
    elif all(slave.state == "silent" for slave in now.slaves):
        yield "nobody works: all slaves are silent"
    elif not now.waiting:
        yield "no slave has anything to do at this moment"


# ---- counts and tables


def _counts(present: f.Present) -> str:
    now = present.now if present.state == "running" else None
    counts = now or present  # all of one moment
    parts = [f"{counts.n_finished} of {counted(present.n_items, 'item')} done"]
    if counts.n_failed:
        parts.append(f"{counts.n_failed} failed")
    if now and now.n_waiting:
        parts.append(f"{now.n_waiting} waiting for their turn")
    if now and present.at - now.at >= _A_MOMENT_S:
        parts.append(f"as of {duration(present.at - now.at)} ago")
    return ", ".join(parts)


def _slave_table(now: f.Now) -> list[str]:
    if not now.slaves:
        return []
    slaves = sorted(now.slaves, key=lambda slave: (_ORDER.get(slave.state, 9), slave.since))
    rows = [("slave", "state", "for", "items"), *(_slave_row(slave, now) for slave in slaves[:MOST_ROWS])]
    more = len(slaves) - MOST_ROWS
    return columns(rows) + ([f"  ... and {counted(more, 'more slave')}"] if more > 0 else [])


_ORDER = {"silent": 0, "working": 1, "starting": 2, "idle": 3}


def _slave_row(slave: f.SlaveFact, now: f.Now) -> tuple[str, str, str, str]:
    return slave.nickname, slave.state, whole_seconds(now.at - slave.since), slave.items


def _host_lines(now: f.Now) -> list[str]:
    return [_host_words(host, now.at) for host in now.hosts]


def _host_words(host: f.HostFact, at: float) -> str:
    states = {
        "on probation": "is on probation, with one slave at a time",
        "left out": "is left out",
        "disabled": "is disabled",
        "waiting": "has fewer slaves than it should",
    }
    reason = f": {host.reason}" if host.reason else ""
    when = f"; next try in {whole_seconds(host.next_try - at)} ({moment(host.next_try)})" if host.next_try else ""
    return f"host {host.host} {states.get(host.state, host.state)}{reason}{when}"


def _names(slaves: list[f.SlaveFact], most: int = 3) -> str:
    shown = [slave.nickname for slave in slaves[:most]]
    return listed(shown) if len(slaves) <= most else ", ".join([*shown, "..."])


def _items(slave: f.SlaveFact) -> str:
    if slave.n_items <= 1:
        return f"item {slave.items}"
    return f"{slave.n_items} items ({slave.items})"
