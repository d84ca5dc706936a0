"""Who is told of actors that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tracking.errors import TrackingError

if TYPE_CHECKING:
    from tracking.pool.actors import Actor


class Watcher(Protocol):
    """Who is told of actors. Called one after the other, where the user's code may run; must not wait for long."""

    def actor_is_up(self, actor: Actor) -> None:
        """There is another one: its object was made."""

    def actor_is_lost(self, actor: Actor) -> None:
        """It is no more: ``actor.error`` says why. The slave that takes the place of its own gets a new one."""

    def actor_has_failed(self, actor: Actor) -> None:
        """Its object could not be made: ``actor.error`` is what was raised. The slave lives on, and gets no other."""

    def host_is_given_up(self, host: str, why: str) -> None:
        """No further slave will come on this host."""

    def all_are_lost(self, error: TrackingError) -> None:
        """None is left, and none will come."""
