"""Items from files, results to files."""

from __future__ import annotations

import csv
import io
import json
import pickle
from array import array
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.errors import EncodeError, InputError
from tracking.tables import Output, read_items


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def output(target: Path | str, *, force: bool = False, stdout: io.StringIO | None = None) -> Output:
    return Output(str(target), stdout=stdout or io.StringIO(), force=force)


# --- reading


@pytest.mark.parametrize(
    ("name", "text", "items"),
    [
        ("a.json", '{"x": [1, {"x": 2}], "y": null}', {"x": [1, {"x": 2}], "y": None}),
        ("a.json", '["p", {"q": 1}]', {0: "p", 1: {"q": 1}}),
        ("a.json", "\ufeff{}", {}),
        ("a.jsonl", '1\n"two"\n\n[3]\n', {0: 1, 1: "two", 2: [3]}),
        ("a.ndjson", '{"id": "a", "value": 5}\n{"id": 7, "value": null}\n', {"a": 5, 7: None}),
        ("a.jsonl", '{"id": "a", "size": 5}\n', {"a": {"id": "a", "size": 5}}),
        ("a.JSONL", '{"size": 5}\n', {0: {"size": 5}}),
        ("a.jsonl", '"line\u2028separator"\n', {0: "line\u2028separator"}),
        ("a.jsonl", "", {}),
        ("a.csv", "id,a,b\nx,1,2\ny,3,\n", {"x": {"a": "1", "b": "2"}, "y": {"a": "3", "b": ""}}),
        ("a.csv", "\ufeffid\r\nx\r\n", {"x": {}}),
        (
            "a.csv",
            'a,id\n"1,5",z\n\n"two\nlines",y\n',
            {0: {"a": "1,5", "id": "z"}, 1: {"a": "two\nlines", "id": "y"}},
        ),
        ("a.csv", "id,a\n", {}),
    ],
)
def test_a_file_holds_the_items_that_its_ending_says(
    tmp_path: Path, name: str, text: str, items: dict[Hashable, Any]
) -> None:
    assert read_items(written(tmp_path, name, text)) == items


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.json", "7", "holds a number: it must be an object {id: value} or a list"),
        ("a.json", '{"a": 1,\n "b": }', "this is not JSON: Expecting value at line 2, column 7"),
        (
            "a.json",
            '{"a": 1, "b": {"a": 1}, "a": 2}',
            "the id 'a' was there before; every item needs its own",
        ),
        ("a.json", "[" * 100_000, "this cannot be read as JSON"),
        ("a.jsonl", "1\n\n{2}\n", "a.jsonl, line 3: this is not JSON"),
        (
            "a.jsonl",
            '{"id": 1}\n\n5\n',
            'a.jsonl, line 3: either all lines are objects with an "id", or none is',
        ),
        (
            "a.jsonl",
            '5\n{"id": 1}\n',
            'a.jsonl, line 2: either all lines are objects with an "id", or none is',
        ),
        ("a.jsonl", '{"id": 1}\n{"id": true}\n', "a.jsonl, line 2: the id True was there before"),
        ("a.jsonl", '{"id": [1]}\n', "a.jsonl, line 1: its id is a list; ids are strings or numbers"),
        ("a.csv", "", "a.csv, line 1: there is no header"),
        ("a.csv", "id,a,a\n", "a.csv, line 1: two columns are called 'a'"),
        ("a.csv", "id,a\nx,1\ny\n", "a.csv, line 3: 1 fields, but 2 columns"),
        ("a.csv", "id,a\nx,1\n\nx,2\n", "a.csv, line 4: the id 'x' was there before"),
        ("a.csv", 'id,a\nx,"1\n', "a.csv, line 2: unexpected end of data"),
        ("a.txt", "", "data files end in .json, .jsonl, .ndjson, .csv"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_items(written(tmp_path, name, text))
    assert complaint in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json cannot be read: No such file or directory"):
        read_items(tmp_path / "gone.json")
    (tmp_path / "bad.csv").write_bytes(b"id\n\xff\n")
    with pytest.raises(InputError, match=r"bad\.csv is not UTF-8 text: invalid start byte at byte 3"):
        read_items(tmp_path / "bad.csv")


# --- writing


def test_json_gets_one_object_with_a_line_for_each_item(tmp_path: Path) -> None:
    place = tmp_path / "out.json"
    output(place).write({"a": [1, None], 2: {"x": 0.5}}, {"failed": "ValueError: no"})
    assert place.read_text() == '{\n"a": [1, null],\n"2": {"x": 0.5}\n}\n'


def test_an_empty_result_is_still_a_file_of_its_kind(tmp_path: Path) -> None:
    for name in ("out.json", "out.jsonl", "out.csv", "out.pkl"):
        output(tmp_path / name).write({}, {})
    assert json.loads((tmp_path / "out.json").read_text()) == {}
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert (tmp_path / "out.csv").read_text() == "id,result\n"
    assert pickle.loads((tmp_path / "out.pkl").read_bytes()) == {}


def test_json_lines_hold_results_and_errors_and_keep_the_ids_type(tmp_path: Path) -> None:
    place = tmp_path / "out.jsonl"
    output(place).write({1: "a", "1": "b", (1, 2): None}, {"bad": "ValueError: n\u00f3"})
    assert [json.loads(line) for line in place.read_text().splitlines()] == [
        {"id": 1, "result": "a"},
        {"id": "1", "result": "b"},
        {"id": [1, 2], "result": None},
        {"id": "bad", "error": "ValueError: n\u00f3"},
    ]


def test_csv_gets_a_column_for_each_key_when_all_results_are_dicts(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    output(place).write({"a": {"x": 1, "y": "b,c"}, "b": {"y": None, "z": [1]}}, {})
    assert place.read_text() == 'id,x,y,z\na,1,"b,c",\nb,,,[1]\n'


@pytest.mark.parametrize("results", [{"a": 1.5, "b": {"x": 1}}, {"a": {"id": 1}}, {"a": {}}, {"a": {1: 2}}])
def test_csv_gets_one_column_for_all_other_results(tmp_path: Path, results: dict[Hashable, Any]) -> None:
    place = tmp_path / "out.csv"
    output(place).write(results, {})
    with place.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["id", "result"], *([id, json.dumps(result)] for id, result in results.items())]


def test_pickle_takes_anything(tmp_path: Path) -> None:
    place = tmp_path / "out.pickle"
    results = {(1, 2): {1, 2}, frozenset(): 3j}
    target = output(place)
    target.check_ids(results)
    target.check((1, 2), {1, 2})
    target.write(results, {})
    assert pickle.loads(place.read_bytes()) == results


def test_a_dash_means_json_lines_on_standard_output() -> None:
    stdout = io.StringIO()
    output("-", stdout=stdout).write({"a": 1}, {"b": "gone"})
    assert stdout.getvalue() == '{"id": "a", "result": 1}\n{"id": "b", "error": "gone"}\n'


def test_arrays_become_lists(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    place = tmp_path / "out.jsonl"
    results = {1: numpy.arange(3), 2: numpy.float32(0.5), 3: {"n": numpy.int64(7)}, 4: array("d", [1.5])}
    target = output(place)
    for id, result in results.items():
        target.check(id, result)
    target.write(results, {})
    found = [json.loads(line)["result"] for line in place.read_text().splitlines()]
    assert found == [[0, 1, 2], 0.5, {"n": 7}, [1.5]]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({1, 2}, ["is a set", "JSON knows no set"]),
        ({"x": [3j]}, ["is a dict", "JSON knows no complex"]),
        (Path("x"), ["is a pathlib.", "Path"]),
        ({(1, 2): 3}, ["is a dict", "keys must be str"]),
    ],
)
@pytest.mark.parametrize("name", ["out.json", "out.jsonl", "out.csv", "-"])
def test_a_result_that_json_cannot_hold_is_named_with_its_type(
    tmp_path: Path, name: str, result: object, words: list[str]
) -> None:
    stdout = io.StringIO()
    target = output(name if name == "-" else tmp_path / name, stdout=stdout)
    with pytest.raises(EncodeError) as early:
        target.check("item7", result)
    with pytest.raises(EncodeError) as late:
        target.write({"fine": 1, "item7": result}, {})
    for error in (early, late):
        assert all(word in str(error.value) for word in ["the result of item 'item7'", *words])
    assert stdout.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_contains_itself_is_an_error_too(tmp_path: Path) -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="Circular reference"):
        output(tmp_path / "out.json").check(1, loop)


def test_a_result_that_pickle_cannot_take_is_an_error_that_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="cannot be pickled to"):
        output(tmp_path / "out.pkl").write({1: lambda: 1}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "ids", "complaint"),
    [
        ("out.json", [1, "1"], "the ids 1 and '1' would be the same in"),
        ("out.csv", [1, "1"], "the ids 1 and '1' would be the same in"),
        (
            "out.json",
            [(1, 2)],
            "the id (1, 2) is a tuple, which cannot be a key of a JSON object: write to a .jsonl",
        ),
        ("out.jsonl", [frozenset()], "the id frozenset() cannot be written to"),
        ("out.csv", [b"x"], "the id b'x' cannot be written to"),
    ],
)
def test_ids_that_cannot_be_written_are_found_before_the_work(
    tmp_path: Path, name: str, ids: list[Hashable], complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        output(tmp_path / name).check_ids(ids)
    assert complaint in str(caught.value)


def test_ids_of_all_usual_kinds_can_be_written(tmp_path: Path) -> None:
    for name in ("out.json", "out.jsonl", "out.csv", "out.pkl"):
        output(tmp_path / name).check_ids(["a", 2, 2.5, True, None])
    output(tmp_path / "out.jsonl").check_ids([1, "1", (1, "a")])


# --- the place


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    place = written(tmp_path, "out.json", "precious")
    with pytest.raises(InputError, match=r"is there already: remove it, choose another name, or use --force"):
        output(place)
    output(place, force=True).write({1: 2}, {})
    assert json.loads(place.read_text()) == {"1": 2}


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    place = written(tmp_path, "out.json", "precious")
    with pytest.raises(EncodeError):
        output(place, force=True).write({1: set()}, {})
    assert place.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    place, link = written(tmp_path, "real.json", "old"), tmp_path / "link.json"
    link.symlink_to(place)
    output(link, force=True).write({1: 2}, {})
    assert link.is_symlink()
    assert json.loads(place.read_text()) == {"1": 2}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("out.txt", "results go to files that end in .json, .jsonl, .ndjson, .csv, .pkl, .pickle, or to -"),
        ("out", "results go to files that end in"),
        ("no/such/out.json", "cannot be written: No such file or directory"),
        ("folder.json", "is a directory"),
        ("file.txt/out.json", "cannot be written: Not a directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    written(tmp_path, "file.txt", "")
    with pytest.raises(InputError) as caught:
        output(tmp_path / name)
    assert complaint in str(caught.value)


def test_looking_whether_it_can_be_written_leaves_nothing_there(tmp_path: Path) -> None:
    output(tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_saved_as_pickle_under_a_free_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = output(tmp_path / "out.json")
    first, second = target.save_as_pickle({1: set()}), target.save_as_pickle({1: {2}})
    assert [first.name, second.name] == ["out.json.pkl", "out.json.1.pkl"]
    assert pickle.loads(second.read_bytes()) == {1: {2}}
    assert output("-").save_as_pickle({}).name == "tracking_results.pkl"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text() | st.integers(), json_values, max_size=5))
def test_what_is_written_as_json_lines_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, results: dict[Hashable, Any]
) -> None:
    place = tmp_path_factory.mktemp("round") / "out.jsonl"
    output(place).write(results, {})
    items = read_items(place)
    assert {id: value["result"] for id, value in items.items()} == results


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (".jsonl", '{"id": "a", "result": null}\n{"id": "b", "result": {"x": [1.5, null, "NaN"]}}\n'),
        (".json", '{\n"a": null,\n"b": {"x": [1.5, null, "NaN"]}\n}\n'),
        (".csv", 'id,result\na,nan\nb,"{""x"": [1.5, null, ""NaN""]}"\n'),
    ],
)
def test_numbers_that_json_does_not_know_are_written_so_that_every_reader_takes_them(
    tmp_path: Path, ending: str, expected: str
) -> None:
    path = tmp_path / f"out{ending}"
    results = {"a": float("nan"), "b": {"x": [1.5, float("-inf"), "NaN"]}}
    Output(str(path), stdout=io.StringIO()).write(results, {})
    assert path.read_text() == expected


def test_an_id_that_json_does_not_know_is_named(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out.jsonl"), stdout=io.StringIO())
    with pytest.raises(InputError, match="the id nan cannot be written"):
        output.check_ids([float("nan")])
