"""Whole programs with pools: what ``__main__`` defines, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.pool.helpers import WAIT_S, wait_for_end

ROOT = Path(__file__).parents[2]


def start(path: Path, text: str) -> subprocess.Popen[str]:
    """Run this as a script."""
    path.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=path.parent,
    )


def run(path: Path, text: str) -> str:
    """What the script prints; it must end well, and say nothing on stderr."""
    with start(path, text) as program:
        output, errors = program.communicate(timeout=WAIT_S)
    assert (program.returncode, errors) == (0, "")
    return output


def test_things_of_main_go_and_come_back_as_what_they_are(tmp_path: Path) -> None:
    output = run(
        tmp_path / "program.py",
        """
from dataclasses import dataclass
from enum import Enum
from tracking import SlavePool

SCALE = 10

class Colour(Enum):
    RED = 1

@dataclass
class Point:
    x: int
    colour: Colour = Colour.RED

def scaled(point):
    return Point(SCALE * point.x, point.colour)

class Odd(Exception):
    pass

def odd(n):
    raise Odd(n)

with SlavePool(2) as pool:
    points = list(pool.map(scaled, [Point(1), Point(2)]))
    print(points == [Point(10), Point(20)], type(points[0]) is Point, points[0].colour is Colour.RED)
    print(type(pool.submit(odd, 3).exception()) is Odd)
    print(pool.submit(lambda n: n + SCALE, 1).result())
""",
    )
    assert output.split() == ["True", "True", "True", "True", "11"]


UNSHUT = """
import os, time
from tracking import SlavePool

def wait(path):
    open(path).read()

pool = SlavePool(2)
while len(pool.pids) < 2:
    time.sleep(0.001)
futures = [pool.submit(wait, PATH) for _ in range(5)]
open(PATH, "w").close()
print(*pool.pids.values(), flush=True)
"""


def test_a_program_that_leaves_its_pool_open_ends_at_once_with_all_slaves(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    output = run(tmp_path / "program.py", UNSHUT.replace("PATH", repr(str(tmp_path / "gate"))))
    wait_for_end(*map(int, output.split()))


def test_the_slaves_of_a_killed_program_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    text = UNSHUT.replace("PATH", repr(str(tmp_path / "gate"))) + "import signal\nsignal.pause()\n"
    with start(tmp_path / "program.py", text) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        program.kill()
    assert len(pids) == 2
    wait_for_end(*pids)


def test_the_slaves_of_a_killed_program_end_though_a_child_that_it_forked_lives_on(tmp_path: Path) -> None:
    """The child holds the program's ends of all lines."""
    os.mkfifo(tmp_path / "gate")
    forks = "import os, signal\nchild = os.fork()\nif not child:\n    signal.pause()\n"
    text = UNSHUT.replace("PATH", repr(str(tmp_path / "gate"))) + forks + "print(child, flush=True)\nsignal.pause()\n"
    with start(tmp_path / "program.py", text) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        child = int(program.stdout.readline())
        program.kill()
        try:
            wait_for_end(*pids)
        finally:
            os.kill(child, signal.SIGKILL)


def test_ctrl_c_while_a_result_is_waited_for_ends_the_program_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    text = f"""
from tracking import SlavePool

def wait(path):
    open(path).read()

with SlavePool(2) as pool:
    future = pool.submit(wait, {str(tmp_path / "gate")!r})
    gate = open({str(tmp_path / "gate")!r}, "w")
    try:
        print(*pool.pids.values(), flush=True)
        future.result()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise
"""
    with start(tmp_path / "program.py", text) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=WAIT_S)
    assert output == "interrupted\n"
    assert errors.rstrip().endswith("KeyboardInterrupt")
    wait_for_end(*pids)


def test_a_forked_child_of_the_program_leaves_the_pool_alone(tmp_path: Path) -> None:
    output = run(
        tmp_path / "program.py",
        """
import os
import sys
from tracking import SlavePool

with SlavePool(1) as pool:
    print(pool.submit(abs, -1).result(), flush=True)
    child = os.fork()
    if not child:
        sys.exit(0)  # with all exit functions
    os.waitpid(child, 0)
    print(pool.submit(abs, -2).result())
""",
    )
    assert output.split() == ["1", "2"]


def test_a_master_still_at_work_at_the_end_of_the_program_is_waited_for(tmp_path: Path) -> None:
    output = run(
        tmp_path / "program.py",
        """
from tracking import SlavePool, TrackingJobMaster

def show(master):
    print(sorted(master.result))

pool = SlavePool(2)
master = TrackingJobMaster({n: n for n in range(5)}, function=abs, pool=pool, verbose=0)
master.setCallback(show)
master.start()
""",
    )
    assert output == "[0, 1, 2, 3, 4]\n"
