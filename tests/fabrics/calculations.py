"""What every fabric must do for a calculation, in tests; it is installed, for fabrics of others."""

from tracking.testing.contracts import CalculationContract, Make

__all__ = ["CalculationContract", "Make"]
