"""``tracking hosts``: which machines there are, and whether slaves can be started on them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from tracking.fabrics.host_report import HostReport
    from tracking.fabrics.settings import HostSettings

SOME_FAIL = 1
_NUMBERS = ("slots", "niceness", "ram", "cores", "load")
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
    reports = try_hosts(list(dict.fromkeys(names)), settings)
    _show(_checked(names, settings, reports))
    usable = sum(not report.problem for report in reports.values())
    click.echo(f"{usable} of {_count(len(reports), 'host')} can be used")
    return SOME_FAIL if usable < len(reports) else 0


def try_hosts(names: Sequence[str], settings: Mapping[str, HostSettings]) -> dict[str, HostReport]:
    """Look at these hosts, all at once."""
    from tracking.fabrics.registry import Fabrics

    fabrics = Fabrics(None, settings)
    try:
        return fabrics.examine(names)
    finally:
        fabrics.close()


def _meant(wanted: Sequence[str]) -> tuple[list[str], dict[str, HostSettings]]:
    """The names that were given, or those of the usual file; each as often as it has slots."""
    from tracking.fabrics.hosts_file import expand, find_if_any, this_machine
    from tracking.pool.arguments import repeated_host

    wanted = [f"@{entry}" if entry.endswith(".toml") and not entry.startswith("@") else entry for entry in wanted]
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


def _checked(
    names: Sequence[str], settings: Mapping[str, HostSettings], reports: Mapping[str, HostReport]
) -> Table:
    table = _table("host", "class", "slots", "niceness", "python", "cores", "load", "usable", "what is wrong")
    for host, report in reports.items():
        cores = "" if report.cores is None else str(report.cores)
        load = "" if report.load is None else f"{report.load:.1f}"
        usable = "no" if report.problem else "yes"
        found = (report.python_version, cores, load, usable, report.problem)
        table.add_row(*_row(host, names, settings), *found)
    return table


def _row(host: str, names: Sequence[str], settings: Mapping[str, HostSettings]) -> tuple[str, str, str, str]:
    its = settings.get(host)
    niceness = "" if its is None or its.niceness is None else str(its.niceness)
    return host, (its.kind or "") if its else "", str(names.count(host)), niceness


def _table(*head: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
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
