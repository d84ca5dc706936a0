"""Processors by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tests.multi.commands import Call, Kept, Square, who
from tracking.errors import InputError
from tracking.fabrics.local import LocalFabric
from tracking.multi import Processor, Processor_box, Too_few_slaves_exception, Verbosity, load_multiprocessor, loading
from tracking.multi import processor as processor_module


def test_there_are_three_spellings(load: Callable[..., Any]) -> None:
    for spelling in (load_multiprocessor, Processor.load_multiprocessor, processor_module.load_multiprocessor):
        loaded = spelling("uni", None, processor_size=1)
        assert Processor_box().processor is loaded
        assert (Processor_box().processor_name, Processor_box().class_name) == ("uni_processor", "Uni_processor")


def test_verbosity_is_1_if_nothing_is_said_and_stays_with_none() -> None:
    load_multiprocessor("uni", None, 1)
    assert Verbosity().level() == 1
    load_multiprocessor("uni", None, 1, verbosity=2)
    load_multiprocessor("uni", None, 1, verbosity=None)
    assert Verbosity().level() == 2


def test_a_name_that_nobody_has_is_refused_with_those_that_there_are_and_the_box_is_untouched() -> None:
    uni = load_multiprocessor("uni", None, 1)
    with pytest.raises(ModuleNotFoundError, match=r"'multi.xyz_processor'.* local, mpi, mpi4py, .* uni"):
        load_multiprocessor("xyz", None, 1)
    assert Processor_box().processor is uni


def test_a_name_that_is_nearly_right_is_told_what_is_meant() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'multi.Local_processor': is 'local' meant\? the processors are "):
        load_multiprocessor("Local", None, 1)


@pytest.mark.parametrize("name", ["local", "mpi4py", "slurm", LocalFabric()])
@pytest.mark.parametrize(
    ("option", "meant"), [("processors", "processor_size"), ("runfile", "run_file"), ("Hosts", "hosts")]
)
def test_an_option_that_there_is_not_is_told_with_those_that_there_are(name: Any, option: str, meant: str) -> None:
    with pytest.raises(
        TypeError,
        match=rf"load_multiprocessor\('\w+'\) has no option '{option}': is '{meant}' meant\? "
        "there are callback, processor_size, verbosity, fabric, hosts, run_file, live, on_change, max_deaths, pool$",
    ):
        load_multiprocessor(name, **{option: 2})
    assert Processor_box().processor is None


def test_a_processor_without_options_says_so() -> None:
    with pytest.raises(TypeError, match=r"\('uni'\) has no option 'run_file': there are callback, proc\w+, verbosity$"):
        load_multiprocessor("uni", run_file="folder")


@pytest.mark.parametrize("name", ["uni", "local", "mpi4py", "slurm"])
@pytest.mark.parametrize("size", ["2", 2.5, None])
def test_a_size_that_is_no_whole_number_is_named(name: str, size: Any) -> None:
    with pytest.raises(TypeError, match=rf"processor_size is a number of slaves, a whole one, not {size!r}"):
        load_multiprocessor(name, None, size)


@pytest.mark.parametrize("size", [0, -2])
def test_no_slaves_are_too_few(size: int) -> None:
    with pytest.raises(Too_few_slaves_exception, match=f"at least one slave, not {size}"):
        load_multiprocessor("local", None, size)


def test_the_mpi_processor_says_how_to_start_it_where_there_is_no_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_NRANKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Too_few_slaves_exception, match="mpiexec -n N python"):
        load_multiprocessor("mpi4py", None, 2)


def test_minus_one_means_one_slave_a_core(load: Callable[..., Any]) -> None:
    from tracking.fabrics.machine import usable_cores

    assert load("local", -1).processor_size() == usable_cores()


def test_a_fabric_itself_is_a_processor(load: Callable[..., Any], memo: Kept) -> None:
    processor = load(LocalFabric(), 1)
    processor.add_to_queue(Call(who), memo)
    processor.run_queue()
    assert Processor_box().class_name == "Local_processor"
    assert memo.values[-1][0] == 1


def test_a_fabric_by_name_is_not_made_before_it_is_needed(load: Callable[..., Any]) -> None:
    processor = load("slurm", 3)
    assert (Processor_box().processor_name, Processor_box().class_name) == ("slurm_processor", "Slurm_processor")
    assert processor.processor_size() == 3


# ---- of other packages


class Duck:
    """A processor that is none of ours."""

    def __init__(self, callback: Any, processor_size: int) -> None:
        self.callback, self.size = callback, processor_size
        self.data_store = {"a": 1}

    def fetch_data(self, name: str) -> Any:
        return self.data_store[name]


def broken(**arguments: Any) -> None:
    raise LookupError("no such cluster")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint("duck", "tests.multi.test_loading:Duck", loading.GROUP),
        EntryPoint("gone", "tests.multi.test_loading:Nothing", loading.GROUP),
        EntryPoint("bare", "tests.multi.commands", loading.GROUP),
    ]
    monkeypatch.setattr(loading, "entry_points", lambda group: [one for one in entries if one.group == group])


@pytest.mark.usefixtures("others")
def test_an_entry_point_brings_a_processor_and_it_may_be_any_object() -> None:
    duck = load_multiprocessor("duck", "callback", 4)
    assert (duck.callback, duck.size) == ("callback", 4)
    assert Processor_box().processor is duck
    from tracking.multi import fetch_data

    assert fetch_data("a") == 1


@pytest.mark.usefixtures("others")
def test_an_entry_point_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ImportError, match=r"can't load the processor 'gone' from tests.multi.test_loading:Nothing"):
        load_multiprocessor("gone", None, 1)
    with pytest.raises(ImportError, match=r"can't load class Bare_processor from module tests.multi.commands"):
        load_multiprocessor("bare", None, 1)


def test_an_installed_package_brings_a_processor_as_docs_say(tmp_path: Path) -> None:
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tracking.processors]\nmine = mine_processor:Mine_processor\n")
    (tmp_path / "mine_processor.py").write_text(
        "from tracking.multi import Uni_processor\nclass Mine_processor(Uni_processor):\n"
        "    def get_intro_string(self):\n        return 'mine'\n"
    )
    code = "from tracking.multi import load_multiprocessor; print(load_multiprocessor('mine').get_intro_string())"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": f"{tmp_path}:{root}"}
    )
    assert done.stdout == "mine\n", done.stderr


# ---- more slaves


def test_slaves_can_be_added(processor: Any, memo: Kept) -> None:
    processor.add_slaves(["localhost"])
    assert processor.processor_size() == 3
    for number in range(9):
        processor.add_to_queue(Square(number), memo)
    processor.run_queue()
    assert sorted(memo.values) == [n * n for n in range(9)]


def test_a_processor_without_a_program_says_so_before_slaves_start(load: Callable[..., Any]) -> None:
    for name in ("uni", "local"):
        with pytest.raises(ValueError, match="there is no program to run"):
            load(name, 1).run()


def test_a_queue_before_run_under_mpi_says_what_to_do(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setattr("atexit.register", lambda function: None)
    processor = load("mpi4py", -1)
    assert (processor.rank(), processor.processor_size()) == (0, 2)
    processor.add_to_queue(Square(2))
    with pytest.raises(InputError, match=r"in run\(\): call it on every rank"):
        processor.run_queue()
    assert not processor.is_queued()
