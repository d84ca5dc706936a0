"""The tables of engines: as rows of the other benchmarks, and as Markdown for the README."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.engines.trial import ALL_UP, CLOSE, FIRST, WORK
from benchmarks.rows import Cell, Cells, Goal, Metric, Row, best_peer, fixed
from benchmarks.tables import Medians, shown

METRICS = tuple(Metric(name, "less", 2) for name in (FIRST, ALL_UP, WORK, CLOSE))
_PEERS = ("dask-jobqueue", "dask-jobqueue, no nanny")
_GOALS = {
    "ssh": (Goal(FIRST, "<= 1", fixed(1)),),
    "slurm": (
        Goal(FIRST, "<= dask-jobqueue", best_peer(1, FIRST, _PEERS)),
        Goal(FIRST, "then <= half of it", best_peer(0.5, FIRST, _PEERS)),
    ),
}


def row(engine: str, slaves: int, items: int) -> Row:
    """An engine as a row."""

    def measure() -> Cells:
        raise NotImplementedError("engines have trials of their own")

    title = f"to the first result; to {slaves} workers; {items} x 10 ms on them; until all are gone"
    return Row(engine, title, measure, METRICS, _GOALS.get(engine, ()), {}, {})


def markdown(medians: Mapping[str, Medians | str], machine: Mapping[str, object]) -> str:
    """A line for each contender, with ratios to ours; what it was measured on."""
    lines = ["| engine | " + " | ".join(metric.name for metric in METRICS) + " |", "|---|" + "---|" * len(METRICS)]
    for engine, cells in medians.items():
        if isinstance(cells, str):
            lines.append(f"| {engine} | not there: {cells} |" + " |" * (len(METRICS) - 1))
            continue
        for name, of_name in cells.items():
            texts = [_text(of_name[metric.name], cells["ours"][metric.name], metric, name) for metric in METRICS]
            lines.append(f"| {engine}: {name} | " + " | ".join(texts) + " |")
    return "\n".join([*lines, "", footnote(machine), ""])


def _text(cell: Cell, ours: Cell, metric: Metric, name: str) -> str:
    text = shown(cell, metric).replace("|", "/")
    if name == "ours" or isinstance(cell, str) or isinstance(ours, str) or not ours:
        return text
    return f"{text} ({cell / ours:.1f} x)"


def footnote(machine: Mapping[str, object]) -> str:
    """What it was measured on; the load tells how busy the machine was with other work."""
    versions = machine["versions"]
    assert isinstance(versions, dict)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Medians, {machine['date']}, `{machine['command']}`; {machine['cores']} cores ({machine['processor']}), "
        f"load before {machine['load before']:.1f}, {machine['system']}, Python {machine['python']}; {packages}."
    )
