"""Services: long computations that can be steered while they run, looked at, ended, and gone on with after any end.

::

    program                          client                     a job                         slaves
      proxy(Fit, ...)  -- request -->  ServiceHandler: ---------> service thread: messages
        .pause .set .abort --------->    put(message)             computation thread: run() --map--> tasks
        .progress .best .result <-----   send(message) <--------    ready(), improved()
      Monitor, listen(...) <----------- MessageStream             run file: request, checkpoints, result

The names and meanings are those of the PARK service framework (2009); see docs/service.md.

Loaded on first use: a slave that runs a service's task loads what that service's own module needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Abort": "messages",
    "Aborted": "messages",
    "AbortService": "aborting",
    "Checkpoint": "messages",
    "Client": "client",
    "Completed": "messages",
    "Error": "messages",
    "Improved": "messages",
    "Invoke": "messages",
    "Joined": "messages",
    "Log": "messages",
    "MapCancelled": "aborting",
    "Message": "messages",
    "MessageStream": "streams",
    "Monitor": "monitor",
    "Pause": "messages",
    "Progress": "messages",
    "Proxy": "proxies",
    "Request": "requests",
    "Resume": "messages",
    "Service": "services",
    "ServiceError": "aborting",
    "ServiceHandler": "handler",
    "Set": "messages",
    "Started": "messages",
    "Status": "lifecycle",
    "UnknownService": "names",
    "VersionError": "versions",
    "current_client": "client",
    "export": "names",
    "proxy": "proxies",
    "request": "requests",
    "service_wrapper": "proxies",
}

__all__ = list(_HOME)

if TYPE_CHECKING:
    from tracking.service.aborting import AbortService as AbortService
    from tracking.service.aborting import MapCancelled as MapCancelled
    from tracking.service.aborting import ServiceError as ServiceError
    from tracking.service.client import Client as Client
    from tracking.service.client import current_client as current_client
    from tracking.service.handler import ServiceHandler as ServiceHandler
    from tracking.service.lifecycle import Status as Status
    from tracking.service.messages import Abort as Abort
    from tracking.service.messages import Aborted as Aborted
    from tracking.service.messages import Checkpoint as Checkpoint
    from tracking.service.messages import Completed as Completed
    from tracking.service.messages import Error as Error
    from tracking.service.messages import Improved as Improved
    from tracking.service.messages import Invoke as Invoke
    from tracking.service.messages import Joined as Joined
    from tracking.service.messages import Log as Log
    from tracking.service.messages import Message as Message
    from tracking.service.messages import Pause as Pause
    from tracking.service.messages import Progress as Progress
    from tracking.service.messages import Resume as Resume
    from tracking.service.messages import Set as Set
    from tracking.service.messages import Started as Started
    from tracking.service.monitor import Monitor as Monitor
    from tracking.service.names import UnknownService as UnknownService
    from tracking.service.names import export as export
    from tracking.service.proxies import Proxy as Proxy
    from tracking.service.proxies import proxy as proxy
    from tracking.service.proxies import service_wrapper as service_wrapper
    from tracking.service.requests import Request as Request
    from tracking.service.requests import request as request
    from tracking.service.services import Service as Service
    from tracking.service.streams import MessageStream as MessageStream
    from tracking.service.versions import VersionError as VersionError


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tracking.service' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"tracking.service.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
