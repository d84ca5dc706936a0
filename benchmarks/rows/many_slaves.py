"""H: many slaves on one host."""

from __future__ import annotations

import os
import time

from benchmarks.contenders import Contender
from benchmarks.meters import cpu_s
from benchmarks.rows import Cells, Goal, Metric, Row, fixed
from benchmarks.work import nap

NAP_S = 0.05


def start_all(contender: Contender, slaves: int) -> None:
    """Start, and wait until each slave has answered: not all of them start before they return."""
    contender.start(slaves)
    answered: set[int] = set()
    while len(answered) < slaves:
        answered.update(contender.singly(nap, contender.prepare([0.02] * slaves)))


def many_slaves(contender: Contender, *, slaves: int, naps: int) -> Cells:
    """Seconds until each slave has answered, share of the naps in the time, the master's processor time."""
    cpu_before, begin = cpu_s(os.getpid()), time.perf_counter()
    start_all(contender, slaves)
    start_s = time.perf_counter() - begin
    work = contender.prepare([NAP_S] * (slaves * naps))
    begin = time.perf_counter()
    assert sum(1 for _ in contender.singly(nap, work)) == slaves * naps
    efficiency = NAP_S * naps / (time.perf_counter() - begin)
    return {"start s": start_s, "efficiency": efficiency, "master cpu s": cpu_s(os.getpid()) - cpu_before}


ROWS = (
    Row(
        "H",
        "128 slaves on one host, naps of 50 ms",
        many_slaves,
        (
            Metric("start s", "less", 2),
            Metric("efficiency", "more", 2),
            Metric("master cpu s", "less", 2),
        ),
        (
            Goal("start s", "<= 1.5", fixed(1.5)),
            Goal("efficiency", ">= 0.98", fixed(0.98)),
            Goal("master cpu s", "<= 0.6", fixed(0.6)),
        ),
        {"slaves": 128, "naps": 20},
        {"slaves": 4, "naps": 2},
        limit_s=45,
    ),
)
