"""Two peaks are fitted to a made measurement by differential evolution, as a service: steered, ended, gone on with.

::

    python examples/park_fit.py                      all of it, in a few seconds
    python examples/park_fit.py --run-file fit.run   one fit; kill it (kill -9), start it again: it goes on

Each generation's random numbers come from the seed and the generation's number alone. So the result is the same with
any number of slaves, whatever happens to them, and however often the fit was interrupted.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import tempfile

from tracking import Interrupted
from tracking.service import Client, Monitor, Progress, Proxy, Service, ServiceHandler, export

Parameters = list[float]

NAMES = ("centre 1", "width 1", "height 1", "centre 2", "width 2", "height 2", "background")
TRUTH = (3.0, 0.4, 10.0, 6.5, 0.8, 6.0, 1.0)
BOUNDS = ((0, 5), (0.1, 2), (1, 20), (5, 10), (0.1, 2), (1, 20), (0, 3))
TOLERANCE = (0.05, 0.05, 0.7, 0.05, 0.08, 0.5, 0.2)
NOISE = 0.2


def model(parameters: Parameters, x: float) -> float:
    """Two peaks on a background."""
    c1, w1, h1, c2, w2, h2, background = parameters
    return background + h1 * math.exp(-(((x - c1) / w1) ** 2)) + h2 * math.exp(-(((x - c2) / w2) ** 2))


def measurement(seed: int = 1, n: int = 120) -> list[tuple[float, float]]:
    """(x, y) of the made measurement."""
    noise = random.Random(seed)
    return [(10 * i / n, model([*TRUTH], 10 * i / n) + noise.gauss(0, NOISE)) for i in range(n)]


def chi2(data: list[tuple[float, float]], parameters: Parameters) -> float:
    """How far the model is from the data; what slaves compute, with data that each of them gets once."""
    return sum(((y - model(parameters, x)) / NOISE) ** 2 for x, y in data) / len(data)


class Data:
    """Makes, on each slave, what all values need."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self) -> list[tuple[float, float]]:
        return measurement(self.seed)


@export
class PeakFit(Service):
    """Differential evolution: each generation is one map."""

    version = "1.0"
    weight = 0.6  # may be set while it runs
    crossover = 0.9

    def prepare(self, request) -> None:
        self.seed, self.generations, self.size = request.seed, request.generations, request.size
        first = random.Random(f"{self.seed}")
        self.population = [[first.uniform(*bounds) for bounds in BOUNDS] for _ in range(self.size)]
        self.costs: list[float] = []
        self.generation = 0

    def checkpoint(self):
        names = ("seed", "generations", "size", "population", "costs", "generation", "weight", "crossover")
        return {name: getattr(self, name) for name in names} if self.costs else None

    def restore(self, state) -> None:
        self.__dict__.update(state)

    def progress(self):
        return self.generation, self.generations, "generations"

    def widen(self, factor: float) -> None:
        """To be invoked while it runs: larger steps."""
        self.weight *= factor

    def run(self, handler: ServiceHandler):
        handler.progress_delta = handler.checkpoint_delta = 0  # generations are short here
        with handler.mapper(chi2, setup=Data(self.seed)) as costs:
            self.costs = self.costs or costs(self.population)
            while self.generation < self.generations:
                handler.ready()
                trials = self.trials()
                self.select(trials, costs(trials), handler)
                self.generation += 1
        best = min(range(self.size), key=self.costs.__getitem__)
        return self.costs[best], self.population[best]

    def trials(self) -> list[Parameters]:
        """One for each of the population."""
        chance = random.Random(f"{self.seed}/{self.generation}")
        return [self.trial(chance, member) for member in self.population]

    def trial(self, chance: random.Random, member: Parameters) -> Parameters:
        a, b, c = chance.sample(self.population, 3)
        kept = chance.randrange(len(member))
        made = list(member)
        for i, (low, high) in enumerate(BOUNDS):
            if i == kept or chance.random() < self.crossover:
                made[i] = min(high, max(low, a[i] + self.weight * (b[i] - c[i])))
        return made

    def select(self, trials: list[Parameters], costs: list[float], handler: ServiceHandler) -> None:
        """The better of each pair stays."""
        before = min(self.costs)
        for i, cost in enumerate(costs):
            if cost < self.costs[i]:
                self.population[i], self.costs[i] = trials[i], cost
        if min(self.costs) < before:
            best = self.costs.index(min(self.costs))
            handler.improved((self.costs[best], self.population[best]))


def fit(client: Client, run_file: str) -> Proxy:
    """Begin the fit, or go on with it."""
    return client.submit(PeakFit.request(seed=1, generations=150, size=40), PeakFit, run_file=run_file)


def check(result: tuple[float, Parameters]) -> None:
    """The peaks that were put in are found."""
    cost, found = result
    assert cost < 1.3, cost
    for name, value, truth, tolerance in zip(NAMES, found, TRUTH, TOLERANCE, strict=True):
        assert abs(value - truth) < tolerance, (name, value, truth)


class Printing(Monitor):
    """Prints each progress."""

    def onMonitorProgress(self, message: Progress) -> None:
        print(message, flush=True)

    def onMonitorMessage(self, message) -> None:
        pass


class EndAt(Monitor):
    """Tells a fit to end when it has come so far."""

    def __init__(self, job: Proxy, generation: int) -> None:
        self.job, self.generation = job, generation

    def onMonitorProgress(self, message: Progress) -> None:
        if message.complete >= self.generation:
            self.job.abort()

    def onMonitorMessage(self, message) -> None:
        pass


def one_fit(run_file: str, workers: int) -> None:
    """Show each generation, and the result in the end."""
    with Client(workers=workers) as client:
        job = fit(client, run_file)
        client.listen(job.job, Printing())
        result = job.wait()
    check(result)
    print("result:", result)


def all_of_it(folder: str) -> None:
    """Steer it, end it, go on, ask again."""
    run_file = os.path.join(folder, "fit.run")
    with Client(workers=2) as client:
        job = fit(client, run_file)
        job.pause()
        job.set(weight=0.5)
        job.invoke("widen", 1.2)
        client.listen(job.job, EndAt(job, 40))
        job.resume()
        try:
            job.wait()
        except Interrupted as end:
            print(f"ended at {job.progress}; best so far: {end.result[0]:.1f}")
        again = fit(client, run_file)
        result = again.wait()
        check(result)
        print(f"gone on with, {again.checkpoint.number} states kept in all; chi2 {result[0]:.3f}")
        assert again.request.seed == 1
        assert fit(client, run_file).wait() == result  # at once: nothing is computed again
    for name, value, truth in zip(NAMES, result[1], TRUTH, strict=True):
        print(f"{name:12}{value:8.3f}   true: {truth}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--run-file")
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    if given.run_file:
        one_fit(given.run_file, given.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        all_of_it(folder)


if __name__ == "__main__":
    main()
