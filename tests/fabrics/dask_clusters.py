"""Dask clusters for tests, each in a process of its own, so that its threads are not ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

TIMEOUT_S = 50
NOTHING: Mapping[str, str] = MappingProxyType({})

LOCAL = """
from distributed import LocalCluster

def make(kind, workers):
    return LocalCluster(n_workers=workers, threads_per_worker=4, processes=kind == "processes", protocol="tcp",
                        dashboard_address=None, host="127.0.0.1")
"""

QUEUED = """
from dask_jobqueue import SLURMCluster

def make(kind, workers):
    cluster = SLURMCluster(
        cores=2, processes=1, memory="400MB", walltime="0:10:00", python=sys.executable,
        scheduler_options={"dashboard_address": None, "host": kind}, job_script_prologue=["export PYTHONPATH=" + root],
        worker_extra_args=["--no-dashboard"], local_directory=sys.argv[3], log_directory=sys.argv[3],
    )
    cluster.scale(jobs=workers)
    return cluster
"""

ANSWER = """
import os, sys
from distributed import Client
root = os.environ["PYTHONPATH"]

def answer(question, number, cluster, client):
    if question == "scale":
        cluster.scale(number)
        return "scaled"
    if question == "threads":
        return sum(client.nthreads().values())
    tasks = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    clients = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.clients))
    return f"{len(tasks)} {clients}"

def main():
    with make(sys.argv[1], int(sys.argv[2])) as cluster, Client(cluster) as client:
        print(cluster.scheduler_address, flush=True)
        for line in sys.stdin:
            question, _, number = line.partition(" ")
            print(answer(question.strip(), int(number or 0), cluster, client), flush=True)

if __name__ == "__main__":
    main()
"""


class Cluster:
    """A cluster that answers questions.

    Args:
        directory: for its files.
        kind: "processes" or "threads", as which workers run; or the address of the scheduler.
        workers: so many there are at first.
        code: makes it.
        environment: variables that it needs.
    """

    def __init__(
        self,
        directory: Path,
        kind: str = "processes",
        workers: int = 2,
        code: str = LOCAL,
        environment: Mapping[str, str] = NOTHING,
    ) -> None:
        script = directory / "cluster.py"
        script.write_text(ANSWER.replace("\ndef main", code + "\ndef main"))
        own = {"PYTHONPATH": str(Path(__file__).parents[2]), "DASK_TEMPORARY_DIRECTORY": str(directory)}
        variables = os.environ | own | dict(environment)
        self._process = subprocess.Popen(
            [sys.executable, str(script), kind, str(workers), str(directory)], cwd=directory, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables,
        )  # fmt: skip
        self.address = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, question: str) -> str:
        """'scale N'; 'threads': how many there are; 'idle': how many tasks and clients it knows of."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        return self._read()

    def wait_until(self, question: str, answer: str) -> None:
        """Ask until this is answered: a scheduler hears in its own time that a client has left, or a task has ended."""
        end = time.monotonic() + TIMEOUT_S
        while (found := self.ask(question)) != answer:
            assert time.monotonic() < end, f"{question}: {found}, not {answer}"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)
        self._process.stdout.close()
