"""Does a path lie on a network file system?

SQLite's fast journal (WAL) needs memory that all readers and writers share, which machines do not.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNT_TABLE = Path("/proc/mounts")

_NETWORK_TYPES = frozenset({
    "9p", "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncp", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2",
    "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
})  # fmt: skip


def is_on_network(path: Path, mount_table: Path = MOUNT_TABLE) -> bool:
    """Say whether several machines may see this path.

    Where there is no mount table to read (macOS) the path is taken as local.
    """
    try:
        mounts = mount_table.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    kind = filesystem_type(os.path.realpath(path), mounts)
    return kind in _NETWORK_TYPES or kind.startswith("fuse.")


def filesystem_type(path: str, mounts: str) -> str:
    """Find the type of the file system that holds a path, '' if the table does not say.

    Args:
        path: absolute, without links.
        mounts: the text of ``/proc/mounts``.
    """
    best, found = -1, ""
    for line in mounts.splitlines():
        point, kind = _mount(line)
        inside = point and (path == point or path.startswith(point.rstrip("/") + "/"))
        if inside and len(point) >= best:  # of two on one place the later one covers the earlier
            best, found = len(point), kind
    return found


def _mount(line: str) -> tuple[str, str]:
    fields = line.split(" ")
    if len(fields) < 3:
        return "", ""
    point = fields[1]
    if "\\" in point:
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
    return point, fields[2]
