"""Bad luck of far hosts: nodes crash and come back, networks are cut, relays are stopped or killed, slaves killed.

::

    bad luck   --slave, relay, stop, cut, crash--> a node        drawn from a seed, some times a second
    returns    --continue, mend, repair----------> the node      1 to 15 s after each that does not mend itself

When the block ends everything is back: cables are up, who was stopped goes on, all nodes run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.chaos.storm import BadLuck
from tests.engines import engine_anew
from tracking.testing.contracts.of_calculations import ends_within

ENGINE = ("ssh", "-m", "netns")
NODES = ("node1", "node2", "node3")
_PAUSE_S = 0.4
_MISFORTUNES = {"slave": 60, "relay": 8, "stop": 6, "cut": 5, "crash": 2}  # how likely each is


class Nodes:
    """The test hosts, as who pulls their plugs sees them.

    Args:
        environment: by which the engine is reached.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._folder = Path(environment["TRACKING_SSH_DIR"])
        self._cable = _cable(environment["TRACKING_SSH_MASTER"])
        self._own = re.compile(rb"python\S*\0-c\0\s*def greet\(\)")

    def crash(self, node: str) -> None:
        """It and all that runs on it are gone."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self._init(node), signal.SIGKILL)

    def cut(self, node: str) -> None:
        """Nothing goes to it or comes from it."""
        self._link(node, "down")

    def mend(self, node: str) -> None:
        """The network to it is back."""
        self._link(node, "up")

    def repair(self) -> None:
        """All nodes run, and are reached. Where one did not, all are started anew."""
        for node in NODES:
            self.mend(node)
        engine_anew(*ENGINE)

    def relays(self, node: str) -> list[int]:
        """Process ids of the relays on a node: those of our Pythons there that none of them has started."""
        pythons = self._pythons(node)
        return [pid for pid, parent in pythons.items() if parent not in pythons]

    def slaves(self, node: str) -> list[int]:
        """Process ids of the slaves on a node."""
        pythons = self._pythons(node)
        return [pid for pid, parent in pythons.items() if parent in pythons]

    def ours(self) -> dict[str, list[int]]:
        """What runs of ours: {node: process ids}; nodes without are not in it."""
        found = {node: list(self._pythons(node)) for node in NODES}
        return {node: pids for node, pids in found.items() if pids}

    def wait_for_end(self, within_s: float) -> None:
        """Wait until nothing of ours runs on the nodes."""
        end = time.monotonic() + within_s
        while left := self.ours():  # what has ended may have started others meanwhile
            for pid in [pid for pids in left.values() for pid in pids]:
                assert ends_within(pid, end - time.monotonic()), f"still there after {within_s:g} s: {left}"

    def _init(self, node: str) -> int:
        return int((self._folder / f"{node}.pid").read_text().split()[0])

    def _pythons(self, node: str) -> dict[int, int]:
        """{process id: that of its parent}."""
        try:
            space = os.readlink(f"/proc/{self._init(node)}/ns/pid_for_children")
        except (OSError, ValueError, IndexError):
            return {}  # it is down
        return {pid: parent for pid in _all_pids() if (parent := self._parent_if_ours(pid, space))}

    def _parent_if_ours(self, pid: int, space: str) -> int | None:
        with suppress(OSError):
            is_there = os.readlink(f"/proc/{pid}/ns/pid") == space
            if is_there and self._own.search(Path(f"/proc/{pid}/cmdline").read_bytes()):
                return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        return None

    def _link(self, node: str, way: str) -> None:
        # It may not be there: the nodes are being repaired.
        argv = ["ip", "link", "set", f"{self._cable}{node.removeprefix('node')}", way]
        subprocess.run(argv, check=False, stderr=subprocess.DEVNULL)


def _cable(master: str) -> str:
    """What the cables of the nodes are called, by the address of this machine among them."""
    listed = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^\d+:\s+(\w+?)br\s+inet {re.escape(master)}/", listed, re.MULTILINE)
    assert found, f"no bridge has the address {master}"
    return found[1]


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


class FarStorm(BadLuck):
    """Things go wrong on far hosts, at random, until the block ends.

    Args:
        nodes: whom it may befall.
        seconds: how long the storm lasts.
        local_pids: slaves on this machine, asked anew for each strike.
    """

    def __init__(self, nodes: Nodes, seconds: float, local_pids: Callable[[], list[int]] = list) -> None:
        super().__init__(seconds, _PAUSE_S)
        self._nodes = nodes
        self._local_pids = local_pids
        self._returns: list[tuple[float, Callable[[], None]]] = []

    def _rage(self) -> None:
        try:
            super()._rage()
        finally:
            self._bring_back(float("inf"))
            self._nodes.repair()

    def _bring_back(self, now: float) -> None:
        due = [action for at, action in self._returns if at <= now]
        self._returns = [(at, action) for at, action in self._returns if at > now]
        for action in due:
            action()

    def strike(self) -> None:
        self._bring_back(time.monotonic())
        what = self._random.choices(list(_MISFORTUNES), list(_MISFORTUNES.values()))[0]
        node, chance, back_s = self._random.choice(NODES), self._random.random(), self._random.uniform(1, 15)
        back_at = time.monotonic() + back_s
        if what == "slave":
            self._kill(self._nodes.slaves(node) + self._local_pids(), chance, signal.SIGKILL)
        elif what == "relay":
            self._kill(self._nodes.relays(node), chance, signal.SIGKILL)
        elif what == "stop":
            if pid := self._kill(self._nodes.relays(node), chance, signal.SIGSTOP):
                self._returns.append((back_at, lambda: _send(pid, signal.SIGCONT)))
        elif what == "cut":
            self._nodes.cut(node)
            self._returns.append((back_at, lambda: self._nodes.mend(node)))
        else:
            self._nodes.crash(node)
            self._returns.append((time.monotonic() + back_s / 3, self._nodes.repair))
        self.strikes[what] += 1

    @staticmethod
    def _kill(pids: list[int], chance: float, signal_: signal.Signals) -> int | None:
        """Signal one of them; whom."""
        if not pids:
            return None
        pid = sorted(pids)[int(chance * len(pids))]
        _send(pid, signal_)
        return pid


def _send(pid: int, signal_: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal_)
