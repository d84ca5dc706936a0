"""Every example runs and finds its own result right; the flagship is killed and goes on."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
FLAGSHIP = EXAMPLES / "trajectory_rmsd.py"
SIMPLE = sorted(
    path
    for path in EXAMPLES.rglob("*.py")
    if not path.stem.startswith("trajectory_") and not path.stem.endswith("_slave") and path.stem != "places"
)
N_FRAMES = 98


def require(*packages: str) -> None:
    """Skip visibly without these packages; fail where the examples are required."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return
    message = f"not installed: {', '.join(missing)} (the trajectory: pip install --no-deps MDAnalysisTests)"
    if os.environ.get("TRACKING_EXAMPLES_REQUIRED") == "1":
        pytest.fail(message)
    pytest.skip(message)


def run_example(path: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user would, in the folder above its outputs, with this checkout's package."""
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, str(path), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": search_path, **environment},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def said(run: subprocess.CompletedProcess[str]) -> str:
    return f"status {run.returncode}\n{run.stdout}\n{run.stderr}"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for sockets to lie in it."""
    with tempfile.TemporaryDirectory(prefix="ex") as folder:
        yield Path(folder)


@pytest.mark.parametrize("path", SIMPLE, ids=lambda path: path.stem)
def test_example_finds_its_result_right_and_leaves_no_temporary_file(path: Path, short_folder: Path) -> None:
    run = run_example(path, TMPDIR=str(short_folder))
    assert run.returncode == 0, said(run)
    assert "Traceback" not in run.stderr, said(run)
    assert list(short_folder.iterdir()) == []


def test_the_example_for_other_machines_takes_any_fabric() -> None:
    run = run_example(EXAMPLES / "beyond_one_machine.py", "--hosts", 3, "--fabric", "dialled", "start_timeout=50")
    assert run.returncode == 0, said(run)
    assert run.stdout.endswith("has done 400\n"), said(run)


def test_the_example_for_imp_parallel_tells_its_options_and_takes_a_number() -> None:
    path = EXAMPLES / "imp_parallel_scoring.py"
    told, run = run_example(path, "--help"), run_example(path, 50)
    assert told.returncode == run.returncode == 0, said(told) + said(run)
    assert "default: 500" in told.stdout
    assert "50 of 50 scored" in run.stdout
    refused = run_example(path, "many")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "many" in refused.stderr


# ---- the flagship as a program


@pytest.fixture
def flagship() -> None:
    require("numpy", "matplotlib", "MDAnalysisTests")


def flagship_run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run_example(FLAGSHIP, "-o", folder / "map.png", *arguments)


def load_matrix(path: Path) -> Any:
    import numpy as np

    return np.load(path)


def n_restored(run: subprocess.CompletedProcess[str], n_items: int) -> int:
    found = re.search(rf"(\d+) of {n_items} restored", run.stdout)
    assert found, said(run)
    return int(found[1])


@pytest.mark.usefixtures("flagship")
def test_flagship_agrees_with_independent_programs_and_draws_both_matrices(tmp_path: Path) -> None:
    run = flagship_run(tmp_path, "--matrix", tmp_path / "m.npy", "--verbose")
    assert run.returncode == 0, said(run)
    assert "Traceback" not in run.stderr, said(run)
    for expected in ("6.814428", "6.833415", "2.773593", "6.929083", "2.963923"):
        assert run.stdout.count(expected) >= 2, said(run)  # computed and expected
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    for selection in ("CA", "all"):
        matrix = load_matrix(tmp_path / f"m-{selection}.npy")
        assert (matrix.shape, str(matrix.dtype)) == ((N_FRAMES, N_FRAMES), "float64")
        assert (matrix == matrix.T).all()
        assert (matrix.diagonal() == 0).all()


@pytest.mark.usefixtures("flagship")
def test_flagship_killed_half_way_goes_on_with_its_run_file_to_the_same_matrix(tmp_path: Path) -> None:
    common = ("--selection", "all", "--window", "5")
    run_file = ("--run-file", tmp_path / "rmsd.run")
    killed = flagship_run(tmp_path, *common, *run_file, "--interrupt-after", 20)
    assert killed.returncode == -signal.SIGKILL, said(killed)
    assert not (tmp_path / "map.png").exists()

    resumed = flagship_run(tmp_path, *common, *run_file, "--matrix", tmp_path / "resumed.npy")
    assert resumed.returncode == 0, said(resumed)
    assert 20 <= n_restored(resumed, n_items=210) < 210

    whole = flagship_run(tmp_path, *common, "--matrix", tmp_path / "whole.npy")
    assert whole.returncode == 0, said(whole)
    assert (load_matrix(tmp_path / "resumed.npy") == load_matrix(tmp_path / "whole.npy")).all()


@pytest.mark.usefixtures("flagship")
def test_flagship_computes_nothing_again_when_its_run_file_is_complete(tmp_path: Path) -> None:
    arguments = ("--selection", "CA", "--window", "30", "--run-file", tmp_path / "rmsd.run")
    first, second = flagship_run(tmp_path, *arguments), flagship_run(tmp_path, *arguments)
    assert first.returncode == second.returncode == 0, said(first) + said(second)
    assert n_restored(first, n_items=10) == 0
    assert n_restored(second, n_items=10) == 10


@pytest.mark.usefixtures("flagship")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--interrupt-after", "3"], "needs --run-file"),
        (["--window", "0"], "must be 1 or more"),
        (["--run-file", "/no/such/folder/rmsd.run"], "/no/such/folder/rmsd.run cannot be written"),
        (["--selection", "CB"], "invalid choice"),
    ],
)
def test_flagship_refuses_wrong_options_before_it_works(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    run = flagship_run(tmp_path, *arguments)
    assert run.returncode == 2, said(run)
    assert complaint in run.stderr


@pytest.mark.usefixtures("flagship")
def test_neither_flagship_nor_its_slave_loads_matplotlib_before_drawing() -> None:
    code = "import sys, trajectory_rmsd; sys.exit('matplotlib' in sys.modules)"
    run = run_example(Path("-c"), code, PYTHONPATH=os.pathsep.join([str(EXAMPLES), str(ROOT)]))
    assert run.returncode == 0, said(run)


# ---- its parts


def example_module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    require("numpy")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return example_module("trajectory_frames", monkeypatch)


@pytest.fixture
def superposition(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return example_module("trajectory_superposition", monkeypatch)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return example_module("trajectory_rmsd", monkeypatch)


@pytest.fixture
def coordinates() -> Any:
    """Nine random structures of 20 atoms, far from the origin."""
    import numpy as np

    return np.random.default_rng(7).normal(loc=30, scale=5, size=(9, 3, 20))


def rmsd_by_rotation(mobile: Any, fixed: Any) -> float:
    """Superpose one pair of structures (3, atoms) in so many steps and measure what is left."""
    import numpy as np

    mobile, fixed = (x - x.mean(axis=1, keepdims=True) for x in (mobile, fixed))
    left, _, right = np.linalg.svd(fixed @ mobile.T)
    no_mirror = np.diag([1, 1, np.linalg.det(left) * np.linalg.det(right)])
    rotated = left @ no_mirror @ right @ mobile
    return float(np.sqrt(((rotated - fixed) ** 2).sum(axis=0).mean()))


def turned(structure: Any) -> Any:
    """Return the structure turned by a right angle, and shifted."""
    import numpy as np

    x, y, z = structure
    return np.stack([-y + 3, x - 4, z + 5])


def test_two_windows_give_the_same_as_rotating_each_pair(superposition: Any, coordinates: Any) -> None:
    rows, columns = coordinates[:4], coordinates[4:]
    block = superposition.pairwise_rmsd(superposition.centred(rows), superposition.centred(columns))
    assert block.shape == (4, 5)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            assert block[i, j] == pytest.approx(rmsd_by_rotation(row, column), abs=1e-10)


def test_a_turned_and_shifted_structure_is_no_distance_away(superposition: Any, coordinates: Any) -> None:
    original = superposition.centred(coordinates[:1])
    moved = superposition.centred(turned(coordinates[0])[None])
    assert superposition.pairwise_rmsd(original, moved) == pytest.approx(0, abs=1e-6)


def test_a_mirror_image_is_not_taken_for_the_structure_itself(superposition: Any, coordinates: Any) -> None:
    original = superposition.centred(coordinates[:1])
    mirrored = original * [[-1], [1], [1]]
    distance = superposition.pairwise_rmsd(original, mirrored)[0, 0]
    assert distance > 1
    assert distance == pytest.approx(rmsd_by_rotation(original[0], mirrored[0]), abs=1e-10)


def test_serial_matrix_of_the_real_trajectory_has_the_known_values(frames: Any, superposition: Any) -> None:
    require("MDAnalysisTests")
    topology, path = frames.adk_files()
    trajectory = frames.DcdTrajectory.open(path)
    window = trajectory.read(0, trajectory.n_frames)
    assert window.shape == (N_FRAMES, 3, 3341)
    alpha = superposition.centred(window[:, :, frames.selected_atoms(topology, "CA")])
    matrix = superposition.pairwise_rmsd(alpha, alpha)
    assert alpha.shape[2] == 214
    assert matrix[0, 97] == pytest.approx(6.814428, abs=1e-5)
    assert matrix.max() == pytest.approx(6.833415, abs=1e-5)
    assert matrix.mean() == pytest.approx(2.773593, abs=1e-5)


def record(content: bytes) -> bytes:
    return struct.pack("<i", len(content)) + content + struct.pack("<i", len(content))


def dcd_bytes(coordinates: Any, has_cell: bool, claimed_frames: int, n_fixed: int = 0) -> bytes:
    """Return a DCD file as its format says: control numbers, title, number of atoms, then the frames."""
    control = [claimed_frames, *[0] * 7, n_fixed, 0, int(has_cell), *[0] * 9]
    head = [b"CORD" + struct.pack("<20i", *control), struct.pack("<i", 1) + b"title".ljust(80)]
    parts = [*head, struct.pack("<i", coordinates.shape[2])]
    for frame in coordinates.astype("<f4"):
        parts += [bytes(48)] * has_cell + [axis.tobytes() for axis in frame]
    return b"".join(map(record, parts))


@pytest.mark.parametrize("has_cell", [True, False])
def test_any_window_of_a_dcd_file_is_read_whatever_its_header_claims(
    has_cell: bool, frames: Any, coordinates: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.dcd"
    path.write_bytes(dcd_bytes(coordinates, has_cell, claimed_frames=500))
    trajectory = frames.DcdTrajectory.open(path)
    assert trajectory.n_frames == 9
    assert (trajectory.read(3, 7) == coordinates[3:7].astype("f4")).all()
    with pytest.raises(ValueError, match="does not hold the whole frames 8 to 9"):
        trajectory.read(8, 10)


def test_files_that_cannot_be_read_are_named(frames: Any, coordinates: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.dcd"
    other.write_bytes(bytes(200))
    with pytest.raises(ValueError, match=r"other\.dcd is not a little-endian DCD"):
        frames.DcdTrajectory.open(other)
    fixed = tmp_path / "fixed.dcd"
    fixed.write_bytes(dcd_bytes(coordinates, has_cell=False, claimed_frames=9, n_fixed=2))
    with pytest.raises(ValueError, match=r"fixed\.dcd has 2 fixed atoms"):
        frames.DcdTrajectory.open(fixed)


def test_atoms_are_selected_by_name(frames: Any, tmp_path: Path) -> None:
    psf = tmp_path / "a.psf"
    atoms = [" 1 S 1 ALA N NH1 0 1 0", " 2 S 1 ALA CA CT1 0 1 0", " 3 S 2 GLY CA CT1 0 1 0"]
    psf.write_text("\n".join(["PSF", "", " 3 !NATOM", *atoms, "", " 1 !NBOND", " 1 2"]))
    assert frames.selected_atoms(psf, "CA").tolist() == [1, 2]
    assert frames.selected_atoms(psf, "all").tolist() == [0, 1, 2]


def test_without_the_trajectory_one_is_told_what_to_install(
    frames: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "DATA_PACKAGE", "MDAnalysisTestsThatNobodyHas")
    with pytest.raises(SystemExit, match="pip install --no-deps MDAnalysisTestsThatNobodyHas"):
        frames.adk_files()


def test_blocks_of_uneven_windows_make_the_symmetric_matrix(program: Any) -> None:
    import numpy as np

    windows = program.cut(n_frames=7, window_size=3)
    assert windows == [(0, 3), (3, 6), (6, 7)]
    pairs = program.window_pairs(windows, "CA")
    assert list(pairs) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    assert pairs[1, 2] == ("CA", (3, 6), (6, 7))
    points = np.arange(7.0) ** 2
    whole = abs(points[:, None] - points)
    blocks = {pair: whole[slice(*rows), slice(*columns)] for pair, (_, rows, columns) in pairs.items()}
    assert (program.assemble(blocks, windows) == whole).all()


def test_a_missing_block_shows_in_the_matrix(program: Any) -> None:
    import numpy as np

    matrix = program.assemble({(0, 0): np.zeros((2, 2)), (1, 1): np.zeros((2, 2))}, [(0, 2), (2, 4)])
    assert np.isnan(matrix[:2, 2:]).all()
    assert np.isnan(matrix[2:, :2]).all()
    assert not np.isnan(matrix[:2, :2]).any()
