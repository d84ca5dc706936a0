"""What the pages in docs show is run; what needs an engine is run by test_docs_engines.py."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.documents import PAGES, ROOT, Block, blocks, marked, run
from tracking.fabrics.hosts_file import parse

ENGINES = ("ssh", "slurm", "gridengine", "mpi", "dask")
PLAIN = [block for block in blocks(*PAGES[1:]) if block.kind == "python" and not block.mark]


@pytest.mark.parametrize("block", PLAIN, ids=str)
def test_a_program_prints_what_stands_below_it(block: Block, tmp_path: Path) -> None:
    run(block, tmp_path)


def test_all_code_is_run_somewhere() -> None:
    known = {"test: hosts.toml", "test: entry point", "test: contract", "test: mpi program.py", "flagship", "tests"}
    known |= {f"test: {engine}" for engine in ENGINES}
    for block in blocks(*PAGES[1:]):
        if block.kind in ("python", "sh", "toml"):
            is_plain = block.kind == "python" and not block.mark
            assert is_plain or block.mark in known or block.mark.startswith("file: "), str(block)


def test_files_that_a_page_shows_are_what_they_are() -> None:
    for block in blocks():
        if block.mark.startswith("file: "):
            assert block.code == (ROOT / block.mark.removeprefix("file: ")).read_text(), str(block)


def test_the_hosts_file_is_read_and_used(tmp_path: Path) -> None:
    file, *others = marked("test: hosts.toml")
    (tmp_path / "hosts.toml").write_text(file.code)
    assert parse(file.code, "hosts.toml").settings["node1"].slots == 8
    told = [run(block, tmp_path).stdout for block in others]
    assert "3 hosts, 14 slots" in told[0]
    assert "2 hosts, 12 slots" in told[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_pages_link_to_is_there(page: Path) -> None:
    for name, _, anchor in re.findall(r"\]\((?!http)([^)#\s]*)(#([^)\s]+))?\)", page.read_text()):
        target = page.parent / name if name else page
        assert target.exists(), name
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_are_there(page: Path) -> None:
    places = [ROOT, ROOT / "tracking", ROOT / "tracking" / "fabrics"]
    for name in re.findall(r"(?<![\w./-])(?:\w+/)+\w+\.(?:py|md)\b", page.read_text()):
        assert any((place / name).exists() for place in places), name


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_fabric_that_a_page_shows_keeps_the_contract(tmp_path: Path) -> None:
    (entry,), (contract,) = marked("test: entry point"), marked("test: contract")
    info = tmp_path / "shell_fabric-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shell-fabric\nVersion: 1.0\n")
    group, entries = next(iter(tomllib.loads(entry.code)["project"]["entry-points"].items()))
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    (tmp_path / "fabric_of_ones_own.py").write_text((ROOT / "examples/fabric_of_ones_own.py").read_text())
    (tmp_path / "test_shell.py").write_text(contract.code)
    search_path = f"{tmp_path}:{ROOT}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shell.py"],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": search_path},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
