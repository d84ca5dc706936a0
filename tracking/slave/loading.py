"""From what the master sent to a calculation that can do jobs: a function, a JobSlave class, a slave script."""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tracking.slave import copies, cores, surroundings
from tracking.slave.calling import CallsOn
from tracking.slave.surroundings import Context
from tracking.slave.work import FunctionWork, GoWork
from tracking.wire import codec, mainmodule, mapped
from tracking.wire import messages as m

if TYPE_CHECKING:
    from tracking.slave.heard import Calculation, Kept
    from tracking.slave.job_slave import JobSlave
    from tracking.slave.process import SlaveProcess


Code: TypeAlias = "codec.Payload | mapped.SharedPayload"


class Script(NamedTuple):
    """A slave script: its absolute path on the master, and what stands in it."""

    path: str
    source: bytes


class Params(NamedTuple):
    """What ``initialize`` gets, and the definitions of the master's ``__main__`` that it needs."""

    value: Code
    definitions: codec.Payload | None


_is_loading_code = False


@contextmanager
def _loading_code() -> Iterator[None]:
    global _is_loading_code
    _is_loading_code = True
    try:
        yield
    finally:
        _is_loading_code = False


def is_loading_code() -> bool:
    """Whether this is a slave that is just loading the user's code, which should not begin to calculate thereby."""
    return _is_loading_code


def load(
    process: SlaveProcess, number: int, kind: str, code: Code | Script, params: Params | None, context: Context
) -> Calculation:
    """Make the calculation ready for jobs; registers it with the process as soon as it can hear.

    Args:
        code: the script, function or class.

    Raises whatever the user's code raises.
    """
    cores.OWN.settle(process.identity.share)  # libraries look when they are loaded, and this is before
    surroundings.OWN.adopt(context)
    main = sys.modules["__main__"] = ModuleType("__main__")
    if isinstance(code, Script):
        with _loading_code():
            slave = _run_script(process, code, main)
        return _start_slave(process, number, slave, params, context)
    with _loading_code():
        worker = mainmodule.decode_function(_inline(code))
    if kind == m.SLAVE_CLASS:
        return _start_slave(process, number, worker(), params, context)
    _apply_niceness(process.identity.niceness)
    work = _calls_on(worker()) if kind == m.OBJECT else worker
    return process.register(number, FunctionWork(work, context.item_timeout_s))


def load_again(process: SlaveProcess, number: int, kept: Kept) -> Calculation:
    """Make the calculation ready for jobs of a function that was kept; what items have changed around it is set right.

    Raises OSError if the directory is not there any more, and whatever the user's code raises.
    """
    return load(process, number, m.FUNCTION, kept.code, None, kept.context)


def _calls_on(made: Any) -> CallsOn:
    copies.end_if_copy()
    return CallsOn(made)


def _inline(code: Code) -> codec.Payload:
    return mapped.open_shared(code) if isinstance(code, mapped.SharedPayload) else code


def _apply_niceness(wanted: int) -> None:
    """Be as nice as wanted, also where a slave script has seen to it already; never less nice than started."""
    now = os.getpriority(os.PRIO_PROCESS, 0)
    if wanted > now:
        os.nice(wanted - now)


def _start_slave(
    process: SlaveProcess, number: int, slave: JobSlave, params: Params | None, context: Context
) -> Calculation:
    _apply_niceness(process.identity.niceness)
    calculation = process.register(number, GoWork(slave.go))
    slave._tr_connect(process, calculation, context.master)
    slave.bindMessages()
    slave.initialize(_value(params))
    return calculation


def _value(params: Params | None) -> object:
    if params is None:
        return None
    if params.definitions is not None:
        mainmodule.install(params.definitions)
    return codec.decode(_inline(params.value))


def _run_script(process: SlaveProcess, script: Script, main: ModuleType) -> JobSlave:
    """Run a slave script as the program that it is, ``python SCRIPT NICE``, in this process."""
    from tracking.slave import job_slave

    path = script.path
    nice = max(0, process.identity.niceness - os.getpriority(os.PRIO_PROCESS, 0))
    sys.argv = [path, str(nice)]
    if os.path.isdir(directory := os.path.dirname(path)):
        sys.path.insert(0, directory)
    main.__dict__.update(__file__=path, __builtins__=builtins)
    _show_lines_of(script)
    code = compile(script.source, path, "exec", dont_inherit=True)
    with job_slave.collecting_started() as started:
        try:
            exec(code, main.__dict__)  # noqa: S102  (to run the user's script is what we were asked for)
        except SystemExit as end:
            if end.code or not started:
                raise  # else it is the way in which many a program ends
    if len(started) == 1:
        return started[0]
    if started:
        raise TypeError(f"slave script {path} starts {len(started)} slaves; it must start one")
    return _only_slave_class(path, main.__dict__)()


def _show_lines_of(script: Script) -> None:
    """Let tracebacks show the script's own lines, also where its file is not there, or is another by now."""
    with contextlib.suppress(OSError), open(script.path, "rb") as file:
        if file.read() == script.source:
            return
    import linecache
    from importlib.util import decode_source

    text = decode_source(script.source)
    linecache.cache[script.path] = len(text), None, text.splitlines(keepends=True), script.path


def _only_slave_class(path: str, names: dict[str, Any]) -> type[JobSlave]:
    """The one JobSlave subclass of a script in the short form; a base of another one does not count."""
    from tracking.slave.job_slave import JobSlave

    classes = {c for c in names.values() if isinstance(c, type) and issubclass(c, JobSlave) and c is not JobSlave}
    classes = {c for c in classes if c.__module__ == "__main__"} or classes  # imported ones only if it has no own
    leaves = [c for c in classes if not any(other is not c and issubclass(other, c) for other in classes)]
    if len(leaves) == 1:
        return leaves[0]
    if not leaves:
        raise TypeError(f"slave script {path} defines no JobSlave subclass and starts none")
    found = ", ".join(sorted(c.__name__ for c in leaves))
    raise TypeError(f"slave script {path} defines more than one JobSlave subclass ({found}) and starts none of them")
