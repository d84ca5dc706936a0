"""How a master begins or goes on with its run file; loaded when there is one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tracking.master import fingerprint
from tracking.store.run_file import RunFile

if TYPE_CHECKING:
    from tracking.master.job_master import JobMaster


def open_run_file(master: JobMaster, path: str | os.PathLike[str]) -> None:
    """Open the run file, and take over the results that it holds.

    Raises:
        StoreError: it cannot be used, or what it holds is refused.
    """
    options, ids = master._tr_options, master.status._tr_ids
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
        restored = master._tr_open_file.results()
        fingerprint.warn_of_changes(master._tr_open_file, path, options.on_change)
    except BaseException:
        master._tr_close_file("interrupted")
        raise
    master.result.update(restored)
    master.status._tr_finish_known(restored)
    if restored and master.verbose:
        print(f"{os.fspath(path)}: {len(restored)} of {len(ids)} items restored", file=sys.stderr)
