"""How the automatic jobs of a calculation shrink towards its end."""

from __future__ import annotations

from tests.core.world import World
from tracking.core.policy import Policy

ITEM_S = 0.01


def jobs_of(hosts: list[str], items: int = 400, slowness: dict[int, int] | None = None) -> dict[int, list[int]]:
    """{slave: the sizes of its jobs, in order}; whoever is done first goes on first, slow ones take times longer."""
    made = World(items, Policy(redistribute=False))
    slaves = [made.add_slave(host) for host in hosts]
    done_at, sizes = dict.fromkeys(made.slaves, 0.0), {slave.number: [] for slave in slaves}  # type: ignore[var-annotated]
    while not made.finishes:
        slave = min((slave for slave in slaves if slave.jobs), key=lambda slave: done_at[slave.number])
        size = len(made.positions[slave.jobs[0]])
        seconds = size * ITEM_S * (slowness or {}).get(slave.number, 1)
        done_at[slave.number] += seconds
        sizes[slave.number].append(size)
        made.done(slave, seconds=seconds)
    return sizes


def test_on_one_host_what_waits_at_a_slave_counts_as_a_part_of_its_share() -> None:
    here, there = jobs_of(["a", "a"]), jobs_of(["a", "b"])
    assert sum(map(len, here.values())) < 0.9 * sum(map(len, there.values())), "fewer jobs"
    for sizes in (here, there):
        assert abs(sum(sizes[1]) - sum(sizes[2])) <= 2, "and an even end all the same"
        assert sizes[1][-1] == sizes[2][-1] == 1


def test_a_slave_that_has_proved_slow_gets_less_towards_the_end() -> None:
    sizes = jobs_of(["a", "a", "a"], items=600, slowness={3: 4})
    assert sum(sizes[3]) * 3 < sum(sizes[1])
    assert sizes[3][-1] <= 2, "it is not the one that all wait for"


def test_jobs_of_a_fixed_size_stay_what_they_are_on_a_slave_that_has_proved_slow() -> None:
    made = World(40, Policy(chunk_size=5, redistribute=False))
    quick, slow = made.add_slave(), made.add_slave()
    made.done(quick, seconds=0.05)
    made.done(slow, seconds=5.0)
    assert {len(positions) for positions in made.positions.values()} == {5}
