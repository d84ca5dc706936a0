"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contenders import is_installed, package


def described(names: list[str], command: str) -> dict[str, object]:
    """Machine, versions, command and date, as they go into the JSON file."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory GB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": os.getloadavg()[0],
        "versions": {name: _version(name) for name in names if is_installed(name)},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    """Version of the contender's package; that of Python where it is part of it."""
    try:
        return importlib.metadata.version(package(name))
    except importlib.metadata.PackageNotFoundError:
        return "checkout" if name == "ours" else f"Python {platform.python_version()}"
