"""The names of hosts that old programs know."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracking.hosts
from tests.fabrics.sshd import sshd
from tracking import InputError, TrackingJobMaster
from tracking.fabrics import registry
from tracking.fabrics.machine import usable_cores
from tracking.fabrics.ssh.fabric import SshFabric

FILE = """
[own]
localhost = {slots = 2, ram = "8GB"}
[shared]
node1 = {slots = 3, niceness = 5, ram = "64GB"}
[other]
node2 = 1
"""


@pytest.fixture(autouse=True)
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that has not looked for hosts yet, and a directory and a user without a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("TRACKING_HOSTS", raising=False)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for name in tracking.hosts.__all__:
        vars(tracking.hosts).pop(name, None)
    importlib.reload(tracking.hosts)


def test_the_old_names_say_what_stands_in_the_file(anew: Path) -> None:
    (anew / "hosts.toml").write_text(FILE)
    from tracking.hosts import cpus_all, cpus_other, cpus_own, cpus_shared, nice_dic, nodes_all, nodes_shared, ram_dic

    assert (cpus_own, cpus_shared, cpus_other) == (["localhost"] * 2, ["node1"] * 3, ["node2"])
    assert cpus_all == ["localhost"] * 2 + ["node1"] * 3 + ["node2"]
    assert (nodes_shared, nodes_all) == (["node1"], ["localhost", "node1", "node2"])
    assert nice_dic == {"localhost": 0, "node1": 5, "node2": 19, "default": 20}
    assert ram_dic == {"localhost": 8.0, "node1": 64.0}


def test_without_a_file_this_machine_is_all_there_is() -> None:
    from tracking.hosts import cpus_all, cpus_other, nice_dic, nodes_own, ram_dic

    assert (cpus_all, nodes_own, cpus_other) == (["localhost"] * usable_cores(), ["localhost"], [])
    assert nice_dic == {"localhost": 0, "default": 20}
    assert ram_dic["localhost"] > 0.1


def test_a_name_is_the_same_object_each_time() -> None:
    assert tracking.hosts.cpus_all is tracking.hosts.cpus_all
    assert "cpus_all" in dir(tracking.hosts)


def test_a_file_that_is_named_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKING_HOSTS", "gone.toml")
    with pytest.raises(InputError, match=r"gone\.toml cannot be read"):
        _ = tracking.hosts.cpus_all


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'cpus_mine'"):
        _ = tracking.hosts.cpus_mine  # type: ignore[attr-defined]


def triple(value: int) -> int:
    return 3 * value


def test_an_old_program_works_on_the_hosts_of_the_file(anew: Path) -> None:
    (anew / "hosts.toml").write_text('[own]\nlocalhost = {slots = 2, niceness = 3}')
    from tracking.hosts import cpus_all, nice_dic

    master = TrackingJobMaster({i: i for i in range(6)}, 2, cpus_all, nice_dic, function=triple, verbose=0)
    assert master.calculateResult() == {i: 3 * i for i in range(6)}
    assert [entry["host"] for entry in master.hosts] == ["localhost"] * 2
    assert {type(entry["host"]) for entry in master.hosts} == {str}


def test_a_master_takes_hosts_and_niceness_from_a_file(anew: Path) -> None:
    (anew / "cluster.toml").write_text(FILE)
    master = TrackingJobMaster({1: 1}, 1, "@cluster.toml:own", {"default": 7}, function=triple, verbose=0)
    assert [entry["host"] for entry in master.hosts] == ["localhost"] * 2
    assert master.niceness == {"localhost": 0, "default": 7}
    assert master._tr_fabrics.settings["localhost"].slots == 2


def test_what_is_said_of_a_host_to_the_master_goes_before_the_file(anew: Path) -> None:
    (anew / "hosts.toml").write_text(FILE)
    master = TrackingJobMaster({1: 1}, 1, "@:own", {"default": 7, "localhost": 4}, function=triple, verbose=0)
    assert master.niceness == {"localhost": 4, "default": 7}


def test_a_restarted_master_knows_what_the_file_had_said(anew: Path) -> None:
    (anew / "hosts.toml").write_text("[own]\nlocalhost = {slots = 2, niceness = 3, environment = {A = 1}}")
    master = TrackingJobMaster({i: i for i in range(3)}, 1, ["@"], function=triple, verbose=0)
    master.saveRst("half.rst")
    (anew / "hosts.toml").unlink()
    again = tracking.restart("half.rst", verbose=0)
    assert again._tr_fabrics.settings == master._tr_fabrics.settings
    assert (again.hosts, again.niceness) == (master.hosts, master.niceness)
    assert again.calculateResult() == {0: 0, 1: 3, 2: 6}
    assert tracking.restart("half.rst", hosts=["localhost"], verbose=0)._tr_fabrics.settings == {}


def where(value: int) -> tuple[str, str | None, bool]:
    time.sleep(0.02)  # so that each slave has its share
    return os.getcwd(), os.environ.get("WHAT"), "SSH_CONNECTION" in os.environ


@pytest.mark.engine
def test_hosts_of_a_file_work_over_ssh_as_it_says_beside_this_machine(
    anew: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(anew) as config:
        make = registry._make
        monkeypatch.setattr(
            registry, "_make", lambda name: SshFabric(config) if name == "ssh" else make(name)
        )
        (anew / "scratch").mkdir()
        (anew / "hosts.toml").write_text(f"""
            [own]
            localhost = 1
            [other]
            default = {{python = "{sys.executable}"}}
            node1 = {{slots = 2, directory = "{anew}/scratch", environment = {{WHAT = "that"}}}}
            node2 = 1
            """)
        master = TrackingJobMaster({i: i for i in range(60)}, 1, "@", function=where, verbose=0)
        seen = set(master.calculateResult().values())
    assert seen <= {(str(anew), None, False), (str(anew), None, True), (f"{anew}/scratch", "that", True)}
    assert any(is_remote for _, _, is_remote in seen)


def test_the_module_reads_nothing_before_a_name_is_used() -> None:
    code = "import os; os.environ['TRACKING_HOSTS'] = 'gone'; import tracking.hosts, sys; print('rich' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert answer.stdout == "False\n"
