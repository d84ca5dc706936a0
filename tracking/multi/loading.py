"""Processors by name: ours, those of other packages, and one for each fabric."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, SupportsIndex

from tracking.fabrics.base import Fabric
from tracking.fabrics.registry import fabric_names
from tracking.multi.box import Processor_box
from tracking.multi.misc import Verbosity, import_module

GROUP = "tracking.processors"
"""Entry points of this group, in any installed package, are processors by name: called with ``callback`` and
``processor_size``."""

OWN = ("uni", "mpi4py", "local")


def load_multiprocessor(
    processor_name: str | Fabric,
    callback: Any = None,
    processor_size: int = -1,
    verbosity: int | None = 1,
    **options: Any,
) -> Any:
    """Make the processor of this name, and keep it in the ``Processor_box``.

    Args:
        processor_name: 'uni', 'mpi4py', 'local', one of an entry point, or of a fabric; or a fabric itself.
        callback: an ``Application_callback``, or what has its two attributes.
        processor_size: so many slaves, without the master; -1: as many as make sense.
        verbosity: see ``Verbosity``; None: as it is.
        options: of that processor, see ``Fabric_processor``.

    Raises:
        ModuleNotFoundError: there is none of this name; says which there are.
        TypeError: ``processor_size`` is no whole number, or there is no such option; says which there are.
        Too_few_slaves_exception: there is no slave.
    """
    Verbosity().set(verbosity)
    name, make = _maker(processor_name)
    processor = make(callback=callback, processor_size=processor_size, **options)
    box = Processor_box()
    box.processor = processor
    box.processor_name = f"{name}_processor"
    box.class_name = f"{name[:1].upper()}{name[1:]}_processor"
    return processor


def _maker(wanted: str | Fabric) -> tuple[str, Callable[..., Any]]:
    """The name of a kind of processors, and what makes one."""
    if not isinstance(wanted, str):
        return wanted.name, _of_fabric(wanted.name, wanted)
    if wanted in OWN:
        module = import_module(f"tracking.multi.{wanted}_processor")
        return wanted, _strict(wanted, _its_class(module, f"{wanted[:1].upper()}{wanted[1:]}_processor"))
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if wanted in others:
        return wanted, _loaded(others[wanted])
    fabrics = fabric_names()
    if wanted in fabrics:
        return wanted, _of_fabric(wanted, wanted)
    known = sorted({*OWN, *others, *fabrics})
    raise ModuleNotFoundError(
        f"No module named 'multi.{wanted}_processor': {_meant(wanted.lower(), known)}the processors are "
        f"{', '.join(known)}"
    )


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"is {close[0]!r} meant? " if close else ""


def _strict(name: str, kind: type) -> Callable[..., Any]:
    """Makes one of our own processors, when what it is called with has been looked at."""

    def make(callback: Any, processor_size: Any, **options: Any) -> Any:
        if not isinstance(processor_size, SupportsIndex):
            raise TypeError(f"processor_size is a number of slaves, a whole one, not {processor_size!r}")
        known = ["callback", "processor_size", "verbosity", *_options_of(kind)]
        for option in options:
            if option not in known:
                raise TypeError(
                    f"load_multiprocessor({name!r}) has no option {option!r}: {_meant(option.lower(), known)}"
                    f"there are {', '.join(known)}"
                )
        return kind(callback=callback, processor_size=processor_size, **options)

    return make


def _options_of(kind: type) -> list[str]:
    """What a class takes by keyword only, and its bases."""
    made_by = [vars(each)["__init__"] for each in kind.__mro__ if each is not object and "__init__" in vars(each)]
    parameters = [one for each in made_by for one in inspect.signature(each).parameters.values()]
    return [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]


def _its_class(module: Any, class_name: str) -> type:
    try:
        made: type = getattr(module, class_name)
    except AttributeError:
        raise ImportError(f"can't load class {class_name} from module {module.__name__}") from None
    return made


def _loaded(entry: EntryPoint) -> Callable[..., Any]:
    """What an entry point names: a class or a function, or a module as the old package had them."""
    try:
        found = entry.load()
    except Exception as error:
        raise ImportError(f"can't load the processor {entry.name!r} from {entry.value}: {error}") from error
    if callable(found):
        made: Callable[..., Any] = found
        return made
    return _its_class(found, f"{entry.name[:1].upper()}{entry.name[1:]}_processor")


def _of_fabric(name: str, fabric: str | Fabric) -> Callable[..., Any]:
    from tracking.multi.fabric_processor import Fabric_processor

    return _strict(name, type(f"{name[:1].upper()}{name[1:]}_processor", (Fabric_processor,), {"fabric": fabric}))
