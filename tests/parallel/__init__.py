"""The interface of IMP.parallel."""
