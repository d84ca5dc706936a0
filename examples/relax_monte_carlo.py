"""Relaxation rates of a protein with errors by Monte Carlo simulations, as relax does it, with ``tracking.multi``.

Peak heights decay as I(t) = I0 exp(-R t). A rate is fitted by least squares; its error is the standard deviation of
the rates that are fitted to simulated data, which have the noise of the measurement. Each fit is a command.

    python relax_monte_carlo.py                             # slaves on this machine
    python relax_monte_carlo.py --processor uni             # any processor: uni, local, ssh, slurm, ...
    mpiexec -n 4 python relax_monte_carlo.py --processor mpi4py
    python relax_monte_carlo.py --record DIR                # killed and started again, it goes on
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import statistics
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tracking.multi import (
    Application_callback,
    Memo,
    Result_command,
    Slave_command,
    fetch_data,
    load_multiprocessor,
    send_data_to_slaves,
)

TIMES = (0.01, 0.02, 0.04, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7)  # s
NOISE = 1500.0  # standard deviation of a peak height
TRUTH = {"Ala 3": (2.1e5, 1.4), "Gly 10": (1.6e5, 3.2), "Val 26": (1.9e5, 2.2), "Lys 48": (1.2e5, 5.1)}  # I0, R (1/s)
N_SIMULATIONS = 60


# ---- the model


def decay(i0: float, rate: float, times: tuple[float, ...] = TIMES) -> list[float]:
    return [i0 * math.exp(-rate * t) for t in times]


def noisy(heights: list[float], name: str) -> list[float]:
    """The same with noise; the same noise whenever the name is the same."""
    noise = random.Random(name)
    return [height + noise.gauss(0.0, NOISE) for height in heights]


def chi2(i0: float, rate: float, heights: list[float], times: tuple[float, ...]) -> float:
    return sum(((h - i0 * math.exp(-rate * t)) / NOISE) ** 2 for h, t in zip(heights, times, strict=True))


def fit_by_simplex(heights: list[float], times: tuple[float, ...]) -> tuple[float, float]:
    """I0 and R that fit best: a grid search, then a simplex that walks down the hill (Nelder and Mead)."""
    start = min(((heights[0] * a, r) for a in (0.9, 1.1) for r in (1, 2, 4, 8)), key=lambda p: chi2(*p, heights, times))
    corners = [start, (start[0] * 1.05, start[1]), (start[0], start[1] * 1.05)]
    while True:
        corners.sort(key=lambda p: chi2(*p, heights, times))
        best, middle, worst = corners
        if abs(worst[1] - best[1]) < 1e-10 and abs(worst[0] - best[0]) < 1e-5:
            return best
        centre = tuple((a + b) / 2 for a, b in zip(best, middle, strict=True))

        def step(factor: float, centre=centre, worst=worst) -> tuple[float, float]:
            return tuple(c + factor * (c - w) for c, w in zip(centre, worst, strict=True))

        tried = min((step(f) for f in (1.0, 2.0, 0.5, -0.5)), key=lambda p: chi2(*p, heights, times))
        if chi2(*tried, heights, times) < chi2(*worst, heights, times):
            corners[2] = tried
        else:
            corners = [best] + [tuple((b + c) / 2 for b, c in zip(best, p, strict=True)) for p in corners[1:]]


# ---- commands for slaves, results for the master, and a memo for each spin


@dataclass
class Spin(Memo):
    """What becomes of a spin; stays on the master, so it may hold a lock, and the program itself."""

    program: Program
    name: str
    heights: list[float]
    i0: float = 0.0
    rate: float = 0.0
    simulated: dict[int, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def error(self) -> float:
        return statistics.stdev(self.simulated.values())


class Fit(Slave_command):
    """Fits one decay; simulation -1 is the measurement itself."""

    def __init__(self, heights: list[float], simulation: int = -1, name: str = "", traps: Traps | None = None) -> None:
        super().__init__()
        self.heights, self.simulation, self.name, self.traps = heights, simulation, name, traps

    def run(self, processor, completed):
        if self.traps is not None:
            self.traps.spring(self.name, self.simulation)
        i0, rate = fit_by_simplex(self.heights, fetch_data("times"))
        processor.return_object(Fitted(processor, completed, self.memo_id, self.simulation, i0, rate))


class Fitted(Result_command):
    def __init__(self, processor, completed, memo_id, simulation: int, i0: float, rate: float) -> None:
        super().__init__(processor=processor, completed=completed, memo_id=memo_id)
        self.simulation, self.i0, self.rate = simulation, i0, rate

    def run(self, processor, memo):
        with memo.lock:
            if self.simulation < 0:
                memo.i0, memo.rate = self.i0, self.rate
            else:
                memo.simulated[self.simulation] = self.rate
                memo.program.simulation_is_done()


class Program:
    """The analysis: what relax is to its own processor."""

    def __init__(self, traps: Traps, interrupt_after: int | None) -> None:
        self.traps, self.interrupt_after, self.n_done = traps, interrupt_after, 0

    def run(self) -> None:
        send_data_to_slaves(name="times", value=TIMES)
        spins = [Spin(self, name, noisy(decay(*truth), name)) for name, truth in TRUTH.items()]
        for spin in spins:
            processor.add_to_queue(Fit(spin.heights), spin)
        processor.run_queue()
        for spin in spins:
            back_calculated = decay(spin.i0, spin.rate)
            for number in range(N_SIMULATIONS):
                heights = noisy(back_calculated, f"{spin.name}, simulation {number}")
                processor.add_to_queue(Fit(heights, number, spin.name, self.traps), spin)
        processor.run_queue()
        report(spins)

    def simulation_is_done(self) -> None:
        """For tests: a power failure after so many simulations."""
        self.n_done += 1
        if self.n_done == self.interrupt_after:
            os.kill(os.getpid(), signal.SIGKILL)


# ---- is it right?


def fit_directly(heights: list[float]) -> tuple[float, float]:
    """The same by another way: for each R the best I0 is a quotient of sums; then golden sections find R."""

    def best_i0(rate: float) -> float:
        model = decay(1.0, rate)
        return sum(m * h for m, h in zip(model, heights, strict=True)) / sum(m * m for m in model)

    low, high, section = 0.1, 20.0, (math.sqrt(5) - 1) / 2
    while high - low > 1e-9:
        left, right = high - section * (high - low), low + section * (high - low)
        if chi2(best_i0(left), left, heights, TIMES) < chi2(best_i0(right), right, heights, TIMES):
            high = right
        else:
            low = left
    return best_i0(low), low


def error_by_covariance(i0: float, rate: float) -> float:
    """The error of R where the model is linear: from the inverse of the matrix of second derivatives."""
    by_i0 = [m / NOISE for m in decay(1.0, rate)]
    by_rate = [-t * m / NOISE for t, m in zip(TIMES, decay(i0, rate), strict=True)]
    a, c = sum(x * x for x in by_i0), sum(x * x for x in by_rate)
    b = sum(x * y for x, y in zip(by_i0, by_rate, strict=True))
    return math.sqrt(a / (a * c - b * b))


def report(spins: list[Spin]) -> None:
    print("spin        R (1/s)    error  expected")
    for spin in spins:
        i0, rate = fit_directly(spin.heights)
        assert abs(spin.rate - rate) < 1e-5, (spin.rate, rate)
        assert abs(spin.i0 / i0 - 1) < 1e-6, (spin.i0, i0)
        assert sorted(spin.simulated) == list(range(N_SIMULATIONS))
        expected = error_by_covariance(i0, rate)
        assert 0.65 < spin.error / expected < 1.35, (spin.error, expected)  # 60 simulations: within 9 % as a rule
        assert abs(spin.rate - TRUTH[spin.name][1]) < 4 * spin.error
        print(f"{spin.name:8} {spin.rate:10.4f} {spin.error:8.4f} {expected:9.4f}")


@dataclass
class Traps:
    """For tests: what happens to slaves.

    Attributes:
        log: a file where each simulation that is begun is written down; "": none.
        killed: a file: when it is not there, the slave that comes to the middle makes it, and is killed; "": none is.
    """

    log: str = ""
    killed: str = ""

    def spring(self, name: str, simulation: int) -> None:
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{name}, {simulation}\n")
        if self.killed and simulation == N_SIMULATIONS // 2 and not os.path.exists(self.killed):
            Path(self.killed).touch()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processor", default="local")
    parser.add_argument("--slaves", type=int, default=-1)
    parser.add_argument("--record", metavar="DIR", help="record what is done there, and go on from it")
    parser.add_argument("--log", default="", help=argparse.SUPPRESS)
    parser.add_argument("--kill-slave", default="", help=argparse.SUPPRESS)
    parser.add_argument("--interrupt-after", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    program = Program(Traps(arguments.log, arguments.kill_slave), arguments.interrupt_after)
    options = {} if arguments.processor == "uni" else {"run_file": arguments.record}
    callback = Application_callback(master=program)
    processor = load_multiprocessor(arguments.processor, callback, arguments.slaves, verbosity=1, **options)
    processor.run()
