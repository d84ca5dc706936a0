"""A fabric whose slaves take this machine for another: processes of their own, with a home of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tracking.fabrics.base import BaseFabric, News, SlaveEnded, SlaveLines, SlaveSpec
from tracking.slave.identity import Identity
from tracking.wire.channel import Channel

ROOT = Path(__file__).resolve().parents[1]
_SLAVE = """
import json, os, socket, sys
from tracking.slave import job_slave
from tracking.slave.cores import Share
from tracking.slave.identity import Identity
from tracking.slave.process import SlaveProcess
from tracking.wire.channel import Channel
job, control, words = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
identity = Identity(*words[:5], Share(*words[5]), *words[6:])
lines = Channel(socket.socket(fileno=job), blocking=True), Channel(socket.socket(fileno=control))
SlaveProcess(identity, *lines).serve()
"""


class FarFabric(BaseFabric):
    """Starts slaves that are told that they are far.

    Args:
        home: the directory in which they begin.
        directory: the one that the user has set for their host.
        modules: where they find modules of their own, besides ours.
    """

    name = "far"
    shares_memory = False

    def __init__(self, home: Path, directory: str | None = None, modules: Iterable[Path] = ()) -> None:
        self._home = home
        self._directory = directory
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*modules, ROOT]))}
        self._started: dict[int, tuple[subprocess.Popen[bytes], int]] = {}

    def check_host(self, host: str) -> None:
        """Any name will do."""

    def start(self, spec: SlaveSpec) -> SlaveLines:
        job, far_job = socket.socketpair()
        control, far_control = socket.socketpair()
        output, far_output = os.pipe()
        identity = Identity(
            spec.tid, spec.nickname, spec.host, spec.niceness, spec.memory_limit, spec.share, True, self._directory
        )
        ends = [far_job.fileno(), far_control.fileno()]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SLAVE, *map(str, ends), json.dumps(identity)],
            cwd=self._home, env=self._environment, pass_fds=ends, stdout=far_output, stderr=far_output,
        )  # fmt: skip
        far_job.close()
        far_control.close()
        os.close(far_output)
        os.set_blocking(output, False)
        self._started[spec.tid] = process, os.pidfd_open(process.pid)
        return SlaveLines(Channel(job), Channel(control), output)

    def descriptors(self) -> Iterable[int]:
        return [ended for _, ended in self._started.values()]

    def poll(self) -> list[News]:
        ended = [tid for tid, (process, _) in self._started.items() if process.poll() is not None]
        return [self._reaped(tid) for tid in ended]

    def _reaped(self, tid: int) -> SlaveEnded:
        process, ended = self._started.pop(tid)
        os.close(ended)
        return SlaveEnded(tid, f"ended with exit status {process.wait()}")

    def stop(self, tid: int) -> None:
        if tid in self._started:
            self._started[tid][0].kill()

    def close(self) -> None:
        for tid in list(self._started):
            self.stop(tid)
            self._reaped(tid)
