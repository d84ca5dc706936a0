"""The command line ``tracking``.

::

    commands.py   what can be said         loading.py    MODULE:FUNCTION and DATA to objects
    working.py    the work: a master is run, its results are written, nothing of them is lost

Exit status: 0 all done, 1-100 so many items failed, 101 more than that, 255 it could not run (wrong use too),
130 interrupted. What is only needed by some commands (the master, SQLite, rich) is imported by these.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from tracking.errors import TrackingError

__all__ = ["COULD_NOT_RUN", "INTERRUPTED", "main"]

COULD_NOT_RUN = 255
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status. Errors are one sentence on stderr.

    With TRACKING_DEBUG set in the environment, their traceback too.
    """
    try:
        from tracking.cli.commands import tracking

        # Not tracking.main(): it would end the program by itself, with other exit statuses than ours.
        with tracking.make_context("tracking", list(sys.argv[1:] if arguments is None else arguments)) as context:
            status = tracking.invoke(context)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("tracking: interrupted", err=True)
        return INTERRUPTED
    except Exception as exc:  # noqa: BLE001  the last place where it can be told in words
        return _tell(exc)
    return status if isinstance(status, int) else 0


def _tell(exc: Exception) -> int:
    if os.environ.get("TRACKING_DEBUG"):
        traceback.print_exc()
    if isinstance(exc, BrokenPipeError):
        # Nobody reads on; the interpreter would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(exc, click.ClickException):
        exc.show()
    elif isinstance(exc, TrackingError):
        click.echo(f"tracking: {exc}", err=True)
    elif isinstance(exc, OSError) and exc.strerror:
        click.echo(f"tracking: {exc.filename or 'standard output'}: {exc.strerror}", err=True)
    else:
        hint = "" if os.environ.get("TRACKING_DEBUG") else " (TRACKING_DEBUG=1 shows where)"
        click.echo(f"tracking: {type(exc).__name__}: {exc}{hint}", err=True)
    return COULD_NOT_RUN
