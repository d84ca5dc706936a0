"""Publishing, acquiring, releasing, and calling all servers at once."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.grid.things import Replica, Slotted
from tests.pool.helpers import WAIT_S, Gates
from tracking import EncodeError, InputError
from tracking.grid import (
    AbstractGrid,
    FIFOBasedGrid,
    FileBasedGrid,
    Grid,
    Host,
    PyroGrid,
    Result,
    Server,
    TimeoutError,
    UnknownService,
    create_host_list,
)
from tracking.testing import ScriptedFabric
from tracking.wire import messages as m

ROOT = Path(__file__).resolve().parents[2]


# ---- publish


def test_publish_returns_the_id_and_sets_it_on_the_instance_and_its_copies(grid: Grid) -> None:
    replica: Any = Replica()
    service_id = grid.publish(replica)
    assert service_id == f"Replica.{abs(id(replica))}" == grid.create_service_id(replica)
    assert replica.service_id == service_id
    assert grid.acquire_service(service_id).service_id == service_id


def test_an_instance_without_room_for_the_id_is_published_all_the_same(grid: Grid) -> None:
    assert grid.acquire_service(grid.publish(Slotted())).get().get(WAIT_S) == 3


def test_what_cannot_be_sent_is_told_by_publish(grid: Grid) -> None:
    with pytest.raises(EncodeError):
        grid.publish(n for n in range(3))
    assert grid.servers == {}


def test_a_published_object_keeps_its_id_from_others(one: Grid) -> None:
    ids = {one.publish(Replica()) for _ in range(3)}
    assert len(ids) == 3


def test_the_same_object_published_twice_has_twice_the_servers(one: Grid) -> None:
    replica = Replica()
    assert one.publish(replica) == one.publish(replica)
    assert len(one.broadcast(one.create_service_id(replica), "add", 1)) == 2


def test_servers_know_where_they_are_and_what_they_did(grid: Grid, service_id: str) -> None:
    first, second = grid.servers[service_id]
    proxy = grid.acquire_service(service_id)
    proxy.add(1, 2).get(WAIT_S)
    assert (first.proxy is proxy, first.jobs, first.acquired, first.host.name) == (True, 1, True, "localhost")
    assert (second.jobs, second.acquired, second.service_id) == (0, False, service_id)
    assert len(first.time) == 1
    assert str(first).startswith("SlaveServer(busy=True, <time>=")
    assert 'host="localhost", proxy="<proxy of Replica.' in str(first)


def test_classes_of_the_program_itself_are_published(tmp_path: Path) -> None:
    program = """
from tracking.grid import FileBasedGrid, create_host_list
class State(dict): pass
class Model:
    def __init__(self): self.state = State(x=1)
    def get(self): return self.state
    def put(self, state): self.state = state; return isinstance(state, State)
hosts = create_host_list(['localhost'] * 2, 'temp')
grid = FileBasedGrid(hosts, '', False, 1.0, False, False)
grid.start()
proxy = grid.acquire_service(grid.publish(Model()))
assert type(proxy.get().get()) is State
assert proxy.put(State(x=2)).get() and proxy.put(State(x=3)).get()
assert proxy.get().get() == {'x': 3}
print('well')
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr  # and it ends without terminate


# ---- acquire and release


def test_servers_are_acquired_first_in_first_out(grid: Grid, service_id: str) -> None:
    a, b = (grid.acquire_service(service_id) for _ in range(2))
    assert [server.proxy for server in grid.servers[service_id]] == [a, b]
    grid.release_service(b)
    grid.release_service(a)
    assert grid.acquire_service(service_id) is b
    assert grid.acquire_service(service_id) is a


def test_an_unknown_service_is_an_error(grid: Grid) -> None:
    with pytest.raises(UnknownService, match='Service type "x" not known'):
        grid.acquire_service("x")
    with pytest.raises(UnknownService):
        grid.broadcast("x", "m")


def test_who_waits_for_a_server_waits_no_longer_than_told(one: Grid) -> None:
    service_id = one.publish(Replica())
    one.acquire_service(service_id)
    with pytest.raises(TimeoutError, match="no server of Replica"):
        one.acquire_service(service_id, timeout=0.01)


def test_a_proxy_that_is_released_after_get_is_free_again(one: Grid) -> None:
    service_id = one.publish(Replica())
    for n in range(20):
        proxy = one.acquire_service(service_id, WAIT_S)
        assert proxy.add(n).get(WAIT_S) == n
        one.release_service(proxy)


def test_a_proxy_that_is_released_without_a_call_is_free_again(one: Grid) -> None:
    service_id = one.publish(Replica())
    for _ in range(3):
        one.release_service(one.acquire_service(service_id, WAIT_S))


def test_a_proxy_is_free_when_the_last_call_is_done_not_the_first(one: Grid, gates: Gates) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    first, last = proxy.add(1), proxy.wait_at(gates.new())
    one.release_service(proxy)
    assert first.get(WAIT_S) == 1
    with pytest.raises(TimeoutError):
        one.acquire_service(service_id, timeout=0)
    assert proxy.__dict__["_selfrelease"]
    gates.open_all()
    assert one.acquire_service(service_id, WAIT_S) is proxy
    assert last.get(WAIT_S) == "gone on"
    assert not proxy.__dict__["_selfrelease"], "it was reset"


def test_what_is_no_proxy_of_this_grid_cannot_be_released(one: Grid, grid: Grid, service_id: str) -> None:
    for thing in (3, Replica(), grid.acquire_service(service_id)):
        with pytest.raises(InputError, match="no proxy of a server here"):
            one.release_service(thing)


def test_released_twice_is_released_once(one: Grid) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    one.release_service(proxy)
    one.release_service(proxy)
    assert one.queues[service_id].qsize() == 1


def test_who_waits_gets_the_server_that_another_releases(one: Grid) -> None:
    service_id = one.publish(Replica())
    proxy, got = one.acquire_service(service_id), []
    waiting = threading.Thread(target=lambda: got.append(one.acquire_service(service_id, WAIT_S)))
    waiting.start()
    one.release_service(proxy)
    waiting.join(WAIT_S)
    assert got == [proxy]


def test_a_failed_call_releases_too(one: Grid) -> None:
    service_id = one.publish(Replica())
    proxy = one.acquire_service(service_id)
    failed = proxy.fail("x")
    one.release_service(proxy)
    assert one.acquire_service(service_id, WAIT_S) is proxy
    with pytest.raises(KeyError):
        failed.get(WAIT_S)


# ---- all servers at once


def test_the_known_client_evaluates_gets_and_scatters_states(grid: Grid, service_id: str) -> None:
    assert grid.gather(grid.broadcast(service_id, "m", "evaluate", False)) == [(1.5, False)] * 2
    states = grid.gather(grid.broadcast(service_id, "get_state"))
    assert states == [{"x": 0}] * 2
    new = [{"x": 1, "y": 2}, {"x": 3, "y": 4}]
    assert grid.gather(grid.scatter(service_id, "set_state", new)) == [None, None]
    assert grid.gather(grid.broadcast(service_id, "m", "get_state")) == new


def test_scatter_expands_tuples_and_lists_and_nothing_else(grid: Grid, service_id: str) -> None:
    def scattered(items: list[Any], **options: Any) -> list[Any]:
        return [args for args, _ in grid.gather(grid.scatter(service_id, "same", items, **options), WAIT_S)]

    assert scattered([(1, 2), [3]]) == [(1, 2), (3,)]
    assert scattered(["text", {"a": 1}]) == [("text",), ({"a": 1},)]
    assert scattered([{1, 2}, None]) == [({1, 2},), (None,)]
    assert scattered([]) == []
    assert scattered([5]) == [(5,)], "the first server"
    assert scattered([(), 1]) == [(), (1,)]


def test_scatter_takes_keyword_arguments(grid: Grid, service_id: str) -> None:
    assert grid.gather(grid.scatter(service_id, "add", [(1,), (2,)], [{"b": 10}, {}])) == [11, 2]
    with pytest.raises(InputError, match="keywords for 1"):
        grid.scatter(service_id, "add", [1, 2], [{}])


def test_scatter_refuses_more_arguments_than_servers(grid: Grid, service_id: str) -> None:
    with pytest.raises(InputError, match=r"3 servers; .* has 2"):
        grid.scatter(service_id, "add", [1, 2, 3])


def test_broadcast_calls_acquired_servers_too_and_frees_none(grid: Grid, service_id: str) -> None:
    grid.acquire_service(service_id)
    assert grid.gather(grid.broadcast(service_id, "add", 1, b=2), WAIT_S) == [3, 3]
    assert grid.queues[service_id].qsize() == 1


def test_gather_waits_no_longer_than_told(one: Grid, gates: Gates) -> None:
    results = one.broadcast(one.publish(Replica()), "wait_at", gates.new())
    with pytest.raises(TimeoutError):
        one.gather(results, timeout=0.01)
    gates.open_all()
    assert one.gather(results, WAIT_S) == ["gone on"]


# ---- signatures and the abstract base


def test_the_old_signatures_are_taken(tmp_path: Path) -> None:
    hosts = [Host("localhost", str(tmp_path))]
    assert FileBasedGrid is Grid
    for grid in (
        FileBasedGrid(hosts, "src", False, 0.5, True, True, True),
        FileBasedGrid(hosts, "src", False, 0.5, True, True, nfs_care=True),
        FIFOBasedGrid(hosts, "src", False, 0.5, True, True, False),
        PyroGrid(hosts, "src", False, 0.5, True, True, True, None, False),
        PyroGrid(hosts, "src", False, 0.5, True, True, True, "node", True, method="ssh"),
    ):
        assert isinstance(grid, AbstractGrid)
        assert isinstance(grid, threading.Thread)
        assert (grid.debug, grid.verbose, grid.window_size) == (True, True, "30x10")
        grid.start()
        grid.terminate()
        grid.join(WAIT_S)
        assert not grid.is_alive()
        assert grid.ishalted()


def test_another_method_of_the_pyro_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ssh' or 'qsub', not 'rsh'"):
        PyroGrid([Host("localhost", str(tmp_path))], method="rsh")


def test_release_all_of_the_pyro_grid_frees_what_is_acquired(tmp_path: Path) -> None:
    with PyroGrid(create_host_list(["localhost"] * 2, str(tmp_path))) as grid:
        service_id = grid.publish(Replica())
        for _ in range(2):
            grid.acquire_service(service_id)
        grid.release_all()
        assert grid.queues[service_id].qsize() == 2


@pytest.mark.parametrize("hosts", [[], "localhost", [3], None])
def test_senseless_hosts_are_refused(hosts: Any) -> None:
    with pytest.raises(InputError):
        Grid(hosts)


def test_one_host_has_one_setting(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="named twice"):
        Grid([Host("localhost", str(tmp_path)), Host("localhost", str(tmp_path), niceness=3)])


def test_the_nice_value_of_a_host_is_that_of_its_server(tmp_path: Path) -> None:
    with Grid([Host("localhost", str(tmp_path), niceness=7)]) as grid:
        service_id = grid.publish(Nice())
        assert grid.acquire_service(service_id).value().get(WAIT_S) == 7


class Nice:
    def value(self) -> int:
        import os

        return os.getpriority(os.PRIO_PROCESS, 0)


def test_an_abstract_grid_says_what_is_missing(tmp_path: Path) -> None:
    grid = AbstractGrid([Host("localhost", str(tmp_path / "made"))], "", False, 1.0, False, False, True)
    assert (tmp_path / "made").is_dir()
    for missing in (lambda: grid.publish(1), grid.ishalted, grid.terminate):
        with pytest.raises(NotImplementedError):
            missing()
    with pytest.raises(NotImplementedError):
        Server(grid_proxy(), "x", grid.hosts[0]).terminate()
    grid._at_exit.drop()


def grid_proxy() -> Any:
    return type("Proxy", (), {})()


def test_a_grid_of_ones_own_needs_publish_ishalted_and_a_server(tmp_path: Path) -> None:
    class Local(Server):
        def terminate(self) -> None:
            ended.append(self.service_id)

    class OwnGrid(AbstractGrid):
        def publish(self, instance: Any) -> str:
            for host in self.hosts:
                self.add_server(Local(grid_proxy(), "own", host))
            return "own"

        def ishalted(self) -> bool:
            return self._halted.is_set()

    ended: list[str] = []
    grid = OwnGrid([Host("localhost", str(tmp_path))] * 2)
    service_id = grid.publish(None)
    server = grid.find_server(service_id)
    assert server.grid is grid
    proxy = grid.acquire_service(service_id)
    grid.release_service(proxy)
    grid.add_time(proxy, 2.0)
    assert list(proxy.__dict__["_server"].time) == [2.0]
    grid.terminate()
    assert ended == ["own", "own"]


def test_debugging_prints_where_it_is_told(one: Grid) -> None:
    one.debug_out = io.StringIO()
    one.dp("nothing")
    one.set_debug(True)
    one.dp("something")
    one.set_debug(False, verbose=True)
    one.dp("more")
    assert one.debug_out.getvalue() == "something\nmore\n"


def test_servers_of_another_fabric_come_by_number() -> None:
    with Grid(2, fabric=ScriptedFabric) as grid:
        service_id = grid.publish(Replica())
        assert grid.gather(grid.broadcast(service_id, "add", 1), WAIT_S) == [1, 1]


def test_a_result_of_ones_own_server_is_there_when_its_value_is_set() -> None:
    result = Result("proxy")
    assert not result.event.is_set()
    with pytest.raises(AttributeError):
        _ = result.value
    result.value = 5
    assert (result.event.is_set(), result.value, result.get()) == (True, 5, 5)


def test_results_are_results(one: Grid) -> None:
    assert isinstance(one.acquire_service(one.publish(Replica())).add(1), Result)


def test_a_call_costs_one_message_there_and_one_back_and_nothing_is_polled() -> None:
    fabrics: list[ScriptedFabric] = []

    def new() -> ScriptedFabric:
        fabrics.append(ScriptedFabric())
        return fabrics[-1]

    with Grid(["a"], fabric=new) as grid:
        proxy = grid.acquire_service(grid.publish(Replica()))
        (slave,) = fabrics[0].slaves
        before = len(slave.heard)
        for n in range(10):
            assert proxy.add(n).get(WAIT_S) == n
        kinds = [message[0] for message in slave.heard[before:]]
        assert [kind for kind in kinds if kind != m.BEAT] == [m.JOB] * 10


def test_terminated_servers_are_listed_no_more_and_their_queue_stays(one: Grid) -> None:
    service_id = one.publish(Replica())
    one.terminate(service_id)
    assert service_id not in one.servers
    assert service_id in one.queues
