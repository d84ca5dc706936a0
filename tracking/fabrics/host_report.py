"""What is found on a host when it is looked at before slaves are started there."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from tracking.fabrics.machine import usable_cores


class HostReport(NamedTuple):
    """What was found on a host.

    Attributes:
        host: its name, as it was given.
        problem: why slaves cannot be started there; "": they can.
        python_version: of the Python there ("3.11.2"); "": not known.
        cores: how many slaves could compute there at a time; None: not known.
        load: processes there that wanted to run in the last minute; None: not known.
        platform: what system it is ("Linux x86_64"); "": not known.
    """

    host: str
    problem: str = ""
    python_version: str = ""
    cores: int | None = None
    load: float | None = None
    platform: str = ""


def report_here(host: str) -> HostReport:
    """This machine, under one of its names."""
    import platform

    load = None
    with contextlib.suppress(OSError):  # this system does not say
        load = os.getloadavg()[0]
    system = f"{platform.system()} {platform.machine()}"
    return HostReport(host, "", platform.python_version(), usable_cores(), load, system)
