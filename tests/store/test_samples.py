"""Files that earlier versions wrote are read, and gone on with, by this one."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.data.make_samples import IDS, RESULTS, RST
from tests.store.helpers import job
from tracking.store import restart_file, schema
from tracking.store.records import CheckpointRecord
from tracking.store.run_file import HostSummary, RunFile, RunFileReader

DATA = Path(__file__).parents[1] / "data"
RUN_FILES = sorted(DATA.glob("v*.run"))
RESTART_FILES = sorted(DATA.glob("v*.rst"))


def test_there_is_a_sample_of_the_present_formats() -> None:
    assert DATA / f"v{schema.VERSION}.run" in RUN_FILES
    assert DATA / f"v{restart_file.VERSION}.rst" in RESTART_FILES


@pytest.mark.parametrize("sample", RUN_FILES, ids=lambda path: path.name)
def test_an_old_run_file_is_read(sample: Path, tmp_path: Path) -> None:
    path = shutil.copy(sample, tmp_path)
    with RunFileReader(path, trust=True) as reader:
        summary = reader.summary()
        assert dict(reader.results()) == RESULTS
        assert reader.errors()[5].message == "ValueError: five"
        assert reader.recipe() == b"the recipe"
    assert (summary.state, summary.owner, summary.started_at) == ("interrupted", "node:123", 1_700_000_000.0)
    assert (summary.n_items, summary.n_finished, summary.n_failed) == (6, 3, 1)
    assert summary.hosts == (HostSummary("node_0", "node", jobs=2, items=3, seconds=0.5),)


@pytest.mark.parametrize("sample", RUN_FILES, ids=lambda path: path.name)
def test_an_old_run_file_is_gone_on_with(sample: Path, tmp_path: Path) -> None:
    path = shutil.copy(sample, tmp_path)
    run = RunFile.open(path, IDS, code="other code", trust=True)
    assert (run.changes.code, run.changes.n) == (True, 3)
    run.close("interrupted")
    run = RunFile.open(path, IDS, code="the code", data=lambda: "the values", trust=True)
    assert run.results() == RESULTS
    assert list(run.errors()) == [5]
    assert not run.changes.n
    run.record(job({5: "five", 2: "two"}))
    assert run.close("finished")
    assert dict(RunFileReader(path, trust=True).results()) == {**RESULTS, 5: "five", 2: "two"}


@pytest.mark.parametrize("sample", RUN_FILES, ids=lambda path: path.name)
def test_of_an_old_run_file_is_told_what_it_knows(sample: Path, tmp_path: Path) -> None:
    path = shutil.copy(sample, tmp_path)
    is_first = sample.name == "v1.run"
    has_checkpoints = sample.name not in ("v1.run", "v2.run")
    reader = RunFileReader(path, trust=True)
    history = reader.history()
    assert [(run.host, run.pid, run.code) for run in history.runs] == [("node", 123, "the code")]
    assert [(event.kind, event.ids) for event in history.events] == ([] if is_first else [("lost", (5, ("four", 4)))])
    assert history.now == (None if is_first else (1_700_000_000.0, '{"at": 1700000000.0}'))
    (made,) = reader.results_of(("four", 4))
    assert (made.nickname, made.seconds, made.n_items) == ("node_0", 0.25, 1)
    assert made.digest == (None if is_first else b"\x04" * 8)
    assert (made.outdated_by, made.why) == (None, None)
    assert reader.results_of(2) == ()
    kept = CheckpointRecord("state", number=1, at=1_700_000_000.0, run=1, size=5)
    assert reader.summary().checkpoints == ((kept,) if has_checkpoints else ())
    assert reader.checkpoint("state") == (b"seven" if has_checkpoints else None)


@pytest.mark.parametrize("sample", RUN_FILES, ids=lambda path: path.name)
def test_an_old_run_file_has_the_present_form_as_soon_as_it_is_gone_on_with(sample: Path, tmp_path: Path) -> None:
    path = shutil.copy(sample, tmp_path)
    RunFile.open(path, IDS, trust=True).close("interrupted")
    RunFile.open(tmp_path / "new.run", IDS).close("interrupted")
    assert form_of(path) == form_of(tmp_path / "new.run")


def form_of(path: Path) -> tuple[object, ...]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE sql IS NOT NULL")]
        columns = {name: database.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
        return database.execute("PRAGMA user_version").fetchone(), columns


@pytest.mark.parametrize("sample", RESTART_FILES, ids=lambda path: path.name)
def test_an_old_restart_file_is_read(sample: Path) -> None:
    assert restart_file.load(sample, trust=True) == RST


@pytest.mark.parametrize("version", [2, 3])
def test_of_an_old_run_file_what_did_not_count_does_not_count_afterwards(version: int, tmp_path: Path) -> None:
    path = changed_sample(version, tmp_path, "INSERT INTO outdated VALUES (2, 1, 'other code')")
    left = {id: result for id, result in RESULTS.items() if id != "three"}
    reader = RunFileReader(path, trust=True)
    for is_upgraded in (False, True):
        assert dict(reader.results()) == left
        assert reader.summary().n_finished == 2
        assert [made.why for made in reader.results_of("three")] == ["other code"]
        if not is_upgraded:
            RunFile.open(path, IDS, trust=True).close("interrupted")
    run = RunFile.open(path, IDS, trust=True)
    assert list(run.finished_positions()) == [range(1), range(3, 4)]
    run.record(job({"three": 3}))
    run.close("interrupted")
    assert dict(reader.results()) == {**left, "three": 3}
    assert [made.why for made in reader.results_of("three")] == ["other code", None]


def test_an_old_open_ended_run_file_is_gone_on_with(tmp_path: Path) -> None:
    path = changed_sample(3, tmp_path, "INSERT INTO meta VALUES ('open_ended', 1)")
    assert RunFileReader(path, trust=True).ids() == [1, "three", ("four", 4), 5]
    run = RunFile.open(path, None, trust=True)
    found = run.recorded(("four", 4))
    assert found is not None
    assert (found.result, found.digest) == (None, b"\x04" * 8)
    run.record(job({"new": 1, 5: "five"}))
    run.close("interrupted")
    assert RunFileReader(path, trust=True).ids() == [1, "three", ("four", 4), "new", 5]
    assert dict(RunFileReader(path, trust=True).results()) == {**RESULTS, "new": 1, 5: "five"}


def changed_sample(version: int, directory: Path, *statements: str) -> Path:
    """A copy of a sample, changed by SQL."""
    path = Path(shutil.copy(DATA / f"v{version}.run", directory))
    with contextlib.closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path
