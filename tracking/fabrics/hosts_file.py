"""The hosts file: which machines there are, whose they are, and how slaves are started on each.

::

    [own]                                   # mine alone                           (niceness 0)
    localhost = 4                           # 4 slaves; all else as usual
    [shared]                                # others work there, too               (niceness 10)
    default = {python = "/opt/py/bin/python3"}              # for all in this class
    node1 = {slots = 8, ram = "64GB", niceness = 5, prelude = "module load python"}
    [other]                                 # only while nobody else needs them    (niceness 19)
    "node2.example.org" = {slots = 2, directory = "/scratch/me", environment = {OMP_NUM_THREADS = 1}}
    [default]                               # for all
    environment = {LANG = "C.UTF-8"}

What is said of a host goes before what is said of its class, that before ``[default]``. The file is meant wherever
hosts are given by ``'@hosts.toml'``, some of its classes by ``'@hosts.toml:own+shared'``, and the usual file, where
``find`` finds it, by ``'@'`` alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tracking.errors import InputError
from tracking.fabrics.machine import is_local, usable_cores
from tracking.fabrics.settings import KINDS, HostKind, HostSettings, bytes_in, checked_affinity

VARIABLE = "TRACKING_HOSTS"
"""Names the usual hosts file."""

NICENESS: Mapping[HostKind, int] = {"own": 0, "shared": 10, "other": 19}
_DEFAULT = "default"
_MOST_SLOTS = 1_000_000
_NO_HOST_NAME = re.compile(r"^[-@]|[\s*,]|^$")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ListedHost(str):
    """The name of a host that stands in a hosts file, and knows what is said of it there.

    Lists of these can be cut, joined and sorted by programs that know of names only. It is pickled as a name.
    """

    settings: HostSettings

    def __new__(cls, name: str, settings: HostSettings) -> ListedHost:
        host = super().__new__(cls, name)
        host.settings = settings
        return host

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


class HostsFile(NamedTuple):
    """What stands in one.

    Attributes:
        path: where it is; "" if it is none, but this machine.
        settings: {host: what it needs}, in the order of the file; niceness, slots and kind are never None.
        default: for hosts that are not named in it.
    """

    path: str
    settings: Mapping[str, HostSettings]
    default: HostSettings

    def nodes(self, kinds: Collection[str] = KINDS) -> list[ListedHost]:
        """The hosts of these classes, each once, class by class."""
        wanted = [kind for kind in KINDS if kind in kinds]
        return [
            ListedHost(host, its) for kind in wanted for host, its in self.settings.items() if its.kind == kind
        ]

    def cpus(self, kinds: Collection[str] = KINDS) -> list[ListedHost]:
        """The hosts of these classes, each as often as it has slots."""
        return [host for host in self.nodes(kinds) for _ in range(host.settings.slots or 1)]


# ---- wherever hosts are given


class Expanded(NamedTuple):
    """What was given as ``hosts``, with the names that its ``'@...'`` entries mean in their place.

    Attributes:
        hosts: as given if nothing in it comes of a hosts file; else a list.
        settings: {host: what it needs}, of those that come of a hosts file.
        niceness: {host: nice value} of these.
    """

    hosts: Any
    settings: dict[str, HostSettings]
    niceness: dict[str, int]


def expand(hosts: object) -> Expanded:
    """Read what hosts files say.

    Raises:
        InputError: a file is not there, or wrong; names it, and where.
    """
    if isinstance(hosts, str):
        hosts = [hosts] if hosts.startswith("@") or isinstance(hosts, ListedHost) else hosts
    if isinstance(hosts, str | Mapping) or not isinstance(hosts, Iterable):
        return Expanded(hosts, {}, {})
    listed: list[object] = []
    for entry in hosts:
        listed += named_in(entry) if isinstance(entry, str) and entry.startswith("@") else [entry]
    settings = {str(host): host.settings for host in listed if isinstance(host, ListedHost)}
    niceness = {host: its.niceness for host, its in settings.items() if its.niceness is not None}
    return Expanded([str(host) if isinstance(host, ListedHost) else host for host in listed], settings, niceness)


def with_saved(hosts: Iterable[Mapping[str, str]], saved: Mapping[str, Mapping[str, Any]]) -> list[object]:
    """The hosts of a master that was saved, with what a hosts file had said of them: {host: fields of its settings}."""
    known = HostSettings._fields
    settings = {host: HostSettings(**{k: v for k, v in its.items() if k in known}) for host, its in saved.items()}
    names = [entry["host"] for entry in hosts]
    return [ListedHost(name, settings[name]) if name in settings else name for name in names]


def named_in(entry: str) -> list[ListedHost]:
    """The hosts that ``@FILE``, ``@FILE:own+shared``, ``@`` or ``@:own`` means, each as often as it has slots.

    Raises:
        InputError: the file is not there, or wrong, or has no such hosts.
    """
    name, kinds = _parted(entry.removeprefix("@"))
    file = read(name or find())
    hosts = file.cpus(kinds)
    if not hosts:
        raise InputError(f"hosts file {file.path} names no host in [{'] or ['.join(kinds)}]")
    return hosts


def _parted(text: str) -> tuple[str, Sequence[str]]:
    """``FILE:own+shared`` as file and classes."""
    name, colon, words = text.rpartition(":")
    if not colon or os.path.exists(os.path.expanduser(text)):
        return text, KINDS
    kinds = words.split("+")
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"hosts '@{text}': there is no class {kind!r} of hosts{_meant(kind, KINDS)}")
    return name, kinds


def find(environ: Mapping[str, str] = os.environ) -> str:
    """The usual hosts file: that in $TRACKING_HOSTS, else ./hosts.toml, else ~/.config/tracking/hosts.toml.

    Raises:
        InputError: there is none.
    """
    found = find_if_any(environ)
    if found is None:
        raise InputError(
            f"there is no hosts file: neither ./hosts.toml nor {_of_user(environ)}, and {VARIABLE} names none"
        )
    return found


def find_if_any(environ: Mapping[str, str] = os.environ) -> str | None:
    """As ``find``; None where there is none."""
    if named := environ.get(VARIABLE):
        return named
    return next((name for name in ("hosts.toml", _of_user(environ)) if os.path.exists(name)), None)


def _of_user(environ: Mapping[str, str]) -> str:
    config = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "tracking", "hosts.toml")


# ---- the file


def this_machine() -> HostsFile:
    """What holds where there is no hosts file: this machine is mine, and all its cores."""
    own = HostSettings(niceness=0, slots=usable_cores(), kind="own", ram_bytes=_own_ram())
    return HostsFile("", {"localhost": own}, HostSettings())


def _own_ram() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def read(path: str) -> HostsFile:
    """What a hosts file says.

    Raises:
        InputError: it cannot be read, or something in it is wrong; names the file, the host and the key.
    """
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise InputError(f"hosts file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"hosts file {path} is no text in UTF-8: {error}") from error
    return parse(text, path)


def parse(text: str, path: str) -> HostsFile:
    """What this text says; ``path`` is where it was.

    Raises:
        InputError: something is wrong with it; names the host and the key.
    """
    import tomllib  # only who has a hosts file waits for it

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"hosts file {path}: {error}") from error
    for name, table in tables.items():
        if name not in (*KINDS, _DEFAULT):
            raise InputError(
                f"hosts file {path}: there is no table [{name}]{_meant(name, (*KINDS, _DEFAULT))}; "
                "hosts stand in [own], [shared] or [other]"
            )
        if not isinstance(table, dict):
            raise InputError(f"hosts file {path}: {name} must be a table: write [{name}], and below it a line a host")
    default = _settings(tables.get(_DEFAULT, {}), f"hosts file {path}, [{_DEFAULT}]", HostSettings())
    settings: dict[str, HostSettings] = {}
    for kind in KINDS:
        for host, its in _hosts_of(tables.get(kind, {}), kind, f"hosts file {path}, [{kind}]", default).items():
            if host in settings:
                raise InputError(f"hosts file {path}: host {host} stands in [{settings[host].kind}] and in [{kind}]")
            settings[host] = its
    return HostsFile(path, settings, default)


def _hosts_of(table: dict[str, Any], kind: HostKind, where: str, default: HostSettings) -> dict[str, HostSettings]:
    niceness = NICENESS[kind] if default.niceness is None else default.niceness
    of_class = default._replace(kind=kind, niceness=niceness)
    if _DEFAULT in table:
        of_class = _settings(table[_DEFAULT], f"{where}, {_DEFAULT}", of_class)
    settings = {}
    for host, entry in table.items():
        if host == _DEFAULT:
            continue
        if _NO_HOST_NAME.search(host):
            raise InputError(f"{where}: {host!r} is no host name")
        its = _settings(entry, f"{where}, {host}", of_class)
        slots = its.slots or (usable_cores() if is_local(host) else 1)
        settings[host] = its._replace(slots=slots)
    return settings


def _settings(entry: object, where: str, default: HostSettings) -> HostSettings:
    """An entry, ``{key = value, ...}`` or the number of slots alone, over what is said in general."""
    if isinstance(entry, int) and not isinstance(entry, bool):
        entry = {"slots": entry}
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected {{slots = 8, ...}}, or the number of slots alone; not {entry!r}")
    taken: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in _KEYS:
            dots = "; a name with dots in it must stand in quotes" if isinstance(value, dict) else ""
            raise InputError(f"{where}: there is no key {key!r}{_meant(key, _KEYS)}{dots}")
        field, take, expected = _KEYS[key]
        taken[field] = take(value)
        if taken[field] is None:
            raise InputError(f"{where}: {key} must be {expected}, not {value!r}")
    if "environment" in taken:
        taken["environment"] = {**default.environment, **taken["environment"]}
    return default._replace(**taken)


def _whole(least: int, most: int) -> Callable[[object], int | None]:
    def take(value: object) -> int | None:
        return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None

    return take


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and "\0" not in value else None


def _line(value: object) -> str | None:
    return None if "\n" in str(value) else _text(value)


def _directory(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith(("/", "~")) and "\0" not in value else None


def _bytes(value: object) -> int | None:
    return (bytes_in(value) or None) if isinstance(value, str) and value.strip()[-1:].isalpha() else None


def _affinity(value: object) -> str | None:
    try:
        return checked_affinity("", value)
    except InputError:
        return None


def _environment(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict) or not all(map(_is_variable, value, value.values())):
        return None
    return {name: str(text) for name, text in value.items()}


def _is_variable(name: str, text: object) -> bool:
    is_text = isinstance(text, str | int) and not isinstance(text, bool)
    return is_text and "\0" not in str(text) and _VARIABLE_NAME.fullmatch(name) is not None


_KEYS: Mapping[str, tuple[str, Callable[[object], Any], str]] = {
    "slots": ("slots", _whole(1, _MOST_SLOTS), "a whole number, at least 1 (to leave a host out, put # before it)"),
    "niceness": ("niceness", _whole(-20, 19), "a whole number from -20 to 19"),
    "threads": ("threads", _whole(0, 1_000_000), "a whole number; 0: as many as libraries choose themselves"),
    "affinity": ("affinity", _affinity, "'each', a set of CPUs such as '0-3,8', or a list of them for slaves in turn"),
    "ram": ("ram_bytes", _bytes, "a text such as '64GB' or '512 MiB'"),
    "python": ("python", _text, "a text, the path or name of its Python"),
    "directory": ("directory", _directory, "a text, the path of a directory that begins with / or ~"),
    "prelude": ("prelude", _text, "a text, what a shell runs there before Python"),
    "wrapper": ("wrapper", _line, "a text of one line, the words before Python in its command line"),
    "environment": ("environment", _environment, "a table {NAME = 'text', ...} of variables"),
}


def _meant(word: str, words: Iterable[str]) -> str:
    """What may have been meant, as the end of a sentence."""
    import difflib

    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(words)}"
