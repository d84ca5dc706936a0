"""What the README shows is run here, and must print what the README says that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tracking
from tests.documents import ROOT, Block, blocks, run

README = (ROOT / "README.md").read_text()
BLOCKS = list(blocks(ROOT / "README.md"))


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "python" and not block.mark], ids=str)
def test_a_program_prints_what_stands_below_it(block: Block, tmp_path: Path) -> None:
    assert block.output is not None
    run(block, tmp_path)


def test_programs_for_other_machines_say_what_they_print() -> None:
    assert all(block.output for block in BLOCKS if block.kind == "python")  # test_docs_engines.py runs them


def test_the_commands_work_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("def square(n):\n    return n * n\n")
    (tmp_path / "numbers.json").write_text('{"two": 2, "three": 3}')
    sys.path.insert(0, str(tmp_path))
    try:
        import work  # type: ignore[import-not-found]

        tracking.TrackingJobMaster({"four": 4}, function=work.square).saveRst(tmp_path / "saved.rst")
    finally:
        sys.path.remove(str(tmp_path))
    commands = next(block.code for block in BLOCKS if block.kind == "sh" and "tracking run" in block.code)
    for line in commands.splitlines():
        words = [sys.executable, "-m", "tracking", *line.split()[1:]]
        words += ["--force"] if "-o squares.json" in line and (tmp_path / "squares.json").exists() else []
        done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if line.startswith("tracking run"):
            assert json.loads((tmp_path / "squares.json").read_text()) == {"two": 4, "three": 9}
    assert json.loads((tmp_path / "squares.json").read_text()) == {"four": 16}
    assert (tmp_path / "squares.csv").exists()


def test_every_room_of_the_package_is_in_the_picture_and_no_other() -> None:
    picture = next(block.code for block in BLOCKS if block.kind == "text" and block.code.startswith("tracking/\n"))
    names = [name for line in picture.splitlines()[1:] for name in line.strip().split("  ")[0].split()]
    drawn = {name.removesuffix("/").removesuffix(".py") for name in names}
    there = {path.stem for path in (ROOT / "tracking").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert drawn == there - {"__init__", "__main__", "__pycache__"}


def test_the_public_names_are_few_and_load() -> None:
    wanted = {"TrackingJobMaster", "JobMaster", "JobSlave", "Status", "restart", "run", "SlavePool", "CalculationError"}
    assert wanted <= set(tracking.__all__)
    for name in tracking.__all__:
        assert getattr(tracking, name).__doc__, name


def test_the_two_commands_are_marked_for_who_runs_them() -> None:
    for mark in ("flagship", "tests"):
        block = README.partition(f"<!-- {mark} -->\n")[2]
        assert block.startswith("```sh\npython3 -m venv .venv && "), mark
