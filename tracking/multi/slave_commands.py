"""What is done on slaves: the base of the user's commands, and our own."""

from __future__ import annotations

from typing import Any

from tracking.errors import InputError
from tracking.multi.misc import raise_unimplemented


class Slave_command:  # noqa: N801  (a name of old)
    """A piece of work: override ``run``, which computes and returns result commands with ``processor.return_object``.

    It is pickled when it is queued. A subclass need not call this constructor.

    Attributes:
        memo_id: of the memo that it was queued with; to be given to the result commands.
    """

    memo_id: Any = None

    def __init__(self) -> None:
        self.memo_id = None

    def run(self, processor: Any, completed: bool = True) -> None:
        """Do the work, on a slave.

        Args:
            processor: of that slave.
            completed: to be handed to the last result command; nothing depends on it.
        """
        raise_unimplemented(self.run)

    def set_memo_id(self, memo: Any) -> None:
        """Have results go to this memo; None: to none."""
        self.memo_id = None if memo is None else memo.memo_id()


def checked_command(command: Any) -> Any:
    """The command, which may be of any class that works as one.

    Raises:
        TypeError: it is nothing of the kind.
    """
    if not callable(getattr(command, "run", None)) and not hasattr(command, "memo_id"):
        raise TypeError(f"a Slave_command is needed, an object with run(processor, completed), not {command!r}")
    return command


class Exit_command(Slave_command):  # noqa: N801
    """Has a slave leave its loop."""

    def run(self, processor: Any, completed: bool = True) -> None:
        """Say that it is done, then leave."""
        processor.return_object(processor.NULL_RESULT)
        processor.do_quit = True


class Slave_storage_command(Slave_command):  # noqa: N801
    """Puts values into the data store of a slave.

    Attributes:
        names, values: what is to be stored, in the same order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.values: list[Any] = []

    def add(self, name: str, value: Any) -> None:
        """Have this stored, too."""
        self.names.append(name)
        self.values.append(value)

    def clear(self) -> None:
        """Nothing is to be stored."""
        self.names = []
        self.values = []

    def run(self, processor: Any, completed: bool = True) -> None:
        """Store it."""
        processor.return_object(processor.NULL_RESULT)
        for name, value in zip(self.names, self.values, strict=True):
            setattr(processor.data_store, name, value)
        self.clear()


def storing(name: str | None, value: Any) -> Slave_storage_command:
    """A command that stores one value.

    Raises:
        InputError: there is no name.
    """
    command = Slave_storage_command()
    command.add(data_name(name), value)
    return command


def data_name(name: str | None) -> str:
    """The name under which something is sent.

    Raises:
        InputError: there is none.
    """
    if name is None:
        raise InputError("send_data_to_slaves needs the name under which commands will find the value")
    return name


class Slave_removal_command(Slave_command):  # noqa: N801
    """Removes a value from the data store of a slave.

    Args:
        name: of the value; nothing happens where it is not.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def run(self, processor: Any, completed: bool = True) -> None:
        """Remove it."""
        processor.return_object(processor.NULL_RESULT)
        processor.data_store.__dict__.pop(self.name, None)
