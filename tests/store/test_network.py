"""Which paths lie on a network file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracking.store.network import filesystem_type, is_on_network

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local xfs rw 0 0
server:/a\\040b /mnt/a\\040b nfs rw 0 0
tmpfs /mnt/twice tmpfs rw 0 0
//server/share /mnt/twice cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/sdc1 /mnt/stick fuseblk rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/x.run", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/x.run", "nfs4"),
        ("/homework/x.run", "ext4"),
        ("/home/local/x.run", "xfs"),
        ("/home/localhost/x.run", "nfs4"),
        ("/mnt/a b/x.run", "nfs"),
        ("/mnt/twice/x.run", "cifs"),
    ],
)
def test_a_path_belongs_to_the_innermost_and_latest_mount(path: str, kind: str) -> None:
    assert filesystem_type(path, MOUNTS) == kind


def test_an_empty_table_says_nothing() -> None:
    assert filesystem_type("/x", "") == ""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("fuseblk", False)],
)
def test_network_file_systems_are_known_by_their_type(tmp_path: Path, kind: str, expected: bool) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"something / {kind} rw 0 0\n")
    assert is_on_network(tmp_path / "x.run", table) is expected


def test_a_link_is_followed_to_the_file_system_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path}/far nfs rw 0 0\n")
    assert is_on_network(tmp_path / "near" / "x.run", table)
    assert not is_on_network(tmp_path / "x.run", table)


def test_without_a_mount_table_a_path_is_taken_as_local(tmp_path: Path) -> None:
    assert not is_on_network(tmp_path, tmp_path / "missing")
