"""The table of engines: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from benchmarks.engines.trial import ALL_UP, CLOSE, FIRST, WORK
from benchmarks.rows import Cell, Cells, Goal, Metric, Row, fixed, relative
from benchmarks.tables import shown
from benchmarks.verdicts import verdicts

METRICS = tuple(Metric(name, "less", 2) for name in (FIRST, ALL_UP, WORK, CLOSE))
Engines = Mapping[str, dict[str, dict[str, Cell]] | str]  # engine -> medians of its contenders, or why it is not there

_BESIDE_DASK = (
    Goal(FIRST, "<= dask-jobqueue", relative(1, "dask-jobqueue", FIRST)),
    Goal(FIRST, "then <= half of it", relative(0.5, "dask-jobqueue", FIRST)),
)
_GOALS = {"ssh": (Goal(FIRST, "<= 1", fixed(1)),), "slurm": _BESIDE_DASK, "gridengine": _BESIDE_DASK}


def told(engines: Engines) -> list[str]:
    """How ours stands to its goals."""
    lines = []
    for engine, cells in engines.items():
        if not isinstance(cells, str):
            row = Row(engine, "", _measured_elsewhere, METRICS, _GOALS.get(engine, ()), {}, {})
            lines += [f"{engine}: {it.metric.name} {it.goal}: {it.word}" for it in verdicts(row, cells)]
    return lines


def _measured_elsewhere() -> Cells:
    raise NotImplementedError("engines have trials of their own")


def lines_of(engines: Engines) -> list[list[str]]:
    """Head and lines, as text; in brackets what a contender takes times as long as ours."""
    table = [["", *(metric.name for metric in METRICS)]]
    for engine, cells in engines.items():
        if isinstance(cells, str):
            table.append([engine, f"not there: {cells}", *[""] * (len(METRICS) - 1)])
            continue
        ours = cells["ours"]
        for name, of_name in cells.items():
            texts = [_text(of_name[metric.name], ours[metric.name], metric, name) for metric in METRICS]
            table.append([f"{engine}: {name}", *texts])
    return table


def _text(cell: Cell, ours: Cell, metric: Metric, name: str) -> str:
    text = shown(cell, metric)
    if name == "ours" or isinstance(cell, str) or isinstance(ours, str) or not ours:
        return text
    return f"{text} ({cell / ours:.1f} x)"


def terminal(engines: Engines, slaves: int, items: int) -> Table:
    """For a terminal."""
    title = f"Seconds to the first result; to {slaves} workers; for {items} x 10 ms on them; until all are gone"
    table = Table(title=title, title_justify="left")
    head, *lines = lines_of(engines)
    for column in head:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line, style="bold" if line[0].endswith(": ours") else "")
    return table


def markdown(engines: Engines, machine: Mapping[str, object]) -> str:
    """For the README: the table, and what it was measured on."""
    head, *lines = lines_of(engines)
    rows = [head, ["---"] * len(head), *lines]
    table = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join([*table, "", footnote(machine), ""])


def footnote(machine: Mapping[str, object]) -> str:
    """What it was measured on; the load tells how busy the machine was with other work."""
    versions = machine["versions"]
    assert isinstance(versions, dict)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Medians, {machine['date']}, `{machine['command']}`; {machine['cores']} cores ({machine['processor']}), "
        f"load before {machine['load before']:.1f}, {machine['system']}, Python {machine['python']}; {packages}."
    )
