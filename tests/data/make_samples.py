"""Makes the sample run file and restart file of the present format version.

To be run once per format version, from the root of the checkout: ``python -m tests.data.make_samples``.
Samples of older versions stay as they are: every later build must read them.
"""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path

from tracking.store import restart_file, schema
from tracking.store.run_file import JobRecord, RunFile

HERE = Path(__file__).parent
IDS = [1, 2, "three", ("four", 4), 5, 6]
RESULTS = {1: "one", "three": [3, 3.0], ("four", 4): None}
DIGESTS = {1: b"\x01" * 8, "three": b"\x03" * 8, ("four", 4): b"\x04" * 8}
RST = {"chunk_size": 5, "data": {1: "a", 2: "b"}, "result": {1: "A"}, "status_objects": {1: 0, 2: None}}


def make_run_file(path: Path) -> None:
    """Record a calculation of six items: three finished, one failed, two not done; one slave died meanwhile."""
    run = RunFile.open(path, IDS, recipe=b"the recipe", code="the code", clock=lambda: 1_700_000_000.0)
    for ids in ([1, "three"], [("four", 4)]):
        payload = pickle.dumps([RESULTS[id] for id in ids], 5)
        digests = b"".join(DIGESTS[id] for id in ids)
        run.record(JobRecord(ids, payload, "node", "node_0", 1_700_000_000.0, 0.25, digests))
    run.note("lost", "killed by SIGKILL", host="node", nickname="node_1", ids=[5, ("four", 4)])
    run.checkpoint("state", b"seven")
    run.note_now('{"at": 1700000000.0}')
    run.record_error(5, "ValueError: five", "node", "node_1", 2, pickle.dumps(ValueError("five"), 5))
    run.close("interrupted")
    database = sqlite3.connect(path)
    database.execute("UPDATE runs SET host = 'node', pid = 123")  # not the machine that happened to make it
    database.commit()
    database.close()


def main() -> None:
    """Make both samples, unless they are there."""
    run_path = HERE / f"v{schema.VERSION}.run"
    if not run_path.exists():
        make_run_file(run_path)
    rst_path = HERE / f"v{restart_file.VERSION}.rst"
    if not rst_path.exists():
        restart_file.save(rst_path, RST)


if __name__ == "__main__":
    main()
