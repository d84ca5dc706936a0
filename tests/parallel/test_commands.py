"""Slaves that are started by a command: those of one's own kinds, and of another Python."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fabrics.test_dialled import command_line_of, environment_of, ports_open_here
from tests.parallel import work
from tests.parallel.conftest import Gates, ManagerOf
from tracking.parallel import LocalSlave, Manager, NetworkError, Slave, SlaveArray, WorkerArray, slavestate, subproc


class OwnSlave(Slave):
    """As programs write it: it starts a process in its own way."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        super()._start(command, unique_id, output)
        self.calls.append((command, unique_id, output))
        with open(output, "w") as file:
            process = subprocess.Popen(f"{command} {unique_id}", shell=True, stdout=file, stderr=file)  # noqa: S602
        self.processes.append(process)
        return process

    def wait(self) -> None:
        """It is the user's own process: the user waits for it."""
        for process in self.processes:
            process.wait(work.WAIT_S)


class OwnArray(SlaveArray):
    """It only starts its slaves when all of them were told what to start."""

    def __init__(self, n: int) -> None:
        self.slaves = [ArraySlave() for _ in range(n)]
        self.commands: list[str] = []

    def _get_slaves(self) -> list[Any]:
        return self.slaves

    def _start(self, command: str) -> Any:
        self.commands.append(command)
        for slave in self.slaves:
            if slave.told is not None:
                unique_id, output = slave.told
                slave.told = None
                slave._process = subproc._run_background(f"{command} {unique_id}", output)
                slave.processes.append(slave._process)


class ArraySlave(Slave):
    def __init__(self) -> None:
        self.told: tuple[str, str] | None = None
        self.processes: list[subprocess.Popen[bytes]] = []

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        super()._start(command, unique_id, output)
        self.told = unique_id, output


def test_a_kind_of_one_s_own_works_and_is_told_its_command_id_and_file(
    manager_of: ManagerOf, own_folder: Path
) -> None:
    manager, slave = manager_of(host="localhost"), OwnSlave()
    manager.add_slave(slave)
    context = manager.get_context(work.three)
    for n in range(10):
        context.add_task(work.Add(n))
    assert slave._state == slavestate.init
    assert sorted(context.get_results_unordered()) == list(range(6, 16))
    ((command, unique_id, output),) = slave.calls
    assert command.startswith(f"{sys.executable} -P ")
    assert "slave_handler.py" in command
    assert unique_id.startswith("0:")
    assert output == "slave0.output"
    manager.close()
    slave.wait()


def test_without_a_host_it_is_found_at_all_addresses_of_this_machine_and_lines_are_encrypted(
    manager_of: ManagerOf,
) -> None:
    manager, slave = manager_of(), OwnSlave()
    manager.add_slave(slave)
    context = manager.get_context()
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]
    manager.close()
    slave.wait()


def test_a_process_that_only_its_kind_knows_ends_by_itself_after_the_manager(manager_of: ManagerOf) -> None:
    class Secretive(OwnSlave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            super()._start(command, unique_id, output)
            self._process = None

    manager, slave = manager_of(host="localhost"), Secretive()
    manager.add_slave(slave)
    context = manager.get_context()
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]
    manager.close()
    slave.wait()


def test_an_unknown_host_is_refused_where_it_is_given() -> None:
    with pytest.raises(socket.gaierror):
        Manager(host="no-such-host.invalid")


@pytest.mark.parametrize("host", ["0.0.0.0", "", "127.0.0.1", None])  # noqa: S104  (listening there is asked for)
def test_any_host_that_means_this_machine_will_do(host: str | None, manager_of: ManagerOf) -> None:
    manager, slave = manager_of(host=host), OwnSlave()  # type: ignore[arg-type]
    manager.add_slave(slave)
    context = manager.get_context()
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]
    manager.close()
    slave.wait()


def test_no_port_is_open_before_slaves_are_started_nor_where_all_are_forked(manager_of: ManagerOf) -> None:
    manager = manager_of(1, host="localhost")
    context = manager.get_context()
    assert ports_open_here() == set()
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]
    assert ports_open_here() == set()


def test_the_secret_is_neither_in_command_lines_nor_in_environments_and_its_file_is_private(
    manager_of: ManagerOf, gates: Gates, tmp_path: Path
) -> None:
    manager, slave = manager_of(host="localhost"), OwnSlave()
    manager.add_slave(slave)
    context = manager.get_context()
    context.add_task(work.pid)
    (pid,) = context.get_results_unordered()
    (ticket,) = (tmp_path / "home" / ".tracking").glob("parallel-*/ticket")
    assert ticket.stat().st_mode & 0o777 == 0o600
    key = ticket.read_text().partition('"key": "')[2].partition('"')[0]
    assert len(key) >= 32
    for process in (pid, slave.processes[0].pid):
        assert key not in command_line_of(process) + str(environment_of(process))
    manager.close()
    slave.wait()
    assert not ticket.exists()


# ---- python


def test_python_is_text_for_a_shell_of_many_words(manager_of: ManagerOf) -> None:
    python = f"MY_MODULE=loaded; export MY_MODULE; /usr/bin/env {shlex.quote(sys.executable)}"
    manager = manager_of(2, python=python)
    context = manager.get_context()
    for _ in range(4):
        context.add_task(functools.partial(work.environment, "MY_MODULE"))
    assert list(context.get_results_unordered()) == 4 * ["loaded"]


def test_what_is_wrong_with_a_python_is_in_the_file_of_its_slave(manager_of: ManagerOf, own_folder: Path) -> None:
    manager = manager_of(1, python="echo no licence; exit 7;")
    context = manager.get_context()
    context.add_task(work.Add(1))
    with pytest.raises(Exception, match="exit status 7"):
        list(context.get_results_unordered())
    assert (own_folder / "slave0.output").read_text().startswith("no licence\n")


def test_slaves_of_another_python_are_replaced_when_their_process_is_killed(
    manager_of: ManagerOf, tmp_path: Path
) -> None:
    manager = manager_of(1, python=shlex.quote(sys.executable))
    context = manager.get_context()
    context.add_task(os.getppid)
    (relay,) = context.get_results_unordered()
    os.kill(relay, signal.SIGKILL)
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]


def test_what_slaves_of_another_python_print_is_in_their_files(manager_of: ManagerOf, own_folder: Path) -> None:
    manager = manager_of(1, python=shlex.quote(sys.executable))
    context = manager.get_context()
    context.add_task(functools.partial(work.say, "hello"))
    list(context.get_results_unordered())
    manager.close()
    assert (own_folder / "slave0.output").read_text() == "hello\nhello\n"


# ---- arrays


@pytest.mark.parametrize("has_worker_vocabulary", [False, True])
def test_an_array_is_started_once_after_all_its_slaves(has_worker_vocabulary: bool, manager_of: ManagerOf) -> None:
    array = OwnArray(3)
    if has_worker_vocabulary:
        slaves = array.slaves

        class Workers(WorkerArray):
            _start = staticmethod(array._start)  # type: ignore[assignment]

            def _get_workers(self) -> list[Any]:
                return slaves

        added: Any = Workers()
    else:
        added = array
    manager = manager_of(1, host="localhost")
    manager.add_worker(added) if has_worker_vocabulary else manager.add_slave(added)
    context = manager.get_context()
    for n in range(20):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(20))
    assert len(array.commands) == 1
    numbers = [slave.processes for slave in array.slaves]
    assert all(len(processes) == 1 for processes in numbers)
    manager.close()
    for slave in array.slaves:
        slave.processes[0].wait(work.WAIT_S)


def test_a_slave_of_an_array_that_is_lost_is_started_anew_alone(manager_of: ManagerOf) -> None:
    array, manager = OwnArray(1), manager_of(host="localhost")
    manager.add_slave(array)
    context = manager.get_context()
    context.add_task(os.getppid)
    (relay,) = context.get_results_unordered()
    os.kill(relay, signal.SIGKILL)
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]
    assert len(array.commands) == 2
    manager.close()
    for process in array.slaves[0].processes:
        process.wait(work.WAIT_S)


def test_numbers_go_on_from_slaves_alone_to_those_of_arrays(manager_of: ManagerOf, own_folder: Path) -> None:
    manager, array, single = manager_of(host="localhost"), OwnArray(2), OwnSlave()
    manager.add_slave(array)
    manager.add_slave(single)
    list(manager.get_context().get_results_unordered())
    later = OwnSlave()
    manager.add_slave(later)
    list(manager.get_context().get_results_unordered())
    assert single.calls[0][2] == "slave0.output"
    assert later.calls[0][2] == "slave3.output"
    assert sorted(path.name for path in own_folder.iterdir()) == [f"slave{n}.output" for n in range(4)]
    manager.close()
    for slave in (single, later, *array.slaves):
        for process in slave.processes:
            process.wait(work.WAIT_S)


@pytest.mark.parametrize("is_array", [False, True])
def test_what_a_start_raises_comes_out_of_the_first_next(is_array: bool, manager_of: ManagerOf) -> None:
    class Failing(OwnSlave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            raise FileNotFoundError("no submit host")

    class FailingArray(OwnArray):
        def _start(self, command: str) -> Any:
            raise FileNotFoundError("no submit host")

    manager = manager_of(1, host="localhost")
    manager.add_slave(FailingArray(2) if is_array else Failing())
    context = manager.get_context()
    context.add_task(work.Add(1))
    with pytest.raises(FileNotFoundError, match="no submit host"):
        list(context.get_results_unordered())
    assert list(context.get_results_unordered()) == [1]


# ---- strangers


def stranger(port: int, said: bytes) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(said)
    return line


@pytest.mark.parametrize("said", [b"", b"0:ABCDEFGH", b"\xff\xfe\x00binary" * 100], ids=["silent", "guess", "binary"])
def test_strangers_on_the_port_delay_and_end_nothing(said: bytes, manager_of: ManagerOf, gates: Gates) -> None:
    """They come while a slave is awaited, and stay: the run ends long before they hang up."""
    lines = []

    class Beset(OwnSlave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            (port,) = ports_open_here()
            lines.extend(stranger(port, said) for _ in range(3))
            return super()._start(command, unique_id, output)

    manager, slave = manager_of(host="localhost"), Beset()
    manager.add_slave(slave)
    context = manager.get_context()
    for n in range(5):
        context.add_task(work.Add(n))
    assert sorted(context.get_results_unordered()) == list(range(5))
    manager.close()
    for line in lines:
        line.close()
    slave.wait()


def test_a_large_result_comes_in_few_pieces(manager_of: ManagerOf) -> None:
    manager = manager_of(1, python=shlex.quote(sys.executable))
    context = manager.get_context()
    context.add_task(functools.partial(work.large, 30_000_000))
    (result,) = context.get_results_unordered()
    assert len(result) == 30_000_000


# ---- limits


def test_limits_of_the_start_are_told_to_what_waits_for_slaves(manager_of: ManagerOf) -> None:
    manager, slave = manager_of(host="localhost"), OwnSlave()
    manager.connect_timeout = 123.5
    manager.add_slave(slave)
    list(manager.get_context().get_results_unordered())
    (fabric,) = manager._starting._commands._fabrics.values()
    assert fabric.start_timeout_s == 123.5
    manager.close()
    slave.wait()


def test_local_slaves_that_are_derived_start_in_their_own_way(manager_of: ManagerOf) -> None:
    class Nice(LocalSlave):
        def _start(self, command: str, unique_id: str, output: str) -> Any:
            super()._start(f"MINE=yes {command}", unique_id, output)

    manager = manager_of(host="localhost")
    manager.add_slave(Nice())
    context = manager.get_context()
    context.add_task(functools.partial(work.environment, "MINE"))
    assert list(context.get_results_unordered()) == ["yes"]


def test_two_threads_may_ask_for_results_at_once(manager_of: ManagerOf) -> None:
    manager = manager_of(2)
    sums = []

    def work_on(first: int) -> None:
        context = manager.get_context()
        for n in range(first, first + 20):
            context.add_task(work.Add(n))
        sums.append(sum(context.get_results_unordered()))

    threads = [threading.Thread(target=work_on, args=(100 * k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sums) == [sum(range(100 * k, 100 * k + 20)) for k in range(3)]


def test_output_may_be_no_ordinary_file(manager_of: ManagerOf) -> None:
    context = manager_of(2, output="/dev/null").get_context()
    context.add_task(work.Add(1))
    assert list(context.get_results_unordered()) == [1]


class Sleeps(Slave):
    """Its process never comes."""

    def _start(self, command: str, unique_id: str, output: str) -> Any:
        super()._start(command, unique_id, output)
        return subprocess.Popen(["sleep", "1000"])


class Nobody(Slave):
    """There is no process at all."""


@pytest.mark.parametrize("kind", [Sleeps, Nobody])
def test_a_slave_that_does_not_come_within_connect_timeout_is_given_up(
    manager_of: ManagerOf, kind: type[Slave]
) -> None:
    manager = manager_of(host="localhost")
    manager.connect_timeout = 0.2
    manager.add_slave(kind())
    context = manager.get_context()
    context.add_task(work.Add(1))
    with pytest.raises(NetworkError, match=r"did not come up within 0\.2 s"):
        next(context.get_results_unordered())
    manager.add_slave(LocalSlave())
    assert list(context.get_results_unordered()) == [1]


def test_what_is_no_slave_is_refused_where_it_is_added(manager_of: ManagerOf) -> None:
    manager = manager_of()
    with pytest.raises(TypeError, match="7 is no slave and no array of slaves: it has no method _start"):
        manager.add_slave(7)
