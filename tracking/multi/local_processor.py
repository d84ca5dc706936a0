"""Local_processor: slaves on this machine."""

from __future__ import annotations

from tracking.multi.fabric_processor import Fabric_processor


class Local_processor(Fabric_processor):  # noqa: N801  (as the others)
    """A master with slaves on this machine; one for each of its cores if no other number is said."""

    fabric = "local"

    def get_intro_string(self) -> str:
        return f"Multi-processor with {self.processor_size()} slaves on this machine."
