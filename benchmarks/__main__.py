"""The command line of the benchmarks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.contenders import NAMES, VARIANTS
from benchmarks.engines.command import engines
from benchmarks.faults.command import faults
from benchmarks.machine import described
from benchmarks.profiling import profile
from benchmarks.rows import Row, all_rows
from benchmarks.runner import Rounds, adopt_orphans, run_rows
from benchmarks.summary import Judged, cost_lines, goal_lines, markdown, terminal_table, write
from benchmarks.tables import row_table
from benchmarks.verdicts import gaps, medians_of, verdicts

_PATH = click.Path(path_type=Path)
_WIDTH = 200  # of what goes into a file


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
@click.option("--json", "json_path", type=_PATH, help="Write all measurements here, after each row.")
@click.option("--markdown", "markdown_path", type=_PATH, help="Write the tables here; in a README, where it is marked.")
@click.option("--again", "again_path", type=_PATH, help="Measure nothing: the tables of what --json wrote.")
@click.option("--profile", "profiled", is_flag=True, help="Instead, profile our side of these rows.")
def main(
    context: click.Context,
    rows: list[Row],
    names: list[str],
    rounds: int,
    quick: bool,
    json_path: Path | None,
    markdown_path: Path | None,
    again_path: Path | None,
    profiled: bool,
) -> None:
    """Measure this package beside its peers, row by row, in one run."""
    if context.invoked_subcommand is not None:
        return
    sizes, rounds = ("quick", 1) if quick else ("full", rounds)
    if profiled:
        for row in rows:
            profile(row, sizes, functions=25)
        return
    if again_path:
        machine, measured = _again(json.loads(again_path.read_text()))
    else:
        command = "python -m benchmarks " + " ".join(sys.argv[1:])
        machine = described(names, command) | {"rounds": rounds}
        adopt_orphans()
        measured = run_rows(rows, names, rounds, sizes, _say)
    measurements = _reported(machine, measured, json_path, markdown_path)
    if quick and (broken := [letter for letter, found in measurements.items() if _is_broken(letter, found)]):
        raise SystemExit(f"ours is broken in {', '.join(broken)}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _is_broken(letter: str, rounds: Rounds) -> bool:
    """Whether ours, or a variant that can do this row, has no number somewhere."""
    asked = {"ours", *VARIANTS} - all_rows()[letter].skipped.keys()
    cells = [cell for who in asked & rounds.keys() for found in rounds[who] for cell in found.values()]
    return any(isinstance(cell, str) for cell in cells)


def _again(whole: dict[str, Any]) -> tuple[dict[str, object], Iterator[tuple[Row, Rounds]]]:
    """What was measured on, and the measurements, from a JSON file."""
    rows = all_rows()
    machine = {name: part for name, part in whole.items() if name not in ("rows", "verdicts")}
    return machine, ((rows[letter], rounds) for letter, rounds in whole["rows"].items())


def _reported(
    machine: dict[str, object],
    measured: Iterator[tuple[Row, Rounds]],
    json_path: Path | None,
    markdown_path: Path | None,
) -> dict[str, Rounds]:
    """All measurements, each row shown and written as soon as it is there; at the end the summary."""
    width = None if sys.stdout.isatty() else _WIDTH
    console, measurements, judged = Console(width=width), dict[str, Rounds](), list[Judged]()
    left_out: list[str] = []
    for row, rounds in measured:
        cells = medians_of(rounds, row.metrics)
        measurements[row.letter] = rounds
        judged.append((row, cells, verdicts(row, cells)))
        left_out += gaps(row, rounds)
        console.print(row_table(*judged[-1]))
        if json_path:
            json_path.write_text(json.dumps(_whole(machine, measurements, judged), indent=1) + "\n")
    console.print(terminal_table("Against the goals", goal_lines(judged)))
    console.print(terminal_table("What safety costs", cost_lines(judged)))
    for line in left_out:
        console.print(line)
    if markdown_path:
        write(markdown(machine, judged, left_out), markdown_path)
    return measurements


def _whole(machine: dict[str, object], measurements: dict[str, Rounds], judged: list[Judged]) -> dict[str, object]:
    words = {row.letter: {f"{v.metric.name} {v.goal}": v.word for v in all_} for row, _, all_ in judged}
    return machine | {"rows": measurements, "verdicts": words}


main.add_command(faults)
main.add_command(engines)


if __name__ == "__main__":
    main()
