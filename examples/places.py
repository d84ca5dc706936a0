"""Where the examples' slaves run, as options of a command line.

    --hosts node1*4 node2              there, over ssh; '@hosts.toml': what a hosts file says
    --hosts 8                          so many slaves
    --fabric slurm                     what brings slaves to life
    --fabric slurm partition=short time=1:00:00
    --fabric gridengine parallel_environment=mpi
    --fabric dask tcp://scheduler:8786
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import tracking.fabrics
from tracking.fabrics import Fabric

CLASSES = {
    "dask": "DaskFabric",
    "dialled": "DialledFabric",
    "gridengine": "GridEngineFabric",
    "mpi": "MpiFabric",
    "slurm": "SlurmFabric",
    "ssh": "SshFabric",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line say where slaves run."""
    add = parser.add_argument
    add("--hosts", nargs="+", default=[], metavar="HOST", help="or a number of slaves; default: one per core, here")
    add("--fabric", nargs="+", metavar=("NAME", "ARGUMENT"), help=f"one of {', '.join(CLASSES)}, and its arguments")


def places(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a master or pool that say where its slaves run. A fabric serves one of them."""
    hosts = options.hosts
    if len(hosts) == 1 and hosts[0].isdigit():
        hosts = int(hosts[0])
    return {"hosts": hosts, "fabric": fabric_of(*options.fabric) if options.fabric else None}


def fabric_of(name: str, *arguments: str) -> str | Fabric:
    """Return the fabric that is meant; one without arguments, or of another package, by its name alone."""
    if not arguments or name not in CLASSES:
        return name
    by_name = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    in_order = [argument for argument in arguments if "=" not in argument]
    make = getattr(tracking.fabrics, CLASSES[name])
    fabric: Fabric = make(*in_order, **{key: number_or_text(text) for key, text in by_name.items()})
    return fabric


def number_or_text(text: str) -> float | str:
    """Return what is meant by ``4``, ``0.5`` or ``short``.

    >>> number_or_text("4"), number_or_text("0.5"), number_or_text("1:00:00")
    (4, 0.5, '1:00:00')
    """
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text
