"""The command line of the benchmarks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from benchmarks.contenders import NAMES
from benchmarks.engines.command import engines
from benchmarks.faults.command import faults
from benchmarks.machine import described
from benchmarks.profiling import profile
from benchmarks.rows import Row, all_rows
from benchmarks.runner import Rounds, adopt_orphans, run_rows
from benchmarks.tables import markdown, row_table
from benchmarks.verdicts import medians_of, verdicts


def _rows(_context: click.Context, _option: click.Parameter, text: str | None) -> list[Row]:
    rows = all_rows()
    letters = text.upper().split(",") if text else list(rows)
    if unknown := [letter for letter in letters if letter not in rows]:
        raise click.BadParameter(f"no row {', '.join(unknown)}; there are {', '.join(rows)}")
    return [rows[letter] for letter in letters]


def _names(_context: click.Context, _option: click.Parameter, text: str | None) -> list[str]:
    names = text.split(",") if text else list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        raise click.BadParameter(f"no contender {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return names


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--rows", callback=_rows, help="Letters of rows, as A,D; all by default.")
@click.option("--peers", "names", callback=_names, help=f"Some of {','.join(NAMES)}; all by default.")
@click.option("--rounds", default=3, show_default=True, help="Interleaved rounds; medians are shown.")
@click.option("--quick", is_flag=True, help="Tiny sizes, one round: shows only that everything works.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all measurements here.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Write the table here.")
@click.option("--profile", "profiled", is_flag=True, help="Instead, profile our side of these rows.")
def main(
    context: click.Context,
    rows: list[Row],
    names: list[str],
    rounds: int,
    quick: bool,
    json_path: Path | None,
    markdown_path: Path | None,
    profiled: bool,
) -> None:
    """Measure this package beside its peers, row by row, in one run."""
    if context.invoked_subcommand is not None:
        return
    sizes = "quick" if quick else "full"
    if profiled:
        for row in rows:
            profile(row, sizes, functions=25)
        return
    machine = described(names, "python -m benchmarks " + " ".join(sys.argv[1:]))
    adopt_orphans()
    measurements = run_rows(rows, names, 1 if quick else rounds, sizes, _say)
    _report(machine, rows, measurements, json_path, markdown_path)
    if quick and any(_is_broken(cells) for row in measurements.values() for cells in row.get("ours", [])):
        raise SystemExit("ours is broken in at least one row")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _is_broken(cells: dict[str, float | str]) -> bool:
    return any(isinstance(cell, str) for cell in cells.values())


def _report(
    machine: dict[str, object],
    rows: list[Row],
    measurements: dict[str, Rounds],
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    console = Console()
    tables = []
    for row in rows:
        cells = medians_of(measurements[row.letter], row.metrics)
        tables.append((row, cells, verdicts(row, cells)))
        console.print(row_table(*tables[-1]))
    if json_path:
        judged = {row.letter: {f"{v.metric.name} {v.goal}": v.word for v in all_} for row, _, all_ in tables}
        whole = machine | {"rows": measurements, "verdicts": judged}
        json_path.write_text(json.dumps(whole, indent=1) + "\n")
    if markdown_path:
        markdown_path.write_text(markdown(machine, tables))


main.add_command(faults)
main.add_command(engines)


if __name__ == "__main__":
    main()
