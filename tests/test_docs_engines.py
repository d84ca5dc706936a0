"""What README and docs show of other machines is run there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.documents import Block, marked, run
from tests.engines import engine

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(180)]
LIMIT_S = 100.0


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", marked(f"test: {name}"), ids=str)


@of("ssh")
def test_over_ssh(block: Block, tmp_path: Path) -> None:
    config = engine("ssh", "-m", "netns")["TRACKING_SSH_CONFIG"]
    wrapped = tmp_path / "wrapped"
    wrapped.mkdir()
    (wrapped / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    (wrapped / "ssh").chmod(0o755)
    run(block, tmp_path, limit_s=LIMIT_S, PATH=f"{wrapped}:{os.environ['PATH']}")


@of("slurm")
def test_over_slurm(block: Block, tmp_path: Path) -> None:
    run(block, tmp_path, limit_s=LIMIT_S, **engine("slurm", "-m", "netns"))


@of("gridengine")
def test_over_grid_engine(block: Block, tmp_path: Path) -> None:
    variables = engine("sge")
    run(block, tmp_path, limit_s=LIMIT_S, **variables)


@of("mpi")
def test_with_mpi(block: Block, tmp_path: Path) -> None:
    variables = engine("mpi", sys.executable)
    (program,) = marked("test: mpi program.py")
    (tmp_path / "program.py").write_text(program.code.replace(', fabric="mpi"', ""))
    run(block, tmp_path, limit_s=LIMIT_S, **variables)


@of("mpi program.py")
def test_with_slaves_that_mpi_starts(block: Block, tmp_path: Path) -> None:
    run(block, tmp_path, limit_s=LIMIT_S, **engine("mpi", sys.executable))


@of("dask")
def test_with_dask(block: Block, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    run(block, tmp_path, limit_s=LIMIT_S, DASK_TEMPORARY_DIRECTORY=str(tmp_path))
