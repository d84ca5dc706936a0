"""The cases: what is wrong, how a trial of it goes, and what ours must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.faults.troubles import ITEMS

Course = Literal["to its end", "Ctrl-C", "master killed", "resumed"]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: for the command line.
        title: for the table.
        trouble: what the bad item does, see `troubles`.
        goal: what ours must reach, in words.
        course: how the trial goes.
        right: right answers that ours must give.
        within_s: seconds that ours may take.
        told: words of which ours must say each to the user.
        limit_s: the time limit of an item, where the contender has one.
    """

    name: str
    title: str
    trouble: str
    goal: str
    course: Course = "to its end"
    right: int = ITEMS
    within_s: float | None = None
    told: tuple[str, ...] = ()
    limit_s: float | None = None


@dataclass
class Trial:
    """What came of one trial.

    Attributes:
        end: 'ends', 'raises' (the whole call), 'dies' (the program), 'hangs', or why there was no trial.
        right: how many of the 40 answers were there, and right.
        extra: answers that were wrong, or there twice.
        seconds: of the call; after Ctrl-C or the master's death, until the program or all slaves were gone.
        told: what the user was told, one text for each error.
        orphans: processes left 15 s after the master's death; None where it is not about that.
        recorded: items that were on record when the master ended; None where there is no record.
        redone: how many of them were begun again by the next run.
    """

    end: str
    right: int = 0
    extra: int = 0
    seconds: float | None = None
    told: tuple[str, ...] = ()
    orphans: int | None = None
    recorded: int | None = None
    redone: int = 0


def shortfalls(case: Case, trial: Trial) -> list[str]:
    """What is missing for the goal of a case."""
    found = []
    if trial.end not in ("ends", "raises"):
        found.append(trial.end)
    if case.course != "master killed" and trial.right != case.right:
        found.append(f"{trial.right} right instead of {case.right}")
    if trial.extra:
        found.append(f"{trial.extra} answers too many or wrong")
    if case.within_s is not None and (trial.seconds is None or trial.seconds > case.within_s):
        found.append("too slow" if trial.seconds is None else f"{trial.seconds:.2f} s instead of {case.within_s:g}")
    told = "\n".join(trial.told)
    found += [f"does not say {word!r}" for word in case.told if word not in told]
    if trial.orphans:
        found.append(f"{trial.orphans} orphans")
    if case.course in ("Ctrl-C", "resumed") and not trial.recorded:
        found.append("nothing was recorded")
    if trial.redone:
        found.append(f"{trial.redone} recorded items computed again")
    return found


def best(trials: list[Trial]) -> Trial:
    """The quickest of those with the fewest right answers: times may be lucky, answers not."""
    fewest = min(trials, key=lambda trial: (trial.right, -trial.extra, -(trial.orphans or 0), -trial.redone)).right
    same = [trial for trial in trials if trial.right == fewest]
    worst = max(same, key=lambda trial: (trial.extra, trial.orphans or 0, trial.redone))
    if worst.extra or worst.orphans or worst.redone:
        return worst
    return min(same, key=lambda trial: float("inf") if trial.seconds is None else trial.seconds)


CASES = {
    case.name: case
    for case in (
        Case("dies", "always kills its worker", "dies", "39 in <= 1 s, item named", right=39, within_s=1,
             told=("item 13", "SIGKILL")),
        Case("dies-once", "kills it once", "dies once", "40 in <= 1 s", within_s=1),
        Case("raises", "raises", "raises", "39, traceback", right=39,
             told=("item 13", "Traceback", "in _raise", "ValueError: no answer to 13")),
        Case("unpicklable", "result can't be pickled", "gives a generator", "39, says what", right=39,
             told=("item 13", "generator")),
        Case("endless", "never ends (limit 2 s)", "never ends", "39 in <= 2.5 s", right=39, within_s=2.5,
             told=("item 13",), limit_s=2),
        Case("frozen", "worker frozen (SIGSTOP)", "freezes once", "40 in <= 5 s", within_s=5),
        Case("ctrl-c", "Ctrl-C to exit (s)", "all never end", "<= 0.5 s, and it can be resumed", "Ctrl-C",
             within_s=0.5),
        Case("orphans", "orphans 15 s after kill -9 of the master", "all never end", "0 within 5 s",
             "master killed", within_s=5),
        Case("orphans-in-c", "the same, in C code that holds the interpreter lock", "all hold the interpreter",
             "0 within 5 s", "master killed", within_s=5),
        Case("resumed", "resumed after kill -9 of the master", "none", "nothing recorded lost or computed again",
             "resumed"),
    )
}  # fmt: skip
