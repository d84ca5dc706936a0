"""Wrong use gets a clear error that names the thing, and nothing is started or left behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import PATIENCE_S, master_of, squares
from tests.master.work import Squares, square
from tracking import (
    InputError,
    JobMaster,
    JobSlave,
    NoSlavesError,
    SlavePool,
    StoreError,
    TrackingJobMaster,
    restart,
    run,
)

HEADER = "from tracking import JobSlave\n"
SLAVE = "class {}(JobSlave):\n    def go(self, jobs):\n        return jobs\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": [1, 2]}, r"data must be a dict .*; for a list: dict\(enumerate\(data\)\)"),
        ({"hosts": ["localhost*0"]}, r"'localhost\*0' is no host name: write 'name', or 'name\*n'"),
        ({"function": None, "slave_script": square}, r"; for a function: function=\.\.\."),
        ({"function": None, "slave_script": JobSlave}, r"slave class JobSlave does not define go\(self, jobs\)"),
        ({"data": range(3)}, r"not of type range; for its elements: dict\(enumerate\(data\)\)"),
        ({"data": None}, "data must be a dict"),
        ({"verbose": "yes"}, r"verbose must be 0 \(silent\), 1 .* not 'yes'"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
        ({"chunk_size": -3}, "chunk_size must be at least 1"),
        ({"chunk_size": "many"}, "chunk_size .* 'auto'; not 'many'"),
        ({"chunk_size": 2.5}, "chunk_size must be a whole number"),
        ({"chunk_size": True}, "chunk_size must be a whole number"),
        ({"hosts": ["no-such-host.invalid"]}, "'no-such-host.invalid' neither resolves nor is known to ssh"),
        ({"hosts": ["-oProxyCommand=x"]}, "'-oProxyCommand=x' cannot be the name of a host"),
        ({"hosts": ["no-such-host.invalid"], "fabric": "local"}, "fabric 'local' .* machine only, .*'no-such-h"),
        ({"hosts": [""]}, "host ''"),
        ({"hosts": [3]}, "a host must be given by its name, not as 3"),
        ({"hosts": 0}, "at least 1"),
        ({"hosts": 2.5}, "hosts must be a list of host names, or a whole number"),
        ({"niceness": {"localhost": "very"}}, "niceness of 'localhost'"),
        ({"niceness": "very"}, "niceness must be a number, or a dict"),
        ({"function": None}, "nothing says what to do"),
        ({"function": 3}, "function must be callable, not of type int"),
        ({"slave_script": "slave.py"}, "either function or slave_script"),
        ({"retries": -1}, "retries"),
        ({"retries": 1.5}, "retries must be a whole number"),
        ({"item_timeout": -1}, "item_timeout"),
        ({"max_deaths": 0}, "max_deaths"),
        ({"host_failures": 0}, "host_failures"),
        ({"silence_timeout": "long"}, "silence_timeout"),
        ({"heartbeat": 0}, "heartbeat"),
        ({"memory_limit": "much"}, "memory_limit"),
        ({"max_jobs": 0}, "max_jobs"),
        ({"on_change": "forget"}, "on_change"),
        ({"redistribute": "often"}, "redistribute"),
        ({"on_error": "ignore"}, "on_error must be one of 'raise', 'collect'"),
        ({"fabric": "carrier pigeons"}, "no fabric 'carrier pigeons'; there are: .*local"),
        ({"fabric": 3}, "fabric must be a name"),
        ({"pool": "mine", "hosts": ()}, "pool must be a SlavePool"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"data": {}, "function": square, "hosts": ["localhost"], "verbose": 0} | options
    with pytest.raises(InputError, match=words):
        TrackingJobMaster(**arguments)


def test_a_subclass_that_does_not_call_our_init_is_told_so() -> None:
    class Forgetful(TrackingJobMaster):
        def __init__(self) -> None:
            self.mine = 1

    for use in (TrackingJobMaster.start, TrackingJobMaster.calculateResult):
        with pytest.raises(InputError, match=r"Forgetful\.__init__ must call super\(\)"):
            use(Forgetful())


def test_a_misspelled_option_of_run_is_named_with_what_is_meant() -> None:
    with pytest.raises(TypeError, match=r"run\(\) has no option 'retires'; is 'retries' meant\?"):
        run(square, {}, retires=3)
    with pytest.raises(TypeError, match=r"run\(\) has no option 'xyzzy'$"):
        run(square, {}, xyzzy=3)


def test_every_wrong_argument_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        master_of(chunk_size=0)


def test_a_result_must_be_a_dict() -> None:
    with pytest.raises(InputError, match="result must be a dict"):
        JobMaster({}, 1, [], {}, "", result=[1], function=square)  # type: ignore[arg-type]


def test_data_assigned_later_are_looked_at_too() -> None:
    master = master_of()
    master.data = [1, 2, 3]
    with pytest.raises(InputError, match="data must be a dict"):
        master.start()


def test_spawn_refuses_such_hosts_as_well() -> None:
    class Spawning(TrackingJobMaster):
        def initializationDone(self, slave_tid: int) -> None:
            self.spawn("no-such-host.invalid", "far", 0)

    with pytest.raises(InputError, match="no-such-host"):
        master_of(cls=Spawning, fabric="local").calculateResult()


def test_a_pool_brings_its_own_hosts_and_niceness(pool: SlavePool) -> None:
    for options in ({"hosts": ["localhost"]}, {"niceness": {"default": 20}}, {"niceness": {"default": 0}}):
        with pytest.raises(InputError, match="either pool or hosts and niceness"):
            TrackingJobMaster({}, function=square, pool=pool, **options)


def test_a_pool_brings_what_holds_for_its_slaves(pool: SlavePool, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give memory_limit to the pool"):
        master_of(pool=pool, memory_limit="2GB")
    file = tmp_path / "it.rst"
    master_of(2, memory_limit="2GB", max_jobs=100).saveRst(file)
    assert restart(file, pool=pool).calculateResult() == {0: 0, 1: 1}


def test_a_pool_that_is_shut_down_is_refused() -> None:
    pool = SlavePool(1)
    before = master_of(pool=pool)
    pool.shutdown()
    with pytest.raises(InputError, match="shut down"):
        master_of(pool=pool)
    with pytest.raises((NoSlavesError, InputError)):
        before.calculateResult()


# ---- slave scripts


def script(directory: Path, code: str) -> Path:
    path = directory / "slave.py"
    path.write_text(code)
    return path


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def broken(:\n", "slave.py', line 1: "),
        ("x = 1\n", "defines no JobSlave subclass"),
        (HEADER, "defines no JobSlave subclass"),
        (HEADER + SLAVE.format("A") + SLAVE.format("B"), r"more than one JobSlave subclass \(A, B\)"),
        ("\0", "slave.py"),
    ],
)
def test_a_slave_script_that_cannot_work_is_refused(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        master_of(slave_script=script(tmp_path, code))


def test_a_slave_script_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.py' cannot be read: No such file"):
        master_of(slave_script=tmp_path / "none.py")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        master_of(slave_script=tmp_path)


def test_a_class_that_is_no_slave_is_refused() -> None:
    with pytest.raises(InputError, match="int is a class, but no JobSlave"):
        master_of(slave_script=int)
    with pytest.raises(InputError, match="must be a path or a JobSlave subclass"):
        master_of(slave_script=3)


@pytest.mark.parametrize(
    "code",
    [
        HEADER + SLAVE.format("A"),
        HEADER + SLAVE.format("A") + SLAVE.format("B").replace("JobSlave", "A"),
        HEADER + SLAVE.format("A") + SLAVE.format("B") + "B().start()\n",
        "import tracking\n" + SLAVE.format("A").replace("JobSlave", "tracking.JobSlave"),
        "from tests.master.work import Squares\n",
    ],
)
def test_slave_scripts_in_all_their_forms_work(tmp_path: Path, code: str) -> None:
    data = {1: 1}
    assert master_of(data, slave_script=script(tmp_path, code)).calculateResult() == data


def test_a_slave_class_works() -> None:
    assert master_of(slave_script=Squares).calculateResult() == squares(6)


# ---- run files


def test_a_file_that_is_no_run_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("chapter one")
    refused(master_of(run_file=path), "thesis.txt")
    assert path.read_text() == "chapter one"


def test_a_run_file_of_other_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    master_of(3, run_file=path).calculateResult()
    refused(master_of({"a": 1}, run_file=path), "it.run")
    assert master_of(3, run_file=path).calculateResult() == squares(3)


def test_a_run_file_that_another_master_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.run"
    code = (
        "import sys; from tests.master.helpers import master_of\n"
        f"master = master_of(2, lambda x: sys.stdin.read() or x, run_file={str(path)!r})\n"
        "class Waiting(type(master)):\n"
        "    def initialize(self): print('begun', flush=True); sys.stdin.read()\n"
        "master.__class__ = Waiting\n"
        "master.calculateResult()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        refused(master_of(2, run_file=path), "it.run")
        other.communicate(timeout=PATIENCE_S)


def test_a_run_file_in_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    closed = tmp_path if os.geteuid() else Path("/sys")  # root may write anywhere else
    refused(master_of(run_file=closed / "it.run"), "it.run")


def test_a_run_file_in_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(master_of(run_file=tmp_path / "nowhere" / "it.run"), "it.run")


def refused(master: Any, words: str) -> None:
    """Its start is refused, and nothing was begun."""
    with pytest.raises(StoreError, match=words):
        master.start()
    assert not master.is_alive()
    assert not master.slaves
    assert not master.isFinished()
