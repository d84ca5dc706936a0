"""What every fabric must do with its slaves, in tests; it is installed, for fabrics of others."""

from tracking.testing.contracts import FabricContract, Slaves

__all__ = ["FabricContract", "Slaves"]
