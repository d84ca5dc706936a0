"""What docs/multi.md shows and test_docs.py cannot run: its shell lines, its entry point."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks, run
from tests.engines import engine
from tracking.multi import loading

PAGE = ROOT / "docs" / "multi.md"


def one(kind: str) -> Block:
    (found,) = (block for block in blocks(PAGE) if block.kind == kind and block.mark == "tests")
    return found


def test_the_entry_point_is_of_the_group_that_is_looked_for() -> None:
    assert list(tomllib.loads(one("toml").code)["project"]["entry-points"]) == [loading.GROUP]


@pytest.mark.engine
def test_the_program_of_the_page_runs_under_mpiexec(tmp_path: Path) -> None:
    program = next(block for block in blocks(PAGE) if block.kind == "python")
    (tmp_path / "program.py").write_text(program.code.replace('"local"', '"mpi4py"').replace("=1,", "=-1,"))
    environment = engine("mpi", sys.executable)
    bin_folder = os.path.dirname(environment["TRACKING_MPIEXEC"])
    done = run(one("sh"), tmp_path, **environment, PATH=f"{bin_folder}:{os.environ['PATH']}")
    assert done.stdout.endswith("the sum is 285\n")
