"""The processor of this process, and its data; the same words on master and slaves."""

from __future__ import annotations

from typing import Any, ClassVar


class Processor_box:  # noqa: N801  (a name of old)
    """Holds what was loaded last; there is one of it.

    Attributes:
        processor: the processor; None: none was loaded.
        processor_name: as 'uni_processor'.
        class_name: as 'Uni_processor'.
    """

    _only: ClassVar[Processor_box | None] = None
    processor: Any = None
    processor_name: str | None = None
    class_name: str | None = None

    def __new__(cls, *args: object, **kwargs: object) -> Processor_box:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Whatever is given, it is the same."""


def _loaded() -> Any:
    processor = Processor_box().processor
    if processor is None:
        raise RuntimeError("no processor was loaded: call load_multiprocessor() first")
    return processor


def own_processor() -> Any:
    """That of this process: what a reference to a processor becomes wherever it comes to."""
    return Processor_box().processor


def fetch_data(name: str | None = None) -> Any:
    """What this processor's data store has under a name; None: all of it.

    Raises:
        AttributeError: it has nothing of this name.
    """
    return _loaded().fetch_data(name)


def fetch_data_store() -> Any:
    """The data store of this processor."""
    return _loaded().data_store


def send_data_to_slaves(name: str | None = None, value: Any = None) -> None:
    """Have every slave find this value in its data store; see ``Processor.send_data_to_slaves``."""
    _loaded().send_data_to_slaves(name=name, value=value)
