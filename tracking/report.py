"""What is said about a calculation, as text: plain snapshots in, lines and tables out.

``progress.py`` shows these while it runs; ``print_report`` and ``error_summary`` say at the end who did what.
rich is imported only to draw on a terminal.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO, cast

from tracking.styled import StyledLines, without_controls

MAX_SLAVE_ROWS = 16
MAX_REPORT_LINES = 32
HEAD = ("slave", "given", "done", "items", "total time", "mean time")


def slave_named(nickname: str, host: str) -> str:
    """A slave, with its host where the nickname does not say it, as of one that a queue has placed.

    >>> slave_named("node1_0", "node1"), slave_named("slurm_0", "node1")
    ('node1_0', 'slurm_0 on node1')
    """
    if not nickname or not host or nickname == host or nickname.rpartition("_")[0] == host:
        return nickname or host or "a slave"
    return f"{nickname} on {host}"


@dataclass(frozen=True, slots=True)
class HostLine:
    """What one slave (or one host, or all of them) was given and did.

    ``given`` and ``done`` count jobs, ``items`` the items in the jobs done, ``seconds`` the time spent on
    them. ``state``: 'starting', 'working', 'idle', 'gone', or '' where it does not matter any more.
    """

    nickname: str
    host: str
    given: int
    done: int
    items: int
    seconds: float
    state: str = ""

    @property
    def mean_s(self) -> float | None:
        """Mean time of a job in seconds, None before the first is done."""
        return self.seconds / self.done if self.done else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A calculation at one moment.

    ``n_finished`` includes the ``n_restored`` items whose results were there before it began;
    ``elapsed_s`` is the time since it began; ``note`` is a remark shown as it is; ``troubles`` says, a sentence each,
    which hosts are left out or on probation, and why.
    """

    n_items: int
    n_finished: int
    n_failed: int
    n_active: int
    n_restored: int
    elapsed_s: float
    lines: tuple[HostLine, ...]
    note: str = ""
    troubles: tuple[str, ...] = ()

    @property
    def remark(self) -> str:
        """The note and the troubles, all in one line."""
        n = len(self.troubles)
        trouble = f"{n} troubles, the last: {self.troubles[-1]}" if n > 1 else "".join(self.troubles)
        return without_controls("; ".join(filter(None, [self.note, trouble])))

    @property
    def n_over(self) -> int:
        """Items that will not be worked on any more: finished or failed."""
        return self.n_finished + self.n_failed

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do; if not at the end, it was stopped."""
        return self.n_over >= self.n_items

    @property
    def percent(self) -> int:
        """Per cent of the items that are over, rounded down: 100 only when all are."""
        return 100 * self.n_over // self.n_items if self.n_items else 100


def progress_text(snapshot: Snapshot, rate: float) -> str:
    """How far it is, in one line; ``rate`` in items per second, 0.0 if unknown."""
    parts = [counts_text(snapshot), f"{snapshot.percent}%", speed_text(snapshot, rate), snapshot.remark]
    return ", ".join(filter(None, parts))


def end_text(snapshot: Snapshot) -> str:
    """How it ended, in one line."""
    took = duration(snapshot.elapsed_s)
    counts = {"failed": snapshot.n_failed, "restored": snapshot.n_restored}
    text = f"{_done(snapshot)} in {took}" if snapshot.is_over else f"stopped after {took}: {_done(snapshot)}"
    return without_controls(", ".join(filter(None, [text, *_told(counts), snapshot.note])))


def counts_text(snapshot: Snapshot) -> str:
    """How many items there are, how many of them are what, and since when it runs."""
    counts = {"failed": snapshot.n_failed, "active": snapshot.n_active, "restored": snapshot.n_restored}
    return ", ".join([f"{_done(snapshot)} in {whole_seconds(snapshot.elapsed_s)}", *_told(counts)])


def _done(snapshot: Snapshot) -> str:
    return f"{snapshot.n_finished} of {snapshot.n_items} items done"


def _told(counts: Mapping[str, int]) -> list[str]:
    return [f"{count} {name}" for name, count in counts.items() if count]


def speed_text(snapshot: Snapshot, rate: float) -> str:
    """How fast it goes and how long it will take, '' as long as that is unknown."""
    if not rate:
        return ""
    left_s = (snapshot.n_items - snapshot.n_over) / rate
    speed = f"{rate:.3g} items/s" if 0.01 <= rate < 999.5 else _extreme(rate)
    return f"{speed}, {whole_seconds(left_s)} left"


def _extreme(rate: float) -> str:
    return f"{rate:.0f} items/s" if rate > 1 else f"{rate * 3600:.3g} items/h"


def duration(seconds: float) -> str:
    """A time span as people write it: '213 ms', '4.20 s', '3:05 min', '1:02:03 h', '2 d 3 h'."""
    if seconds < 0.9995:
        return f"{_three_digits(seconds * 1e3)} ms" if seconds >= 0.0009995 else f"{seconds * 1e6:.0f} us"
    return f"{_three_digits(seconds)} s" if seconds < 59.95 else _minutes(round(seconds))


def whole_seconds(seconds: float) -> str:
    """A time span that changes while one looks at it: '1 s', '42 s', '3:05 min'; never less than a second."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else _minutes(whole)


def _three_digits(number: float) -> str:
    return f"{number:#.3g}".rstrip(".")


def _minutes(whole: int) -> str:
    hours, minutes = whole // 3600, whole // 60 % 60
    if whole < 3600:
        return f"{minutes}:{whole % 60:02} min"
    return f"{hours}:{minutes:02}:{whole % 60:02} h" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def fold_by_host(lines: Iterable[HostLine]) -> list[HostLine]:
    """One line per host, in the order in which the hosts first appear."""
    by_host: dict[str, list[HostLine]] = {}
    for line in lines:
        by_host.setdefault(line.host, []).append(line)
    return [
        slaves[0] if len(slaves) == 1 else sum_lines(slaves, f"{host} ({len(slaves)} slaves)")
        for host, slaves in by_host.items()
    ]


def sum_lines(lines: Sequence[HostLine], name: str) -> HostLine:
    """All of these as one line of this name."""
    states: Counter[str] = Counter(line.state for line in lines if line.state)
    return HostLine(
        nickname=name,
        host="",
        given=sum(line.given for line in lines),
        done=sum(line.done for line in lines),
        items=sum(line.items for line in lines),
        seconds=sum(line.seconds for line in lines),
        state=", ".join(f"{count} {state}" for state, count in states.items()),
    )


def fit_lines(lines: Sequence[HostLine], n_rows: int) -> list[HostLine]:
    """At most ``n_rows`` lines that tell it all: one per slave, else one per host, else the rest as one."""
    if len(lines) <= min(MAX_SLAVE_ROWS, n_rows):
        return list(lines)
    folded = fold_by_host(lines)
    if len(folded) <= n_rows:
        return folded
    hidden = set(list(dict.fromkeys(line.host for line in lines))[n_rows - 1 :])
    rest = [line for line in lines if line.host in hidden]
    return [*folded[: n_rows - 1], sum_lines(rest, f"{len(hidden)} more hosts")]


def table(lines: Sequence[HostLine]) -> str:
    """Who was given and did how many jobs, with how many items, in what time: aligned plain text.

    With more than one line a last one sums them up; with very many slaves there is one line per host.
    """
    return "\n".join(text.rstrip() for text in _aligned([HEAD, *_rows(lines)]))


def items_table(lines: Sequence[HostLine]) -> str:
    """Who did how many items in what time, where jobs are not known or of no interest: as ``table``."""
    head = ("slave", "items", "total time", "time per item")
    rows = [head, *(_items_row(line) for line in _shown(lines))]
    return "\n".join(text.rstrip() for text in _aligned(rows))


def _items_row(line: HostLine) -> tuple[str, ...]:
    times = (duration(line.seconds), duration(line.seconds / line.items)) if line.items else ("", "")
    return _name(line), str(line.items), *times


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def drawn_table(lines: Sequence[HostLine]) -> StyledLines:
    """The table as ``table`` has it, for a terminal."""
    head, *texts = table(lines).split("\n")
    last = len(texts) - 1
    rows = [[(text, "bold" if number == last > 0 else "")] for number, text in enumerate(texts)]
    return StyledLines([[(head, "dim")], *rows])


def live_table(lines: Sequence[HostLine]) -> StyledLines:
    """Who is doing what, for a terminal, while it runs: the same columns and what the slave is doing now."""
    head, *texts = _aligned([HEAD, *map(_row, lines)])
    rows = [
        [(f"{text}  ", ""), (line.state, _STATE_STYLES.get(line.state, "dim"))]
        for text, line in zip(texts, lines, strict=True)
    ]
    return StyledLines([[(head, "dim")], *rows])


_STATE_STYLES = {"working": "green", "gone": "red"}


def _shown(lines: Sequence[HostLine]) -> list[HostLine]:
    shown = list(lines) if len(lines) <= MAX_REPORT_LINES else fold_by_host(lines)
    if len(lines) > 1:
        shown.append(sum_lines(lines, "all"))
    return shown


def _rows(lines: Sequence[HostLine]) -> list[tuple[str, ...]]:
    return [_row(line) for line in _shown(lines)]


def _name(line: HostLine) -> str:
    return without_controls(slave_named(line.nickname, line.host))


def _row(line: HostLine) -> tuple[str, ...]:
    total = duration(line.seconds) if line.done else ""
    mean = duration(line.mean_s) if line.mean_s is not None else ""
    return _name(line), str(line.given), str(line.done), str(line.items), total, mean


def print_report(snapshot: Snapshot, stream: TextIO | None) -> None:
    """Print who did what, and what troubles there were.

    A stream that cannot be written, or is not there, is left in peace.
    """
    if stream is None:
        return
    quiet = QuietStream(stream)
    if not quiet.isatty():
        quiet.write(f"{table(snapshot.lines)}\n")
    else:
        from rich.console import Console

        Console(file=cast(TextIO, quiet), force_jupyter=False).print(drawn_table(snapshot.lines), crop=False)
    for trouble in snapshot.troubles:
        quiet.write(f"{without_controls(trouble)}\n")
    quiet.flush()


class Failure(Protocol):
    """Why an item has no result: an ``ItemError``, or the record of one in a run file."""

    @property
    def host(self) -> str: ...
    @property
    def nickname(self) -> str: ...
    @property
    def tries(self) -> int: ...


def error_summary(errors: Mapping[Hashable, Failure], max_shown: int = 20) -> str:
    """Which items failed, where, after how many tries and why; then the first remote traceback in full."""
    shown = list(errors.items())[:max_shown]
    rows = [("item", "slave", "tries", "error"), *(_error_row(id, error) for id, error in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    text = [f"{len(errors)} item{'s' if len(errors) != 1 else ''} failed:"]
    text += [
        f"  {item:<{widths[0]}}  {slave:<{widths[1]}}  {tries:>{widths[2]}}  {error}"
        for item, slave, tries, error in rows
    ]
    if len(errors) > max_shown:
        text.append(f"  ... and {len(errors) - max_shown} more")
    return "\n".join(text + _first_traceback(errors))


def message_of(error: Failure) -> str:
    """Why, without what and where."""
    if isinstance(error, BaseException):
        return str(error.args[0]) if error.args else type(error).__name__
    return str(getattr(error, "message", error))


def _error_row(id: Hashable, error: Failure) -> tuple[str, str, str, str]:
    place = error.nickname or error.host
    return _one_line(repr(id), 40), place, str(error.tries), _one_line(message_of(error), 200)


def _one_line(text: str, width: int) -> str:
    """The text's first line without control characters, cut to ``width``."""
    lines = text.strip().splitlines() or [""]
    line = without_controls(lines[0])
    return line if len(line) <= width else line[: width - 3] + "..."


def _first_traceback(errors: Mapping[Hashable, Failure]) -> list[str]:
    for id, error in errors.items():
        if trace := getattr(error, "remote_traceback", ""):
            return [f"Traceback of item {id!r}:", str(trace).rstrip()]
    return []


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a display can be drawn there, in place and in colours."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except (OSError, ValueError, AttributeError):  # closed, or not really a stream
        return False


class QuietStream:
    """A stream that never raises: once it cannot be written, it is broken and takes everything.

    rich ends the whole program on a broken pipe; and prints of the user may pass through here too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_broken = False

    @property
    def encoding(self) -> str:
        """The stream's, so that what draws can choose its signs."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write, with '?' for what the encoding does not have."""
        known = text.encode(self.encoding, "replace").decode(self.encoding)
        self._attempt(lambda: self._stream.write(known))
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be done."""
        self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return not self.is_broken and is_terminal(self._stream)

    def fileno(self) -> int:
        """The stream's descriptor."""
        return self._stream.fileno()

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.is_broken:
            return
        try:
            action()
        except (OSError, ValueError):
            self.is_broken = True
