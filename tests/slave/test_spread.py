"""One job, several hosts, a relay on each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.slave import spread
from tracking.slave.spread import Place, argv_of, places_of

HOSTS = "node1 2 q@node1 UNDEFINED\nnode2 1 q@node2 UNDEFINED\nnode1 1 r@node1 UNDEFINED\n"


def test_each_host_has_one_relay_and_as_many_numbers_as_slots() -> None:
    assert places_of(HOSTS, [7, 8, 9, 10]) == [Place("node1", 3, (7, 9, 10)), Place("node2", 1, (8,))]


def test_other_hosts_are_reached_through_the_engine() -> None:
    place = Place("node2", 3, (8, 9, 10))
    assert argv_of(place, "/a b/s.sh", is_here=True) == ["/bin/sh", "/a b/s.sh", "8", "3"]
    words = ["qrsh", "-inherit", "-nostdin", "node2", "/bin/sh", "'/a b/s.sh'", "8", "3"]
    assert argv_of(place, "/a b/s.sh", is_here=False) == words


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of hosts, and a qrsh that runs the command here."""
    (tmp_path / "hosts").write_text("here 2 q\nthere 1 q\n")
    qrsh = tmp_path / "qrsh"
    qrsh.write_text('#!/bin/sh\nshift 3\nexec sh -c "exec $*"\n')
    qrsh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PE_HOSTFILE", str(tmp_path / "hosts"))
    return tmp_path


def run(job: Path, script: str) -> subprocess.Popen[bytes]:
    (job / "script.sh").write_text(script)
    code = "import sys; from tracking.slave.spread import main; sys.exit(main(sys.argv[1:]))"
    arguments = [str(job / "script.sh"), "7,8,9", str(job / "out")]
    root = str(Path(spread.__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=root)


def test_it_waits_for_all_relays_and_writes_down_how_each_has_ended(job: Path) -> None:
    process = run(job, 'echo "$1 has $2 slots"; [ "$1" = 7 ] || { echo no route; exit 3; }\n')
    assert process.wait(30) == 0
    ends = (job / "out.ended").read_text().splitlines()
    assert sorted(ends) == [
        "7 the relay on here ended with status 0: 7 has 2 slots",
        "8 the relay on there ended with status 3: no route",
        "9 the relay on here ended with status 0: 7 has 2 slots",
    ]


def test_a_relay_that_cannot_be_started_takes_no_other(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    process = run(job, "echo fine\n")
    assert process.wait(30) == 0
    assert "8 could not be started" in (job / "out.ended").read_text()
    assert "7 the relay on here ended with status 0: fine" in (job / "out.ended").read_text()


def test_a_signal_ends_the_relays_with_it(job: Path) -> None:
    for name in ("7", "8"):
        os.mkfifo(job / name)
    process = run(job, f"exec 3> {job}/$1; exec sleep 600\n")
    relays = [(job / name).open("rb") for name in ("7", "8")]  # both have begun
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    for relay in relays:
        with relay:
            assert relay.read() == b"", "it has ended"
