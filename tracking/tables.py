"""Reads items from files and writes results to files, for the command line.

::

    .json            {id: value, ...} or [value, ...]        {id: result, ...}
    .jsonl .ndjson   a value, or an object with an "id",     {"id": ..., "result": ...} or
                     on each line                            {"id": ..., "error": ...} on each line
    .csv             a header; the column "id" first,        id and result, or a column for each
                     or none                                 key of the results
    .pkl .pickle                                             the dict {id: result}

Everything is UTF-8. What is wrong with a file is an ``InputError`` that names the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from tracking.errors import EncodeError, InputError

Items = dict[Hashable, Any]
Results = Mapping[Hashable, Any]
ErrorTexts = Mapping[Hashable, str]

OUTPUT_ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".pkl", ".pickle")


# --- reading


def read_items(path: Path) -> Items:
    """Read {id: value} from a file, by its ending.

    Raises:
        InputError: it cannot be read, or is not what its ending says.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: data files end in {', '.join(_READERS)}")
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark in front
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is not UTF-8 text: {exc.reason} at byte {exc.start}") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    return reader(path, text)


def _read_json(path: Path, text: str) -> Items:
    pairs: list[tuple[str, Any]] = []

    def remember(last: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = last  # the outermost object is the last to be complete
        return dict(last)

    data = _parse(text, str(path), remember)
    if isinstance(data, list):
        return dict(enumerate(data))
    if not isinstance(data, dict):
        raise InputError(f"{path} holds a {_json_type(data)}: it must be an object {{id: value}} or a list")
    return _without_doubles((id, value, str(path)) for id, value in pairs)


def _read_json_lines(path: Path, text: str) -> Items:
    lines = [
        (f"{path}, line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()
    ]
    values = [(place, _parse(line, place)) for place, line in lines]
    with_id = [isinstance(value, dict) and "id" in value for _, value in values]
    if not any(with_id):
        return {number: value for number, (_, value) in enumerate(values)}
    if not all(with_id):
        place = values[with_id.index(not with_id[0])][0]
        raise InputError(f'{place}: either all lines are objects with an "id", or none is')
    return _without_doubles((value["id"], value.get("value", value), place) for place, value in values)


def _read_csv(path: Path, text: str) -> Items:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        _check_header(path, header)
        numbered = [(f"{path}, line {rows.line_num}", row) for row in rows if row]
    except csv.Error as exc:
        raise InputError(f"{path}, line {rows.line_num}: {exc}") from exc
    for place, row in numbered:
        if len(row) != len(header):
            raise InputError(f"{place}: {len(row)} fields, but {len(header)} columns")
    if header[0] != "id":
        return {number: dict(zip(header, row, strict=True)) for number, (_, row) in enumerate(numbered)}
    return _without_doubles(
        (row[0], dict(zip(header[1:], row[1:], strict=True)), place) for place, row in numbered
    )


_READERS: dict[str, Callable[[Path, str], Items]] = {
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".csv": _read_csv,
}
INPUT_ENDINGS = tuple(_READERS)


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise InputError(f"{path}, line 1: there is no header with the names of the columns")
    doubles = {name for name in header if header.count(name) > 1}
    if doubles:
        raise InputError(f"{path}, line 1: two columns are called {min(doubles)!r}")


def _without_doubles(triples: Iterable[tuple[Any, Any, str]]) -> Items:
    items: Items = {}
    for id, value, place in triples:
        if isinstance(id, (dict, list)):
            raise InputError(f"{place}: its id is a {_json_type(id)}; ids are strings or numbers")
        if id in items:
            raise InputError(f"{place}: the id {id!r} was there before; every item needs its own")
        items[id] = value
    return items


def _parse(text: str, place: str, pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=pairs_hook)
    except json.JSONDecodeError as exc:
        where = f" at line {exc.lineno}, column {exc.colno}" if "\n" in text else f" at column {exc.colno}"
        raise InputError(f"{place}: this is not JSON: {exc.msg}{where}") from exc
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{place}: this cannot be read as JSON: {exc}") from exc


def _json_type(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


# --- writing


class Output:
    """Where results go: a file, whose ending says how, or standard output as JSON lines.

    Made before the work, so that what is wrong with the place is known before.

    Args:
        target: name of the file, '-' for standard output.
        force: replace the file if there is one.
        stdout: what '-' means.

    Raises:
        InputError: the ending is unknown, the file is there already, or it cannot be written.
    """

    def __init__(self, target: str, *, stdout: TextIO, force: bool = False) -> None:
        self.target = target
        self._stdout = stdout
        self._path = None if target == "-" else Path(os.path.realpath(target))
        self._ending = ".jsonl" if self._path is None else Path(target).suffix.lower()
        if self._ending not in OUTPUT_ENDINGS:
            raise InputError(
                f"{target}: results go to files that end in {', '.join(OUTPUT_ENDINGS)}, or to -"
            )
        if self._path is not None:
            _check_place(self._path, target, force=force)

    def check_ids(self, ids: Iterable[Hashable]) -> None:
        """See that every id can be written, and that no two look the same then.

        Raises:
            InputError: names the id.
        """
        if self._ending in (".pkl", ".pickle"):
            return
        seen: dict[str, Hashable] = {}
        for id in ids:
            text = self._id_text(id)
            if text in seen:
                raise InputError(f"the ids {seen[text]!r} and {id!r} would be the same in {self.target}")
            seen[text] = id

    def check(self, id: Hashable, result: object) -> None:
        """See that this result can be written.

        Raises:
            EncodeError: names the id and the type that is in the way.
        """
        if type(result) not in _ALWAYS_JSON and self._ending not in (".pkl", ".pickle"):
            self._json(id, result)

    def write(self, results: Results, errors: ErrorTexts) -> None:
        """Write everything; the file is there whole or not at all.

        Raises:
            EncodeError: a result cannot be written.
            OSError: the file cannot be written.
        """
        if self._path is None:
            self._stdout.write("".join([line + "\n" for line in self._json_lines(results, errors)]))
            self._stdout.flush()
            return
        with _replaced(self._path) as file:
            if self._ending in (".pkl", ".pickle"):
                _dump(results, file, self.target)
                return
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            self._write_text(text, results, errors)
            text.detach()

    def save_as_pickle(self, results: Results) -> Path:
        """Write the results to a new .pkl file beside the target, which takes anything; give its name.

        Raises:
            EncodeError, OSError: not even that is possible.
        """
        name = "tracking_results" if self._path is None else str(self._path)
        numbers = ("", *(f".{number}" for number in range(1, 1000)))
        path = next(place for place in (Path(f"{name}{n}.pkl") for n in numbers) if not place.exists())
        with _replaced(path) as file:
            _dump(results, file, str(path))
        return path

    def _write_text(self, file: TextIO, results: Results, errors: ErrorTexts) -> None:
        if self._ending == ".csv":
            csv.writer(file, lineterminator="\n").writerows(self._csv_rows(results))
        elif self._ending == ".json":
            pairs = (f"{json.dumps(self._id_text(id))}: {self._json(id, r)}" for id, r in results.items())
            file.write("{" + ",".join("\n" + pair for pair in pairs) + "\n}\n")
        else:
            file.writelines(line + "\n" for line in self._json_lines(results, errors))

    def _json_lines(self, results: Results, errors: ErrorTexts) -> Iterator[str]:
        for id, result in results.items():
            yield f'{{"id": {self._id_text(id)}, "result": {self._json(id, result)}}}'
        for id, error in errors.items():
            yield f'{{"id": {self._id_text(id)}, "error": {json.dumps(error)}}}'

    def _csv_rows(self, results: Results) -> Iterator[list[str]]:
        columns = _common_columns(results.values())
        yield ["id", *(columns or ["result"])]
        for id, result in results.items():
            cells = [result.get(name) for name in columns] if columns else [result]
            yield [self._id_text(id), *(self._cell(id, cell) for cell in cells)]

    def _cell(self, id: Hashable, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, float):
            return float.__repr__(value)  # nan and inf, which a table may hold
        return value if isinstance(value, str) else self._json(id, value)

    def _id_text(self, id: Hashable) -> str:
        """The id as it stands in the file; in JSON lines it keeps its type, so there 1 is not "1"."""
        if isinstance(id, str) and self._ending in (".json", ".csv"):
            return id
        if self._ending == ".json" and not isinstance(id, (int, float, type(None))):
            raise InputError(
                f"the id {id!r} is a {_type_name(id)}, which cannot be a key of a JSON object: "
                f"write to a .jsonl or .pkl file instead of {self.target}"
            )
        try:
            return json.dumps(id, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise InputError(
                f"the id {id!r} cannot be written to {self.target}: {exc}; write to a .pkl file instead"
            ) from exc

    def _json(self, id: Hashable, value: object) -> str:
        try:
            return _strict_json(value)
        except (TypeError, ValueError, RecursionError) as exc:
            what = f"the result of item {id!r} is a {_type_name(value)}"
            raise EncodeError(f"{what} that cannot be written to {self.target}: {exc}") from exc


def _strict_json(value: object) -> str:
    """JSON as the standard has it, with null for the numbers that it does not know: NaN and the infinities."""
    text = json.dumps(value, default=_as_lists)
    if "N" not in text and "I" not in text:
        return text
    try:
        return json.dumps(value, default=_as_lists, allow_nan=False)
    except ValueError:  # it holds such a number, or itself, which has raised above
        return json.dumps(json.loads(text, parse_constant=lambda name: None))


_ALWAYS_JSON = frozenset({int, float, bool, str, type(None)})


def _as_lists(value: object) -> object:
    """Arrays and numbers of numpy as plain lists and numbers; JSON knows no others."""
    to_list = getattr(value, "tolist", None)
    if not callable(to_list):
        raise TypeError(f"JSON knows no {_type_name(value)} (a .pkl file takes anything)")
    return to_list()


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _dump(results: Results, file: BinaryIO, name: str) -> None:
    try:
        pickle.dump(dict(results), file, 5)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as exc:
        raise EncodeError(f"the results cannot be pickled to {name}: {exc}") from exc


def _common_columns(results: Iterable[object]) -> list[str]:
    """All keys in order, if every result is a dict with names as keys (but none 'id'); else no columns."""
    columns: dict[str, None] = {}
    for result in results:
        if not isinstance(result, dict) or not all(isinstance(key, str) for key in result):
            return []
        columns.update(dict.fromkeys(result))
    return [] if "id" in columns else list(columns)


def _check_place(path: Path, target: str, *, force: bool) -> None:
    if path.is_dir():
        raise InputError(f"{target} is a directory; give the name of a file in it")
    if path.exists() and not force:
        raise InputError(f"{target} is there already: remove it, choose another name, or use --force")
    try:
        temporary = _temporary(path)
        temporary.open("xb").close()
        temporary.unlink()
    except OSError as exc:
        raise InputError(f"{target} cannot be written: {exc.strerror or exc}") from exc


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{os.getpid()}.part")


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends without an error."""
    temporary = _temporary(path)
    with suppress(OSError):
        temporary.unlink()  # of a process of this number that was killed
    try:
        with temporary.open("xb") as file:  # never through a link that somebody else has put there
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
