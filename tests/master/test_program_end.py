"""Ctrl-C, and programs that fall off their end while a master runs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.master.helpers import Program, is_alive, run_program, wait_until

BEGIN = """
import os, time
from tracking import SlavePool, TrackingJobMaster

def work(value):
    if value < 2:
        return value
    with open("began.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.replace("began.tmp", "began")
    while not os.path.exists("go on"):
        time.sleep(0.01)  # a file stays for runs to come, which shall not wait; nobody tells of it
    return value

class Cleaning(TrackingJobMaster):
    def cleanup(self):
        print("cleaned up", flush=True)

master = Cleaning({i: i for i in range(4)}, 1, "localhost", {"default": 0}, verbose=0, function=work,
                  run_file="it.run", redistribute=0)
"""


def interrupted(program: Program, directory: Path) -> int:
    """Send it Ctrl-C as soon as it waits for a slave, and see that nothing is left of it."""
    wait_until((directory / "began").exists)
    slave = int((directory / "began").read_text())
    program.kill(signal.SIGINT)
    status = program.wait()
    assert not is_alive(slave)
    return status


def test_a_program_that_falls_off_its_end_finishes_its_master(tmp_path: Path) -> None:
    (tmp_path / "go on").touch()
    code = BEGIN + "master.setCallback(lambda master: print(master.result, flush=True))\nmaster.start()\n"
    assert run_program(tmp_path, code) == "cleaned up\n{0: 0, 1: 1, 2: 2, 3: 3}\n"


@pytest.mark.parametrize("with_pool", [False, True])
def test_ctrl_c_ends_a_program_that_has_fallen_off_its_end(tmp_path: Path, with_pool: bool) -> None:
    code = BEGIN.replace('"localhost", {"default": 0}', "pool=SlavePool(1)") if with_pool else BEGIN
    program = Program(tmp_path, code + "master.start()\n")
    interrupted(program, tmp_path)
    assert program.out == "cleaned up\n"


def test_ctrl_c_while_waiting_for_the_result_stops_the_slaves_and_the_run_file_goes_on(tmp_path: Path) -> None:
    code = BEGIN + (
        "try:\n"
        "    print(master.calculateResult())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', master.isFinished(), set(master.result) <= {0, 1})\n"
        "    master.saveRst('it.rst')\n"
    )
    program = Program(tmp_path, code.replace("verbose=0", "verbose=1"))
    assert interrupted(program, tmp_path) == 0
    assert program.out == "cleaned up\ninterrupted True True\n"
    assert "of 4 items are recorded in it.run; start the program again to go on" in program.err
    (tmp_path / "go on").touch()
    assert run_program(tmp_path, code) == "cleaned up\n{0: 0, 1: 1, 2: 2, 3: 3}\n"
    going_on = (
        BEGIN.partition("master = ")[0] + "import tracking\nprint(tracking.restart('it.rst').calculateResult())\n"
    )
    assert run_program(tmp_path, going_on) == "cleaned up\n{0: 0, 1: 1, 2: 2, 3: 3}\n"


def test_ctrl_c_that_nobody_catches_is_told_and_ends_the_program(tmp_path: Path) -> None:
    program = Program(tmp_path, BEGIN + "master.calculateResult()\n")
    assert interrupted(program, tmp_path) == -signal.SIGINT
    assert program.err.rstrip().endswith("KeyboardInterrupt")
    assert program.err.count("Traceback") == 1


def test_a_program_that_ends_with_an_error_ends_although_its_master_runs_on(tmp_path: Path) -> None:
    (tmp_path / "go on").touch()
    program = Program(tmp_path, BEGIN + "master.start()\nraise SystemExit(5)\n")
    assert program.wait() == 5
    assert program.out == "cleaned up\n"


def test_a_program_that_is_killed_leaves_no_slave(tmp_path: Path) -> None:
    program = Program(tmp_path, BEGIN + "master.calculateResult()\n")
    wait_until((tmp_path / "began").exists)
    slave = int((tmp_path / "began").read_text())
    program.kill()
    assert program.wait() == -signal.SIGKILL
    wait_until(lambda: not is_alive(slave))


def test_a_daemon_master_is_ended_with_the_program(tmp_path: Path) -> None:
    code = BEGIN + ("master.setDaemon(True)\nmaster.start()\nwhile not os.path.exists('began'): time.sleep(0.01)\n")
    assert run_program(tmp_path, code) == "cleaned up\n"
    assert not is_alive(int((tmp_path / "began").read_text()))
