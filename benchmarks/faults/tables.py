"""The table of faults: for the terminal, and as Markdown."""

from __future__ import annotations

from rich.table import Table

from benchmarks.faults.cases import Case, Trial, shortfalls

Trials = dict[str, dict[str, Trial]]  # case -> contender -> the best of its trials


def cell(case: Case, trial: Trial) -> str:
    """One trial in a few words."""
    if trial.end in ("not installed", "no limit to set", "no record", "did not begin"):
        return trial.end
    seconds = "" if trial.seconds is None else f"{trial.seconds:.2f}"
    if case.course == "Ctrl-C":
        return seconds or trial.end
    if case.course == "master killed":
        return f"{trial.orphans}" + (f" after {seconds} s" if seconds else "")
    in_time = f"{trial.right} in {seconds}" if seconds else f"{trial.right}"
    if case.course == "resumed":
        return f"{trial.right} right, {trial.redone} of {trial.recorded} again"
    return {"ends": in_time, "raises": f"{in_time}, the call raises"}.get(trial.end, f"{trial.right}, {trial.end}")


def our_cell(case: Case, trial: Trial) -> str:
    """As `cell`; that all items were done before the call raised goes without saying."""
    return cell(case, trial).removesuffix(", the call raises")


def verdict(case: Case, trial: Trial) -> str:
    """Whether ours has reached its goal."""
    missing = shortfalls(case, trial)
    return f"not met: {'; '.join(missing)}" if missing else "met"


def rows(cases: list[Case], names: list[str], trials: Trials) -> list[list[str]]:
    """Head and lines, as text."""
    peers = [name for name in names if name != "ours"]
    with_ours = "ours" in names
    table = [["item 13", *peers, *(["ours", "goal", "verdict"] if with_ours else [])]]
    for case in cases:
        of_case = trials[case.name]
        line = [case.title, *(cell(case, of_case[name]) for name in peers)]
        if with_ours:
            ours = of_case["ours"]
            line += [our_cell(case, ours), case.goal, verdict(case, ours)]
        table.append(line)
    return table


def terminal(cases: list[Case], names: list[str], trials: Trials) -> Table:
    """For a terminal."""
    head, *lines = rows(cases, names, trials)
    table = Table(title="40 items of 20 ms on 2 slaves, item 13 is bad: right answers in seconds", title_justify="left")
    for title in head:
        table.add_column(title, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def markdown(cases: list[Case], names: list[str], trials: Trials) -> str:
    """For the README."""
    head, *lines = rows(cases, names, trials)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"


def told(cases: list[Case], trials: Trials) -> list[tuple[str, str, str]]:
    """(case, contender, the last thing that its user was told)."""
    return [
        (case.title, name, trial.told[-1])
        for case in cases
        for name, trial in trials[case.name].items()
        if trial.told
    ]
