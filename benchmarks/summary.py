"""All rows in one table against the goals, another of what our safety costs; for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.contenders import SURVIVORS, VARIANTS
from benchmarks.rows import Metric, Row
from benchmarks.tables import Medians, shown
from benchmarks.verdicts import Verdict

Judged = tuple[Row, Medians, list[Verdict]]
BEGIN, END = "<!-- benchmarks -->", "<!-- end of benchmarks -->"  # what is between them in a README is ours to write

_BESIDE = ("raw", "mp.Pool")


def goal_lines(rows: Iterable[Judged]) -> list[list[str]]:
    """A head, and a line for each metric that has a goal."""
    head = ["", *_BESIDE, "best peer", *SURVIVORS, "ours", "first goal", "then"]
    return [head, *(_goal_line(row, metric, cells, found) for row, metric, cells, found in _metrics(rows))]


def cost_lines(rows: Iterable[Judged]) -> list[list[str]]:
    """A head, and the same metrics for ours as it comes and with each variant, with the ratio to ours."""
    head = ["", "ours", *(name.replace("ours+", "+ ") for name in VARIANTS)]
    return [head, *(_cost_line(row, metric, cells) for row, metric, cells, _ in _metrics(rows))]


def _metrics(rows: Iterable[Judged]) -> Iterable[tuple[Row, Metric, Medians, list[Verdict]]]:
    for row, cells, verdicts in rows:
        for metric in row.metrics:
            if found := [verdict for verdict in verdicts if verdict.metric == metric]:
                yield row, metric, cells, found


def _goal_line(row: Row, metric: Metric, cells: Medians, verdicts: list[Verdict]) -> list[str]:
    best = "".join(f"{name} {shown(number, metric)}" for name, number in verdicts[0].peers[:1])
    first, then = ([verdict for verdict in verdicts if verdict.then is later] for later in (False, True))
    return [
        _label(row, metric), *(_cell(cells, who, metric) for who in _BESIDE), best or "-",
        *(_cell(cells, who, metric) for who in SURVIVORS), _cell(cells, "ours", metric),
        _goals(first), _goals(then),
    ]  # fmt: skip


def _label(row: Row, metric: Metric) -> str:
    return f"{row.letter} {row.title}: {metric.name}"


def _cell(cells: Medians, who: str, metric: Metric) -> str:
    return shown(cells[who][metric.name], metric) if who in cells else "-"


def _goals(verdicts: list[Verdict]) -> str:
    return "; ".join(f"{v.goal}{_limit(v)}: {_how_far(v)}" for v in verdicts) or "-"


def _limit(verdict: Verdict) -> str:
    """The goal in figures, where its text depends on another contender."""
    if verdict.limit is None or (" x " not in verdict.goal and f"{verdict.limit:g}" in verdict.goal):
        return ""
    return f" ({shown(verdict.limit, verdict.metric)})"


def _how_far(verdict: Verdict) -> str:
    word = shown(verdict.word, verdict.metric)
    return f"{word}, {verdict.ratio}" if word == "met" and verdict.ratio else word


def _cost_line(row: Row, metric: Metric, cells: Medians) -> list[str]:
    ours = cells.get("ours", {}).get(metric.name, "-")
    others = []
    for name in VARIANTS:
        cell = cells.get(name, {}).get(metric.name, "-")
        ratio = "" if isinstance(cell, str) or isinstance(ours, str) or not ours else f" ({cell / ours:.2f} x)"
        others.append(shown(cell, metric) + ratio)
    return [_label(row, metric), shown(ours, metric), *others]


def terminal_table(title: str, lines: list[list[str]]) -> Table:
    """For the terminal."""
    table = Table(*lines[0], title=title, title_justify="left", show_lines=True)
    for line in lines[1:]:
        table.add_row(*line)
    return table


def markdown(machine: Mapping[str, object], rows: list[Judged], left_out: Sequence[str] = ()) -> str:
    """Both tables, the measurements that are in no median, and what they were measured on."""
    return "\n".join(
        [*_piped(goal_lines(rows)), "", "What safety costs: ours with a run file, with the progress display, with a "
         "function that only dill can send.", "", *_piped(cost_lines(rows)), "",
         *([f"Without a number: {'; '.join(left_out)}.", ""] if left_out else []), footnote(machine), ""]
    )  # fmt: skip


def _piped(lines: list[list[str]]) -> list[str]:
    head, *others = (" | ".join(text.replace("|", "/") for text in line) for line in lines)
    return [f"| {head} |", "|---" * len(lines[0]) + "|", *(f"| {line} |" for line in others)]


def write(text: str, path: Path) -> None:
    """Write the file; one that has the marks `BEGIN` and `END` gets it between them."""
    before, begin, rest = (path.read_text() if path.exists() else "").partition(BEGIN)
    _, end, after = rest.partition(END)
    path.write_text(f"{before}{begin}\n{text}{end}{after}" if end else text)


def footnote(machine: Mapping[str, object]) -> str:
    versions = machine["versions"]
    assert isinstance(versions, dict)
    rounds = "One round" if machine["rounds"] == 1 else f"Medians of {machine['rounds']} rounds"
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{rounds}, {machine['date']}, `{machine['command']}`; {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory GB']} GB, {machine['system']}, "
        f"Python {machine['python']}; {packages}."
    )
