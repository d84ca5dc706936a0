"""What every fabric must do, as tests: derive classes named ``Test...`` and run them with pytest.

::

    class TestMine(FabricContract):
        @pytest.fixture
        def fabric(self):
            fabric = MyFabric()
            yield fabric
            fabric.close()

    class TestWork(CalculationContract):
        @pytest.fixture
        def make(self):
            return MyFabric

``FabricContract`` speaks with single slaves, ``CalculationContract`` has whole calculations done. What slaves do in
these tests goes to them by value: nothing but this package, or what the fabric brings, need be on their hosts.
"""

from __future__ import annotations

import cloudpickle  # type: ignore[import-untyped]
import pytest

pytest.register_assert_rewrite(f"{__name__}.of_calculations", f"{__name__}.of_fabrics", f"{__name__}.puppet")

from tracking.testing.contracts import chores  # noqa: E402  (what is rewritten is imported afterwards)
from tracking.testing.contracts.of_calculations import CalculationContract, Make  # noqa: E402
from tracking.testing.contracts.of_fabrics import FabricContract, Slaves  # noqa: E402

__all__ = ["CalculationContract", "FabricContract", "Make", "Slaves"]

cloudpickle.register_pickle_by_value(chores)
