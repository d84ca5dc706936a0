"""1,000 rounds of acquire, call, get and release while slaves are killed at random: every round ends."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.chaos.storm import Storm
from tests.grid.things import Replica
from tracking import SlaveLost
from tracking.grid import Grid

SERVERS, THREADS, ROUNDS, KILLS_EVERY = 4, 4, 1000, 10


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_rounds_end_well_or_with_an_error_that_says_why() -> None:
    with Grid(["localhost"] * SERVERS, host_failures=None) as grid:
        service_id = grid.publish(Replica())
        pool = grid._published[service_id][0].pool
        outcomes: Counter[str] = Counter()
        lock = threading.Lock()

        def rounds(seed: int) -> None:
            dice = random.Random(seed)
            for number in range(ROUNDS // THREADS):
                if number % KILLS_EVERY == 5 and (pids := sorted(pool.pids.values())):
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(pids), signal.SIGKILL)
                outcome = one_round(grid, service_id, number, dice)
                with lock:
                    outcomes[outcome] += 1

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(rounds, range(7, 7 + THREADS)))
        print(dict(outcomes))
        assert outcomes.total() == ROUNDS
        assert outcomes["right"] > ROUNDS * 0.8
        proxies = {grid.acquire_service(service_id) for _ in range(SERVERS)}
        assert len(proxies) == SERVERS, "all servers are there, and free, in the end"


def one_round(grid: Grid, service_id: str, number: int, dice: random.Random) -> str:
    """Acquire, call, get and release, in any of the orders that are allowed."""
    proxy = grid.acquire_service(service_id)
    is_early = dice.random() < 0.5
    try:
        results = [proxy.add(number, b=n) for n in range(dice.randrange(3))]
        if is_early:
            grid.release_service(proxy)
        assert [result.get() for result in results] == [number + n for n in range(len(results))]
    except SlaveLost:
        return "lost"
    finally:
        if not is_early:
            grid.release_service(proxy)
    return "right"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_servers_that_are_killed_stopped_and_let_go_on_keep_nobody_waiting() -> None:
    with Grid(["localhost"] * SERVERS, host_failures=None, heartbeat=0.1, silence_timeout=0.3) as grid:
        service_id = grid.publish(Replica())
        pool = grid._published[service_id][0].pool

        def rounds(seed: int) -> Counter[str]:
            dice, outcomes = random.Random(seed), Counter[str]()
            while not storm.is_over:
                outcomes[one_round(grid, service_id, seed, dice)] += 1
            return outcomes

        with Storm(lambda: pool.pids.values(), 8.0) as storm, ThreadPoolExecutor(THREADS) as threads:
            outcomes = sum(threads.map(rounds, range(THREADS)), Counter[str]())
        print(dict(outcomes))
        assert outcomes["right"] > outcomes["lost"]
        assert len({grid.acquire_service(service_id) for _ in range(SERVERS)}) == SERVERS
