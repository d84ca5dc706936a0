"""Replica exchange over a grid: a double well at five temperatures, each replica on a server of its own.

At the lowest temperature a walker that is alone stays in the well in which it began. Replicas that exchange what they
have found cross the barrier, and their averages are those of the canonical ensemble, which are known here: they are
integrals over one coordinate. The second time a server is killed half-way, as a machine may crash; the program goes on
from the last states that it knows, and finds the very same averages.

    python examples/isd_replica_exchange.py
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import tempfile
from collections.abc import Callable
from typing import Any

from tracking import SlaveLost
from tracking.grid import FileBasedGrid, create_host_list

BARRIER = 5.0  # in units of kT at beta = 1
BETAS = [1.6 * 0.45**n for n in range(5)]
STEP = 0.8
SWEEPS, STEPS = 400, 100
BLOCKS = 20


def energy(x: float) -> float:
    return BARRIER * (x * x - 1) ** 2 + 0.4 * x


class Replica:
    """A walker. All that it is stands in its state: who has that can make it anew, on any server."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def m(self, name: str, *args: Any) -> Any:
        return getattr(self, name)(*args)

    def set_state(self, state: dict[str, Any]) -> None:
        self.state = state

    def get_state(self) -> dict[str, Any]:
        return self.state

    def sweep(self, steps: int) -> dict[str, Any]:
        """Metropolis Monte Carlo; the new state, with the mean of x over these steps."""
        x, beta, number = self.state["x"], self.state["beta"], self.state["number"]
        dice = random.Random(f"{self.state['seed']} {number}")  # the same on any server
        e, total = energy(x), 0.0
        for _ in range(steps):
            there = x + dice.uniform(-STEP, STEP)
            e_there = energy(there)
            if e_there <= e or dice.random() < math.exp(beta * (e - e_there)):
                x, e = there, e_there
            total += x
        self.state |= {"x": x, "number": number + 1, "mean": total / steps}
        return self.state

    def pid(self) -> int:
        return os.getpid()


class ReplicaTracker:
    """Moves all replicas, and exchanges neighbours; it alone knows what is settled."""

    def __init__(self, grid: FileBasedGrid, service_id: str, betas: list[float], seed: int) -> None:
        self._grid, self._service_id = grid, service_id
        self._dice = random.Random(seed)
        self.restored = 0
        self.accepted = 0
        self.states: list[dict[str, Any]] = [
            {"x": -1.0, "beta": beta, "seed": f"{seed} {n}", "number": 0, "mean": 0.0} for n, beta in enumerate(betas)
        ]
        self._must_send = True

    def sweep(self) -> list[float]:
        """One sweep of all replicas; the mean of x at each temperature."""
        while True:
            try:
                if self._must_send:  # states that an exchange, or a loss, has changed
                    self._all("scatter", "set_state", self.states)
                    self._must_send = False
                states = self._all("broadcast", "m", "sweep", STEPS)
            except SlaveLost as lost:
                # A server is gone, and another has its place: it knows nothing. Others may have swept already.
                # What we know is from before this sweep: all go back to that, and do it once more.
                print(f"going on after: {str(lost).splitlines()[0]}")
                self.restored += 1
                self._must_send = True
            else:
                self.states = states
                means = [state["mean"] for state in states]
                self._exchange()
                return means

    def _all(self, how: str, *what: Any) -> list[Any]:
        results = getattr(self._grid, how)(self._service_id, *what)
        return self._grid.gather(results)

    def _exchange(self) -> None:
        for low, high in zip(self.states, self.states[1:], strict=False):
            delta = (low["beta"] - high["beta"]) * (energy(low["x"]) - energy(high["x"]))
            if delta >= 0 or self._dice.random() < math.exp(delta):
                low["x"], high["x"] = high["x"], low["x"]
                self.accepted += 1
                self._must_send = True


def simulate(grid: FileBasedGrid, before_sweep: Callable[[int, str], object] = lambda n, id: None) -> list[list[float]]:
    """Means of x: [sweep][temperature].

    Args:
        before_sweep: is told its number, and the id of the service.
    """
    service_id = grid.publish(Replica())
    tracker = ReplicaTracker(grid, service_id, BETAS, seed=7)
    means = []
    for number in range(SWEEPS):
        before_sweep(number, service_id)
        means.append(tracker.sweep())
    rate = tracker.accepted / (SWEEPS * (len(BETAS) - 1))
    print(f"{SWEEPS} sweeps, {rate:.0%} of the exchanges accepted, states restored {tracker.restored} times")
    grid.terminate(service_id)
    return means


def exact_mean(beta: float) -> float:
    """<x> of the canonical ensemble, by numerical integration."""
    points = [-4 + 8 * n / 4000 for n in range(4001)]
    weights = [math.exp(-beta * energy(x)) for x in points]
    return sum(x * weight for x, weight in zip(points, weights, strict=True)) / sum(weights)


def averages(means: list[list[float]]) -> list[tuple[float, float]]:
    """(average, its standard error from blocks) at each temperature; the first tenth is not counted."""
    counted = means[len(means) // 10 :]
    size = len(counted) // BLOCKS
    found = []
    for column in zip(*counted, strict=True):
        blocks = [sum(column[n * size : (n + 1) * size]) / size for n in range(BLOCKS)]
        mean = sum(blocks) / BLOCKS
        variance = sum((block - mean) ** 2 for block in blocks) / (BLOCKS - 1)
        found.append((mean, math.sqrt(variance / BLOCKS)))
    return found


def check(means: list[list[float]]) -> None:
    for beta, (mean, error) in zip(BETAS, averages(means), strict=True):
        exact = exact_mean(beta)
        print(f"beta {beta:5.3f}: <x> = {mean:+.3f} +- {error:.3f}, exactly {exact:+.3f}")
        assert abs(mean - exact) < 4 * error, "not the canonical average"
        assert error < 0.12, "the replicas do not cross the barrier"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hosts = create_host_list(["localhost"] * len(BETAS), folder)
        grid = FileBasedGrid(hosts, "", False, 1.0, False, False)
        grid.start()

        def kill_half_way(sweep: int, service_id: str) -> None:
            if sweep == SWEEPS // 2:
                os.kill(grid.servers[service_id][3].proxy.pid().get(), signal.SIGKILL)

        undisturbed = simulate(grid)
        check(undisturbed)
        assert simulate(grid, kill_half_way) == undisturbed, "a killed server has changed the result"
        print("the same once more, with a server killed half-way")
        grid.terminate()
        grid.join()


if __name__ == "__main__":
    main()
