"""Which function a slave keeps loaded, as far as its master knows; with it, it is ready at once.

::

    first calculation     SETUP, keep -->  slave loads the function, keeps it      <-- READY, JOB -->, ...
    the next with it      AGAIN, JOB --->  slave has it                            <-- DONE

To load a function takes no time where it was loaded before, but to be told of it and to wait for the answer does, for
each of many slaves. Only functions that are found by their names are kept: they are there anyway, and until a slave
hears of something else it need not be told to forget them.
"""

from __future__ import annotations

from collections.abc import Hashable


class Keeping:
    """Of one slave. A *key* is equal for equal functions in equal surroundings."""

    def __init__(self) -> None:
        self._kept: tuple[Hashable, int] | None = None  # its key, and the calculation for which it was sent
        self._coming: dict[int, Hashable] = {}  # by calculation: the slave will keep them, but has not said READY
        self._light: set[int] = set()  # calculations that leave nothing of weight on the slave

    def set_up(self, calculation: int, key: Hashable, *, is_idle: bool) -> int | None:
        """The slave is to be ready for this: what to ask for AGAIN; None: a SETUP is to be sent, to be kept.

        Who is busy may not be ready for long, and what lies in its line behind that could not be taken back at once.
        Nor is one idle that does not answer: whoever comes later is not told of it, and would wait for its jobs.
        """
        self._light.add(calculation)
        if is_idle and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        self._kept = None  # from now on it may be the other one
        self._coming[calculation] = key
        return None

    def is_through(self, calculation: int, *, is_ready: bool) -> None:
        """The slave has loaded what it was sent for this calculation, well or not, be that still going on or not."""
        key = self._coming.pop(calculation, None)
        if key is not None and is_ready:
            self._kept = key, calculation

    def got_definitions(self, calculation: int) -> None:
        """They may be large, whatever the function is."""
        self._light.discard(calculation)

    def leave(self, calculation: int) -> bool:
        """The calculation is over; True: so little is left of it that the slave may forget that at any time."""
        is_light = calculation in self._light
        self._light.discard(calculation)
        return is_light
