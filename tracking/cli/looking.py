"""What a run file tells those who look into it: the texts of ``status`` and ``why``."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict

from tracking.cli.working import Order
from tracking.report import HostLine, error_summary, items_table, whole_seconds
from tracking.store.records import CheckpointRecord, RunSummary
from tracking.store.run_reader import RunFileReader
from tracking.why.facts import Present
from tracking.why.finding import find_id
from tracking.why.layout import moment
from tracking.why.present import tell_present, trouble_lines
from tracking.why.recorded import item_facts, present_facts, present_of
from tracking.why.stories import tell_item


def story(reader: RunFileReader, typed: str) -> str:
    """The story of the item that was typed.

    Raises:
        InputError: there is none like that; names some that are alike.
    """
    return tell_item(item_facts(reader, find_id(reader.ids(), typed), time.time()))


def present(reader: RunFileReader, run_file: str) -> str:
    """Why nothing happens, or what does."""
    go_on = _way_to_go_on(run_file, reader.recipe())
    return f"{run_file}: {tell_present(present_facts(reader, time.time(), go_on))}"


def status_as_json(reader: RunFileReader) -> str:
    """How it stands, for programs."""
    summary = reader.summary()
    troubles = _troubles(present_facts(reader, time.time()))
    return json.dumps(asdict(summary) | {"path": str(summary.path), "troubles": troubles}, indent=2)


def status(reader: RunFileReader, run_file: str) -> str:
    """How it stands, for people."""
    summary, errors, recipe = reader.summary(), reader.errors(), reader.recipe()
    now = time.time()
    text = [_status_text(run_file, summary, now), *_troubles(present_of(summary, reader.history(), now))]
    if summary.state != "running" and summary.n_finished < summary.n_items:
        text.append(_what_next(summary, _way_to_go_on(run_file, recipe)))
    if errors:
        text.append(error_summary(errors))
    return "\n".join(text)


def _troubles(now: Present) -> list[str]:
    return trouble_lines(now.now) if now.now else []


def _what_next(summary: RunSummary, way: str) -> str:
    if summary.n_finished + summary.n_failed < summary.n_items:
        return f"go on with: {way}"
    return f"only failed items are left; to try them again: {way}"


def _way_to_go_on(run_file: str, recipe: bytes | None) -> str:
    command = f"tracking resume {shlex.quote(run_file)}"
    if Order.from_bytes(recipe) is not None:
        return command
    # What a program's own file defines can only be found by that program.
    is_of_program = recipe is None or b"__main__" in recipe
    return "the program that began it, started again" if is_of_program else f"{command} -o OUT.json"


def _status_text(run_file: str, summary: RunSummary, now: float) -> str:
    began = moment(summary.started_at)
    written = whole_seconds(now - summary.updated_at)
    host, _, process = summary.owner.rpartition(":")
    failed = f", {summary.n_failed} failed" if summary.n_failed else ""
    percent = 100 * summary.n_finished // summary.n_items if summary.n_items else 100
    text = [
        f"{run_file}: {summary.state}; begun {began}, last written {written} ago by process {process} on {host}",
        f"{summary.n_finished} of {summary.n_items} items done, {percent}%{failed}",
    ]
    text += [_checkpoint_text(kept, now) for kept in summary.checkpoints]
    if summary.hosts:
        text.append(
            items_table([HostLine(h.nickname, h.host, h.jobs, h.jobs, h.items, h.seconds) for h in summary.hosts])
        )
    return "\n".join(text)


def _checkpoint_text(kept: CheckpointRecord, now: float) -> str:
    ago = whole_seconds(now - kept.at)
    return f"checkpoint {kept.name!r}: number {kept.number}, taken {ago} ago, {kept.size:,} bytes"
