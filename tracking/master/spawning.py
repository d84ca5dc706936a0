"""The master's slaves: starting them, knowing them, talking to them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from tracking.errors import UnknownHost
from tracking.master.waiting import WaitableThread

if TYPE_CHECKING:
    from tracking.fabrics.registry import Fabrics
    from tracking.master.calculation import Calculation
    from tracking.pool.shares import Shares
    from tracking.pool.slaves import Place


class SlaveKeeper(WaitableThread):
    """The part of ``JobMaster`` that starts slaves, knows them and talks to them."""

    hosts: list[dict[str, str]]
    slaves: dict[int, dict[str, str]]

    _tr_calculation: Calculation | None = None  # written by the master's thread
    _tr_fabrics: Fabrics
    _tr_shares: Shares

    def spawn(self, host: str, nickname: str, niceness: int, show_output: int = 0) -> int:
        """Start a slave; returns its tid at once. Only while the calculation runs."""
        with contextlib.suppress(UnknownHost):  # that it cannot be reached will be told as of any other
            self._tr_fabrics.check_host(host)
        return self._tr_running().crew.start_slave(self._tr_place(nickname, host, niceness, show_output))

    def _tr_place(self, nickname: str, host: str, niceness: int, show_output: int) -> Place:
        from tracking.pool.slaves import Place

        share = self._tr_shares.next(host)
        return Place(nickname, host, niceness, show_output, self._tr_fabrics.of(host), share=share)

    def spawnAll(self, niceness: Mapping[str, int], show_output: int = 0) -> None:
        """Start a slave for each entry of ``hosts``; fills ``slaves``."""
        for entry in list(self.hosts):
            host, nickname = entry["host"], entry["nickname"]
            nice = niceness.get(host, niceness.get("default", 0))
            tid = self.spawn(host, nickname, nice, show_output)
            self.slaves[tid] = {"host": host, "nickname": nickname}

    def _tr_running(self) -> Calculation:
        if self._tr_calculation is None:
            raise RuntimeError("there are no slaves before the calculation has begun")
        return self._tr_calculation

    def hostnameFromTID(self, tid: int) -> str:
        """The host of a slave; NameError for an unknown tid."""
        return self._tr_slave(tid)["host"]

    def nicknameFromTID(self, tid: int) -> str:
        """The nickname of a slave; NameError for an unknown tid."""
        return self._tr_slave(tid)["nickname"]

    def _tr_slave(self, tid: int) -> dict[str, str]:
        try:
            return self.slaves[tid]
        except KeyError:
            raise NameError(f"there is no slave with tid {tid}") from None

    # ---- transport of MessageThread

    def _tr_transmit(self, tid: int, tag: Hashable, values: tuple[object, ...] | None) -> None:
        if not self._tr_running().sender.tell(tid, self._tr_tid, tag, values):
            raise NameError(f"there is no slave with tid {tid} (any more)")

    def _tr_transmit_ping(self, tid: int, token: int) -> None:
        if not self._tr_running().sender.ping(tid, token):
            raise NameError(f"there is no slave with tid {tid} (any more)")

    def _tr_tasks(self) -> dict[str, int]:
        return {slave["nickname"]: tid for tid, slave in list(self.slaves.items())}

    def _tr_wake(self) -> None:
        if self._tr_calculation is not None:
            self._tr_calculation.desk.wake()

    def _tr_wait_for(self, event: threading.Event, timeout_s: float) -> bool:
        """In the master's own thread, from inside a hook, nobody else would take the answer in."""
        calculation = self._tr_calculation
        if calculation is None or threading.current_thread() is not self:
            return event.wait(timeout_s)
        return calculation.pump_until(event, timeout_s)
