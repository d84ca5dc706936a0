"""How a bare Python becomes a relay: what it is sent besides its modules, and begins with.

``fabrics.ssh.bootstrap`` says how it gets here. The modules come as text and stay in memory: nothing is written, and
nothing of this package need be installed. Tracebacks show their lines all the same, and slaves, which are forked,
have them from the beginning.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

Sent = tuple[bool, str, str, bytes]
"""A module: whether it is a package, the name of its file at the master, its text, and its code, b"" if not made."""


class SentModules:
    """Finds and loads modules that were sent; first of all finders, so that no other version gets in between.

    Args:
        modules: what was sent, by the full names of the modules.
    """

    def __init__(self, modules: Mapping[str, Sent]) -> None:
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._modules:
            return None
        is_package, file, _, _ = self._modules[name]
        spec = ModuleSpec(name, self, origin=file, is_package=is_package)  # type: ignore[arg-type]  # a loader needs no base class
        spec.has_location = True  # so that the module has a __file__: dill and others look for it
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102  (what loading a module is)

    def get_code(self, name: str) -> CodeType:
        _, file, text, code = self._modules[name]
        return marshal.loads(code) if code else compile(text, file, "exec", dont_inherit=True)  # noqa: S302

    def get_source(self, name: str) -> str:
        """For tracebacks."""
        return self._modules[name][2]

    def is_package(self, name: str) -> bool:
        return self._modules[name][0]


def arrive(modules: Mapping[str, Sent], options: Mapping[str, Any], line: int) -> int:
    """Be a relay; the exit status.

    Args:
        modules: what was sent.
        options: 'stays': slaves work in the directory that this process is in; 'master_silence_s': see ``relay.serve``.
        line: where to write to the master, who is read from stdin; nobody else has it, whatever is printed.
    """
    sys.meta_path.insert(0, SentModules(modules))
    sys.argv = [""]
    from tracking.slave import relay
    from tracking.wire.carriers import PipeCarrier

    return relay.serve(
        PipeCarrier(_moved_stdin(), line, "the ssh pipe"),
        slots=None,
        master_silence_s=options["master_silence_s"],
        directory=os.getcwd() if options["stays"] else None,
    )


def _moved_stdin() -> int:
    """The line from the master, out of the way of whatever reads stdin."""
    reading = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return reading
