"""Small jobs of one item that one slave is given at once: a row, sent in one message; each stays a job of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tracking.core import commands as c
from tracking.core.items import Items
from tracking.master.answers import Answers, SentJob
from tracking.master.hooks import is_overridden
from tracking.master.sending import Sender
from tracking.pool.crew import Crew

if TYPE_CHECKING:
    from tracking.master.job_master import JobMaster

_SHORTEST_ROW = 3
_MOST_BYTES_AHEAD = 1_000_000


class RowSender:
    """Sends rows for one calculation, in the master's thread.

    Args:
        master: has the values, and perhaps hooks that want to see each job by itself.
        items: the items and their states.
        answers: the jobs that are out.
        sender: encodes and sends.
        crew: the slaves.
        takes_dict: jobs travel as {id: value}.
    """

    def __init__(
        self, master: JobMaster, items: Items, answers: Answers, sender: Sender, crew: Crew, *, takes_dict: bool
    ) -> None:
        self._master = master
        self._items = items
        self._answers = answers
        self._sender = sender
        self._crew = crew
        self._takes_dict = takes_dict

    def send(self, commands: Sequence[c.Command]) -> bool:
        """Send what these say in one message; False: that cannot be, and nothing was done."""
        if len(commands) < _SHORTEST_ROW or not self._sender.takes_rows or self._has_hooks:
            return False
        row = [command for command in commands if type(command) is c.SendJob and len(command.positions) == 1]
        tid = row[0].slave if row else 0
        positions = [command.positions[0] for command in row if command.slave == tid]
        slave = self._crew.info(tid)
        if slave is None or len(positions) < len(commands) or self._items.most_given(positions) > 1:
            return False
        ids = self._answers.ids_at(positions)
        data = self._master.data
        items = ({id: data[id]} if self._takes_dict else [data[id]] for id in ids)  # large ones one after the other
        if not self._sender.send_row(tid, [command.job for command in row], items):
            return False
        jobs = self._answers.jobs
        for command, id in zip(row, ids, strict=True):
            jobs[command.job] = SentJob(command.positions, (id,), slave)
        return True

    @property
    def _has_hooks(self) -> bool:
        return is_overridden(self._master, "start_job") or is_overridden(self._master, "get_slave_chunk")


def perform_each(
    commands: Sequence[c.Command], perform: Callable[[c.Command], None], sender: Sender
) -> list[c.SendJob]:
    """Perform what was not sent as a row; gives the jobs that no slave got, since too many bytes are before them.

    They were given out together while jobs were small: that these are large was seen only now.
    """
    if len(commands) == 1:
        perform(commands[0])
        return []
    ahead, held_back = Counter[int](), []
    for command in commands:
        if type(command) is not c.SendJob:
            perform(command)
        elif ahead[command.slave] > _MOST_BYTES_AHEAD:
            held_back.append(command)
        else:
            before = sender.sent_bytes
            perform(command)
            ahead[command.slave] += sender.sent_bytes - before
    return held_back
