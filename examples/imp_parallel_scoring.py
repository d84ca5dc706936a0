"""Score many models of a protein assembly against restraints, as programs for IMP.parallel do.

The setup reads the restraints once on each slave; a task makes one model (a random arrangement of the subunits) and
scores it. Some models are the known arrangement, disturbed a little: they must come out best.

    python imp_parallel_scoring.py [NUMBER]   (of models)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from tracking.parallel import LocalSlave, Manager  # was: IMP.parallel

N_SUBUNITS, N_BEADS, BEAD_A = 6, 10, 8.0
NEAR_NATIVE = 25  # each 25th model is one

Point = tuple[float, float, float]
CrossLink = tuple[int, int, int, int, float]  # subunit, bead, subunit, bead, how far apart they may be (Angstrom)


def beads_of(subunit: int) -> list[Point]:
    """The beads of a subunit, around its centre: a helix, a little different for each."""
    turn = 0.6 + 0.1 * subunit
    return [(6 * math.cos(turn * k), 6 * math.sin(turn * k), 3.0 * (k - N_BEADS / 2)) for k in range(N_BEADS)]


def native_centres() -> list[Point]:
    """A ring."""
    angles = [2 * math.pi * k / N_SUBUNITS for k in range(N_SUBUNITS)]
    return [(40 * math.cos(angle), 40 * math.sin(angle), 0.0) for angle in angles]


def write_restraints(path: Path) -> None:
    """What an experiment has found: which beads are close to each other in the native arrangement."""
    placed = [[shifted(bead, centre) for bead in beads_of(k)] for k, centre in enumerate(native_centres())]
    links: list[CrossLink] = []
    for one, other in combinations(range(N_SUBUNITS), 2):
        for i, a in enumerate(placed[one]):
            links += [(one, i, other, j, 34.0) for j, b in enumerate(placed[other]) if math.dist(a, b) < 30]
    path.write_text(json.dumps({"links": links, "radius": BEAD_A / 2}))


def shifted(point: Point, by: Point) -> Point:
    return point[0] + by[0], point[1] + by[1], point[2] + by[2]


class Restraints:
    """What models are scored against."""

    def __init__(self, links: list[CrossLink], radius: float) -> None:
        self.links = links
        self.radius = radius

    def score(self, model: list[list[Point]]) -> float:
        """Square of what cross-links are too long, and of what beads of different subunits overlap."""
        total = 0.0
        for one, i, other, j, limit in self.links:
            total += max(0.0, math.dist(model[one][i], model[other][j]) - limit) ** 2
        for one, other in combinations(model, 2):
            for a in one:
                total += sum(max(0.0, 2 * self.radius - math.dist(a, b)) ** 2 for b in other)
        return total


def load(path: str) -> Restraints:
    """The setup: runs once on each slave. What it gives is the argument of each task."""
    data = json.loads(Path(path).read_text())
    print("restraints loaded by", os.getpid(), flush=True)
    return Restraints([tuple(link) for link in data["links"]], data["radius"])


class ScoreModel:
    """A task: make the model of this number, and score it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, restraints: Restraints) -> tuple[int, float]:
        return self.number, restraints.score(self.model())

    def model(self) -> list[list[Point]]:
        chance = random.Random(self.number)
        spread = 2.0 if self.number % NEAR_NATIVE == 0 else 60.0
        centres = [shifted(centre, tuple(self.moves(chance, spread))) for centre in native_centres()]  # type: ignore[arg-type]
        return [[shifted(bead, centre) for bead in beads_of(k)] for k, centre in enumerate(centres)]

    @staticmethod
    def moves(chance: random.Random, spread: float) -> Iterator[float]:
        return (chance.uniform(-spread, spread) for _ in range(3))


def main(n_models: int = 500) -> None:
    with tempfile.TemporaryDirectory(prefix="ex") as folder:
        write_restraints(Path(folder) / "restraints.json")
        with Manager(output=os.path.join(folder, "slave%d.output")) as manager:
            for _ in range(2):
                manager.add_slave(LocalSlave())
            context = manager.get_context(load, os.path.join(folder, "restraints.json"))
            for number in range(n_models):
                context.add_task(ScoreModel(number), name=f"model {number}")
            scores: dict[int, float] = {}
            for number, score in context.get_results_unordered():
                assert number not in scores, "a result came twice"
                scores[number] = score
                if len(scores) % 50 == 0:
                    print(f"{len(scores)} of {n_models} scored", flush=True)
        n_loads = sum(path.read_text().count("restraints loaded") for path in Path(folder).glob("slave*.output"))
        check(scores, n_models, load(os.path.join(folder, "restraints.json")))
    best = sorted(scores, key=lambda number: scores[number])[:3]
    print(f"best models: {', '.join(f'{number} ({scores[number]:.1f})' for number in best)}")
    print(f"restraints were loaded {n_loads} times for {n_models} models")


def check(scores: dict[int, float], n_models: int, restraints: Restraints) -> None:
    """Every model has the score that it has here, and those near the native arrangement are the best."""
    assert sorted(scores) == list(range(n_models))
    for number in range(0, n_models, 7):
        assert scores[number] == ScoreModel(number)(restraints)[1]
    n_near = len(range(0, n_models, NEAR_NATIVE))
    best = sorted(scores, key=lambda number: scores[number])[:n_near]
    assert all(number % NEAR_NATIVE == 0 for number in best)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Score models of a protein assembly on two slaves of this machine.")
    parser.add_argument("n_models", nargs="?", type=int, default=500, metavar="NUMBER", help="of models (default: 500)")
    main(parser.parse_args().n_models)
