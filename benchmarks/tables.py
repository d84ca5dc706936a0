"""Tables: for the terminal, and as Markdown for the README."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from benchmarks.rows import Cell, Metric, Row
from benchmarks.verdicts import Verdict

Medians = dict[str, dict[str, Cell]]


def shown(cell: Cell, metric: Metric) -> str:
    """A number with the metric's decimals, or the reason in a word (in full it is in the JSON file)."""
    if isinstance(cell, str):
        return ":".join(cell.split(":")[:2])
    return f"{cell:,.{metric.decimals}f}"


def row_table(row: Row, cells: Medians, verdicts: list[Verdict]) -> Table:
    """All contenders of one row, with ratios to ours; below, the verdicts."""
    table = Table(title=f"{row.letter}  {row.title}", title_justify="left", caption_justify="left")
    table.add_column("")
    for metric in row.metrics:
        table.add_column(metric.name, justify="right", overflow="fold")
        table.add_column("to ours", justify="right")
    for name, medians in cells.items():
        pairs = [
            text
            for metric in row.metrics
            for text in (shown(medians[metric.name], metric), _ratio(cells, name, metric))
        ]
        table.add_row(name, *pairs, style="bold" if name == "ours" else "")
    table.caption = "\n".join(f"{v.metric.name} {v.goal}: {shown(v.word, v.metric)}" for v in verdicts)
    return table


def _ratio(cells: Medians, name: str, metric: Metric) -> str:
    this, ours = cells[name][metric.name], cells.get("ours", {}).get(metric.name, "")
    return "" if isinstance(this, str) or isinstance(ours, str) or not ours else f"{this / ours:.2f}"


def markdown(machine: Mapping[str, object], rows: list[tuple[Row, Medians, list[Verdict]]]) -> str:
    """One line for each goal, and what it was measured on."""
    lines = ["| row | goal | ours | verdict | raw | best peers |", "|---|---|---|---|---|---|"]
    for row, cells, verdicts in rows:
        lines += [_markdown_line(row, cells, verdict) for verdict in verdicts]
    return "\n".join([*lines, "", _footnote(machine), ""])


def _markdown_line(row: Row, cells: Medians, verdict: Verdict) -> str:
    metric = verdict.metric
    goal = verdict.goal if verdict.limit is None else f"{verdict.goal} ({shown(verdict.limit, metric)})"
    raw = cells.get("raw", {}).get(metric.name, "-")
    best = "; ".join(f"{name} {shown(number, metric)}" for name, number in verdict.peers[:3])
    ours = "-" if isinstance(verdict.ours, str) else shown(verdict.ours, metric)
    title, word = f"{row.letter} {row.title}: {metric.name}", shown(verdict.word, metric)
    texts = [title, goal, ours, word, shown(raw, metric), best]
    return "| " + " | ".join(text.replace("|", "/") for text in texts) + " |"


def _footnote(machine: Mapping[str, object]) -> str:
    versions = machine["versions"]
    assert isinstance(versions, dict)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Medians, {machine['date']}, `{machine['command']}`; {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory GB']} GB, {machine['system']}, "
        f"Python {machine['python']}; {packages}."
    )
