"""Masters and slave scripts as they were written for the old package, and programs that guard nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.master.helpers import run_program

OLD_SLAVE = """
import os, sys
from tracking import JobSlave

class Slave(JobSlave):

    def initialize(self, params):
        self.__dict__.update(params)
        self.cache = {}
        self.errorLog = None

    def go(self, jobs):
        result = {}
        for id, frames in jobs.items():
            for f in frames:
                if not f in self.cache:
                    self.cache[f] = f * self.factor
            result[id] = sum([self.cache[f] for f in frames])
        return result

if __name__ == '__main__':
    if len(sys.argv) == 2:
        nice = int(sys.argv[1])
        os.nice(nice)
    slave = Slave()
    slave.start()
"""

OLD_MASTER = """
import os, sys
import tracking
from tracking import TrackingJobMaster

class Master(TrackingJobMaster):

    slave_script = os.path.abspath('slave.py')

    def __init__(self, frames, factor, hosts, niceness, log=None, **kw):
        self.log = log or open('master.log', 'w')
        self.post = 'a field of mine'
        self.verbose = 0
        self.hosts = hosts
        self.errors = 'mine too'
        self.name = 'old master'
        self.frames, self.factor = frames, factor
        data = {}
        for i in range(len(frames)):
            for j in range(i + 1):
                data[(i, j)] = (frames[i], frames[j])
        TrackingJobMaster.__init__(self, data=data, chunk_size=3, hosts=self.hosts, niceness=niceness,
                                   slave_script=self.slave_script, verbose=self.verbose, **kw)
        self.log_jobs = []

    def getInitParameters(self, slave_tid):
        return {'ferror': 'slave.err', 'factor': self.factor}

    def job_done(self, slave_tid, result):
        self.log_jobs.append((self.nicknameFromTID(slave_tid), len(result), slave_tid in self.slaves))

    def cleanup(self):
        self.log.write('cleaned up, %i hosts' % len(self.hosts))
        self.log.close()

    def done(self):
        self.matrix = [[None] * len(self.frames) for _ in self.frames]
        for (i, j), value in self.result.items():
            self.matrix[i][j] = self.matrix[j][i] = value
        assert self.status.done()
        assert len(self.data) == len(self.result)
        assert sum(p['done'] for p in self.progress.values()) == len(self.log_jobs)
        self.exit()

    def getResult(self, **arg):
        return self.matrix

m = Master([1, 2, 3], 10, ['localhost', 'localhost'], {'default': 20}, show_output=0, add_hosts=1, redistribute=0)
m.setCallback(lambda master: print('called back by', master.__class__.__name__))
print(m.calculateResult())
print(all(there for _, _, there in m.log_jobs), sum(n for _, n, _ in m.log_jobs), len(m.log_jobs))
print(open('master.log').read())
print([h['nickname'] for h in m.hosts], m.post, m.getName(), m.isAlive())
"""


def test_an_old_master_and_its_slave_script_run_unchanged(tmp_path: Path) -> None:
    (tmp_path / "slave.py").write_text(OLD_SLAVE)
    assert run_program(tmp_path, OLD_MASTER).splitlines() == [
        "called back by Master",
        "[[20, 30, 40], [30, 40, 50], [40, 50, 60]]",
        "True 6 2",
        "cleaned up, 2 hosts",
        "['localhost_0', 'localhost_1'] a field of mine old master False",
    ]


def test_an_old_master_that_waits_on_the_condition(tmp_path: Path) -> None:
    (tmp_path / "slave.py").write_text(OLD_SLAVE)
    head, _, _ = OLD_MASTER.partition("m = Master(")
    tail = (
        "m = Master([1, 2], 1, ['localhost'], {'default': 20})\n"
        "m.lock.acquire()\nm.start()\nm.lockMsg.wait()\nm.lock.release()\nprint(m.matrix)\n"
    )
    assert run_program(tmp_path, head + tail) == "[[2, 3], [3, 4]]\n"


MAIN_THINGS = """
import enum, dataclasses
import tracking
from tracking import TrackingJobMaster

FACTOR = 3

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int
    colour: Colour = Colour.RED
    def norm(self):
        return FACTOR * (self.x + self.y)

def mirrored(point):
    return Point(point.y, point.x, Colour.BLUE if point.norm() > 9 else point.colour)

def scaler(factor):
    def scale(point):
        return Point(point.x * factor, point.y * factor)
    return scale

data = {Point(i, 2 * i): Point(i, 2 * i) for i in range(4)}
result = tracking.run(mirrored, data, hosts=2, verbose=0)
assert all(type(p) is Point for p in result.values()), result
assert all(p.colour in (Colour.RED, Colour.BLUE) for p in result.values())
assert result[Point(1, 2)].colour is Colour.RED
assert result[Point(3, 6)].colour is Colour.BLUE
assert tracking.run(scaler(5), data, hosts=1, verbose=0)[Point(1, 2)] == Point(5, 10)
assert tracking.run(lambda p: p.norm(), data, hosts=1, verbose=0)[Point(1, 2)] == 9

class Slave(tracking.JobSlave):
    def initialize(self, params):
        self.shift = params
    def go(self, jobs):
        return {id: Point(p.x + self.shift.x, p.y) for id, p in jobs.items()}

class Master(TrackingJobMaster):
    def getInitParameters(self, slave_tid):
        return Point(100, 0)

master = Master(data, hosts=['localhost'], niceness={'default': 0}, slave_script=Slave, verbose=0)
assert master.calculateResult()[Point(1, 2)] == Point(101, 2)
rst = master.getRst()
rst['status_objects'] = dict.fromkeys(rst['status_objects'])
assert tracking.restart(rst).calculateResult()[Point(1, 2)] == Point(101, 2)
print("all is well")
"""


@pytest.mark.parametrize("stdin", [False, True])
def test_things_defined_in_the_program_itself_travel_there_and_back_without_a_guard(
    tmp_path: Path, stdin: bool
) -> None:
    assert run_program(tmp_path, MAIN_THINGS, stdin=stdin) == "all is well\n"


def test_a_run_file_and_a_restart_file_of_such_a_program_go_on_in_it(tmp_path: Path) -> None:
    code = (
        "import os, tracking\n"
        "from tracking import TrackingJobMaster, restart\n"
        "from tracking.master import resume\n"
        "class Master(TrackingJobMaster):\n"
        "    def getResult(self): return sum(self.result.values())\n"
        "def double(x): return 2 * x\n"
        "if not os.path.exists('it.rst'):\n"
        "    m = Master({1: 1, 2: 2}, hosts='localhost', function=double, run_file='it.run', verbose=0)\n"
        "    print(m.calculateResult())\n"
        "    m.saveRst('it.rst')\n"
        "else:\n"
        "    print(restart('it.rst').calculateResult(), resume('it.run').calculateResult())\n"
    )
    assert run_program(tmp_path, code) == "6\n"
    assert run_program(tmp_path, code) == "6 6\n"


def test_what_a_program_prints_at_its_top_it_prints_once(tmp_path: Path) -> None:
    code = "print('top')\nimport tracking\nprint(tracking.run(lambda x: x + 1, {1: 1}, hosts=2, verbose=0))\n"
    assert run_program(tmp_path, code) == "top\n{1: 2}\n"


def test_the_directory_and_the_path_of_the_master_hold_on_its_slaves(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "my_module.py").write_text("def answer(x): return 42\n")
    (tmp_path / "work").mkdir()
    code = (
        "import os, sys, tracking\n"
        "sys.path.insert(0, os.path.abspath('lib'))\n"
        "os.chdir('work')\n"
        "import my_module\n"
        "print(tracking.run(my_module.answer, {1: 1}, hosts=1, verbose=0))\n"
        "print(tracking.run(lambda x: os.path.basename(os.getcwd()), {1: 1}, hosts=1, verbose=0))\n"
    )
    assert run_program(tmp_path, code) == "{1: 42}\n{1: 'work'}\n"


STARTING = """
import sys
sys.path.insert(0, ".")
from tracking import JobSlave, SlavePool, TrackingJobMaster

def double(x):
    return 2 * x

class Slave(JobSlave):
    def go(self, jobs):
        return jobs

def begin(**options):
    hosts = {} if "pool" in options else {"hosts": "localhost"}
    return TrackingJobMaster({1: 1}, verbose=0, **hosts, **options).calculateResult()
"""


@pytest.mark.parametrize(
    "start",
    [
        "begin(slave_script=__file__)",
        "begin(function=double)",
        "begin(slave_script=Slave)",
        "with SlavePool(1) as pool: begin(function=double, pool=pool)",
    ],
)
def test_code_that_starts_a_calculation_when_a_slave_loads_it_is_told_instead_of_starting_ever_more(
    tmp_path: Path, start: str
) -> None:
    (tmp_path / "starting.py").write_text(f"{STARTING}\n{start}\n")
    code = (
        "import sys\nsys.path.insert(0, '.')\nfrom tracking import NoSlavesError\n"
        "try:\n    import starting\nexcept NoSlavesError as error:\n    print(error)\n"
    )
    assert "starts a calculation at its top level" in run_program(tmp_path, code)


def test_a_slave_may_calculate_with_slaves_of_its_own(tmp_path: Path) -> None:
    code = (
        "import tracking\n"
        "def inner(x): return x + 1\n"
        "def outer(x): return sum(tracking.run(inner, {i: i for i in range(x)}, hosts=1, verbose=0).values())\n"
        "print(tracking.run(outer, {3: 3}, hosts=1, verbose=0))\n"
    )
    assert run_program(tmp_path, code) == "{3: 6}\n"
