"""What jobs print is kept, each job's in its own folder, and shown as ever."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.service.helpers import Gate
from tests.service.services import WAIT_S, Scripted, Sum
from tracking import InputError
from tracking.service import Client, ServiceHandler
from tracking.store.run_file import RunFileReader


def begun(body: Any, folder: Path) -> ServiceHandler:
    handler = ServiceHandler(folder=folder)
    handler.start(Scripted(body), Scripted.request())
    return handler


def test_jobs_that_print_at_the_same_time_have_each_its_own_file(tmp_path: Path, capsys: Any) -> None:
    gates, before = [Gate(), Gate()], (sys.stdout, sys.stderr)

    def body(n: int) -> Any:
        def run(service: Scripted, handler: ServiceHandler) -> None:
            print("job", n)
            gates[n].wait()
            print("trouble of", n, file=sys.stderr)

        return run

    jobs = [begun(body(n), tmp_path / f"job{n}") for n in range(2)]
    for gate in gates:
        gate.wait_until_come()
    print("not of a job")
    for n in (1, 0):
        gates[n].open()
        jobs[n].wait(WAIT_S)
    for n in range(2):
        assert (tmp_path / f"job{n}" / "stdout").read_text() == f"job {n}\n"
        assert (tmp_path / f"job{n}" / "stderr").read_text() == f"trouble of {n}\n"
        assert RunFileReader(tmp_path / f"job{n}" / "job.run").summary().state == "finished"
    shown = capsys.readouterr()
    assert sorted(shown.out.splitlines()) == ["job 0", "job 1", "not of a job"]
    assert sorted(shown.err.splitlines()) == ["trouble of 0", "trouble of 1"]
    assert (sys.stdout, sys.stderr) == before


def test_what_was_printed_is_there_when_the_program_is_killed(tmp_path: Path) -> None:
    gate = Gate()
    handler = begun(lambda service, handler: print("so far") or gate.wait(), tmp_path)
    gate.wait_until_come()
    assert (tmp_path / "stdout").read_text() == "so far\n"  # though nothing was closed yet
    gate.open()
    handler.wait(WAIT_S)


def test_an_output_that_somebody_else_has_put_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    handler = begun(lambda service, handler: gate.wait(), tmp_path)
    gate.wait_until_come()
    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stdout", other)
        gate.open()
        handler.wait(WAIT_S)
        assert sys.stdout is other
    monkeypatch.undo()
    sys.stdout = getattr(sys.stdout, "before", sys.stdout)


def test_a_job_of_a_client_has_a_folder_and_goes_on_in_it(tmp_path: Path) -> None:
    with Client() as client:
        for _ in range(2):
            assert client.submit(Sum.request(values=[1]), folder=tmp_path / "new" / "sum").wait(WAIT_S) == 1
        assert sorted(os.listdir(tmp_path / "new" / "sum")) == ["job.run", "stderr", "stdout"]
        with pytest.raises(InputError, match="not both"):
            client.submit(Sum.request(values=[1]), folder=tmp_path, run_file=tmp_path / "x.run")
