"""Slaves on other machines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines import engine
from tests.far import FarFabric
from tests.multi.commands import Call, Kept, KillOnce, Many, stored
from tracking.fabrics import SlurmFabric, SshFabric


def works(processor: Any, memo: Kept, folder: Path) -> None:
    """Everything but the place is as on this machine."""
    processor.send_data_to_slaves("value", list(range(100_000)))
    processor.run_command_globally(Many(0))
    for number in range(8):
        processor.add_to_queue(KillOnce(number, str(folder / "killed")), memo)
    processor.run_queue()
    assert sorted(memo.values) == [n * n for n in range(8)]
    memo.values.clear()
    for _ in range(6):
        processor.add_to_queue(Call(last_of, "value"), memo)
    processor.run_queue()
    assert {value for value, _ in memo.values} == {99_999}
    assert {rank for _, rank in memo.values} <= set(range(1, processor.processor_size() + 1))


def last_of(processor: Any, name: str) -> tuple[int, int]:
    return stored(processor, name)[-1], processor.rank()


def test_slaves_that_share_nothing_but_files_work(load: Callable[..., Any], memo: Kept, tmp_path: Path) -> None:
    processor = load(FarFabric(tmp_path), -1, hosts=["far1", "far2"])
    works(processor, memo, tmp_path)
    assert processor.processor_size() == 2


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_slaves_on_hosts_of_ssh_work_and_nothing_is_installed_there(
    load: Callable[..., Any], memo: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = engine("ssh", "-m", "netns")["TRACKING_SSH_CONFIG"]
    fabric = SshFabric(config, python=sys.executable)
    tmp_path.chmod(0o777)
    processor = load(fabric, -1, hosts=["node1*2", "node2"])
    works(processor, memo, tmp_path)
    assert processor.processor_size() == 3


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_slaves_of_slurm_work(
    load: Callable[..., Any], memo: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in engine("slurm", "-m", "netns").items():
        monkeypatch.setenv(name, value)
    works(load(SlurmFabric(files=tmp_path), 3), memo, tmp_path)


@pytest.mark.engine
@pytest.mark.timeout(120)
def test_a_fabric_by_its_name_starts_the_slaves(
    load: Callable[..., Any], memo: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in engine("mpi", sys.executable).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    works(load("mpi", 2), memo, tmp_path)
