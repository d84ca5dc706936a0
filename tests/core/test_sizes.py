"""How the automatic jobs of a calculation shrink towards its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from tests.core.world import FakeSlave, World
from tracking.core.policy import Policy

ITEM_S = 0.01


def jobs_of(
    hosts: list[str],
    items: int = 400,
    slowness: Mapping[int, float] = MappingProxyType({}),
    seconds_of: Callable[[int], float] = lambda position: ITEM_S,
) -> dict[int, list[int]]:
    """{slave: the sizes of its jobs, in order}; their answers come when they are due, slow ones take times longer."""
    made = World(items, Policy(redistribute=False))
    slaves = [made.add_slave(host, is_here=True) for host in hosts]
    done_at, sizes = dict.fromkeys(made.slaves, 0.0), {slave.number: [] for slave in slaves}  # type: ignore[var-annotated]

    def seconds(slave: FakeSlave) -> float:
        return sum(map(seconds_of, made.positions[slave.jobs[0]])) * slowness.get(slave.number, 1.0)

    while not made.finishes:
        slave = min((slave for slave in slaves if slave.jobs), key=lambda one: done_at[one.number] + seconds(one))
        job_s = seconds(slave)
        done_at[slave.number] += job_s
        sizes[slave.number].append(len(made.positions[slave.jobs[0]]))
        made.done(slave, seconds=job_s)
    uneven_s = max(done_at.values()) - min(done_at.values())
    assert uneven_s <= 2.5 * ITEM_S * max(slowness.values(), default=1.0)
    return sizes


def count(sizes: Mapping[int, list[int]]) -> int:
    """How many jobs that were."""
    return sum(map(len, sizes.values()))


def test_on_one_host_what_waits_at_a_slave_counts_as_a_part_of_its_share() -> None:
    def uneven(position: int) -> float:
        return ITEM_S * (0.05 if position % 40 < 20 else 1.95)

    here, there = (jobs_of(["a", host], seconds_of=uneven) for host in "ab")
    assert count(here) < 0.95 * count(there), "fewer jobs"
    for sizes in (here, there):
        assert sizes[1][-1] == sizes[2][-1] == 1


def test_where_jobs_take_what_was_expected_the_share_of_a_slave_is_cut_into_few() -> None:
    here, there = jobs_of(["a", "a"]), jobs_of(["a", "b"])
    assert count(here) < 0.7 * count(there)
    assert here[1][-1] == here[2][-1] == 1


@pytest.mark.parametrize(("is_here", "n_held"), [(True, {1}), (False, {2})])
def test_only_far_away_a_job_waits_at_each_slave_until_the_end_as_messages_take_time(
    is_here: bool, n_held: set[int]
) -> None:
    made = World(400, Policy(redistribute=False))
    slaves = [made.add_slave(is_here=is_here) for _ in range(2)]
    while made.scheduler.items.count_not_started > 40:
        for slave in slaves:
            made.done(slave, seconds=ITEM_S * len(made.positions[slave.jobs[0]]))
    assert {len(slave.jobs) for slave in slaves} == n_held


def test_one_surprise_at_the_end_makes_jobs_small_again() -> None:
    even = jobs_of(["a", "a"])
    late = jobs_of(["a", "a"], seconds_of=lambda position: ITEM_S * (1 if position < 280 else 3))
    assert count(late) >= 1.2 * count(even)


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
