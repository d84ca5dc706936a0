"""A disk that is full when a run file is made, or gets full while results are recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.make_samples import IDS, RESULTS
from tests.store.helpers import Clock, job, names
from tracking.errors import StoreError
from tracking.store import restart_file
from tracking.store.run_file import RunFile, RunFileReader

SIZE = 1 << 20
SAMPLE = Path(__file__).parents[1] / "data" / "v1.run"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on the disk; give the file to remove for some."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


@pytest.mark.parametrize("network", [False, True], ids=["local", "network"])
def test_when_the_disk_gets_full_nothing_is_lost_and_nothing_is_recorded_twice(
    small_disk: Path, network: bool
) -> None:
    clock = Clock()
    run = RunFile.open(small_disk / "x.run", range(100), clock=clock, on_network=lambda _: network)
    run.record(job({0: "early"}))
    assert run.commit()
    ballast = fill(small_disk)

    results = {i: bytes([i]) * 3000 for i in range(1, 40)}
    for id, result in results.items():
        run.record(job({id: result}))
    run.record_error(99, "bad", "node", "node_0", 1, b"")
    for id in range(40, 60):
        run.note("lost", "killed by SIGKILL " + "x" * 1000, host="node", nickname="node_0", ids=[id])
    run.note_now('{"at": 1}')
    assert not run.commit()
    assert run.problem is not None
    assert "the disk is full; make room" in run.problem
    assert str(small_disk / "x.run") in run.problem
    assert run.has_uncommitted
    assert run.results() == {0: "early"}

    ballast.unlink()
    clock.now += 60
    assert run.commit()
    assert run.problem is None
    assert run.close("failed")
    assert dict(RunFileReader(small_disk / "x.run").results()) == {0: "early", **results}
    summary = RunFileReader(small_disk / "x.run").summary()
    assert (summary.n_finished, summary.n_failed) == (40, 1)
    history = RunFileReader(small_disk / "x.run").history()
    assert [event.ids for event in history.events] == [(id,) for id in range(40, 60)]
    assert history.now == (1_000_000.0, '{"at": 1}')


def test_an_old_file_that_cannot_be_brought_up_to_date_for_want_of_room_stays_as_it_is(small_disk: Path) -> None:
    path = Path(shutil.copy(SAMPLE, small_disk))
    path.chmod(0o600)
    before = path.read_bytes()
    fill(small_disk)
    with pytest.raises(StoreError, match="the disk is full"):
        RunFile.open(path, IDS)
    assert path.read_bytes() == before
    assert dict(RunFileReader(path).results()) == RESULTS
    assert names(small_disk) == ["ballast", path.name]


def test_when_the_disk_is_still_full_at_the_end_that_is_said_and_the_rest_is_there(small_disk: Path) -> None:
    run = RunFile.open(small_disk / "x.run", range(10))
    run.record(job({0: "early"}))
    assert run.commit()
    ballast = fill(small_disk)
    run.record(job({1: b"x" * 100_000}))
    assert not run.close("finished")
    assert run.problem is not None
    assert not run.close("finished")
    ballast.unlink()
    assert dict(RunFileReader(small_disk / "x.run").results()) == {0: "early"}
    again = RunFile.open(small_disk / "x.run", range(10))
    assert again.results() == {0: "early"}
    again.close("finished")
    assert names(small_disk) == ["x.run"]


def test_after_a_failure_the_file_is_not_tried_again_at_once(tmp_path: Path) -> None:
    clock = Clock()
    run = RunFile.open(tmp_path / "x.run", range(3), clock=clock)
    # As full as a disk can be without being root: not one page more for this file.
    pages = run._connection.execute("PRAGMA page_count").fetchone()[0]
    run._connection.execute(f"PRAGMA max_page_count = {pages}")
    run.record(job({0: b"x" * 100_000}))
    assert not run.commit()
    assert run.problem is not None
    assert "the disk is full" in run.problem
    run._connection.execute("PRAGMA max_page_count = 1000000")
    assert not run.commit()
    clock.now += 1
    assert run.commit()
    run.close("finished")
    assert dict(RunFileReader(tmp_path / "x.run").results()) == {0: b"x" * 100_000}


@pytest.mark.parametrize("network", [False, True], ids=["local", "network"])
def test_no_run_file_is_made_on_a_full_disk(small_disk: Path, network: bool) -> None:
    fill(small_disk)
    with pytest.raises(StoreError, match=r"x\.run cannot be written: the disk is full; make room"):
        RunFile.open(small_disk / "x.run", range(10), on_network=lambda _: network)
    assert names(small_disk) == ["ballast"]


@pytest.mark.parametrize("network", [False, True], ids=["local", "network"])
def test_with_any_room_on_the_disk_a_run_file_is_begun_or_nothing_is_left(
    small_disk: Path, network: bool
) -> None:
    ballast = fill(small_disk)
    outcomes = set()
    for _ in range(40):
        os.truncate(ballast, ballast.stat().st_size - 4096)
        outcome = begin(small_disk / "x.run", network)
        outcomes.add(outcome)
        assert "the disk is full" in outcome or outcome in ("finished", "interrupted")
        if (small_disk / "x.run").exists():
            assert RunFileReader(small_disk / "x.run").summary().state == outcome
            (small_disk / "x.run").unlink()
        assert names(small_disk) == ["ballast"]
    assert len(outcomes) > 1


def begin(path: Path, network: bool) -> str:
    """Make a run file and close it: give the state that is now in it, or why it could not be made."""
    try:
        run = RunFile.open(path, range(10), on_network=lambda _: network)
    except StoreError as exc:
        return str(exc)
    return "finished" if run.close("finished") else "interrupted"


def test_a_restart_file_that_does_not_fit_leaves_the_old_one(small_disk: Path) -> None:
    restart_file.save(small_disk / "x.rst", {"a": 1})
    fill(small_disk)
    with pytest.raises(StoreError, match="the disk is full"):
        restart_file.save(small_disk / "x.rst", {"a": "x" * 100_000})
    assert restart_file.load(small_disk / "x.rst") == {"a": 1}
    assert names(small_disk) == ["ballast", "x.rst"]
