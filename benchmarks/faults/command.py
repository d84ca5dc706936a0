"""`python -m benchmarks faults`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from benchmarks.contenders import NAMES, SURVIVORS, VARIANTS
from benchmarks.faults import tables
from benchmarks.faults.cases import CASES, Case, Trial, best, shortfalls
from benchmarks.faults.stage import ORPHANS_AFTER_S, tried
from benchmarks.machine import described
from benchmarks.runner import adopt_orphans

_NAMES = tuple(name for name in NAMES if name not in ("raw", *VARIANTS, *SURVIVORS))  # raw knows no faults
_QUICK_ORPHANS_AFTER_S = 5.0


def _cases(_context: click.Context, _option: click.Parameter, text: str | None) -> list[Case]:
    names = text.split(",") if text else list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        raise click.BadParameter(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    return [CASES[name] for name in names]


def _names(_context: click.Context, _option: click.Parameter, text: str | None) -> list[str]:
    names = text.split(",") if text else list(_NAMES)
    if unknown := [name for name in names if name not in _NAMES]:
        raise click.BadParameter(f"no contender {', '.join(unknown)}; there are {', '.join(_NAMES)}")
    return names


@click.command()
@click.option("--only", "cases", callback=_cases, help=f"Some of {','.join(CASES)}; all by default.")
@click.option("--peers", "names", callback=_names, help=f"Some of {','.join(_NAMES)}; all by default.")
@click.option("--rounds", default=3, show_default=True, help="Interleaved rounds; the best time is shown.")
@click.option("--quick", is_flag=True, help="Ours only, one round; fails if anything but a time is not met.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all trials here.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Write the table here.")
def faults(
    cases: list[Case],
    names: list[str],
    rounds: int,
    quick: bool,
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    """What happens when things go wrong: bad items, frozen workers, Ctrl-C, a killed master."""
    if quick:
        names, rounds = ["ours"], 1
    machine = described(names, "python -m benchmarks " + " ".join(sys.argv[1:]))
    adopt_orphans()
    orphans_after_s = _QUICK_ORPHANS_AFTER_S if quick else ORPHANS_AFTER_S
    trials = {case.name: _rounds(case, names, rounds, orphans_after_s) for case in cases}
    bests = {name: {who: best(of_who) for who, of_who in of_case.items()} for name, of_case in trials.items()}
    Console().print(tables.terminal(cases, names, bests))
    for what, who, text in tables.told(cases, bests):
        click.echo(f"{what} · {who}: {text}\n")
    if json_path:
        judged = {case.name: tables.verdict(case, bests[case.name]["ours"]) for case in cases if "ours" in names}
        record = {name: {who: [asdict(t) for t in ts] for who, ts in case.items()} for name, case in trials.items()}
        json_path.write_text(json.dumps(machine | {"faults": record, "verdicts": judged}, indent=1) + "\n")
    if markdown_path:
        markdown_path.write_text(tables.markdown(cases, names, bests))
    if quick and (broken := [case.name for case in cases if _is_broken(case, bests[case.name]["ours"])]):
        raise SystemExit(f"ours is broken in {', '.join(broken)}")


def _rounds(case: Case, names: list[str], rounds: int, orphans_after_s: float) -> dict[str, list[Trial]]:
    trials: dict[str, list[Trial]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            before = trials[name]
            if not before or before[-1].end in ("ends", "raises"):  # what hangs is not asked again
                before.append(tried(case, name, orphans_after_s))
                click.echo(f"{case.name} round {number + 1} {name}: {tables.cell(case, before[-1])}", err=True)
    return trials


def _is_broken(case: Case, trial: Trial) -> bool:
    """Whether anything but a time is not met: how fast anything is, a busy machine cannot say."""
    return any(" s instead of " not in missing for missing in shortfalls(case, trial))
