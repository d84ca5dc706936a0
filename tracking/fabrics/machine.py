"""This machine: which names mean it, and how many slaves it can feed."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path

_LOOPBACK = {"localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1", "::1"}


def usable_cores() -> int:
    """Cores that this process may use: affinity and cgroup quota count."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, int(quota)) if quota else cores)


def _cgroup_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float | None:
    try:
        quota, period = file.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def is_local(host: str) -> bool:
    """Whether this name means the machine that we run on."""
    return host.lower() in _LOOPBACK or host.lower() in _own_names()


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0]})
