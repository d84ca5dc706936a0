"""Masters made anew: from a restart file, from a run file, or in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from tracking.errors import InputError, StoreError
from tracking.fabrics.hosts_file import with_saved
from tracking.master.options import OF_SLAVES, Options
from tracking.master.tracking_job_master import TrackingJobMaster

if TYPE_CHECKING:
    from tracking.core.policy import ChunkSize

_ADDED = frozenset(Options._fields)  # arguments of masters that were not there of old


@cache
def _arguments() -> frozenset[str]:
    import inspect  # takes long to load

    return frozenset(inspect.signature(TrackingJobMaster).parameters)


def run(
    function: Callable[[Any], Any], data: Mapping[Any, Any], *, chunk_size: ChunkSize = "auto", **options: Any
) -> Any:
    """Compute ``function(value)`` for every item of a dict over all cores; {id: result}.

    Args:
        function: of one value; lambdas, closures, and what ``__main__`` or a notebook defines included.
        data: {id: value}.
        chunk_size: items per job; sized from measured item times by default.
        options: those of ``TrackingJobMaster``.

    Example:
        >>> import tracking
        >>> tracking.run(lambda x: x * x, {"a": 2, "b": 3}, hosts=["localhost"], verbose=0)
        {'a': 4, 'b': 9}

    Raises:
        CalculationError: some items failed; all others are in its ``.result``.
        TypeError: there is no such option.
    """
    unknown = next((name for name in options if name not in _arguments()), None)
    if unknown is not None:
        import difflib

        meant = difflib.get_close_matches(unknown, _arguments(), 1)
        raise TypeError(f"run() has no option {unknown!r}" + (f"; is {meant[0]!r} meant?" if meant else ""))
    if options.get("pool") is None:
        options.setdefault("niceness", {"default": 0})
    return TrackingJobMaster(data, chunk_size, function=function, **options).calculateResult()


def restart(rst: Mapping[str, Any] | str | os.PathLike[str], **params: Any) -> TrackingJobMaster:
    """A master of the saved class, ready to ``start()``: what was finished is not computed again.

    Args:
        rst: what ``getRst`` gave, or the name of the file that ``saveRst`` wrote.
        params: arguments that shall differ from the saved ones, such as ``hosts``; ``trust`` and ``run_file`` too.

    The saved class's own ``__init__`` is not called: its public fields come from the saved data.

    Raises:
        StoreError: the file cannot be used; says why.
        InputError: an argument that there is none of.
    """
    if not isinstance(rst, Mapping):
        from tracking.store import restart_file  # the store only where it is used

        rst = restart_file.load(rst, trust=bool(params.get("trust", False)))
    cls = rst.get("master_class")
    if not (isinstance(cls, type) and issubclass(cls, TrackingJobMaster)):
        raise StoreError(f"the restart data name no TrackingJobMaster class, but {cls!r}")
    unknown = sorted(set(params) - _arguments() - set(rst))
    if unknown:
        raise InputError(f"restart() has no argument {unknown[0]!r}")
    rst = {**rst, **params}
    arguments = {name: rst[name] for name in _arguments() - _ADDED if name in rst}
    arguments |= rst.get("tracking_options", {}) | {name: params[name] for name in _ADDED & params.keys()}
    if (settings := rst.get("host_settings")) and "hosts" not in params:
        arguments["hosts"] = with_saved(rst["hosts"], settings)
    if params.get("pool") is not None:
        for name in {"hosts", "niceness", *OF_SLAVES} - params.keys():
            arguments.pop(name, None)
    master = cls.__new__(cls)
    TrackingJobMaster.__init__(master, **arguments)
    rest = master.setRst(rst)
    for name in rest.keys() - _arguments():
        setattr(master, name, rest[name])
    return master


def resume(path: str | os.PathLike[str], **params: Any) -> TrackingJobMaster:
    """A master that goes on with what a run file holds, made from nothing but that file.

    Raises:
        StoreError: the file cannot be used, or holds no master (too large, or not to be pickled).
    """
    from tracking.store.pickling import from_bytes
    from tracking.store.run_file import RunFileReader

    with RunFileReader(path, trust=bool(params.get("trust", False))) as reader:
        recipe = reader.recipe()
    if recipe is None:
        raise StoreError(
            f"run file {os.fspath(path)!r} does not hold the calculation itself, only its results: "
            "start the program that wrote it again, with the same run_file"
        )
    rst = from_bytes(recipe, f"the calculation in {os.fspath(path)!r}")
    return restart(rst, run_file=path, **params)
