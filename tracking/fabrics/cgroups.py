"""How much processor time the control groups of this process leave it, in cores.

A quota may stand in the group of the process or in any above it; the smallest holds. Version 2 has it in ``cpu.max``,
version 1 in ``cpu.cfs_quota_us``. A container often sees its own groups as if they were the topmost, while
``/proc/self/cgroup`` names them by where they are outside: so every part of a path that is not there is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def quota_of_cgroups(own: Path = _OWN, root: Path = _CGROUPS) -> float | None:
    """Cores that this process may use at a time; None: there is no limit, or no control groups.

    Args:
        own: says which groups the process is in.
        root: where the groups are mounted.
    """
    quotas = [quota for folder in _folders(own, root) if (quota := _quota_in(folder)) is not None]
    return min(quotas, default=None)


def _folders(own: Path, root: Path) -> Iterator[Path]:
    """The groups that may have a quota, from that of the process up to the topmost."""
    yield root
    for hierarchy, path in _groups_in(_text(own), root):
        below = Path(path.lstrip("/"))
        for part in (below, *below.parents):
            yield hierarchy / part


def _groups_in(text: str, root: Path) -> Iterator[tuple[Path, str]]:
    """(where its hierarchy is mounted, path of the group), of those that limit processors.

    >>> list(_groups_in("4:cpu,cpuacct:/a\\n3:memory:/b\\n0::/c\\n", Path("/g")))
    [(PosixPath('/g/cpu,cpuacct'), '/a'), (PosixPath('/g/cpu'), '/a'), (PosixPath('/g'), '/c')]
    """
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield root, path
        elif "cpu" in controllers.split(","):
            yield root / controllers, path
            yield root / "cpu", path


def _quota_in(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not period:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or nothing
        return None
    return cores if cores > 0 else None  # -1: none


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
