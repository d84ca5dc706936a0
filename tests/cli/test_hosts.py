"""``tracking hosts``: which machines there are, and whether they can be used."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.cli.programs import call
from tracking.cli import COULD_NOT_RUN, hosts, main
from tracking.fabrics.host_report import HostReport
from tracking.fabrics.hosts_file import parse
from tracking.fabrics.machine import usable_cores
from tracking.fabrics.settings import HostSettings

FILE = """
[own]
localhost = 2
[shared]
node1 = {slots = 8, ram = "64GB", python = "/opt/py/bin/python3", directory = "/scratch/me"}
[other]
node2 = 1
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("TRACKING_HOSTS", raising=False)
    (tmp_path / "cluster.toml").write_text(FILE)
    return tmp_path


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The hosts that were tried; node2 is down."""
    tried: list[Sequence[str]] = []

    def try_hosts(names: Sequence[str], settings: Mapping[str, HostSettings]) -> dict[str, HostReport]:
        tried.append(names)
        reports = {name: HostReport(name, "", "3.11.2", 4, 0.5) for name in names}
        if "node2" in names:
            reports["node2"] = HostReport("node2", "ssh: connect to host node2 port 22: No route to host")
        return reports

    monkeypatch.setattr(hosts, "try_hosts", try_hosts)
    return tried


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("name", ["cluster.toml", "@cluster.toml"])
def test_the_hosts_of_a_file_are_listed(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["hosts", "list", name]) == 0
    assert rows(capsys.readouterr().out) == [
        ["host", "class", "slots", "niceness", "ram", "python", "directory"],
        ["localhost", "own", "2", "0"],
        ["node1", "shared", "8", "10", "64", "GB", "/opt/py/bin/python3", "/scratch/me"],
        ["node2", "other", "1", "19"],
        ["3", "hosts,", "11", "slots"],
    ]


def test_some_classes_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "list", "cluster.toml:other"]) == 0
    assert rows(capsys.readouterr().out)[1:] == [["node2", "other", "1", "19"], ["1", "host,", "1", "slot"]]


def test_without_a_file_this_machine_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "list"]) == 0
    assert rows(capsys.readouterr().out)[1][:4] == ["localhost", "own", str(usable_cores()), "0"]


def test_the_hosts_of_the_usual_file_are_tried_once_each_and_what_is_wrong_is_shown(
    here: Path, capsys: pytest.CaptureFixture[str], tried: list[Sequence[str]]
) -> None:
    (here / "hosts.toml").write_text(FILE)
    assert main(["hosts", "check"]) == 1
    assert tried == [["localhost", "node1", "node2"]]
    told = rows(capsys.readouterr().out)
    assert told[1] == ["localhost", "own", "2", "0", "3.11.2", "4", "0.5", "yes"]
    assert told[2] == ["node1", "shared", "8", "10", "3.11.2", "4", "0.5", "yes"]
    assert " ".join(told[3]) == "node2 other 1 19 no ssh: connect to host node2 port 22: No route to host"
    assert told[-1] == ["2", "of", "3", "hosts", "can", "be", "used"]


def test_hosts_and_files_can_be_named(capsys: pytest.CaptureFixture[str], tried: list[Sequence[str]]) -> None:
    assert main(["hosts", "check", "plain", "@cluster.toml:shared"]) == 0
    assert tried == [["plain", "node1"]]
    assert rows(capsys.readouterr().out)[1] == ["plain", "1", "3.11.2", "4", "0.5", "yes"]


def test_this_machine_can_be_used() -> None:
    answer = call("hosts", "check", "localhost")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "1 of 1 host can be used" in answer.stdout


def test_a_name_that_means_no_machine_is_said_to_be_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "check", "localhost", "no-such-host.invalid"]) == 1
    told = capsys.readouterr().out
    assert "no-such-host.invalid" in told.splitlines()[2]
    assert "1 of 2 hosts can be used" in told


@pytest.mark.parametrize("words", [["list", "gone.toml"], ["check", "@gone.toml"]])
def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["hosts", *words]) == COULD_NOT_RUN
    assert "hosts file gone.toml cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["list", "check"])
def test_its_commands_explain_themselves_with_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["hosts", command, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"tracking hosts {command}" in told
    assert "Examples:" in told


def test_the_file_in_the_help_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "--help"]) == 0
    told = capsys.readouterr().out
    file = parse(textwrap.dedent(told[told.index("    [own]") : told.index("  Examples:")]), "help")
    assert file.nodes() == ["localhost", "node1", "node2.example.org"]


def test_a_run_takes_its_hosts_from_a_file(here: Path) -> None:
    (here / "work.py").write_text("import os\ndef nice(value):\n    return os.getpriority(os.PRIO_PROCESS, 0)\n")
    (here / "data.json").write_text("[1, 2, 3]")
    (here / "hosts.toml").write_text("[own]\nlocalhost = {slots = 2, niceness = 7}\n")
    answer = call("run", "work:nice", "data.json", "-o", "out.json", "--hosts", "@", "-q")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert min(json.loads((here / "out.json").read_text()).values()) >= 7


def test_a_file_that_is_wrong_is_told_before_a_run_begins(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.toml").write_text("[own]\nlocalhost = {slot = 2}\n")
    assert main(["run", "work:f", "data.json", "-o", "out.json", "--hosts", "@bad.toml"]) == COULD_NOT_RUN
    assert "hosts file bad.toml, [own], localhost: there is no key 'slot'" in capsys.readouterr().err
