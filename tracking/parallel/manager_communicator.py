"""``master_communicator`` in the other vocabulary."""

from tracking.parallel.master_communicator import MasterCommunicator as ManagerCommunicator

__all__ = ["ManagerCommunicator"]
