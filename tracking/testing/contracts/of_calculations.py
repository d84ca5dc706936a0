"""What every fabric must do for a calculation: derive a class named ``Test...`` that has a ``make`` fixture."""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import tracking
from tracking.errors import Interrupted
from tracking.fabrics.base import Fabric
from tracking.master.tracking_job_master import TrackingJobMaster
from tracking.pool.slave_pool import SlavePool
from tracking.testing.contracts import chores

Make = Callable[[], Fabric]
"""Makes a fabric; called anew for each calculation. The calculation closes it."""

END_TIMEOUT_S = 15.0


class CalculationContract:
    """A calculation is right, whatever dies; who works is known, heard and seen; and nothing is left on any host.

    Attributes:
        hosts: for ``hosts=``: names, or how many slaves.
        nodes: host names of those who may have done the work; none: only this machine.
    """

    hosts: Any = 3
    nodes: frozenset[str] = frozenset()

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError("makes a fabric")

    def master(self, make: Make, data: dict[Any, Any], **options: Any) -> TrackingJobMaster:
        options = {"verbose": 0, "niceness": {"default": 0}, "chunk_size": 5, **options}
        fabric = make()
        self.not_up = fabric.name  # in the place of the host of a slave that waits in a queue
        return TrackingJobMaster(data, hosts=self.hosts, fabric=fabric, **options)

    @pytest.fixture(autouse=True)
    def nothing_is_left_on_any_host(self) -> Iterable[None]:
        before = pythons()
        yield
        if not self.nodes:
            return  # what others do on hosts of theirs
        left = {pid: words for pid, words in pythons().items() if pid not in before and is_ours(words)}
        end = time.monotonic() + END_TIMEOUT_S
        for pid, words in left.items():
            assert ends_within(pid, end - time.monotonic()), f"process {pid} is left: {words}"

    def test_a_calculation_is_right_and_every_host_is_known(self, make: Make) -> None:
        offset = 10
        master = self.master(make, {n: n for n in range(300)}, function=lambda n: (chores.square_here(n), n + offset))
        result = master.calculateResult()
        assert {n: value[0][0] for n, value in result.items()} == {n: n * n for n in range(300)}
        assert {value[1] - n for n, value in result.items()} == {offset}
        hosts = {value[0][1] for value in result.values()}
        assert hosts <= (self.nodes or {socket.gethostname()})
        if self.nodes:
            known = self.nodes | {socket.gethostname(), self.not_up}
            assert {slave["host"] for slave in master.slaves.values()} <= known

    def test_a_slave_that_is_killed_costs_nothing_but_time(self, make: Make, tmp_path: Path) -> None:
        data = {n: (n, str(tmp_path / "killed") if n == 30 else "") for n in range(100)}
        master = self.master(make, data, function=chores.square_or_die)
        assert master.calculateResult() == {n: n * n for n in range(100)}
        assert master.errors == {}
        assert (tmp_path / "killed").exists()

    def test_an_item_that_always_kills_its_slave_is_named_alone(self, make: Make) -> None:
        master = self.master(make, dict.fromkeys(range(30), 1) | {7: 0}, function=chores.suicidal, on_error="collect")
        master.calculateResult()
        assert set(master.errors) == {7}
        assert len(master.result) == 29

    def test_callback_and_messages_work_as_everywhere(self, make: Make) -> None:
        ended: list[object] = []
        master = SpeakingMaster(
            {n: n for n in range(60)}, 5, self.hosts, {"default": 0}, chores.Speaking, verbose=0, redistribute=0,
            fabric=make(),
        )  # fmt: skip
        master.setCallback(ended.append)
        master.start()
        assert master.wait(timeout=50)
        assert master.result == {n: n + 93 for n in range(60)}
        assert ended == [master]
        assert master.counted == 60

    def test_what_was_interrupted_goes_on_with_what_was_recorded(self, make: Make, tmp_path: Path) -> None:
        run_file, gate = tmp_path / "run", tmp_path / "gate"
        data = {n: (n, str(gate)) for n in range(200)}
        first = self.master(make, data, function=chores.square_behind_gate, run_file=run_file)
        first.start()
        for count, _ in enumerate(first, start=1):
            if count == 50:
                first.stop()
                break
        with pytest.raises(Interrupted):
            first.calculateResult()
        kept = len(first.result)
        assert 50 <= kept < 200
        gate.touch()
        second = self.master(make, data, function=chores.square_behind_gate, run_file=run_file)
        assert second.calculateResult() == {n: n * n for n in data}
        assert second._tr_snapshot().n_restored >= kept

    def test_what_slaves_print_is_seen(
        self, make: Make, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DISPLAY", raising=False)
        master = self.master(make, {n: n for n in range(20)}, function=chores.print_and_square, show_output=1)
        master.calculateResult()
        shown = capfd.readouterr().out
        assert {f"now comes {n}" for n in range(20)} <= {line.partition(" | ")[2] for line in shown.splitlines()}

    def test_a_pool_serves_calls(self, make: Make) -> None:
        with SlavePool(self.hosts, fabric=make()) as pool:
            assert list(pool.map(pow, range(50), [2] * 50)) == [n * n for n in range(50)]


class SpeakingMaster(TrackingJobMaster):
    """Tells its slaves what to take away, and counts what they say they have done."""

    counted = 0

    def bindMessages(self, slave_tid: int) -> None:
        self.bind(chores.NEWS, slave_tid, self.count)

    def count(self, how_many: int) -> None:
        """So many items are done."""
        self.counted += how_many

    def getInitParameters(self, slave_tid: int) -> int:
        return 100

    def initializationDone(self, slave_tid: int) -> None:
        self.send(slave_tid, chores.TAKE, (7,))


def ends_within(pid: int, timeout_s: float) -> bool:
    """Wait for the end of a process, whoever's child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], max(0.0, timeout_s))[0])
    finally:
        os.close(descriptor)


def pythons() -> dict[int, str]:
    """{pid: command line} of all Python processes that can be seen, those of namespaces within included."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = os.readlink(f"/proc/{name}/ns/pid")
            except OSError:
                continue
            if "python" in words and (where != os.readlink("/proc/self/ns/pid")):
                found[int(name)] = words
    return found


def is_ours(words: str) -> bool:
    """Whether this may be a relay or a slave of ours; those of other checkouts, tested beside us, name them."""
    root = re.search(r"sys\.path\.insert\(0, '([^']+)'\)", words)
    if root and root[1] != os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__))):
        return False
    return os.path.basename(sys.executable)[:6] in words
