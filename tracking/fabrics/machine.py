"""This machine: which names mean it, and how many slaves it can feed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from functools import lru_cache
from pathlib import Path

_LOOPBACK = {"localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1", "::1"}
_SSH_TIMEOUT_S = 5.0


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


def resolves_or_is_known_to_ssh(host: str, config: str | Path | None = None) -> bool:
    """Whether this name means a machine: to the system, or to ssh, whose configuration may give it another name.

    Args:
        config: an ssh configuration file, instead of the user's.
    """
    return bool(host) and (_resolves(host) or _is_known_to_ssh(host, config))


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except (OSError, UnicodeError):
        return False


def _is_known_to_ssh(host: str, config: str | Path | None) -> bool:
    """Whether the ssh configuration gives this name another host name."""
    if not shutil.which("ssh") or host.startswith("-"):
        return False
    try:
        answer = subprocess.run(
            ["ssh", *(() if config is None else ("-F", os.fspath(config))), "-G", host],
            capture_output=True,
            text=True,
            timeout=_SSH_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return False
    settings = dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())
    return settings.get("hostname", host).lower() != host.lower()
