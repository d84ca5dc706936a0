"""Servers on other hosts over ssh: files for them, what is run before their Python, and their ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import engine
from tests.fabrics.sshd import sshd
from tests.grid.test_files import Importer
from tests.grid.things import Replica
from tests.pool.helpers import WAIT_S
from tracking import EngineError, SlaveLost
from tracking.grid import Grid, Host, create_host_list, remote_mkdirs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[str]:
    with sshd(tmp_path) as path:
        yield str(path)


class Environment:
    def of(self, name: str) -> str | None:
        return os.environ.get(name)


def test_modules_are_copied_to_a_host_and_found_there(config: str, tmp_path: Path) -> None:
    (tmp_path / "root" / "odd 'names'; $HOME").mkdir(parents=True)
    (tmp_path / "root/module_far_away.py").write_text("VALUE = 'far away'\n")
    (tmp_path / "root/odd 'names'; $HOME/a\nb.txt").write_text("odd")
    target = tmp_path / "there's one"
    hosts = [Host("node", str(target), python=sys.executable)]
    with Grid(hosts, ssh_config=config) as grid:
        copied = grid.copy_files(str(tmp_path / "root"), ["*"])
        assert copied == {".": ["module_far_away.py"], "odd 'names'; $HOME": ["odd 'names'; $HOME/a\nb.txt"]}
        assert (target / "odd 'names'; $HOME/a\nb.txt").read_text() == "odd"
        proxy = grid.acquire_service(grid.publish(Importer()))
        assert proxy.value_of("module_far_away").get(WAIT_S) == ("far away", str(target))
        assert grid.servers[proxy.service_id][0].host.name == "node"


def test_an_init_cmd_is_run_before_python_there(config: str, tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text("GRID_TEST='set there'; export GRID_TEST; echo noise; cat\n")
    wrapper = tmp_path / "wrap.sh"
    wrapper.write_text('#!/bin/sh\nGRID_WRAPPED=yes; export GRID_WRAPPED; exec "$@"\n')
    wrapper.chmod(0o755)
    for init_cmd, variable, value in (
        (f". {tmp_path}/env.sh", "GRID_TEST", "set there"),
        (f". {tmp_path}/env.sh;", "GRID_TEST", "set there"),
        (f"{wrapper} !", "GRID_WRAPPED", "yes"),
    ):
        hosts = create_host_list(["node"], str(tmp_path / "t"), 3, sys.executable, init_cmd)
        with Grid(hosts, ssh_config=config) as grid:
            proxy = grid.acquire_service(grid.publish(Environment()))
            assert proxy.of(variable).get(WAIT_S) == value


def test_an_init_cmd_that_fails_is_told(config: str, tmp_path: Path) -> None:
    hosts = create_host_list(["node"], str(tmp_path / "t"), 0, sys.executable, "false")
    with Grid(hosts, ssh_config=config) as grid, pytest.raises(Exception, match="prelude"):
        grid.publish(Environment())


def test_a_killed_server_there_is_replaced(config: str, tmp_path: Path) -> None:
    hosts = create_host_list(["node"] * 2, str(tmp_path / "t"), python=sys.executable)
    with Grid(hosts, ssh_config=config) as grid:
        service_id = grid.publish(Replica())
        first = grid.servers[service_id][0]
        pid = grid.gather(grid.broadcast(service_id, "pid"), WAIT_S)[0]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SlaveLost, match="node"):
            first.proxy.add(1).get(WAIT_S)
        assert grid.gather(grid.scatter(service_id, "add", [1, 2]), WAIT_S) == [1, 2]


def test_a_host_that_takes_no_files_is_named(config: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file").touch()
    (tmp_path / "no_folder").touch()
    words = r"could not be copied there: node: .*mkdir"
    with Grid([Host("node", str(tmp_path / "no_folder/x"))], ssh_config=config) as grid, pytest.raises(
        EngineError, match=words
    ):
        grid.copy_files(str(tmp_path / "root"), ["file"])


def test_folders_are_made_on_a_host(config: str, tmp_path: Path) -> None:
    remote_mkdirs("node", str(tmp_path / "new one" / "below"), ssh_config=config)
    assert (tmp_path / "new one" / "below").is_dir()


def test_initialise_makes_folders_there_and_brings_modules(config: str, tmp_path: Path) -> None:
    (tmp_path / "module_compiled.py").write_text("VALUE = 'compiled'\n")
    with Grid([Host("node", str(tmp_path / "t"), python=sys.executable)], ssh_config=config) as grid:
        grid.initialise(str(tmp_path), ["module_compiled"])
        assert grid.temp_paths == {"node": str(tmp_path / "t")}
        proxy = grid.acquire_service(grid.publish(Importer()))
        assert proxy.value_of("module_compiled").get(WAIT_S) == ("compiled", str(tmp_path / "t"))


def test_servers_here_and_there_make_one_grid(config: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/module_both.py").write_text("VALUE = 'everywhere'\n")
    hosts = [
        Host("localhost", str(tmp_path / "here")),
        Host("node", str(tmp_path / "there"), niceness=4, python=sys.executable),
    ]
    with Grid(hosts, ssh_config=config) as grid:
        grid.copy_files(str(tmp_path / "root"), ["*.py"])
        found = grid.gather(grid.broadcast(grid.publish(Importer()), "value_of", "module_both"), WAIT_S)
    assert found == [("everywhere", str(tmp_path / "here")), ("everywhere", str(tmp_path / "there"))]


def test_two_hosts_of_their_own_networks_serve_a_grid() -> None:
    variables = engine("ssh", "-m", "netns")
    names = variables["TRACKING_SSH_HOSTS"].split()[:2]
    target = tempfile.mkdtemp(prefix="grid")
    try:
        hosts = create_host_list(names, f"{target}/t", python=sys.executable)
        with Grid(hosts, ssh_config=variables["TRACKING_SSH_CONFIG"]) as grid:
            service_id = grid.publish(Replica())
            assert [server.host.name for server in grid.servers[service_id]] == names
            assert grid.gather(grid.broadcast(service_id, "m", "evaluate", False), WAIT_S) == [(1.5, False)] * 2
    finally:
        shutil.rmtree(target)
