"""The writer is killed at any moment: the file is sound, and what it had said to be safe is there."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from tests.store.helpers import kill, names, start_python
from tracking.store.run_file import RunFile

N_ITEMS = 100_000

# Writes as fast as it can and says after each commit how many jobs of it are safe.
_WRITER = """
import os, pickle, sys
from tracking.store.run_file import JobRecord, RunFile
path, network, n_items = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3])
os.write(1, b"begin\\n")
run = RunFile.open(path, range(n_items), on_network=lambda _: network)
missing = sorted(set(range(n_items)) - run.finished_ids())
for first in range(0, len(missing), 5):
    ids = missing[first : first + 5]
    payload = pickle.dumps([("result", i, "x" * (i % 700)) for i in ids])
    run.record(JobRecord(ids, payload, "node", "node_0", 0.0, 0.0))
    if first % 3 == 0 and run.commit():
        os.write(1, f"{ids[-1]}\\n".encode())
"""


@pytest.mark.parametrize("kills", [8, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
@pytest.mark.parametrize("network", [0, 1], ids=["local", "network"])
def test_killed_at_random_moments_the_writer_loses_nothing_that_was_committed(
    tmp_path: Path, network: int, kills: int
) -> None:
    path = tmp_path / "x.run"
    moments = random.Random(network)
    safe = -1
    for _ in range(kills):
        process = start_python(_WRITER, path, network, N_ITEMS)
        assert process.stdout
        for _ in range(moments.choice([1, 2, 3, 10, 40])):
            process.stdout.readline()
        for _ in range(moments.randrange(20_000)):  # somewhere between two commits
            pass
        said = kill(process).split()
        safe = max(safe, *(int(word) for word in ["-1", *said] if word != "begin"))
        safe = max(safe, _check(path, safe, network))
    assert safe > 0
    assert names(tmp_path) == [path.name]


def _check(path: Path, safe: int, network: int) -> int:
    """Check that all up to ``safe`` is there, once and right; give the last item that is there."""
    run = RunFile.open(path, range(N_ITEMS), on_network=lambda _: bool(network))
    results = run.results()
    assert run.finished_ids() == set(results)
    assert run.close("interrupted")
    assert results == {i: ("result", i, "x" * (i % 700)) for i in range(len(results))}
    assert len(results) > safe
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = database.execute("SELECT count(*), count(DISTINCT id) FROM items").fetchone()
    assert rows == (len(results), len(results))
    database.close()
    return len(results) - 1
