"""What goes to slaves and comes from them as bytes, made at the moment when it is handed over.

What the program's ``__main__`` defines goes by name; ``names`` says which definitions must be known on the other side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tracking.wire import codec, mainmodule


class Snapshot(NamedTuple):
    """An object as it was.

    Attributes:
        data, buffers: of a ``codec.Payload``; nothing in them is shared with the object.
        kind: the name of its class, for people.
        code: what tells the code of a command's class from other code, where it is recorded.
        memo_id: of a command; it is not in the data, since it is another one in each run of a program.
    """

    data: bytes
    buffers: tuple[bytearray, ...]
    kind: str
    memo_id: Any = None
    code: str = ""

    def restore(self) -> Any:
        """The object anew."""
        return codec.decode(self.payload())

    def payload(self) -> codec.Payload:
        """As the codec knows it."""
        return codec.Payload(self.data, self.buffers)

    def names(self) -> frozenset[str]:
        """Names of ``__main__`` that it needs."""
        return mainmodule.names_needed(self.payload())


def command_snapshot(command: Any) -> Snapshot:
    """A command as it is now.

    Raises:
        EncodeError: it cannot be sent; names the part.
    """
    what, memo_id = f"the command {type(command).__name__}", getattr(command, "memo_id", None)
    if memo_id is None:
        return snapshot(command, what)
    command.memo_id = None
    try:
        return snapshot(command, what)._replace(memo_id=memo_id)
    finally:
        command.memo_id = memo_id


def restored_command(sent: Snapshot) -> Any:
    """The command anew."""
    command = sent.restore()
    if sent.memo_id is not None:
        command.memo_id = sent.memo_id
    return command


def snapshot(obj: object, what: str) -> Snapshot:
    """The object as it is now.

    Args:
        obj: any.
        what: names it in the error.

    Raises:
        EncodeError: it cannot be sent; names the part.
    """
    return _copied(codec.encode_user(obj, what), obj)


def result_snapshot(result: object, what: str) -> Snapshot:
    """The same for what a slave sends.

    Raises:
        EncodeError: as above.
    """
    return _copied(codec.encode(result, what), result)


def _copied(payload: codec.Payload, obj: object) -> Snapshot:
    buffers = tuple(bytearray(buffer) for buffer in payload.buffers)
    data = payload.data if isinstance(payload.data, bytes) else bytes(memoryview(payload.data))
    return Snapshot(data, buffers, type(obj).__name__)


class Outcome(NamedTuple):
    """What came of a command.

    Attributes:
        results: in their order.
        io_data: what it printed.
        error: what ended it, or why a result cannot be sent; None: nothing did.
        was_shown: what it printed has been shown already, when it was printed.
        memo_id: of the command, when it was run.
    """

    results: tuple[Snapshot, ...]
    io_data: list[list[Any]]
    error: Snapshot | None
    was_shown: bool = False
    memo_id: Any = None

    def restored_results(self, memo_id: Any) -> list[Any]:
        """The results anew; those for the memo of the command are for this one now."""
        results = [result.restore() for result in self.results]
        for result in results:
            if self.memo_id is not None and getattr(result, "memo_id", None) == self.memo_id:
                result.memo_id = memo_id
        return results


class Stored(NamedTuple):
    """A value in the data stores of slaves.

    Attributes:
        version: higher than that of any value that was sent before.
        value: None: it is removed.
    """

    version: int
    value: Snapshot | None


class Welcome(NamedTuple):
    """What a slave is told at the beginning of a queue.

    Attributes:
        master: the processor of the master, by a name that no other has.
        rank: the slave's.
        size: how many slaves there are.
        verbosity: the level.
        is_live: what is printed is to be told at once.
        definitions: those of ``__main__`` that commands and data need; None: they need none.
        stored: {name: value} of what the slave does not have yet.
    """

    master: str
    rank: int
    size: int
    verbosity: int
    is_live: bool
    definitions: codec.Payload | None
    stored: dict[str, Stored]
