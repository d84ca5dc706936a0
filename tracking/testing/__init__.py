"""Fakes for tests of masters, hooks and whatever else uses slaves: no process, no wait, every accident on order.

>>> from tracking import TrackingJobMaster
>>> fabric = ScriptedFabric(dies, done)  # the slave that is given the first job dies of it
>>> master = TrackingJobMaster({1: "a", 2: "b"}, function=str.upper, fabric=fabric, hosts="localhost", verbose=0)
>>> sorted(master.calculateResult().items()), len(fabric.slaves)
([(1, 'A'), (2, 'B')], 2)

A ``ScriptedFabric`` is given to a master or a ``SlavePool`` as its ``fabric``. Its slaves live in this process, at the
other ends of real lines; whoever turns the loop of the crew also runs them, in its own thread, so nothing happens
behind a test's back. What a slave does with jobs is said by *reactions*, functions of the slave and the job; what
else it does, by a subclass of ``ScriptedSlave``. A test may also make a slave act from outside, at any time.

Whoever writes a fabric finds in ``tracking.testing.contracts`` what it must do, as tests (they need pytest).
"""

from __future__ import annotations

from tracking.testing.clock import Clock
from tracking.testing.scripted_fabric import ScriptedFabric
from tracking.testing.scripted_slave import Job, Reaction, ScriptedSlave, dies, done, raises, silent

__all__ = ["Clock", "Job", "Reaction", "ScriptedFabric", "ScriptedSlave", "dies", "done", "raises", "silent"]
