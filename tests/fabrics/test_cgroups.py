"""The quota of control groups, of both versions, nested, and as a container sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracking.fabrics.cgroups import quota_of_cgroups


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def quota(root: Path, own: str) -> float | None:
    (root.parent / "own").write_text(own)
    return quota_of_cgroups(root.parent / "own", root)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", None), ("150000 100000\n", 1.5), ("garbage", None), ("", None), ("5 0\n", None)],
)
def test_the_quota_of_a_container_is_read(root: Path, text: str, cores: float | None) -> None:
    write(root, cpu__max=text)
    assert quota(root, "0::/\n") == cores


def test_without_any_file_there_is_no_quota(root: Path) -> None:
    assert quota_of_cgroups(root / "no such file", root) is None
    assert quota(root, "0::/user.slice/a\n") is None


def test_the_smallest_quota_of_nested_groups_holds(root: Path) -> None:
    write(root / "user.slice", cpu__max="200000 100000")
    write(root / "user.slice" / "user-1000.slice", cpu__max="max 100000")
    write(root / "user.slice" / "user-1000.slice" / "job", cpu__max="300000 100000")
    assert quota(root, "0::/user.slice/user-1000.slice/job\n") == 2
    assert quota(root, "0::/other.slice\n") is None


def test_version_1_has_it_in_two_files(root: Path) -> None:
    write(root / "cpu,cpuacct" / "slurm" / "job_7", cpu__cfs_quota_us="400000\n", cpu__cfs_period_us="100000\n")
    write(root / "cpu,cpuacct", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert quota(root, "5:memory:/x\n4:cpu,cpuacct:/slurm/job_7\n0::/y\n") == 4
    assert quota(root, "4:cpu,cpuacct:/elsewhere\n") is None


def test_a_container_is_in_a_group_that_it_sees_as_the_topmost(root: Path) -> None:
    write(root / "cpu", cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
    assert quota(root, "4:cpu:/docker/0123abc\n") == 1.5
