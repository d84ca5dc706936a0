"""Files that earlier versions wrote are read, and gone on with, by this one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data.make_samples import IDS, RESULTS, RST
from tests.store.helpers import job
from tracking.store import restart_file, schema
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
    assert run.code_changed
    run.close("interrupted")
    run = RunFile.open(path, IDS, code="the code", data="the values", trust=True)
    assert run.results() == RESULTS
    assert list(run.errors()) == [5]
    assert (run.code_changed, run.data_changed) == (False, False)
    run.record(job({5: "five", 2: "two"}))
    assert run.close("finished")
    assert dict(RunFileReader(path, trust=True).results()) == {**RESULTS, 5: "five", 2: "two"}


@pytest.mark.parametrize("sample", RESTART_FILES, ids=lambda path: path.name)
def test_an_old_restart_file_is_read(sample: Path) -> None:
    assert restart_file.load(sample, trust=True) == RST
