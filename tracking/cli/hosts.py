"""``tracking hosts``: which machines there are, and whether slaves can be started on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from tracking.errors import EngineError, InputError

if TYPE_CHECKING:
    from rich.table import Table

    from tracking.fabrics.settings import HostSettings

Check = Callable[[Sequence[str], "Mapping[str, HostSettings]"], dict[str, str]]

SOME_FAIL = 1
_WIDE = 10_000  # columns: what is read by a program is not folded


@click.group(name="hosts")
def hosts() -> None:
    """Say which machines there are, and whether they can be used.

    A hosts file has a line for each of them, with its slots, niceness, Python and so on, in the classes [own],
    [shared] and [other]. The usual one is that in $TRACKING_HOSTS, else ./hosts.toml, else
    ~/.config/tracking/hosts.toml. What a line leaves out is as usual:

    \b
      [own]                # mine alone: niceness 0
      localhost = 4        # 4 slots
      [shared]             # others work there, too: niceness 10
      node1 = {slots = 8, ram = "64GB", niceness = 5}
      [other]              # only while nobody else needs them: niceness 19
      "node2.example.org" = {python = "/opt/py/bin/python3", directory = "~/work", environment = {LANG = "C"}}

    \b
    Examples:
      tracking hosts list
      tracking hosts check
    """


@hosts.command(name="list")
@click.argument("file", metavar="[FILE]", required=False)
def list_hosts(file: str | None) -> None:
    """Show the machines of a hosts file; without one, those of the usual file, or this one.

    \b
    Examples:
      tracking hosts list
      tracking hosts list cluster.toml
      tracking hosts list cluster.toml:own+shared
    """
    names, settings = _meant([f"@{(file or '').removeprefix('@')}"] if file else [])
    _show(_listed(names, settings))
    click.echo(f"{_count(len(set(names)), 'host')}, {_count(len(names), 'slot')}")


@hosts.command(name="check")
@click.argument("wanted", metavar="[HOST|@FILE]...", nargs=-1)
def check_hosts(wanted: tuple[str, ...]) -> int:
    """Try whether slaves can be started on machines; without names, on those of the usual file.

    Exit status: 0 all can be used, 1 some cannot.

    \b
    Examples:
      tracking hosts check
      tracking hosts check node1 node2
      tracking hosts check @cluster.toml:shared
    """
    names, settings = _meant(wanted)
    wrong = try_hosts(list(dict.fromkeys(names)), settings)
    _show(_checked(names, settings, wrong))
    n_hosts = len(set(names))
    click.echo(f"{n_hosts - len(wrong)} of {_count(n_hosts, 'host')} can be used")
    return SOME_FAIL if wrong else 0


def try_hosts(names: Sequence[str], settings: Mapping[str, HostSettings]) -> dict[str, str]:
    """Try to reach these hosts, all at once: {host: why slaves cannot be started there}."""
    from tracking.fabrics.registry import Fabrics

    fabrics = Fabrics(None, settings)
    wrong: dict[str, str] = {}
    try:
        for host in names:
            try:
                fabrics.check_host(host)
            except (InputError, EngineError) as problem:
                wrong[host] = str(problem)
        return wrong | fabrics.check([host for host in names if host not in wrong])
    finally:
        fabrics.close()


def _meant(wanted: Sequence[str]) -> tuple[list[str], dict[str, HostSettings]]:
    """The names that were given, or those of the usual file; each as often as it has slots."""
    from tracking.fabrics.hosts_file import expand, find_if_any, this_machine
    from tracking.pool.arguments import repeated_host

    usual = ["@"] if find_if_any() is not None else this_machine().cpus()
    expanded = expand(list(wanted) or usual)
    return [name for entry in expanded.hosts for name in repeated_host(entry)], expanded.settings


def _listed(names: Sequence[str], settings: Mapping[str, HostSettings]) -> Table:
    table = _table("host", "class", "slots", "niceness", "ram", "python", "directory")
    for host in dict.fromkeys(names):
        its = settings[host]
        ram = f"{its.ram_bytes / 1e9:.3g} GB" if its.ram_bytes else ""
        table.add_row(*_row(host, names, settings), ram, its.python or "", its.directory or "")
    return table


def _checked(names: Sequence[str], settings: Mapping[str, HostSettings], wrong: Mapping[str, str]) -> Table:
    table = _table("host", "class", "slots", "niceness", "python", "usable", "what is wrong")
    for host in dict.fromkeys(names):
        python = (settings[host].python or "") if host in settings else ""
        usable = "no" if host in wrong else "yes"
        table.add_row(*_row(host, names, settings), python, usable, wrong.get(host, ""))
    return table


def _row(host: str, names: Sequence[str], settings: Mapping[str, HostSettings]) -> tuple[str, str, str, str]:
    its = settings.get(host)
    niceness = "" if its is None or its.niceness is None else str(its.niceness)
    return host, (its.kind or "") if its else "", str(names.count(host)), niceness


def _table(*head: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in ("slots", "niceness", "ram") else "left", overflow="fold")
    return table


def _show(table: Table) -> None:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False)
    if console.is_terminal:
        console.print(table)
        return
    console.width = _WIDE
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
