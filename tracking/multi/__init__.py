"""The interface of relax's ``multi`` package: commands for slaves, result commands and memos, on slaves of any fabric.

``docs/multi.md`` says what to change in a program, and what is better. Every name is loaded on first use, so a slave
loads only what its commands need.

Source: relax's ``multi`` package (2007-2015).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Application_callback": "application_callback",
    "Batched_result_command": "result_commands",
    "Capturing_exception": "misc",
    "Data_store": "processor",
    "Exit_command": "slave_commands",
    "Exit_queue_result_command": "result_queue",
    "Fabric_processor": "fabric_processor",
    "Immediate_result_queue": "result_queue",
    "Local_processor": "local_processor",
    "Memo": "memo",
    "Mpi4py_processor": "mpi4py_processor",
    "Multi_processor": "multi_processor_base",
    "Null_result_command": "result_commands",
    "Processor": "processor",
    "Processor_box": "box",
    "RESULT_QUEUE_EXIT_COMMAND": "result_queue",
    "Redirect_text": "processor_io",
    "Result": "misc",
    "Result_command": "result_commands",
    "Result_exception": "result_commands",
    "Result_queue": "result_queue",
    "Result_string": "misc",
    "Slave_command": "slave_commands",
    "Slave_storage_command": "slave_commands",
    "Threaded_result_queue": "result_queue",
    "Too_few_slaves_exception": "multi_processor_base",
    "Uni_processor": "uni_processor",
    "Verbosity": "misc",
    "fetch_data": "box",
    "fetch_data_store": "box",
    "import_module": "misc",
    "load_multiprocessor": "loading",
    "raise_unimplemented": "misc",
    "send_data_to_slaves": "box",
    "verbosity": "processor",
}
_MODULES = frozenset({
    "memo", "misc", "mpi4py_processor", "multi_processor_base", "processor", "processor_io", "result_commands",
    "result_queue", "slave_commands", "uni_processor", "local_processor", "fabric_processor",
})  # fmt: skip

__all__ = [*_HOME]

if TYPE_CHECKING:
    from tracking.multi.application_callback import Application_callback as Application_callback
    from tracking.multi.box import Processor_box as Processor_box
    from tracking.multi.box import fetch_data as fetch_data
    from tracking.multi.box import fetch_data_store as fetch_data_store
    from tracking.multi.box import send_data_to_slaves as send_data_to_slaves
    from tracking.multi.fabric_processor import Fabric_processor as Fabric_processor
    from tracking.multi.loading import load_multiprocessor as load_multiprocessor
    from tracking.multi.local_processor import Local_processor as Local_processor
    from tracking.multi.memo import Memo as Memo
    from tracking.multi.misc import Capturing_exception as Capturing_exception
    from tracking.multi.misc import Result as Result
    from tracking.multi.misc import Result_string as Result_string
    from tracking.multi.misc import Verbosity as Verbosity
    from tracking.multi.misc import import_module as import_module
    from tracking.multi.misc import raise_unimplemented as raise_unimplemented
    from tracking.multi.mpi4py_processor import Mpi4py_processor as Mpi4py_processor
    from tracking.multi.multi_processor_base import Multi_processor as Multi_processor
    from tracking.multi.multi_processor_base import Too_few_slaves_exception as Too_few_slaves_exception
    from tracking.multi.processor import Data_store as Data_store
    from tracking.multi.processor import Processor as Processor
    from tracking.multi.processor import verbosity as verbosity
    from tracking.multi.processor_io import Redirect_text as Redirect_text
    from tracking.multi.result_commands import Batched_result_command as Batched_result_command
    from tracking.multi.result_commands import Null_result_command as Null_result_command
    from tracking.multi.result_commands import Result_command as Result_command
    from tracking.multi.result_commands import Result_exception as Result_exception
    from tracking.multi.result_queue import RESULT_QUEUE_EXIT_COMMAND as RESULT_QUEUE_EXIT_COMMAND
    from tracking.multi.result_queue import Exit_queue_result_command as Exit_queue_result_command
    from tracking.multi.result_queue import Immediate_result_queue as Immediate_result_queue
    from tracking.multi.result_queue import Result_queue as Result_queue
    from tracking.multi.result_queue import Threaded_result_queue as Threaded_result_queue
    from tracking.multi.slave_commands import Exit_command as Exit_command
    from tracking.multi.slave_commands import Slave_command as Slave_command
    from tracking.multi.slave_commands import Slave_storage_command as Slave_storage_command
    from tracking.multi.uni_processor import Uni_processor as Uni_processor


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = globals()[name] = getattr(importlib.import_module(f"tracking.multi.{_HOME[name]}"), name)
        return value
    if name in _MODULES:
        return importlib.import_module(f"tracking.multi.{name}")
    raise AttributeError(f"module 'tracking.multi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])
