"""Runs a master for the command line, and sees to it that no result is lost, whatever happens.

::

    results --each, as it comes--> Output.check --at the end--> Output.write
                                      | cannot be written           | cannot be written
                                      v                             v
                               said at once                 in the run file, else in OUT.pkl
    interrupted, or failed: in the run file, else in OUT.rst, with the command that goes on
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracking.cli import COULD_NOT_RUN, INTERRUPTED
from tracking.cli.loading import file_directory, load_data, load_function, put_on_path
from tracking.errors import CalculationError, EncodeError, InputError, Interrupted
from tracking.report import error_summary, message_of
from tracking.tables import Output

if TYPE_CHECKING:
    from tracking.master import TrackingJobMaster

MOST_FAILURES_TOLD = 100  # by the exit status


@dataclass(frozen=True, slots=True)
class Order:
    """What ``tracking run`` was asked to do; kept in the run file, so that ``tracking resume`` can do it.

    ``options`` are keyword arguments of the master. Relative names are relative to ``cwd``. ``is_own_output``:
    an earlier run with the same run file has written ``output``, so that it may be replaced.
    """

    function: str
    data: str
    output: str
    cwd: str
    options: dict[str, Any]
    is_own_output: bool = False

    def to_bytes(self) -> bytes:
        """As JSON, which is how a run file of the command line is told from one of a program."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_bytes(recipe: bytes | None) -> Order | None:
        """The order in a run file; None if it was not made by the command line."""
        if recipe is None or not recipe.startswith(b'{"'):
            return None
        return Order(**json.loads(recipe))


@contextlib.contextmanager
def results_to(target: str, *, force: bool) -> Iterator[Output]:
    """The place for the results; if it is stdout, nothing else is written there meanwhile."""
    output = Output(target, stdout=sys.stdout, force=force)
    with contextlib.redirect_stdout(sys.stderr) if target == "-" else contextlib.nullcontext():
        yield output


def run_order(order: Order, output: Output, run_file: str | None, *, trust: bool) -> int:
    """Do what was asked for; return the exit status."""
    put_on_path(order.cwd)
    function, data = load_function(order.function), load_data(order.data)
    output.check_ids(data)
    from tracking.master import TrackingJobMaster

    master = TrackingJobMaster(
        data, function=function, run_file=run_file, on_error="collect", trust=trust, **order.options
    )
    master._tr_recipe = order.to_bytes()
    return carry_out(master, output, run_file, file_directory(order.function))


def carry_out(
    master: TrackingJobMaster, output: Output, run_file: str | None, code_directory: str | None = None
) -> int:
    """Run the master to its end and write what it gives; return the exit status.

    Args:
        master: not started yet.
        output: where the results go.
        run_file: where they are anyway, None if nowhere.
        code_directory: where the function lies, if not where Python looks for modules.
    """
    try:
        _watch(master, output)
    except CalculationError:
        pass  # some items failed: told below
    except (KeyboardInterrupt, Interrupted):
        master.exit()
        click.echo(f"tracking: interrupted: {_how_to_go_on(master, output, run_file, code_directory)}", err=True)
        return INTERRUPTED
    except Exception:
        master.exit()
        if master.result:
            click.echo(f"tracking: {_how_to_go_on(master, output, run_file, code_directory)}", err=True)
        raise
    return _deliver(master, output, run_file)


def _watch(master: TrackingJobMaster, output: Output) -> None:
    """Wait for the end; the first result that cannot be written is told as soon as it comes."""
    check: Callable[[Any, Any], None] | None = output.check
    for id, result in master:
        if check is not None:
            try:
                check(id, result)
            except EncodeError as exc:
                click.echo(f"tracking: {exc}; the calculation goes on, no result will be lost", err=True)
                check = None


def _deliver(master: TrackingJobMaster, output: Output, run_file: str | None) -> int:
    found = dict(master.result.items())
    results = {id: found[id] for id in master.data if id in found}
    errors = {id: master.errors[id] for id in master.data if id in master.errors}
    if errors:
        click.echo(error_summary(errors), err=True)
    try:
        output.write(results, {id: message_of(error) for id, error in errors.items()})
    except (EncodeError, InputError, OSError) as exc:
        problem = exc if isinstance(exc, (EncodeError, InputError)) else f"{output.target}: {exc.strerror}"
        click.echo(f"tracking: {problem}; {_where_results_are(results, output, run_file)}", err=True)
        return COULD_NOT_RUN
    return min(len(errors), MOST_FAILURES_TOLD + 1)


def _where_results_are(results: dict[Any, Any], output: Output, run_file: str | None) -> str:
    if run_file is not None:
        return f"the results are in {run_file}: {_command('results', run_file, '-o', 'results.pkl')}"
    return f"the results were written to {output.save_as_pickle(results)} instead"


def _how_to_go_on(master: TrackingJobMaster, output: Output, run_file: str | None, code_directory: str | None) -> str:
    n_done = f"{len(master.result)} of {len(master.data)} items are done"
    if run_file is not None:
        where = () if Order.from_bytes(master._tr_recipe) else ("-o", output.target)
        return f"{n_done}; go on with: {_command('resume', run_file, *where)}"
    if not master.result:
        return n_done
    rst = "tracking.rst" if output.target == "-" else f"{output.target}.rst"
    master.saveRst(rst)
    path = f"PYTHONPATH={shlex.quote(code_directory)} " if code_directory else ""
    return f"{n_done} and saved; go on with: {path}{_command('restart', rst, '-o', output.target)}"


def _command(*words: str) -> str:
    return shlex.join(["tracking", *words])


def has_written(run_file: str | None, target: str, *, trust: bool) -> bool:
    """Whether an earlier run of the command line with this run file has written its results there.

    Raises:
        StoreError: there is such a file, and it cannot be read or is no run file.
    """
    if run_file is None or not (os.path.exists(run_file) and os.path.exists(target)):
        return False
    from tracking.store.run_reader import RunFileReader

    with RunFileReader(run_file, trust=trust) as reader:
        earlier, state = Order.from_bytes(reader.recipe()), reader.summary().state
    if earlier is None or earlier.output != target:
        return False
    return earlier.is_own_output or state == "finished"


def enter_directory_of(order: Order, run_file: str) -> None:
    """Go where the order was given, as the names in it and the function expect."""
    try:
        os.chdir(order.cwd)
    except OSError as exc:
        raise InputError(f"{run_file} was begun in {order.cwd}, which cannot be entered: {exc.strerror}") from exc


def absolute(target: str) -> str:
    """The same place, wherever we go."""
    return target if target == "-" else str(Path(target).absolute())
