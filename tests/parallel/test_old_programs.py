"""Programs as they were written for the old module, in both vocabularies, with the module's name changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines import engine
from tests.parallel import work
from tests.parallel.conftest import ManagerOf
from tracking.parallel import Slave

ROOT = Path(__file__).parents[2]

TASKS = """
class Task(object):
    def __init__(self, index):
        self.index = index

    def __call__(self, model, distances):
        if self.index == 3:
            raise ValueError("bad geometry")
        return self.index, sum(distances) * self.index


def setup():
    return "model", [1.0, 2.0]
"""

SLAVES = """
import MODULE
import MODULE.subproc, MODULE.slavestate
import tasks


class OwnSlave(MODULE.Slave):
    def _start(self, command, unique_id, output):
        MODULE.Slave._start(self, command, unique_id, output)
        assert self._state == MODULE.slavestate.started
        MODULE.subproc._run_background("%s %s" % (command, unique_id), output)


class OwnArray(MODULE.SlaveArray):
    def _get_slaves(self):
        return [OwnSlave(), OwnSlave()]


m = MODULE.Manager(host="localhost")
m.heartbeat_timeout = 60
m.add_slave(MODULE.LocalSlave())
m.add_slave(OwnSlave())
m.add_slave(OwnArray())
c = m.get_context(tasks.setup)
for i in range(10):
    c.add_task(tasks.Task(i))
results, errors = [], []
while True:
    try:
        for r in c.get_results_unordered():
            results.append(r)
        break
    except MODULE.RemoteError as detail:
        errors.append((type(detail.exc).__name__, type(detail.traceback).__name__))
print(sorted(results))
print(errors)
try:
    raise MODULE.NoMoreSlavesError("none")
except MODULE.Error as detail:
    print(detail)
"""


def in_workers(program: str) -> str:
    for slave, worker in (("Slave", "Worker"), ("slave", "worker")):
        program = program.replace(slave, worker)
    return program


@pytest.mark.parametrize("vocabulary", ["slaves", "workers"])
def test_a_program_runs_with_its_imports_changed(vocabulary: str, own_folder: Path) -> None:
    program = (SLAVES if vocabulary == "slaves" else in_workers(SLAVES)).replace("MODULE", "tracking.parallel")
    (own_folder / "tasks.py").write_text(TASKS)
    (own_folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=own_folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = [(n, 3.0 * n) for n in range(10) if n != 3]
    assert done.stdout.splitlines() == [str(expected), "[('ValueError', 'list')]", "none"]
    name = vocabulary.removesuffix("s")
    assert sorted(path.name for path in own_folder.glob("*.output")) == [f"{name}{n}.output" for n in range(4)]


@pytest.mark.engine
def test_a_kind_of_one_s_own_reaches_another_host(manager_of: ManagerOf) -> None:
    variables = engine("ssh")
    host = variables["TRACKING_SSH_HOSTS"].split()[0]

    class SshSlave(Slave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            super()._start(command, unique_id, output)
            with open(output, "ab") as file:
                argv = ["ssh", "-F", variables["TRACKING_SSH_CONFIG"], host, f"{command} {unique_id}"]
                return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    manager = manager_of(0)
    manager.heartbeat_timeout = 40
    manager.add_slave(SshSlave())
    context = manager.get_context(work.three)
    tasks = [context.add_task(work.Add(n)) for n in range(5)]
    assert sorted(context.get_results_unordered()) == list(range(6, 11))
    assert {task.host for task in tasks} != {"localhost"}
