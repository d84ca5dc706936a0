"""Hosts of a grid, one entry a server.

Source: ``Host``, ``create_host_list``, ``abspath`` of IMP.isd's grids.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from tracking.errors import InputError
from tracking.fabrics.machine import is_local

_OWN_PYTHONS = ("python", "python3")


def abspath(path: str) -> str:
    """The path from the root, ``~`` being the home of the user on this machine."""
    return os.path.abspath(os.path.expanduser(path))


class Host:
    """A host on which one server is to run.

    Args:
        name: of the host; 'localhost' is this machine, others are reached over ssh.
        temp_path: folder there into which files are copied; made absolute, ``~`` is the home of the user here.
        n_cpu: kept for the program; a host that is to have n servers is named n times.
        niceness: nice value of its server.
        python: the interpreter there; 'python': the usual one of our slaves. On this machine servers are copies of the
            program's own interpreter.
        init_cmd: shell text that is run there before Python; with '!' at its end words that come before Python in its
            command line (a wrapper script: ``'wrap.sh !'``). On this machine servers have the program's environment.
    """

    def __init__(
        self, name: str, temp_path: str, n_cpu: int = 1, niceness: int = 0, python: str = "python", init_cmd: str = ""
    ) -> None:
        self.name = name
        self.n_cpu = n_cpu
        self.python = python
        self.init_cmd = init_cmd
        self.set_temp_path(temp_path)
        self.set_niceness(niceness)

    def set_temp_path(self, temp_path: str) -> None:
        """Have files copied there from now on."""
        self.temp_path = abspath(temp_path)

    def set_niceness(self, niceness: int) -> None:
        """Nice value of servers that are published from now on."""
        if isinstance(niceness, bool) or not isinstance(niceness, int):
            raise InputError(f"niceness of host {self.name!r} must be a whole number, not {niceness!r}")
        self.niceness = niceness

    def use_n_cpu(self, n_cpu: int) -> None:
        """So many processors the program means to use there; it is kept for the program."""
        self.n_cpu = n_cpu

    @property
    def is_here(self) -> bool:
        """Whether this is the machine on which the program runs."""
        return is_local(self.name)

    @property
    def has_own_start(self) -> bool:
        """Whether another Python, or something before it, is asked for."""
        return bool(self.init_cmd.strip()) or self.python not in _OWN_PYTHONS

    def __repr__(self) -> str:
        return f"Host({self.name!r}, {self.temp_path!r})"


def create_host_list(
    host_names: Iterable[str], temp_path: str, niceness: int = 0, python: str = "python", init_cmd: str = ""
) -> list[Host]:
    """A host for each name; ``['localhost'] * 8`` are 8 servers.

    >>> [host.name for host in create_host_list(["localhost"] * 2, "/tmp")]
    ['localhost', 'localhost']
    """
    if isinstance(host_names, str):
        raise InputError(f"host_names must be a list of names, not {host_names!r}: give [{host_names!r}]")
    return [Host(name, temp_path, niceness=niceness, python=python, init_cmd=init_cmd) for name in host_names]


@dataclass(frozen=True)
class Start:
    """What is done on a host before Python: shell text, then words of its command line."""

    prelude: str
    wrapper: str


def start_of(init_cmd: str) -> Start:
    """What an ``init_cmd`` means.

    >>> start_of("module load x"), start_of(". ./env.sh;"), start_of("wrap.sh !")
    (Start(prelude='module load x', wrapper=''), Start(prelude='. ./env.sh', wrapper=''), Start(prelude='', wrapper='wrap.sh'))
    """  # noqa: E501
    text = init_cmd.strip()
    if text.endswith("!"):
        before, _, wrapper = text[:-1].rstrip().rpartition(";")
        return Start(before.strip(), wrapper.strip())
    return Start(text.rstrip("; "), "")


def get_sge_host_list(path: str | None = None) -> list[str]:
    """Names of the hosts that Grid Engine has given to this job, each as often as it has slots there.

    Args:
        path: the file that says so; None: what PE_HOSTFILE names.

    Raises:
        InputError: this is no parallel job of Grid Engine, or the file makes no sense.
    """
    path = path or os.environ.get("PE_HOSTFILE")
    if not path:
        raise InputError("PE_HOSTFILE is not set: this program does not run in a parallel environment of Grid Engine")
    names: list[str] = []
    with open(path) as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if len(words) < 2 or not words[1].isdigit():
                raise InputError(f"{path} has a line that names no host and number of slots: {line.strip()!r}")
            names += [words[0]] * int(words[1])
    return names
