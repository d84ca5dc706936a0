"""Servers that die, services and grids that are terminated: whoever waits is told, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from tests.grid.things import Replica, Unmakeable
from tests.pool.helpers import WAIT_S, Gates, wait_for_end
from tracking import InputError, ItemRaised, NoSlavesError, SlaveLost
from tracking.fabrics.base import SlaveSpec
from tracking.grid import Grid, GridClosed, NoServers, create_host_list
from tracking.testing import ScriptedFabric, ScriptedSlave

ROOT = Path(__file__).resolve().parents[2]


class Waiting:
    """A thread that waits for something; what came of it."""

    def __init__(self, wait: Callable[[], Any]) -> None:
        self._wait = wait
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._wait()
        except Exception as error:
            self._outcome = error

    @property
    def outcome(self) -> Any:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "it waits for ever"
        return self._outcome


def test_a_dead_slave_fails_its_calls_naming_host_and_how_and_a_fresh_one_takes_its_place(one: Grid) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    proxy.energy = 9.0
    result, later = proxy.die(), proxy.add(1)
    for lost in (result, later):
        with pytest.raises(SlaveLost, match=r"localhost .*killed by SIGKILL"):
            lost.get(WAIT_S)
    one.release_service(proxy)
    new = one.acquire_service(service_id, WAIT_S)
    assert new is not proxy
    assert new.energy == 1.5, "a fresh copy of what was published"
    with pytest.raises(SlaveLost):
        proxy.add(1).get(WAIT_S)
    assert len(one.servers[service_id]) == 1


def test_a_server_keeps_its_index_and_can_be_called_while_its_slave_is_coming(grid: Grid, service_id: str) -> None:
    first, second = grid.servers[service_id]
    with pytest.raises(SlaveLost):
        first.proxy.die().get(WAIT_S)
    results = grid.scatter(service_id, "add", [1, 2])  # the first of them waits for its slave
    assert grid.gather(results, WAIT_S) == [1, 2]
    assert grid.servers[service_id][0] is not first
    assert grid.servers[service_id][1] is second


def test_a_free_server_that_dies_is_not_given_to_anybody(grid: Grid, service_id: str) -> None:
    pids = grid.gather(grid.broadcast(service_id, "pid"), WAIT_S)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    seen = set()
    while len(seen) < 2:
        proxy = grid.acquire_service(service_id, WAIT_S)
        try:
            seen.add(proxy.pid().get(WAIT_S))
        except SlaveLost:
            grid.release_service(proxy)
    assert not seen & set(pids)


def test_who_waits_for_a_server_gets_the_one_that_takes_the_place_of_a_dead_one(one: Grid) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    waiting = Waiting(lambda: one.acquire_service(service_id).add(5).get())
    proxy.die()
    assert waiting.outcome == 5


def test_a_stopped_slave_wakes_who_waits_when_it_has_been_silent_long_enough() -> None:
    with Grid(["localhost"], heartbeat=0.1) as grid:
        service_id = grid.publish(Replica())
        proxy = grid.acquire_service(service_id)
        os.kill(proxy.pid().get(WAIT_S), signal.SIGSTOP)
        with pytest.raises(SlaveLost, match="has not answered"):
            proxy.add(1).get(WAIT_S)
        assert grid.acquire_service(service_id, WAIT_S).add(1).get(WAIT_S) == 1


def test_terminate_wakes_every_get_and_every_acquire(one: Grid, gates: Gates) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    running, queued = proxy.wait_at(gates.new()), proxy.add(1)
    waiting = [Waiting(running.get), Waiting(queued.get), Waiting(lambda: one.acquire_service(service_id))]
    one.terminate()
    for call in waiting[:2]:
        assert isinstance(call.outcome, SlaveLost)
        assert "was terminated" in str(call.outcome)
        assert "localhost" in str(call.outcome)
    assert isinstance(waiting[2].outcome, GridClosed)
    assert one.ishalted()
    one.terminate()  # once more is nothing
    with pytest.raises(SlaveLost):
        proxy.add(1).get(WAIT_S)
    with pytest.raises(GridClosed):
        one.acquire_service(service_id)
    with pytest.raises(GridClosed):
        one.publish(Replica())


def test_a_call_that_the_end_of_the_grid_leaves_unanswered_says_so_and_speaks_of_no_lost_slave(gates: Gates) -> None:
    with Grid(["localhost"]) as grid:
        proxy = grid.acquire_service(grid.publish(Replica()))
        running, queued = proxy.wait_at(gates.new()), proxy.add(1)
    for result in (running, queued, proxy.add(2)):
        with pytest.raises(SlaveLost, match=r"^the grid was terminated before .* the server on localhost") as caught:
            result.get(WAIT_S)
        assert isinstance(caught.value, GridClosed)
        assert "is lost" not in str(caught.value)
    with Grid(["localhost"]) as grid:
        service_id = grid.publish(Replica())
        running = grid.acquire_service(service_id).wait_at(gates.new())
        grid.terminate(service_id)
        with pytest.raises(GridClosed, match=rf"^server of {service_id} was terminated before"):
            running.get(WAIT_S)


def test_one_service_can_be_terminated_alone(one: Grid) -> None:
    some, other = one.publish(Replica()), one.publish(Replica(2.0))
    one.terminate(some)
    with pytest.raises(GridClosed):
        one.acquire_service(some)
    assert not one.ishalted()
    assert one.acquire_service(other).energy == 2.0


def test_who_calls_all_servers_of_an_ended_service_is_told_that_there_are_none(one: Grid) -> None:
    service_id = one.publish(Replica())
    one.terminate(service_id)
    with pytest.raises(GridClosed):
        one.broadcast(service_id, "pid")
    with pytest.raises(GridClosed):
        one.scatter(service_id, "set_state", [{}])
    unmakeable = one.publish(Unmakeable())
    with pytest.raises(NoServers):
        one.broadcast(unmakeable, "pid")


def test_a_server_can_be_terminated_alone_and_no_other_comes(grid: Grid, service_id: str) -> None:
    first, second = grid.servers[service_id]
    first.terminate()
    with pytest.raises(SlaveLost, match="terminated"):
        first.proxy.add(1).get(WAIT_S)
    assert grid.acquire_service(service_id, WAIT_S) is second.proxy
    assert grid.servers[service_id] == [second]
    second.terminate()
    with pytest.raises(NoServers, match="none will come"):
        grid.acquire_service(service_id)


def test_an_object_that_cannot_be_made_there_leaves_no_server_and_says_why(grid: Grid) -> None:
    service_id = grid.publish(Unmakeable())
    with pytest.raises(NoServers, match="it is not made here") as caught:
        grid.acquire_service(service_id)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert isinstance(caught.value.__cause__.__cause__, ItemRaised), "with the traceback there"


class DiesOfSetup(ScriptedSlave):
    def on_setup(self, calculation: int) -> None:
        self.die()


def test_servers_that_die_before_they_are_ready_are_given_up_with_an_error() -> None:
    with Grid(2, fabric=lambda: ScriptedFabric(slave=DiesOfSetup)) as grid:
        service_id = grid.publish(Replica())
        with pytest.raises(NoServers, match="killed by SIGKILL"):
            grid.acquire_service(service_id)


def test_hosts_on_which_nothing_can_be_started_are_told_by_publish() -> None:
    def failing() -> ScriptedFabric:
        fabric = ScriptedFabric()
        fabric.failing = {"a": "it is down", "b": "so is this"}
        return fabric

    with Grid(["a", "b"], fabric=failing) as grid, pytest.raises(NoSlavesError, match="it is down"):
        grid.publish(Replica())


def test_a_host_that_fails_leaves_the_servers_of_the_others() -> None:
    def half() -> ScriptedFabric:
        fabric = ScriptedFabric()
        fabric.failing = {"a": "it is down"}
        return fabric

    with Grid(["a", "b"], fabric=half) as grid:
        service_id = grid.publish(Replica())
        assert [server.host.name for server in grid.servers[service_id]] == ["b"]
        assert grid.acquire_service(service_id).add(1).get(WAIT_S) == 1


def test_what_was_asked_of_a_server_whose_host_is_given_up_fails() -> None:
    class Dying(ScriptedSlave):
        def on_setup(self, calculation: int) -> None:
            if self.host == "a":
                self.die()
            else:
                self.say_ready(calculation)

    with Grid(["a", "b"], fabric=lambda: ScriptedFabric(slave=Dying), host_failures=1, publish_wait=0) as grid:
        service_id = grid.publish(Replica())
        a, b = grid.broadcast(service_id, "add", 1)
        with pytest.raises(SlaveLost, match="no server can be started there"):
            a.get(WAIT_S)
        assert b.get(WAIT_S) == 1


def test_terminate_in_the_middle_of_publishing_ends_it() -> None:
    class Unborn(ScriptedSlave):
        def on_start(self) -> None:
            begun.set()

    begun = threading.Event()
    grid = Grid(["a"], fabric=lambda: ScriptedFabric(slave=Unborn))
    waiting = Waiting(lambda: grid.publish(Replica()))
    assert begun.wait(WAIT_S)
    grid.terminate()
    assert isinstance(waiting.outcome, GridClosed)


class NeverReady(ScriptedSlave):
    def __init__(self, is_asked: threading.Event, spec: SlaveSpec, fabric: ScriptedFabric) -> None:
        self._is_asked = is_asked
        super().__init__(spec, fabric)

    def on_setup(self, calculation: int) -> None:
        self._is_asked.set()


def test_ctrl_c_while_publishing_leaves_no_server_that_nobody_could_use() -> None:
    is_asked = threading.Event()
    main = threading.main_thread().ident
    interrupt = threading.Thread(target=lambda: is_asked.wait(WAIT_S) and signal.pthread_kill(main, signal.SIGINT))

    def fabric() -> ScriptedFabric:
        return ScriptedFabric(slave=lambda spec, made: NeverReady(is_asked, spec, made))

    with Grid(["a"], fabric=fabric) as grid:
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            grid.publish(Replica())
        interrupt.join(WAIT_S)
        (service_id,) = grid.queues
        assert grid.servers[service_id] == []
        with pytest.raises(NoServers, match="interrupted"):
            grid.acquire_service(service_id)


def test_a_forked_child_ends_nothing_and_is_told_that_it_cannot_call(one: Grid) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    near, far = Pipe()
    pid = os.fork()
    if pid == 0:
        one.terminate()
        for use in (
            lambda: proxy.add(1),
            lambda: one.acquire_service(service_id),  # nobody would ever release one
            lambda: one.broadcast(service_id, "add", 1),
            lambda: one.release_service(proxy),
            lambda: one.publish(Replica()),
        ):
            try:
                use()
            except InputError as error:
                far.send(str(error))
        far.send("all")
        os._exit(0)
    for _ in range(5):
        assert near.poll(WAIT_S)
        assert "another process" in near.recv()
    assert near.poll(WAIT_S)
    assert near.recv() == "all"
    os.waitpid(pid, 0)
    near.close()
    far.close()
    assert proxy.add(1).get(WAIT_S) == 1


def test_a_program_that_ends_without_terminate_leaves_no_server(gates: Gates) -> None:
    program = """
import sys
from tests.grid.things import Replica
from tracking.grid import Grid
grid = Grid(["localhost"] * 2)
service_id = grid.publish(Replica())
pids = grid.gather(grid.broadcast(service_id, "pid"))
grid.servers[service_id][0].proxy.wait_at(sys.argv[1])   # one is busy
print(*pids)
"""
    command = [sys.executable, "-c", program, gates.new()]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_S, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    wait_for_end(*map(int, done.stdout.split()))


def test_a_grid_with_started_thread_ends_with_terminate() -> None:
    grid = Grid(create_host_list(["localhost"], "."))
    grid.start()
    grid.publish(Replica())
    grid.terminate()
    grid.join(WAIT_S)
    assert not grid.is_alive()
