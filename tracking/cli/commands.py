"""What can be said to ``tracking``: its commands, their options and their help."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

import tracking as package
from tracking.cli.hosts import hosts
from tracking.cli.loading import put_on_path
from tracking.cli.working import (
    Order,
    absolute,
    carry_out,
    enter_directory_of,
    has_written,
    results_to,
    run_order,
)
from tracking.errors import InputError

LOUDNESS_QUIET, LOUDNESS_NORMAL, LOUDNESS_DEBUG = 0, 1, 2


def _number_or(word: str, meaning: str | None) -> Callable[[click.Context, click.Parameter, str], int | str | None]:
    """Accept a whole number above 0, or this word, which becomes ``meaning``."""

    def convert(ctx: click.Context, param: click.Parameter, value: str) -> int | str | None:
        if value == word:
            return meaning
        if value.isascii() and value.isdigit() and int(value):
            return int(value)
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor {word!r}")

    return convert


def _hosts(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str] | int:
    """``a,b*2,@FILE`` given once or more, as ['a', 'b', 'b', '@FILE']: what the file says is looked up when it runs.

    A number is how many slaves, wherever the fabric has them.
    """
    from tracking.fabrics.hosts_file import expand
    from tracking.pool.arguments import repeated_host

    entries = [entry.strip() for value in values for entry in value.split(",")]
    if len(entries) == 1 and entries[0].isascii() and entries[0].isdigit() and int(entries[0]):
        return int(entries[0])
    try:
        expand(entries)
        return [name for entry in entries for name in ([entry] if entry[:1] == "@" else repeated_host(entry))]
    except InputError as exc:
        raise click.BadParameter(str(exc)) from None


def _niceness(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """``5`` and ``host=10`` as {'default': 5, 'host': 10}."""
    niceness = {"default": 0}
    for value in values:
        host, _, number = value.rpartition("=")
        try:
            niceness[host or "default"] = int(number)
        except ValueError:
            raise click.BadParameter(f"{value!r} is neither N nor HOST=N") from None
    return niceness


def _by_host(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any] | None:
    """``2`` and ``host=4`` as {'default': 2, 'host': 4}; None: nothing was said."""
    from tracking.pool.shares import Shares

    said: dict[str, Any] = {}
    for value in values:
        host, _, what = value.rpartition("=")
        try:
            said[host or "default"] = int(what) if param.name == "threads" else what
            Shares(**{"threads": None, "affinity": None, str(param.name): said}, settings={})
        except (ValueError, InputError):
            raise click.BadParameter(f"{value!r} is not of the form {param.metavar}") from None
    return said or None


def _verbosity(command: Callable[..., Any]) -> Callable[..., Any]:
    quiet = click.option("-q", "--quiet", "verbose", flag_value=LOUDNESS_QUIET, type=int, help="Show no progress.")
    loud = click.option(
        "-v",
        "--verbose",
        "verbose",
        flag_value=LOUDNESS_DEBUG,
        type=int,
        default=LOUDNESS_NORMAL,
        help="Show what happens in detail.",
    )
    return quiet(loud(command))


_output = click.option("-o", "--output", metavar="OUT", required=True, help="File for the results, - for stdout.")
_force = click.option("--force", is_flag=True, help="Replace OUT, whoever wrote it.")
_trust = click.option("--trust", is_flag=True, help="Accept a file that another user owns or may write.")
_on_change = click.option(
    "--on-change",
    type=click.Choice(["keep", "recompute", "refuse"]),
    help="What to do with recorded results that were made with other code or other values. [default: keep]",
)
_EPILOG_DATA = """
DATA: .json (an object {id: value}, or a list), .jsonl (on each line a value, or an object with an "id" and
perhaps a "value"), .csv (a header; perhaps a first column "id"), or MODULE:CALLABLE that returns a dict
(or a LazyMapping, an IteratorMapping).
OUT: .json, .jsonl, .csv or .pkl.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package.__version__, prog_name="tracking")
def tracking() -> None:
    """Run a function over many items on all cores; lose nothing; go on after any interruption.

    Exit status: 0 all done, 1-100 so many items failed, 101 more than that, 255 it could not run,
    130 interrupted.

    \b
    Examples:
      tracking run work:square numbers.json -o squares.json --run-file squares.run
      tracking status squares.run
      tracking why squares.run
      tracking results squares.run -o squares.csv
    """


@tracking.command(epilog=_EPILOG_DATA)
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("data", metavar="DATA")
@_output
@click.option(
    "--hosts",
    multiple=True,
    callback=_hosts,
    metavar="N|NAME[*N]|@FILE,...",
    help="How many slaves, or where; other machines by ssh. [default: one for each core, here]",
)
@click.option(
    "--fabric", metavar="NAME", help="What starts slaves: slurm, gridengine, mpi, dask ... [default: ssh, or local]"
)
@click.option(
    "--chunk-size",
    default="auto",
    callback=_number_or("auto", "auto"),
    metavar="N|auto",
    show_default=True,
    help="Items per job.",
)
@click.option("--run-file", metavar="FILE", help="Record every result in FILE as it comes; go on from what it holds.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Try an item that raised N times more.",
)
@click.option(
    "--item-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds one item may take.",
)
@click.option(
    "--max-deaths",
    default="2",
    callback=_number_or("never", None),
    metavar="N|never",
    show_default=True,
    help="Give up an item that killed N slaves.",
)
@click.option(
    "--host-failures",
    default="10",
    callback=_number_or("never", None),
    metavar="N|never",
    show_default=True,
    help="Leave out a host on which N slaves died without a job done between them.",
)
@click.option("--memory-limit", metavar="SIZE", help="What a slave may hold, as 2GB or 512MiB.")
@click.option("--max-jobs", type=click.IntRange(min=1), metavar="N", help="Replace a slave that has done N jobs.")
@click.option(
    "--silence-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    metavar="S",
    show_default=True,
    help="Wait no longer for a slave that gave no sign of life for S seconds.",
)
@click.option("--niceness", multiple=True, callback=_niceness, metavar="[HOST=]N", help="Nice value. [default: 0]")
@click.option(
    "--threads", multiple=True, callback=_by_host, metavar="[HOST=]N",
    help="Threads that the libraries of a slave start; 0: as they like. [default: 1, or as the environment says]",
)
@click.option(
    "--affinity", multiple=True, callback=_by_host, metavar="[HOST=]each|CPUS",
    help="CPUs of a slave: its own, or a set such as 0-3,8; '0-3 4-7': sets in turn. [default: all]",
)
@click.option("--redistribute/--no-redistribute", default=True, help="At the end, start spare copies of slow jobs.")
@click.option("--show-output", is_flag=True, help="Show what the slaves print.")
@_on_change
@_verbosity
@_force
@_trust
def run(function: str, data: str, output: str, run_file: str | None, force: bool, trust: bool, **options: Any) -> int:
    """Apply a function to every item of DATA.

    MODULE is a module that Python finds from here, or a file: work:square, ./work.py:square.

    \b
    Examples:
      tracking run work:square numbers.json -o squares.json
      tracking run ./work.py:square work:numbers -o - --hosts 'localhost*2' --chunk-size 10
      tracking run work:square numbers.json -o - --hosts @hosts.toml:own+shared
      tracking run work:area table.csv -o areas.csv --run-file areas.run --retries 1 --item-timeout 60
    """
    options["on_change"] = options["on_change"] or "keep"
    options["redistribute"] = int(options["redistribute"])
    options["show_output"] = int(options["show_output"])
    is_own = has_written(run_file, absolute(output), trust=trust)
    order = Order(function, data, absolute(output), os.getcwd(), options, is_own)
    with results_to(output, force=force or is_own) as place:
        return run_order(order, place, run_file, trust=trust)


@tracking.command()
@click.argument("run_file", metavar="RUNFILE")
@click.option("-o", "--output", metavar="OUT", help="File for the results, - for stdout. [default: as before]")
@_on_change
@_verbosity
@_force
@_trust
def resume(
    run_file: str, output: str | None, on_change: str | None, verbose: int, force: bool, trust: bool
) -> int:
    """Go on with an interrupted calculation.

    Only what RUNFILE does not hold is computed; with --on-change recompute also what was made with other code or
    other values.

    \b
    Examples:
      tracking resume areas.run
      tracking resume areas.run -o areas.jsonl
      tracking resume areas.run --on-change recompute
    """
    from tracking.store.run_reader import RunFileReader

    path = str(_existing(run_file))
    with RunFileReader(path, trust=trust) as reader:
        recipe = reader.recipe()
    order = Order.from_bytes(recipe)
    if order is not None:
        target = absolute(output) if output else order.output
        is_own = has_written(path, target, trust=trust)
        enter_directory_of(order, run_file)
        order.options["verbose"] = verbose
        if on_change is not None:
            order.options["on_change"] = on_change
        order = replace(order, output=target, is_own_output=is_own)
        with results_to(target, force=force or is_own) as place:
            return run_order(order, place, path, trust=trust)
    if recipe is None:  # -o would not help
        raise InputError(
            f"{run_file} does not hold the calculation itself, only its results: "
            "start the program that wrote it again, with the same run_file"
        )
    if output is None:
        raise InputError(f"{run_file} was begun by a program, not here: say with -o where its results shall go")
    options = {} if on_change is None else {"on_change": on_change}
    return _resume_program(path, output, verbose, force=force, trust=trust, **options)


def _resume_program(path: str, output: str, verbose: int, *, force: bool, trust: bool, **options: str) -> int:
    put_on_path(os.getcwd())
    with results_to(output, force=force) as place:
        from tracking.master import resume as resume_master

        master = resume_master(path, verbose=verbose, trust=trust, **options)
        place.check_ids(master.data)
        return carry_out(master, place, path)


@tracking.command()
@click.argument("restart_file", metavar="RSTFILE")
@_output
@click.option("--run-file", metavar="FILE", help="Record every result in FILE as it comes; go on from what it holds.")
@_verbosity
@_force
@_trust
def restart(restart_file: str, output: str, run_file: str | None, verbose: int, force: bool, trust: bool) -> int:
    """Go on from a restart file.

    RSTFILE is what an interrupted run, or the saveRst of a master, has written; only what it does not hold is
    computed. One that was written with keep_results=False needs its run file, too.

    \b
    Examples:
      tracking restart screen.rst -o screen.json
      tracking restart screen.rst -o - --quiet
      tracking restart screen.rst -o again.json --run-file screen.run
    """
    put_on_path(os.getcwd())
    with results_to(output, force=force) as place:
        from tracking.master import restart as restart_master

        options = {} if run_file is None else {"run_file": run_file}
        master = restart_master(restart_file, verbose=verbose, trust=trust, **options)
        place.check_ids(master.data)
        return carry_out(master, place, run_file)


@tracking.command()
@click.argument("run_file", metavar="RUNFILE")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_trust
def status(run_file: str, as_json: bool, trust: bool) -> None:
    """Say how a calculation stands, also while it runs.

    \b
    Examples:
      tracking status areas.run
      tracking status areas.run --json
    """
    from tracking.cli import looking
    from tracking.store.run_reader import RunFileReader

    with RunFileReader(run_file, trust=trust) as reader:
        click.echo(looking.status_as_json(reader) if as_json else looking.status(reader, run_file))


@tracking.command()
@click.argument("run_file", metavar="RUNFILE")
@click.argument("item", metavar="[ID]", required=False)
@_trust
def why(run_file: str, item: str | None, trust: bool) -> None:
    """Say why nothing happens, or what does; with ID, the story of that item.

    ID is an id as it is written in Python, or its text: 17, 'a', a, "('x', 3)". The story: when it was queued, to whom
    it was given, who died with it, who made its result, in what time and from what.

    \b
    Examples:
      tracking why areas.run
      tracking why areas.run x
      tracking why areas.run "'x'"
    """
    put_on_path(os.getcwd())  # ids may be of classes that are defined here
    from tracking.cli import looking
    from tracking.store.run_reader import RunFileReader

    with RunFileReader(run_file, trust=trust) as reader:
        click.echo(looking.story(reader, item) if item is not None else looking.present(reader, run_file))


@tracking.command()
@click.argument("run_file", metavar="RUNFILE")
@_output
@_force
@_trust
def results(run_file: str, output: str, force: bool, trust: bool) -> None:
    """Write the results that RUNFILE holds, also while it runs.

    JSON knows neither NaN nor infinities: in .json and .jsonl they become null, in .csv they are nan and inf.

    \b
    Examples:
      tracking results areas.run -o areas.pkl
      tracking results areas.run -o - | head -n 2
    """
    from tracking.store.run_reader import RunFileReader

    put_on_path(os.getcwd())
    with results_to(output, force=force) as place, RunFileReader(run_file, trust=trust) as reader:
        n_items, found, errors = reader.summary().n_items, dict(reader.results()), reader.errors()
        place.check_ids([*found, *errors])
        place.write(found, {id: error.message for id, error in errors.items()})
    click.echo(f"tracking: {len(found)} of {n_items} results written, {len(errors)} items failed", err=True)


tracking.add_command(hosts)


def _existing(run_file: str) -> str:
    if not os.path.exists(run_file):
        raise InputError(f"there is no run file {run_file}")
    return os.path.abspath(run_file)
