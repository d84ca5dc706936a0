"""Finds a fabric by its name, and the fabric of each host; loads only what is asked for.

::

    fabric='slurm' ----> make_fabric: one of ours, or of another package (entry point group ``tracking.fabrics``)
    hosts=[...] -------> Fabrics.of(host): the fabric that was asked for; if none was, local or ssh, by the name
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tracking.errors import EngineError, InputError, TrackingError
from tracking.fabrics.base import BaseFabric, Fabric
from tracking.fabrics.host_report import HostReport
from tracking.fabrics.machine import is_local
from tracking.fabrics.settings import HostSettings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "tracking.fabrics"
"""Entry points of this group, in any installed package, are fabrics by name: callables that return a fabric."""

_FABRICS = {
    "dask": ("tracking.fabrics.dask", "DaskFabric"),
    "dialled": ("tracking.fabrics.dialled", "DialledFabric"),
    "gridengine": ("tracking.fabrics.queues.gridengine.fabric", "GridEngineFabric"),
    "local": ("tracking.fabrics.local", "LocalFabric"),
    "mpi": ("tracking.fabrics.mpi", "MpiFabric"),
    "slurm": ("tracking.fabrics.queues.slurm.fabric", "SlurmFabric"),
    "ssh": ("tracking.fabrics.ssh.fabric", "SshFabric"),
}
_EXTRAS = {"cryptography": "tls", "dask": "dask", "distributed": "dask", "mpi4py": "mpi"}  # package -> what brings it
_default: Callable[[], Any] | None = None
_NO_SETTINGS: Mapping[str, HostSettings] = MappingProxyType({})


def set_default(make: Callable[[], Any] | None) -> None:
    """From now on slaves of which neither hosts nor a fabric are said are started by such a fabric; None: locally.

    For programs that are started by an engine, which gives them its places (``tracking.fabrics.mpi``).
    """
    global _default
    _default = make


def fabric_names() -> list[str]:
    """The names of all fabrics, those of other packages included; none of them is loaded."""
    from importlib.metadata import entry_points  # looks through all packages: only where that is needed

    return sorted({*_FABRICS, *(entry.name for entry in entry_points(group=GROUP))})


def make_fabric(name_or_fabric: str | Fabric) -> Fabric:
    """The fabric meant: a fabric object itself, or a new one of that name.

    Raises:
        InputError: no fabric has this name.
        EngineError: it cannot be made; says what is missing.
    """
    if isinstance(name_or_fabric, str):
        return _make(name_or_fabric)
    return _checked(name_or_fabric, "fabric must be a name or a fabric object, not")


def _checked(fabric: object, words: str) -> Fabric:
    if not isinstance(fabric, Fabric):
        raise InputError(f"{words} of type {type(fabric).__name__}")
    return fabric


def _make(name: str) -> Fabric:
    if name not in _FABRICS:
        return _make_of_others(name)
    try:
        fabric: Fabric = fabric_class(name)()
    except ImportError as error:  # a class may wait with what it needs until it is called
        raise _is_missing(name, error) from error
    return fabric


def fabric_class(name: str) -> Callable[..., Any]:
    """One of our own fabrics, by its name.

    Raises:
        EngineError: it needs a package that is not installed; says how to get it.
    """
    module, class_name = _FABRICS[name]
    try:
        found: Callable[..., Any] = getattr(import_module(module), class_name)
    except ImportError as error:
        raise _is_missing(name, error) from error
    return found


def _is_missing(name: str, error: ImportError) -> EngineError:
    extra = _EXTRAS.get((error.name or "").partition(".")[0])
    hint = f": pip install 'tracking[{extra}]'" if extra else ""
    return EngineError(f"fabric {name!r} cannot be used here ({error}){hint}")


# ---- of other packages


def _make_of_others(name: str) -> Fabric:
    from importlib.metadata import entry_points  # looks through all packages: only where that is needed

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise InputError(f"there is no fabric {name!r}; there are: {', '.join(sorted({*_FABRICS, *found}))}")
    entry = found[name]
    try:
        return _checked(entry.load()(), "it gave us something")
    except TrackingError as error:
        if not isinstance(error, InputError):
            raise
        raise _is_broken(entry, str(error)) from error
    except Exception as error:
        raise _is_broken(entry, f"{type(error).__name__}: {error}") from error


def _is_broken(entry: EntryPoint, words: str) -> EngineError:
    package = f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
    return EngineError(f"fabric {entry.name!r}, which {package} brings as {entry.value}, cannot be used: {words}")


# ---- of each host


class Fabrics:
    """The fabric of each host: the one that was asked for; if none was, local for this machine, ssh for all others.

    Example:
        >>> fabrics = Fabrics()
        >>> fabrics.of("localhost").name
        'local'
        >>> fabrics.close()

    Args:
        fabric: a name, or a fabric; None: as the name of a host says.
        settings: {host: what it needs}.
        make_ssh: makes the fabric of other machines, when the first of them is met; None: an ``SshFabric``.

    Raises:
        InputError, EngineError: there is no such fabric, or it cannot be made here.
    """

    def __init__(
        self,
        fabric: str | Fabric | None = None,
        settings: Mapping[str, HostSettings] = _NO_SETTINGS,
        *,
        make_ssh: Callable[[], Fabric] | None = None,
    ) -> None:
        self.settings = dict(settings)  # those of hosts that are added later come into it, too
        self._make_ssh = make_ssh or (lambda: make_fabric("ssh"))
        self._asked_for = None if fabric is None else make_fabric(fabric)
        if self._asked_for is not None:
            self._asked_for.use_settings(self.settings)
        self._by_name: dict[str, Fabric] = {}  # 'local', 'ssh': those that were needed
        self._preloads: list[str] = []  # for those to come, too

    def of(self, host: str) -> Fabric:
        """What starts slaves on this host.

        Raises:
            EngineError: it cannot be made here.
        """
        if self._asked_for is not None and not (self._asked_for.name == "ssh" and is_local(host)):
            return self._asked_for
        return self._of_name("local" if is_local(host) else "ssh")

    def _of_name(self, name: str) -> Fabric:
        found = self._by_name.get(name)
        if found is None:
            found = self._make_ssh() if name == "ssh" else make_fabric(name)
            found.use_settings(self.settings)
            found.preload(self._preloads)
            found = self._by_name.setdefault(name, found)  # another thread may have been faster
        return found

    def check_host(self, host: str) -> None:
        """Refuse a host name on which nothing can be started; takes milliseconds.

        Raises:
            InputError: names the host and says why.
            EngineError: what is to start slaves there cannot be made here.
        """
        self.of(host).check_host(host)

    def hosts_for(self, count: int | None) -> list[str]:
        """The host of each slave where the user names none: what the fabric that was asked for says, or this machine.

        Args:
            count: how many slaves; None: as many as make sense.

        Raises:
            EngineError: the engine is not there, or does not answer.
        """
        if self._asked_for is None and _default is not None:
            self._asked_for = _default()
        return (self._asked_for or self._of_name("local")).hosts_for(count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Try whether slaves can be started on these hosts: {host: why they cannot}; waits for that, bounded.

        A fabric tries its hosts in parallel; where there are two of them, the local one has nothing to try.
        """
        failed: dict[str, str] = {}
        for fabric, its_hosts in self._by_fabric(hosts):
            try:
                failed |= fabric.check(its_hosts)
            except EngineError as error:  # as when there is no ssh here
                failed |= dict.fromkeys(its_hosts, str(error))
        return {host: failed[host] for host in dict.fromkeys(hosts) if host in failed}

    def stop_checking(self) -> None:
        """Whoever waits for what ``check`` finds need not know it any more. From any thread."""
        for fabric in self._all():
            fabric.stop_checking()

    def examine(self, hosts: Sequence[str]) -> dict[str, HostReport]:
        """The same with all else that was found, also of names that mean nothing; for people."""
        found: dict[str, HostReport] = {}
        for host in dict.fromkeys(hosts):
            try:
                self.check_host(host)
            except (InputError, EngineError) as error:
                found[host] = HostReport(host, str(error))
        for fabric, its_hosts in self._by_fabric([host for host in hosts if host not in found]):
            try:
                found |= fabric.examine(its_hosts)
            except EngineError as error:
                found |= {host: HostReport(host, str(error)) for host in its_hosts}
        return {host: found[host] for host in dict.fromkeys(hosts)}

    def _by_fabric(self, hosts: Sequence[str]) -> list[tuple[Fabric, list[str]]]:
        by_fabric: dict[int, tuple[Fabric, list[str]]] = {}
        for host in dict.fromkeys(hosts):
            fabric = self.of(host)
            by_fabric.setdefault(id(fabric), (fabric, []))[1].append(host)
        return list(by_fabric.values())

    def starts_with(self, fabric: Fabric) -> bool:
        """Whether it is this one that was asked for."""
        return self._asked_for is fabric

    def prepare(self, hosts: Iterable[str]) -> None:
        """Slaves will be asked for on these hosts in a moment: what they need first boots while the caller goes on."""
        with contextlib.suppress(EngineError, OSError):  # told when slaves are started
            fabrics = {id(fabric): fabric for fabric in map(self.of, dict.fromkeys(hosts))}
            for fabric in fabrics.values():
                if isinstance(fabric, BaseFabric):
                    fabric.prepare()

    def preload(self, modules: Iterable[str]) -> None:
        """Slaves to come will need these modules: they may be loaded once for all."""
        self._preloads += modules
        for fabric in self._all():
            fabric.preload(self._preloads)

    def close(self) -> None:
        """End whatever still runs, and leave nothing behind. May be called twice."""
        for fabric in self._all():
            fabric.close()

    def _all(self) -> list[Fabric]:
        return [*self._by_name.values()] if self._asked_for is None else [self._asked_for]


class FabricsOfPool:
    """Those that a pool was made with, and those that came with hosts that were added.

    Attributes:
        first: the former.

    Args and errors as of ``Fabrics``.
    """

    def __init__(self, fabric: str | Fabric | None = None, settings: Mapping[str, HostSettings] = _NO_SETTINGS) -> None:
        self.first = Fabrics(fabric, settings)
        self._more: list[Fabrics] = []

    def more(self, fabric: str | Fabric) -> Fabrics:
        """Those of one more fabric; the same for the same fabric object."""
        made = make_fabric(fabric)
        for fabrics in self._more:
            if fabrics.starts_with(made):
                return fabrics
        self._more.append(Fabrics(made))
        return self._more[-1]

    def preload(self, modules: Iterable[str]) -> None:
        """As of ``Fabrics``, for all."""
        modules = list(modules)
        for fabrics in (self.first, *self._more):
            fabrics.preload(modules)

    def close(self) -> None:
        """End whatever still runs, and leave nothing behind. May be called twice."""
        for fabrics in (self.first, *self._more):
            fabrics.close()
