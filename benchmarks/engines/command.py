"""`python -m benchmarks engines`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click
from rich.console import Console

from benchmarks.engines import tables
from benchmarks.engines.crews import CREWS, ENGINES, missing
from benchmarks.engines.there import variables
from benchmarks.machine import described
from benchmarks.rows import WHY_NOT, Cells, without_numbers
from benchmarks.runner import Rounds, adopt_orphans, told_apart
from benchmarks.verdicts import medians_of

LIMIT_S = 90.0
_PACKAGES = ("distributed", "dask-jobqueue", "asyncssh", "mpi4py", "mpich")


def _engines(_context: click.Context, _option: click.Parameter, text: str | None) -> list[str]:
    names = text.split(",") if text else list(ENGINES)
    if unknown := [name for name in names if name not in ENGINES]:
        raise click.BadParameter(f"no engine {', '.join(unknown)}; there are {', '.join(ENGINES)}")
    return names


@click.command()
@click.option("--engines", "names", callback=_engines, help=f"Some of {','.join(ENGINES)}; all by default.")
@click.option("--rounds", default=3, show_default=True, help="Interleaved rounds; medians are shown.")
@click.option("--slaves", default=4, show_default=True, help="So many workers.")
@click.option("--items", default=200, show_default=True, help="Of 10 ms each, when all workers are up.")
@click.option("--peers/--alone", default=True, help="Beside others, or ours alone.")
@click.option("--quick", is_flag=True, help="Two slaves, few items, one round: shows only that everything works.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all measurements here.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Write the table here.")
def engines(
    names: list[str],
    rounds: int,
    slaves: int,
    items: int,
    peers: bool,
    quick: bool,
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    """Seconds from start to first result on each engine, beside others on the same engine."""
    if quick:
        rounds, slaves, items = 1, 2, 20
    machine = described([], "python -m benchmarks " + " ".join(sys.argv[1:])) | {"versions": _versions()}
    adopt_orphans()
    measured = {engine: _on(engine, rounds, slaves, items, peers) for engine in names}
    _report(machine, measured, slaves, items, json_path, markdown_path)
    broken = [name for name, of in measured.items() if not isinstance(of, str) and WHY_NOT in of["ours"][-1]]
    if quick and broken:
        raise SystemExit(f"ours is broken on {', '.join(broken)}")


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _on(engine: str, rounds: int, slaves: int, items: int, with_peers: bool) -> Rounds | str:
    """Contender -> its measurements; or why there are none."""
    results: Rounds = {name: [] for name in CREWS[engine] if with_peers or name == "ours"}
    for number in range(rounds):
        found = variables(engine)  # each time: tests beside this may have started it anew, elsewhere
        if isinstance(found, str):
            click.echo(f"{engine} is not there: {found}", err=True)
            return found
        for name, before in results.items():
            before.append(_trial(engine, name, slaves, items, found))
            click.echo(f"{engine} round {number + 1} {name}: {json.dumps(before[-1])}", err=True)
    return results


def _trial(engine: str, name: str, slaves: int, items: int, found: Mapping[str, str]) -> Cells:
    if module := missing(engine, name):
        return without_numbers(f"not installed: {module}")
    arguments = ["benchmarks.engines.trial", engine, name, str(slaves), str(items)]
    return {**told_apart(arguments, LIMIT_S, found), "load": os.getloadavg()[0]}


def _report(
    machine: Mapping[str, object],
    measured: Mapping[str, Rounds | str],
    slaves: int,
    items: int,
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    medians: tables.Engines = {
        engine: of if isinstance(of, str) else medians_of(of, tables.METRICS) for engine, of in measured.items()
    }
    Console().print(tables.terminal(medians, slaves, items))
    for line in [*tables.told(medians), tables.footnote(machine)]:
        click.echo(line)
    if json_path:
        json_path.write_text(json.dumps({**machine, "engines": measured}, indent=1) + "\n")
    if markdown_path:
        markdown_path.write_text(tables.markdown(medians, machine))
