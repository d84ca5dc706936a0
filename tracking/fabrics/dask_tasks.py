"""What ``DaskFabric`` has done in the thread of its client, where the client's methods return what is to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.local import exit_in_words
from tracking.slave.tasks import Report

END_S = 5.0
_ASK_S = 10.0
_LOOK_S = 1.0
_REPORT_S = 0.7  # a task whose relay has ended says so within this time


async def watch_threads(client: Any, tell: Callable[[Mapping[str, int]], None]) -> None:
    """Tell how many threads the workers have, for ever."""
    while True:
        with suppress(Exception):  # the scheduler is gone: relays will tell
            tell(dict(await asyncio.wait_for(client.nthreads(), _ASK_S)))
        await asyncio.sleep(_LOOK_S)


async def tell_end(number: int, future: Any, tell: Callable[[RelayNews], None]) -> None:
    """Tell how the task has ended."""
    try:
        outcome = await future
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  (whatever it is, it is told)
        if future.status != "error":
            tell(RelayEnded(number, f"its task was {future.status} by Dask"))
            return
        hint = ": install this package for the workers, too" if isinstance(error, ImportError) else ""
        tell(RelayEnded(number, f"task of Dask: {type(error).__name__}: {error}{hint}"))
        return
    words = outcome
    if isinstance(outcome, Report):
        how = exit_in_words(outcome.how) if isinstance(outcome.how, int) else outcome.how
        words = f"relay on Dask worker {outcome.worker}: {how}"
    tell(RelayEnded(number, str(words), getattr(outcome, "printed", b"")))


async def find_worker(client: Any, number: int, future: Any, workers: dict[int, str]) -> None:
    """Note on which worker the task is."""
    with suppress(Exception):  # it is for words only
        processing = await asyncio.wait_for(client.processing(), _ASK_S)
        for worker, keys in processing.items():
            if future.key in keys:
                workers[number] = worker


async def explain(
    client: Any,
    number: int,
    future: Any,
    worker: str,
    tell_threads: Callable[[Mapping[str, int]], None],
    tell: Callable[[RelayNews], None],
) -> None:
    """Tell why the line of a relay is cut: its task may do that itself in a moment, else as far as the scheduler knows.

    How many threads are left is told first: what has gone with its worker is not to be replaced.
    """
    name = f"Dask worker {worker}" if worker else "its Dask worker"
    words = f"{name}: the line of its relay was cut"
    if await _is_done(future):
        return
    with suppress(Exception):
        there = dict(await asyncio.wait_for(client.nthreads(), _ASK_S))
        if worker and worker not in there:
            words = f"{name} has left the cluster"
        tell_threads(there)
    tell(RelayEnded(number, words))


async def _is_done(future: Any) -> bool:
    """Whether the task has said what came of it, within a moment."""
    end = asyncio.ensure_future(_end_of(future))
    done, _ = await asyncio.wait([end], timeout=_REPORT_S)
    end.cancel()
    return bool(done)


async def cancel(client: Any, futures: list[Any]) -> None:
    if futures:
        with suppress(Exception):  # the scheduler is gone: with it the tasks
            await client.cancel(futures, force=True)


async def end(client: Any, awaited: list[Any], ending: list[Any]) -> None:
    await cancel(client, awaited)
    if ending:
        await asyncio.wait([asyncio.ensure_future(_end_of(future)) for future in ending], timeout=END_S)
    await cancel(client, ending)


async def _end_of(future: Any) -> None:
    with suppress(Exception):
        await future
