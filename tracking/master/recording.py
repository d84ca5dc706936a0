"""How a master begins or goes on with its run file; loaded when there is one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, cast

from tracking.core.items import Items
from tracking.master import fingerprint
from tracking.master.places import range_of
from tracking.master.recorded_results import RecordedResults
from tracking.store.run_file import RunFile

if TYPE_CHECKING:
    from tracking.master.job_master import JobMaster


def open_run_file(master: JobMaster, path: str | os.PathLike[str]) -> None:
    """Open the run file, and take over the results that it holds, or leave them there.

    Raises:
        StoreError: it cannot be used, or what it holds is refused.
    """
    options, ids = master._tr_options, master.status._tr_ids
    ids = range_of(ids) or ids  # to write down and to compare a range costs nothing
    code = fingerprint.code_fingerprint(options.function, master.slave_script)
    digests = master._tr_digests = fingerprint.ItemDigests(master.data)
    master._tr_open_file = RunFile.open(
        path,
        ids,
        recipe=master._tr_make_recipe(),
        code=fingerprint.fingerprint_with_values(code, master.data),
        digests=digests,
        data=lambda: fingerprint.data_fingerprint(master.data, ids),
        on_change=options.on_change,
        trust=options.trust,
    )
    try:
        fingerprint.warn_of_changes(master._tr_open_file, path, options.on_change)
        n_restored = (_take_over if options.keep_results else _leave_there)(master, master._tr_open_file)
    except BaseException:
        master._tr_close_file("interrupted")
        raise
    if n_restored and master.verbose:
        print(f"{os.fspath(path)}: {n_restored} of {len(ids)} items restored", file=sys.stderr)


def _take_over(master: JobMaster, file: RunFile) -> int:
    restored = file.results()
    master.result.update(restored)
    master.status._tr_finish_known(restored)
    return len(restored)


def _leave_there(master: JobMaster, file: RunFile) -> int:
    """The results stay in the file; those that were given otherwise, and are not in it, stay in memory."""
    items, n_restored = master.status._tr_items, 0
    recorded = Items(len(items))
    for positions in file.finished_positions():
        n_restored += recorded.finish(positions)
        items.finish(positions)
    places = master.status._tr_positions() if master.result else {}
    kept = {id: result for id, result in master.result.items() if id not in places or recorded.count(places[id]) != 0}
    results = RecordedResults(file.stored_results(), master.status, n_restored, kept)
    master.result = cast("dict[Any, Any]", results)  # to be read as the dict that it else would be
    return n_restored
