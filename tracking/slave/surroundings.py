"""Where a slave works, and where it finds modules: as its master does, as far as its host has the same.

::

    master (Context)                  slave on this machine      slave on another host
      working directory     ------->  the same                   as set for the host, else the same, else home
      sys.path                        the same                   what is the user's and is there, then what is its own:
        /home/me/prog       ------->                               /home/me/prog
        /usr/lib/python3.11                                        /opt/py/lib/python3.11
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tracking.errors import InputError

if TYPE_CHECKING:
    from tracking.slave.identity import Identity


class Context(NamedTuple):
    """What of the master's surroundings holds on its slaves, who the master is, and how long it lets an item run.

    Attributes:
        master: the number of the calculation.
        sys_path, directory: where the master finds modules, and where it works.
        item_timeout_s: so long an item may take; None: as long as it likes.
        installed: directories in which the master's interpreter has its own modules; what is below them is not the
            user's.
    """

    master: int
    sys_path: list[str]
    directory: str
    item_timeout_s: float | None = None
    installed: tuple[str, ...] = ()


@functools.cache
def installed() -> tuple[str, ...]:
    """Where this interpreter has its own modules: the standard library, and what is installed beside it."""
    import site

    standard = os.path.dirname(os.__file__)
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    prefixes = list(dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)))
    places = [standard, os.path.join(os.path.dirname(standard), archive), *site.getsitepackages(prefixes)]
    with contextlib.suppress(Exception):  # without a home there is none
        places.append(site.getusersitepackages())
    return tuple(dict.fromkeys(places))


class Home(NamedTuple):
    """What a slave on another host was started with: its own ``sys.path``, and its directory."""

    path: tuple[str, ...]
    directory: str


def far_path(
    context: Context, home: Home, directory: str, is_chosen: bool, exists: Callable[[str], bool]
) -> list[str]:
    """``sys.path`` of a slave on another host.

    With the master's own interpreter and all its directories it is the master's; else what of that is the user's
    and is there comes before what is the slave's own. What begins at no root is below the directory.

    Args:
        directory: where the slave works.
        is_chosen: the user has chosen that for this host: modules are found in it, too, and what lies below the
            master's directory there may lie below it here.
        exists: whether there is such a place here.
    """
    own = [entry for entry in home.path if entry and entry != home.directory]
    has_same_python = True
    masters: list[str] = []
    for entry in context.sys_path:
        if entry in own:
            masters.append(entry)
        elif _is_below(entry, context.installed):
            has_same_python = False
        elif exists(os.path.join(directory, entry)):
            masters.append(entry)
        elif is_chosen and _is_below(entry, (context.directory,)):
            moved = os.path.normpath(os.path.join(directory, os.path.relpath(entry, context.directory)))
            masters += [moved] if exists(moved) and moved not in masters else []
    if not has_same_python:
        masters = [entry for entry in masters if entry not in own]
    path = masters + [entry for entry in own if entry not in masters]
    if is_chosen and directory not in path and "" not in path:
        path.insert(next((index for index, entry in enumerate(path) if entry in own), len(path)), directory)
    return path


def _is_below(entry: str, places: Sequence[str]) -> bool:
    return any(entry == place or entry.startswith(place.rstrip(os.sep) + os.sep) for place in places)


class Surroundings:
    """Those of this process."""

    def __init__(self) -> None:
        self._identity: Identity | None = None  # of a slave on another host
        self._home = Home((), "")

    def be_far(self, identity: Identity) -> None:
        """This is a slave on another host than its master; to be said before it loads anybody's code."""
        self._identity = identity
        self._home = Home(tuple(sys.path), os.getcwd())

    def adopt(self, context: Context) -> None:
        """Work where the master does, and find modules as it does, as far as they are here.

        Raises:
            InputError: the directory that was set for this host is not there.
        """
        if self._identity is None:
            sys.path[:] = context.sys_path
            os.chdir(context.directory)
            return
        directory = self._enter(context.directory, self._identity)
        is_chosen = self._identity.directory is not None
        sys.path[:] = far_path(context, self._home, directory, is_chosen, os.path.exists)

    def _enter(self, masters: str, identity: Identity) -> str:
        if identity.directory is not None:
            chosen = os.path.join(os.path.expanduser("~"), os.path.expanduser(identity.directory))
            try:
                os.chdir(chosen)
            except OSError as error:
                raise InputError(
                    f"directory {identity.directory!r} of host {identity.host} cannot be entered: {error.strerror}; "
                    "make it there, or set another"
                ) from error
            return os.path.normpath(chosen)
        for directory in (masters, self._home.directory):
            with contextlib.suppress(OSError):  # it is not here, or not for us
                os.chdir(directory)
                return directory
        return os.getcwd()

    def what_to_do(self, error: BaseException) -> str:
        """What helps against an error that comes of working on another host; "": nothing that is known."""
        if self._identity is None or not isinstance(error, ModuleNotFoundError) or not error.name:
            return ""
        directory = self._identity.directory
        place = f"directory {directory!r}" if directory else "a directory that you set as `directory` of this host"
        module = error.name.partition(".")[0]
        return (
            f"host {self._identity.host} lacks module {module!r}: install it there; if it is your own, put it into "
            f"{place}, define in the program itself what slaves need of it, or send it along with "
            f"cloudpickle.register_pickle_by_value({module})"
        )


OWN = Surroundings()
"""Of this process."""
