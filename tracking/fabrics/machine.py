"""This machine: which names mean it, and how many slaves it can feed."""

from __future__ import annotations

import os
import socket
from functools import lru_cache

_LOOPBACK = {"localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1", "::1"}


def usable_cores() -> int:
    """Cores that this process may use: affinity counts, and the quota of its control groups, rounded down."""
    from tracking.fabrics.cgroups import quota_of_cgroups  # who names his hosts does not count cores

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_of_cgroups()
    return max(1, min(cores, int(quota)) if quota else cores)


def is_local(host: str) -> bool:
    """Whether this name means the machine that we run on."""
    return host.lower() in _LOOPBACK or host.lower() in _own_names()


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0]})
