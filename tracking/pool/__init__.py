"""The pool: starts, keeps, replaces and addresses slaves."""

from tracking.pool.slave_pool import SlavePool

__all__ = ["SlavePool"]
