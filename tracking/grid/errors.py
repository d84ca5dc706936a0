"""What can go wrong with a grid.

::

    TrackingError
    ├── GridError (RuntimeError)
    │   ├── UnknownService (LookupError)   nothing was published under this id
    │   ├── NoServers                      no server of the service is left, and none will come
    │   └── GridClosed                     the service, or the grid, was terminated
    └── TimeoutError (the builtin)         a result, or a free server, was not there in time
"""

from __future__ import annotations

import builtins

from tracking.errors import TrackingError


class GridError(TrackingError, RuntimeError):
    """Something that a grid cannot do."""


class UnknownService(GridError, LookupError):
    """Nothing was published under this id."""


class NoServers(GridError):
    """No server of the service is left, and none will come."""


class GridClosed(GridError):
    """The service, or the whole grid, was terminated."""


class TimeoutError(TrackingError, builtins.TimeoutError):
    """What was waited for was not there in time; it may still come.

    Source: ``TimeoutError`` of IMP.isd's grids, which was an exception of its own.
    """
