"""The table of one row, with all contenders, for the terminal."""

from __future__ import annotations

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
    table.caption = "\n".join(_told(verdict) for verdict in verdicts)
    return table


def _told(verdict: Verdict) -> str:
    metric, first = verdict.metric, "then " if verdict.then else ""
    return f"{metric.name} {first}{verdict.goal}: {shown(verdict.word, metric)}"


def _ratio(cells: Medians, name: str, metric: Metric) -> str:
    this, ours = cells[name][metric.name], cells.get("ours", {}).get(metric.name, "")
    return "" if isinstance(this, str) or isinstance(ours, str) or not ours else f"{this / ours:.2f}"
