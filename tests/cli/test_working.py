"""How a master is run for the command line, with one that does what the test says."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tracking.cli import COULD_NOT_RUN, INTERRUPTED
from tracking.cli.working import Order, carry_out, results_to
from tracking.errors import CalculationError, Interrupted, ItemError, ItemRaised, NoSlavesError
from tracking.tables import Output

ORDER = Order("work:f", "data.json", "/out.json", "/here", {"chunk_size": "auto", "max_deaths": None})


class ScriptedMaster:
    """Gives these results one after the other, then raises what it was told to."""

    _tr_recipe: bytes | None = Order("work:f", "d.json", "out.json", "/", {}).to_bytes()

    def __init__(
        self,
        data: dict[Any, Any],
        results: dict[Any, Any],
        errors: dict[Any, ItemError] | None = None,
        then: BaseException | None = None,
    ) -> None:
        self.data = data
        self.result: dict[Any, Any] = {}
        self.errors = errors or {}
        self.is_stopped = False
        self._results = results
        self._then = then

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for id, result in self._results.items():
            self.result[id] = result
            yield id, result
        if self._then is not None:
            raise self._then

    def exit(self) -> None:
        self.is_stopped = True

    def saveRst(self, fname: str) -> None:
        Path(fname).write_bytes(pickle.dumps(self.result))


def carried_out(master: ScriptedMaster, target: Path | str, run_file: str | None = None, **options: Any) -> int:
    output = Output(str(target), stdout=io.StringIO())
    return carry_out(cast(Any, master), output, run_file, **options)


def test_results_are_written_in_the_order_of_the_data_whatever_came_first(tmp_path: Path) -> None:
    master = ScriptedMaster({"a": 1, "b": 2, "c": 3}, {"c": 9, "a": 1, "b": 4})
    assert carried_out(master, tmp_path / "out.json") == 0
    assert list(json.loads((tmp_path / "out.json").read_text()).items()) == [("a", 1), ("b", 4), ("c", 9)]


@pytest.mark.parametrize(("n_failed", "status"), [(1, 1), (100, 100), (101, 101), (300, 101)])
def test_the_exit_status_counts_the_items_that_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_failed: int, status: int
) -> None:
    errors: dict[Any, ItemError] = {number: ItemRaised("ValueError: no") for number in range(n_failed)}
    master = ScriptedMaster({"good": 1, **errors}, {"good": 2}, errors)
    assert carried_out(master, tmp_path / "out.jsonl") == status
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"id": "good", "result": 2}
    assert json.loads(lines[1]) == {"id": 0, "error": "ValueError: no"}
    assert len(lines) == 1 + n_failed
    assert f"{n_failed} item" in capsys.readouterr().err


def test_a_master_that_raises_because_items_failed_still_gives_its_results(tmp_path: Path) -> None:
    errors: dict[Any, ItemError] = {"b": ItemRaised("ValueError: no")}
    master = ScriptedMaster({"a": 1, "b": 2}, {"a": 1}, errors, CalculationError({"a": 1}, errors))
    assert carried_out(master, tmp_path / "out.json") == 1
    assert json.loads((tmp_path / "out.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), Interrupted("exit() was called")])
def test_an_interrupted_calculation_says_how_it_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interruption: BaseException
) -> None:
    master = ScriptedMaster({1: 1, 2: 2}, {1: 1}, then=interruption)
    assert carried_out(master, tmp_path / "out.json", "my screen.run") == INTERRUPTED
    assert master.is_stopped
    assert capsys.readouterr().err == (
        "tracking: interrupted: 1 of 2 items are done; go on with: tracking resume 'my screen.run'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_program_s_run_file_is_resumed_with_a_place_for_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    master = ScriptedMaster({1: 1, 2: 2}, {1: 1}, then=KeyboardInterrupt())
    master._tr_recipe = None
    assert carried_out(master, "out.json", "screen.run") == INTERRUPTED
    assert capsys.readouterr().err.endswith("go on with: tracking resume screen.run -o out.json\n")


def test_without_a_run_file_an_interrupted_calculation_is_saved_for_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    master = ScriptedMaster({1: 1, 2: 2}, {1: 1}, then=KeyboardInterrupt())
    assert carried_out(master, "out.json", code_directory="/my code") == INTERRUPTED
    assert pickle.loads((tmp_path / "out.json.rst").read_bytes()) == {1: 1}
    assert capsys.readouterr().err.endswith(
        "1 of 2 items are done and saved; go on with: PYTHONPATH='/my code' tracking restart out.json.rst -o out.json\n"
    )


def test_when_nothing_was_done_nothing_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    master = ScriptedMaster({1: 1}, {}, then=KeyboardInterrupt())
    assert carried_out(master, tmp_path / "out.json") == INTERRUPTED
    assert capsys.readouterr().err == "tracking: interrupted: 0 of 1 items are done\n"
    assert list(tmp_path.iterdir()) == []


def test_when_the_calculation_breaks_off_what_was_done_is_saved_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = ScriptedMaster({1: 1, 2: 2}, {1: 1}, then=NoSlavesError("none is left"))
    with pytest.raises(NoSlavesError):
        carried_out(master, tmp_path / "out.json")
    assert master.is_stopped
    assert (tmp_path / "out.json.rst").exists()
    assert "tracking restart" in capsys.readouterr().err


def test_a_result_that_cannot_be_written_is_told_once_and_everything_goes_to_a_pickle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Watched(ScriptedMaster):
        def __iter__(self) -> Iterator[tuple[Any, Any]]:
            for number, pair in enumerate(super().__iter__()):
                told.append((number, capsys.readouterr().err))
                yield pair

    told: list[tuple[int, str]] = []
    master = Watched({1: 1, 2: 2, 3: 3}, {1: {1}, 2: {2}, 3: 3})
    assert carried_out(master, tmp_path / "out.json") == COULD_NOT_RUN
    assert "the result of item 1 is a set" in told[1][1]
    assert told[2][1] == ""
    assert f"the results were written to {tmp_path / 'out.json.pkl'} instead" in capsys.readouterr().err
    assert pickle.loads((tmp_path / "out.json.pkl").read_bytes()) == {1: {1}, 2: {2}, 3: 3}
    assert not (tmp_path / "out.json").exists()


def test_with_a_run_file_results_that_cannot_be_written_stay_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = ScriptedMaster({1: 1}, {1: {1}})
    assert carried_out(master, tmp_path / "out.json", "a.run") == COULD_NOT_RUN
    assert "the results are in a.run: tracking results a.run -o results.pkl" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_end_costs_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Output, "write", full)
    assert carried_out(ScriptedMaster({1: 1}, {1: 1}), tmp_path / "out.json") == COULD_NOT_RUN
    assert "No space left on device; the results were written to" in capsys.readouterr().err


def test_while_results_go_to_standard_output_nothing_else_does(capsys: pytest.CaptureFixture[str]) -> None:
    with results_to("-", force=False) as output:
        print("a remark of the user's module")
        output.write({1: 1}, {})
    print("afterwards")
    captured = capsys.readouterr()
    assert captured.out == '{"id": 1, "result": 1}\nafterwards\n'
    assert captured.err == "a remark of the user's module\n"


def test_an_order_survives_the_run_file_and_is_told_from_a_programs_recipe() -> None:
    assert ORDER.to_bytes().startswith(b'{"')
    assert Order.from_bytes(ORDER.to_bytes()) == ORDER
    assert Order.from_bytes(None) is None
    assert Order.from_bytes(pickle.dumps({"a": 1})) is None
