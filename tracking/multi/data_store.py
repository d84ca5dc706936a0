"""Data_store: what commands find on their slave, and result commands on the master."""

from __future__ import annotations

from typing import Any


class Data_store:  # noqa: N801  (a name of old)
    """An object to which anything may be attached; what ``send_data_to_slaves`` sends is attached to those of slaves.

    >>> store = Data_store()
    >>> store.spectra = [1, 2]
    >>> store.spectra
    [1, 2]
    """

    def __getattr__(self, name: str) -> Any:
        there = ", ".join(sorted(self.__dict__)) or "nothing"
        raise AttributeError(f"the data store has no {name!r}; there is: {there}")
