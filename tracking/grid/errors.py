"""What can go wrong with a grid.

::

    TrackingError
    ├── GridError (RuntimeError)
    │   ├── UnknownService (LookupError)   nothing was published under this id
    │   ├── NoServers                      no server of the service is left, and none will come
    │   └── GridClosed                     the service, or the grid, was terminated
    │       └── CallEnded (SlaveLost)      ... before this call was answered
    └── TimeoutError (the builtin)         a result, or a free server, was not there in time
"""

from __future__ import annotations

import builtins

from tracking.errors import SlaveLost, TrackingError


class GridError(TrackingError, RuntimeError):
    """Something that a grid cannot do."""


class UnknownService(GridError, LookupError):
    """Nothing was published under this id."""


class NoServers(GridError):
    """No server of the service is left, and none will come."""


class GridClosed(GridError):
    """The service, or the whole grid, was terminated."""


class CallEnded(SlaveLost, GridClosed):
    """The server of this call was terminated, alone or with all others, before it had answered.

    A ``SlaveLost``, for those who wait for that; but nothing went wrong with the slave, so it does not say so.
    """

    def __str__(self) -> str:
        return (
            f"{self.how} before this call was answered by the server on {self.host}: "
            "get() the results first, and terminate, or leave the with block, then"
        )


class TimeoutError(TrackingError, builtins.TimeoutError):
    """What was waited for was not there in time; it may still come.

    Source: ``TimeoutError`` of IMP.isd's grids, which was an exception of its own.
    """
